//! What may stand in `model`, in a form that the SDKs of OpenAI, Anthropic and Google all read.
//!
//! They ask at the same path and each looks for its own fields, so one body has them all. Source: tried in November
//! 2026 with openai 3.54.0 and 7.57.0, anthropic 2.12.0 and 1.12.0, google-genai 3.4.0 and 3.1.0.

use serde::Serialize;

use crate::dispatch::Offered;
use crate::middle::Effort;
use crate::providers::{Capabilities, Images, Provider};
use crate::surfaces::error::ApiError;
use crate::surfaces::names::{ids, refused, target, unknown};
use crate::wire::json;

/// Nobody says when a model was made; clients want a number and a date.
const CREATED: i64 = 1_700_000_000;
const CREATED_AT: &str = "2023-11-14T22:13:20Z";

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Entry>,
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
    models: Vec<GoogleEntry>,
}

#[derive(Serialize)]
struct Entry {
    id: String,
    object: &'static str,
    created: i64,
    owned_by: String,
    r#type: &'static str,
    display_name: String,
    created_at: &'static str,
    context_window: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    capabilities: WireCapabilities,
}

/// What at least one of the models that an id stands for can do.
#[derive(Serialize)]
struct WireCapabilities {
    images: bool,
    image_urls: bool,
    tools: bool,
    json_object: bool,
    json_schema: bool,
    reasoning_effort: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GoogleEntry {
    name: String,
    display_name: String,
    input_token_limit: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_token_limit: Option<u64>,
    supported_generation_methods: [&'static str; 1],
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    entry: Entry,
    #[serde(flatten)]
    google: GoogleEntry,
}

/// The body of `GET /v1/models`.
pub(crate) fn list_models(offered: Offered<'_>) -> Vec<u8> {
    let data: Vec<Entry> = ids(offered).iter().filter_map(|id| entry(offered, id).ok()).collect();
    json::to_vec(&List {
        object: "list",
        has_more: false,
        first_id: data.first().map(|entry| entry.id.clone()),
        last_id: data.last().map(|entry| entry.id.clone()),
        models: data.iter().map(google).collect(),
        data,
    })
}

/// The body of `GET /v1/models/{id}`, for whatever may stand in a request's `model`.
///
/// # Errors
/// [`ApiError::UnknownModel`].
pub(crate) fn show_model(offered: Offered<'_>, id: &str) -> Result<Vec<u8>, ApiError> {
    let entry = entry(offered, id)?;
    let google = google(&entry);
    Ok(json::to_vec(&Shown { entry, google }))
}

fn entry(offered: Offered<'_>, id: &str) -> Result<Entry, ApiError> {
    let target = target(offered, id).map_err(|error| refused(offered, &error))?;
    let models = offered.models();
    let stands_for: Vec<_> =
        models.filter(|(provider, model)| offered.includes(&target, *provider, model)).collect();
    if target.names_model() && stands_for.is_empty() {
        return Err(unknown(offered, id));
    }
    let can: Vec<_> =
        stands_for.iter().filter_map(|(provider, model)| offered.capabilities(*provider, model)).collect();
    let any = |has: fn(&Capabilities) -> bool| can.iter().any(|can| has(can));
    let mut efforts: Vec<_> = can.iter().flat_map(|can| can.efforts.iter().copied()).collect();
    efforts.sort_unstable();
    efforts.dedup();
    let owner = stands_for.first().map(|(first, _)| *first);
    let owner = owner.filter(|owner| stands_for.iter().all(|(provider, _)| provider == owner));
    Ok(Entry {
        id: id.to_owned(),
        object: "model",
        created: CREATED,
        owned_by: owner.map_or("ai-proxy-free", Provider::name).to_owned(),
        r#type: "model",
        display_name: id.to_owned(),
        created_at: CREATED_AT,
        context_window: can.iter().map(|can| can.window).max().unwrap_or_default(),
        max_completion_tokens: can.iter().filter_map(|can| can.told_output()).max(),
        capabilities: WireCapabilities {
            images: any(|can| can.images != Images::None),
            image_urls: any(|can| can.images == Images::Remote),
            tools: any(|can| can.tools),
            json_object: any(|can| can.json),
            json_schema: any(|can| can.schema),
            reasoning_effort: efforts.into_iter().map(Effort::as_str).collect(),
        },
    })
}

fn google(entry: &Entry) -> GoogleEntry {
    GoogleEntry {
        name: format!("models/{}", entry.id),
        display_name: entry.display_name.clone(),
        input_token_limit: entry.context_window,
        output_token_limit: entry.max_completion_tokens,
        supported_generation_methods: ["generateContent"],
    }
}
