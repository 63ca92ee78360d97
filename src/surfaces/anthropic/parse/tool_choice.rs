//! Whether the model is to call tools, which, and how many at once.

use super::tools::Offer;
use crate::middle::ToolChoice;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;

/// What `tool_choice` says.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) choice: Option<ToolChoice>,
    /// Whether several calls may be made at once.
    pub(super) parallel: Option<bool>,
}

/// Reads `tool_choice`, a choice among the tools in `offer`.
pub(super) fn parse_tool_choice(
    field: Field<'_>,
    offer: &Offer,
    ignored: &mut Ignored,
) -> Result<Chosen, ApiError> {
    const ACCEPTED: &str =
        "must be {\"type\":…} with 'auto', 'any', 'none', or 'tool' and the 'name' of a tool";
    let Some(raw) = field.present() else { return Ok(Chosen::default()) };
    let at = field.name();
    let fields = fields!(raw => kind: "type", name, disable_parallel_tool_use)
        .map_err(|_| wrong(at, format!("{ACCEPTED}, not {}", kind(raw))))?;
    ignored.add("tool_choice.", fields.unknown);
    let word: Option<String> = fields.kind.optional(at, "a string")?;
    let choice = match word.as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("any") if offer.is_empty() => {
            return Err(wrong(at, "wants a tool called, and 'tools' has none"));
        }
        Some("any") => ToolChoice::Required,
        Some("tool") => named(fields.name, offer)?,
        _ => return Err(wrong(fields.kind.below(at), ACCEPTED)),
    };
    let is_single: Option<bool> = fields.disable_parallel_tool_use.optional(at, "true or false")?;
    Ok(Chosen { choice: Some(choice), parallel: is_single.filter(|is_single| *is_single).map(|_| false) })
}

fn named(field: Field<'_>, offer: &Offer) -> Result<ToolChoice, ApiError> {
    const AT: &str = "tool_choice";
    let name: String = field.required(AT, "a string")?;
    if offer.left_out.contains(&name) {
        return Err(wrong(
            field.below(AT),
            "is a tool that runs on Anthropic's servers, and is not available here",
        ));
    }
    if !offer.has(&name) {
        return Err(wrong(field.below(AT), "is none of the tools in 'tools'"));
    }
    Ok(ToolChoice::Named(name))
}
