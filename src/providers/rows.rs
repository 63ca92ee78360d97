//! A row of data for each provider, in rotation order. To add one, write its file and name it here.

pub(super) mod cerebras;
pub(super) mod gemini;
pub(super) mod groq;

use super::profile::Profile;

/// The rows that come with the program, in rotation order.
pub(super) static ALL: &[&Profile] = &[&groq::PROFILE, &cerebras::PROFILE, &gemini::PROFILE];
