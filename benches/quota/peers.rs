//! What most proxies do: try, and look at nothing but the status.

use std::time::Duration;

use ai_proxy_free::internals::providers::Directory;
use http::HeaderMap;
use jiff::Timestamp;

use crate::strategy::{Ask, Decision, Sent, Strategy};
use crate::truth::{Place, Truth};

/// How many calls one request may cost.
const MAX_CALLS: usize = 6;
/// What a client is told if no provider has said anything.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// How long a place rests after a 429.
const COOLDOWN: Duration = Duration::from_secs(60);

/// The next provider in turn, and of each its next model and account in turn.
pub(crate) struct RoundRobin {
    /// The places of each provider.
    turns: Vec<Vec<Place>>,
    next: usize,
}

impl RoundRobin {
    pub(crate) fn new(places: &[Place]) -> Self {
        let its = |provider| places.iter().copied().filter(|place| place.provider == provider).collect();
        Self { turns: Directory::core().iter().map(its).collect(), next: 0 }
    }
}

impl Strategy for RoundRobin {
    fn name(&self) -> &'static str {
        "round robin"
    }

    fn decide(&mut self, ask: &Ask, _truth: &mut Truth, _now: Timestamp) -> Decision {
        if ask.refused_by.len() >= MAX_CALLS {
            return Decision::Refuse(RETRY_AFTER);
        }
        let its = &self.turns[self.next % self.turns.len()];
        let place = its[self.next / self.turns.len() % its.len()];
        self.next += 1;
        Decision::Send { place, max_tokens: ask.max_tokens }
    }
}

/// The first in a fixed order that has not answered with a 429 within the last minute.
pub(crate) struct Priority {
    /// The places, best first, with the time until which each rests.
    places: Vec<(Place, Timestamp)>,
}

impl Priority {
    pub(crate) fn new(places: &[Place]) -> Self {
        Self { places: places.iter().map(|place| (*place, Timestamp::UNIX_EPOCH)).collect() }
    }
}

impl Strategy for Priority {
    fn name(&self) -> &'static str {
        "priority, 60 s"
    }

    fn decide(&mut self, ask: &Ask, _truth: &mut Truth, now: Timestamp) -> Decision {
        let is_left = |place: &Place| !ask.refused_by.contains(place);
        let ready = self.places.iter().find(|(place, rests_until)| *rests_until <= now && is_left(place));
        match ready {
            Some((place, _)) if ask.refused_by.len() < MAX_CALLS => {
                Decision::Send { place: *place, max_tokens: ask.max_tokens }
            }
            _ => {
                let first = self.places.iter().map(|(_, rests_until)| *rests_until).min().unwrap_or(now);
                Decision::Refuse(Duration::try_from(first.duration_since(now)).unwrap_or(RETRY_AFTER))
            }
        }
    }

    fn on_refused(&mut self, sent: &Sent, status: u16, _head: &HeaderMap, _body: &[u8], now: Timestamp) {
        if status == 429
            && let Some((_, rests_until)) = self.places.iter_mut().find(|(place, _)| *place == sent.place)
        {
            *rests_until = now + COOLDOWN;
        }
    }
}
