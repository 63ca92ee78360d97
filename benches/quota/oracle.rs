//! The bound: somebody who sees the true limiters, lets clients wait for room, and never sends a call in vain.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::Size;
use jiff::Timestamp;

use crate::strategy::{Ask, Decision, Strategy};
use crate::truth::{Place, Truth};

/// How long it lets a client wait.
const MAX_WAIT: Duration = Duration::from_secs(10);

pub(crate) struct Oracle {
    /// What the places together admit in the long run: the time between two calls.
    spacing: Duration,
    /// The latest time for which somebody was told to come back.
    promised: Timestamp,
}

impl Oracle {
    /// `capacity` is in requests a second.
    pub(crate) fn new(capacity: f64) -> Self {
        Self { spacing: Duration::from_secs_f64(1.0 / capacity.max(1e-6)), promised: Timestamp::UNIX_EPOCH }
    }
}

impl Strategy for Oracle {
    fn name(&self) -> &'static str {
        "oracle"
    }

    fn decide(&mut self, ask: &Ask, truth: &mut Truth, now: Timestamp) -> Decision {
        let size = Size { prompt: ask.prompt, longest_answer: ask.max_tokens };
        match truth.best(size, now) {
            Ok(place) => Decision::Send { place, max_tokens: ask.max_tokens },
            Err(Some(wait)) if now + wait <= ask.arrived + MAX_WAIT => Decision::Wait(now + wait),
            Err(wait) => {
                // One after the other, or all of them would come back for the same room.
                let room = now + wait.unwrap_or(MAX_WAIT);
                self.promised = room.max(self.promised + self.spacing);
                let retry_after = Duration::try_from(self.promised.duration_since(now)).unwrap_or_default();
                Decision::Refuse(retry_after)
            }
        }
    }
}

/// How long demanding clients are remembered, and what part of a calendar's day may be used before its time.
const REMEMBERED: Duration = Duration::from_secs(3_600);
const PACE_SLACK: f64 = 0.1;

/// Knows as much as the oracle, and keeps to this program's rules: providers in rotation, the best model first, accounts in
/// turn, and a calendar's day left to those who need it. What it delivers less is the price of the rules, not of not
/// knowing.
pub(crate) struct Ruled {
    oracle: Oracle,
    /// For each provider, and for each account of it, the number of the last call.
    turns: Vec<(Provider, u64)>,
    uses: Vec<(Provider, usize, u64)>,
    calls: u64,
    /// When a client came for whom a model of the provider is too small.
    demanded: Vec<(Provider, Timestamp)>,
}

impl Ruled {
    /// What the report calls it.
    pub(crate) const NAME: &str = "oracle, ruled";

    pub(crate) fn new(capacity: f64) -> Self {
        Self {
            oracle: Oracle::new(capacity),
            turns: Vec::new(),
            uses: Vec::new(),
            calls: 0,
            demanded: Vec::new(),
        }
    }

    fn turn(&self, provider: Provider) -> u64 {
        self.turns.iter().find(|(it, _)| *it == provider).map_or(0, |(_, call)| *call)
    }

    fn last_use(&self, place: Place) -> u64 {
        let is_it = |(provider, account, _): &&(Provider, usize, u64)| {
            (*provider, *account) == (place.provider, place.account)
        };
        self.uses.iter().find(is_it).map_or(0, |(_, _, call)| *call)
    }

    /// Whether this place is better left to others, though it has room.
    fn leaves(&mut self, place: Place, size: Size, truth: &mut Truth, now: Timestamp) -> bool {
        let all = truth.places().to_vec().into_iter();
        let mut its = all.filter(|it| (it.provider, it.account) == (place.provider, place.account));
        if its.any(|it| truth.takes_badly(it, size, now)) {
            self.demanded.retain(|(provider, _)| *provider != place.provider);
            self.demanded.push((place.provider, now));
            return false;
        }
        let is_remembered =
            |(provider, at): &(Provider, Timestamp)| *provider == place.provider && now < *at + REMEMBERED;
        self.demanded.iter().any(is_remembered) && truth.is_ahead_of_its_day(place, PACE_SLACK, now)
    }

    fn sends(&mut self, place: Place) {
        self.calls += 1;
        self.turns.retain(|(provider, _)| *provider != place.provider);
        self.turns.push((place.provider, self.calls));
        self.uses.retain(|(provider, account, _)| (*provider, *account) != (place.provider, place.account));
        self.uses.push((place.provider, place.account, self.calls));
    }
}

impl Strategy for Ruled {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn decide(&mut self, ask: &Ask, truth: &mut Truth, now: Timestamp) -> Decision {
        let size = Size { prompt: ask.prompt, longest_answer: ask.max_tokens };
        let places = truth.places().to_vec();
        let with_room = |place: &&Place| truth.room_in(**place, size, now) == Some(Duration::ZERO);
        let open: Vec<Place> = places.iter().filter(with_room).copied().collect();
        let position = |model: &str| places.iter().position(|it| it.model == model);
        let mut best = None;
        for it in open {
            let key = (
                self.turn(it.provider),
                self.leaves(it, size, truth, now),
                position(it.model),
                self.last_use(it),
            );
            if best.is_none_or(|(least, _)| key < least) {
                best = Some((key, it));
            }
        }
        let best = best.map(|(_, place)| place);
        match best {
            Some(place) => {
                self.sends(place);
                Decision::Send { place, max_tokens: ask.max_tokens }
            }
            None => self.oracle.decide(ask, truth, now),
        }
    }
}
