//! A streamed answer in Ollama's form: a JSON object a line.

use tokio::time::Instant;

use super::answer::{Ending, Label, Said, Took};
use super::errors;
use super::ollama_ask::{Form, OllamaAsk};
use crate::middle::{Event, FinishReason, ToolCall, Usage};
use crate::surfaces::author::Author;
use crate::surfaces::encode::{AfterFailure, Encode, Interrupted};
use crate::surfaces::gathered::OpenCall;
use crate::surfaces::media_type;
use crate::wire::json;

/// Writes a streamed answer.
#[derive(Debug)]
pub struct Encoder {
    label: Label,
    form: Form,
    shows_thoughts: bool,
    usage: Option<Usage>,
    /// When the request was read, and when its answer began.
    received: Instant,
    begun: Instant,
    /// The call whose pieces are coming: clients want it whole.
    call: OpenCall,
    /// How many calls were written.
    calls: usize,
    /// How a line begins, up to what it says.
    start_of_line: Vec<u8>,
}

fn start_of_line(label: &Label) -> Vec<u8> {
    let mut start = br#"{"model":"#.to_vec();
    json::write_string(&mut start, &label.model);
    start.extend_from_slice(br#","created_at":"#);
    json::write_string(&mut start, &label.created_at);
    start.push(b',');
    start
}

/// What a line says: text, or a piece of a thought.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Thought,
}

impl Encoder {
    pub(super) fn new(ask: &OllamaAsk, author: &Author) -> Self {
        let label = Label::of(author);
        Self {
            start_of_line: start_of_line(&label),
            label,
            form: ask.form,
            shows_thoughts: ask.request.wants_thoughts,
            usage: None,
            received: ask.received,
            begun: Instant::now(),
            call: OpenCall::default(),
            calls: 0,
        }
    }

    /// What stands before and behind what a line says.
    fn around(&self, kind: Kind) -> (&'static [u8], &'static [u8]) {
        match (self.form, kind) {
            (Form::Message, Kind::Text) => {
                (br#""message":{"role":"assistant","content":"#, b"},\"done\":false}\n")
            }
            (Form::Message, Kind::Thought) => {
                (br#""message":{"role":"assistant","content":"","thinking":"#, b"},\"done\":false}\n")
            }
            (Form::Response, Kind::Text) => (br#""response":"#, b",\"done\":false}\n"),
            (Form::Response, Kind::Thought) => (br#""response":"","thinking":"#, b",\"done\":false}\n"),
        }
    }

    /// Only the text is made anew: no struct is built for it.
    fn write_text(&self, out: &mut Vec<u8>, text: &str, kind: Kind) {
        let (before, behind) = self.around(kind);
        out.extend_from_slice(&self.start_of_line);
        out.extend_from_slice(before);
        json::write_string(out, text);
        out.extend_from_slice(behind);
    }

    fn write_call(&mut self, out: &mut Vec<u8>, call: Option<ToolCall>) {
        let Some(call) = call else { return };
        let said = Said { calls: &[call], first: self.calls, ..Said::default() };
        json::write_line(out, &self.label.line(self.form, said, None));
        out.push(b'\n');
        self.calls += 1;
    }

    fn finish(&mut self, out: &mut Vec<u8>, finish: FinishReason) {
        let took = Took { waiting: self.begun - self.received, answering: self.begun.elapsed() };
        let ending = Ending { finish, usage: self.usage, took };
        json::write_line(out, &self.label.line(self.form, Said::default(), Some(ending)));
        out.push(b'\n');
    }
}

impl Encode for Encoder {
    fn content_type(&self) -> &'static str {
        media_type::LINES
    }

    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        self.write_text(out, "", Kind::Text);
    }

    fn framing(&self) -> usize {
        let (before, behind) = self.around(Kind::Text);
        self.start_of_line.len() + before.len() + br#""""#.len() + behind.len()
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Text(text) => {
                let call = self.call.end();
                self.write_call(out, call);
                self.write_text(out, &text, Kind::Text);
            }
            Event::Reasoning(text) if self.shows_thoughts => self.write_text(out, &text, Kind::Thought),
            Event::Reasoning(_) => {}
            Event::ToolCall(piece) => {
                let before = self.call.add(piece);
                self.write_call(out, before);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(reason) => {
                let call = self.call.end();
                self.write_call(out, call);
                self.finish(out, reason);
            }
        }
    }

    fn taken_over(&mut self, author: Author) {
        // The time stays: it is one answer.
        self.label.model = Label::of(&author).model;
        self.start_of_line = start_of_line(&self.label);
    }

    fn interrupted(&mut self, interrupted: &Interrupted, out: &mut Vec<u8>) -> AfterFailure {
        json::write_line(out, &errors::late(interrupted));
        out.push(b'\n');
        // Clients that pass over what they do not know would take what they have for the whole answer.
        AfterFailure::AbortConnection
    }
}
