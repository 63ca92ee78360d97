//! What differs between providers that speak OpenAI's dialect.

use crate::middle::{Feature, Measure};
use crate::providers::words::limits::LimitHeaders;
use crate::providers::words::rules::FailureRule;

/// What differs between providers that speak this dialect.
#[derive(Clone, Copy, Debug)]
pub struct Quirks {
    /// The path of chat completions.
    pub chat_path: &'static str,
    /// The path of the list of models, with its query.
    pub models_path: &'static str,
    /// The form of that list.
    pub list: ListForm,
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
    /// What stands for the content of an earlier answer that has only calls.
    pub null_content: NullContent,
    /// Whether several texts of one message must be one string. Texts beside images stay an array.
    pub joins_texts: bool,
    /// Whether the ids of calls must have exactly nine letters and digits.
    pub short_call_ids: bool,
    /// What the assistant is made to say between the results of its calls and the user's next words, where the provider
    /// refuses the one right behind the other.
    pub words_after_results: Option<&'static str>,
    /// Fields that every request has: their names, and their values as JSON.
    pub fixed_fields: &'static [(&'static str, &'static str)],
    /// Which of them only guard against a bill, and may be left out for a model that is surely free.
    pub guards: &'static [Guard],
    /// The same as `fixed_fields` for requests that offer tools.
    pub fixed_fields_with_tools: &'static [(&'static str, &'static str)],
    /// The keywords that it refuses in the schemas of tools.
    pub schema_without: &'static [&'static str],
    /// How it is told how much to think.
    pub effort: EffortForm,
    /// The optional features that it supports; any other would be a 400 or have no effect.
    pub takes: &'static [Feature],
    /// Before how many texts an answer can end, if it takes [`Feature::Stop`].
    pub max_stops: usize,
    /// Whether it refuses tools of which some are strict and others are not.
    pub wants_equal_strictness: bool,
    /// Whether an answer that follows a schema can be streamed.
    pub streams_schema: bool,
    /// The models, by the beginnings of their ids, that mix their thoughts into the text unless told not to.
    pub parses_reasoning_of: &'static [&'static str],
    /// Whether an answer may begin with thoughts between `<think>` and `</think>`.
    pub thinks_in_text: bool,
    /// Whether the id of a model may be the path of its file.
    pub ids_may_be_paths: bool,
    /// Whether the content of an answer may be a list of parts.
    pub answers_in_parts: bool,
    /// The limits that response headers report; the one with the longest window first.
    pub limit_headers: &'static [LimitHeaders],
    /// The header of a refusal with the time when there is room again, if it has no `Retry-After`.
    pub reset_header: &'static str,
    /// The words that name the limit in the sentence of a refusal that states its figures.
    pub limit_markers: &'static [(&'static str, Measure)],
    /// The words in the sentence of a 429 that mean a daily limit.
    pub day_markers: &'static [&'static str],
    /// What its own error codes and words mean; looked up before everything that all providers share.
    pub failures: &'static [FailureRule],
    /// How it wraps its errors. The proxy reads all forms from every provider; the simulator writes this one.
    pub errors: ErrorForm,
}

impl Quirks {
    /// OpenAI's own dialect: a row names only what differs.
    pub const NONE: Self = Self {
        chat_path: "/v1/chat/completions",
        models_path: "/v1/models",
        list: ListForm::OpenAi,
        max_tokens_name: "max_tokens",
        unasked_max_tokens: None,
        seed_name: "seed",
        required_word: "required",
        asks_for_usage: true,
        null_content: NullContent::Null,
        joins_texts: false,
        short_call_ids: false,
        words_after_results: None,
        fixed_fields: &[],
        guards: &[],
        fixed_fields_with_tools: &[],
        schema_without: &[],
        effort: EffortForm::Word,
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
        max_stops: 4,
        wants_equal_strictness: false,
        streams_schema: true,
        parses_reasoning_of: &[],
        thinks_in_text: false,
        ids_may_be_paths: false,
        answers_in_parts: false,
        limit_headers: &[],
        reset_header: "",
        limit_markers: &[],
        day_markers: &["per day"],
        failures: &[],
        errors: ErrorForm::Wrapped,
    };
}

/// A field that only guards against a bill.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// Its name.
    pub field: &'static str,
    /// The codes of a refusal that it may have caused.
    pub refused_by: &'static [&'static str],
}

/// What stands for the content of an earlier answer that has only calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullContent {
    /// `null`.
    Null,
    /// An empty text.
    Empty,
    /// Nothing: the field is left out.
    Omitted,
}

/// The form of a list of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListForm {
    /// `{"data":[{"id":"…"}]}`.
    OpenAi,
    /// The same with prices, of which every one must be zero, and with what goes in and comes out.
    Priced,
    /// Cloudflare's search: `{"result":[{"name":"@cf/…"}]}`.
    Search,
    /// There is none, or none that names the free models: the row's own are believed.
    None,
}

/// How a provider is told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffortForm {
    /// `"reasoning_effort":"low"`.
    Word,
    /// `"thinking":{"type":"enabled"}`, or `disabled` for no effort.
    Switch,
}

/// Where an error body has its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error":{"message":…}}`.
    Wrapped,
    /// `{"message":…}`.
    Flat,
}
