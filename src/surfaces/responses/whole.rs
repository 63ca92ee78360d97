//! An answer that is not streamed, in the form of OpenAI's responses.

use super::answer::{Answer, Kind, Status, item, said};
use super::responses_ask::ResponsesAsk;
use crate::middle::{Event, ToolCall};
use crate::surfaces::author::Author;
use crate::surfaces::gathered::Gathered;

/// An answer that is not streamed; it is stored, if it is to be.
pub(super) fn whole(ask: &ResponsesAsk, events: Vec<Event>, author: &Author) -> Vec<u8> {
    let Gathered { text, thoughts, calls, usage, finish } = Gathered::of(events);
    let mut answer = Answer::new(ask, author);
    answer.usage = usage;
    let origins = answer.origins.clone();
    let shown = answer.shows_thoughts;
    let thoughts = Some((Kind::Thoughts, thoughts)).filter(|(_, text)| shown && !text.is_empty());
    let text = Some((Kind::Text, text)).filter(|(_, text)| !text.is_empty());
    let call = |ToolCall { id, name, arguments, .. }| (Kind::Call(id, origins.of(&name)), arguments);
    let mut items = thoughts.into_iter().chain(text).chain(calls.into_iter().map(call)).peekable();
    while let Some((kind, text)) = items.next() {
        // Only what was under way is incomplete.
        let status = if items.peek().is_none() { Status::after(finish) } else { Status::Completed };
        let id = answer.next_id(&kind);
        let text = said(&kind, status, text);
        answer.output.push(item(&kind, &id, status, &text));
    }
    answer.finished(finish)
}
