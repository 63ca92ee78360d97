//! The log: `[2025-12-30T06:10:05.124Z] INFO: Attempt 1/3: Using service Groq request_id=…`, or JSON, on standard output.

use std::fmt;
use std::io;

use tracing::{Level, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt as layers};

use super::log_text::TextFormat;
use super::log_writer::{LogGuard, LogWriter};
use crate::config::{LogConfig, LogFormat};
use crate::time::Clock;

/// The target of the lines that are always shown, and at once: that the program has started, and its address.
pub(crate) const STARTUP: &str = "ai_proxy_free::startup";

/// Sends the log to standard output from now on. Dropping the guard writes the lines that are waiting.
///
/// # Errors
/// There can be no thread to write it.
pub(crate) fn start(config: &LogConfig, clock: Clock) -> io::Result<LogGuard> {
    let tell_lost =
        |lines| warn!(lines, "Lines of the log are lost: it was not read, or could not be written");
    let (writer, guard) = LogWriter::start(io::stdout(), STARTUP, tell_lost)?;
    let filter: Targets = config.filter.clone().with_target(STARTUP, Level::INFO);
    let lines = layers::layer().with_writer(writer).with_ansi(false);
    let lines = match config.format {
        LogFormat::Text => lines.event_format(TextFormat::new(clock)).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_target(false).with_timer(Timer(clock)).boxed()
        }
    };
    // Of the whole registry and not of the layer, so that what is never shown is not even asked about.
    Registry::default().with(lines).with(filter).init();
    Ok(guard)
}

struct Timer(Clock);

impl FormatTime for Timer {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", (self.0)().wall)
    }
}
