//! Whole requests through the program as users run it, with its log: a short one, and what one more token takes.

use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc;

use ai_proxy_free::internals::providers::Provider;

use crate::Case;
use crate::answer::PROVIDERS;
use crate::callgrind::{Counts, Profile};
use crate::client::{AGENTS, BASIC, Surface};
use crate::support::Process;
use crate::{client, upstream};

/// The texts of a short answer: with what stands around them, about 18 events.
const SHORT: usize = 16;
const LONG: usize = 76;

/// The requests of the shorter run, and of the longer one.
const REQUESTS: [usize; 2] = [10, 50];

pub(crate) fn cases() -> Vec<Case> {
    let ways =
        BASIC.iter().flat_map(|surface| PROVIDERS.into_iter().map(move |provider| (*surface, provider)));
    // What a surface costs does not depend on who answers.
    let agents = AGENTS.iter().map(|surface| (*surface, Provider::GROQ));
    ways.chain(agents)
        .flat_map(|(surface, provider)| {
            let name = |what: &str| format!("{what} {} {}", surface.name, provider.name());
            [
                Case { name: name("request"), count: Arc::new(move || request(surface, provider)) },
                Case { name: name("token"), count: Arc::new(move || token(surface, provider)) },
            ]
        })
        .collect()
}

fn request(surface: Surface, provider: Provider) -> Profile {
    let [few, many] = REQUESTS.map(|requests| run(surface, provider, requests, SHORT));
    many.round(&few, REQUESTS[1] - REQUESTS[0])
}

fn token(surface: Surface, provider: Provider) -> Profile {
    let requests = REQUESTS[1];
    let [short, long] = [SHORT, LONG].map(|texts| run(surface, provider, requests, texts));
    long.round(&short, requests * (LONG - SHORT))
}

/// All that the program executes while it answers `requests` requests, one after the other, and ends.
fn run(surface: Surface, provider: Provider, requests: usize, texts: usize) -> Profile {
    let (seen, to_see) = mpsc::channel();
    let url = upstream::start(provider, texts, to_see);
    let counts = Counts::new();
    let mut command = counts.command(env!("CARGO_BIN_EXE_ai-proxy-free"));
    let profile = provider.profile();
    command.env("PORT", "0").env("STATE_FILE", "").env("TOKIO_WORKER_THREADS", "1");
    command.env(profile.key_variables[0], "key").env(profile.base_url_variable, url);
    // One model, whose limits decide nothing.
    command.env(profile.limits_variable, "rpm=1000000,tpm=1000000000");
    let mut proxy = Process::start(command, |_| {});
    client::ask(&proxy.address, surface, requests, texts, &seen);
    let asked = Command::new("kill").arg(proxy.child.id().to_string()).status();
    assert!(asked.is_ok_and(|asked| asked.success()), "kill");
    assert!(proxy.child.wait().expect("its end").success(), "it did not end well");
    counts.read()
}
