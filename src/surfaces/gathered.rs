//! An answer that is not streamed, gathered from its events, and calls of streamed ones, gathered from their pieces.

use crate::middle::{Event, FinishReason, ToolCall, ToolCallOpening, ToolCallPiece, Usage};

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
            self.calls.push(begun(opening, arguments));
        } else if let Some(call) = self.calls.get_mut(index) {
            call.arguments.push_str(&arguments);
        }
    }
}

/// The call of a stream whose pieces are coming, for dialects in which a call stands whole.
#[derive(Debug, Default)]
pub(super) struct OpenCall(Option<ToolCall>);

impl OpenCall {
    /// Adds a piece. Returns the call before it, if another begins with it.
    pub(super) fn add(&mut self, piece: ToolCallPiece) -> Option<ToolCall> {
        let ToolCallPiece { opening, arguments, .. } = piece;
        if let Some(opening) = opening {
            return self.0.replace(begun(opening, arguments));
        }
        if let Some(call) = &mut self.0 {
            call.arguments.push_str(&arguments);
        }
        None
    }

    /// The call, now that something else comes.
    pub(super) fn end(&mut self) -> Option<ToolCall> {
        self.0.take()
    }
}

fn begun(opening: ToolCallOpening, arguments: String) -> ToolCall {
    let ToolCallOpening { id, name, signature } = opening;
    ToolCall { id, name, arguments, signature }
}
