//! `ai-proxy-free demo`: the proxy over simulated providers, to try without a key and without a network.
//!
//! The proxy is the real one, with its real settings; only the keys, models and base URLs lead to the simulator.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::providers::{Directory, Provider};
use crate::simulator::{Cost, Limit, Limits, Plan, Settings, Simulator, Window};
use crate::time::Clock;

/// The time between two words: readable, and visibly a stream.
const PACE: Duration = Duration::from_millis(40);

/// Few enough that a curious hand reaches Groq's limit within a minute and sees the others take over.
const GROQ_REQUESTS_PER_MINUTE: u64 = 3;

/// The simulated providers of a demo; they live as long as it does.
#[derive(Debug)]
pub(super) struct Demo {
    simulator: Simulator,
}

impl Demo {
    /// Starts the simulated providers.
    ///
    /// # Errors
    /// No loopback port is free.
    pub(super) async fn start(clock: Clock) -> io::Result<Self> {
        let simulator = Simulator::start(Directory::core(), |provider| {
            let limits = if provider == Provider::GROQ { few_requests() } else { Limits::Published };
            // One model each: a demo of fallback should not have to use up four models first.
            let models = provider.default_models().take(1).map(str::to_owned).collect();
            Settings {
                pace: PACE,
                limits,
                models,
                kept_requests: 0,
                ..Settings::new(provider, clock.clone())
            }
        });
        Ok(Self { simulator: simulator.await? })
    }

    /// What a variable is in the demo: `Some` for those that lead to the simulator, whatever the real environment
    /// says; none for all others.
    pub(super) fn variable(&self, name: &str) -> Option<Option<String>> {
        // What simulated providers have given is not worth remembering.
        if name == "STATE_FILE" {
            return Some(Some(String::new()));
        }
        self.simulator.providers().find_map(|simulated| {
            let provider = simulated.provider();
            let profile = provider.profile();
            if profile.key_variables.contains(&name) {
                Some(Some("simulated".to_owned()))
            } else if name == profile.base_url_variable {
                Some(Some(simulated.base_url()))
            } else if name == profile.models_variable {
                Some(provider.default_models().next().map(str::to_owned))
            } else {
                None
            }
        })
    }
}

fn few_requests() -> Limits {
    let minute = Window::Sliding(Duration::from_secs(60));
    Limits::Custom(Plan::each_model([Limit::new(GROQ_REQUESTS_PER_MINUTE, Cost::Requests, minute)]))
}

/// What a newcomer can paste, for a proxy that listens on `address`.
pub(super) fn invitation(address: SocketAddr, needs_client_key: bool) -> String {
    let key = if needs_client_key { " -H \"Authorization: Bearer $PROXY_API_KEY\"" } else { "" };
    let windows_key = key.replace("$PROXY_API_KEY", "%PROXY_API_KEY%");
    format!(
        "This is a demo: no real provider is called. Try, a few times in a row:\n\n  \
         curl -iN http://{address}/chat{key} -H 'Content-Type: application/json' \
         -d '{{\"messages\":[{{\"role\":\"user\",\"content\":\"Hola\"}}]}}'\n\n\
         In cmd.exe of Windows:\n\n  \
         curl -iN http://{address}/chat{windows_key} -H \"Content-Type: application/json\" \
         -d \"{{\\\"messages\\\":[{{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"Hola\\\"}}]}}\"\n\n\
         The header x-provider says who answered. Groq is limited to {GROQ_REQUESTS_PER_MINUTE} requests a minute \
         here: after them x-attempts shows how the others take over. http://{address}/health counts, \
         http://{address}/providers tells what is known of each model.\n\
         Clients of OpenAI's API: base URL http://{address}/v1, model auto, any key.\n"
    )
}
