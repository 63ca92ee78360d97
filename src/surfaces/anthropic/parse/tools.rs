//! Tools, and which of them the model may know of.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::middle::{MAX_TOOLS, Tool, ToolChoice};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::schema_bytes::SchemaBytes;

/// Tools whose description only Anthropic's models have, and that the client itself carries out. Without them the task
/// would fail in a way that nobody understands.
const TRAINED: [&str; 5] = ["bash_", "text_editor_", "memory_", "computer_", "browser_"];

/// The tools of a request.
#[derive(Default)]
pub(super) struct Offer {
    tools: Vec<Offered>,
    names: HashSet<String>,
    /// The names of those that Anthropic's servers would carry out, which are left out.
    pub(super) left_out: HashSet<String>,
}

struct Offered {
    tool: Tool,
    /// Whether the model gets to know it only when a search has found it.
    is_deferred: bool,
}

impl Offer {
    /// Whether there is a tool of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether there is no tool.
    pub(super) fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// The tools that the model may know of: a deferred one only if it is `referenced` in the conversation or chosen, or if
    /// there are no others.
    pub(super) fn known(self, referenced: &HashSet<String>, choice: Option<&ToolChoice>) -> Vec<Tool> {
        let is_known = |offered: &Offered| {
            let name = &offered.tool.name;
            let is_chosen = matches!(choice, Some(ToolChoice::Named(chosen)) if chosen == name);
            !offered.is_deferred || is_chosen || referenced.contains(name)
        };
        let all_are_deferred = !self.tools.iter().any(is_known);
        let known = self.tools.into_iter().filter(|offered| all_are_deferred || is_known(offered));
        known.map(|offered| offered.tool).collect()
    }
}

/// Reads `tools`.
pub(super) fn parse_tools(
    field: Field<'_>,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<Offer, ApiError> {
    let mut offer = Offer::default();
    let Some(tools) = field.present() else { return Ok(offer) };
    if !tools.get().starts_with('[') {
        return Err(wrong("tools", format!("must be an array of tools, not {}", kind(tools))));
    }
    each("tools", tools, |index, item| {
        if index >= MAX_TOOLS {
            return Err(wrong("tools", format!("has more than {MAX_TOOLS} tools")));
        }
        let at = format!("tools[{index}]");
        parse_tool(&at, item, &mut offer, ignored, schema_bytes)
    })?;
    if offer.is_empty() && !offer.left_out.is_empty() {
        return Err(wrong(
            "tools",
            "has only tools that run on Anthropic's servers, which are not available here",
        ));
    }
    Ok(offer)
}

fn parse_tool(
    at: &str,
    item: &RawValue,
    offer: &mut Offer,
    ignored: &mut Ignored,
    schema_bytes: &mut SchemaBytes,
) -> Result<(), ApiError> {
    let fields = fields!(item => kind: "type", name, description, input_schema, strict, defer_loading)
        .map_err(|_| wrong(at, format!("must be an object with 'name', not {}", kind(item))))?;
    let kind_of_tool: Option<String> = fields.kind.optional(at, "a string")?;
    let name: Option<String> = fields.name.optional(at, "a string")?;
    match kind_of_tool.as_deref() {
        None | Some("custom") => ignored.add("tools.", fields.unknown),
        Some(trained) if TRAINED.iter().any(|prefix| trained.starts_with(prefix)) => {
            let advice =
                "is a tool that only Anthropic's models know: describe it with 'input_schema' instead";
            return Err(wrong(fields.kind.below(at), advice));
        }
        Some(foreign) => {
            ignored.add("tools.", vec![plain(foreign)]);
            offer.left_out.insert(name.unwrap_or_else(|| plain(foreign)));
            return Ok(());
        }
    }
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| wrong(fields.name.below(at), "is missing"))?;
    if !offer.names.insert(name.clone()) {
        return Err(wrong(fields.name.below(at), "is the name of another tool"));
    }
    let at_schema = fields.input_schema.below(at);
    let schema = fields.input_schema.present();
    let parameters = schema.map(|schema| schema_bytes.add(&at_schema, schema)).transpose()?;
    if let Some(parameters) = parameters.as_ref().filter(|it| !it.get().starts_with('{')) {
        let is = kind(parameters.raw());
        return Err(wrong(at_schema, format!("must be a JSON Schema, an object, not {is}")));
    }
    let is_deferred: Option<bool> = fields.defer_loading.optional(at, "true or false")?;
    let description = fields.description.optional(at, "a string")?;
    let strict = fields.strict.optional(at, "true or false")?;
    let tool = Tool { name, description, parameters, strict };
    offer.tools.push(Offered { tool, is_deferred: is_deferred.unwrap_or(false) });
    Ok(())
}

/// A word of the client that a header may repeat.
pub(super) fn plain(word: &str) -> String {
    const MAX_CHARS: usize = 40;
    word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(MAX_CHARS).collect()
}
