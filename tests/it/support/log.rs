//! Everything that the proxies of this process log, at the finest level, is searched for what must never be there.

use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing::Level;

/// The beginnings of everything secret in tests: keys, prompts and answers.
const SECRETS: [&str; 2] = ["key-of-", "canary"];

static FINDINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LINES: Mutex<usize> = Mutex::new(0);

/// Begins the search, unless it has begun.
pub(crate) fn search() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_ansi(false);
        subscriber.with_writer(|| Searcher).init();
    });
}

/// # Panics
/// A secret has been logged, by whomever, or nothing at all has been.
pub(crate) fn assert_clean() {
    let findings = FINDINGS.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(findings.is_empty(), "secrets in the log: {findings:#?}");
    assert!(*LINES.lock().unwrap_or_else(PoisonError::into_inner) > 0, "there is no log to search");
}

struct Searcher;

impl Write for Searcher {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        *LINES.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        if SECRETS.iter().any(|secret| text.contains(secret)) {
            FINDINGS.lock().unwrap_or_else(PoisonError::into_inner).push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
