//! An answer that is not streamed, gathered from its events.

use crate::middle::{Event, FinishReason, ToolCall, ToolCallPiece, Usage};

/// All that an answer says.
#[derive(Debug)]
pub(super) struct Gathered {
    /// The answer itself.
    pub(super) text: String,
    /// What the model has thought.
    pub(super) thoughts: String,
    /// The calls, in order, each with all its arguments.
    pub(super) calls: Vec<ToolCall>,
    /// The tokens that it took, if the provider says so.
    pub(super) usage: Option<Usage>,
    /// Why it ended.
    pub(super) finish: FinishReason,
}

impl Gathered {
    /// What the events of a complete answer say.
    pub(super) fn of(events: Vec<Event>) -> Self {
        let (text, thoughts) = (String::new(), String::new());
        let mut all = Self { text, thoughts, calls: Vec::new(), usage: None, finish: FinishReason::Stop };
        events.into_iter().for_each(|event| all.add(event));
        all
    }

    fn add(&mut self, event: Event) {
        match event {
            Event::Text(piece) => self.text.push_str(&piece),
            Event::Reasoning(piece) => self.thoughts.push_str(&piece),
            Event::ToolCall(piece) => self.add_piece(piece),
            Event::Usage(counts) => self.usage = Some(counts),
            Event::Finish(reason) => self.finish = reason,
        }
    }

    fn add_piece(&mut self, piece: ToolCallPiece) {
        let ToolCallPiece { index, opening, arguments } = piece;
        if let Some(opening) = opening {
            let (id, name, signature) = (opening.id, opening.name, opening.signature);
            self.calls.push(ToolCall { id, name, arguments, signature });
        } else if let Some(call) = self.calls.get_mut(index) {
            call.arguments.push_str(&arguments);
        }
    }
}
