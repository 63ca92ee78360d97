//! What is recorded about requests and attempts: counters and log lines.

pub(crate) mod log;
mod rare_warning;
mod refusals;
mod request_log;
mod stats;

pub(crate) use self::rare_warning::RareWarning;
pub(crate) use self::refusals::{Refusal, refused};
pub(crate) use self::request_log::RequestLog;
pub(crate) use self::stats::ModelStats;
pub use self::stats::{Counts, Outcome};
