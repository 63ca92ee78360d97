//! Tools, and the choice among them.

use serde_json::value::RawValue;

use crate::middle::{ChatRequest, Tool, ToolChoice};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::schema_bytes::SchemaBytes;

/// As OpenAI allows.
const MAX_TOOLS: usize = 128;

pub(super) fn parse_tools(
    tools: Field<'_>,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<(), ApiError> {
    let Some(tools) = tools.present() else { return Ok(()) };
    if !tools.get().starts_with('[') {
        return Err(wrong("tools", format!("must be an array of tools, not {}", kind(tools))));
    }
    each("tools", tools, |index, item| {
        if index >= MAX_TOOLS {
            return Err(wrong("tools", format!("has more than {MAX_TOOLS} tools")));
        }
        let at = format!("tools[{index}]");
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
    let unreadable =
        |_| wrong(at, format!("must be an object with 'type' and 'function', not {}", kind(item)));
    let tool = fields!(item => kind: "type", function).map_err(unreadable)?;
    ignored.add("tools.", tool.unknown);
    let kind_of_tool: Option<String> = tool.kind.optional(at, "'function'")?;
    if kind_of_tool.is_some_and(|it| it != "function") {
        return Err(wrong(tool.kind.below(at), "must be 'function': there are no other tools here"));
    }
    let at = tool.function.below(at);
    let function = tool.function.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
    let function = fields!(function => name, description, parameters, strict)
        .map_err(|_| wrong(at.as_str(), format!("must be an object, not {}", kind(function))))?;
    ignored.add("tools.function.", function.unknown);
    let name: Option<String> = function.name.optional(&at, "a string")?;
    let name = name.filter(|name| !name.is_empty());
    let at_parameters = function.parameters.below(&at);
    let parameters = function.parameters.present();
    let parameters = parameters.map(|schema| schema_bytes.add(&at_parameters, schema)).transpose()?;
    if let Some(parameters) = parameters.as_ref().filter(|it| !it.get().starts_with('{')) {
        let is = kind(parameters.raw());
        return Err(wrong(at_parameters, format!("must be a JSON Schema, an object, not {is}")));
    }
    Ok(Tool {
        name: name.ok_or_else(|| wrong(function.name.below(&at), "is missing"))?,
        description: function.description.optional(&at, "a string")?,
        parameters,
        strict: function.strict.optional(&at, "true or false")?,
    })
}

pub(super) fn parse_tool_choice(field: Field<'_>, request: &mut ChatRequest) -> Result<(), ApiError> {
    const ACCEPTED: &str =
        "must be 'auto', 'none', 'required', or {\"type\":\"function\",\"function\":{\"name\":…}}";
    let Some(raw) = field.present() else { return Ok(()) };
    let choice = if raw.get().starts_with('"') {
        let word: Option<String> = field.optional("", "a string")?;
        match word.as_deref() {
            Some("auto") => ToolChoice::Auto,
            Some("none") => ToolChoice::None,
            Some("required") => ToolChoice::Required,
            _ => return Err(wrong("tool_choice", ACCEPTED)),
        }
    } else {
        let fields = fields!(raw => function, allowed_tools)
            .map_err(|_| wrong("tool_choice", format!("{ACCEPTED}, not {}", kind(raw))))?;
        match (fields.function.present(), fields.allowed_tools.present()) {
            (Some(function), _) => ToolChoice::Named(named("tool_choice.function", function)?),
            (None, Some(allowed)) => keep_only(allowed, request)?,
            (None, None) => return Err(wrong("tool_choice", ACCEPTED)),
        }
    };
    let is_offered = |name: &String| request.tools.iter().any(|tool| tool.name == *name);
    match &choice {
        ToolChoice::Named(name) if !is_offered(name) => {
            Err(wrong("tool_choice.function.name", "is none of the tools in 'tools'"))
        }
        ToolChoice::Required if request.tools.is_empty() => {
            Err(wrong("tool_choice", "wants a tool called, and 'tools' has none"))
        }
        _ => {
            request.tool_choice = Some(choice).filter(|_| !request.tools.is_empty());
            Ok(())
        }
    }
}

fn named(at: &str, function: &RawValue) -> Result<String, ApiError> {
    let function = fields!(function => name)
        .map_err(|_| wrong(at, format!("must be an object with 'name', not {}", kind(function))))?;
    function.name.required(at, "a string")
}

/// Only these tools may be called, so the others are not offered at all.
fn keep_only(allowed: &RawValue, request: &mut ChatRequest) -> Result<ToolChoice, ApiError> {
    const AT: &str = "tool_choice.allowed_tools";
    let unreadable = |_| wrong(AT, "must be an object with 'mode' and 'tools'");
    let allowed = fields!(allowed => mode, tools).map_err(unreadable)?;
    let mode: Option<String> = allowed.mode.optional(AT, "'auto' or 'required'")?;
    let at_tools = allowed.tools.below(AT);
    let tools = allowed.tools.present().ok_or_else(|| wrong(at_tools.as_str(), "is missing"))?;
    let mut names = Vec::new();
    each(&at_tools, tools, |index, item| {
        let at = format!("{at_tools}[{index}]");
        let tool = fields!(item => function).map_err(|_| wrong(at.as_str(), "must be an object"))?;
        let at = tool.function.below(&at);
        let function = tool.function.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
        names.push(named(&at, function)?);
        Ok(())
    })?;
    request.tools.retain(|tool| names.contains(&tool.name));
    match mode.as_deref() {
        Some("required") => Ok(ToolChoice::Required),
        Some("auto") | None => Ok(ToolChoice::Auto),
        Some(_) => Err(wrong(allowed.mode.below(AT), "must be 'auto' or 'required'")),
    }
}
