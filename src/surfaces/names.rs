//! The names by which clients of every surface ask for models, and which models they mean.

use super::error::ApiError;
use crate::dispatch::{Offered, Target, UnknownTarget};
use crate::providers::Provider;

/// The name that leaves the choice of provider and model to the proxy.
pub(super) const AUTO: &str = "auto";

/// Who may answer for `model`: every provider for `auto`, one provider by its name in any case, one of its models after
/// the name and a slash, or every provider that has a model of that id.
///
/// # Errors
/// There is no such model.
pub(super) fn target(offered: Offered<'_>, model: &str) -> Result<Target, UnknownTarget> {
    let attempt = |provider, model| offered.target(provider, model);
    if model.eq_ignore_ascii_case(AUTO) {
        return attempt(None, None);
    }
    let after_slash = |_: UnknownTarget| match model.split_once('/') {
        Some((provider, model)) => attempt(Some(provider), Some(model)),
        None => attempt(None, Some(model)),
    };
    // Some models have a slash in their own ids.
    let whole = |error| match attempt(None, Some(model)) {
        // Whoever asks for a model that bills is told so.
        Err(_) if matches!(error, UnknownTarget::Paid { .. }) => Err(error),
        other => other,
    };
    attempt(Some(model), None).or_else(after_slash).or_else(whole)
}

/// Who may answer for `model` of the provider that goes by `provider`, by one of its names: the same names as for
/// [`target`], as far as they mean this provider.
///
/// # Errors
/// There is no such provider, or it has no such model.
pub(super) fn target_of(
    offered: Offered<'_>,
    provider: &str,
    model: Option<&str>,
) -> Result<Target, UnknownTarget> {
    let is_called =
        |it: &Provider| it.profile().also_called.iter().any(|name| name.eq_ignore_ascii_case(provider));
    let called: Option<&str> = offered.providers().find(is_called).map(Provider::name);
    let provider = called.unwrap_or(provider);
    let is_it = |name: &str| name.eq_ignore_ascii_case(provider);
    match model.filter(|model| !model.eq_ignore_ascii_case(AUTO) && !is_it(model)) {
        None => offered.target(Some(provider), None),
        Some(model) => {
            let after_slash = model.split_once('/').filter(|(before, _)| is_it(before));
            let id = |id| offered.target(Some(provider), Some(id));
            id(model).or_else(|unknown| after_slash.map_or(Err(unknown), |(_, model)| id(model)))
        }
    }
}

/// The error that there is no such model, or that it bills.
pub(super) fn refused(offered: Offered<'_>, error: &UnknownTarget) -> ApiError {
    match error {
        UnknownTarget::Paid { .. } => ApiError::UnknownModel(error.to_string()),
        _ => unknown(offered, error.name()),
    }
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
