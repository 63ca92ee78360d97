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

/// Appends `value` as JSON text for clients that read line by line: see [`LINE_ENDS`].
pub(crate) fn write_line(out: &mut Vec<u8>, value: &impl Serialize) {
    let begin = out.len();
    write(out, value);
    escape_line_ends(out, begin);
}

/// Appends `text` as a JSON string.
#[expect(clippy::indexing_slicing, reason = "every byte stands in a table of 256")]
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    // Few texts have anything to escape: they are looked at once and copied.
    if text.bytes().any(|byte| MAY_NEED_ESCAPE[usize::from(byte)]) {
        let begin = out.len();
        write(out, &text);
        return escape_line_ends(out, begin);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// The bytes of which JSON escapes a character, or with which one of [`LINE_ENDS`] begins. A look into a table takes fewer
/// instructions for each byte than to compare.
#[expect(clippy::indexing_slicing, reason = "the compiler runs it")]
const MAY_NEED_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = byte < 0x20 || matches!(byte, 0x22 | 0x5C | 0xC2 | 0xE2);
        byte += 1;
    }
    table
};

/// Line ends that JSON takes for letters and Python for line ends: httpx, for one, splits an answer at them.
const LINE_ENDS: [(char, &str); 3] =
    [('\u{85}', "\\u0085"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];

/// Escapes such line ends in the JSON that was written from `begin` on: they can only stand inside of strings.
fn escape_line_ends(out: &mut Vec<u8>, begin: usize) {
    let written = out.get(begin..).unwrap_or_default();
    // All of them begin with one of these bytes.
    let Some(Ok(text)) = memchr::memchr2(0xC2, 0xE2, written).map(|_| str::from_utf8(written)) else {
        return;
    };
    if !text.contains(LINE_ENDS.map(|(end, _)| end)) {
        return;
    }
    let escaped = LINE_ENDS.iter().fold(text.to_owned(), |text, (end, escape)| text.replace(*end, escape));
    out.truncate(begin);
    out.extend_from_slice(escaped.as_bytes());
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
