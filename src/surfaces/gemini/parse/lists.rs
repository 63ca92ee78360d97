//! Values that may be one or many, and values that ask for nothing.

use serde_json::value::RawValue;

use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, wrong};

/// Whether a value asks for something.
pub(super) fn says_something(raw: &RawValue) -> bool {
    !matches!(raw.get(), "false" | "\"\"" | "{}" | "[]" | "0")
}

/// The items of an array, or the one that stands in its place: `each` for what may be either.
pub(super) fn items<'a>(field: Field<'a>) -> Result<Vec<(String, &'a RawValue)>, ApiError> {
    let Some(raw) = field.present() else { return Ok(Vec::new()) };
    if !raw.get().starts_with('[') {
        return Ok(vec![(field.name().to_owned(), raw)]);
    }
    let items: Vec<&RawValue> = serde_json::from_str(raw.get())
        .map_err(|error| wrong(field.name(), format!("cannot be read: {error}")))?;
    Ok(items
        .into_iter()
        .enumerate()
        .map(|(index, item)| (format!("{}[{index}]", field.name()), item))
        .collect())
}
