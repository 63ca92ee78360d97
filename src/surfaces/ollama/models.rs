//! What may stand in `model`, in Ollama's form, and what else its clients ask before the first question.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::dispatch::Offered;
use crate::providers::{Capabilities, Images};
use crate::surfaces::error::ApiError;
use crate::surfaces::names::{LATEST, Names, ids, refused, unknown};
use crate::wire::json;

/// The version of Ollama whose dialect this is. Clients that want tools refuse what is older than 0.6.4.
const VERSION: &str = "0.13.0";

/// What Ollama says of the file that a model is in: here there is none, and the fields must be there.
const MODIFIED_AT: &str = "1970-01-01T00:00:00Z";
const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The name by which the facts of a model are found in `model_info`.
const ARCHITECTURE: &str = "proxy";

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    model: &'a str,
    modified_at: &'static str,
    size: u64,
    digest: &'static str,
    details: Details,
}

#[derive(Serialize)]
struct Details {
    parent_model: &'static str,
    format: &'static str,
    family: &'static str,
    families: [&'static str; 1],
    parameter_size: &'static str,
    quantization_level: &'static str,
}

const DETAILS: Details = Details {
    parent_model: "",
    format: "",
    family: ARCHITECTURE,
    families: [ARCHITECTURE],
    parameter_size: "",
    quantization_level: "",
};

#[derive(Serialize)]
struct Shown {
    modified_at: &'static str,
    details: Details,
    model_info: Map<String, Value>,
    capabilities: Vec<&'static str>,
}

/// The body of `GET /api/tags`.
pub(crate) fn list_models(offered: Offered<'_>) -> Vec<u8> {
    // Open WebUI adds the ending to every name that has none, before it looks in the list.
    let named = |id: String| if id.contains(':') { id } else { id + LATEST };
    let ids: Vec<String> = ids(offered).into_iter().map(named).collect();
    let entry = |id| Entry {
        name: id,
        model: id,
        modified_at: MODIFIED_AT,
        size: 0,
        digest: DIGEST,
        details: DETAILS,
    };
    let models: Vec<Entry<'_>> = ids.iter().map(|id| entry(id)).collect();
    json::to_vec(&json!({ "models": models }))
}

/// The body of `POST /api/show`.
///
/// # Errors
/// [`ApiError::UnknownModel`].
pub(crate) fn show_model(names: Names<'_>, name: &str) -> Result<Vec<u8>, ApiError> {
    let offered = names.offered;
    // A name that is only preferred when it is asked is shown as itself.
    let chosen = |_| names.chosen(name).map(|choice| choice.target);
    let target = names.pinned(name).or_else(chosen).map_err(|error| refused(offered, &error))?;
    let models = offered.models().filter(|(provider, model)| offered.includes(&target, *provider, model));
    let can: Vec<&Capabilities> = models.map(|(provider, model)| provider.capabilities(&model)).collect();
    if target.names_model() && can.is_empty() {
        return Err(unknown(offered, name));
    }
    let window = can.iter().map(|can| can.window).max().unwrap_or_default();
    let facts = [
        ("general.architecture".to_owned(), json!(ARCHITECTURE)),
        ("general.basename".to_owned(), json!(name)),
        (format!("{ARCHITECTURE}.context_length"), json!(window)),
    ];
    let model_info = facts.into_iter().collect();
    let capabilities = capabilities(&can);
    Ok(json::to_vec(&Shown { modified_at: MODIFIED_AT, details: DETAILS, model_info, capabilities }))
}

/// What at least one of the models can do: requests go to those that can.
fn capabilities(can: &[&Capabilities]) -> Vec<&'static str> {
    let any = |is_able: fn(&Capabilities) -> bool| can.iter().any(|can| is_able(can));
    let words = [
        ("completion", true),
        ("tools", any(|can| can.tools)),
        ("vision", any(|can| can.images != Images::None)),
        ("thinking", any(|can| !can.efforts.is_empty())),
    ];
    words.into_iter().filter_map(|(word, is_able)| is_able.then_some(word)).collect()
}

/// The body of `GET /api/version`.
pub(crate) fn version() -> Vec<u8> {
    json::to_vec(&json!({ "version": VERSION }))
}

/// The body of `GET /api/ps`: no model is in this machine's memory.
pub(crate) fn running() -> Vec<u8> {
    json::to_vec(&json!({ "models": [] }))
}
