//! How much the model is to think, and whether the client is shown it.

use crate::middle::{ChatRequest, Effort};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::values::count;

/// Reads `thinking`.
pub(super) fn parse_thinking(
    field: Field<'_>,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    let Some(raw) = field.present() else { return Ok(()) };
    let at = field.name();
    let thinking = fields!(raw => kind: "type", budget_tokens, display)
        .map_err(|_| wrong(at, format!("must be an object with 'type', not {}", kind(raw))))?;
    ignored.add("thinking.", thinking.unknown);
    let kind_of_thinking: Option<String> = thinking.kind.optional(at, "a string")?;
    let display: Option<String> = thinking.display.optional(at, "'summarized' or 'omitted'")?;
    match kind_of_thinking.as_deref() {
        Some("disabled") => {
            request.effort = Some(Effort::None);
            return Ok(());
        }
        Some("enabled") => request.effort = count(thinking.budget_tokens, at)?.map(effort_of),
        Some("adaptive" | "between_tools") => {}
        _ => ignored.add("", vec![at.to_owned()]),
    }
    let is_shown = match display.as_deref() {
        Some(word) => word == "summarized",
        None => kind_of_thinking.as_deref() == Some("enabled"),
    };
    request.wants_thoughts = is_shown;
    Ok(())
}

/// How much a model is to think that may take so many tokens for it.
fn effort_of(budget: u32) -> Effort {
    match budget {
        ..=2_048 => Effort::Low,
        2_049..=8_192 => Effort::Medium,
        _ => Effort::High,
    }
}
