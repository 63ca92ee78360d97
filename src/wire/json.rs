//! JSON text: our own types as such, and foreign objects entry by entry.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a short text takes, in bytes, so that it grows in one piece.
const SHORT: usize = 512;

/// `value` as JSON text.
pub(crate) fn to_vec(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(SHORT);
    write(&mut out, value);
    out
}

/// Appends `value` as JSON text.
#[expect(clippy::expect_used, reason = "see the message")]
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("our own types have string keys only, and memory does not fail");
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Few texts have anything to escape: they are looked at once and copied.
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        return write(out, &text);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// The JSON in `text`, on one line: where an event or an answer ends with its line, it may have no line end between its values.
/// `None` if it is no JSON.
pub(crate) fn on_one_line(text: &str) -> Option<Cow<'_, RawValue>> {
    // Inside of strings none can stand.
    if text.contains(['\n', '\r']) {
        let line = text.replace(['\n', '\r'], " ");
        return Some(Cow::Owned(RawValue::from_string(line).ok()?));
    }
    Some(Cow::Borrowed(serde_json::from_str(text).ok()?))
}

/// The entries of an object, in their order.
pub(crate) type Entries<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The entries of an object, whose values keep their bytes; `None` if it is anything else.
pub(crate) fn entries(value: &RawValue) -> Option<Entries<'_>> {
    struct Collector;

    impl<'de> Visitor<'de> for Collector {
        type Value = Entries<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    serde_json::Deserializer::from_str(value.get()).deserialize_map(Collector).ok()
}
