//! What is said in the answers, so that every byte of it can be checked.

use std::time::{Duration, SystemTime};

use memchr::memmem;

/// What stands in every piece of text, in front of its number of four digits.
pub(crate) const TEXT: &[u8] = b"word number ";

/// What stands in a piece in which its time of sending is to stand: the microseconds since 1970.
pub(crate) const STAMP: &[u8] = b"0000000000000000";

/// A piece: some four tokens.
pub(crate) fn piece(number: usize, is_stamped: bool) -> String {
    let stamp = if is_stamped { std::str::from_utf8(STAMP).expect("digits") } else { "" };
    format!("word number {number:04} {stamp}")
}

/// The whole text of an answer of so many pieces.
pub(crate) fn whole(pieces: usize) -> String {
    (0..pieces).map(|number| piece(number, false)).collect()
}

/// The time of now, as it stands in a stamp.
pub(crate) fn micros_of_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The pieces in `bytes`, each as what follows [`TEXT`].
pub(crate) fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    memmem::find_iter(bytes, TEXT).map(|at| &bytes[at + TEXT.len()..])
}

/// The number of a piece.
pub(crate) fn number(piece: &[u8]) -> Option<usize> {
    std::str::from_utf8(piece.get(..4)?).ok()?.parse().ok()
}

/// When a stamped piece was to be sent.
pub(crate) fn stamp(piece: &[u8]) -> Option<u64> {
    std::str::from_utf8(piece.get(5..5 + STAMP.len())?).ok()?.parse().ok()
}
