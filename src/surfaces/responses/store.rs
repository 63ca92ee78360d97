//! Answers that clients may go on from by their ids, in memory and bounded.
//!
//! A conversation shares what it has in common: an answer holds the one it goes on from. What is stored counts as long as
//! anybody holds it. When there is no room, the one that was not used for longest goes first. What other instances have
//! stored is in `fetching`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::hmac;

use crate::share::{CommonMemory, Name, Word};
use crate::time::Clock;

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_secs(3_600);

/// The most answers that go on from each other.
const MAX_LINKS: usize = 256;

/// An answer with a larger item is not stored.
pub(super) const MAX_ITEM_BYTES: usize = 1024 * 1024;

/// About what an entry takes besides its texts.
const OVERHEAD_BYTES: usize = 512;

/// As many names of answers that were forgotten are kept, in case that one is being fetched just then.
const KEPT_FORGOTTEN: usize = 1024;

/// Whose answers they are: a hash of the client's key, which tells nothing about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller(pub(super) [u8; 32]);

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caller")
    }
}

/// An answer, and what it answers.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Its id.
    pub(super) id: String,
    /// The answer that it goes on from.
    pub(super) parent: Option<Arc<Self>>,
    sent: Arc<Draft>,
    /// The response object; its `output` are the answer's items.
    pub(super) response: String,
    links: usize,
    _room: Room,
}

/// What a client has sent and is to be stored, as long as its answer is under way and afterwards.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The items, a JSON array.
    input: String,
    _room: Room,
}

/// An answer that is to be stored.
pub(super) struct Given {
    pub(super) id: String,
    pub(super) owner: Caller,
    pub(super) parent: Option<Arc<Stored>>,
    pub(super) response: String,
    /// How long ago it was given.
    pub(super) age: Duration,
}

/// Bytes that are given back when nobody holds them any more.
#[derive(Debug)]
struct Room {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Stored {
    /// This answer and those it goes on from, the first of them first.
    pub(super) fn chain(self: &Arc<Self>) -> Vec<Arc<Self>> {
        let parents = std::iter::successors(Some(self), |stored| stored.parent.as_ref());
        let mut chain: Vec<_> = parents.cloned().collect();
        chain.reverse();
        chain
    }

    /// The items that the client has sent, a JSON array.
    pub(super) fn input(&self) -> &str {
        &self.sent.input
    }

    /// The size of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.input().len() + self.response.len()
    }

    /// Whether another answer may go on from it.
    pub(super) fn has_room_for_more(&self) -> bool {
        self.links < MAX_LINKS
    }
}

/// See the module.
pub struct Store {
    pub(super) most_bytes: usize,
    /// Makes ids that nobody guesses.
    key: hmac::Key,
    /// Hashes clients' keys and names; the same with all instances that share.
    hashes: hmac::Key,
    pub(super) others: Option<Arc<CommonMemory>>,
    clock: Clock,
    ids: AtomicU64,
    taken: Arc<AtomicUsize>,
    shelf: Mutex<Shelf>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("most_bytes", &self.most_bytes).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<Name, Entry>,
    /// The names by when they were last used, and by when they are too old.
    by_use: BTreeMap<u64, Name>,
    by_end: BTreeMap<(Duration, u64), Name>,
    /// Numbers both.
    ticks: u64,
    /// What was forgotten last, the latest at the end.
    forgotten: VecDeque<Name>,
}

struct Entry {
    stored: Arc<Stored>,
    owner: Caller,
    end: (Duration, u64),
    used: u64,
}

impl Shelf {
    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    fn remove(&mut self, name: Name) -> Option<Arc<Stored>> {
        let entry = self.entries.remove(&name)?;
        self.by_use.remove(&entry.used);
        self.by_end.remove(&entry.end);
        Some(entry.stored)
    }

    /// An answer that is too old at `now`.
    fn expired(&self, now: Duration) -> Option<Name> {
        let ((end, _), name) = self.by_end.first_key_value()?;
        (now >= *end).then_some(*name)
    }

    fn find(&mut self, name: Name) -> Option<Arc<Stored>> {
        let used = self.tick();
        let entry = self.entries.get_mut(&name)?;
        self.by_use.remove(&entry.used);
        entry.used = used;
        self.by_use.insert(used, name);
        Some(entry.stored.clone())
    }

    fn forget(&mut self, name: Name) -> bool {
        self.forgotten.push_back(name);
        if self.forgotten.len() > KEPT_FORGOTTEN {
            self.forgotten.pop_front();
        }
        self.remove(name).is_some()
    }
}

impl Store {
    /// An empty store for at most this many bytes; with 0 it stores nothing. `secret` must differ from process to process.
    pub fn new(most_bytes: usize, secret: [u8; 32], clock: Clock) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        Self {
            most_bytes,
            hashes: key.clone(),
            key,
            others: None,
            clock,
            ids: AtomicU64::new(0),
            taken: Arc::default(),
            shelf: Mutex::default(),
        }
    }

    /// The same, shared with `others` if there are any.
    pub(crate) fn shared(mut self, others: Option<Arc<CommonMemory>>) -> Self {
        if let Some((others, hashes)) = others.and_then(|others| Some((others.clone(), others.hashes()?))) {
            (self.others, self.hashes) = (Some(others), hashes);
        }
        self
    }

    /// Whose answers a client with this key may go on from; those without a key share theirs.
    pub(crate) fn caller(&self, key: Option<&[u8]>) -> Caller {
        let mut hash = [0; 32];
        let tag = hmac::sign(&self.hashes, &[b"caller:", key.unwrap_or_default()].concat());
        hash.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        Caller(hash)
    }

    /// The name of this caller's answer of this id.
    pub(super) fn name(&self, id: &str, owner: Caller) -> Name {
        Name::new(&hmac::sign(&self.hashes, &[b"answer:", &owner.0[..], id.as_bytes()].concat()))
    }

    /// A new id without its prefix: 32 hexadecimal digits.
    pub(super) fn new_id(&self) -> String {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        let tag = hmac::sign(&self.key, &number.to_be_bytes());
        tag.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The time of day, in seconds since 1970.
    pub(super) fn now_seconds(&self) -> i64 {
        (self.clock)().wall.as_second()
    }

    /// Whether anything is stored at all.
    pub(super) fn is_on(&self) -> bool {
        self.most_bytes > 0
    }

    /// The answer of this id, if it is this caller's.
    pub(super) fn find(&self, id: &str, owner: Caller) -> Option<Arc<Stored>> {
        self.find_named(self.name(id, owner))
    }

    /// The answer of this name.
    pub(super) fn find_named(&self, name: Name) -> Option<Arc<Stored>> {
        let mut shelf = self.swept();
        shelf.find(name)
    }

    /// The answer of this name and whose it is, which does not count as a use.
    pub(super) fn look_at(&self, name: Name) -> Option<(Arc<Stored>, Caller)> {
        self.swept().entries.get(&name).map(|entry| (entry.stored.clone(), entry.owner))
    }

    /// Forgets the answer of this id, if it is this caller's, here and everywhere; `false` if it is not there.
    pub(super) fn forget(&self, id: &str, owner: Caller) -> bool {
        let name = self.name(id, owner);
        let Some(others) = &self.others else { return self.swept().remove(name).is_some() };
        let was_there = self.swept().forget(name);
        if was_there {
            others.tell(Word::Forgotten(name));
        }
        was_there
    }

    /// Another instance was told to forget this answer.
    pub(crate) fn hear_forgotten(&self, name: Name) {
        self.swept().forget(name);
    }

    /// Takes the room that what a client has sent will need, and forgets others for it. `None` if there is not as much; then
    /// the answer is not to be stored.
    pub(super) fn draft(&self, input: String) -> Option<Arc<Draft>> {
        let bytes = OVERHEAD_BYTES + input.capacity();
        if bytes > self.most_bytes {
            return None;
        }
        let room = self.room(bytes);
        self.make_room(&mut self.swept());
        // The rest is held by others that are under way.
        let fits = self.taken.load(Ordering::Relaxed) <= self.most_bytes;
        fits.then(|| Arc::new(Draft { input, _room: room }))
    }

    fn room(&self, bytes: usize) -> Room {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Room { bytes, taken: self.taken.clone() }
    }

    fn make_room(&self, shelf: &mut Shelf) {
        while self.taken.load(Ordering::Relaxed) > self.most_bytes {
            let Some((_, oldest)) = shelf.by_use.pop_first() else { break };
            shelf.remove(oldest);
        }
    }

    /// Stores an answer, and forgets others if there is no room. Other instances may fetch it.
    pub(super) fn keep(
        &self,
        id: String,
        owner: Caller,
        parent: Option<Arc<Stored>>,
        sent: Arc<Draft>,
        response: String,
    ) {
        let name = self.name(&id, owner);
        let given = Given { id, owner, parent, response, age: Duration::ZERO };
        if self.place(name, given, sent).is_some()
            && let Some(others) = &self.others
        {
            others.tell(Word::Answer(name));
        }
    }

    /// Stores an answer, and forgets others if there is no room. One that was forgotten meanwhile is not stored.
    pub(super) fn place(&self, name: Name, given: Given, sent: Arc<Draft>) -> Option<Arc<Stored>> {
        let Given { id, owner, parent, response, age } = given;
        let bytes = response.capacity();
        let links = parent.as_ref().map_or(1, |parent| parent.links + 1);
        if bytes > self.most_bytes || links > MAX_LINKS {
            return None;
        }
        let room = self.room(bytes);
        let stored = Arc::new(Stored { id, parent, sent, response, links, _room: room });
        let end = (self.clock)().steady + KEPT_FOR.saturating_sub(age);
        let mut shelf = self.swept();
        if shelf.forgotten.contains(&name) {
            return None;
        }
        shelf.remove(name);
        let (end, used) = ((end, shelf.tick()), shelf.tick());
        shelf.by_end.insert(end, name);
        shelf.by_use.insert(used, name);
        shelf.entries.insert(name, Entry { stored: stored.clone(), owner, end, used });
        self.make_room(&mut shelf);
        Some(stored)
    }

    /// What is stored, without what is too old.
    fn swept(&self) -> MutexGuard<'_, Shelf> {
        let now = (self.clock)().steady;
        // Nothing is left half done when somebody panics.
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(name) = shelf.expired(now) {
            shelf.remove(name);
        }
        shelf
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::time::Moment;

    fn store(most_bytes: usize) -> Store {
        Store::new(most_bytes, [7; 32], Arc::new(|| Moment::at(Timestamp::UNIX_EPOCH)))
    }

    proptest! {
        #[test]
        fn there_is_never_more_than_there_may_be_and_all_room_is_given_back(
            steps in prop::collection::vec((0..40_usize, 0..3_000_usize, prop::bool::ANY), 1..120),
        ) {
            const MOST: usize = 20_000;
            let store = store(MOST);
            let owner = store.caller(None);
            let mut under_way = Vec::new();
            for (number, (parent, bytes, is_forgotten)) in steps.into_iter().enumerate() {
                let parent = store.find(&format!("resp_{parent}"), owner);
                let (input, response) = ("x".repeat(bytes), "y".repeat(bytes / 2));
                let draft = store.draft(input);
                prop_assert!(store.taken.load(Ordering::Relaxed) <= MOST);
                under_way.push(draft.clone());
                if is_forgotten {
                    under_way.clear();
                }
                if let Some(draft) = draft {
                    store.keep(format!("resp_{number}"), owner, parent, draft, response);
                }
                prop_assert!(store.taken.load(Ordering::Relaxed) <= MOST);
                if is_forgotten {
                    store.forget(&format!("resp_{number}"), owner);
                }
                let shelf = store.swept();
                prop_assert_eq!(shelf.entries.len(), shelf.by_use.len());
                prop_assert_eq!(shelf.entries.len(), shelf.by_end.len());
            }
            drop(under_way);
            let ids: Vec<String> = store.swept().entries.values().map(|entry| entry.stored.id.clone()).collect();
            ids.iter().for_each(|id| assert!(store.forget(id, owner)));
            prop_assert_eq!(store.taken.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_chain_holds_its_beginning_when_that_has_lost_its_own_place() {
        let store = store(1_000_000);
        let owner = store.caller(Some(b"key"));
        let draft = || store.draft("[]".to_owned()).unwrap();
        store.keep("resp_a".to_owned(), owner, None, draft(), "{}".to_owned());
        let parent = store.find("resp_a", owner);
        store.keep("resp_b".to_owned(), owner, parent, draft(), "{}".to_owned());
        assert!(store.forget("resp_a", owner));
        let chain = store.find("resp_b", owner).unwrap().chain();
        let ids: Vec<&str> = chain.iter().map(|stored| stored.id.as_str()).collect();
        assert_eq!(ids, ["resp_a", "resp_b"]);
    }
}
