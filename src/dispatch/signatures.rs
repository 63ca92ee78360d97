//! The signatures that Google wants back with the tool calls that its models have made.
//!
//! Gemini 3 signs its calls and refuses a conversation in which a signature is missing. Clients that keep unknown
//! fields send it back; most do not, so it is kept here for a while, and told to the other instances that share. If it is
//! gone, after a restart for example, the encoder uses Google's documented substitute.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::middle::ToolCall;
use crate::share::{CommonMemory, Word};

/// The most memory for signatures, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// For sizing only: the usual size of an entry, including its id and the cache's overhead.
const USUAL_BYTES: u64 = 1_024;
/// The cache's overhead for an entry.
const ENTRY_BYTES: u64 = 64;

/// Signatures by the ids of their calls. If there are too many, those that were not asked for are evicted.
#[derive(Debug)]
pub struct Signatures {
    cache: Cache<String, String, Bytes>,
    others: Option<Arc<CommonMemory>>,
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<String, String> for Bytes {
    fn weight(&self, id: &String, signature: &String) -> u64 {
        (id.len() + signature.len()) as u64 + ENTRY_BYTES
    }
}

impl Default for Signatures {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Signatures {
    /// None yet. What is remembered is told to the `others`, if there are any.
    pub(crate) fn new(others: Option<Arc<CommonMemory>>) -> Self {
        let usual_entries = usize::try_from(MAX_BYTES / USUAL_BYTES).unwrap_or(1);
        Self { cache: Cache::with_weighter(usual_entries, MAX_BYTES, Bytes), others }
    }

    /// Keeps the signature of the call `id`, and tells the others.
    pub fn remember(&self, id: &str, signature: &str) {
        if let Some(others) = &self.others {
            others.tell(Word::Signature(id.to_owned(), signature.to_owned()));
        }
        self.hear(id.to_owned(), signature.to_owned());
    }

    /// Keeps a signature that another instance has told.
    pub(crate) fn hear(&self, id: String, signature: String) {
        self.cache.insert(id, signature);
    }

    /// Gives `call` its signature if the client has not kept it and we have.
    pub fn recall(&self, call: &mut ToolCall) {
        if call.signature.is_none() {
            call.signature = self.cache.get(&call.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, signature: Option<&str>) -> ToolCall {
        let (name, arguments) = ("f".to_owned(), "{}".to_owned());
        ToolCall { id: id.to_owned(), name, arguments, signature: signature.map(str::to_owned) }
    }

    #[test]
    fn what_the_client_has_kept_counts_more_than_what_we_have() {
        let signatures = Signatures::default();
        signatures.remember("a", "ours");
        let cases = [("a", None, Some("ours")), ("a", Some("theirs"), Some("theirs")), ("b", None, None)];
        for (id, kept, expected) in cases {
            let mut call = call(id, kept);
            signatures.recall(&mut call);
            assert_eq!(call.signature.as_deref(), expected, "{id} {kept:?}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let signatures = Signatures::default();
        let signature = "x".repeat(100_000);
        for id in 0..1_000 {
            signatures.remember(&id.to_string(), &signature);
        }
        let kept = (0..1_000).filter(|id| signatures.cache.peek(&id.to_string()).is_some()).count() as u64;
        assert!(kept > 50 && kept * 100_000 <= MAX_BYTES, "{kept}");
    }
}
