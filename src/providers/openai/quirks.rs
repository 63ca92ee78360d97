//! What differs between providers that speak OpenAI's dialect.

use crate::middle::{Feature, Measure};
use crate::providers::words::limits::AllowanceHeaders;

/// What differs between providers that speak this dialect.
#[derive(Debug)]
pub struct Quirks {
    /// Where completions are asked for.
    pub chat_path: &'static str,
    /// Where the list of models is.
    pub models_path: &'static str,
    /// What it calls the limit of an answer's tokens.
    pub max_tokens_name: &'static str,
    /// Which optional features it takes; any other would be a 400 or without effect.
    pub takes: &'static [Feature],
    /// Whether an answer after a schema can be streamed.
    pub streams_schema: bool,
    /// The models, by the beginnings of their ids, that mix their thoughts into the text unless told not to.
    pub parses_reasoning_of: &'static [&'static str],
    /// The allowances that the answers' headers tell about, the one of the longest window first.
    pub allowances: &'static [AllowanceHeaders],
    /// What names the allowance in the sentence of a refusal that tells its figures.
    pub limit_markers: &'static [(&'static str, Measure)],
    /// What stands in the sentence of a 429 when the limit is one of a day.
    pub day_markers: &'static [&'static str],
    /// How it wraps its errors. All forms are read from everybody; the simulator writes this one.
    pub errors: ErrorForm,
}

/// Where the message of an error body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error":{"message":…}}`.
    Wrapped,
    /// `{"message":…}`.
    Flat,
}
