//! What differs between providers that speak OpenAI's dialect.

use crate::middle::{Feature, Measure};
use crate::providers::words::limits::LimitHeaders;

/// What differs between providers that speak this dialect.
#[derive(Debug)]
pub struct Quirks {
    /// Where completions are asked for.
    pub chat_path: &'static str,
    /// Where the list of models is.
    pub models_path: &'static str,
    /// What it calls the limit of an answer's tokens.
    pub max_tokens_name: &'static str,
    /// The longest answer to ask for where the client names none, in tokens; none where the provider's own default is fair.
    pub unasked_max_tokens: Option<u32>,
    /// What it calls the seed.
    pub seed_name: &'static str,
    /// Its word for "call at least one tool".
    pub required_word: &'static str,
    /// Whether it tells what a stream has used only if `stream_options` asks for it.
    pub asks_for_usage: bool,
    /// Whether an earlier answer of nothing but calls may have no content; else its content is an empty text.
    pub takes_null_content: bool,
    /// Which optional features it takes; any other would be a 400 or without effect.
    pub takes: &'static [Feature],
    /// Whether an answer after a schema can be streamed.
    pub streams_schema: bool,
    /// The models, by the beginnings of their ids, that mix their thoughts into the text unless told not to.
    pub parses_reasoning_of: &'static [&'static str],
    /// The limits that the headers of answers tell of, the one of the longest window first.
    pub limit_headers: &'static [LimitHeaders],
    /// What names the limit in the sentence of a refusal that tells its figures.
    pub limit_markers: &'static [(&'static str, Measure)],
    /// What stands in the sentence of a 429 when the limit is one of a day.
    pub day_markers: &'static [&'static str],
    /// How it wraps its errors. All forms are read from everybody; the simulator writes this one.
    pub errors: ErrorForm,
}

impl Quirks {
    /// The dialect as OpenAI has it: a row says only what differs.
    pub const NONE: Self = Self {
        chat_path: "/v1/chat/completions",
        models_path: "/v1/models",
        max_tokens_name: "max_tokens",
        unasked_max_tokens: None,
        seed_name: "seed",
        required_word: "required",
        asks_for_usage: false,
        takes_null_content: true,
        takes: &[
            Feature::TopP,
            Feature::Seed,
            Feature::Stop,
            Feature::User,
            Feature::FrequencyPenalty,
            Feature::PresencePenalty,
            Feature::ParallelToolCalls,
            Feature::ToolStrictness,
        ],
        streams_schema: true,
        parses_reasoning_of: &[],
        limit_headers: &[],
        limit_markers: &[],
        day_markers: &[],
        errors: ErrorForm::Wrapped,
    };
}

/// Where the message of an error body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error":{"message":…}}`.
    Wrapped,
    /// `{"message":…}`.
    Flat,
}
