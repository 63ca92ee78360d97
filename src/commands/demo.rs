//! `ai-proxy-free demo`: the proxy over simulated providers, to try without a key and without a network.
//!
//! The proxy is the real one, with the real settings of its client side; the providers, their keys, models and limits are
//! the simulator's. `.env` is not read: it is about real providers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::providers::Directory;
use crate::simulator::{Behaviour, Limits, Settings, Simulator, Voice};
use crate::time::Clock;

/// The time between two words: readable, and visibly a stream.
const PACE: Duration = Duration::from_millis(40);

/// The times to the first words, in rotation order: as different as those of the real ones.
const FIRST_WORD_MS: [u64; 3] = [180, 120, 350];

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
        let simulator = Simulator::start(Directory::core(), |provider| Settings {
            pace: PACE,
            // So the others take over soon: Groq's free minute has room for two or three answers.
            limits: Limits::Published,
            // One model each: a demo of fallback should not have to use up four models first.
            models: provider.default_models().take(1).map(str::to_owned).collect(),
            kept_requests: 0,
            voice: Voice::SmallTalk,
            ..Settings::new(provider, clock.clone())
        });
        let simulator = simulator.await?;
        for (simulated, first_word) in simulator.providers().zip(FIRST_WORD_MS) {
            simulated.always(Behaviour::echo().thinking_for(Duration::from_millis(first_word)));
        }
        Ok(Self { simulator })
    }

    /// What a variable is in the demo: `Some` for those that are about providers, whatever the real environment says, so
    /// that no real one can be called; none for all others.
    pub(super) fn variable(&self, name: &str) -> Option<Option<String>> {
        // What simulated providers have given is not worth remembering, and nobody else is asked.
        if ["STATE_FILE", "STATE_URL", "KEYLESS_PROVIDERS", "CUSTOM_PROVIDERS", "TIER_2"].contains(&name) {
            return Some(Some(String::new()));
        }
        let provider = Directory::built_in().iter().find(|it| it.variables().any(|its| its == name))?;
        let simulated = self.simulator.providers().find(|it| it.provider() == provider);
        Some(simulated.and_then(|simulated| {
            let profile = provider.profile();
            if profile.key_variables.contains(&name) {
                Some("simulated".to_owned())
            } else if name == profile.base_url_variable {
                Some(simulated.base_url())
            } else if name == profile.models_variable {
                provider.default_models().next().map(str::to_owned)
            } else {
                None
            }
        }))
    }
}

/// What a newcomer can open and paste, for a proxy that listens on `address`.
pub(super) fn invitation(address: SocketAddr, needs_client_key: bool) -> String {
    let address = from_here(address);
    let key = if needs_client_key { " -H \"Authorization: Bearer $PROXY_API_KEY\"" } else { "" };
    let key_word = if needs_client_key { "and one of PROXY_API_KEY as the key" } else { "any key" };
    let windows_key = key.replace("$PROXY_API_KEY", "%PROXY_API_KEY%");
    format!(
        "This is a demo: no real provider is called. Open this page:\n\n  \
         http://{address}/\n\n\
         or ask in a terminal, a few times in a row:\n\n  \
         curl -iN http://{address}/chat{key} -H 'Content-Type: application/json' \
         -d '{{\"messages\":[{{\"role\":\"user\",\"content\":\"Tell me a joke\"}}]}}'\n\n\
         In cmd.exe of Windows:\n\n  \
         curl -iN http://{address}/chat{windows_key} -H \"Content-Type: application/json\" \
         -d \"{{\\\"messages\\\":[{{\\\"role\\\":\\\"user\\\",\\\"content\\\":\\\"Tell me a joke\\\"}}]}}\"\n\n\
         The header x-provider says who answered. The limits are those of the free plans: Groq's is reached after two or \
         three answers, and x-attempts shows how the others take over. http://{address}/health and /metrics count, \
         http://{address}/providers tells what is known of each model.\n\
         Clients of OpenAI's API: base URL http://{address}/v1, model auto, {key_word}.\n\
         For real answers, put a free key into .env and start without demo: README.md says how.\n"
    )
}

/// Where this machine reaches a server that listens on all addresses.
fn from_here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let is_v4 = address.is_ipv4();
        address.set_ip(if is_v4 { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) });
    }
    address
}
