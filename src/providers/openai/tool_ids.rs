//! The ids of tool calls, as a provider takes them.

use std::borrow::Cow;

use super::quirks::Quirks;
use crate::providers::fingerprint::fingerprint;

/// How many letters and digits a short id has: "a-z, A-Z, 0-9, with a length of 9" (Mistral's error 3280; reports of it in
/// vercel/ai and langchain-mistralai, checked 2026-11).
const SHORT: usize = 9;

/// `id` as the provider takes it. The same id always becomes the same, so that a call and its result stay together; an
/// id that the provider has given itself comes back as it was.
pub(super) fn sent<'i>(id: &'i str, quirks: &Quirks) -> Cow<'i, str> {
    let is_short = id.len() == SHORT && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_short || !quirks.short_call_ids { Cow::Borrowed(id) } else { Cow::Owned(fingerprint(id, SHORT)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shortened_alike_and_apart() {
        let short = Quirks { short_call_ids: true, ..Quirks::NONE };
        let sent_short = |id: &'static str| sent(id, &short);
        let ids = ["call_1", "call_2", "", "a b", "call_a833bdcdb6d1beb188dc97e5", "ñ", "1234567890"];
        for id in ids {
            let it = sent_short(id);
            assert!(it.len() == 9 && it.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}: {it}");
            assert_eq!(it, sent_short(id), "a call and its result stay together");
            assert_eq!(sent(id, &Quirks::NONE), id, "nobody else needs it");
        }
        let all: std::collections::BTreeSet<_> = ids.iter().map(|id| sent_short(id)).collect();
        assert_eq!(all.len(), ids.len(), "no two are one");
        assert_eq!(sent_short("D681PevKs"), "D681PevKs", "its own ids come back as they were");
    }
}
