//! A row of data for each provider, in rotation order. To add one, write its file and name it here.

pub(super) mod cerebras;
pub(super) mod gemini;
pub(super) mod groq;

use super::directory::Provider;

/// The rows that come with the program, in rotation order.
pub(super) const ALL: &[Provider] = &[Provider::GROQ, Provider::CEREBRAS, Provider::GEMINI];
