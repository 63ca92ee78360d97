//! How many requests were answered with which status, and how many streams are open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use http::StatusCode;

/// What a request counts as whose client left before the answer had a status: nginx's number for that.
const CLIENT_LEFT: u16 = 499;

/// Statuses that stand there from the start, because a rate does not see what was not there before.
const EXPECTED: [u16; 8] = [200, 400, 401, 429, CLIENT_LEFT, 502, 503, 504];

/// Statuses have three digits and begin here.
const FIRST_STATUS: u16 = 100;

/// No answer of the proxy has a status beyond 599.
const STATUSES: usize = 500;

/// How many requests were answered with which status, by surface.
#[derive(Debug)]
pub(crate) struct RequestCounts(Vec<(&'static str, Box<[AtomicU64]>)>);

impl RequestCounts {
    /// Counts for these surfaces and no others.
    pub(crate) fn new(surfaces: impl IntoIterator<Item = &'static str>) -> Self {
        let none = || (0..STATUSES).map(|_| AtomicU64::new(0)).collect();
        Self(surfaces.into_iter().map(|surface| (surface, none())).collect())
    }

    /// A request has come; it counts when its answer is known, or when what is returned is dropped.
    pub(crate) fn begin(&self, surface: &str, what: Counted) -> Tally<'_> {
        let row = self.0.iter().find(|(name, _)| *name == surface);
        Tally { row: row.map(|(_, row)| &**row), what, status: CLIENT_LEFT }
    }

    /// All numbers but unexpected zeros: surface, status and count.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u16, u64)> {
        let rows = self.0.iter().flat_map(|(surface, row)| {
            let numbers = (FIRST_STATUS..).zip(row.iter());
            numbers.map(|(status, count)| (*surface, status, count.load(Relaxed)))
        });
        rows.filter(|(_, status, count)| *count > 0 || EXPECTED.contains(status)).collect()
    }
}

/// Which answers to a request count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// All of them.
    Always,
    /// Only refusals: it asks how the proxy is, or a browser asks whether it may ask.
    IfRefused,
}

/// A request that has no status yet. Dropped without one, it counts as one whose client left.
#[derive(Debug)]
pub(crate) struct Tally<'c> {
    row: Option<&'c [AtomicU64]>,
    what: Counted,
    status: u16,
}

impl Tally<'_> {
    /// The request is answered.
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    fn counts(&self) -> bool {
        let is_refused = self.status >= StatusCode::BAD_REQUEST.as_u16() && self.status != CLIENT_LEFT;
        self.what == Counted::Always || is_refused
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        let row = self.row.filter(|_| self.counts());
        if let Some(count) = row.and_then(|row| row.get(usize::from(self.status.checked_sub(FIRST_STATUS)?)))
        {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// How many streams are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenStreams(Arc<AtomicUsize>);

impl OpenStreams {
    /// A stream begins; it ends when what is returned is dropped.
    pub(crate) fn open(&self) -> OpenStream {
        self.0.fetch_add(1, Relaxed);
        OpenStream(self.clone())
    }

    /// How many there are now.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct OpenStream(OpenStreams);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn above_zero(counts: &RequestCounts) -> Vec<(&'static str, u16, u64)> {
        counts.counts().into_iter().filter(|(_, _, count)| *count > 0).collect()
    }

    #[test]
    fn a_request_counts_once_however_it_ends() {
        let counts = RequestCounts::new(["chat", "other"]);
        counts.begin("chat", Counted::Always).answered(StatusCode::OK);
        counts.begin("chat", Counted::Always).answered(StatusCode::BAD_GATEWAY);
        drop(counts.begin("chat", Counted::Always));
        assert_eq!(above_zero(&counts), [("chat", 200, 1), ("chat", 499, 1), ("chat", 502, 1)]);
    }

    #[test]
    fn reports_count_only_when_they_are_refused() {
        let counts = RequestCounts::new(["other"]);
        counts.begin("other", Counted::IfRefused).answered(StatusCode::OK);
        drop(counts.begin("other", Counted::IfRefused));
        counts.begin("other", Counted::IfRefused).answered(StatusCode::UNAUTHORIZED);
        counts.begin("unknown", Counted::Always).answered(StatusCode::OK);
        assert_eq!(above_zero(&counts), [("other", 401, 1)]);
    }
}
