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
    /// What it costs where work is counted.
    pub work: Work,
}

/// What a model costs in the provider's own unit of work, for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Of the prompt.
    pub prompt: u64,
    /// Of the answer.
    pub answer: u64,
}

impl Work {
    /// Work is not counted.
    pub const UNCOUNTED: Self = Self { prompt: 0, answer: 0 };

    /// What so many tokens cost, rounded up.
    pub const fn of(self, prompt: u64, answer: u64) -> u64 {
        let millionths =
            prompt.saturating_mul(self.prompt).saturating_add(answer.saturating_mul(self.answer));
        millionths.div_ceil(1_000_000)
    }
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
    /// Whether it can read files, such as PDFs.
    pub files: bool,
    /// Whether it can call tools.
    pub tools: bool,
    /// Whether it can be made to call a tool; otherwise it decides by itself.
    pub forced_calls: bool,
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
    /// Read files.
    Files,
    /// Call tools.
    Tools,
    /// Be made to call a tool.
    ForcedCalls,
    /// Write JSON on demand.
    Json,
    /// Write JSON that matches a schema.
    Schema,
    /// Write JSON on demand while these tools are offered.
    JsonBesideTools,
    /// Take a conversation of this length.
    Window,
}

impl Model {
    /// A model with this id that can do this, on this plan. Its work is not counted.
    pub const fn new(id: &'static str, can: Capabilities, free_plan: FreePlan) -> Self {
        Self { id, can, free_plan, work: Work::UNCOUNTED }
    }

    /// The same, whose million tokens of prompt and of answer cost so much work.
    pub const fn working(self, prompt: u64, answer: u64) -> Self {
        let Self { id, can, free_plan, .. } = self;
        Self { id, can, free_plan, work: Work { prompt, answer } }
    }
}

impl Lack {
    /// Completes the sentence "Groq cannot …".
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Images => "see images",
            Self::ImageUrls => "fetch images by URL (send them as data: URLs)",
            Self::Files => "read files (send their text, or pages as images)",
            Self::Tools => "call tools",
            Self::ForcedCalls => "be made to call a tool (tool_choice)",
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
    /// The most tokens of one answer, if that is known.
    pub fn told_output(&self) -> Option<u64> {
        Some(self.max_output).filter(|most| *most < u32::MAX).map(u64::from)
    }

    /// What is assumed of a model that is in no table: it can do everything, but no effort is sent to it.
    pub const UNKNOWN: Self = Self {
        window: 1_048_576,
        max_output: u32::MAX,
        images: Images::Remote,
        files: false,
        tools: true,
        forced_calls: true,
        json: true,
        schema: true,
        json_beside_tools: JsonBesideTools::Always,
        efforts: &[],
        thinks_by_budget: false,
        instructions: true,
        signs_calls: true,
    };

    /// What most models can do today: text, tools, JSON on demand, but no schema and no images. Rows name what differs.
    pub const USUAL: Self = Self {
        window: 131_072,
        max_output: 32_768,
        images: Images::None,
        files: false,
        tools: true,
        forced_calls: true,
        json: true,
        schema: false,
        json_beside_tools: JsonBesideTools::Always,
        efforts: &[],
        thinks_by_budget: false,
        instructions: true,
        signs_calls: false,
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
            (needs.files && !self.files, Lack::Files),
            (needs.tools && !self.tools, Lack::Tools),
            (needs.forced_call && !self.forced_calls, Lack::ForcedCalls),
            (needs.json && !self.json, Lack::Json),
            (needs.schema && !self.schema, Lack::Schema),
            (!mixes, Lack::JsonBesideTools),
            (needs.window > self.window, Lack::Window),
        ];
        checks.into_iter().find(|(is_lacking, _)| *is_lacking).map(|(_, lack)| lack)
    }
}
