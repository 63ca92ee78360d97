//! What other instances have stored: how an answer is sealed for them, and fetched from them.
//!
//! An answer is fetched only where there would be an error without it, with those it goes on from, and is then stored here
//! like one of our own. A request waits for it half a second at most, and not at all if the server is away.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
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

    /// Fetches answers of these ids that are not here, as far as others have them for this client.
    pub(crate) async fn fetch(self: &Arc<Self>, ids: &[String], owner: Caller) {
        let until = Instant::now() + RECALL_TIME;
        join_all(ids.iter().take(MOST_FETCHED).map(|id| self.fetch_one(id, owner, until))).await;
    }

    async fn fetch_one(self: &Arc<Self>, id: &str, owner: Caller, until: Instant) -> Option<()> {
        let others = self.others.as_ref().filter(|_| is_id(id))?;
        if !self.is_on() || self.find(id, owner).is_some() {
            return None;
        }
        let chain = asked(others, self.name(id, owner), until).await?;
        // Whoever has one of them has those before it, too.
        let missing: Vec<Kept> =
            chain.iter().copied().take_while(|kept| self.look_at(kept.name).is_none()).collect();
        let parent = chain.get(missing.len()).map(|kept| kept.name);
        let bytes: usize = missing.iter().map(|kept| kept.bytes).sum();
        let _room = others.room(bytes, until).await.filter(|_| bytes <= self.most_bytes)?;
        let names: Vec<Name> = missing.iter().map(|kept| kept.name).collect();
        let texts = others.texts(&names, until).await?;
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

async fn asked(others: &CommonMemory, name: Name, until: Instant) -> Option<Vec<Kept>> {
    for pause in PAUSES {
        if !others.is_connected() || Instant::now() + pause >= until {
            return None;
        }
        sleep(pause).await;
        if let Some(chain) = others.chain(name, until).await {
            return Some(chain);
        }
    }
    None
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
