//! What an answer consists of in Ollama's form.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::ollama_ask::{Form, OllamaAsk};
use crate::middle::{Event, FinishReason, ToolCall, Usage};
use crate::surfaces::author::Author;
use crate::surfaces::gathered::Gathered;
use crate::wire::json;

/// A whole answer, or a line of one.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    model: &'a str,
    created_at: &'a str,
    #[serde(flatten)]
    body: Body<'a>,
    done: bool,
    #[serde(flatten)]
    end: Option<End>,
}

/// What a line says, where the client looks for it.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Message {
        message: Message<'a>,
    },
    Response {
        response: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        thinking: Option<&'a str>,
    },
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

/// A whole call. Its id is younger than the dialect: clients that know it send it back.
#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    index: usize,
    name: &'a str,
    arguments: Cow<'a, RawValue>,
}

/// Why an answer ended and what it took; times are in nanoseconds.
#[derive(Serialize)]
struct End {
    done_reason: &'static str,
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u64,
    prompt_eval_duration: u64,
    eval_count: u64,
    eval_duration: u64,
}

impl End {
    fn new(done_reason: &'static str, usage: Option<Usage>, took: Took) -> Self {
        Self {
            done_reason,
            total_duration: nanoseconds(took.waiting + took.answering),
            load_duration: 0,
            prompt_eval_count: usage.map_or(0, |usage| usage.prompt_tokens),
            prompt_eval_duration: nanoseconds(took.waiting),
            eval_count: usage.map_or(0, |usage| usage.completion_tokens),
            eval_duration: nanoseconds(took.answering),
        }
    }
}

/// How long an answer took: clients divide its tokens by that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took {
    /// From the request to the answer's beginning.
    pub(super) waiting: Duration,
    /// From there to its end.
    pub(super) answering: Duration,
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

const fn done_reason(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop | FinishReason::ToolCalls => "stop",
        FinishReason::Length => "length",
        // Ollama blocks nothing and has no word for it; it must not look like an answer that is whole.
        FinishReason::ContentFilter => "content_filter",
    }
}

/// How an answer ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) finish: FinishReason,
    pub(super) usage: Option<Usage>,
    pub(super) took: Took,
}

/// What a line says.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) text: &'a str,
    pub(super) thoughts: Option<&'a str>,
    /// The calls, and the number of the first of them in the answer.
    pub(super) calls: &'a [ToolCall],
    pub(super) first: usize,
}

/// Who writes an answer, and when it began.
#[derive(Debug)]
pub(super) struct Label {
    /// `groq/openai/gpt-oss-20b`: what a client may send to get exactly this model.
    pub(super) model: String,
    pub(super) created_at: String,
}

impl Label {
    pub(super) fn of(author: &Author) -> Self {
        let created = Timestamp::from_second(author.created).unwrap_or_default();
        let model = author.name();
        Self { model, created_at: created.to_string() }
    }

    /// A line, which ends the answer if there is a reason for that.
    pub(super) fn line<'a>(&'a self, form: Form, said: Said<'a>, end: Option<Ending>) -> Line<'a> {
        let Said { text, thoughts: thinking, calls, first } = said;
        let body = match form {
            Form::Response => Body::Response { response: text, thinking },
            Form::Message => {
                let tool_calls = calls.iter().zip(first..).filter_map(|(call, index)| wire_call(call, index));
                let tool_calls = tool_calls.collect();
                Body::Message { message: Message { role: "assistant", content: text, thinking, tool_calls } }
            }
        };
        let end = end.map(|end| End::new(done_reason(end.finish), end.usage, end.took));
        Line { model: &self.model, created_at: &self.created_at, body, done: end.is_some(), end }
    }
}

/// A call, unless its arguments are no object: the request says that others are a failure.
fn wire_call(call: &ToolCall, index: usize) -> Option<Call<'_>> {
    let arguments = json::on_one_line(&call.arguments)?;
    let is_object = arguments.get().trim_start().starts_with('{');
    let function = Function { index, name: &call.name, arguments };
    is_object.then_some(Call { id: &call.id, function })
}

/// An answer that is not streamed. When it began is not known, so all of its time counts as the answer's.
pub(super) fn whole(ask: &OllamaAsk, events: Vec<Event>, author: &Author) -> Vec<u8> {
    let Gathered { text, thoughts, calls, usage, finish } = Gathered::of(events);
    let is_shown = ask.request.wants_thoughts && !thoughts.is_empty();
    let thoughts = Some(thoughts.as_str()).filter(|_| is_shown);
    let said = Said { text: &text, thoughts, calls: &calls, first: 0 };
    let took = Took { waiting: Duration::ZERO, answering: ask.received.elapsed() };
    json::to_vec(&Label::of(author).line(ask.form, said, Some(Ending { finish, usage, took })))
}

/// The answer to a request that asks nothing: Ollama would load the model, and there is nothing to load.
pub(super) fn loaded(ask: &OllamaAsk, now: Timestamp) -> Vec<u8> {
    let label = Label { model: ask.model.clone(), created_at: now.to_string() };
    let end = End::new("load", None, Took::default());
    json::to_vec(&Line { done: true, end: Some(end), ..label.line(ask.form, Said::default(), None) })
}
