//! Tools: in the form of OpenAI's.

use serde_json::value::RawValue;

use crate::middle::{ChatRequest, MAX_TOOLS, Tool};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::schema_bytes::SchemaBytes;

/// Reads `tools`.
pub(super) fn parse_tools(
    field: Field<'_>,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<(), ApiError> {
    let Some(list) = field.present() else { return Ok(()) };
    each(field.name(), list, |index, item| {
        if index >= MAX_TOOLS {
            return Err(wrong(field.name(), format!("has more than {MAX_TOOLS} tools")));
        }
        let at = format!("{}[{index}]", field.name());
        let tool = parse_tool(&at, item, ignored, schema_bytes)?;
        if request.tools.iter().any(|known| known.name == tool.name) {
            return Err(wrong(format!("{at}.function.name"), "is the name of another tool"));
        }
        request.tools.push(tool);
        Ok(())
    })
}

fn parse_tool(
    at: &str,
    item: &RawValue,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<Tool, ApiError> {
    let unreadable = |_| wrong(at, format!("must be an object with 'function', not {}", kind(item)));
    let tool = fields!(item => kind: "type", function).map_err(unreadable)?;
    ignored.add("tools.", tool.unknown);
    let kind_of_tool: Option<String> = tool.kind.optional(at, "'function'")?;
    if kind_of_tool.is_some_and(|it| it != "function") {
        return Err(wrong(tool.kind.below(at), "must be 'function': there are no other tools here"));
    }
    let at = tool.function.below(at);
    let raw = tool.function.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
    let function = fields!(raw => name, description, parameters)
        .map_err(|_| wrong(at.as_str(), format!("must be an object, not {}", kind(raw))))?;
    ignored.add("tools.function.", function.unknown);
    let name: String = function.name.required(&at, "a string")?;
    if name.is_empty() {
        return Err(wrong(function.name.below(&at), "is empty"));
    }
    let at_parameters = function.parameters.below(&at);
    let parameters = match function.parameters.present() {
        None => None,
        Some(raw) if raw.get().starts_with('{') => Some(schema_bytes.add(&at_parameters, raw)?),
        Some(raw) => {
            return Err(wrong(at_parameters, format!("must be a JSON Schema, an object, not {}", kind(raw))));
        }
    };
    let description = function.description.optional(&at, "a string")?;
    Ok(Tool { name, description, parameters, strict: None })
}
