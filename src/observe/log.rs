//! The log: `[2025-12-30T06:10:05.124Z] INFO: Attempt 1/3: Using service Groq request_id=…`, or JSON.
//!
//! Lines go to standard output through a bounded queue and a thread of its own, because a slow or stuck reader must not
//! hold up a request. When the queue is full, lines are dropped.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt as layers};

use crate::config::{LogConfig, LogFormat};
use crate::time::Clock;

/// The target of the lines that are always shown: that the program has started, and its address.
pub(crate) const STARTUP: &str = "ai_proxy_free::startup";

/// The most lines that may wait to be written.
const MAX_WAITING_LINES: usize = 16_384;

/// Sends the log to standard output from now on. Dropping the guard writes the lines that are waiting.
pub(crate) fn start(config: &LogConfig, clock: Clock) -> WorkerGuard {
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(MAX_WAITING_LINES).finish(std::io::stdout());
    let filter: Targets = config.filter.clone().with_target(STARTUP, Level::INFO);
    let lines = layers::layer().with_writer(writer).with_ansi(false);
    let lines = match config.format {
        LogFormat::Text => lines.event_format(TextFormat(clock)).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_target(false).with_timer(Timer(clock)).boxed()
        }
    };
    Registry::default().with(lines.with_filter(filter)).init();
    guard
}

struct Timer(Clock);

impl FormatTime for Timer {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", (self.0)().wall)
    }
}

struct TextFormat(Clock);

impl<S, N> FormatEvent<S, N> for TextFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "[{:.3}] {}: ", (self.0)().wall, event.metadata().level())?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
