//! Tools, the choice among them, and the form of the answer.

use serde_json::value::RawValue;

use super::Ignored;
use crate::middle::{ChatRequest, Json, ResponseFormat, Tool, ToolChoice};
use crate::surfaces::ApiError;
use crate::surfaces::fields::{each, kind, object_fields, optional, present, wrong};

/// As OpenAI allows.
const MAX_TOOLS: usize = 128;

/// Counts the bytes of all schemas: cleaning one costs time.
#[derive(Default)]
pub(super) struct SchemaBytes(usize);

impl SchemaBytes {
    const MOST: usize = 1024 * 1024;

    fn add(&mut self, at: &str, schema: &RawValue) -> Result<Json, ApiError> {
        self.0 += schema.get().len();
        if self.0 > Self::MOST {
            return Err(wrong(
                at,
                format!("makes the schemas of this request larger than {} bytes", Self::MOST),
            ));
        }
        Ok(schema.into())
    }
}

pub(super) fn parse_tools(
    tools: &RawValue,
    request: &mut ChatRequest,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<(), ApiError> {
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
    let fields = object_fields(item, ["type", "function"]).map_err(unreadable)?;
    let [kind_of_tool, function] = fields.known;
    ignored.add("tools.", fields.unknown);
    let kind_of_tool: Option<String> = optional(&format!("{at}.type"), kind_of_tool, "'function'")?;
    if kind_of_tool.is_some_and(|it| it != "function") {
        return Err(wrong(format!("{at}.type"), "must be 'function': there are no other tools here"));
    }
    let at = format!("{at}.function");
    let function = present(function).ok_or_else(|| wrong(at.as_str(), "is missing"))?;
    let fields = object_fields(function, ["name", "description", "parameters", "strict"])
        .map_err(|_| wrong(at.as_str(), format!("must be an object, not {}", kind(function))))?;
    let [name, description, parameters, strict] = fields.known;
    ignored.add("tools.function.", fields.unknown);
    let name: Option<String> = optional(&format!("{at}.name"), name, "a string")?;
    let name = name.filter(|name| !name.is_empty());
    let parameters = present(parameters);
    if let Some(parameters) = parameters.filter(|it| !it.get().starts_with('{')) {
        let is = kind(parameters);
        return Err(wrong(format!("{at}.parameters"), format!("must be a JSON Schema, an object, not {is}")));
    }
    let at_parameters = format!("{at}.parameters");
    let parameters = parameters.map(|schema| schema_bytes.add(&at_parameters, schema)).transpose()?;
    Ok(Tool {
        name: name.ok_or_else(|| wrong(format!("{at}.name"), "is missing"))?,
        description: optional(&format!("{at}.description"), description, "a string")?,
        parameters,
        strict: optional(&format!("{at}.strict"), strict, "true or false")?,
    })
}

pub(super) fn parse_tool_choice(raw: &RawValue, request: &mut ChatRequest) -> Result<(), ApiError> {
    const ACCEPTED: &str =
        "must be 'auto', 'none', 'required', or {\"type\":\"function\",\"function\":{\"name\":…}}";
    let choice = if raw.get().starts_with('"') {
        let word: Option<String> = optional("tool_choice", Some(raw), "a string")?;
        match word.as_deref() {
            Some("auto") => ToolChoice::Auto,
            Some("none") => ToolChoice::None,
            Some("required") => ToolChoice::Required,
            _ => return Err(wrong("tool_choice", ACCEPTED)),
        }
    } else {
        let fields = object_fields(raw, ["type", "function", "allowed_tools"])
            .map_err(|_| wrong("tool_choice", format!("{ACCEPTED}, not {}", kind(raw))))?;
        let [_, function, allowed] = fields.known;
        match (present(function), present(allowed)) {
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
    let fields = object_fields(function, ["name"])
        .map_err(|_| wrong(at, format!("must be an object with 'name', not {}", kind(function))))?;
    let [name] = fields.known;
    let name: Option<String> = optional(&format!("{at}.name"), name, "a string")?;
    name.ok_or_else(|| wrong(format!("{at}.name"), "is missing"))
}

/// Of the tools only these may be called: the others are not offered at all.
fn keep_only(allowed: &RawValue, request: &mut ChatRequest) -> Result<ToolChoice, ApiError> {
    const AT: &str = "tool_choice.allowed_tools";
    let unreadable = |_| wrong(AT, "must be an object with 'mode' and 'tools'");
    let fields = object_fields(allowed, ["mode", "tools"]).map_err(unreadable)?;
    let [mode, tools] = fields.known;
    let mode: Option<String> = optional(&format!("{AT}.mode"), mode, "'auto' or 'required'")?;
    let tools = present(tools).ok_or_else(|| wrong(format!("{AT}.tools"), "is missing"))?;
    let mut names = Vec::new();
    each(&format!("{AT}.tools"), tools, |index, item| {
        let at = format!("{AT}.tools[{index}]");
        let fields =
            object_fields(item, ["function"]).map_err(|_| wrong(at.as_str(), "must be an object"))?;
        let [function] = fields.known;
        let at = format!("{at}.function");
        names.push(named(&at, present(function).ok_or_else(|| wrong(at.as_str(), "is missing"))?)?);
        Ok(())
    })?;
    request.tools.retain(|tool| names.contains(&tool.name));
    match mode.as_deref() {
        Some("required") => Ok(ToolChoice::Required),
        Some("auto") | None => Ok(ToolChoice::Auto),
        Some(_) => Err(wrong(format!("{AT}.mode"), "must be 'auto' or 'required'")),
    }
}

pub(super) fn parse_format(
    raw: &RawValue,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<Option<ResponseFormat>, ApiError> {
    const ACCEPTED: &str =
        "must be {\"type\":\"text\"}, {\"type\":\"json_object\"} or {\"type\":\"json_schema\",…}";
    let fields = object_fields(raw, ["type", "json_schema"])
        .map_err(|_| wrong("response_format", format!("{ACCEPTED}, not {}", kind(raw))))?;
    let [format, whole] = fields.known;
    ignored.add("response_format.", fields.unknown);
    let format: Option<String> = optional("response_format.type", format, "a string")?;
    match format.as_deref() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(ResponseFormat::JsonObject)),
        Some("json_schema") => {
            const AT: &str = "response_format.json_schema";
            let whole = present(whole).ok_or_else(|| wrong(AT, "is missing"))?;
            let unreadable = |_| wrong(AT, format!("must be an object, not {}", kind(whole)));
            let [schema] = object_fields(whole, ["schema"]).map_err(unreadable)?.known;
            let whole = schema_bytes.add(AT, whole)?;
            Ok(Some(ResponseFormat::JsonSchema { whole, schema: present(schema).map(Json::from) }))
        }
        _ => Err(wrong("response_format.type", ACCEPTED)),
    }
}
