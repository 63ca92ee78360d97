//! What Google's dialect calls the features of the middle.

use crate::middle::Feature;

/// The field that asks for a feature; `None` if the dialect has none.
pub(super) const fn field(feature: Feature) -> Option<&'static str> {
    match feature {
        Feature::TopP => Some("generationConfig.topP"),
        Feature::TopK => Some("generationConfig.topK"),
        Feature::Seed => Some("generationConfig.seed"),
        Feature::Stop => Some("generationConfig.stopSequences"),
        Feature::FrequencyPenalty => Some("generationConfig.frequencyPenalty"),
        Feature::PresencePenalty => Some("generationConfig.presencePenalty"),
        Feature::Effort => Some("generationConfig.thinkingConfig"),
        Feature::User | Feature::SpeakerName | Feature::ParallelToolCalls | Feature::ToolStrictness => None,
    }
}
