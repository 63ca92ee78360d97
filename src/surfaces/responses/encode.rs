//! A streamed answer in the form of OpenAI's responses.
//!
//! Every item is opened before its first piece and closed before the next one opens, and the last event has all of them
//! again.

use serde::Serialize;

use super::answer::{Answer, Failure, Kind, OutputText, Status, Summary, item, said};
use super::responses_ask::ResponsesAsk;
use crate::middle::{Event, FinishReason, ToolCallPiece};
use crate::surfaces::author::Author;
use crate::surfaces::encode::{AfterFailure, Encode, Interrupted};
use crate::surfaces::media_type;
use crate::wire::json;

/// Writes a streamed answer.
#[derive(Debug)]
pub struct Encoder {
    answer: Answer,
    /// The number of the next event.
    sequence: u64,
    has_begun: bool,
    open: Option<Open>,
    /// How a piece of the open item begins, up to the event's number, and of text as long as none is open.
    beginning: Vec<u8>,
}

/// An item under way.
#[derive(Debug)]
struct Open {
    kind: Kind,
    id: String,
    /// What it says so far.
    text: String,
}

/// How a piece goes on behind the event's number.
const TO_DELTA: &[u8] = br#","delta":"#;

/// How it ends behind its string.
const END_OF_PIECE: &[u8] = b"}\n\n";

/// What says which item an event is about, and which part of it.
#[derive(Serialize)]
struct At<'a> {
    item_id: &'a str,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
}

/// An event about a part of an item.
#[derive(Serialize)]
struct Said<'a, T> {
    #[serde(flatten)]
    at: At<'a>,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct Part<T> {
    part: T,
}

#[derive(Serialize)]
struct Delta<'a> {
    delta: &'a str,
}

#[derive(Serialize)]
struct SummaryDone<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct TextDone<'a> {
    text: &'a str,
    logprobs: [(); 0],
}

#[derive(Serialize)]
struct ArgumentsDone<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct InputDone<'a> {
    input: &'a str,
}

/// The name of the event of a piece.
fn delta_event(kind: &Kind) -> &'static str {
    match kind {
        Kind::Thoughts => "response.reasoning_summary_text.delta",
        Kind::Text => "response.output_text.delta",
        Kind::Call(_, origin) if origin.is_custom => "response.custom_tool_call_input.delta",
        Kind::Call(..) => "response.function_call_arguments.delta",
    }
}

fn at<'a>(kind: &Kind, item_id: &'a str, output_index: usize) -> At<'a> {
    At {
        item_id,
        output_index,
        content_index: (*kind == Kind::Text).then_some(0),
        summary_index: (*kind == Kind::Thoughts).then_some(0),
    }
}

/// How an event of this name begins, up to its number.
fn begin_event(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: {\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
}

/// How a piece of this item begins.
fn beginning(kind: &Kind, id: &str, index: usize) -> Vec<u8> {
    let mut beginning = Vec::new();
    begin_event(&mut beginning, delta_event(kind));
    beginning.push(b',');
    let mut place = json::to_vec(&at(kind, id, index));
    // The object goes on.
    place.pop();
    beginning.extend(place.iter().skip(1));
    if *kind == Kind::Text {
        beginning.extend_from_slice(br#","logprobs":[]"#);
    }
    beginning.extend_from_slice(br#","sequence_number":"#);
    beginning
}

/// How many digits a number has.
const fn digits(number: u64) -> usize {
    match number.checked_ilog10() {
        Some(more) => more as usize + 1,
        None => 1,
    }
}

impl Encoder {
    /// An encoder for `author`'s answer to `ask`.
    pub(super) fn new(ask: &ResponsesAsk, author: &Author) -> Self {
        let answer = Answer::new(ask, author);
        let id = answer.next_id(&Kind::Text);
        let beginning = beginning(&Kind::Text, &id, 0);
        Self { answer, sequence: 0, has_begun: false, open: None, beginning }
    }

    fn write_number(&mut self, out: &mut Vec<u8>) {
        json::write(out, &self.sequence);
        self.sequence += 1;
    }

    /// Writes an event with the fields of `data`, an object.
    fn write(&mut self, out: &mut Vec<u8>, name: &str, data: &impl Serialize) {
        begin_event(out, name);
        out.extend_from_slice(br#","sequence_number":"#);
        self.write_number(out);
        let end = out.len();
        json::write(out, data);
        // The fields stand in the event's own object.
        if let Some(brace) = out.get_mut(end) {
            *brace = b',';
        }
        out.extend_from_slice(b"\n\n");
    }

    /// Writes an event with the JSON object `value` in `field`.
    fn write_object(&mut self, out: &mut Vec<u8>, name: &str, fields: &[u8], value: &[u8]) {
        begin_event(out, name);
        out.extend_from_slice(br#","sequence_number":"#);
        self.write_number(out);
        out.extend_from_slice(fields);
        out.extend_from_slice(value);
        out.extend_from_slice(END_OF_PIECE);
    }

    /// Writes the events that must be the first, unless they are written.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let mut response = Vec::new();
        self.answer.write(&mut response, Status::InProgress, None);
        for name in ["response.created", "response.in_progress"] {
            self.write_object(out, name, br#","response":"#, &response);
        }
    }

    fn write_item(&mut self, out: &mut Vec<u8>, name: &str, item: &[u8]) {
        let fields = format!(r#","output_index":{},"item":"#, self.answer.output.len());
        self.write_object(out, name, fields.as_bytes(), item);
    }

    fn write_said(&mut self, out: &mut Vec<u8>, name: &str, open: &Open, what: impl Serialize) {
        let at = at(&open.kind, &open.id, self.answer.output.len());
        self.write(out, name, &Said { at, what });
    }

    fn open(&mut self, out: &mut Vec<u8>, kind: Kind) {
        self.close(out, Status::Completed);
        let open = Open { id: self.answer.next_id(&kind), kind, text: String::new() };
        let opened = item(&open.kind, &open.id, Status::InProgress, "");
        self.write_item(out, "response.output_item.added", &opened);
        match open.kind {
            Kind::Thoughts => {
                let part = Part { part: Summary { text: "" } };
                self.write_said(out, "response.reasoning_summary_part.added", &open, part);
            }
            Kind::Text => {
                let part = Part { part: OutputText::new("") };
                self.write_said(out, "response.content_part.added", &open, part);
            }
            Kind::Call(..) => {}
        }
        self.beginning = beginning(&open.kind, &open.id, self.answer.output.len());
        self.open = Some(open);
    }

    /// Writes all that the open item says once more, if one is open.
    fn close(&mut self, out: &mut Vec<u8>, status: Status) {
        let Some(Open { kind, id, text }) = self.open.take() else { return };
        let open = Open { text: said(&kind, status, text), kind, id };
        let text = open.text.as_str();
        match &open.kind {
            Kind::Thoughts => {
                self.write_said(out, "response.reasoning_summary_text.done", &open, SummaryDone { text });
                let part = Part { part: Summary { text } };
                self.write_said(out, "response.reasoning_summary_part.done", &open, part);
            }
            Kind::Text => {
                let done = TextDone { text, logprobs: [] };
                self.write_said(out, "response.output_text.done", &open, done);
                let part = Part { part: OutputText::new(text) };
                self.write_said(out, "response.content_part.done", &open, part);
            }
            Kind::Call(_, origin) if origin.is_custom => {
                // A text inside JSON cannot be passed on in pieces.
                self.write_said(out, delta_event(&open.kind), &open, Delta { delta: text });
                self.write_said(
                    out,
                    "response.custom_tool_call_input.done",
                    &open,
                    InputDone { input: text },
                );
            }
            Kind::Call(_, origin) => {
                let done = ArgumentsDone { name: &origin.name, arguments: text };
                self.write_said(out, "response.function_call_arguments.done", &open, done);
            }
        }
        let closed = item(&open.kind, &open.id, status, text);
        self.write_item(out, "response.output_item.done", &closed);
        self.answer.output.push(closed);
    }

    /// Writes a piece of text or of a thought, and opens an item for it if none of its kind is open.
    fn write_text(&mut self, out: &mut Vec<u8>, kind: Kind, text: &str) {
        if self.open.as_ref().is_none_or(|open| open.kind != kind) {
            self.open(out, kind);
        }
        self.write_piece(out, text);
    }

    /// Only the text is made anew: no struct is built for it.
    fn write_piece(&mut self, out: &mut Vec<u8>, piece: &str) {
        if let Some(open) = &mut self.open {
            open.text.push_str(piece);
        }
        out.extend_from_slice(&self.beginning);
        self.write_number(out);
        out.extend_from_slice(TO_DELTA);
        json::write_string(out, piece);
        out.extend_from_slice(END_OF_PIECE);
    }

    fn write_call(&mut self, out: &mut Vec<u8>, piece: &ToolCallPiece) {
        if let Some(opening) = &piece.opening {
            let origin = self.answer.origins.of(&opening.name);
            self.open(out, Kind::Call(opening.id.clone(), origin));
        }
        match &mut self.open {
            Some(Open { kind: Kind::Call(_, origin), text, .. }) if origin.is_custom => {
                text.push_str(&piece.arguments);
            }
            Some(Open { kind: Kind::Call(..), .. }) if !piece.arguments.is_empty() => {
                self.write_piece(out, &piece.arguments);
            }
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>, finish: FinishReason) {
        let status = Status::after(finish);
        self.close(out, status);
        let name = match status {
            Status::Incomplete => "response.incomplete",
            _ => "response.completed",
        };
        // Stored before the client knows of it: it may go on at once.
        let response = self.answer.finished(finish);
        self.write_object(out, name, br#","response":"#, &response);
    }
}

impl Encode for Encoder {
    fn content_type(&self) -> &'static str {
        media_type::EVENT_STREAM
    }

    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        // The dialect has no event for it. A comment that is followed by a blank line takes no event with it.
        out.extend_from_slice(b": keep-alive\n\n");
    }

    fn framing(&self) -> usize {
        self.beginning.len() + digits(self.sequence) + TO_DELTA.len() + br#""""#.len() + END_OF_PIECE.len()
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if matches!(event, Event::Reasoning(_)) && !self.answer.shows_thoughts {
            return;
        }
        if let Event::Usage(usage) = event {
            self.answer.usage = Some(usage);
            return;
        }
        self.begin(out);
        match event {
            Event::Text(text) => self.write_text(out, Kind::Text, &text),
            Event::Reasoning(text) => self.write_text(out, Kind::Thoughts, &text),
            Event::ToolCall(piece) => self.write_call(out, &piece),
            Event::Usage(_) => {}
            Event::Finish(reason) => self.finish(out, reason),
        }
    }

    fn taken_over(&mut self, author: Author) {
        // The ids stay: it is one answer.
        self.answer.model = author.name();
    }

    fn interrupted(&mut self, interrupted: &Interrupted, out: &mut Vec<u8>) -> AfterFailure {
        self.begin(out);
        let message = interrupted.to_string();
        let mut response = Vec::new();
        let failure = Failure { code: "server_error", message: &message };
        self.answer.write(&mut response, Status::Failed, Some(failure));
        self.write_object(out, "response.failed", br#","response":"#, &response);
        AfterFailure::EndNormally
    }
}
