//! Values that stand in the requests of several dialects. Each takes a field and the place of the object it stands in,
//! empty for the request itself.

use super::error::ApiError;
use super::fields::{Field, wrong};
use crate::middle::Effort;

/// A number within limits.
pub(super) fn number(field: Field<'_>, parent: &str, least: f64, most: f64) -> Result<Option<f64>, ApiError> {
    let accepted = format!("a number from {least} to {most}");
    let number: Option<f64> = field.optional(parent, &accepted)?;
    match number {
        Some(number) if !(least..=most).contains(&number) => {
            Err(wrong(field.below(parent), format!("must be {accepted}, not {number}")))
        }
        number => Ok(number),
    }
}

/// A whole number; also one that is written as `7.0`, as some languages do.
pub(super) fn whole(field: Field<'_>, parent: &str) -> Result<Option<i64>, ApiError> {
    let Some(raw) = field.present() else { return Ok(None) };
    let fraction = |number: f64| number.fract() == 0.0 && number.abs() < 9e18;
    let whole: Result<i64, _> = serde_json::from_str(raw.get());
    let float = || serde_json::from_str(raw.get()).ok().filter(|number| fraction(*number));
    let number = whole.ok().or_else(|| float().map(|number| number as i64));
    number.map(Some).ok_or_else(|| wrong(field.below(parent), "must be a whole number"))
}

/// A number of things, such as tokens: at least 1. -1 counts as absent, because some clients write it for "as many as
/// you like".
pub(super) fn count(field: Field<'_>, parent: &str) -> Result<Option<u32>, ApiError> {
    match whole(field, parent)? {
        None | Some(-1) => Ok(None),
        Some(number) if number < 1 => Err(wrong(field.below(parent), "must be a whole number of at least 1")),
        Some(number) => Ok(Some(u32::try_from(number).unwrap_or(u32::MAX))),
    }
}

/// How much to think, as a word.
pub(super) fn effort(field: Field<'_>, parent: &str) -> Result<Option<Effort>, ApiError> {
    const ACCEPTED: &str = "one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max', 'default'";
    let word: Option<String> = field.optional(parent, ACCEPTED)?;
    let Some(word) = word else { return Ok(None) };
    match word.as_str() {
        "default" => Ok(None),
        // No provider here offers more than high.
        "xhigh" | "max" => Ok(Some(Effort::High)),
        word => match Effort::ALL.into_iter().find(|effort| effort.as_str() == word) {
            Some(effort) => Ok(Some(effort)),
            None => Err(wrong(field.below(parent), format!("must be {ACCEPTED}"))),
        },
    }
}
