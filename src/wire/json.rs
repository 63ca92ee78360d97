//! Our own types as JSON text.

use serde::Serialize;

/// `value` as JSON text.
pub(crate) fn to_vec(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value);
    out
}

/// Appends `value` as JSON text.
#[expect(clippy::expect_used, reason = "see the message")]
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("our own types have string keys only, and memory does not fail");
}
