//! What the simulated models can do: the simulator's own facts, from the providers' model pages, November 2026.

use crate::middle::Effort;
use crate::providers::{Capabilities, Images, Profile};

/// What one model can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// How its id begins.
    prefix: &'static str,
    /// The largest `max_completion_tokens`.
    pub(super) max_completion_tokens: u64,
    /// Whether it sees images.
    pub(super) has_vision: bool,
    /// The values of `reasoning_effort` or `thinkingLevel` that it takes; empty if it takes no such field.
    pub(super) efforts: &'static [&'static str],
    /// Gemini 3 or newer: a call in the history must carry the signature of the thoughts behind it, and JSON mode works
    /// together with tools.
    pub(super) is_gemini_3: bool,
    /// Whether it takes a system instruction.
    pub(super) has_system_instruction: bool,
    /// Whether it takes a `thinkingConfig`.
    pub(super) has_thinking_config: bool,
}

const LOW_TO_HIGH: &[&str] = &["low", "medium", "high"];
const MINIMAL_TO_HIGH: &[&str] = &["minimal", "low", "medium", "high"];
const NONE_TO_HIGH: &[&str] = &["none", "low", "medium", "high"];

const fn text(prefix: &'static str, max_completion_tokens: u64, efforts: &'static [&'static str]) -> Facts {
    Facts {
        prefix,
        max_completion_tokens,
        has_vision: false,
        efforts,
        is_gemini_3: false,
        has_system_instruction: true,
        has_thinking_config: true,
    }
}

const fn vision(prefix: &'static str, max_completion_tokens: u64, efforts: &'static [&'static str]) -> Facts {
    Facts { has_vision: true, ..text(prefix, max_completion_tokens, efforts) }
}

const fn gemini(prefix: &'static str, efforts: &'static [&'static str]) -> Facts {
    Facts { is_gemini_3: true, ..vision(prefix, 65_536, efforts) }
}

/// The first row that matches counts.
const FACTS: &[Facts] = &[
    // Groq.
    text("openai/gpt-oss-", 65_536, LOW_TO_HIGH),
    vision("qwen/qwen3.8-27b", 16_384, &["none", "default", "low", "medium", "high"]),
    // Cerebras, on the free plan.
    text("gpt-oss-120b", 32_768, LOW_TO_HIGH),
    vision("qwen-3.8-27b", 32_768, NONE_TO_HIGH),
    // Gemini. Since 3.7, the full Flash models always think at least a little.
    gemini("gemini-3.7-flash", LOW_TO_HIGH),
    gemini("gemini-3.8-flash", LOW_TO_HIGH),
    gemini("gemini-3.1-pro", LOW_TO_HIGH),
    gemini("gemini-3", MINIMAL_TO_HIGH),
    gemini("gemini-4", LOW_TO_HIGH),
    // Older models take a budget instead of a level.
    vision("gemini-", 65_536, &[]),
    Facts { has_system_instruction: false, has_thinking_config: false, ..vision("gemma-", 8_192, &[]) },
];

/// What `model` can do: from the facts here, else from the provider's row, else everything except extra fields.
pub(super) fn facts(profile: &Profile, model: &str) -> Facts {
    let known = FACTS.iter().find(|row| model.starts_with(row.prefix)).copied();
    let in_row = || profile.models.iter().find(|row| row.id == model).map(|row| of(&row.can));
    known.or_else(in_row).unwrap_or(UNKNOWN)
}

const UNKNOWN: Facts = vision("", u64::MAX, &[]);

fn of(can: &Capabilities) -> Facts {
    Facts {
        has_vision: can.images != Images::None,
        efforts: EFFORTS.iter().find(|(efforts, _)| *efforts == can.efforts).map_or(&[], |(_, words)| words),
        ..text("", u64::from(can.max_output), &[])
    }
}

/// The efforts in rows, as words.
const EFFORTS: [(&[Effort], &[&str]); 3] = [
    (&[Effort::Low, Effort::Medium, Effort::High], LOW_TO_HIGH),
    (&[Effort::Minimal, Effort::Low, Effort::Medium, Effort::High], MINIMAL_TO_HIGH),
    (&[Effort::None, Effort::Low, Effort::Medium, Effort::High], NONE_TO_HIGH),
];
