//! The true limiters of all accounts: the only thing here that knows who is admitted.

use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{
    Admitted, Allowance, Call, Cost, Limit, Limiter, Plan, Refusal, Size, Span, Used, Window, Zone,
};
use jiff::Timestamp;

/// The keys of the accounts. Every provider has one for each.
const KEYS: [&str; 3] = ["first", "second", "third"];

/// What twice the tokens a minute count against the share that is left. Found by trying: of 0 to 0.3 it serves most, up to
/// a fifth more than 0.
const KEPT_FOR_LONG: f64 = 0.15;

/// Whom a call can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) provider: Provider,
    /// From 0.
    pub(crate) account: usize,
    pub(crate) model: &'static str,
}

/// How the true limits deviate from what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deviation {
    None,
    Half,
    Double,
    /// Other kinds of windows: minutes and hours of the clock, sliding days instead of refilled ones, and days that end
    /// in another zone.
    OtherWindows,
    /// Tokens that an answer was charged and has not taken come back when it ends.
    Refunds,
}

impl Deviation {
    pub(crate) const ALL: [Self; 5] =
        [Self::None, Self::Half, Self::Double, Self::OtherWindows, Self::Refunds];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "as published",
            Self::Half => "half of it",
            Self::Double => "double",
            Self::OtherWindows => "with other windows",
            Self::Refunds => "with refunds",
        }
    }

    fn of(self, limit: Limit) -> Limit {
        let Limit { most, window, cost } = limit;
        match self {
            Self::None => limit,
            Self::Half => Limit { most: most / 2, ..limit },
            Self::Double => Limit { most: most * 2, ..limit },
            Self::OtherWindows => Limit { window: other(window), ..limit },
            Self::Refunds if cost == Cost::Longest => Limit { cost: Cost::LongestThenUsed, ..limit },
            Self::Refunds => limit,
        }
    }
}

fn other(window: Window) -> Window {
    match window {
        Window::Sliding(length) => Window::Clock(length),
        Window::Refilled(length) if length < Duration::from_secs(86_400) => Window::Clock(length),
        Window::Refilled(length) => Window::Sliding(length),
        Window::Day(_) => Window::Day(Zone::Utc),
        window => window,
    }
}

/// The limiters, and the places that they guard.
pub(crate) struct Truth {
    limiters: Vec<(Provider, Limiter)>,
    places: Vec<Place>,
}

impl Truth {
    /// Fresh accounts at Groq, Cerebras and Gemini, with their default models.
    pub(crate) fn new(accounts: usize, deviation: Deviation) -> Self {
        let limiter = |provider| {
            let plan = Plan::published(provider).map(|limit| deviation.of(limit));
            (provider, Limiter::new(plan))
        };
        Self { limiters: Directory::core().iter().map(limiter).collect(), places: places(accounts) }
    }

    /// All places: for each provider, in rotation order, its models, best first, with every account.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(crate) fn admit(&mut self, place: Place, size: Size, now: Timestamp) -> Result<Admitted, Refusal> {
        self.limiter(place).admit(KEYS[place.account], place.model, size, now)
    }

    pub(crate) fn settle(&mut self, place: Place, call: Call, used: Used, now: Timestamp) {
        self.limiter(place).settle(call, used, now);
    }

    /// The time until a place has room; `None` if it never has.
    pub(crate) fn room_in(&mut self, place: Place, size: Size, now: Timestamp) -> Option<Duration> {
        self.limiter(place).room_in(KEYS[place.account], place.model, size, now)
    }

    pub(crate) fn left(&mut self, place: Place, now: Timestamp) -> Vec<Allowance> {
        self.limiter(place).left(KEYS[place.account], place.model, now)
    }

    /// Whether anybody would admit such a call now.
    pub(crate) fn has_room(&mut self, size: Size, now: Timestamp) -> bool {
        (0..self.places.len()).any(|at| self.room_in(self.places[at], size, now) == Some(Duration::ZERO))
    }

    /// Whether more of a calendar's day is used than has gone by of it, and this part.
    pub(crate) fn is_ahead_of_its_day(&mut self, place: Place, slack: f64, now: Timestamp) -> bool {
        let has_calendar = place.provider == Provider::GEMINI;
        has_calendar
            && self.left(place, now).iter().filter(|it| it.span == Span::Day).any(|it| {
                let used = 1.0 - it.left as f64 / it.limit.max(1) as f64;
                used > 1.0 - it.whole_in.as_secs_f64() / 86_400.0 + slack
            })
    }

    /// Whether it never takes such a call, or only with more than half of its minute's tokens.
    pub(crate) fn takes_badly(&mut self, place: Place, size: Size, now: Timestamp) -> bool {
        let minutes = self.left(place, now).into_iter();
        let mut minutes = minutes.filter(|it| it.cost != Cost::Requests && it.span == Span::Minute);
        self.room_in(place, size, now).is_none() || minutes.any(|it| charge(it.cost, size) * 2 > it.limit)
    }

    /// The place that can best spare such a call now, or else the time until the first has room; `None` if nobody ever
    /// has.
    pub(crate) fn best(&mut self, size: Size, now: Timestamp) -> Result<Place, Option<Duration>> {
        let mut best: Option<(f64, Place)> = None;
        let mut soonest: Option<Duration> = None;
        for at in 0..self.places.len() {
            let place = self.places[at];
            match self.room_in(place, size, now) {
                Some(Duration::ZERO) => {
                    let spare = self.spare(place, size, now);
                    if best.is_none_or(|(most, _)| spare > most) {
                        best = Some((spare, place));
                    }
                }
                Some(wait) => soonest = Some(soonest.map_or(wait, |soonest| soonest.min(wait))),
                None => {}
            }
        }
        best.map(|(_, place)| place).ok_or(soonest)
    }

    /// How well a place can spare such a call: by the share that is left afterwards of its scarcest limit, and the better
    /// the smaller its minute of tokens is. So what alone can take long prompts is kept for them.
    fn spare(&mut self, place: Place, size: Size, now: Timestamp) -> f64 {
        let share =
            |it: &Allowance| it.left.saturating_sub(charge(it.cost, size)) as f64 / it.limit.max(1) as f64;
        let left = self.left(place, now);
        let longest = left.iter().filter(|it| it.cost != Cost::Requests).map(|it| it.limit).min();
        let scarcest = left.iter().map(share).fold(1.0, f64::min);
        scarcest - KEPT_FOR_LONG * (longest.unwrap_or(1).max(1) as f64).log2()
    }

    fn limiter(&mut self, place: Place) -> &mut Limiter {
        let found = self.limiters.iter_mut().find(|(provider, _)| *provider == place.provider);
        &mut found.expect("its provider").1
    }
}

/// What a call is charged before it.
fn charge(cost: Cost, size: Size) -> u64 {
    match cost {
        Cost::Requests => 1,
        Cost::Prompt => size.prompt,
        Cost::Longest | Cost::LongestThenUsed => size.prompt + size.longest_answer,
    }
}

fn places(accounts: usize) -> Vec<Place> {
    let mut places = Vec::new();
    for provider in Directory::core().iter() {
        for model in provider.default_models() {
            places.extend((0..accounts).map(|account| Place { provider, account, model }));
        }
    }
    places
}
