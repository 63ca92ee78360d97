//! OpenAI's responses, for every client that speaks them: `POST /v1/responses`, and what is stored of them.
//!
//! A client may send the whole conversation each time, as Codex does, or go on from an earlier answer by its id. The names
//! of tools in namespaces, and tools that take a text, are this dialect's own: the rest of the proxy knows functions only.
//!
//! Sources, checked 2026-11: the types and stream helpers of openai 3.57.0 (Python) and 7.59.0 (Node), and what Codex
//! 0.171 sends and reads.

mod answer;
mod encode;
mod errors;
mod features;
mod fetching;
mod names;
mod parse;
mod responses_ask;
pub(super) mod store;
mod stored;
mod whole;

use std::sync::Arc;

use http::request::Parts;
use serde::Serialize;

use self::encode::Encoder;
pub(crate) use self::errors::{error_response, error_response_for_codex};
use self::parse::Earlier;
use self::responses_ask::Place;
pub use self::responses_ask::ResponsesAsk;
pub use self::store::Store;
use self::store::Stored;
pub(crate) use self::stored::{cancel, delete, input_items, show};
use super::ask::Ask;
use super::author::Author;
use super::error::ApiError;
use super::media_type;
use super::memory::Memory;
use super::names::{Choice, Names, refused};
use crate::dispatch::estimated_tokens;
use crate::middle::{ChatRequest, Event, Feature};
use crate::wire::json;

impl Ask for ResponsesAsk {
    type Encoder = Encoder;

    fn parse(_: &Parts, body: &[u8]) -> Result<Self, ApiError> {
        parse::parse(body, None)
    }

    fn absent(&self, memory: &Memory<'_>) -> Vec<String> {
        let store = memory.responses;
        if !store.is_shared() {
            return Vec::new();
        }
        let owner = store.caller(memory.key);
        let ids = self.previous.iter().cloned().chain(stored::responses_of(&self.references));
        ids.filter(|id| store.find(id, owner).is_none()).collect()
    }

    fn referred_bytes(&self, memory: &Memory<'_>) -> usize {
        // Most requests refer to nothing, and whose they are takes a hash.
        if self.previous.is_none() && self.references.is_empty() {
            return 0;
        }
        let owner = memory.responses.caller(memory.key);
        let find = |id: &String| memory.responses.find(id, owner);
        let chain = self.previous.as_ref().and_then(find).map(|parent| parent.chain()).unwrap_or_default();
        let referred = stored::responses_of(&self.references);
        let referred = referred.iter().filter_map(find);
        chain.iter().map(|stored| stored.bytes()).chain(referred.map(|stored| stored.bytes())).sum()
    }

    fn recall(&mut self, body: &[u8], memory: &Memory<'_>) -> Result<(), ApiError> {
        let store = memory.responses;
        let owner = store.caller(memory.key);
        let find = |id: &String| store.find(id, owner).ok_or_else(|| unknown_previous(store, id));
        let parent = self.previous.as_ref().map(find).transpose()?;
        if parent.is_some() || !self.references.is_empty() {
            let chain = parent.as_ref().map(Stored::chain).unwrap_or_default();
            let items = stored::items(store, owner, &self.references);
            *self = parse::parse(body, Some(&Earlier { chain: &chain, items: &items }))?;
        }
        let is_last = parent.as_ref().is_some_and(|parent| !parent.has_room_for_more());
        self.draft = self.input.take().filter(|_| !is_last).and_then(|input| store.draft(input));
        self.place = Some(Place { store: store.clone(), owner, id: store.new_id(), parent });
        Ok(())
    }

    fn request(&mut self) -> &mut Arc<ChatRequest> {
        &mut self.request
    }

    fn is_stream(&self) -> bool {
        self.stream
    }

    fn choice(&self, names: Names<'_>) -> Result<Choice, ApiError> {
        names.chosen(&self.model).map_err(|error| refused(names.offered, &error))
    }

    fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn field(feature: Feature) -> Option<&'static str> {
        features::field(feature)
    }

    fn encoder(&self, author: Author) -> Encoder {
        Encoder::new(self, &author)
    }

    fn encode_whole(&self, events: Vec<Event>, author: &Author) -> (&'static str, Vec<u8>) {
        (media_type::JSON, whole::whole(self, events, author))
    }
}

fn unknown_previous(store: &Store, id: &str) -> ApiError {
    let id: String = id.chars().filter(char::is_ascii_graphic).take(80).collect();
    let why = if store.is_on() {
        "Responses are kept for an hour, in memory, for the key that asked for them"
    } else {
        "No response is kept here (RESPONSES_MEMORY_BYTES is 0)"
    };
    ApiError::UnknownPrevious(format!(
        "Previous response with id '{id}' not found. {why}. Send the whole conversation in 'input' instead"
    ))
}

/// The answer to `POST /v1/responses/input_tokens`: an estimate, for no provider is asked.
pub(crate) fn count_tokens(ask: &ResponsesAsk) -> Vec<u8> {
    #[derive(Serialize)]
    struct Count {
        object: &'static str,
        input_tokens: u64,
    }
    let input_tokens = estimated_tokens(&ask.request);
    json::to_vec(&Count { object: "response.input_tokens", input_tokens })
}
