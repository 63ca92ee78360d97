//! Contents that are lists of parts, as Mistral's reasoning models have them.
//!
//! Source, checked 2026-11: <https://docs.mistral.ai/capabilities/reasoning/>:
//! `[{"type":"thinking","thinking":[{"type":"text","text":"…"}]},{"type":"text","text":"…"}]`, streamed as well.

use serde_json::Value;

use crate::middle::Sink;

/// Reads the parts of the content in `event`, a chunk or a whole answer. Parts of other kinds say nothing.
pub(super) fn read(event: &[u8], sink: &mut Sink<'_>) {
    let event: Value = serde_json::from_slice(event).unwrap_or_default();
    let content =
        ["/choices/0/delta/content", "/choices/0/message/content"].iter().find_map(|it| event.pointer(it));
    for part in content.and_then(Value::as_array).into_iter().flatten() {
        match part.get("type").and_then(Value::as_str) {
            Some("text") => sink.text(text(part)),
            Some("thinking") => match part.get("thinking") {
                Some(Value::Array(thoughts)) => thoughts.iter().for_each(|it| sink.reasoning(text(it))),
                Some(Value::String(thought)) => sink.reasoning(thought.as_str()),
                _ => {}
            },
            _ => {}
        }
    }
}

fn text(part: &Value) -> &str {
    part.get("text").and_then(Value::as_str).unwrap_or_default()
}
