//! Whether the model is to call tools, and which.

use serde_json::value::RawValue;

use super::tools::Offer;
use crate::middle::{ChatRequest, MAX_TOOLS, ToolChoice};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, read, wrong};
use crate::surfaces::ignored::Ignored;

const AT: &str = "tool_choice";
const ACCEPTED: &str = "must be 'auto', 'none', 'required', or an object with the 'type' 'function', 'custom' or \
                        'allowed_tools'";

fields!(struct Fields { kind: "type", name, namespace, mode, tools });

/// Reads `tool_choice`, a choice among the tools in `offer`. Those that must not be called are not offered.
pub(super) fn parse_tool_choice(
    field: Field<'_>,
    offer: &mut Offer,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
) -> Result<(), ApiError> {
    let Some(raw) = field.present() else { return Ok(()) };
    let choice = if raw.get().starts_with('"') {
        let word: Option<String> = field.optional("", "a string")?;
        match word.as_deref() {
            Some("auto") => ToolChoice::Auto,
            Some("none") => ToolChoice::None,
            Some("required") => ToolChoice::Required,
            _ => return Err(wrong(AT, ACCEPTED)),
        }
    } else {
        chosen(raw, offer, ignored)?
    };
    if choice == ToolChoice::Required && offer.tools.is_empty() {
        return Err(wrong(AT, "wants a tool called, and 'tools' has none"));
    }
    request.tool_choice = Some(choice).filter(|_| !offer.tools.is_empty());
    Ok(())
}

fn chosen(raw: &RawValue, offer: &mut Offer, ignored: &mut Ignored) -> Result<ToolChoice, ApiError> {
    let mut fields: Fields<'_> =
        read(raw).map_err(|_| wrong(AT, format!("{ACCEPTED}, not {}", kind(raw))))?;
    ignored.add("tool_choice.", std::mem::take(&mut fields.unknown));
    let kind_of_choice: Option<String> = fields.kind.optional(AT, "a string")?;
    match kind_of_choice.as_deref() {
        Some("function" | "custom") => {
            let name = named(AT, &fields, offer)?;
            let missing = || wrong(fields.name.below(AT), "is none of the tools in 'tools'");
            name.map(ToolChoice::Named).ok_or_else(missing)
        }
        Some("allowed_tools") => keep_only(&fields, offer),
        Some(other) if offer.left_out.iter().any(|left_out| left_out == other) => {
            Err(wrong(AT, "names a tool that runs on OpenAI's servers, which is not available here"))
        }
        _ => Err(wrong(fields.kind.below(AT), ACCEPTED)),
    }
}

/// The name under which the tool that is named in `fields` is offered.
fn named(at: &str, fields: &Fields<'_>, offer: &Offer) -> Result<Option<String>, ApiError> {
    let name: String = fields.name.required(at, "a string")?;
    let namespace: Option<String> = fields.namespace.optional(at, "a string")?;
    Ok(offer.origins.offered(namespace.as_deref(), &name))
}

/// Only these tools may be called, so the others are not offered at all.
fn keep_only(fields: &Fields<'_>, offer: &mut Offer) -> Result<ToolChoice, ApiError> {
    let at_tools = fields.tools.below(AT);
    let tools = fields.tools.present().ok_or_else(|| wrong(at_tools.as_str(), "is missing"))?;
    let mut names = Vec::new();
    each(&at_tools, tools, |index, item| {
        if index >= MAX_TOOLS {
            return Err(wrong(at_tools.as_str(), format!("has more than {MAX_TOOLS} tools")));
        }
        let at = format!("{at_tools}[{index}]");
        let tool: Fields<'_> = read(item).map_err(|_| wrong(at.as_str(), "must be an object"))?;
        if tool.name.present().is_some() {
            names.extend(named(&at, &tool, offer)?);
        }
        Ok(())
    })?;
    offer.tools.retain(|tool| names.contains(&tool.name));
    let mode: Option<String> = fields.mode.optional(AT, "'auto' or 'required'")?;
    match mode.as_deref() {
        Some("required") => Ok(ToolChoice::Required),
        Some("auto") | None => Ok(ToolChoice::Auto),
        Some(_) => Err(wrong(fields.mode.below(AT), "must be 'auto' or 'required'")),
    }
}
