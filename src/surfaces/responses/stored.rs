//! What clients ask about answers that are stored.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::store::{Caller, Store, Stored};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, bad, each, fields};
use crate::surfaces::memory::Memory;
use crate::wire::json;

/// The stored response of this id.
///
/// # Errors
/// There is none, or the client wants it as a stream.
pub(crate) fn show(memory: &Memory<'_>, id: &str, query: Option<&str>) -> Result<Vec<u8>, ApiError> {
    let is_stream = |pair: &str| matches!(pair, "stream=true" | "stream=True" | "stream=1");
    if query.is_some_and(|query| query.split('&').any(is_stream)) {
        return Err(bad("'stream' is not available here: a stored response is sent as a whole"));
    }
    find(memory, id).map(|stored| stored.response.clone().into_bytes())
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
/// There is none.
pub(crate) fn input_items(memory: &Memory<'_>, id: &str, query: Option<&str>) -> Result<Vec<u8>, ApiError> {
    #[derive(Serialize)]
    struct List {
        object: &'static str,
        data: Vec<Box<RawValue>>,
        first_id: Option<String>,
        last_id: Option<String>,
        has_more: bool,
    }
    let stored = find(memory, id)?;
    let mut items = items_of(&stored)?;
    if !query.is_some_and(|query| query.split('&').any(|pair| pair == "order=asc")) {
        items.reverse();
    }
    let (first, last) = (items.first().map(|(id, _)| id.clone()), items.last().map(|(id, _)| id.clone()));
    let data = items.into_iter().map(|(_, item)| item).collect();
    Ok(json::to_vec(&List { object: "list", data, first_id: first, last_id: last, has_more: false }))
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

/// `item` with all that clients want in a list: an id, a type and a status, and the content of a message in parts.
fn listed(response: &str, index: usize, item: &RawValue) -> Result<(String, Box<RawValue>), ApiError> {
    let fields = fields!(item => id, kind: "type", role, status, content).map_err(|_| ApiError::Internal)?;
    let text = |field: Field<'_>| field.optional::<String>("", "a string").ok().flatten();
    let (own, role) = (text(fields.id), text(fields.role));
    let id = own.clone().unwrap_or_else(|| format!("in_{}_{index}", answer_id(response)));
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
