//! Google Gemini's native API: `streamGenerateContent?alt=sse`.
//!
//! Sources, checked 2026-11: the types of google-genai 3.4.0; <https://ai.google.dev/api/generate-content>,
//! <https://ai.google.dev/gemini-api/docs/rate-limits>. Fixtures: `tests/fixtures/gemini/`.

mod decode;
mod encode;
mod errors;
mod schema;

pub(super) use self::decode::{MODELS_PATH, decode, parse_models};
pub(super) use self::encode::encode;
pub(super) use self::errors::{diagnose, limits_in_error};
