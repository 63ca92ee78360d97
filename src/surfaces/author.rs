//! Who writes an answer.

use crate::providers::Provider;

/// Which provider and model answer which request.
#[derive(Clone, Debug)]
pub struct Author {
    /// The provider.
    pub provider: Provider,
    /// The model's id at that provider.
    pub model: String,
    /// An id that no other answer has. The request's may be its client's own, and used again.
    pub answer_id: String,
    /// When the answer began, in seconds since 1970.
    pub created: i64,
}

impl Author {
    /// `groq/openai/gpt-oss-20b`: what a client may send to get exactly this model.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.provider.name().to_ascii_lowercase(), self.model)
    }
}
