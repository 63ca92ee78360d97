//! `ai-proxy-free check`: tries every key with a request for the list of models, which costs no quota.

use std::fmt::Write as _;

use crate::config::{Config, ProviderConfig};
use crate::dispatch::{Dispatcher, ListOutcome};
use crate::middle::{Failure, FreePlan, Limit, Reason, Window, in_groups};
use crate::providers::Provider;
use crate::share;

/// The result of a check.
#[derive(Debug)]
pub(super) struct Report {
    /// For people: a line for each account, one for each provider without an account, and one for `STATE_URL`.
    pub lines: Vec<String>,
    /// Whether at least one provider can answer requests, and nothing keeps the proxy from starting.
    pub is_usable: bool,
}

/// Tries all keys at once, so it takes no longer than the slowest list.
pub(super) async fn run(config: &Config, dispatcher: &Dispatcher) -> Report {
    let state = async {
        match &config.state_url {
            Some(url) => Some(share::probe(url).await),
            None => None,
        }
    };
    let (outcomes, state) = tokio::join!(dispatcher.read_lists(), state);
    let mut lines = Vec::new();
    for provider in &config.providers {
        if !provider.is_configured() {
            lines.push(format!("{}: {}", provider.provider.name(), missing_key(provider.provider)));
        }
        let its = outcomes.iter().filter(|outcome| outcome.provider == provider.provider);
        lines.extend(its.map(|outcome| line(provider, outcome)));
    }
    let has_model = |outcome: &ListOutcome| outcome.model.as_ref().is_ok_and(|model| !model.is_empty());
    let (state_line, is_fatal) = state.unzip();
    lines.extend(state_line);
    Report { lines, is_usable: outcomes.iter().any(has_model) && is_fatal != Some(true) }
}

/// The sentence that names the variable of a missing key.
pub(super) fn missing_key(provider: Provider) -> String {
    format!("{} is not set", provider.profile().key_variables.join(" or "))
}

fn line(config: &ProviderConfig, outcome: &ListOutcome) -> String {
    let provider = config.provider;
    let mut line = format!("{}, {}: ", provider.name(), outcome.account);
    match &outcome.model {
        Ok(model) => {
            line.push_str(acceptance(config, &outcome.account));
            line.push_str(if model.is_empty() { "no model: its list has none that chats" } else { model });
            if let Some(wanted) = config.models.first().filter(|wanted| *wanted != model) {
                line.push_str(&format!(" ({wanted} is not offered)"));
            }
            if !model.is_empty() {
                line.push_str(&limits(provider.free_plan(model)));
            }
            if let Some(remark) = provider.profile().remark {
                line.push_str("; note: ");
                line.push_str(remark);
            }
        }
        Err(failure) => line.push_str(&refusal(provider, failure)),
    }
    line
}

/// What the list says of an account.
fn acceptance(config: &ProviderConfig, label: &str) -> &'static str {
    let provider = config.provider;
    let has_key = config.accounts.iter().any(|it| it.label == label && it.key.is_some());
    match has_key {
        false => "asked without a key, uses ",
        true if provider.models_path().is_some() && provider.profile().list_checks_key => "accepted, uses ",
        true => "key not tried (its list needs none), uses ",
    }
}

/// The documented limits, in words.
fn limits(plan: FreePlan) -> String {
    let mut words = String::new();
    for (index, Limit { measure, most, .. }) in plan.iter().enumerate() {
        let (unit, window) = (measure.unit.as_str(), measure.window.as_str());
        let separator = if index == 0 { "; documented limits of the free plan: " } else { ", " };
        // Writing to a string cannot fail.
        let most = in_groups(*most);
        let _ = match measure.window {
            Window::AtOnce => write!(words, "{separator}{most} {unit} at once"),
            _ => write!(words, "{separator}{most} {unit} a {window}"),
        };
    }
    if words.is_empty() { "; its limits are not documented".to_owned() } else { words }
}

/// Why a list could not be read, in words.
fn refusal(provider: Provider, failure: &Failure) -> String {
    let name = provider.name();
    let verdict = match (failure.reason(), failure.status) {
        (Reason::BadKey, _) => "refused".to_owned(),
        (_, Some(200..300)) => format!("not known, {name} sends no list of models"),
        (Reason::ModelGone, _) => {
            format!(
                "not known, {name} has no list of models there: is {} right?",
                provider.profile().base_url_variable
            )
        }
        (reason, _) => format!("not known, {name} {}", reason.explanation()),
    };
    match (failure.status, &failure.message) {
        (Some(status), Some(message)) => format!("{verdict} (status {status}: {message})"),
        (Some(status), None) => format!("{verdict} (status {status})"),
        (None, _) => verdict,
    }
}
