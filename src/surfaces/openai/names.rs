//! What may stand in `model`, and which models it means.

use crate::dispatch::{Offered, Target, UnknownTarget};
use crate::providers::Provider;
use crate::surfaces::error::ApiError;

/// The name that leaves the choice of provider and model to the proxy.
pub(super) const AUTO: &str = "auto";

/// Who may answer for `model`: every provider for `auto`, one provider by its name in any case, one of its models after
/// the name and a slash, or every provider that has a model of that id.
pub(super) fn target(offered: Offered<'_>, model: &str) -> Result<Target, ApiError> {
    let attempt = |provider, model| offered.target(provider, model);
    let found = if model.eq_ignore_ascii_case(AUTO) {
        attempt(None, None)
    } else {
        let after_slash = |_: UnknownTarget| match model.split_once('/') {
            Some((provider, model)) => attempt(Some(provider), Some(model)),
            None => attempt(None, Some(model)),
        };
        // Some models have a slash in their own ids.
        attempt(Some(model), None).or_else(after_slash).or_else(|_| attempt(None, Some(model)))
    };
    found.map_err(|error| unknown(offered, error.name()))
}

/// The error that `model` does not exist.
pub(super) fn unknown(offered: Offered<'_>, model: &str) -> ApiError {
    let known = ids(offered);
    ApiError::UnknownModel(format!("The model '{model}' does not exist. There are: {}", known.join(", ")))
}

/// Every name that a client may ask for: `auto`, the providers with an account, and their models.
pub(super) fn ids(offered: Offered<'_>) -> Vec<String> {
    let mut ids = vec![AUTO.to_owned()];
    let mut last: Option<Provider> = None;
    for (provider, model) in offered.models() {
        let name = provider.name().to_ascii_lowercase();
        if last.replace(provider) != Some(provider) {
            ids.push(name.clone());
        }
        ids.push(format!("{name}/{model}"));
    }
    ids
}
