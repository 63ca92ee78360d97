//! What came of a day, and the lines that say so.

use std::time::Duration;

use ai_proxy_free::internals::simulator::Refusal;

/// What came of all clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    warm_up: Calls,
    later: Calls,
    /// Clients who were answered.
    pub(crate) answered: u64,
    /// The tokens of their prompts and answers.
    pub(crate) tokens: u64,
    /// Answers that were cut shorter than their clients wanted.
    cut: u64,
    /// Refusals of clients.
    refused: u64,
    /// Those while somebody would have admitted the call.
    refused_with_room: u64,
    /// Answered or refused when they came back.
    pub(crate) answered_later: u64,
    pub(crate) refused_again: u64,
    waits: Vec<Duration>,
}

/// Calls to providers.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    all: u64,
    /// 429s.
    limited: u64,
    /// Calls that alone exceed a limit.
    too_large: u64,
}

impl Calls {
    fn limited_of_1000(self) -> f64 {
        self.limited as f64 * 1_000.0 / self.all.max(1) as f64
    }
}

impl Tally {
    pub(crate) fn call(&mut self, refusal: Option<&Refusal>, is_warm_up: bool) {
        let calls = if is_warm_up { &mut self.warm_up } else { &mut self.later };
        calls.all += 1;
        match refusal {
            Some(refusal) if refusal.wait.is_none() => calls.too_large += 1,
            Some(_) => calls.limited += 1,
            None => {}
        }
    }

    pub(crate) fn answer(&mut self, tokens: u64, is_cut: bool, wait: Duration, has_returned: bool) {
        self.answered += 1;
        self.tokens += tokens;
        self.cut += u64::from(is_cut);
        self.answered_later += u64::from(has_returned);
        self.waits.push(wait);
    }

    pub(crate) fn refusal(&mut self, has_room: bool, has_returned: bool) {
        self.refused += 1;
        self.refused_with_room += u64::from(has_room);
        self.refused_again += u64::from(has_returned);
    }

    /// The share of another's whole answers, and of the tokens of its requests and answers, that this one has too.
    pub(crate) fn shares_of(&self, other: &Self) -> (f64, f64) {
        let share = |own: u64, others: u64| own as f64 / others.max(1) as f64;
        (share(self.answered - self.cut, other.answered - other.cut), share(self.tokens, other.tokens))
    }

    /// Whether no call was refused.
    pub(crate) fn is_spotless(&self) -> bool {
        [self.warm_up, self.later].iter().all(|calls| calls.limited + calls.too_large == 0)
    }

    /// The heads of [`line`](Self::line).
    pub(crate) const HEADS: &str = "  strategy       | answered | req/oracle | tok/oracle | 429s/1000 warming | 429s/1000 | too large/1000 | refused | \
         with room | wait p50 | wait p99 | calls/answer | cut";

    /// One line for a table.
    pub(crate) fn line(&self, name: &str, oracle: &Self) -> String {
        let (requests, tokens) = self.shares_of(oracle);
        let calls = self.warm_up.all + self.later.all;
        let too_large = self.warm_up.too_large + self.later.too_large;
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let at = |share| percentile(&waits, share).as_secs_f64();
        format!(
            "  {name:14} | {:8} | {:8.1} % | {:8.1} % | {:17.1} | {:9.1} | {:14.1} | {:7} | {:9} | {:6.2} s | {:6.2} s | {:12.3} | {}",
            self.answered,
            requests * 100.0,
            tokens * 100.0,
            self.warm_up.limited_of_1000(),
            self.later.limited_of_1000(),
            too_large as f64 * 1_000.0 / calls.max(1) as f64,
            self.refused,
            self.refused_with_room,
            at(0.5),
            at(0.99),
            calls as f64 / self.answered.max(1) as f64,
            self.cut,
        )
    }
}

/// What is at that share of sorted times.
fn percentile(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
