//! What may stand in the path, in Google's form.

use serde::Serialize;

use crate::dispatch::Offered;
use crate::providers::Capabilities;
use crate::surfaces::error::ApiError;
use crate::surfaces::names::{ids, refused, target, unknown};
use crate::wire::json;

/// What stands before each name.
const PREFIX: &str = "models/";

#[derive(Serialize)]
struct List {
    models: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    display_name: String,
    version: &'static str,
    input_token_limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_token_limit: Option<u64>,
    supported_generation_methods: [&'static str; 2],
}

/// The body of `GET /v1beta/models`.
pub(crate) fn list_models(offered: Offered<'_>) -> Vec<u8> {
    json::to_vec(&List { models: ids(offered).iter().filter_map(|id| entry(offered, id).ok()).collect() })
}

/// The body of `GET /v1beta/models/{id}`.
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
        name: format!("{PREFIX}{name}"),
        display_name: name.to_owned(),
        version: "1",
        input_token_limit: can.iter().map(|can| can.window).max().unwrap_or_default(),
        output_token_limit: can.iter().filter_map(|can| can.told_output()).max(),
        supported_generation_methods: ["generateContent", "countTokens"],
    })
}
