//! A response object, and the items of its output.
//!
//! The ids of a response and of its items are made once and say to which response an item belongs: `resp_<hex>`,
//! `msg_<hex>_<number>`.

use std::sync::Arc;

use serde::Serialize;
use serde::de::IgnoredAny;

use super::names::{Origin, Origins, text_in};
use super::responses_ask::{Place, ResponsesAsk};
use super::store::{Draft, MAX_ITEM_BYTES};
use crate::middle::{FinishReason, Usage};
use crate::surfaces::author::Author;
use crate::wire::json;

/// An answer under way.
#[derive(Debug)]
pub(super) struct Answer {
    hex: String,
    created: i64,
    pub(super) model: String,
    echo: Arc<[u8]>,
    previous: Option<String>,
    /// What the client has sent, if the answer is to be stored.
    draft: Option<Arc<Draft>>,
    place: Option<Place>,
    pub(super) origins: Arc<Origins>,
    pub(super) shows_thoughts: bool,
    pub(super) usage: Option<Usage>,
    /// The items that are complete, each a JSON object.
    pub(super) output: Vec<Vec<u8>>,
}

/// What an item holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Thoughts,
    Text,
    /// A call, by the id that its result will have, of this tool.
    Call(String, Origin),
}

impl Kind {
    /// How the ids of such items begin.
    const fn prefix(&self) -> &'static str {
        match self {
            Self::Thoughts => "rs",
            Self::Text => "msg",
            Self::Call(_, Origin { is_custom: true, .. }) => "ctc",
            Self::Call(..) => "fc",
        }
    }
}

/// The state of a response or of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

impl Status {
    /// How a response ends that has ended for this reason.
    pub(super) const fn after(finish: FinishReason) -> Self {
        match finish {
            FinishReason::Stop | FinishReason::ToolCalls => Self::Completed,
            FinishReason::Length | FinishReason::ContentFilter => Self::Incomplete,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Reasoning {
        id: &'a str,
        summary: Vec<Summary<'a>>,
    },
    Message {
        id: &'a str,
        role: &'static str,
        status: Status,
        content: Vec<OutputText<'a>>,
    },
    FunctionCall {
        id: &'a str,
        call_id: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        arguments: &'a str,
        status: Status,
    },
    CustomToolCall {
        id: &'a str,
        call_id: &'a str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        input: &'a str,
        status: Status,
    },
}

/// A thought that is shown.
#[derive(Serialize)]
#[serde(tag = "type", rename = "summary_text")]
pub(super) struct Summary<'a> {
    pub(super) text: &'a str,
}

/// A text.
#[derive(Serialize)]
#[serde(tag = "type", rename = "output_text")]
pub(super) struct OutputText<'a> {
    pub(super) text: &'a str,
    annotations: [(); 0],
    logprobs: [(); 0],
}

impl<'a> OutputText<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, annotations: [], logprobs: [] }
    }
}

/// An item of this kind with this text: its thoughts, its text, its arguments, or the text that its tool takes. One in
/// progress has none yet.
pub(super) fn item(kind: &Kind, id: &str, status: Status, text: &str) -> Vec<u8> {
    let is_there = status != Status::InProgress;
    json::to_vec(&match kind {
        Kind::Thoughts => {
            Item::Reasoning { id, summary: is_there.then_some(Summary { text }).into_iter().collect() }
        }
        Kind::Text => Item::Message {
            id,
            role: "assistant",
            status,
            content: is_there.then_some(OutputText::new(text)).into_iter().collect(),
        },
        Kind::Call(call_id, Origin { namespace, name, is_custom }) => {
            let namespace = namespace.as_deref();
            if *is_custom {
                Item::CustomToolCall { id, call_id, name, namespace, input: text, status }
            } else {
                Item::FunctionCall { id, call_id, name, namespace, arguments: text, status }
            }
        }
    })
}

/// What an item of this kind says that ends like this, when the model has written `text`. A text for a tool that was cut off
/// says nothing: whoever acts on it would act on half of it.
pub(super) fn said(kind: &Kind, status: Status, text: String) -> String {
    let is_cut = || status == Status::Incomplete && serde_json::from_str::<IgnoredAny>(&text).is_err();
    match kind {
        Kind::Call(_, Origin { is_custom: true, .. }) if is_cut() => String::new(),
        Kind::Call(_, Origin { is_custom: true, .. }) => text_in(&text),
        _ => text,
    }
}

#[derive(Serialize)]
struct WireUsage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached_tokens.unwrap_or(0),
                cache_write_tokens: 0,
            },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning_tokens.unwrap_or(0) },
            total_tokens: usage.total_tokens,
        }
    }
}

/// Why a response failed.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Failure<'a> {
    pub(super) code: &'static str,
    pub(super) message: &'a str,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

/// Everything of a response that stands before what it repeats.
#[derive(Serialize)]
struct Beginning<'a> {
    id: &'a str,
    object: &'static str,
    created_at: i64,
    completed_at: Option<i64>,
    status: Status,
    error: Option<Failure<'a>>,
    incomplete_details: Option<Incomplete>,
    model: &'a str,
    previous_response_id: Option<&'a str>,
    store: bool,
    usage: Option<WireUsage>,
}

impl Answer {
    pub(super) fn new(ask: &ResponsesAsk, author: &Author) -> Self {
        let plain = || author.answer_id.chars().filter(char::is_ascii_alphanumeric).collect();
        Self {
            hex: ask.place.as_ref().map_or_else(plain, |place| place.id.clone()),
            created: author.created,
            model: author.name(),
            echo: ask.echo.clone(),
            previous: ask.previous.clone(),
            draft: ask.draft.clone(),
            place: ask.place.clone(),
            origins: ask.origins.clone(),
            shows_thoughts: ask.request.wants_thoughts,
            usage: None,
            output: Vec::new(),
        }
    }

    /// The id of the next item of the output.
    pub(super) fn next_id(&self, kind: &Kind) -> String {
        format!("{}_{}_{}", kind.prefix(), self.hex, self.output.len())
    }

    fn id(&self) -> String {
        format!("resp_{}", self.hex)
    }

    /// Appends the response as it is now.
    pub(super) fn write(&self, out: &mut Vec<u8>, status: Status, error: Option<Failure<'_>>) {
        self.write_ended(out, status, error, None);
    }

    fn write_ended(
        &self,
        out: &mut Vec<u8>,
        status: Status,
        error: Option<Failure<'_>>,
        finish: Option<FinishReason>,
    ) {
        let reason = match finish {
            Some(FinishReason::Length) => Some("max_output_tokens"),
            Some(FinishReason::ContentFilter) => Some("content_filter"),
            _ => None,
        };
        let store = self.place.as_ref().map(|place| &place.store);
        let completed_at = store.filter(|_| finish.is_some()).map(|store| store.now_seconds());
        json::write(
            out,
            &Beginning {
                id: &self.id(),
                object: "response",
                created_at: self.created,
                completed_at,
                status,
                error,
                incomplete_details: reason.map(|reason| Incomplete { reason }),
                model: &self.model,
                previous_response_id: self.previous.as_deref(),
                store: self.draft.is_some(),
                usage: self.usage.map(WireUsage::from),
            },
        );
        // The object goes on.
        out.pop();
        out.push(b',');
        out.extend_from_slice(&self.echo);
        out.extend_from_slice(br#","output":["#);
        for (index, item) in self.output.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(item);
        }
        out.extend_from_slice(b"]}");
    }

    /// Stores the response that ends for this reason, if it is to be stored, and returns it.
    pub(super) fn finished(&mut self, finish: FinishReason) -> Vec<u8> {
        if self.output.iter().any(|item| item.len() > MAX_ITEM_BYTES) {
            self.draft = None;
        }
        let mut response = Vec::new();
        self.write_ended(&mut response, Status::after(finish), None, Some(finish));
        if let (Some(draft), Some(place)) = (self.draft.take(), &self.place)
            && let Ok(text) = String::from_utf8(response.clone())
        {
            place.store.keep(self.id(), place.owner, place.parent.clone(), draft, text);
        }
        response
    }
}
