//! The content types of everything that clients are sent. Each says UTF-8: without a charset Python's `requests` reads
//! a text as Latin-1, and turns `ñ` into `Ã±` (open-metadata/OpenMetadata#29531).

/// Answers that are not streamed, errors and reports.
pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// Streamed answers.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// Bare text.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
