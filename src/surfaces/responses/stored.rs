//! What clients ask about answers that are stored.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::value::RawValue;

use super::store::{Caller, Store, Stored};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, bad, each, fields};
use crate::surfaces::memory::Memory;
use crate::wire::json;

/// The items of a page, unless the client wants another number, and the most that it may want.
const PAGE: usize = 20;
const LARGEST_PAGE: usize = 100;

/// A stored response, as the bytes that are stored.
pub(crate) struct Shown(Arc<Stored>);

impl AsRef<[u8]> for Shown {
    fn as_ref(&self) -> &[u8] {
        self.0.response.as_bytes()
    }
}

/// The stored response of this id.
///
/// # Errors
/// There is none, or the client wants it as a stream.
pub(crate) fn show(memory: &Memory<'_>, id: &str, query: Option<&str>) -> Result<Shown, ApiError> {
    let is_stream = |pair: &str| matches!(pair, "stream=true" | "stream=True" | "stream=1");
    if query.is_some_and(|query| query.split('&').any(is_stream)) {
        return Err(bad("'stream' is not available here: a stored response is sent as a whole"));
    }
    find(memory, id).map(Shown)
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

/// A page of what the client has sent for a stored response.
pub(crate) struct InputItems {
    stored: Arc<Stored>,
    page: Page,
}

/// Which items a client wants, the last of all first unless it says otherwise, as OpenAI has it.
#[derive(Debug, PartialEq)]
struct Page {
    limit: usize,
    after: Option<String>,
    is_ascending: bool,
}

/// The page of the stored response of this id that `query` asks for.
///
/// # Errors
/// There is no such response, or the page is none that there could be.
pub(crate) fn input_items(
    memory: &Memory<'_>,
    id: &str,
    query: Option<&str>,
) -> Result<InputItems, ApiError> {
    let page = Page::read(query.unwrap_or_default())?;
    find(memory, id).map(|stored| InputItems { stored, page })
}

impl Page {
    fn read(query: &str) -> Result<Self, ApiError> {
        let mut page = Self { limit: PAGE, after: None, is_ascending: false };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "order" => page.is_ascending = value == "asc",
                "after" => page.after = percent_decode_str(value).decode_utf8().ok().map(Cow::into_owned),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
                    let mistake = || bad(format!("'limit' must be a number from 1 to {LARGEST_PAGE}"));
                    page.limit = limit.ok_or_else(mistake)?;
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

impl InputItems {
    /// The memory that [`list`](Self::list) takes at most: where the items are, those of the page, and the list of them.
    pub(crate) fn bytes(&self) -> usize {
        self.stored.input().len().saturating_mul(3)
    }

    /// The list of them.
    ///
    /// # Errors
    /// There is no item of the id behind which the page begins.
    pub(crate) fn list(&self) -> Result<Vec<u8>, ApiError> {
        #[derive(Serialize)]
        struct List {
            object: &'static str,
            data: Vec<Box<RawValue>>,
            first_id: Option<String>,
            last_id: Option<String>,
            has_more: bool,
        }
        let Self { stored, page } = self;
        let input: &RawValue = serde_json::from_str(stored.input()).map_err(|_| ApiError::Internal)?;
        let mut items: Vec<(usize, &RawValue)> = Vec::new();
        each("input", input, |index, item| {
            items.push((index, item));
            Ok(())
        })?;
        if !page.is_ascending {
            items.reverse();
        }
        let begin = match &page.after {
            None => 0,
            // The last of this id, if a client has given it twice: what comes behind it is never listed again.
            Some(after) => {
                let found = items.iter().rposition(|(index, item)| id_of(&stored.id, *index, item) == *after);
                found.ok_or_else(|| bad("'after' must be the id of one of these items"))? + 1
            }
        };
        let rest = items.get(begin..).unwrap_or_default();
        let listed = rest.iter().take(page.limit).map(|(index, item)| listed(&stored.id, *index, item));
        let (ids, data): (Vec<String>, Vec<_>) = listed.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let (first_id, last_id) = (ids.first().cloned(), ids.last().cloned());
        let has_more = rest.len() > page.limit;
        Ok(json::to_vec(&List { object: "list", data, first_id, last_id, has_more }))
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

/// What the client has sent, each item with its id.
fn items_of(stored: &Stored) -> Result<Vec<(String, Box<RawValue>)>, ApiError> {
    let input: &RawValue = serde_json::from_str(stored.input()).map_err(|_| ApiError::Internal)?;
    let mut items = Vec::new();
    each("input", input, |index, item| {
        items.push(listed(&stored.id, index, item)?);
        Ok(())
    })?;
    Ok(items)
}

/// The id of a response without its prefix.
fn answer_id(response: &str) -> &str {
    response.strip_prefix("resp_").unwrap_or(response)
}

/// The client's own id of an item, or the one that it is given here.
fn id_of(response: &str, index: usize, item: &RawValue) -> String {
    let own = fields!(item => id).ok().and_then(|it| it.id.optional("", "a string").ok()?);
    own.unwrap_or_else(|| given_id(response, index))
}

fn given_id(response: &str, index: usize) -> String {
    format!("in_{}_{index}", answer_id(response))
}

/// `item` with all that clients want in a list: an id, a type and a status, and the content of a message in parts.
fn listed(response: &str, index: usize, item: &RawValue) -> Result<(String, Box<RawValue>), ApiError> {
    let fields = fields!(item => id, kind: "type", role, status, content).map_err(|_| ApiError::Internal)?;
    let text = |field: Field<'_>| field.optional::<String>("", "a string").ok().flatten();
    let (own, role) = (text(fields.id), text(fields.role));
    let id = own.clone().unwrap_or_else(|| given_id(response, index));
    let mut missing = Missing {
        id: own.is_none().then_some(id.as_str()),
        r#type: fields.kind.present().is_none().then_some("message"),
        status: fields.status.present().is_none().then_some("completed"),
    };
    let said = text(fields.content);
    let listed = match (role, said) {
        (Some(role), Some(said)) => {
            let kind = if role == "assistant" { "output_text" } else { "input_text" };
            missing = Missing { id: Some(&id), r#type: Some("message"), status: Some("completed") };
            json::to_vec(&Spoken { missing, role: &role, content: [Words { r#type: kind, text: &said }] })
        }
        _ => with(&missing, item),
    };
    let text = String::from_utf8(listed).map_err(|_| ApiError::Internal)?;
    RawValue::from_string(text).map(|item| (id, item)).map_err(|_| ApiError::Internal)
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
        let sent = items_of(&stored).unwrap_or_default();
        let all = sent.into_iter().chain(output_of(&stored));
        found.extend(all.filter(|(id, _)| ids.contains(id)));
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
