//! A streamed answer in Google's form: events, or the elements of an array.

use serde::Serialize;

use super::answer::{Label, Part, call};
use super::errors;
use super::generate_ask::Form;
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
    /// Something was written.
    has_begun: bool,
    /// Text or a call has come.
    has_content: bool,
    /// The call whose pieces are coming: clients want it whole.
    call: OpenCall,
    /// How a piece ends behind its text.
    end_of_piece: Vec<u8>,
}

/// How a piece begins up to its text.
const TO_TEXT: &[u8] = br#"{"candidates":[{"content":{"role":"model","parts":[{"text":"#;

/// How a piece of a thought goes on behind its text.
const THOUGHT: &[u8] = br#","thought":true"#;

fn end_of_piece(label: &Label) -> Vec<u8> {
    let mut end = br#"}]},"index":0}],"modelVersion":"#.to_vec();
    json::write_string(&mut end, &label.model);
    end.extend_from_slice(br#","responseId":"#);
    json::write_string(&mut end, &label.id);
    end.push(b'}');
    end
}

impl Encoder {
    pub(super) fn new(author: Author, form: Form, shows_thoughts: bool) -> Self {
        let label = Label::of(&author);
        Self {
            end_of_piece: end_of_piece(&label),
            label,
            form,
            shows_thoughts,
            usage: None,
            has_begun: false,
            has_content: false,
            call: OpenCall::default(),
        }
    }

    /// What stands before a piece.
    fn open(&mut self, out: &mut Vec<u8>) {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        out.extend_from_slice(match (self.form, is_first) {
            (Form::Array, true) => b"[",
            (Form::Array, false) => b",\r\n",
            (Form::Events | Form::Whole, _) => b"data: ",
        });
    }

    /// What stands behind a piece.
    fn close(&self, out: &mut Vec<u8>) {
        if self.form != Form::Array {
            out.extend_from_slice(b"\r\n\r\n");
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, value: &impl Serialize) {
        self.open(out);
        json::write_line(out, value);
        self.close(out);
    }

    /// Only the text is made anew: no struct is built for it.
    fn write_text(&mut self, out: &mut Vec<u8>, text: &str, behind: &[u8]) {
        self.open(out);
        out.extend_from_slice(TO_TEXT);
        json::write_string(out, text);
        out.extend_from_slice(behind);
        out.extend_from_slice(&self.end_of_piece);
        self.close(out);
    }

    fn write_call(&mut self, out: &mut Vec<u8>, whole: Option<ToolCall>) {
        if let Some(whole) = whole {
            self.open(out);
            json::write_line(out, &self.label.piece(call(&whole).into_iter().collect(), None));
            self.close(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>, finish: FinishReason) {
        let last = self.call.end();
        self.open(out);
        if finish == FinishReason::ContentFilter && !self.has_content {
            json::write(out, &self.label.blocked(self.usage));
        } else {
            let part = last.as_ref().and_then(call).unwrap_or(Part::Text { text: "" });
            json::write_line(out, &self.label.piece(vec![part], Some((finish, self.usage))));
        }
        self.close(out);
        if self.form == Form::Array {
            out.push(b']');
        }
    }
}

impl Encode for Encoder {
    fn content_type(&self) -> &'static str {
        if self.form == Form::Array { media_type::JSON } else { media_type::EVENT_STREAM }
    }

    fn keep_alive(&mut self, _: &mut Vec<u8>) {
        // Clients of this dialect break on whatever is no piece of an answer.
    }

    fn framing(&self) -> usize {
        b"data: ".len() + TO_TEXT.len() + br#""""#.len() + self.end_of_piece.len() + b"\r\n\r\n".len()
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        self.has_content |= event.is_content();
        match event {
            Event::Text(text) => {
                let call = self.call.end();
                self.write_call(out, call);
                self.write_text(out, &text, b"");
            }
            Event::Reasoning(text) if self.shows_thoughts => self.write_text(out, &text, THOUGHT),
            Event::Reasoning(_) => {}
            Event::ToolCall(piece) => {
                let before = self.call.add(piece);
                self.write_call(out, before);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(reason) => self.finish(out, reason),
        }
    }

    fn taken_over(&mut self, author: Author) {
        // The id stays: it is one answer.
        self.label.model = Label::of(&author).model;
        self.end_of_piece = end_of_piece(&self.label);
    }

    fn interrupted(&mut self, interrupted: &Interrupted, out: &mut Vec<u8>) -> AfterFailure {
        self.write(out, &errors::late(interrupted));
        if self.form == Form::Array {
            out.push(b']');
        }
        // Gemini CLI passes over the error and takes what it has for the whole answer, unless the connection breaks.
        AfterFailure::AbortConnection
    }
}
