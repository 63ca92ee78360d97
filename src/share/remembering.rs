//! [`Remembering`]: tells the others what is remembered here, and hears what they remember.
//!
//! It has two connections of its own, so that a large answer on its way makes no exchange of quotas late, and a server that
//! takes no more of these goes on with quotas. One tells, and is asked; the other waits for news, which therefore come at
//! once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tracing::warn;

use super::common::CommonMemory;
use super::complaint::Complaint;
use super::link::{Link, LinkError, tls_for};
use super::memory_script::{Entries, Streams, entries};
use super::pauses::{self, Pauses};
use super::script::InstanceId;
use super::secret::{Name, Seal, first, joined};
use super::untold::Word;
use crate::config::StateUrl;

/// For telling, and for an answer of the largest size on a slow network.
const TELL_TIME: Duration = Duration::from_secs(10);
/// The server lets us wait so long for news, and then says that there are none.
const LISTEN_TIME: Duration = Duration::from_secs(1);
/// Beyond that, it has so long to answer.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// As many entries come at once, each of 64 KiB at most.
const MOST_ENTRIES: usize = 64;
/// Before the first entry.
const BEGINNING: &str = "0";
/// The server keeps so much news at most, and answers as large as the store of an instance; all together at most so much of
/// its memory, if that is limited: a sixteenth, and a quarter of it. The rest is for quotas, and for what is under way.
const MOST_NEWS_BYTES: u64 = 16 * 1024 * 1024;
const NEWS_PART: u64 = 16;
const ANSWERS_PART: u64 = 4;
/// An answer is not kept if it would take more than this part of them all.
const ANSWER_PART: u64 = 4;

const SIGNATURE: &str = "s";
const FORGOTTEN: &str = "f";

/// Who remembers.
pub(crate) trait Remember: Sync {
    /// The answer of this name, sealed, and the name of the one it goes on from; `None` if it is not here any more, or too
    /// large. It may take a while.
    fn sealed_answer(&self, name: Name) -> impl Future<Output = Option<(Option<Name>, Vec<u8>)>> + Send;

    /// Another instance has told this. Never [`Word::Answer`].
    fn hear(&self, word: Word);
}

/// See the module.
pub(crate) struct Remembering {
    url: StateUrl,
    tls: Option<TlsConnector>,
    common: Arc<CommonMemory>,
    seal: Seal,
    id: InstanceId,
    most_bytes: u64,
    pauses: Pauses,
}

/// How much the server may keep.
#[derive(Clone, Copy)]
struct Bounds {
    news: u64,
    answers: u64,
}

impl Remembering {
    /// Shares what `common` is told, and lets the server keep answers of so many bytes.
    ///
    /// # Errors
    /// The server is to be spoken to with TLS, which this machine cannot.
    pub(crate) fn new(
        url: StateUrl,
        common: Arc<CommonMemory>,
        most_bytes: usize,
        mut random: fastrand::Rng,
    ) -> Result<Option<Self>, LinkError> {
        let tls = tls_for(&url)?;
        let id = InstanceId::new(random.u64(..));
        let most_bytes = u64::try_from(most_bytes).unwrap_or(u64::MAX);
        let seal = common.seal("signature", b"");
        Ok(seal.map(|seal| Self { url, tls, common, seal, id, most_bytes, pauses: Pauses::new(random) }))
    }

    /// Shares as long as it is polled, and tries again and again if that fails. That the server is away says
    /// [`Sharing`](super::sharing::Sharing); this says what the server refuses.
    pub(crate) async fn keep_shared(mut self, here: &impl Remember) -> Infallible {
        let (mut telling, mut listening) = (Complaint::default(), Complaint::default());
        loop {
            let begun = Instant::now();
            let trouble = self.share_until_trouble(here, &mut telling).await;
            self.common.connect(None);
            if begun.elapsed() > pauses::LONGEST {
                self.pauses.begin_anew();
            }
            if let Trouble::Refused(words) = trouble {
                listening.well(begun);
                self.complain(&mut listening, &words);
            }
            self.pauses.wait().await;
        }
    }

    /// Unless the log knows.
    fn complain(&self, complaint: &mut Complaint, words: &str) {
        if complaint.wrong(Instant::now()) {
            warn!(
                "STATE_URL: {} does not keep signatures and responses ({words}): each instance goes on with its own",
                self.url
            );
        }
    }

    async fn share_until_trouble(&self, here: &impl Remember, complaint: &mut Complaint) -> Trouble {
        let open = || Link::open(&self.url, self.tls.as_ref());
        let (telling, listening) = match tokio::try_join!(open(), open()) {
            Ok(links) => links,
            Err(_) => return Trouble::Away,
        };
        self.common.connect(Some(telling.connection.clone()));
        let listen = async {
            let mut connection = listening.connection;
            let mut last = BEGINNING.to_owned();
            loop {
                if let Err(trouble) = self.listen(&mut connection, &mut last, here).await {
                    return trouble;
                }
            }
        };
        tokio::select! {
            trouble = self.tell_on(telling.connection, here, complaint) => trouble,
            trouble = listen => trouble,
            never = self.common.late.keep() => match never {},
            () = telling.driver => Trouble::Away,
            () = listening.driver => Trouble::Away,
        }
    }

    /// Hears what is news.
    async fn listen(
        &self,
        connection: &mut MultiplexedConnection,
        last: &mut String,
        here: &impl Remember,
    ) -> Result<(), Trouble> {
        let call = self.common.script.listen(last, MOST_ENTRIES, LISTEN_TIME);
        let heard = in_time(LISTEN_TIME + ANSWER_TIME, call.query_async::<Streams>(connection)).await?;
        let Entries { last: latest, entries } = entries(heard);
        if let Some(latest) = latest {
            *last = latest;
        }
        let others = entries.into_iter().filter(|(by, ..)| by != self.id.as_str());
        others.filter_map(|(_, kind, text)| self.word(&kind, text)).for_each(|word| here.hear(word));
        Ok(())
    }

    /// What is sealed by others, or meant for another version, is nothing.
    fn word(&self, kind: &str, text: Vec<u8>) -> Option<Word> {
        match kind {
            SIGNATURE => {
                let text = self.seal.open(SIGNATURE.as_bytes(), text)?;
                let (id, rest) = first(&text)?;
                let (signature, _) = first(rest)?;
                Some(Word::Signature(id.to_owned(), signature.to_owned()))
            }
            FORGOTTEN => Name::parse(std::str::from_utf8(&text).ok()?).map(Word::Forgotten),
            _ => None,
        }
    }

    async fn tell_on(
        &self,
        mut connection: MultiplexedConnection,
        here: &impl Remember,
        complaint: &mut Complaint,
    ) -> Trouble {
        let bounds = self.bounds(&mut connection).await;
        let mut pauses = self.pauses.others();
        loop {
            let batch = self.common.untold.next().await;
            match self.tell(&mut connection, bounds, &batch, here).await {
                Ok(()) => {
                    batch.told();
                    pauses.begin_anew();
                    complaint.well(Instant::now());
                }
                Err(Trouble::Away) => return Trouble::Away,
                Err(Trouble::Refused(words)) => {
                    batch.refused();
                    self.complain(complaint, &words);
                    pauses.wait().await;
                }
            }
        }
    }

    async fn tell(
        &self,
        connection: &mut MultiplexedConnection,
        bounds: Bounds,
        batch: &[Word],
        here: &impl Remember,
    ) -> Result<(), Trouble> {
        if let [Word::Answer(name)] = batch {
            let Some((parent, sealed)) = here.sealed_answer(*name).await else { return Ok(()) };
            if sealed.len() as u64 > bounds.answers / ANSWER_PART {
                return Ok(());
            }
            let call = self.common.script.keep(bounds.answers, *name, parent, &sealed);
            drop(sealed);
            return in_time(TELL_TIME, call.invoke_async::<Value>(connection)).await.map(drop);
        }
        let news: Vec<(&str, Vec<u8>)> = batch.iter().filter_map(|word| self.news(word)).collect();
        let call = self.common.script.tell(self.id.as_str(), bounds.news, &news);
        in_time(TELL_TIME, call.invoke_async::<Value>(connection)).await.map(drop)
    }

    fn news(&self, word: &Word) -> Option<(&'static str, Vec<u8>)> {
        match word {
            Word::Signature(id, signature) => {
                let text = joined(&[id.as_bytes(), signature.as_bytes()]);
                self.seal.close(SIGNATURE.as_bytes(), text).map(|sealed| (SIGNATURE, sealed))
            }
            Word::Forgotten(name) => Some((FORGOTTEN, name.to_string().into_bytes())),
            Word::Answer(_) => None,
        }
    }

    /// Leaves most of the server's memory to quotas. A server that does not say how much it has is taken to have enough.
    async fn bounds(&self, connection: &mut MultiplexedConnection) -> Bounds {
        let mut ask = redis::cmd("INFO");
        ask.arg("memory");
        let info = in_time(ANSWER_TIME, ask.query_async::<String>(connection)).await.unwrap_or_default();
        let line = info.lines().find_map(|line| line.strip_prefix("maxmemory:"));
        let memory: Option<u64> =
            line.and_then(|number| number.trim().parse().ok()).filter(|bytes| *bytes > 0);
        let part = |most: u64, part: u64| memory.map_or(most, |memory| most.min(memory / part));
        Bounds { news: part(MOST_NEWS_BYTES, NEWS_PART), answers: part(self.most_bytes, ANSWERS_PART) }
    }
}

/// What is wrong.
enum Trouble {
    /// The server is away, or says nothing.
    Away,
    /// It refuses what it is told.
    Refused(String),
}

async fn in_time<T>(
    most: Duration,
    answer: impl Future<Output = Result<T, redis::RedisError>>,
) -> Result<T, Trouble> {
    match timeout(most, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if error.is_io_error() || error.is_connection_dropped() => Err(Trouble::Away),
        Ok(Err(error)) => Err(Trouble::Refused(error.to_string())),
        Err(_) => Err(Trouble::Away),
    }
}
