//! Values that may be one or many, and values that ask for nothing.

use serde_json::value::RawValue;

use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, wrong};

/// Whether a value asks for something.
pub(super) fn says_something(raw: &RawValue) -> bool {
    !matches!(raw.get(), "false" | "\"\"" | "{}" | "[]" | "0")
}

/// The items of an array, or the one that stands in its place, each with its place. A place is written when it is come to:
/// kept for all items, they would take many times the request.
pub(super) fn items<'a>(field: Field<'a>) -> Result<impl Iterator<Item = (String, &'a RawValue)>, ApiError> {
    let raw = field.present();
    let is_list = raw.is_some_and(|raw| raw.get().starts_with('['));
    let items: Vec<&RawValue> = match raw {
        Some(raw) if is_list => serde_json::from_str(raw.get())
            .map_err(|error| wrong(field.name(), format!("cannot be read: {error}")))?,
        one => one.into_iter().collect(),
    };
    let place =
        move |index| if is_list { format!("{}[{index}]", field.name()) } else { field.name().to_owned() };
    Ok(items.into_iter().enumerate().map(move |(index, item)| (place(index), item)))
}
