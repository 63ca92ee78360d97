//! What models can do, as data.
//!
//! A request goes only to models that support what it needs. A model that is in no table (users may name any) is
//! assumed to support everything: a refusal costs one call, a wrong guess costs the answer.

use crate::middle::{Effort, FreePlan, Needs};

/// A model that is offered by default.
#[derive(Debug)]
pub struct Model {
    /// The provider's own id.
    pub id: &'static str,
    /// What the model can do.
    pub can: Capabilities,
    /// Its limits on the free plan, as documented.
    pub free_plan: FreePlan,
}

/// What a model can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Tokens of conversation and answer together.
    pub window: u64,
    /// The most tokens of one answer; the proxy asks for no more.
    pub max_output: u32,
    /// Which images it can see.
    pub images: Images,
    /// Whether it can call tools.
    pub tools: bool,
    /// Whether it can write JSON on demand.
    pub json: bool,
    /// Whether it can write JSON that matches a schema.
    pub schema: bool,
    /// Whether tools may be offered when JSON is asked for.
    pub json_beside_tools: JsonBesideTools,
    /// The efforts that can be set, in order; empty if none can.
    pub efforts: &'static [Effort],
    /// Whether the effort is given as a number of tokens instead of a word.
    pub thinks_by_budget: bool,
    /// Whether it takes a system instruction separate from the conversation.
    pub instructions: bool,
    /// Whether it signs its tool calls and wants the signatures back.
    pub signs_calls: bool,
}

/// Which images a model can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// None.
    None,
    /// Images in the request.
    Inline,
    /// Images by URL, too.
    Remote,
}

/// What a model cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// See images.
    Images,
    /// Fetch images by URL.
    ImageUrls,
    /// Call tools.
    Tools,
    /// Write JSON on demand.
    Json,
    /// Write JSON that matches a schema.
    Schema,
    /// Write JSON on demand while these tools are offered.
    JsonBesideTools,
    /// Take a conversation of this length.
    Window,
}

impl Lack {
    /// Completes the sentence "Groq cannot …".
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Images => "see images",
            Self::ImageUrls => "fetch images by URL (send them as data: URLs)",
            Self::Tools => "call tools",
            Self::Json => "answer in JSON on demand (response_format)",
            Self::Schema => "answer after a JSON schema (response_format)",
            Self::JsonBesideTools => "combine response_format with these tools",
            Self::Window => "take in a conversation of this length",
        }
    }
}

/// Whether tools may be offered when JSON is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonBesideTools {
    /// The provider refuses the combination.
    Never,
    /// Only if the model is not forced to call a tool.
    Unforced,
    /// Yes.
    Always,
}

impl Capabilities {
    /// What is assumed of a model that is in no table: it can do everything, but no effort is sent to it.
    pub const UNKNOWN: Self = Self {
        window: 1_048_576,
        max_output: u32::MAX,
        images: Images::Remote,
        tools: true,
        json: true,
        schema: true,
        json_beside_tools: JsonBesideTools::Always,
        efforts: &[],
        thinks_by_budget: false,
        instructions: true,
        signs_calls: true,
    };

    /// Whether it cannot follow this effort: none can be set, or it cannot stop thinking.
    pub fn misses_effort(&self, effort: Option<Effort>) -> bool {
        effort.is_some_and(|effort| match effort.nearest(self.efforts) {
            None => true,
            Some(nearest) => effort == Effort::None && nearest != Effort::None,
        })
    }

    /// What it lacks for `needs`; `None` if it lacks nothing.
    pub fn lacks(&self, needs: &Needs) -> Option<Lack> {
        let mixes = match self.json_beside_tools {
            JsonBesideTools::Never => !(needs.json && needs.offered_tools),
            JsonBesideTools::Unforced => !(needs.json && needs.forced_call),
            JsonBesideTools::Always => true,
        };
        let checks = [
            (needs.inline_images && self.images == Images::None, Lack::Images),
            (needs.remote_images && self.images != Images::Remote, Lack::ImageUrls),
            (needs.tools && !self.tools, Lack::Tools),
            (needs.json && !self.json, Lack::Json),
            (needs.schema && !self.schema, Lack::Schema),
            (!mixes, Lack::JsonBesideTools),
            (needs.window > self.window, Lack::Window),
        ];
        checks.into_iter().find(|(is_lacking, _)| *is_lacking).map(|(_, lack)| lack)
    }
}
