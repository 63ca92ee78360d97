//! What may stand in `model`, in Anthropic's form.
//!
//! Claude Code shows only ids that begin with `claude` or `anthropic`, so each name is listed behind `anthropic/`, which
//! is taken off again when a client sends it.

use serde::Serialize;

use crate::dispatch::Offered;
use crate::providers::Capabilities;
use crate::surfaces::error::ApiError;
use crate::surfaces::names::{ids, refused, target, unknown};
use crate::wire::json;

/// What stands before each name.
const PREFIX: &str = "anthropic/";

/// Nobody says when a model was made; clients want a date.
const CREATED_AT: &str = "2023-11-14T22:13:20Z";

#[derive(Serialize)]
struct List {
    data: Vec<Entry>,
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    r#type: &'static str,
    id: String,
    display_name: String,
    created_at: &'static str,
    max_input_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    lifecycle: &'static str,
}

/// The body of `GET /v1/models`.
pub(crate) fn list_models(offered: Offered<'_>) -> Vec<u8> {
    let data: Vec<Entry> = ids(offered).iter().filter_map(|id| entry(offered, id).ok()).collect();
    json::to_vec(&List {
        has_more: false,
        first_id: data.first().map(|entry| entry.id.clone()),
        last_id: data.last().map(|entry| entry.id.clone()),
        data,
    })
}

/// The body of `GET /v1/models/{id}`, with the prefix or without it.
///
/// # Errors
/// [`ApiError::UnknownModel`].
pub(crate) fn show_model(offered: Offered<'_>, id: &str) -> Result<Vec<u8>, ApiError> {
    entry(offered, id.strip_prefix(PREFIX).unwrap_or(id)).map(|entry| json::to_vec(&entry))
}

fn entry(offered: Offered<'_>, name: &str) -> Result<Entry, ApiError> {
    let target = target(offered, name).map_err(|error| refused(offered, &error))?;
    let models = offered.models().filter(|(provider, model)| offered.includes(&target, *provider, model));
    let can: Vec<&Capabilities> = models.map(|(provider, model)| provider.capabilities(&model)).collect();
    if target.names_model() && can.is_empty() {
        return Err(unknown(offered, name));
    }
    Ok(Entry {
        r#type: "model",
        id: format!("{PREFIX}{name}"),
        display_name: name.to_owned(),
        created_at: CREATED_AT,
        max_input_tokens: can.iter().map(|can| can.window).max().unwrap_or_default(),
        max_tokens: can.iter().filter_map(|can| can.told_output()).max(),
        lifecycle: "active",
    })
}
