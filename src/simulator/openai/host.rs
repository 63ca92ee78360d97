//! The provider to simulate: what its row says, and what else is known of some hosts.

use crate::middle::Feature;
use crate::providers::{Auth, Dialect, EffortForm, ErrorForm, Profile, Provider, Quirks};

/// How refusals are worded: wrapped errors as Groq sends them, flat ones as Cerebras sends them.
pub(super) type Style = ErrorForm;

/// A provider that speaks OpenAI's dialect, simulated.
#[derive(Clone, Copy)]
pub(in crate::simulator) struct Host {
    pub(super) profile: &'static Profile,
    pub(super) quirks: &'static Quirks,
    pub(super) manner: Manner,
}

/// What a host does in addition to what its row says: what else it refuses, and the form of its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Groq's rules and forms, from its documents and from reports of its users.
    Groq,
    /// Cerebras's rules and forms.
    Cerebras,
    /// The forms of llama.cpp's server, as they were recorded (`tests/fixtures/llamacpp`).
    LlamaCpp,
    /// The simulator knows nothing more: the host answers as OpenAI does.
    Plain,
}

/// The hosts with rules beyond their rows.
const KNOWN: [(Provider, Manner); 3] = [
    (Provider::GROQ, Manner::Groq),
    (Provider::CEREBRAS, Manner::Cerebras),
    (Provider::LLAMA_CPP, Manner::LlamaCpp),
];

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
        let known = KNOWN.iter().find(|(known, _)| *known == Provider::of(profile));
        let manner = known.map_or(Manner::Plain, |(_, manner)| *manner);
        Some(Self { profile, quirks, manner })
    }

    /// Whether the row sends this field with every request, or with every one that has tools.
    fn is_fixed(&self, field: &str) -> bool {
        let Quirks { fixed_fields, fixed_fields_with_tools, .. } = self.quirks;
        fixed_fields.iter().chain(*fixed_fields_with_tools).any(|(name, _)| *name == field)
    }

    /// What stands before every path of the row.
    pub(super) fn path_of<'p>(&self, path: &'p str) -> &'p str {
        let behind_id = self.profile.account_id.and_then(|id| {
            let (value, _) = path.strip_prefix(id.before)?.split_once('/')?;
            id.is_valid(value).then(|| path.get(id.before.len() + value.len()..))?
        });
        match self.profile.account_id {
            Some(_) => behind_id.unwrap_or_default(),
            None => path,
        }
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
            "top_k" => Feature::TopK,
            field if field == self.quirks.seed_name => Feature::Seed,
            "stream_options" => return self.quirks.asks_for_usage,
            "thinking" => return self.quirks.effort == EffortForm::Switch,
            "reasoning_effort" if self.quirks.effort != EffortForm::Word => return false,
            field if self.is_fixed(field) => return true,
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
