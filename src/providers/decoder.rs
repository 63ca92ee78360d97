//! Turns the bytes of a provider's answer into events of the middle; no I/O, no clock.
//!
//! Defines what "complete" means: a finish reason or the dialect's end mark was seen. An end without either is a broken
//! answer, however whole its text looks. No finish is ever made up. A finish that gives no reason which a client could
//! know is none behind content.

use super::directory::Provider;
use super::pattern::Memory;
use super::wire::Decoded;
use crate::middle::{AnswerSoFar, Cause, Diagnosis, Event, ExpectedCalls, FinishReason, RawWords, Said};
use crate::wire::sse;

/// Longest answer accepted as one JSON document instead of a stream, in bytes.
const MAX_JSON_BYTES: usize = 64 * 1024 * 1024;

/// Decodes one answer. Feed it with [`push`](Self::push), end it with [`end`](Self::end).
#[derive(Debug)]
pub struct AnswerDecoder {
    framing: Framing,
    content: Content,
}

#[derive(Debug)]
enum Framing {
    Sse(sse::Decoder),
    /// The provider sends one document although a stream was asked for. It counts as one event.
    Json(Vec<u8>),
}

/// The answer as a whole.
#[derive(Debug)]
struct Content {
    provider: Provider,
    answer: AnswerSoFar,
    memory: Memory,
    is_done: bool,
    has_begun: bool,
    unreadable_events: u32,
}

impl AnswerDecoder {
    /// A decoder for an answer in `provider`'s dialect: a stream of events, or one JSON document if `is_json`. Tool
    /// calls are passed on only if they are `expected`.
    pub fn new(provider: Provider, is_json: bool, expected: Option<ExpectedCalls>) -> Self {
        let framing = if is_json { Framing::Json(Vec::new()) } else { Framing::Sse(sse::Decoder::default()) };
        let answer = AnswerSoFar::new(expected);
        let answer = if provider.thinks_in_text() { answer.thinking_in_text() } else { answer };
        let content = Content {
            provider,
            answer,
            memory: Memory::default(),
            is_done: false,
            has_begun: false,
            unreadable_events: 0,
        };
        Self { framing, content }
    }

    /// The same, but it parses each event, even one that is like the last: for comparisons.
    #[must_use]
    pub fn without_memory(mut self) -> Self {
        self.content.memory = Memory::that_learns_nothing();
        self
    }

    /// Decodes bytes as they come and adds their text, reasoning and calls to `events`.
    ///
    /// # Errors
    /// The answer reports a failure, or cannot be read any further. What it said before has been added.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Diagnosis> {
        match &mut self.framing {
            Framing::Json(document) if document.len() + bytes.len() > MAX_JSON_BYTES => {
                Err(Cause::ServerError.into())
            }
            Framing::Json(document) => {
                document.extend_from_slice(bytes);
                Ok(())
            }
            Framing::Sse(sse) => {
                let mut feed = sse.feed(bytes);
                while let Some(event) = feed.next().map_err(too_large)? {
                    self.content.take_next(event.name, event.data, events)?;
                }
                Ok(())
            }
        }
    }

    /// Ends the answer, because the provider ended it or its time is up. Adds usage and finish.
    ///
    /// # Errors
    /// [`Cause::NoAnswer`] if there was nothing at all, [`Cause::BrokenStream`] if the answer is not complete,
    /// [`Cause::GenerationUnreadable`] if one of its calls has no name, or the failure reported at its end.
    pub fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnosis> {
        match &mut self.framing {
            Framing::Json(document) => self.content.take_if_any(document.trim_ascii(), events)?,
            Framing::Sse(sse) => {
                if let Some(last) = sse.finish().map_err(too_large)? {
                    self.content.take(last.name, last.data, events).map(drop)?;
                }
                // Google reports late failures as bare JSON after good events.
                if !self.content.is_complete() {
                    self.content.take_if_any(sse.stray().trim_ascii(), events)?;
                }
            }
        }
        self.content.end(events)
    }

    /// Whether the answer is complete, though its usage may still be on the way. Gemini's may go on after a stop; then it
    /// is not complete any more.
    pub fn is_complete(&self) -> bool {
        self.content.is_complete()
    }

    /// Whether the rest of the body can be ignored.
    pub fn is_done(&self) -> bool {
        self.content.is_done
    }

    /// Whether the provider has stopped the model before any content, for reasons of its own.
    pub fn was_stopped(&self) -> bool {
        self.content.answer.was_stopped()
    }

    /// How many events so far did not have the expected form and were skipped.
    pub fn unreadable_events(&self) -> u32 {
        self.content.unreadable_events
    }
}

impl Content {
    fn is_complete(&self) -> bool {
        self.is_done || self.answer.is_finished()
    }

    /// Takes one of many events: most are of the form of the one before.
    fn take_next(&mut self, name: &str, data: &[u8], events: &mut Vec<Event>) -> Result<(), Diagnosis> {
        let is_plain = name.is_empty() && !self.is_done;
        if is_plain && self.memory.say(data, &mut self.answer.sink(events)) {
            return Ok(());
        }
        let known = events.len();
        let said = self.take(name, data, events)?;
        if let (true, Some(Said { pieces: 1, usage: has_usage, more: false })) = (is_plain, said)
            && let [piece] = events.get(known..).unwrap_or_default()
        {
            self.memory.learn(data, piece, has_usage);
        }
        Ok(())
    }

    /// Parses an event. Returns what it has said, if it was understood.
    fn take(&mut self, name: &str, data: &[u8], events: &mut Vec<Event>) -> Result<Option<Said>, Diagnosis> {
        if self.is_done {
            return Ok(None);
        }
        self.has_begun = true;
        let mut sink = self.answer.sink(events);
        let decoded = self.provider.decode(name, data, &mut sink);
        let said = sink.said();
        if said.usage {
            self.memory.forget_usage();
        }
        if let Some(diagnosis) = self.answer.take_failure() {
            return Err(diagnosis);
        }
        match decoded {
            Ok(Decoded::Understood) => return Ok(Some(said)),
            Ok(Decoded::Done) => self.is_done = true,
            Ok(Decoded::Unreadable) => self.unreadable_events = self.unreadable_events.saturating_add(1),
            Err(_) if self.is_complete() => {}
            Err(Diagnosis { cause: Cause::Moderated, .. }) => {
                self.answer.sink(events).finish(FinishReason::ContentFilter);
            }
            Err(diagnosis) => return Err(diagnosis),
        }
        Ok(None)
    }

    /// Reads the usage of the last event that was not parsed.
    fn read_usage(&mut self) {
        let event = self.memory.take_unread();
        if !event.is_empty() {
            // It was understood when it was learned, and its text is empty now.
            let _ = self.provider.decode("", &event, &mut self.answer.sink(&mut Vec::new()));
        }
    }

    fn take_if_any(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Diagnosis> {
        if data.is_empty() { Ok(()) } else { self.take("", data, events).map(drop) }
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnosis> {
        if !self.has_begun {
            return Err(Cause::NoAnswer.into());
        }
        self.read_usage();
        // The end mark alone counts as a stop.
        let unstated = self.is_done.then_some(FinishReason::Stop);
        self.answer.end(unstated, events).map_err(Diagnosis::from)
    }
}

fn too_large(error: sse::EventTooLarge) -> Diagnosis {
    Diagnosis { message: Some(RawWords(error.to_string())), ..Cause::ServerError.into() }
}

#[cfg(test)]
mod tests;
