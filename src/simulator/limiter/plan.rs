//! The limits of a plan, and those that Groq, Cerebras and Google have published or shown.
//!
//! Sources, checked 2026-11: <https://console.groq.com/docs/rate-limits>,
//! <https://inference-docs.cerebras.ai/support/rate-limits>, <https://ai.google.dev/gemini-api/docs/rate-limits>, and
//! readings of accounts by others, July to September 2026. Which kind a window is comes from refusals that were quoted:
//! Groq's `Limit 1000, Used 1000, Requested 1. Please try again in 1m26.4s` is a thousandth of a day, so its day refills.

use std::time::Duration;

use super::window::{Window, Zone};
use super::{Size, Used};
use crate::providers::Provider;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Each call as one.
    Requests,
    /// The tokens of its prompt.
    Prompt,
    /// The tokens of its prompt and of the longest answer that it allows, whatever the answer takes.
    Longest,
    /// The same before the call; when the answer ends, what it has really taken replaces that.
    LongestThenUsed,
}

impl Cost {
    /// What a call is charged before it.
    pub(super) fn of(self, size: Size) -> u64 {
        match self {
            Self::Requests => 1,
            Self::Prompt => size.prompt,
            Self::Longest | Self::LongestThenUsed => size.prompt.saturating_add(size.longest_answer),
        }
    }

    /// What it is charged in the end.
    pub(super) fn of_used(self, size: Size, used: Used) -> u64 {
        match self {
            Self::Requests | Self::Longest => self.of(size),
            Self::Prompt => used.prompt,
            Self::LongestThenUsed => used.prompt.saturating_add(used.answer),
        }
    }
}

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it counts; a window [at once](Window::AtOnce) counts calls, whatever stands here.
    pub cost: Cost,
    /// Over which window.
    pub window: Window,
    /// How much is admitted.
    pub most: u64,
}

impl Limit {
    /// `most` of `cost` over `window`.
    pub const fn new(most: u64, cost: Cost, window: Window) -> Self {
        Self { cost, window, most }
    }
}

/// The limits of every account of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Those over all models of an account together.
    pub pool: Vec<Limit>,
    /// Those of each model separately, by a word that its id holds. The first that matches counts; a model that matches
    /// none has no limits of its own.
    pub models: Vec<(&'static str, Vec<Limit>)>,
    /// Whether refused calls count as requests.
    pub refused_count: bool,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Plan {
    /// These limits for each model.
    pub fn each_model(limits: impl IntoIterator<Item = Limit>) -> Self {
        Self { models: vec![("", limits.into_iter().collect())], ..Self::default() }
    }

    /// Limits so high that they are never reached, for headers to report.
    pub fn endless() -> Self {
        const MOST: u64 = 1_000_000_000;
        Self::each_model([
            Limit::new(MOST, Cost::Requests, Window::Refilled(DAY)),
            Limit::new(MOST, Cost::Longest, Window::Refilled(MINUTE)),
        ])
    }

    /// The free plan of a provider; endless for one whose plan is not simulated.
    pub fn published(provider: Provider) -> Self {
        let models =
            [(Provider::GROQ, groq()), (Provider::CEREBRAS, cerebras()), (Provider::GEMINI, gemini())];
        let known = models.into_iter().find(|(known, _)| *known == provider);
        known.map_or_else(Self::endless, |(_, models)| Self { models, ..Self::default() })
    }

    /// The same plan with every limit changed: for plans that deviate from what is published.
    #[must_use]
    pub fn map(mut self, change: impl Fn(Limit) -> Limit) -> Self {
        let limits = self.models.iter_mut().map(|(_, limits)| limits).chain([&mut self.pool]);
        limits.flatten().for_each(|limit| *limit = change(*limit));
        self
    }

    pub(super) fn limits_of(&self, model: &str) -> &[Limit] {
        let known = self.models.iter().find(|(word, _)| model.contains(word));
        known.map_or(&[], |(_, limits)| limits)
    }
}

/// Groq checks prompt and longest answer against the minute and the day. Nobody has seen it give tokens of the minute
/// back; its own count of the day is of tokens used.
fn groq() -> Vec<(&'static str, Vec<Limit>)> {
    let limits = |a_day, tokens_a_minute| {
        vec![
            Limit::new(30, Cost::Requests, Window::Sliding(MINUTE)),
            Limit::new(a_day, Cost::Requests, Window::Refilled(DAY)),
            Limit::new(tokens_a_minute, Cost::Longest, Window::Refilled(MINUTE)),
        ]
    };
    let mut usual = limits(1_000, 8_000);
    usual.push(Limit::new(200_000, Cost::LongestThenUsed, Window::Refilled(DAY)));
    vec![("groq/compound", limits(250, 70_000)), ("", usual)]
}

/// "The estimate of prompt and max_completion_tokens is taken up front": an employee, in RooCodeInc/Roo-Code#10387.
fn cerebras() -> Vec<(&'static str, Vec<Limit>)> {
    let trial = vec![
        Limit::new(5, Cost::Requests, Window::Sliding(MINUTE)),
        Limit::new(30_000, Cost::Longest, Window::Refilled(MINUTE)),
        Limit::new(1_000_000, Cost::LongestThenUsed, Window::Refilled(HOUR)),
        Limit::new(1_000_000, Cost::LongestThenUsed, Window::Refilled(DAY)),
    ];
    vec![("", trial)]
}

/// Only prompts count as tokens. A model that is not free has limits of 0.
fn gemini() -> Vec<(&'static str, Vec<Limit>)> {
    let limits = |a_minute, prompt_a_minute, a_day| {
        vec![
            Limit::new(a_minute, Cost::Requests, Window::Sliding(MINUTE)),
            Limit::new(prompt_a_minute, Cost::Prompt, Window::Sliding(MINUTE)),
            Limit::new(a_day, Cost::Requests, Window::Day(Zone::Pacific)),
        ]
    };
    vec![
        ("2.5-flash-lite", limits(10, 250_000, 20)),
        ("flash-lite", limits(15, 250_000, 500)),
        ("flash", limits(5, 250_000, 20)),
        ("gemma", limits(30, 16_000, 14_400)),
        ("", vec![Limit::new(0, Cost::Requests, Window::Day(Zone::Pacific))]),
    ]
}
