//! What was used, place by place: merged as it grows old, so that its size is bounded.
//!
//! A merged use has the latest time of what it is made of. So it counts as long as it really does, or longer.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::record::{OpenCall, PastUse, PlaceId, RECORD_BYTES, Record};

/// The most places; the one that was used least recently makes room.
pub(super) const MAX_PLACES: usize = 10_000;

/// The most calls that can be settled; of more, the first one stays counted as it was reserved.
pub(super) const MAX_OPEN_CALLS: usize = 4_096;

/// What the uses may take in the file, unless even the last of [`LADDERS`] takes more: 10,000 places take 450 kB.
const USES_BYTES: usize = 480 * 1024;

/// Threads read the clock before they take their turn here, so it goes back a little without having been set.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(1);

/// Nothing runs longer, so nobody settles a call of the day before.
const LONGEST_CALL: SignedDuration = SignedDuration::from_hours(24);

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// No window of a free plan is longer than a month.
const MONTH: i64 = 31 * DAY;
/// Longer than a clock can tell.
const EVER: i64 = i64::MAX;

/// Uses that are older than `age` seconds are merged if they lie in the same `slot` seconds since 1970.
struct Step {
    age: i64,
    slot: i64,
}

/// How uses are merged, finest first; the first one that fits into [`USES_BYTES`] is taken.
///
/// Minutes stay exact for as long as a minute's limit looks back. No slot of less than a day crosses an hour, hence no
/// midnight of a provider.
const LADDERS: [&[Step]; 5] = [
    &[Step { age: 2 * MINUTE, slot: 5 * MINUTE }, Step { age: DAY, slot: HOUR }],
    &[
        Step { age: 2 * MINUTE, slot: 5 * MINUTE },
        Step { age: HOUR, slot: HOUR },
        Step { age: 2 * DAY, slot: DAY },
    ],
    &[Step { age: 2 * MINUTE, slot: HOUR }, Step { age: 2 * DAY, slot: EVER }],
    &[Step { age: 0, slot: MINUTE }, Step { age: 2 * MINUTE, slot: DAY }, Step { age: 2 * DAY, slot: EVER }],
    // Even a second that is not over yet.
    &[Step { age: -1, slot: EVER }],
];

/// A place's uses are merged when they have doubled, and not before there are this many.
const FEW: usize = 64;

/// The uses of one place.
#[derive(Debug)]
struct Uses {
    /// In the order of time. One covers the time behind the one before, up to its own.
    list: Vec<PastUse>,
    /// How many there are when they are merged next.
    merge_at: usize,
}

/// What was used.
#[derive(Debug)]
pub(super) struct Book {
    places: HashMap<PlaceId, Uses>,
    open: BTreeMap<u64, OpenCall>,
    /// No use is later.
    latest: Timestamp,
}

impl Book {
    pub(super) fn new() -> Self {
        Self { places: HashMap::new(), open: BTreeMap::new(), latest: Timestamp::MIN }
    }

    /// What was used, oldest first in each place.
    pub(super) fn uses(&self) -> impl Iterator<Item = (PlaceId, &[PastUse])> {
        self.places.iter().map(|(place, uses)| (*place, uses.list.as_slice()))
    }

    /// Takes in what an entry says: one that has just happened, or one of the file.
    pub(super) fn apply(&mut self, record: &Record) {
        match *record {
            Record::Started { at } => {
                self.open.clear();
                self.turn_back(at);
            }
            Record::Used { place, past } => self.add(place, past),
            Record::StillOpen(call) => self.keep_open(call),
            Record::Reserved(call) => self.reserve(call),
            Record::Settled { call, tokens, at } => self.close(call, at, 1, tokens),
            Record::TakenBack { call, at } => self.close(call, at, 0, 0),
        }
    }

    /// The time of a use now. A clock that was set back takes all that would lie in its future along.
    pub(super) fn time(&mut self, now: Timestamp) -> Timestamp {
        if now < self.latest && self.latest.duration_since(now) > CLOCK_SLACK {
            self.turn_back(now);
        }
        now.max(self.latest)
    }

    fn reserve(&mut self, call: OpenCall) {
        let at = self.time(call.at);
        self.add(call.place, PastUse { at, requests: 1, tokens: call.tokens });
        self.keep_open(OpenCall { at, ..call });
    }

    fn keep_open(&mut self, call: OpenCall) {
        self.open.insert(call.call, call);
        if self.open.len() > MAX_OPEN_CALLS {
            self.open.pop_first();
        }
    }

    fn add(&mut self, place: PlaceId, past: PastUse) {
        if self.places.len() >= MAX_PLACES && !self.places.contains_key(&place) {
            self.forget_oldest();
        }
        self.latest = self.latest.max(past.at);
        let uses = self.places.entry(place).or_insert_with(|| Uses { list: Vec::new(), merge_at: FEW });
        uses.add(past);
        if uses.list.len() >= uses.merge_at {
            uses.merge(LADDERS[0], self.latest);
        }
    }

    /// Replaces what was reserved for a call by what it really took.
    fn close(&mut self, call: u64, now: Timestamp, requests: u64, tokens: u64) {
        let Some(open) = self.open.remove(&call) else { return };
        if now.duration_since(open.at) > LONGEST_CALL {
            return;
        }
        let Some(uses) = self.places.get_mut(&open.place) else { return };
        let at = uses.list.partition_point(|past| past.at < open.at);
        if let Some(past) = uses.list.get_mut(at) {
            past.requests = past.requests.saturating_sub(1).saturating_add(requests);
            past.tokens = past.tokens.saturating_sub(open.tokens).saturating_add(tokens);
        }
    }

    fn forget_oldest(&mut self) {
        let last_use = |uses: &Uses| uses.list.last().map(|past| past.at);
        let oldest = self.places.iter().min_by_key(|(_, uses)| last_use(uses)).map(|(place, _)| *place);
        if let Some(place) = oldest {
            self.places.remove(&place);
        }
    }

    /// Has nothing lie in the future.
    fn turn_back(&mut self, now: Timestamp) {
        if self.latest <= now {
            return;
        }
        for uses in self.places.values_mut() {
            uses.turn_back(now);
        }
        for call in self.open.values_mut() {
            call.at = call.at.min(now);
        }
        self.latest = now;
    }

    /// Forgets what no window reaches, and merges the rest until it is small.
    pub(super) fn compact(&mut self, now: Timestamp) {
        let now = now.max(self.latest);
        for ladder in LADDERS {
            self.places.retain(|_, uses| {
                uses.merge(ladder, now);
                !uses.list.is_empty()
            });
            let count: usize = self.places.values().map(|uses| uses.list.len()).sum();
            if count * RECORD_BYTES <= USES_BYTES {
                return;
            }
        }
    }

    /// The entries from which [`apply`](Self::apply) makes this book.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let past = |(place, uses): (PlaceId, &[PastUse])| {
            uses.iter().map(move |past| Record::Used { place, past: *past }).collect::<Vec<_>>()
        };
        self.uses().flat_map(past).chain(self.open.values().copied().map(Record::StillOpen))
    }
}

impl Uses {
    fn add(&mut self, past: PastUse) {
        match self.list.last_mut() {
            Some(last) if last.at >= past.at => last.take_in(past),
            _ => self.list.push(past),
        }
    }

    fn turn_back(&mut self, now: Timestamp) {
        for past in &mut self.list {
            past.at = past.at.min(now);
        }
        self.merge(&[], now);
    }

    /// One pass: whoever shares a slot with the next one goes into it.
    fn merge(&mut self, ladder: &[Step], now: Timestamp) {
        let now = now.as_second();
        self.list.retain(|past| now.saturating_sub(past.at.as_second()) <= MONTH && !past.is_nothing());
        self.list.dedup_by(|later, earlier| {
            let slot = slot(ladder, now.saturating_sub(later.at.as_second()));
            let in_slot = |past: &PastUse| past.at.as_second().div_euclid(slot);
            let is_same = later.at == earlier.at || (slot > 0 && in_slot(later) == in_slot(earlier));
            if is_same {
                // `dedup_by` keeps the earlier one.
                let at = later.at;
                earlier.take_in(*later);
                earlier.at = at;
            }
            is_same
        });
        self.merge_at = (2 * self.list.len()).max(FEW);
    }
}

/// How long the slots are in which uses of this age are merged; 0 if they are not.
fn slot(ladder: &[Step], age: i64) -> i64 {
    ladder.iter().rev().find(|step| age > step.age).map_or(0, |step| step.slot)
}

impl PastUse {
    fn is_nothing(&self) -> bool {
        self.requests == 0 && self.tokens == 0
    }

    fn take_in(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.tokens = self.tokens.saturating_add(other.tokens);
    }
}
