//! The state file on disk: opening, appending, and writing it anew.
//!
//! ```text
//! "AIPFREE" | version u8 | salt, 32 bytes | FNV-1a of these, u32 | entries of 45 bytes
//! ```
//!
//! An entry is handed to the system in one write before the call is sent. So it survives the process, however it ends.
//! Nothing waits for the disk: a power cut may cost the last seconds.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::record::{RECORD_BYTES, Record, checksum};

/// The file is never larger.
pub(super) const MAX_FILE_BYTES: u64 = 1_000_000;

/// From this size on the file is written anew.
const LARGE_BYTES: u64 = 512 * 1024;

/// What is appended at least before the file is written anew again, so that this stays cheap.
const MIN_APPENDED_BYTES: u64 = 128 * 1024;

/// Random bytes that make names of one file mean nothing in another.
pub(super) type Salt = [u8; 32];

/// The last byte is the version.
const MAGIC: [u8; 8] = *b"AIPFREE\x01";
const HEADER_BYTES: usize = MAGIC.len() + size_of::<Salt>() + 4;

/// Why a restart may forget what was used. Requests are served all the same.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerWarning {
    /// Somebody else writes it.
    #[error(
        "{}: another proxy uses this state file, so this one remembers nothing beyond its end; give each its own \
         STATE_FILE", path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A directory or a device.
    #[error(
        "{}: this is no regular file, so a restart forgets what was used; set STATE_FILE to a file, or to nothing to \
         keep none", path.display()
    )]
    NotAFile {
        /// What is not a file.
        path: PathBuf,
    },
    /// It is not of this program, of another version, or cannot be read.
    #[error(
        "{}: this is no state file that can be read ({why}); it is kept as {}, and what was used before is unknown; \
         remove it if it is not needed", path.display(), kept.display()
    )]
    Unreadable {
        /// Where it was found.
        path: PathBuf,
        /// Where it is now.
        kept: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Some entries are damaged and left out.
    #[error(
        "{}: {damaged} entries of the state file are damaged and left out, so somewhat more than what is known may have \
         been used; check the disk", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How many entries.
        damaged: usize,
    },
    /// It cannot be opened or written, for example because the disk is full.
    #[error(
        "{}: the state file cannot be written ({source}), so a restart forgets what is used from now on; make room or \
         let the proxy write to its folder, or set STATE_FILE to nothing to keep none; it is tried again every minute",
        path.display()
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It has grown and cannot be replaced by a smaller one.
    #[error(
        "{}: the state file cannot be replaced by a smaller one ({source}), so it will be full soon; let the proxy \
         create files in its folder (a file mounted alone into a container cannot be replaced)", path.display()
    )]
    Irreplaceable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A state file that this process alone uses.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    salt: Salt,
    file: File,
    bytes: u64,
    /// The size at which it is written anew.
    large: u64,
    is_irreplaceable: bool,
}

/// What a file held when it was opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// How many entries were left out.
    pub(super) damaged: usize,
    /// Whether it can be read only.
    pub(super) is_read_only: bool,
    /// If another file was in the way.
    pub(super) warning: Option<LedgerWarning>,
}

/// How one attempt to open ends without a file.
enum Refused {
    With(LedgerWarning),
    /// It has to be moved out of the way first.
    Unreadable(String),
    /// Somebody has just replaced it.
    Replaced,
}

impl StateFile {
    /// Opens the file, or creates it with this salt.
    pub(super) fn open(path: &Path, salt: Salt) -> Result<(Self, Found), LedgerWarning> {
        let mut warning = None;
        // At most one other file is in the way, and a process that starts at the same time replaces one at most.
        for _ in 0..4 {
            match Self::try_open(path, salt) {
                Ok((file, found)) => return Ok((file, Found { warning, ..found })),
                Err(Refused::With(refusal)) => return Err(refusal),
                Err(Refused::Unreadable(why)) => warning = Some(move_aside(path, why)?),
                Err(Refused::Replaced) => {}
            }
        }
        Err(LedgerWarning::InUse { path: path.to_owned() })
    }

    fn try_open(path: &Path, salt: Salt) -> Result<(Self, Found), Refused> {
        // A device could be read without end, and must not be moved.
        if fs::metadata(path).is_ok_and(|it| !it.is_file()) {
            return Err(Refused::With(LedgerWarning::NotAFile { path: path.to_owned() }));
        }
        let (file, is_read_only) = open_at_all(path)?;
        lock(&file, path)?;
        let content = read(&file).map_err(|error| Refused::Unreadable(error.to_string()))?;
        let (salt, entries) = if content.is_empty() {
            (salt, [].as_slice())
        } else {
            split_header(&content).ok_or_else(|| Refused::Unreadable("its head is not ours".to_owned()))?
        };
        let (entries, torn) = entries.as_chunks::<RECORD_BYTES>();
        let records: Vec<Record> = entries.iter().filter_map(Record::decode).collect();
        let damaged = entries.len() - records.len();
        let bytes = (content.len() - torn.len()) as u64;
        let (large, is_irreplaceable) = (LARGE_BYTES, false);
        let mut file = Self { path: path.to_owned(), salt, file, bytes, large, is_irreplaceable };
        if !is_read_only {
            file.prepare(!torn.is_empty()).map_err(|source| Refused::With(unwritable(path, source)))?;
        }
        Ok((file, Found { records, damaged, is_read_only, warning: None }))
    }

    /// Writes the head of a new file, and cuts off the entry at which the last process ended.
    fn prepare(&mut self, is_torn: bool) -> io::Result<()> {
        if is_torn {
            self.file.set_len(self.bytes)?;
        }
        if self.bytes > 0 {
            return Ok(());
        }
        // Half a head would be somebody else's file at the next start.
        self.append_bytes(&header(&self.salt)).inspect_err(|_| {
            let _ = self.file.set_len(0);
        })
    }

    pub(super) fn salt(&self) -> Salt {
        self.salt
    }

    /// Adds an entry.
    pub(super) fn append(&mut self, record: &Record) -> io::Result<()> {
        self.append_bytes(&record.encode())
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let after = self.bytes + bytes.len() as u64;
        if after > MAX_FILE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.file.write_all(bytes)?;
        self.bytes = after;
        Ok(())
    }

    /// Whether it is time to write it anew.
    pub(super) fn is_large(&self) -> bool {
        self.bytes >= self.large
    }

    /// Replaces the file by one with these entries, in one step.
    pub(super) fn rewrite(&mut self, records: impl Iterator<Item = Record>) -> io::Result<()> {
        let mut bytes = header(&self.salt).to_vec();
        bytes.extend(records.flat_map(|record| record.encode()));
        let new = beside(&self.path, ".new");
        match self.write_new(&new, &bytes) {
            Ok(file) => self.file = file,
            Err(error) => {
                // What was written of it takes room on a disk that may be full.
                let _ = fs::remove_file(&new);
                return Err(error);
            }
        }
        self.bytes = bytes.len() as u64;
        self.large = LARGE_BYTES.max(self.bytes + MIN_APPENDED_BYTES);
        self.is_irreplaceable = false;
        Ok(())
    }

    /// Puts off the next attempt to write it anew after one that has failed. Returns whether it is the first.
    pub(super) fn stay_large(&mut self) -> bool {
        self.large = self.bytes + MIN_APPENDED_BYTES;
        !std::mem::replace(&mut self.is_irreplaceable, true)
    }

    /// Whether the last attempt to write it anew has failed.
    pub(super) fn is_irreplaceable(&self) -> bool {
        self.is_irreplaceable
    }

    fn write_new(&self, new: &Path, bytes: &[u8]) -> io::Result<File> {
        let _ = fs::remove_file(new);
        let mut file = options().create_new(true).open(new)?;
        file.write_all(bytes)?;
        // Locked before it has the name at which another process looks.
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        fs::rename(new, &self.path)?;
        Ok(file)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Opens the file for appending, or for reading if no more is allowed.
fn open_at_all(path: &Path) -> Result<(File, bool), Refused> {
    let error = match options().create(true).open(path) {
        Ok(file) => return Ok((file, false)),
        Err(error) => error,
    };
    match File::open(path) {
        Ok(file) => Ok((file, true)),
        Err(unreadable) if path.is_file() => Err(Refused::Unreadable(unreadable.to_string())),
        Err(_) => Err(Refused::With(unwritable(path, error))),
    }
}

fn lock(file: &File, path: &Path) -> Result<(), Refused> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Refused::With(LedgerWarning::InUse { path: path.to_owned() })),
        // Some file systems have no locks.
        Err(TryLockError::Error(_)) | Ok(()) if is_at(file, path) => Ok(()),
        Err(TryLockError::Error(_)) | Ok(()) => Err(Refused::Replaced),
    }
}

/// Whether the path still names this file: its owner may have replaced it before it could be locked.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(here), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (here.dev(), here.ino()) == (there.dev(), there.ino())
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

/// All that the file holds; a file that is too large is none of ours.
fn read(file: &File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
}

fn header(salt: &Salt) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    for (byte, value) in header.iter_mut().zip(MAGIC.iter().chain(salt)) {
        *byte = *value;
    }
    let sum = header.split_last_chunk::<4>().map_or(0, |(content, _)| checksum(content));
    if let Some(end) = header.last_chunk_mut() {
        *end = sum.to_le_bytes();
    }
    header
}

/// The salt, and what stands behind the header.
fn split_header(content: &[u8]) -> Option<(Salt, &[u8])> {
    let (found, entries) = content.split_first_chunk::<HEADER_BYTES>()?;
    let (_, rest) = found.split_first_chunk::<{ MAGIC.len() }>()?;
    let (salt, _) = rest.split_first_chunk()?;
    (*found == header(salt)).then_some((*salt, entries))
}

/// Renames a file that must not be overwritten.
fn move_aside(path: &Path, why: String) -> Result<LedgerWarning, LedgerWarning> {
    let names = ["", ".2", ".3", ".4", ".5", ".6", ".7", ".8", ".9"];
    let free = names.iter().map(|number| beside(path, &format!(".unreadable{number}")));
    let Some(kept) = free.into_iter().find(|kept| fs::symlink_metadata(kept).is_err()) else {
        return Err(unwritable(path, io::ErrorKind::AlreadyExists.into()));
    };
    fs::rename(path, &kept).map_err(|source| unwritable(path, source))?;
    Ok(LedgerWarning::Unreadable { path: path.to_owned(), kept, why })
}

/// Moves a file away that came while this process could not open one.
pub(super) fn make_way(path: &Path) -> Result<(), LedgerWarning> {
    move_aside(path, "it came later".to_owned()).map(drop)
}

pub(super) fn unwritable(path: &Path, source: io::Error) -> LedgerWarning {
    LedgerWarning::Unwritable { path: path.to_owned(), source }
}

/// The path with something behind its name.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

#[cfg(test)]
impl StateFile {
    /// Has the disk be full from now on.
    pub(super) fn write_to(&mut self, file: File) {
        self.file = file;
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_before_it_could_be_locked_is_not_taken() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let Ok((mut owner, _)) = StateFile::open(&path, [1; 32]) else { panic!("a file") };
        let late = options().open(&path).expect("a file");
        owner.rewrite(std::iter::empty()).expect("written");
        assert!(matches!(lock(&late, &path), Err(Refused::Replaced)));
        let in_use = StateFile::open(&path, [1; 32]);
        assert!(matches!(in_use, Err(LedgerWarning::InUse { .. })));
    }
}
