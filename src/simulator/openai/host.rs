//! The provider to simulate: what its row says, and what else is known of some hosts.

use crate::middle::Feature;
use crate::providers::{Auth, Dialect, ErrorForm, Profile, Quirks};

/// How refusals are worded and chunks are formed: wrapped errors as Groq sends them, flat ones as Cerebras sends them.
pub(super) type Style = ErrorForm;

/// A provider that speaks OpenAI's dialect, simulated.
#[derive(Clone, Copy)]
pub(in crate::simulator) struct Host {
    pub(super) profile: &'static Profile,
    pub(super) quirks: &'static Quirks,
    pub(super) strictness: Strictness,
}

/// What a host refuses in addition to what its row does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Groq's rules: everything in its documents and its users' reports.
    Groq,
    /// Cerebras's.
    Cerebras,
    /// Nothing more is known.
    AsItsRowSays,
}

/// The hosts with rules beyond their rows.
const KNOWN: [(&str, Strictness); 2] = [("Groq", Strictness::Groq), ("Cerebras", Strictness::Cerebras)];

/// The fields that every provider of this dialect accepts.
const COMMON_FIELDS: [&str; 9] = [
    "model",
    "messages",
    "stream",
    "temperature",
    "tools",
    "tool_choice",
    "response_format",
    "reasoning_effort",
    "reasoning_format",
];

impl Host {
    /// The host of this row; `None` if it speaks another dialect.
    pub(in crate::simulator) fn of(profile: &'static Profile) -> Option<Self> {
        let Dialect::OpenAi(quirks) = &profile.dialect else { return None };
        let known = KNOWN.iter().find(|(name, _)| *name == profile.name);
        let strictness = known.map_or(Strictness::AsItsRowSays, |(_, strictness)| *strictness);
        Some(Self { profile, quirks, strictness })
    }

    pub(super) fn style(&self) -> Style {
        self.quirks.errors
    }

    /// The header that carries the key, and the text before the key in it.
    pub(super) fn key_header(&self) -> (&'static str, &'static str) {
        match self.profile.auth {
            Auth::Bearer => ("authorization", "Bearer "),
            Auth::Header(name) => (name, ""),
        }
    }

    /// Whether a request may have this field, as far as the row says.
    pub(super) fn row_takes(&self, field: &str) -> bool {
        let feature = match field {
            "top_p" => Feature::TopP,
            field if field == self.quirks.seed_name => Feature::Seed,
            "stream_options" => return self.quirks.asks_for_usage,
            "stop" => Feature::Stop,
            "user" => Feature::User,
            "frequency_penalty" => Feature::FrequencyPenalty,
            "presence_penalty" => Feature::PresencePenalty,
            "parallel_tool_calls" => Feature::ParallelToolCalls,
            field => return COMMON_FIELDS.contains(&field) || field == self.quirks.max_tokens_name,
        };
        self.quirks.takes.contains(&feature)
    }
}
