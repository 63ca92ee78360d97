//! A line in the log for every request that is refused before any provider is asked, but not for each one of a flood.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::wire::foreign::readable;

/// How long refusals with one status are counted together.
const WINDOW: Duration = Duration::from_secs(10);

/// The most lines about one status in that time. There are about a dozen statuses.
const MOST_LINES: u32 = 10;

/// As much of a reason is logged: some list all models that there are.
const MAX_REASON_CHARS: usize = 500;

/// Why a request was refused: what a client was told, in the extensions of the response. Errors that leave a line of their
/// own have none.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(pub String);

/// Those of this process, because the log is the process's.
static REFUSALS: Refusals = Refusals(Mutex::new(BTreeMap::new()));

/// Logs that a request was refused. `reason` has no key and nothing of a body or a query.
pub(crate) fn refused(status: StatusCode, surface: &str, request_id: &str, reason: &str) {
    let Some(held_back) = REFUSALS.next_line(status.as_u16()) else { return };
    let more = if held_back == 0 { String::new() } else { format!(" (and {held_back} more like it)") };
    let code = status.as_u16();
    // A name that the client has made up may stand in it.
    let reason = readable(reason, MAX_REASON_CHARS);
    match status {
        // Somebody without a key or of another place is knocking, or there is too little memory.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE => {
            warn!(request_id, surface, status = code, "Request refused: {reason}{more}");
        }
        _ => info!(request_id, surface, status = code, "Request refused: {reason}{more}"),
    }
}

/// What has been logged lately about each status.
#[derive(Debug)]
struct Refusals(Mutex<BTreeMap<u16, Lately>>);

#[derive(Debug)]
struct Lately {
    since: Instant,
    lines: u32,
    held_back: u64,
}

impl Refusals {
    /// Whether a refusal is to be logged, and how many with this status were not since the last line.
    fn next_line(&self, status: u16) -> Option<u64> {
        let mut statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let new = || Lately { since: now, lines: 0, held_back: 0 };
        let lately = statuses.entry(status).or_insert_with(new);
        if now - lately.since >= WINDOW {
            (lately.since, lately.lines) = (now, 0);
        }
        if lately.lines >= MOST_LINES {
            lately.held_back += 1;
            return None;
        }
        lately.lines += 1;
        Some(std::mem::take(&mut lately.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_leaves_a_few_lines_and_its_number() {
        let refusals = Refusals(Mutex::new(BTreeMap::new()));
        let lines = |times: usize| (0..times).filter_map(|_| refusals.next_line(401)).collect::<Vec<_>>();
        assert_eq!(lines(130), [0; MOST_LINES as usize]);
        assert_eq!(refusals.next_line(404), Some(0), "a flood of one kind hides no other");
        tokio::time::advance(WINDOW - Duration::from_millis(1)).await;
        assert_eq!(lines(1), [0; 0]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(lines(2), [121, 0]);
    }
}
