//! What Ollama's dialect calls the features of the middle.

use crate::middle::Feature;

/// The field that asks for a feature; `None` if the dialect has none.
pub(super) const fn field(feature: Feature) -> Option<&'static str> {
    match feature {
        Feature::TopP => Some("options.top_p"),
        Feature::TopK => Some("options.top_k"),
        Feature::Seed => Some("options.seed"),
        Feature::Stop => Some("options.stop"),
        Feature::FrequencyPenalty => Some("options.frequency_penalty"),
        Feature::PresencePenalty => Some("options.presence_penalty"),
        Feature::Effort => Some("think"),
        Feature::User | Feature::SpeakerName | Feature::ParallelToolCalls | Feature::ToolStrictness => None,
    }
}
