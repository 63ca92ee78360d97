//! What differs between providers that speak OpenAI's dialect.

use crate::middle::{Feature, Measure};
use crate::providers::words::limits::LimitHeaders;

/// What differs between providers that speak this dialect.
#[derive(Clone, Copy, Debug)]
pub struct Quirks {
    /// The path of chat completions.
    pub chat_path: &'static str,
    /// The path of the list of models.
    pub models_path: &'static str,
    /// The name of the field that limits the answer's tokens.
    pub max_tokens_name: &'static str,
    /// The token limit to send if the client names none; `None` if the provider's own default is good enough.
    pub unasked_max_tokens: Option<u32>,
    /// The name of the seed field.
    pub seed_name: &'static str,
    /// The word for "call at least one tool".
    pub required_word: &'static str,
    /// Whether a stream reports its usage only if `stream_options` asks for it.
    pub asks_for_usage: bool,
    /// Whether the content of an earlier answer with only calls may be null; otherwise it is an empty text.
    pub takes_null_content: bool,
    /// The optional features that it supports; any other would be a 400 or have no effect.
    pub takes: &'static [Feature],
    /// Whether it refuses tools of which some are strict and others are not.
    pub wants_equal_strictness: bool,
    /// Whether an answer that follows a schema can be streamed.
    pub streams_schema: bool,
    /// The models, by the beginnings of their ids, that mix their thoughts into the text unless told not to.
    pub parses_reasoning_of: &'static [&'static str],
    /// The limits that response headers report; the one with the longest window first.
    pub limit_headers: &'static [LimitHeaders],
    /// The words that name the limit in the sentence of a refusal that states its figures.
    pub limit_markers: &'static [(&'static str, Measure)],
    /// The words in the sentence of a 429 that mean a daily limit.
    pub day_markers: &'static [&'static str],
    /// How it wraps its errors. The proxy reads all forms from every provider; the simulator writes this one.
    pub errors: ErrorForm,
}

impl Quirks {
    /// OpenAI's own dialect: a row names only what differs.
    pub const NONE: Self = Self {
        chat_path: "/v1/chat/completions",
        models_path: "/v1/models",
        max_tokens_name: "max_tokens",
        unasked_max_tokens: None,
        seed_name: "seed",
        required_word: "required",
        asks_for_usage: true,
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
            Feature::SpeakerName,
        ],
        wants_equal_strictness: false,
        streams_schema: true,
        parses_reasoning_of: &[],
        limit_headers: &[],
        limit_markers: &[],
        day_markers: &["per day"],
        errors: ErrorForm::Wrapped,
    };
}

/// Where an error body has its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error":{"message":…}}`.
    Wrapped,
    /// `{"message":…}`.
    Flat,
}
