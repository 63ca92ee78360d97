//! What clients ask about answers that are stored.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use url::form_urlencoded;

use super::store::{Caller, Store, Stored};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, bad, each, fields, wrong};
use crate::surfaces::memory::Memory;
use crate::wire::json;

/// An item without its text takes no more than this in a list, beyond what the client has sent.
const LISTED_BYTES: usize = 256;

/// A longer id, which only a client can have made up, is not repeated at the end of a list.
const MAX_ID_BYTES: usize = 100;

/// As many items are listed at once; OpenAI's numbers.
const USUAL_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// The stored response of this id: not a copy, however many clients ask for it.
///
/// # Errors
/// There is none, or the client wants it as a stream.
pub(crate) fn show(memory: &Memory<'_>, id: &str, query: &str) -> Result<Bytes, ApiError> {
    let is_stream = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
        name == "stream" && matches!(&*value, "true" | "True" | "1")
    };
    if form_urlencoded::parse(query.as_bytes()).any(is_stream) {
        return Err(bad("'stream' is not available here: a stored response is sent as a whole"));
    }
    find(memory, id).map(Stored::shown)
}

/// Forgets the stored response of this id.
///
/// # Errors
/// There is none.
pub(crate) fn delete(memory: &Memory<'_>, id: &str) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct Deleted<'a> {
        id: &'a str,
        object: &'static str,
        deleted: bool,
    }
    let owner = memory.responses.caller(memory.key);
    if !memory.responses.forget(id, owner) {
        return Err(unknown(id));
    }
    Ok(json::to_vec(&Deleted { id, object: "response", deleted: true }))
}

/// What the client has sent for the stored response of this id, the last of it first, as OpenAI has it.
///
/// # Errors
/// There is none, or what is wrong with the query.
pub(crate) fn input_items(memory: &Memory<'_>, id: &str, query: &str) -> Result<InputItems, ApiError> {
    let page = Page::parse(query)?;
    Ok(InputItems { stored: find(memory, id)?, page })
}

/// A question for the items of a request.
#[derive(Debug)]
pub(crate) struct InputItems {
    stored: Arc<Stored>,
    page: Page,
}

/// Which part of a list a client wants.
#[derive(Debug)]
struct Page {
    limit: usize,
    /// The id of the last item that the client has.
    after: Option<String>,
    oldest_first: bool,
}

impl Page {
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut page = Self { limit: USUAL_LIMIT, after: None, oldest_first: false };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    let must = || wrong("limit", format!("must be a number from 1 to {MAX_LIMIT}"));
                    page.limit = limit.ok_or_else(must)?;
                }
                "after" => page.after = Some(value.into_owned()),
                "order" => {
                    page.oldest_first = match &*value {
                        "asc" => true,
                        "desc" => false,
                        _ => return Err(wrong("order", "must be 'asc' or 'desc'")),
                    }
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

impl InputItems {
    /// The most that the list takes.
    pub(crate) fn most_bytes(&self) -> usize {
        self.stored.input().len() + (self.page.limit + 8) * LISTED_BYTES
    }

    /// The list.
    ///
    /// # Errors
    /// The item that it should begin behind is not there.
    pub(crate) fn list(self) -> Result<Vec<u8>, ApiError> {
        #[derive(Serialize)]
        struct End {
            first_id: Option<String>,
            last_id: Option<String>,
            has_more: bool,
        }
        let items = sent_items(&self.stored)?;
        let (page, has_more) = self.page(&items)?;
        let (mut first, mut last) = (None, None);
        let mut list = Vec::with_capacity(page.iter().map(|(_, it)| it.get().len() + LISTED_BYTES).sum());
        list.extend_from_slice(br#"{"object":"list","data":["#);
        for &(index, item) in &page {
            if last.is_some() {
                list.push(b',');
            }
            let (id, item) = listed(&self.stored.id, index, item)?;
            list.extend_from_slice(&item);
            first.get_or_insert_with(|| id.clone());
            last = Some(id);
        }
        list.extend_from_slice(b"],");
        let short = |id: Option<String>| id.filter(|id| id.len() <= MAX_ID_BYTES);
        let end = json::to_vec(&End { first_id: short(first), last_id: short(last), has_more });
        list.extend_from_slice(end.get(1..).unwrap_or_default());
        Ok(list)
    }

    /// The items that are wanted, each with its place in the request, and whether there are more.
    fn page<'a>(&self, items: &[&'a RawValue]) -> Result<(Vec<(usize, &'a RawValue)>, bool), ApiError> {
        let mut wanted: Vec<_> = items.iter().copied().enumerate().collect();
        if !self.page.oldest_first {
            wanted.reverse();
        }
        if let Some(after) = &self.page.after {
            let is_last =
                |&(index, item): &(usize, &RawValue)| item_id(&self.stored.id, index, item) == *after;
            let unknown = || wrong("after", "names no item of this response");
            let begin = wanted.iter().position(is_last).ok_or_else(unknown)? + 1;
            wanted.drain(..begin);
        }
        let has_more = wanted.len() > self.page.limit;
        wanted.truncate(self.page.limit);
        Ok((wanted, has_more))
    }
}

/// The error that nothing runs in the background, or that there is no such response.
pub(crate) fn cancel(memory: &Memory<'_>, id: &str) -> ApiError {
    match find(memory, id) {
        Ok(_) => bad("Only background responses can be cancelled, and there are none here"),
        Err(error) => error,
    }
}

fn find(memory: &Memory<'_>, id: &str) -> Result<Arc<Stored>, ApiError> {
    let stored = memory.responses.find(id, memory.responses.caller(memory.key));
    stored.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> ApiError {
    let id: String = id.chars().filter(char::is_ascii_graphic).take(80).collect();
    ApiError::UnknownResponse(format!("There is no response '{id}' here, or no longer"))
}

/// What the client has sent, item by item.
fn sent_items(stored: &Stored) -> Result<Vec<&RawValue>, ApiError> {
    let input: &RawValue = serde_json::from_str(stored.input()).map_err(|_| ApiError::Internal)?;
    let mut items = Vec::new();
    each("input", input, |_, item| {
        items.push(item);
        Ok(())
    })?;
    Ok(items)
}

/// The same as they are listed, as far as their ids are among these.
fn sent_of(stored: &Stored, ids: &HashSet<String>) -> Result<Vec<(String, Box<RawValue>)>, ApiError> {
    let items = sent_items(stored)?.into_iter().enumerate();
    let wanted = items.filter(|(index, item)| ids.contains(&item_id(&stored.id, *index, item)));
    let whole = |(index, item)| {
        let (id, listed) = listed(&stored.id, index, item)?;
        let text = String::from_utf8(listed).map_err(|_| ApiError::Internal)?;
        RawValue::from_string(text).map(|item| (id, item)).map_err(|_| ApiError::Internal)
    };
    wanted.map(whole).collect()
}

/// The id of a response without its prefix.
fn answer_id(response: &str) -> &str {
    response.strip_prefix("resp_").unwrap_or(response)
}

/// The id that an item has by itself, or else by its place.
fn item_id(response: &str, index: usize, item: &RawValue) -> String {
    let own = fields!(item => id).ok().and_then(|item| text(item.id));
    own.unwrap_or_else(|| id_by_place(response, index))
}

fn id_by_place(response: &str, index: usize) -> String {
    format!("in_{}_{index}", answer_id(response))
}

fn text(field: Field<'_>) -> Option<String> {
    field.optional("", "a string").ok().flatten()
}

/// `item` with all that clients want in a list: an id, a type and a status, and the content of a message in parts.
fn listed(response: &str, index: usize, item: &RawValue) -> Result<(String, Vec<u8>), ApiError> {
    let fields = fields!(item => id, kind: "type", role, status, content).map_err(|_| ApiError::Internal)?;
    let own = text(fields.id);
    let id = own.clone().unwrap_or_else(|| id_by_place(response, index));
    let mut missing = Missing {
        id: own.is_none().then_some(id.as_str()),
        r#type: fields.kind.present().is_none().then_some("message"),
        status: fields.status.present().is_none().then_some("completed"),
    };
    let listed = match (text(fields.role), text(fields.content)) {
        (Some(role), Some(said)) => {
            let kind = if role == "assistant" { "output_text" } else { "input_text" };
            missing = Missing { id: Some(&id), r#type: Some("message"), status: Some("completed") };
            json::to_vec(&Spoken { missing, role: &role, content: [Words { r#type: kind, text: &said }] })
        }
        _ => with(&missing, item),
    };
    Ok((id, listed))
}

/// What clients may leave out of an item.
#[derive(Serialize)]
struct Missing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

/// A message of one text.
#[derive(Serialize)]
struct Spoken<'a> {
    #[serde(flatten)]
    missing: Missing<'a>,
    role: &'a str,
    content: [Words<'a>; 1],
}

#[derive(Serialize)]
struct Words<'a> {
    r#type: &'static str,
    text: &'a str,
}

/// `item` with these fields in front.
fn with(missing: &Missing<'_>, item: &RawValue) -> Vec<u8> {
    let mut fields = json::to_vec(missing);
    // The object goes on.
    fields.pop();
    let inside = item.get().strip_prefix('{').map(str::trim_start).unwrap_or_default();
    if fields.len() > 1 && !inside.starts_with('}') {
        fields.push(b',');
    }
    fields.extend_from_slice(inside.as_bytes());
    fields
}

/// The ids of the responses that the items of these ids belong to: an id says it.
pub(super) fn responses_of(ids: &HashSet<String>) -> HashSet<String> {
    ids.iter().filter_map(|id| Some(format!("resp_{}", id.split('_').nth(1)?))).collect()
}

/// The items of these ids, as far as they are this caller's. Each response is read once, however many items are asked for.
pub(super) fn items(store: &Store, owner: Caller, ids: &HashSet<String>) -> HashMap<String, Box<RawValue>> {
    let mut found = HashMap::new();
    for response in responses_of(ids) {
        let Some(stored) = store.find(&response, owner) else { continue };
        found.extend(sent_of(&stored, ids).unwrap_or_default());
        found.extend(output_of(&stored).into_iter().filter(|(id, _)| ids.contains(id)));
    }
    found
}

/// The items of the answer, each with its id.
fn output_of(stored: &Stored) -> Vec<(String, Box<RawValue>)> {
    let response: Option<&RawValue> = serde_json::from_str(&stored.response).ok();
    let output = response.and_then(|response| fields!(response => output).ok()?.output.array());
    let mut items = Vec::new();
    if let Some(list) = output {
        // What cannot be read is not there.
        let _: Result<(), ApiError> = each("output", list, |_, item| {
            let id = fields!(item => id).ok().and_then(|it| it.id.optional("", "a string").ok()?);
            items.extend(id.map(|id| (id, item.to_owned())));
            Ok(())
        });
    }
    items
}
