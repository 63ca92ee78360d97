//! An answer so far: turns what a provider's dialect reads into [`Event`]s.

use super::calls::{BadCalls, Calls, ExpectedCalls, WireCall};
use super::event::{Event, FinishReason, Usage};
use super::failure::{Cause, Diagnosis};
use super::inline_thoughts::InlineThoughts;

/// The state of an answer that lasts until its end.
#[derive(Debug)]
pub(crate) struct AnswerSoFar {
    finish: Option<FinishReason>,
    /// Content that still comes shows that the finish was none.
    may_go_on: bool,
    has_content: bool,
    /// The provider has stopped the model before any content.
    was_stopped: bool,
    failure: Option<Diagnosis>,
    usage: Option<Usage>,
    calls: Calls,
    thoughts: InlineThoughts,
}

impl AnswerSoFar {
    /// An empty answer. Tool calls are passed on only if they are `expected`.
    pub(crate) fn new(expected: Option<ExpectedCalls>) -> Self {
        Self {
            finish: None,
            may_go_on: false,
            has_content: false,
            was_stopped: false,
            failure: None,
            usage: None,
            calls: Calls::new(expected),
            thoughts: InlineThoughts::NONE,
        }
    }

    /// The same, whose text may begin with thoughts.
    #[must_use]
    pub(crate) fn thinking_in_text(self) -> Self {
        Self { thoughts: InlineThoughts::EXPECTED, ..self }
    }

    /// Whether a finish reason was seen.
    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether the provider has stopped the model before any content, for reasons of its own.
    pub(crate) fn was_stopped(&self) -> bool {
        self.was_stopped
    }

    /// What is wrong with the content so far, if anything; nothing more should be added then.
    pub(crate) fn take_failure(&mut self) -> Option<Diagnosis> {
        self.failure.take()
    }

    /// A sink for one event of the provider; content goes to `events` at once.
    pub(crate) fn sink<'a>(&'a mut self, events: &'a mut Vec<Event>) -> Sink<'a> {
        Sink { answer: self, events, said: Said::default() }
    }

    /// Ends the answer: adds what is missing from the calls, then usage and finish. `unstated` is the reason if the
    /// provider gave none.
    ///
    /// # Errors
    /// [`Cause::BrokenStream`] if there is no reason at all, [`Cause::GenerationUnreadable`] if arguments have come whose
    /// call has no name, because a client would run the other calls and never learn of this one, or if they must be an
    /// object and are none, although the answer was not cut off at the limit of its length. Nothing has been added then.
    pub(crate) fn end(
        &mut self,
        unstated: Option<FinishReason>,
        events: &mut Vec<Event>,
    ) -> Result<(), Cause> {
        let finish = self.finish.or(unstated).ok_or(Cause::BrokenStream)?;
        if self.calls.has_nameless() {
            return Err(Cause::GenerationUnreadable);
        }
        let finish = match (finish, self.calls.is_empty()) {
            // Gemini has no finish reason of its own for tool calls.
            (FinishReason::Stop, false) => FinishReason::ToolCalls,
            (FinishReason::ToolCalls, true) => FinishReason::Stop,
            (finish, _) => finish,
        };
        let calls =
            self.calls.end(finish == FinishReason::Length).map_err(|BadCalls| Cause::GenerationUnreadable)?;
        events.extend(self.thoughts.end());
        events.extend(calls.into_iter().map(Event::ToolCall));
        events.extend(self.usage.map(Event::Usage));
        events.push(Event::Finish(finish));
        Ok(())
    }
}

/// Takes what a provider's event says: passes content on, and keeps the first finish and the last usage for the end.
/// After a finish only usage counts, unless the finish [may be taken back](Sink::stop_for_now).
#[derive(Debug)]
pub struct Sink<'a> {
    answer: &'a mut AnswerSoFar,
    events: &'a mut Vec<Event>,
    said: Said,
}

/// What the one event of a provider has said that a [`Sink`] is for, whether it was passed on or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// How many pieces of text and thoughts.
    pub(crate) pieces: u32,
    /// Usage.
    pub(crate) usage: bool,
    /// Calls, how the answer ends, or text that was not passed on as it was.
    pub(crate) more: bool,
}

impl Sink<'_> {
    /// What was said so far.
    pub(crate) fn said(&self) -> Said {
        self.said
    }

    /// A piece of the answer; nothing if it is empty.
    pub fn text(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.said.pieces += 1;
            if self.answer.thoughts.are_over() {
                self.pass_on(Event::Text(text));
            } else {
                // Not what the event has said: what may be a mark is held back, and text may be a thought.
                self.said.more = true;
                let told = self.answer.thoughts.take(&text);
                told.into_iter().for_each(|event| self.pass_on(event));
            }
        }
    }

    /// A piece of what the model thinks; nothing if it is empty.
    pub fn reasoning(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.said.pieces += 1;
            self.pass_on(Event::Reasoning(text));
        }
    }

    /// A tool call, or a piece of one.
    pub fn call(&mut self, call: WireCall) {
        self.said.more = true;
        // A call after the finish is dropped, so it must not decide how the answer ends either.
        if self.is_over() || self.answer.failure.is_some() {
            return;
        }
        match self.answer.calls.take(call) {
            Ok(pieces) => pieces.into_iter().for_each(|piece| self.pass_on(Event::ToolCall(piece))),
            // The model has lost itself, which says nothing of what another request will get.
            Err(BadCalls) => self.fail(Cause::GenerationUnreadable),
        }
    }

    /// The usage so far.
    pub fn usage(&mut self, usage: Usage) {
        self.said.usage = true;
        self.answer.usage = Some(usage);
    }

    /// The answer is complete.
    pub fn finish(&mut self, reason: FinishReason) {
        self.said.more = true;
        self.answer.finish.get_or_insert(reason);
    }

    /// The provider says that the answer is complete, but may still go on: text or a call that follows takes it back.
    pub fn stop_for_now(&mut self) {
        self.said.more = true;
        if self.answer.finish.is_none() {
            self.answer.finish = Some(FinishReason::Stop);
            self.answer.may_go_on = true;
        }
    }

    /// The provider has stopped the model for no reason that a client could know. Behind content that is a broken
    /// answer; without any it is an empty one, as after a stop.
    pub fn stop_without_reason(&mut self) {
        self.said.more = true;
        if self.answer.finish.is_some() {
            return;
        }
        if self.answer.has_content || !self.answer.calls.is_empty() {
            self.fail(Cause::BrokenStream);
        } else {
            self.answer.was_stopped = true;
            self.finish(FinishReason::Stop);
        }
    }

    fn fail(&mut self, cause: Cause) {
        self.answer.failure.get_or_insert(cause.into());
    }

    fn is_over(&self) -> bool {
        self.answer.finish.is_some() && !self.answer.may_go_on
    }

    fn pass_on(&mut self, event: Event) {
        let is_content = event.is_content();
        if self.is_over() || (self.answer.finish.is_some() && !is_content) {
            return;
        }
        self.answer.finish = None;
        self.answer.may_go_on = false;
        self.answer.has_content |= is_content;
        self.events.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_with_a_nameless_call(finish: impl FnOnce(&mut Sink<'_>)) -> (AnswerSoFar, Vec<Event>) {
        let expected = ExpectedCalls {
            renamed: Vec::new(),
            offered: vec!["look".to_owned()],
            needs_objects: false,
            taken: Vec::new(),
            random: fastrand::Rng::with_seed(7),
        };
        let (mut answer, mut events) = (AnswerSoFar::new(Some(expected)), Vec::new());
        let mut sink = answer.sink(&mut events);
        sink.call(WireCall { arguments: r#"{"a":1}"#.to_owned(), ..WireCall::default() });
        finish(&mut sink);
        (answer, events)
    }

    #[test]
    fn a_call_without_a_name_is_judged_at_the_end_alone_however_the_answer_finishes() {
        type Finish = fn(&mut Sink<'_>);
        let cases: [(&str, Finish, Option<FinishReason>, Cause); 6] = [
            (
                "a stated finish",
                |sink| sink.finish(FinishReason::ToolCalls),
                None,
                Cause::GenerationUnreadable,
            ),
            ("at the limit", |sink| sink.finish(FinishReason::Length), None, Cause::GenerationUnreadable),
            ("a stop that may be taken back", |sink| sink.stop_for_now(), None, Cause::GenerationUnreadable),
            ("a stop for no reason", |sink| sink.stop_without_reason(), None, Cause::GenerationUnreadable),
            ("the end mark alone", |_| {}, Some(FinishReason::Stop), Cause::GenerationUnreadable),
            ("no finish", |_| {}, None, Cause::BrokenStream),
        ];
        for (case, finish, unstated, expected) in cases {
            let (mut answer, mut events) = answer_with_a_nameless_call(finish);
            assert_eq!(answer.take_failure(), None, "{case}: before the end");
            assert_eq!(answer.end(unstated, &mut events), Err(expected), "{case}");
            assert_eq!(events, [], "{case}");
        }
    }

    #[test]
    fn an_answer_whose_arguments_must_be_an_object_and_are_none_does_not_end() {
        for finish in [FinishReason::ToolCalls, FinishReason::Stop] {
            let expected = ExpectedCalls {
                renamed: Vec::new(),
                offered: vec!["look".to_owned()],
                needs_objects: true,
                taken: Vec::new(),
                random: fastrand::Rng::with_seed(7),
            };
            let (mut answer, mut events) = (AnswerSoFar::new(Some(expected)), Vec::new());
            let mut sink = answer.sink(&mut events);
            let (name, arguments) = (Some("look".to_owned()), "{\"at\":".to_owned());
            sink.call(WireCall { name, arguments, ..WireCall::default() });
            sink.finish(finish);
            let told = events.len();
            assert_eq!(answer.end(None, &mut events), Err(Cause::GenerationUnreadable), "{finish:?}");
            assert_eq!(events.len(), told, "{finish:?}: nothing that looks like an end");
        }
    }

    /// What is told of calls with these arguments when the answer is cut off at the limit of its length.
    fn cut(needs_objects: bool, arguments: &[&str]) -> Result<Vec<(usize, bool, String)>, Cause> {
        let expected = ExpectedCalls {
            renamed: Vec::new(),
            offered: vec!["look".to_owned()],
            needs_objects,
            taken: Vec::new(),
            random: fastrand::Rng::with_seed(7),
        };
        let (mut answer, mut events) = (AnswerSoFar::new(Some(expected)), Vec::new());
        let mut sink = answer.sink(&mut events);
        for (number, arguments) in (0..).zip(arguments) {
            let (name, arguments) = (Some("look".to_owned()), (*arguments).to_owned());
            sink.call(WireCall { number: Some(number), name, arguments, ..WireCall::default() });
        }
        sink.finish(FinishReason::Length);
        answer.end(None, &mut events)?;
        assert_eq!(events.pop(), Some(Event::Finish(FinishReason::Length)), "{arguments:?}");
        let piece = |event| match event {
            Event::ToolCall(it) => (it.index, it.opening.is_some(), it.arguments),
            other => panic!("{other:?}"),
        };
        Ok(events.into_iter().map(piece).collect())
    }

    #[test]
    fn a_call_that_was_cut_off_never_looks_whole() {
        let whole = r#"{"at":"sea"}"#;
        for begun in ["", " ", "{"] {
            assert_eq!(cut(true, &[begun]), Ok(Vec::new()), "{begun:?}: nobody has begun to read it");
            assert_eq!(cut(true, &[whole, begun]), Ok(vec![(0, true, whole.to_owned())]), "{begun:?}");
            assert_eq!(cut(true, &[begun, whole]), Ok(Vec::new()), "{begun:?}");
            let told: String = cut(false, &[begun]).unwrap().into_iter().map(|(_, _, piece)| piece).collect();
            assert_eq!(told, begun.trim(), "nothing is added");
        }
        for needs_objects in [true, false] {
            // The last is whole.
            for arguments in [r#"{"at":"se"#, "{}"] {
                let told = cut(needs_objects, &[arguments]).unwrap();
                assert_eq!(told.into_iter().map(|(_, _, piece)| piece).collect::<String>(), arguments);
            }
        }
        assert_eq!(cut(true, &["[1]"]), Err(Cause::GenerationUnreadable), "it was not cut off");
    }
}
