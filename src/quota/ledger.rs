//! The journal of what was used of the running windows of free plans: what was sent is known after a restart too,
//! however the process has ended.
//!
//! What a call may take is written before it is sent, and what it really took afterwards. So the file never tells less
//! than what was sent. It holds numbers, times and hashes: no key, prompt or answer. [`Book`] adds up, [`StateFile`]
//! writes; an entry means the same to the book whether it has just happened or is read from the file.
//!
//! Trouble with the file is one warning, and no trouble for requests.

mod book;
mod file;
mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use ring::hmac;

use self::book::Book;
pub use self::file::LedgerWarning;
use self::file::{Salt, StateFile};
use self::record::{OpenCall, Record};
pub use self::record::{PastUse, PlaceId};

/// How often a file that cannot be written is tried again.
const RETRY: SignedDuration = SignedDuration::from_mins(1);

/// How many entries may come while there is no file before they are merged.
const MERGE_AFTER: usize = 16_384;

/// What was used by each account with each model. It has one owner, who tells it the time.
pub struct Ledger {
    path: PathBuf,
    salt: Salt,
    key: hmac::Key,
    book: Book,
    store: Store,
}

/// Where entries go.
#[derive(Debug)]
enum Store {
    /// Nowhere, and nothing is added up.
    Off,
    /// Into the file.
    File(StateFile),
    /// Only into the book, until the file can be written anew.
    Failing(Failing),
}

#[derive(Debug)]
struct Failing {
    /// If it was opened once. It stays locked.
    file: Option<StateFile>,
    tried: Timestamp,
    /// How many entries have come since the book was compacted.
    entries: usize,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("path", &self.path).field("store", &self.store).finish_non_exhaustive()
    }
}

impl Ledger {
    /// One that keeps nothing and costs nothing.
    pub fn off() -> Self {
        Self::new(Path::new(""), [0; 32], Store::Off)
    }

    /// Reads the file at `path`; a missing one is created with `salt`, 32 random bytes.
    ///
    /// A file of somebody else is renamed to `<path>.unreadable`. If another proxy uses the file, this one has none.
    pub fn open(path: &Path, now: Timestamp, salt: Salt) -> (Self, Option<LedgerWarning>) {
        let (file, found) = match StateFile::open(path, salt) {
            Ok(opened) => opened,
            Err(warning @ LedgerWarning::InUse { .. }) => {
                return (Self::new(path, salt, Store::Off), Some(warning));
            }
            Err(warning) => return (Self::new(path, salt, Store::failing(None, now)), Some(warning)),
        };
        let mut ledger = Self::new(path, file.salt(), Store::File(file));
        for record in &found.records {
            ledger.book.apply(record);
        }
        let started = Record::Started { at: now };
        let must_rewrite = found.damaged > 0 || found.is_read_only;
        let trouble =
            if must_rewrite { ledger.start_anew(&started, now) } else { ledger.keep(&started, now) };
        let damaged = (found.damaged > 0)
            .then(|| LedgerWarning::Damaged { path: path.to_owned(), damaged: found.damaged });
        // The worst one, since there is one warning.
        (ledger, trouble.or(found.warning).or(damaged))
    }

    fn new(path: &Path, salt: Salt, store: Store) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salt);
        Self { path: path.to_owned(), salt, key, book: Book::new(), store }
    }

    /// How the file names an account with a model.
    pub fn place(&self, provider: &str, key: &str, model: &str) -> PlaceId {
        PlaceId {
            account: self.hash(["account", provider, key]),
            model: self.hash(["model", provider, model]),
        }
    }

    fn hash(&self, words: [&str; 3]) -> u64 {
        let mut context = hmac::Context::with_key(&self.key);
        for word in words {
            context.update(&(word.len() as u64).to_le_bytes());
            context.update(word.as_bytes());
        }
        context.sign().as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// What was used in the last 31 days, for each place oldest first. Right after [`open`](Self::open) this is what the
    /// file has told; nothing of it lies in the future.
    ///
    /// The last two minutes are exact. Older uses are merged: into slots of 5 minutes for a day, then of hours; or into
    /// larger ones if there are too many for the file. A merged use has the time of its latest part.
    pub fn uses(&self) -> impl Iterator<Item = (PlaceId, &[PastUse])> {
        self.book.uses()
    }

    /// Counts one request and `tokens` at `place`. To be called before the call is sent; `call` names it from now on.
    pub fn reserve(
        &mut self,
        call: u64,
        place: PlaceId,
        tokens: u64,
        now: Timestamp,
    ) -> Option<LedgerWarning> {
        self.keep(&Record::Reserved(OpenCall { call, place, tokens, at: now }), now)
    }

    /// Replaces the tokens of a call by what it really took. A call that is never settled stays counted as reserved.
    pub fn settle(&mut self, call: u64, tokens: u64, now: Timestamp) -> Option<LedgerWarning> {
        self.keep(&Record::Settled { call, tokens, at: now }, now)
    }

    /// Removes a call that the provider has not counted.
    pub fn take_back(&mut self, call: u64, now: Timestamp) -> Option<LedgerWarning> {
        self.keep(&Record::TakenBack { call, at: now }, now)
    }

    /// Adds it up and writes it down.
    fn keep(&mut self, record: &Record, now: Timestamp) -> Option<LedgerWarning> {
        if matches!(self.store, Store::Off) {
            return None;
        }
        self.book.apply(record);
        match &mut self.store {
            Store::Off => None,
            Store::File(file) => match file.append(record) {
                Ok(()) if file.is_large() => self.shrink(now),
                Ok(()) => None,
                Err(error) => self.fail(error, now),
            },
            Store::Failing(failing) => {
                failing.entries += 1;
                self.retry(now);
                None
            }
        }
    }

    /// Adds it up and writes all down anew.
    fn start_anew(&mut self, record: &Record, now: Timestamp) -> Option<LedgerWarning> {
        self.book.apply(record);
        self.book.compact(now);
        let Store::File(file) = &mut self.store else { return None };
        let error = file.rewrite(self.book.records()).err()?;
        self.fail(error, now)
    }

    /// From now on entries go only into the book. Nothing new to tell if the file was said to become full.
    fn fail(&mut self, error: io::Error, now: Timestamp) -> Option<LedgerWarning> {
        let file = match std::mem::replace(&mut self.store, Store::Off) {
            Store::File(file) => Some(file),
            Store::Off | Store::Failing(_) => None,
        };
        let is_known = file.as_ref().is_some_and(StateFile::is_irreplaceable);
        self.store = Store::failing(file, now);
        (!is_known).then(|| file::unwritable(&self.path, error))
    }

    /// Writes a smaller file. If that fails, the large one has some room left.
    fn shrink(&mut self, now: Timestamp) -> Option<LedgerWarning> {
        self.book.compact(now);
        let Store::File(file) = &mut self.store else { return None };
        let source = file.rewrite(self.book.records()).err()?;
        let is_news = file.stay_large();
        is_news.then(|| LedgerWarning::Irreplaceable { path: self.path.clone(), source })
    }

    /// Tries, once a minute, to write everything down anew.
    fn retry(&mut self, now: Timestamp) {
        let Store::Failing(failing) = &mut self.store else { return };
        let is_due = now.duration_since(failing.tried).abs() >= RETRY;
        if !is_due && failing.entries < MERGE_AFTER {
            return;
        }
        failing.entries = 0;
        self.book.compact(now);
        if !is_due {
            return;
        }
        failing.tried = now;
        let file = failing.file.take().or_else(|| reopened(&self.path, self.salt));
        let Some(mut file) = file else { return };
        match file.rewrite(self.book.records()) {
            Ok(()) => self.store = Store::File(file),
            Err(_) => failing.file = Some(file),
        }
    }
}

impl Store {
    fn failing(file: Option<StateFile>, tried: Timestamp) -> Self {
        Self::Failing(Failing { file, tried, entries: 0 })
    }
}

/// The file that could not be opened at start. What another run has left there meanwhile is moved aside: its names mean
/// nothing here.
fn reopened(path: &Path, salt: Salt) -> Option<StateFile> {
    let (file, found) = StateFile::open(path, salt).ok()?;
    if file.salt() == salt && found.records.is_empty() {
        return Some(file);
    }
    file::make_way(path).ok()?;
    StateFile::open(path, salt).ok().map(|(file, _)| file)
}
