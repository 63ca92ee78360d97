//! A row of data for each provider, in rotation order. To add one, write its file and name it here.

pub(super) mod cerebras;
mod cloudflare;
mod cohere;
pub(super) mod gemini;
pub(super) mod groq;
mod kilo;
pub(super) mod local;
mod mistral;
mod nvidia;
mod openrouter;
mod ovhcloud;
mod zai;

pub(super) use self::local::CUSTOM;
use super::profile::Profile;

/// The rows that come with the program, in rotation order.
pub(super) static ALL: &[&Profile] = &[
    &groq::PROFILE,
    &cerebras::PROFILE,
    &gemini::PROFILE,
    &openrouter::PROFILE,
    &nvidia::PROFILE,
    &cloudflare::PROFILE,
    &mistral::PROFILE,
    &zai::PROFILE,
    &cohere::PROFILE,
    &kilo::PROFILE,
    &ovhcloud::PROFILE,
    &local::OLLAMA,
    &local::LM_STUDIO,
    &local::LLAMA_CPP,
    &local::VLLM,
];
