//! What an answer consists of in Google's form.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::middle::{Event, FinishReason, ToolCall, Usage};
use crate::surfaces::author::Author;
use crate::surfaces::gathered::Gathered;
use crate::wire::json;

/// A whole answer, or a piece of one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<[Candidate<'a>; 1]>,
    /// Instead of a candidate, if the prompt was blocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_feedback: Option<Blocked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_metadata: Option<WireUsage>,
    model_version: &'a str,
    response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'static str>,
    index: u32,
}

#[derive(Serialize)]
struct Content<'a> {
    role: &'static str,
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blocked {
    block_reason: &'static str,
}

/// A part of an answer.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Part<'a> {
    /// A piece of a thought.
    Thought { text: &'a str, thought: bool },
    /// Text; may be empty.
    Text { text: &'a str },
    /// A whole call.
    #[serde(rename_all = "camelCase")]
    Call {
        function_call: FunctionCall<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'a str>,
    },
}

#[derive(Serialize)]
pub(super) struct FunctionCall<'a> {
    id: &'a str,
    name: &'a str,
    args: Cow<'a, RawValue>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireUsage {
    prompt_token_count: u64,
    candidates_token_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts_token_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_content_token_count: Option<u64>,
    total_token_count: u64,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        let thoughts = usage.reasoning_tokens.unwrap_or(0);
        Self {
            prompt_token_count: usage.prompt_tokens,
            candidates_token_count: usage.completion_tokens.saturating_sub(thoughts),
            thoughts_token_count: usage.reasoning_tokens,
            cached_content_token_count: usage.cached_tokens,
            total_token_count: usage.total_tokens,
        }
    }
}

/// Who writes an answer, and which it is.
#[derive(Debug)]
pub(super) struct Label {
    /// `groq/openai/gpt-oss-20b`: what a client may send to get exactly this model.
    pub(super) model: String,
    pub(super) id: String,
}

impl Label {
    pub(super) fn of(author: &Author) -> Self {
        Self { model: author.name(), id: author.answer_id.clone() }
    }

    /// A piece with these parts, which ends the answer if there is a reason for that.
    pub(super) fn piece<'a>(
        &'a self,
        parts: Vec<Part<'a>>,
        end: Option<(FinishReason, Option<Usage>)>,
    ) -> Response<'a> {
        let content = Content { role: "model", parts };
        let finish_reason = end.map(|(finish, _)| finish_reason(finish));
        Response {
            candidates: Some([Candidate { content, finish_reason, index: 0 }]),
            prompt_feedback: None,
            usage_metadata: end.and_then(|(_, usage)| usage).map(WireUsage::from),
            model_version: &self.model,
            response_id: &self.id,
        }
    }

    /// The answer to a prompt that a safety filter has blocked.
    pub(super) fn blocked(&self, usage: Option<Usage>) -> Response<'_> {
        Response {
            candidates: None,
            prompt_feedback: Some(Blocked { block_reason: "SAFETY" }),
            usage_metadata: usage.map(WireUsage::from),
            model_version: &self.model,
            response_id: &self.id,
        }
    }
}

const fn finish_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop | FinishReason::ToolCalls => "STOP",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => "SAFETY",
    }
}

/// A call, unless its arguments are no object: the request says that others are a failure.
pub(super) fn call(ToolCall { id, name, arguments, signature }: &ToolCall) -> Option<Part<'_>> {
    let args = json::on_one_line(arguments)?;
    let is_object = args.get().trim_start().starts_with('{');
    let function_call = FunctionCall { id, name, args };
    let part = Part::Call { function_call, thought_signature: signature.as_deref() };
    is_object.then_some(part)
}

/// An answer that is not streamed.
pub(super) fn whole(events: Vec<Event>, author: &Author, shows_thoughts: bool) -> Vec<u8> {
    let Gathered { text, thoughts, calls, usage, finish } = Gathered::of(events);
    let label = Label::of(author);
    if finish == FinishReason::ContentFilter && text.is_empty() && calls.is_empty() {
        return json::to_vec(&label.blocked(usage));
    }
    let mut parts = Vec::new();
    if shows_thoughts && !thoughts.is_empty() {
        parts.push(Part::Thought { text: &thoughts, thought: true });
    }
    let calls: Vec<Part<'_>> = calls.iter().filter_map(call).collect();
    // Clients fail without a part, and a call that was cut off is none.
    if !text.is_empty() || calls.is_empty() {
        parts.push(Part::Text { text: &text });
    }
    parts.extend(calls);
    json::to_vec(&label.piece(parts, Some((finish, usage))))
}
