//! This program's own engine as a strategy: it picks, reserves, settles and lets wait as it does for the dispatcher, and
//! knows nothing but the published plans and what comes back.

use std::collections::HashMap;
use std::time::Duration;

use ai_proxy_free::internals::middle::Usage as Tokens;
use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::quota::{Trial, TrialTurn};
use ai_proxy_free::internals::time::Moment;
use http::HeaderMap;
use jiff::Timestamp;

use crate::strategy::{Ask, Decision, Sent, Strategy, Usage};
use crate::truth::{Place, Truth};

/// What the report calls it.
pub(crate) const NAME: &str = "this program";

/// `MAX_WAIT_MS` by default.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The engine over these places, without any knowledge but the published plans.
pub(crate) fn adapter(places: &[Place], now: Timestamp) -> Option<Box<dyn Strategy>> {
    let providers: Vec<Provider> = Directory::core().iter().collect();
    let accounts = places.iter().map(|place| place.account + 1).max()?;
    let trial = Trial::new(&providers, accounts, Moment::at(now));
    Some(Box::new(Program { trial, calls: HashMap::new(), next: None }))
}

struct Program {
    trial: Trial,
    /// The engine's calls, by the numbers that the simulation gives them.
    calls: HashMap<u64, u64>,
    /// The client that was just sent, and the engine's call.
    next: Option<(usize, u64)>,
}

impl Program {
    fn call(&self, sent: &Sent) -> Option<u64> {
        self.calls.get(&sent.number).copied()
    }
}

impl Strategy for Program {
    fn name(&self) -> &'static str {
        NAME
    }

    fn decide(&mut self, ask: &Ask, _truth: &mut Truth, now: Timestamp) -> Decision {
        let waited = Duration::try_from(now.duration_since(ask.arrived)).unwrap_or_default();
        let patience = MAX_WAIT.saturating_sub(waited);
        let max_tokens = u32::try_from(ask.max_tokens).unwrap_or(u32::MAX);
        match self.trial.ask(ask.client, ask.estimate, max_tokens, patience, Moment::at(now)) {
            TrialTurn::Sent { call, provider, account, model, max_tokens: granted } => {
                self.next = Some((ask.client, call));
                let model = provider.default_models().nth(model).expect("a default model");
                let max_tokens = granted.map_or(ask.max_tokens, u64::from);
                Decision::Send { place: Place { provider, account, model }, max_tokens }
            }
            TrialTurn::Waits(left) => Decision::Wait(now + left),
            TrialTurn::Refused(seconds) => Decision::Refuse(Duration::from_secs(seconds.unwrap_or(60))),
        }
    }

    /// The simulation numbers a call after the decision.
    fn on_sent(&mut self, sent: &Sent) {
        if let Some((_, call)) = self.next.take_if(|(client, _)| *client == sent.client) {
            self.calls.insert(sent.number, call);
        }
    }

    fn on_head(&mut self, sent: &Sent, headers: &HeaderMap, now: Timestamp) {
        if let Some(call) = self.call(sent) {
            self.trial.head(call, headers, Moment::at(now));
        }
    }

    fn on_refused(&mut self, sent: &Sent, status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) {
        if let Some(call) = self.call(sent) {
            self.trial.refused(call, status, headers, body, Moment::at(now));
        }
    }

    fn on_settled(&mut self, sent: &Sent, usage: Usage, now: Timestamp) {
        let Some(call) = self.call(sent) else { return };
        let (prompt_tokens, completion_tokens) = (usage.prompt, usage.answer);
        let total_tokens = prompt_tokens + completion_tokens;
        let usage = Tokens {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            cached_tokens: None,
            reasoning_tokens: None,
        };
        self.trial.settled(call, usage, Moment::at(now));
    }

    fn woken(&mut self) -> Vec<usize> {
        self.trial.called()
    }
}
