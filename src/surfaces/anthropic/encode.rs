//! A streamed answer in Anthropic's form.

use serde::Serialize;

use super::errors;
use super::usage::{WireUsage, id, stop_reason};
use crate::middle::{Event, FinishReason, ToolCallPiece};
use crate::surfaces::author::Author;
use crate::surfaces::encode::{AfterFailure, Encode, Interrupted};
use crate::surfaces::media_type;
use crate::wire::json;

/// Writes a streamed answer.
#[derive(Debug)]
pub struct Encoder {
    id: String,
    model: String,
    shows_thoughts: bool,
    /// Until the provider has counted.
    usage: WireUsage,
    has_begun: bool,
    /// What the open block holds, if one is open.
    open: Option<Block>,
    /// The number of the open block, or of the next one.
    index: usize,
    /// How a piece of the open block begins, and of text as long as none is open; see [`beginning`].
    beginning: Vec<u8>,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Thoughts,
    Text,
    Call,
}

impl Block {
    /// How the delta of a piece goes on to its string.
    const fn delta(self) -> &'static [u8] {
        match self {
            Self::Thoughts => br#"{"type":"thinking_delta","thinking":"#,
            Self::Text => br#"{"type":"text_delta","text":"#,
            Self::Call => br#"{"type":"input_json_delta","partial_json":"#,
        }
    }
}

/// How a piece ends behind its string.
const END_OF_PIECE: &[u8] = b"}}\n\n";

/// How a piece of block `index` begins, up to its string.
fn beginning(block: Block, index: usize) -> Vec<u8> {
    let mut beginning =
        b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":".to_vec();
    json::write(&mut beginning, &index);
    beginning.extend_from_slice(br#","delta":"#);
    beginning.extend_from_slice(block.delta());
    beginning
}

/// An event; its type stands in the line before the data, too, because clients read either.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Wire<'a> {
    MessageStart { message: Message<'a> },
    ContentBlockStart { index: usize, content_block: Start<'a> },
    ContentBlockDelta { index: usize, delta: Signature },
    ContentBlockStop { index: usize },
    MessageDelta { delta: End, usage: WireUsage },
    MessageStop {},
    Ping {},
}

impl Wire<'_> {
    const fn name(&self) -> &'static [u8] {
        match self {
            Self::MessageStart { .. } => b"message_start",
            Self::ContentBlockStart { .. } => b"content_block_start",
            Self::ContentBlockDelta { .. } => b"content_block_delta",
            Self::ContentBlockStop { .. } => b"content_block_stop",
            Self::MessageDelta { .. } => b"message_delta",
            Self::MessageStop {} => b"message_stop",
            Self::Ping {} => b"ping",
        }
    }
}

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: [(); 0],
    stop_reason: Option<()>,
    stop_sequence: Option<()>,
    usage: WireUsage,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Start<'a> {
    Thinking { thinking: &'static str, signature: &'static str },
    Text { text: &'static str },
    ToolUse { id: &'a str, name: &'a str, input: Empty },
}

/// `{}`
#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(tag = "type", rename = "signature_delta")]
struct Signature {
    signature: &'static str,
}

#[derive(Serialize)]
struct End {
    stop_reason: &'static str,
    stop_sequence: Option<()>,
}

fn write(out: &mut Vec<u8>, event: &Wire<'_>) {
    write_event(out, event.name(), event);
}

fn write_event(out: &mut Vec<u8>, name: &[u8], data: &impl Serialize) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name);
    out.extend_from_slice(b"\ndata: ");
    json::write(out, data);
    out.extend_from_slice(b"\n\n");
}

impl Encoder {
    /// An encoder for an answer of `author` to a prompt of about `prompt_tokens`.
    pub(super) fn new(author: &Author, prompt_tokens: u64, shows_thoughts: bool) -> Self {
        Self {
            id: id(author),
            model: author.name(),
            shows_thoughts,
            usage: WireUsage::estimated(prompt_tokens),
            has_begun: false,
            open: None,
            index: 0,
            beginning: beginning(Block::Text, 0),
        }
    }

    /// Writes the event that must be the first, unless it is written.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        let message = Message {
            id: &self.id,
            r#type: "message",
            role: "assistant",
            model: &self.model,
            content: [],
            stop_reason: None,
            stop_sequence: None,
            usage: self.usage,
        };
        write(out, &Wire::MessageStart { message });
    }

    /// Writes a piece of text or of a thought, and opens a block for it if none of its kind is open.
    fn write_text(&mut self, out: &mut Vec<u8>, block: Block, text: &str) {
        if self.open != Some(block) {
            let start = match block {
                Block::Thoughts => Start::Thinking { thinking: "", signature: "" },
                _ => Start::Text { text: "" },
            };
            self.open(out, block, start);
        }
        self.write_piece(out, text);
    }

    /// Only the text is made anew: no struct is built for it.
    fn write_piece(&self, out: &mut Vec<u8>, piece: &str) {
        out.extend_from_slice(&self.beginning);
        json::write_string(out, piece);
        out.extend_from_slice(END_OF_PIECE);
    }

    fn open(&mut self, out: &mut Vec<u8>, block: Block, content_block: Start<'_>) {
        self.close(out);
        write(out, &Wire::ContentBlockStart { index: self.index, content_block });
        self.open = Some(block);
        self.beginning = beginning(block, self.index);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some(block) = self.open.take() else { return };
        let index = self.index;
        if block == Block::Thoughts {
            // Nobody here signs thoughts, and the field belongs to the block.
            write(out, &Wire::ContentBlockDelta { index, delta: Signature { signature: "" } });
        }
        write(out, &Wire::ContentBlockStop { index });
        self.index += 1;
    }

    fn write_call(&mut self, out: &mut Vec<u8>, piece: &ToolCallPiece) {
        if let Some(opening) = &piece.opening {
            let start = Start::ToolUse { id: &opening.id, name: &opening.name, input: Empty {} };
            self.open(out, Block::Call, start);
        }
        if !piece.arguments.is_empty() && self.open == Some(Block::Call) {
            self.write_piece(out, &piece.arguments);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>, finish: FinishReason) {
        self.close(out);
        let delta = End { stop_reason: stop_reason(finish), stop_sequence: None };
        write(out, &Wire::MessageDelta { delta, usage: self.usage });
        write(out, &Wire::MessageStop {});
    }
}

impl Encode for Encoder {
    fn content_type(&self) -> &'static str {
        media_type::EVENT_STREAM
    }

    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        write(out, &Wire::Ping {});
    }

    fn framing(&self) -> usize {
        self.beginning.len() + br#""""#.len() + END_OF_PIECE.len()
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if matches!(event, Event::Reasoning(_)) && !self.shows_thoughts {
            return;
        }
        if let Event::Usage(usage) = event {
            self.usage = usage.into();
            return;
        }
        self.begin(out);
        match event {
            Event::Text(text) => self.write_text(out, Block::Text, &text),
            Event::Reasoning(text) => self.write_text(out, Block::Thoughts, &text),
            Event::ToolCall(piece) => self.write_call(out, &piece),
            Event::Usage(_) => {}
            Event::Finish(reason) => self.finish(out, reason),
        }
    }

    fn taken_over(&mut self, author: Author) {
        // The first event, which alone names a model, may be out. The id stays: it is one answer.
        self.model = author.name();
    }

    fn interrupted(&mut self, interrupted: &Interrupted, out: &mut Vec<u8>) -> AfterFailure {
        let message = interrupted.to_string();
        write_event(out, b"error", &errors::late(interrupted, &message));
        AfterFailure::EndNormally
    }
}
