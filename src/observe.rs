//! What is written down about requests and attempts: counters and log lines.

pub mod log;
mod rare_warning;
mod request_log;
mod stats;

pub use self::rare_warning::RareWarning;
pub use self::request_log::RequestLog;
pub use self::stats::{Counts, ModelStats, Outcome};
