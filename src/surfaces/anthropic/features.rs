//! What Anthropic's dialect calls the features of the middle.

use crate::middle::Feature;

/// The field that asks for a feature; `None` if the dialect has none.
pub(super) const fn field(feature: Feature) -> Option<&'static str> {
    match feature {
        Feature::TopP => Some("top_p"),
        Feature::TopK => Some("top_k"),
        Feature::Stop => Some("stop_sequences"),
        Feature::User => Some("metadata.user_id"),
        Feature::ParallelToolCalls => Some("tool_choice.disable_parallel_tool_use"),
        Feature::ToolStrictness => Some("tools.strict"),
        Feature::Effort => Some("output_config.effort"),
        Feature::Seed | Feature::SpeakerName | Feature::FrequencyPenalty | Feature::PresencePenalty => None,
    }
}
