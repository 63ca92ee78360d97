//! Tools as this dialect describes them, offered as functions.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::middle::{Json, MAX_TOOLS, Tool};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, read, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::responses::names::{Origin, Origins, TEXT_SCHEMA, flat};
use crate::surfaces::schema_bytes::SchemaBytes;

/// Tools whose description only OpenAI's models have, and that the client itself carries out. Without them the task would
/// fail in a way that nobody understands.
const TRAINED: [&str; 3] = ["local_shell", "shell", "apply_patch"];

/// The tools of a request.
#[derive(Default)]
pub(super) struct Offer {
    pub(super) tools: Vec<Tool>,
    pub(super) origins: Origins,
    /// Where each stands in `tools`.
    places: HashMap<String, usize>,
    /// The kinds of those that OpenAI's servers would carry out, which are left out.
    pub(super) left_out: Vec<String>,
}

fields!(struct Fields {
    kind: "type", name, description, parameters, strict, format, tools,
});

impl Offer {
    /// Reads a list of tools. A tool that was there before takes the place of the earlier one.
    pub(super) fn read(
        &mut self,
        at: &str,
        list: &RawValue,
        ignored: &mut Ignored,
        schema_bytes: &mut SchemaBytes,
    ) -> Result<(), ApiError> {
        self.read_in(None, at, list, ignored, schema_bytes)
    }

    fn read_in(
        &mut self,
        namespace: Option<&str>,
        at: &str,
        list: &RawValue,
        ignored: &mut Ignored,
        schema_bytes: &mut SchemaBytes,
    ) -> Result<(), ApiError> {
        if !list.get().starts_with('[') {
            return Err(wrong(at, format!("must be an array of tools, not {}", kind(list))));
        }
        each(at, list, |index, item| {
            self.read_one(namespace, &format!("{at}[{index}]"), item, ignored, schema_bytes)
        })
    }

    fn read_one(
        &mut self,
        namespace: Option<&str>,
        at: &str,
        item: &RawValue,
        ignored: &mut Ignored,
        schema_bytes: &mut SchemaBytes,
    ) -> Result<(), ApiError> {
        let mut fields: Fields<'_> = read(item)
            .map_err(|_| wrong(at, format!("must be an object with 'type', not {}", kind(item))))?;
        let unknown = std::mem::take(&mut fields.unknown);
        let kind_of_tool: Option<String> = fields.kind.optional(at, "a string")?;
        match kind_of_tool.as_deref() {
            None | Some("function") => {
                let tool = function(at, &fields, schema_bytes)?;
                self.add(namespace, tool, false);
            }
            Some("custom") => self.add(namespace, custom(at, &fields)?, true),
            Some("namespace") if namespace.is_none() => {
                let name: String = fields.name.required(at, "a string")?;
                let at_tools = fields.tools.below(at);
                let list = fields.tools.present();
                let list = list.ok_or_else(|| wrong(at_tools.as_str(), "is missing"))?;
                self.read_in(Some(&name), &at_tools, list, ignored, schema_bytes)?;
            }
            Some(trained) if TRAINED.contains(&trained) => {
                let advice = "is a tool that only OpenAI's models know: describe it as a 'function' instead";
                return Err(wrong(fields.kind.below(at), advice));
            }
            Some(foreign) => {
                ignored.add("tools.", vec![plain(foreign)]);
                self.left_out.push(plain(foreign));
            }
        }
        ignored.add("tools.", unknown);
        if self.tools.len() > MAX_TOOLS || self.left_out.len() > MAX_TOOLS {
            return Err(wrong("tools", format!("has more than {MAX_TOOLS} tools")));
        }
        Ok(())
    }

    fn add(&mut self, namespace: Option<&str>, tool: Tool, is_custom: bool) {
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        let flat = flat(namespace, &tool.name);
        let origin = Origin { namespace: namespace.map(str::to_owned), name: tool.name, is_custom };
        self.origins.add(flat.clone(), origin);
        let tool = Tool { name: flat.clone(), ..tool };
        match self.places.get(&flat).and_then(|place| self.tools.get_mut(*place)) {
            Some(earlier) => *earlier = tool,
            None => {
                self.places.insert(flat, self.tools.len());
                self.tools.push(tool);
            }
        }
    }

    /// Refuses a request all of whose tools would be carried out by OpenAI's servers.
    pub(super) fn refuse_if_useless(&self) -> Result<(), ApiError> {
        if !self.tools.is_empty() || self.left_out.is_empty() {
            return Ok(());
        }
        let message = "has only tools that run on OpenAI's servers, which are not available here";
        Err(wrong("tools", format!("{message}: {}", self.left_out.join(", "))))
    }
}

fn name_of(at: &str, field: Field<'_>) -> Result<String, ApiError> {
    let name: Option<String> = field.optional(at, "a string")?;
    name.filter(|name| !name.is_empty()).ok_or_else(|| wrong(field.below(at), "is missing"))
}

fn function(at: &str, fields: &Fields<'_>, schema_bytes: &mut SchemaBytes) -> Result<Tool, ApiError> {
    let at_schema = fields.parameters.below(at);
    let schema = fields.parameters.present();
    let parameters = schema.map(|schema| schema_bytes.add(&at_schema, schema)).transpose()?;
    if let Some(parameters) = parameters.as_ref().filter(|it| !it.get().starts_with('{')) {
        let is = kind(parameters.raw());
        return Err(wrong(at_schema, format!("must be a JSON Schema, an object, not {is}")));
    }
    Ok(Tool {
        name: name_of(at, fields.name)?,
        description: fields.description.optional(at, "a string")?,
        parameters,
        strict: fields.strict.optional(at, "true or false")?,
    })
}

/// A tool that takes a text. The grammar of the text is told in words, since no provider here keeps to one.
fn custom(at: &str, fields: &Fields<'_>) -> Result<Tool, ApiError> {
    let description: Option<String> = fields.description.optional(at, "a string")?;
    let mut lines: Vec<String> = description.into_iter().collect();
    let format = fields.format.present().and_then(|raw| fields!(raw => syntax, definition).ok());
    if let Some(format) = format {
        let at = fields.format.below(at);
        let definition: Option<String> = format.definition.optional(&at, "a string")?;
        let syntax: Option<String> = format.syntax.optional(&at, "a string")?;
        let syntax = syntax.unwrap_or_else(|| "this".to_owned());
        lines.extend(definition.map(|it| format!("'input' must follow {syntax} grammar:\n{it}")));
    }
    Ok(Tool {
        name: name_of(at, fields.name)?,
        description: (!lines.is_empty()).then(|| lines.join("\n\n")),
        parameters: Json::parse(TEXT_SCHEMA).ok(),
        strict: None,
    })
}

/// A word of the client that a header may repeat.
pub(super) fn plain(word: &str) -> String {
    const MAX_CHARS: usize = 40;
    word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(MAX_CHARS).collect()
}
