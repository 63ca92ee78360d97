//! The content types of everything that clients are sent. Each says UTF-8: without a charset Python's `requests` reads
//! a text as Latin-1, and turns `ñ` into `Ã±` (open-metadata/OpenMetadata#29531).

/// Answers that are not streamed, errors and reports.
pub(crate) const JSON: &str = "application/json; charset=utf-8";

/// Streamed answers.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// Bare text.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// The page.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// The look of the page.
pub(crate) const CSS: &str = "text/css; charset=utf-8";

/// The programs of the page.
pub(crate) const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The icon of the page.
pub(crate) const SVG: &str = "image/svg+xml; charset=utf-8";

/// Answers that are streamed a JSON object a line. It is UTF-8 by definition, and some clients compare the whole value.
pub(crate) const LINES: &str = "application/x-ndjson";
