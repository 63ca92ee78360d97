//! What OpenAI's dialect calls the features of the middle.

use crate::middle::Feature;
use crate::providers::Lack;

/// The field that asks for a feature.
pub(super) const fn field(feature: Feature) -> &'static str {
    match feature {
        Feature::TopP => "top_p",
        Feature::TopK => "top_k",
        Feature::Seed => "seed",
        Feature::Stop => "stop",
        Feature::User => "user",
        Feature::SpeakerName => "messages.name",
        Feature::FrequencyPenalty => "frequency_penalty",
        Feature::PresencePenalty => "presence_penalty",
        Feature::ParallelToolCalls => "parallel_tool_calls",
        Feature::ToolStrictness => "tools.function.strict",
        Feature::Effort => "reasoning_effort",
    }
}

/// The field that asks for what a model lacks.
pub(super) const fn field_of_lack(lack: Lack) -> &'static str {
    match lack {
        Lack::Images | Lack::ImageUrls | Lack::Files | Lack::Window => "messages",
        Lack::Tools => "tools",
        Lack::ForcedCalls => "tool_choice",
        Lack::Json | Lack::Schema | Lack::JsonBesideTools => "response_format",
    }
}
