//! The names by which clients of every surface ask for models, and which models they mean.

use super::error::ApiError;
use crate::config::Aliases;
use crate::dispatch::{Offered, Target, UnknownTarget};
use crate::providers::Provider;

/// The name that leaves the choice of provider and model to the proxy.
pub(super) const AUTO: &str = "auto";

/// What Ollama puts behind the name of a model that has no version of its own.
pub(super) const LATEST: &str = ":latest";

/// The names that a client may use now.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// What is offered.
    pub(crate) offered: Offered<'a>,
    /// What the user calls it.
    pub(crate) aliases: &'a Aliases,
}

/// Who may answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// The providers and models.
    pub(crate) target: Target,
    /// Whether the name that the client has sent was passed over, because it means nothing here.
    pub(crate) is_name_ignored: bool,
}

impl From<Target> for Choice {
    fn from(target: Target) -> Self {
        Self { target, is_name_ignored: false }
    }
}

/// Names that stand in clients which were made for one provider: whoever sends them has not chosen any of ours.
const FOREIGN: [&str; 7] = ["claude", "anthropic", "gpt-", "chatgpt-", "codex-", "gemini-", "text-"];

/// What clients put before a model's name.
const PREFIXES: [&str; 3] = ["models/", "anthropic/", "claude-"];

impl<'a> Names<'a> {
    /// Who may answer for `model` where names are meant: one of ours, else what the user calls so.
    ///
    /// # Errors
    /// There is no such model.
    pub(super) fn pinned(self, model: &str) -> Result<Target, UnknownTarget> {
        let plainly = |error| without_latest(model).map_or(Err(error), |plain| self.pinned_as_written(plain));
        self.pinned_as_written(model).or_else(plainly)
    }

    fn pinned_as_written(self, model: &str) -> Result<Target, UnknownTarget> {
        let aliased = |error| match (&error, self.aliases.find(model)) {
            // Whoever asks for a model that bills is told so.
            (UnknownTarget::Paid { .. }, _) | (_, None) => Err(error),
            (_, Some(meant)) => target(self.offered, meant),
        };
        target(self.offered, model).or_else(aliased)
    }

    /// Who may answer for `model` where many names stand in the clients themselves: what the user calls so, else one of ours,
    /// of which one without its provider is only a preference, else everybody if it is a name of another family of models.
    ///
    /// # Errors
    /// There is no such model.
    pub(super) fn chosen(self, model: &str) -> Result<Choice, UnknownTarget> {
        let known = self.chosen_as_written(model);
        let plain = without_latest(model);
        let known = known.or_else(|error| plain.map_or(Err(error), |plain| self.chosen_as_written(plain)));
        match known {
            Err(_) if is_foreign(without_brackets(plain.unwrap_or(model))) => {
                Ok(Choice { target: self.offered.target(None, None)?, is_name_ignored: true })
            }
            known => known,
        }
    }

    fn chosen_as_written(self, model: &str) -> Result<Choice, UnknownTarget> {
        let plain = without_brackets(model);
        if let Some(meant) = self.aliases.find(model).or_else(|| self.aliases.find(plain)) {
            return target(self.offered, meant).map(Choice::from);
        }
        let known = |name| {
            resolve(self.offered, name).map(|(target, named)| match named {
                Named::Exactly => Choice::from(target),
                Named::Bare => self.offered.preferring(target).into(),
            })
        };
        // What is wrong with the name as it was sent says more than what is wrong with a part of it.
        let mut readings = readings(plain);
        let first = readings.next().unwrap_or(plain);
        known(first).or_else(|error| readings.find_map(|name| known(name).ok()).ok_or(error))
    }
}

/// How a name says which model is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// By its id alone.
    Bare,
    /// By its provider, or not at all.
    Exactly,
}

/// `model` without the version that Ollama's clients put behind every name that has none; a name may also have it by itself.
fn without_latest(model: &str) -> Option<&str> {
    model.strip_suffix(LATEST)
}

/// `model` without what some clients put behind it in brackets, such as `[1m]`.
fn without_brackets(model: &str) -> &str {
    let bare = model.strip_suffix(']').and_then(|inside| Some(inside.rsplit_once('[')?.0));
    bare.unwrap_or(model).trim()
}

/// What `name` may mean: itself, and without each of the words that clients put before it.
fn readings(name: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(name);
    std::iter::from_fn(move || {
        let name = next.take()?;
        next = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).filter(|rest| !rest.is_empty());
        Some(name)
    })
}

fn is_foreign(name: &str) -> bool {
    let numbered = |name: &str| {
        let rest = name.strip_prefix('o');
        rest.is_some_and(|rest| rest.starts_with(|it: char| it.is_ascii_digit()))
    };
    let name = name.to_ascii_lowercase();
    // What stands before a name may itself be a family's.
    readings(&name).any(|name| FOREIGN.iter().any(|family| name.starts_with(family)) || numbered(name))
}

/// Who may answer for `model`: every provider for `auto`, one provider by its name in any case, one of its models after
/// the name and a slash, or every provider that has a model of that id.
///
/// # Errors
/// There is no such model.
pub(super) fn target(offered: Offered<'_>, model: &str) -> Result<Target, UnknownTarget> {
    resolve(offered, model).map(|(target, _)| target)
}

fn resolve(offered: Offered<'_>, model: &str) -> Result<(Target, Named), UnknownTarget> {
    let exactly = |provider, model| Ok((offered.target(provider, model)?, Named::Exactly));
    let bare = |model| Ok((offered.target(None, Some(model))?, Named::Bare));
    if model.eq_ignore_ascii_case(AUTO) {
        return exactly(None, None);
    }
    let after_slash = |_: UnknownTarget| match model.split_once('/') {
        Some((provider, model)) => exactly(Some(provider), Some(model)),
        None => bare(model),
    };
    // Some models have a slash in their own ids.
    let whole = |error| match bare(model) {
        // Whoever asks for a model that bills is told so.
        Err(_) if matches!(error, UnknownTarget::Paid { .. }) => Err(error),
        other => other,
    };
    exactly(Some(model), None).or_else(after_slash).or_else(whole)
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
