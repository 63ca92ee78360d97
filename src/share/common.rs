//! [`CommonMemory`]: what instances remember together, as those see it who remember.
//!
//! What is told goes through a queue, and nobody waits for it. What is asked for is the one thing for which a request waits
//! for the server, half a second at most, and only where it would be refused otherwise.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use ring::hmac;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::memory_script::{Kept, MemoryScript, chain};
use super::pace::Pace;
use super::secret::{Name, Seal, Secret};
use super::untold::{Untold, Word};

/// For everything that one request asks of the server.
pub(crate) const RECALL_TIME: Duration = Duration::from_millis(500);
/// Before the end of the process, what was remembered last has so long to be told.
const LAST_WORDS_TIME: Duration = Duration::from_secs(1);
/// All that is being fetched takes so much memory at most, in units of [`UNIT_BYTES`]. A longer chain is not fetched.
const UNITS: usize = 32 * 1024;
const UNIT_BYTES: usize = 1024;

/// See the module.
pub(crate) struct CommonMemory {
    secret: Secret,
    pub(super) script: MemoryScript,
    pub(super) untold: Untold,
    line: Mutex<Option<MultiplexedConnection>>,
    fetching: Semaphore,
    pace: Pace,
}

/// Room for what is fetched, as long as it is held.
#[derive(Debug)]
pub(crate) struct FetchRoom<'a>(
    #[expect(dead_code, reason = "it is given back when it is dropped")] SemaphorePermit<'a>,
);

impl fmt::Debug for CommonMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommonMemory")
    }
}

impl CommonMemory {
    /// Shared by all who know this secret; `None` if this machine's cryptography fails.
    pub(crate) fn new(secret: Secret) -> Option<Arc<Self>> {
        let group = Name::new(&hmac::sign(&secret.hashes("group")?, b""));
        Some(Arc::new(Self {
            secret,
            script: MemoryScript::new(group),
            untold: Untold::default(),
            line: Mutex::default(),
            fetching: Semaphore::new(UNITS),
            pace: Pace::default(),
        }))
    }

    /// Tells the others, soon.
    pub(crate) fn tell(&self, word: Word) {
        self.untold.tell(word);
    }

    /// Waits until the others know all, a second at most, and not at all if the server is away.
    pub(crate) async fn until_told(&self) {
        if self.is_connected() {
            let _ = timeout(LAST_WORDS_TIME, self.untold.until_told()).await;
        }
    }

    /// What hashes are made with, the same everywhere.
    pub(crate) fn hashes(&self) -> Option<hmac::Key> {
        self.secret.hashes("answer")
    }

    /// Seals what belongs to this owner.
    pub(crate) fn seal(&self, kind: &str, owner: &[u8]) -> Option<Seal> {
        self.secret.seal(kind, owner)
    }

    /// Whether the server can be asked.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection().is_some()
    }

    /// From now on the server is asked through this connection, or not at all.
    pub(super) fn connect(&self, connection: Option<MultiplexedConnection>) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// For whoever asks on behalf of a client.
    async fn connection_in_turn(&self, until: Instant) -> Option<MultiplexedConnection> {
        let has_turn = self.is_connected() && self.pace.turn(until).await;
        self.connection().filter(|_| has_turn)
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For each of these names the answer and those it goes on from, the asked one first; `None` if the server does not keep
    /// them all. One that goes on from an answer of a chain before it ends with that.
    pub(crate) async fn chains(&self, names: &[Name], until: Instant) -> Option<Vec<Option<Vec<Kept>>>> {
        let mut connection = self.connection_in_turn(until).await?;
        let call = self.script.chains(names);
        let all =
            timeout_at(until, call.invoke_async::<Vec<Vec<String>>>(&mut connection)).await.ok()?.ok()?;
        Some(all.into_iter().map(|flat| chain(flat).filter(|chain| !chain.is_empty())).collect())
    }

    /// Waits for room for so many bytes.
    pub(crate) async fn room(&self, bytes: usize, until: Instant) -> Option<FetchRoom<'_>> {
        let units = bytes.div_ceil(UNIT_BYTES).max(1);
        let units = u32::try_from(units).ok().filter(|_| units <= UNITS)?;
        timeout_at(until, self.fetching.acquire_many(units)).await.ok()?.ok().map(FetchRoom)
    }

    /// What is kept of these answers, in their order; `None` if one is missing.
    pub(crate) async fn texts(&self, names: &[Name], until: Instant) -> Option<Vec<Vec<u8>>> {
        let mut connection = self.connection_in_turn(until).await?;
        let call = self.script.texts(names.iter().copied());
        let texts = call.query_async::<Vec<Option<Vec<u8>>>>(&mut connection);
        timeout_at(until, texts).await.ok()?.ok()?.into_iter().collect()
    }
}
