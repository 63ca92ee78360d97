//! The simulated providers alone, for clients in other languages.
//!
//! Prints one line of JSON with their base URLs, such as `{"Groq":"http://127.0.0.1:40001",…}`, and runs until
//! standard input is closed. What goes wrong is chosen by request, with an `x-simulate` header (see
//! `Behaviour::named`).

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{Settings, Simulator};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let simulator = Simulator::start(Directory::built_in(), |provider| {
        Settings::new(provider, Arc::new(ai_proxy_free::internals::time::Moment::now))
    })
    .await?;
    let urls: BTreeMap<_, _> =
        simulator.providers().map(|it| (it.provider().name(), it.base_url())).collect();
    println!("{}", serde_json::to_string(&urls)?);
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
