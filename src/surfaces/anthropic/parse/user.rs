//! For whom the client asks.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;

/// What tells the client's users apart, and nothing else: Claude Code sends the ids of the device and the account.
pub(super) fn parse_user(field: Field<'_>, ignored: &mut Ignored) -> Result<Option<String>, ApiError> {
    const BYTES: usize = 16;
    let Some(raw) = field.present() else { return Ok(None) };
    let metadata = fields!(raw => user_id)
        .map_err(|_| wrong(field.name(), format!("must be an object, not {}", kind(raw))))?;
    ignored.add("metadata.", metadata.unknown);
    let user: Option<String> = metadata.user_id.optional(field.name(), "a string")?;
    let hashed = |user: String| {
        let digest = digest(&SHA256, user.as_bytes());
        digest.as_ref().iter().take(BYTES).fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    Ok(user.map(hashed))
}
