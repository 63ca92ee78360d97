//! One entry of the state file, and its bytes.
//!
//! All entries are equally long and each stands for itself, so that a damaged one costs none but itself:
//!
//! ```text
//! kind u8 | account u64 | model u64 | number u64 | at i64, ns since 1970 | tokens u64 | FNV-1a of all before, u32
//! ```
//!
//! Numbers are little-endian. `number` is a call's number, or how many requests there were.

use jiff::Timestamp;

/// How long an entry is.
pub(super) const RECORD_BYTES: usize = 45;

/// One account with one model, as the state file names them: neither a key nor a name can be read from it.
///
/// Both are HMAC-SHA-256, cut to 8 bytes, under the salt of the file. A key cannot be found by trying; the name of a
/// model could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaceId {
    /// The provider and the key.
    pub account: u64,
    /// The provider and the model.
    pub model: u64,
}

/// What was used at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastUse {
    /// When; of uses that were merged, the latest.
    pub at: Timestamp,
    /// How many requests.
    pub requests: u64,
    /// How many tokens, of prompts and answers.
    pub tokens: u64,
}

/// A call that may still be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenCall {
    pub(super) call: u64,
    pub(super) place: PlaceId,
    /// What is counted for it until it is settled.
    pub(super) tokens: u64,
    pub(super) at: Timestamp,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A process has started: nobody will settle what is still open.
    Started { at: Timestamp },
    /// What was used until the file was written anew, calls that are open included.
    Used { place: PlaceId, past: PastUse },
    /// A call that was open when the file was written anew; it is counted already.
    StillOpen(OpenCall),
    /// A call is about to be sent.
    Reserved(OpenCall),
    /// The real tokens of a call.
    Settled { call: u64, tokens: u64, at: Timestamp },
    /// The provider did not count a call.
    TakenBack { call: u64, at: Timestamp },
}

/// An entry as its columns; a column that an entry does not need is 0.
struct Columns {
    kind: u8,
    place: PlaceId,
    number: u64,
    at: Timestamp,
    tokens: u64,
}

const NOWHERE: PlaceId = PlaceId { account: 0, model: 0 };

impl Record {
    /// The bytes of this entry.
    pub(super) fn encode(&self) -> [u8; RECORD_BYTES] {
        let Columns { kind, place, number, at, tokens } = self.columns();
        // Until the year 2262; a clock beyond it is wrong.
        let at = i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
        let words = [place.account, place.model, number, at.cast_unsigned(), tokens].map(u64::to_le_bytes);
        let mut bytes = [0; RECORD_BYTES];
        if let Some((content, end)) = bytes.split_last_chunk_mut() {
            if let Some((first, rest)) = content.split_first_mut() {
                *first = kind;
                rest.as_chunks_mut().0.iter_mut().zip(words).for_each(|(place, word)| *place = word);
            }
            *end = checksum(content).to_le_bytes();
        }
        bytes
    }

    /// The entry that these bytes are, unless they are damaged.
    pub(super) fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let (content, end) = bytes.split_last_chunk()?;
        if checksum(content) != u32::from_le_bytes(*end) {
            return None;
        }
        let (kind, words) = content.split_first()?;
        let (words, _) = words.as_chunks();
        let [account, model, number, at, tokens] = words else { return None };
        let [account, model, number, at, tokens] =
            [account, model, number, at, tokens].map(|word| u64::from_le_bytes(*word));
        let at = Timestamp::from_nanosecond(at.cast_signed().into()).ok()?;
        Self::from_columns(Columns { kind: *kind, place: PlaceId { account, model }, number, at, tokens })
    }

    fn columns(&self) -> Columns {
        let open =
            |kind, OpenCall { call, place, tokens, at }| Columns { kind, place, number: call, at, tokens };
        match *self {
            Self::Started { at } => Columns { kind: 1, place: NOWHERE, number: 0, at, tokens: 0 },
            Self::Used { place, past: PastUse { at, requests, tokens } } => {
                Columns { kind: 2, place, number: requests, at, tokens }
            }
            Self::StillOpen(call) => open(3, call),
            Self::Reserved(call) => open(4, call),
            Self::Settled { call, tokens, at } => {
                Columns { kind: 5, place: NOWHERE, number: call, at, tokens }
            }
            Self::TakenBack { call, at } => Columns { kind: 6, place: NOWHERE, number: call, at, tokens: 0 },
        }
    }

    fn from_columns(Columns { kind, place, number, at, tokens }: Columns) -> Option<Self> {
        let open = OpenCall { call: number, place, tokens, at };
        Some(match kind {
            1 => Self::Started { at },
            2 => Self::Used { place, past: PastUse { at, requests: number, tokens } },
            3 => Self::StillOpen(open),
            4 => Self::Reserved(open),
            5 => Self::Settled { call: number, tokens, at },
            6 => Self::TakenBack { call: number, at },
            _ => return None,
        })
    }
}

const FNV_START: u32 = 0x811c_9dc5;

/// The sum that stands behind a header or an entry: FNV-1a, 32 bits. Each step can be undone, so a change of one byte always
/// changes the sum.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(FNV_START, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
