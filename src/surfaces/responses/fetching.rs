//! What other instances have stored: how an answer is sealed for them, and fetched from them.
//!
//! An answer is fetched only where there would be an error without it, with those it goes on from, and is then stored here
//! like one of our own. A request waits for it half a second at most, and not at all if the server is away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::store::{Caller, Given, Store, Stored};
use crate::share::{CommonMemory, Kept, Name, RECALL_TIME, first, joined};

/// A larger answer is not shared.
const MOST_SHARED_BYTES: usize = 8 * 1024 * 1024;
/// As many are fetched for one request.
const MOST_FETCHED: usize = 32;
/// Of this size and more, they are sealed and opened on a thread of their own: it takes milliseconds.
const LARGE_BYTES: usize = 256 * 1024;
/// An answer that was given a moment ago at another instance may still be on its way: it is asked for again after these.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(30), Duration::from_millis(90)];
/// The kind of what is sealed.
const ANSWER: &str = "answer";

impl Store {
    /// Whether other instances may know an answer that is not here.
    pub(super) fn is_shared(&self) -> bool {
        self.others.is_some() && self.is_on()
    }

    /// The answer of this name for others, sealed, and the name of the one it goes on from; `None` if it is not here any more,
    /// or too large.
    pub(crate) async fn sealed(&self, name: Name) -> Option<(Option<Name>, Vec<u8>)> {
        let others = self.others.as_ref()?;
        let (stored, owner) = self.look_at(name)?;
        let bytes = stored.bytes();
        if bytes > MOST_SHARED_BYTES {
            return None;
        }
        let parent = stored.parent.as_ref().map(|parent| self.name(&parent.id, owner));
        let seal = others.seal(ANSWER, &owner.0)?;
        let close = move || {
            let text = joined(&[stored.id.as_bytes(), stored.input().as_bytes(), stored.response.as_bytes()]);
            seal.close(&context(name, parent), text)
        };
        aside(bytes, close).await.map(|sealed| (parent, sealed))
    }

    /// Fetches answers of these ids that are not here, as far as others have them for this client. All are asked for in one
    /// call, and what is missing again after each pause; then there is a call for each that was found.
    pub(crate) async fn fetch(self: &Arc<Self>, ids: &[String], owner: Caller) {
        let Some(others) = self.others.as_ref().filter(|_| self.is_on()) else { return };
        let until = Instant::now() + RECALL_TIME;
        let absent = ids.iter().filter(|id| is_id(id) && self.find(id, owner).is_none()).take(MOST_FETCHED);
        let mut absent: Vec<Name> = absent.map(|id| self.name(id, owner)).collect();
        for pause in PAUSES {
            if absent.is_empty() || !others.is_connected() || Instant::now() + pause >= until {
                return;
            }
            sleep(pause).await;
            let Some(chains) = others.chains(&absent, until).await else { continue };
            let mut missing = Vec::new();
            // One after the other: a chain may go on from one before it.
            for (name, chain) in absent.into_iter().zip(chains) {
                match chain {
                    Some(chain) => {
                        self.fetch_chain(others, chain, owner, until).await;
                    }
                    None => missing.push(name),
                }
            }
            absent = missing;
        }
    }

    async fn fetch_chain(
        self: &Arc<Self>,
        others: &Arc<CommonMemory>,
        chain: Vec<Kept>,
        owner: Caller,
        until: Instant,
    ) -> Option<()> {
        // Whoever has one of them has those before it, too.
        let missing: Vec<Kept> =
            chain.iter().copied().take_while(|kept| self.look_at(kept.name).is_none()).collect();
        if missing.is_empty() {
            return Some(());
        }
        let parent = chain.get(missing.len()).map(|kept| kept.name);
        let bytes: usize = missing.iter().map(|kept| kept.bytes).sum();
        let room = others.room(bytes, until).await.filter(|_| bytes <= self.most_bytes)?;
        let names: Vec<Name> = missing.iter().map(|kept| kept.name).collect();
        let (texts, _room) = others.texts(&names, room, until).await?;
        let (store, others) = (self.clone(), others.clone());
        let adopt = move || {
            let mut before = parent.map(|name| store.find_named(name).ok_or(())).transpose().ok()?;
            // The oldest first.
            for (kept, text) in missing.into_iter().zip(texts).rev() {
                before = Some(store.adopt(&others, kept, owner, before, text)?);
            }
            Some(())
        };
        aside(bytes, adopt).await
    }

    /// Stores an answer of another instance.
    fn adopt(
        &self,
        others: &CommonMemory,
        kept: Kept,
        owner: Caller,
        parent: Option<Arc<Stored>>,
        sealed: Vec<u8>,
    ) -> Option<Arc<Stored>> {
        let seal = others.seal(ANSWER, &owner.0)?;
        let parent_name = parent.as_ref().map(|parent| self.name(&parent.id, owner));
        let text = seal.open(&context(kept.name, parent_name), sealed)?;
        let (id, rest) = first(&text)?;
        let (input, rest) = first(rest)?;
        let (response, _) = first(rest)?;
        let draft = self.draft(input.to_owned())?;
        let given = Given { id: id.to_owned(), owner, parent, response: response.to_owned(), age: kept.age };
        self.place(kept.name, given, draft)
    }
}

/// What is sealed is of use only under its name, and behind the one it goes on from.
fn context(name: Name, parent: Option<Name>) -> Vec<u8> {
    format!("{name} {}", parent.map(|parent| parent.to_string()).unwrap_or_default()).into_bytes()
}

/// Whether an instance could have made this id.
fn is_id(id: &str) -> bool {
    id.strip_prefix("resp_")
        .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|it| it.is_ascii_hexdigit()))
}

/// Does `work` on so many bytes, on a thread of its own if they are many.
async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    if bytes < LARGE_BYTES {
        return work();
    }
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jiff::Timestamp;

    use super::*;
    use crate::share::Secret;
    use crate::time::Moment;

    /// Two stores of instances with the same keys, and what their clock shows.
    struct Two {
        one: Store,
        other: Store,
        common: Arc<CommonMemory>,
        now: Arc<Mutex<Moment>>,
    }

    fn two(most_bytes: usize) -> Two {
        let now = Arc::new(Mutex::new(Moment::at(Timestamp::UNIX_EPOCH)));
        let secret = Secret::of([("Groq", "key")].into_iter()).unwrap();
        let common = CommonMemory::new(secret).unwrap();
        let store = |secret, most_bytes| {
            let now = now.clone();
            let clock = Arc::new(move || *now.lock().unwrap());
            Store::new(most_bytes, [secret; 32], clock).shared(Some(common.clone()))
        };
        let (one, other) = (store(1, 1_000_000), store(2, most_bytes));
        Two { one, other, common, now }
    }

    impl Two {
        /// Stores an answer at the one, and offers it to the other.
        async fn offer(
            &self,
            id: &str,
            key: Option<&[u8]>,
            age: Duration,
            parent: Option<&Arc<Stored>>,
        ) -> Option<Arc<Stored>> {
            let owner = self.one.caller(key);
            let before = parent.and_then(|parent| self.one.find(&parent.id, owner));
            let draft = self.one.draft(format!("[\"{id}\"]")).unwrap();
            self.one.keep(id.to_owned(), owner, before, draft, "{}".to_owned());
            let name = self.one.name(id, owner);
            let (_, sealed) = self.one.sealed(name).await.unwrap();
            let kept = Kept { name, age, bytes: sealed.len() };
            self.other.adopt(&self.common, kept, owner, parent.cloned(), sealed)
        }
    }

    #[tokio::test]
    async fn an_answer_of_another_instance_is_the_same_and_as_old() {
        let two = two(1_000_000);
        let age = Duration::from_secs(3_500);
        let first = two.offer("resp_a", None, age, None).await.unwrap();
        let second = two.offer("resp_b", None, Duration::ZERO, Some(&first)).await.unwrap();
        let ids: Vec<String> = second.chain().iter().map(|it| it.id.clone()).collect();
        assert_eq!((ids, second.input()), (vec!["resp_a".into(), "resp_b".into()], r#"["resp_b"]"#));
        let owner = two.other.caller(None);
        assert!(two.other.find("resp_a", owner).is_some());
    }

    #[tokio::test]
    async fn an_adopted_answer_ends_when_it_would_have_ended_where_it_was_given() {
        let two = two(1_000_000);
        let owner = two.other.caller(None);
        two.offer("resp_old", None, Duration::from_secs(3_500), None).await.unwrap();
        two.offer("resp_new", None, Duration::ZERO, None).await.unwrap();
        two.now.lock().unwrap().steady += Duration::from_secs(101);
        assert!(two.other.find("resp_old", owner).is_none());
        assert!(two.other.find("resp_new", owner).is_some());
    }

    #[tokio::test]
    async fn an_answer_opens_for_its_client_behind_its_parent_and_where_there_is_room_alone() {
        let tight = two(100);
        assert!(tight.offer("resp_a", None, Duration::ZERO, None).await.is_none(), "there is no room");
        let two = two(1_000_000);
        let first = two.offer("resp_a", Some(b"one"), Duration::ZERO, None).await.unwrap();
        let (one, other) = (two.one.caller(Some(b"one")), two.other.caller(Some(b"two")));
        assert!(two.other.find("resp_a", one).is_some() && two.other.find("resp_a", other).is_none());
        let name = two.one.name("resp_a", one);
        let (_, sealed) = two.one.sealed(name).await.unwrap();
        let kept = Kept { name, age: Duration::ZERO, bytes: sealed.len() };
        let adopted = |owner, parent| two.other.adopt(&two.common, kept, owner, parent, sealed.clone());
        assert!(adopted(one, None).is_some());
        assert!(adopted(other, None).is_none());
        assert!(adopted(one, Some(first)).is_none());
    }

    #[tokio::test]
    async fn what_is_deleted_while_it_is_fetched_stays_deleted() {
        let two = two(1_000_000);
        let owner = two.other.caller(None);
        two.other.hear_forgotten(two.one.name("resp_a", owner));
        assert!(two.offer("resp_a", None, Duration::ZERO, None).await.is_none());
        assert!(two.other.find("resp_a", owner).is_none());
    }

    #[test]
    fn only_ids_that_an_instance_could_have_made_are_asked_for() {
        let good = format!("resp_{}", "0a".repeat(16));
        assert!(is_id(&good));
        for id in
            ["", "resp_", "resp_0a", &good[5..], &good[1..], &format!("{good}0"), &good.replace('a', "g")]
        {
            assert!(!is_id(id), "{id}");
        }
    }
}
