//! What may stand in `model`, and whom it means.

use crate::dispatch::{Offered, Target, UnknownTarget};
use crate::providers::Provider;
use crate::surfaces::error::ApiError;

/// The model that means whoever is next.
pub(super) const AUTO: &str = "auto";

/// Who may answer for `model`: everybody for `auto`, one provider by its name in any case, one of its models after its
/// name and a slash, or whoever has a model of that id.
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

/// There is no such `model`; cut to a readable length.
pub(super) fn unknown(offered: Offered<'_>, model: &str) -> ApiError {
    let known = ids(offered);
    ApiError::UnknownModel(format!("The model '{model}' does not exist. There are: {}", known.join(", ")))
}

/// Everything that may be asked for by name: `auto`, the providers with an account, and their models.
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
