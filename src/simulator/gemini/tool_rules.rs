//! What Gemini accepts as tools: declarations, names, and the modes of calling.

use serde_json::Value;

use super::fields::{check_known, field, items};
use super::prompt::declarations;
use super::refusals::{Refused, at_fault, invalid_value};
use super::rules::{Checked, ENUM_PREFIX};
use super::schema_rules::{check_json_schema, check_openapi_schema};

const TOOL_FIELDS: &[&str] = &[
    "functionDeclarations",
    "googleSearch",
    "googleSearchRetrieval",
    "googleMaps",
    "codeExecution",
    "urlContext",
    "computerUse",
    "fileSearch",
    "mcpServers",
];

const DECLARATION_FIELDS: &[&str] = &[
    "name",
    "description",
    "behavior",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
];

const MODES: &[&str] = &["MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"];
const MAX_NAME_BYTES: usize = 128;

/// Checks the tools and the mode of calling them.
pub(super) fn check_tools(body: &Value) -> Checked {
    for (index, tool) in items(body, "tools").iter().enumerate() {
        let path = format!("tools[{index}]");
        check_known(tool, TOOL_FIELDS, &path)?;
        let functions = items(tool, "functionDeclarations");
        let is_nothing = |value: &Value| value.as_array().is_some_and(Vec::is_empty) || value.is_null();
        if tool.as_object().is_none_or(|tool| tool.values().all(is_nothing)) {
            let what = "required one_of 'tool_type' must have one initialized field";
            return Err(at_fault(&format!("{path}.tool_type"), what));
        }
        for (position, function) in functions.iter().enumerate() {
            check_declaration(function, &format!("{path}.function_declarations[{position}]"))?;
        }
    }
    let mut names: Vec<&str> = declarations(body).filter_map(|it| it["name"].as_str()).collect();
    names.sort_unstable();
    if let Some(name) = names.windows(2).find(|pair| pair.first() == pair.last()).and_then(<[_]>::first) {
        return Err(Refused::invalid(format!("Duplicate function declaration found: {name}")));
    }
    check_tool_config(body, !names.is_empty())
}

fn check_declaration(function: &Value, path: &str) -> Checked {
    check_known(function, DECLARATION_FIELDS, path)?;
    if !function["name"].as_str().is_some_and(is_name) {
        let what = format!(
            "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), \
             underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of {MAX_NAME_BYTES}."
        );
        return Err(at_fault(&format!("{path}.name"), &what));
    }
    let (openapi, json_schema) = (field(function, "parameters"), field(function, "parametersJsonSchema"));
    if !openapi.is_null() && !json_schema.is_null() {
        let what = "only one of parameters and parameters_json_schema can be set";
        return Err(at_fault(&format!("{path}.parameters"), what));
    }
    check_openapi_schema(openapi, &format!("{path}.parameters"))?;
    check_json_schema(json_schema, &format!("{path}.parameters_json_schema"))
}

fn is_name(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    let first = name.bytes().next();
    name.len() <= MAX_NAME_BYTES
        && first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(is_fit)
}

fn check_tool_config(body: &Value, has_functions: bool) -> Checked {
    let config = field(body, "toolConfig");
    let known = ["functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"];
    check_known(config, &known, "tool_config")?;
    let calling = field(config, "functionCallingConfig");
    let path = "tool_config.function_calling_config";
    check_known(calling, &["mode", "allowedFunctionNames"], path)?;
    if calling.is_null() {
        return Ok(());
    }
    let mode = &calling["mode"];
    if !mode.is_null() && !MODES.iter().any(|known| mode == known) {
        let kind = format!("{ENUM_PREFIX}.FunctionCallingConfig.Mode");
        return Err(invalid_value(&format!("{path}.mode"), &kind, mode));
    }
    if !has_functions {
        return Err(Refused::invalid("Function calling config is set without function_declarations."));
    }
    let takes_names = mode == "ANY" || mode == "VALIDATED";
    if !takes_names && !items(calling, "allowedFunctionNames").is_empty() {
        let message = "Please set allowed_function_names only when function calling mode is ANY.";
        return Err(Refused::invalid(message));
    }
    Ok(())
}
