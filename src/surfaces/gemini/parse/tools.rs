//! Tools, and the choice among them.

use serde_json::value::RawValue;

use super::lists::items;
use super::schema::json_schema;
use crate::middle::{ChatRequest, MAX_TOOLS, Tool, ToolChoice};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, fields, kind, read_in_any_case, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::schema_bytes::SchemaBytes;

fields!(struct Group { functions: "functionDeclarations" });

fields!(struct Function { name, description, parameters, json: "parametersJsonSchema", response, json_response: "responseJsonSchema" });

fields!(struct Config { calling: "functionCallingConfig" });

fields!(struct Calling { mode, allowed: "allowedFunctionNames" });

/// Reads `tools`. Those that Google would carry out itself are left out beside others; alone they are what was asked for.
pub(super) fn parse_tools(
    field: Field<'_>,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<(), ApiError> {
    let mut left_out = Vec::new();
    for (at, item) in items(field)? {
        let group: Group<'_> = read_in_any_case(item).map_err(|_| {
            wrong(at.as_str(), format!("must be an object with 'functionDeclarations', not {}", kind(item)))
        })?;
        for (place, item) in items(group.functions)? {
            parse_function(&format!("{at}.{place}"), item, request, schema_bytes)?;
        }
        left_out.extend(group.unknown);
        if left_out.len() > MAX_TOOLS {
            return Err(wrong(field.name(), format!("has more than {MAX_TOOLS} tools")));
        }
    }
    if request.tools.is_empty() && !left_out.is_empty() {
        let message = "has only tools that run at Google, which are not available here";
        return Err(wrong(field.name(), format!("{message}: {}", left_out.join(", "))));
    }
    ignored.add("tools.", left_out);
    Ok(())
}

fn parse_function(
    at: &str,
    item: &RawValue,
    request: &mut ChatRequest,
    schema_bytes: &mut SchemaBytes,
) -> Result<(), ApiError> {
    let unreadable = |_| wrong(at, format!("must be an object with 'name', not {}", kind(item)));
    let function: Function<'_> = read_in_any_case(item).map_err(unreadable)?;
    let name: String = function.name.required(at, "a string")?;
    if request.tools.len() >= MAX_TOOLS {
        return Err(wrong("tools", format!("has more than {MAX_TOOLS} functions")));
    }
    if name.is_empty() || request.tools.iter().any(|known| known.name == name) {
        return Err(wrong(function.name.below(at), "is empty, or the name of another function"));
    }
    let schema = if function.json.present().is_some() { function.json } else { function.parameters };
    let parameters = match schema.present() {
        None => None,
        Some(raw) => {
            let at = schema.below(at);
            schema_bytes.count(&at, raw)?;
            if !raw.get().starts_with('{') {
                return Err(wrong(at, format!("must be a schema, an object, not {}", kind(raw))));
            }
            Some(json_schema(raw))
        }
    };
    let description = function.description.optional(at, "a string")?;
    request.tools.push(Tool { name, description, parameters, strict: None });
    Ok(())
}

/// Reads `toolConfig`.
pub(super) fn parse_tool_config(field: Field<'_>, request: &mut ChatRequest) -> Result<(), ApiError> {
    let at = field.name();
    let Some(raw) = field.present() else { return Ok(()) };
    let config: Config<'_> = read_in_any_case(raw).map_err(|_| wrong(at, "must be an object"))?;
    let at = config.calling.below(at);
    let Some(raw) = config.calling.present() else { return Ok(()) };
    let calling: Calling<'_> = read_in_any_case(raw).map_err(|_| wrong(at.as_str(), "must be an object"))?;
    let mode: Option<String> = calling.mode.optional(&at, "'AUTO', 'ANY', 'NONE' or 'VALIDATED'")?;
    let allowed: Option<Vec<String>> = calling.allowed.optional(&at, "an array of names")?;
    let choice = match mode.map(|mode| mode.to_ascii_uppercase()).as_deref() {
        Some("ANY") => ToolChoice::Required,
        Some("NONE") => ToolChoice::None,
        None | Some("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED") => ToolChoice::Auto,
        Some(_) => {
            return Err(wrong(calling.mode.below(&at), "must be 'AUTO', 'ANY', 'NONE' or 'VALIDATED'"));
        }
    };
    if let Some(allowed) = allowed.filter(|names| !names.is_empty()) {
        if allowed.len() > MAX_TOOLS {
            return Err(wrong(calling.allowed.below(&at), format!("has more than {MAX_TOOLS} names")));
        }
        // Only these may be called, so the others are not offered at all.
        request.tools.retain(|tool| allowed.contains(&tool.name));
        if request.tools.is_empty() {
            return Err(wrong(calling.allowed.below(&at), "names none of the functions in 'tools'"));
        }
    }
    if choice == ToolChoice::Required && request.tools.is_empty() {
        return Err(wrong(calling.mode.below(&at), "wants a function called, and 'tools' has none"));
    }
    request.tool_choice = Some(choice).filter(|_| !request.tools.is_empty());
    Ok(())
}
