//! What models can do, as data.
//!
//! A request goes only to models that can do what it asks. Of a model that is in no table (users may name any) the best
//! is hoped: a refusal costs one call, a wrong guess the answer.

use crate::chat::{Effort, Needs};

/// A model that is offered by default.
#[derive(Debug)]
pub struct Model {
    /// The provider's own id.
    pub id: &'static str,
    /// What it can do.
    pub can: Capabilities,
}

/// What a model can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Tokens of conversation and answer together.
    pub window: u64,
    /// The most tokens of one answer: more is not asked for.
    pub max_output: u32,
    /// Which pictures it can see.
    pub images: Images,
    /// Call tools.
    pub tools: bool,
    /// Write JSON when told to.
    pub json: bool,
    /// Write JSON after a schema.
    pub schema: bool,
    /// Whether tools may be offered when JSON is asked for.
    pub json_beside_tools: JsonBesideTools,
    /// How much it can be told to think, in order; empty if it cannot be told.
    pub efforts: &'static [Effort],
}

/// Which pictures a model can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// None.
    None,
    /// Those in the request.
    Inline,
    /// Also those that are to be fetched.
    Remote,
}

/// Whether tools may be offered when JSON is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonBesideTools {
    /// It is refused.
    Never,
    /// Unless the model is made to call one.
    Unforced,
    /// Yes.
    Always,
}

impl Capabilities {
    /// Everything: what is hoped of a model that is in no table.
    pub const UNKNOWN: Self = Self {
        window: 1_048_576,
        max_output: u32::MAX,
        images: Images::Remote,
        tools: true,
        json: true,
        schema: true,
        json_beside_tools: JsonBesideTools::Always,
        efforts: &[],
    };

    /// What of `needs` it cannot do, in words that complete «no model here can …»; none if it can do everything.
    pub fn lacks(&self, needs: &Needs) -> Option<&'static str> {
        let mixes = match self.json_beside_tools {
            JsonBesideTools::Never => !(needs.json && needs.tools),
            JsonBesideTools::Unforced => !(needs.json && needs.forced_call),
            JsonBesideTools::Always => true,
        };
        let checks = [
            (needs.inline_images && self.images == Images::None, "see images"),
            (
                needs.remote_images && self.images != Images::Remote,
                "fetch images by URL (send them as data: URLs)",
            ),
            (needs.tools && !self.tools, "call tools"),
            (needs.json && !self.json, "answer in JSON on demand (response_format)"),
            (needs.schema && !self.schema, "answer after a JSON schema (response_format)"),
            (!mixes, "combine response_format with these tools"),
            (needs.window > self.window, "take in a conversation of this length"),
        ];
        checks.into_iter().find(|(is_lacking, _)| *is_lacking).map(|(_, what)| what)
    }
}
