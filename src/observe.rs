//! What is recorded about requests and attempts: counters and log lines.

mod histogram;
pub(crate) mod log;
mod log_text;
mod log_writer;
mod rare_warning;
mod refusals;
mod request_log;
mod requests;
mod stats;

pub(crate) use self::histogram::Distribution;
pub(crate) use self::rare_warning::RareWarning;
pub(crate) use self::refusals::{Refusal, refused};
pub(crate) use self::request_log::RequestLog;
pub(crate) use self::requests::{Counted, OpenStream, OpenStreams, RequestCounts};
pub use self::stats::{Counts, Outcome};
pub(crate) use self::stats::{ModelStats, Recorded};
