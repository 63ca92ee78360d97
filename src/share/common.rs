//! [`CommonMemory`]: what instances remember together, as those see it who remember.
//!
//! What is told goes through a queue, and nobody waits for it. What is asked for is the one thing for which a request waits
//! for the server, half a second at most, and only where it would be refused otherwise.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use ring::hmac;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::late::Late;
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
    fetching: Arc<Semaphore>,
    pub(super) late: Late,
    pace: Pace,
}

/// Room for what is fetched, as long as it is held.
#[derive(Debug)]
pub(crate) struct FetchRoom(
    #[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit,
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
            fetching: Arc::new(Semaphore::new(UNITS)),
            late: Late::default(),
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
    pub(crate) async fn room(&self, bytes: usize, until: Instant) -> Option<FetchRoom> {
        let units = bytes.div_ceil(UNIT_BYTES).max(1);
        let units = u32::try_from(units).ok().filter(|_| units <= UNITS)?;
        let permit = self.fetching.clone().acquire_many_owned(units);
        timeout_at(until, permit).await.ok()?.ok().map(FetchRoom)
    }

    /// What is kept of these answers, in their order, with the room that was taken for it; `None` if one is missing. What does not
    /// come in time keeps its room until it has come.
    pub(crate) async fn texts(
        &self,
        names: &[Name],
        room: FetchRoom,
        until: Instant,
    ) -> Option<(Vec<Vec<u8>>, FetchRoom)> {
        let mut connection = self.connection_in_turn(until).await?;
        let call = self.script.texts(names.iter().copied());
        let answer = async move {
            let texts = call.query_async::<Vec<Option<Vec<u8>>>>(&mut connection).await;
            (texts, room)
        };
        let (texts, room) = self.late.in_time(answer, until).await?;
        let texts: Option<_> = texts.ok()?.into_iter().collect();
        Some((texts?, room))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::share::link::Link;

    fn soon() -> Instant {
        Instant::now() + RECALL_TIME
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_for_which_nobody_waits_any_more_keeps_its_room_until_it_has_come() {
        let common = CommonMemory::new(Secret::of([("Groq", "key")].into_iter()).unwrap()).unwrap();
        let (ours, mut server) = tokio::io::duplex(1024);
        let Link { connection, driver } = Link::over(ours).await.unwrap();
        common.connect(Some(connection));
        let names = [Name::parse(&"0".repeat(32)).unwrap()];
        let ask = async || {
            let room = common.room(UNITS * UNIT_BYTES, soon()).await.unwrap();
            common.texts(&names, room, soon()).await.map(|(texts, _)| texts)
        };
        let test = async {
            let left = timeout(RECALL_TIME / 2, ask()).await;
            assert!(left.is_err(), "the client has gone");
            assert!(common.room(1, soon()).await.is_none(), "the answer is on its way");
            server.write_all(b"*1\r\n$4\r\nlate\r\n").await.unwrap();
            assert_eq!(ask().await, None, "it comes too late");
            assert!(common.room(1, soon()).await.is_none(), "the answer is on its way");
            server.write_all(b"*1\r\n$4\r\nlate\r\n").await.unwrap();
            let (texts, _) = tokio::join!(ask(), async {
                // What was asked three times, and so not before the third.
                let mut asked = String::new();
                while asked.matches("HMGET").count() < 3 {
                    let mut piece = [0; 256];
                    let length = server.read(&mut piece).await.unwrap();
                    asked.push_str(std::str::from_utf8(&piece[..length]).unwrap());
                }
                server.write_all(b"*1\r\n$7\r\nin time\r\n").await.unwrap();
            });
            assert_eq!(texts, Some(vec![b"in time".to_vec()]));
            assert!(common.room(UNITS * UNIT_BYTES, soon()).await.is_some());
        };
        tokio::select! {
            () = test => {}
            () = driver => unreachable!(),
            never = common.late.keep() => match never {},
        }
    }
}
