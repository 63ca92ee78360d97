//! An answer so far: turns what a provider's dialect reads into [`Event`]s.

use super::calls::{Calls, ExpectedCalls, WireCall};
use super::event::{Event, FinishReason, Usage};

/// The state of an answer that lasts until its end.
#[derive(Debug)]
pub(crate) struct AnswerSoFar {
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    calls: Calls,
}

impl AnswerSoFar {
    /// An empty answer. Tool calls are passed on only if they are `expected`.
    pub(crate) fn new(expected: Option<ExpectedCalls>) -> Self {
        Self { finish: None, usage: None, calls: Calls::new(expected) }
    }

    /// Whether a finish reason was seen.
    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// A sink for one event of the provider; content goes to `events` at once.
    pub(crate) fn sink<'a>(&'a mut self, events: &'a mut Vec<Event>) -> Sink<'a> {
        Sink { answer: self, events }
    }

    /// Ends the answer: adds what is missing from the last call, then usage and finish. `unstated` is the reason if the
    /// provider gave none. Returns false and adds nothing if there is no reason at all.
    pub(crate) fn end(&mut self, unstated: Option<FinishReason>, events: &mut Vec<Event>) -> bool {
        let Some(finish) = self.finish.or(unstated) else { return false };
        let finish = match (finish, self.calls.is_empty()) {
            // Gemini has no finish reason of its own for tool calls.
            (FinishReason::Stop, false) => FinishReason::ToolCalls,
            (FinishReason::ToolCalls, true) => FinishReason::Stop,
            (finish, _) => finish,
        };
        events.extend(self.calls.end().map(Event::ToolCall));
        events.extend(self.usage.map(Event::Usage));
        events.push(Event::Finish(finish));
        true
    }
}

/// Takes what a provider's event says: passes content on, and keeps the first finish and the last usage for the end.
/// After a finish only usage counts.
#[derive(Debug)]
pub struct Sink<'a> {
    answer: &'a mut AnswerSoFar,
    events: &'a mut Vec<Event>,
}

impl Sink<'_> {
    /// A piece of the answer; nothing if it is empty.
    pub fn text(&mut self, text: String) {
        if !text.is_empty() {
            self.pass_on(Event::Text(text));
        }
    }

    /// A piece of what the model thinks; nothing if it is empty.
    pub fn reasoning(&mut self, text: String) {
        if !text.is_empty() {
            self.pass_on(Event::Reasoning(text));
        }
    }

    /// A tool call, or a piece of one.
    pub fn call(&mut self, call: WireCall) {
        // A call after the finish is dropped, so it must not decide how the answer ends either.
        if self.answer.finish.is_some() {
            return;
        }
        for piece in self.answer.calls.take(call) {
            self.pass_on(Event::ToolCall(piece));
        }
    }

    /// The usage so far.
    pub fn usage(&mut self, usage: Usage) {
        self.answer.usage = Some(usage);
    }

    /// The answer is complete.
    pub fn finish(&mut self, reason: FinishReason) {
        self.answer.finish.get_or_insert(reason);
    }

    fn pass_on(&mut self, event: Event) {
        if self.answer.finish.is_none() {
            self.events.push(event);
        }
    }
}
