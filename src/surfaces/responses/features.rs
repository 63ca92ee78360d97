//! What this dialect calls the features of the middle.

use crate::middle::Feature;
use crate::providers::Lack;

/// The field that asks for a feature; `None` if the dialect has none.
pub(super) const fn field(feature: Feature) -> Option<&'static str> {
    match feature {
        Feature::TopP => Some("top_p"),
        Feature::User => Some("user"),
        Feature::ParallelToolCalls => Some("parallel_tool_calls"),
        Feature::ToolStrictness => Some("tools.strict"),
        Feature::Effort => Some("reasoning.effort"),
        Feature::TopK
        | Feature::Stop
        | Feature::Seed
        | Feature::SpeakerName
        | Feature::FrequencyPenalty
        | Feature::PresencePenalty => None,
    }
}

/// The field that asks for what a model lacks.
pub(super) const fn field_of_lack(lack: Lack) -> &'static str {
    match lack {
        Lack::Images | Lack::ImageUrls | Lack::Files | Lack::Window => "input",
        Lack::Tools => "tools",
        Lack::ForcedCalls => "tool_choice",
        Lack::Json | Lack::Schema | Lack::JsonBesideTools => "text.format",
    }
}
