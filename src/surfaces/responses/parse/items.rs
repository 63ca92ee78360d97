//! The items of a conversation: messages, calls, results, and tools that were added on the way.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use super::content::content;
use super::tools::{Offer, plain};
use crate::middle::{AssistantPart, Part, ToolCall};
use crate::surfaces::conversation::{Conversation, ToolResult};
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, read, wrong};
use crate::surfaces::ignored::Ignored;
use crate::surfaces::responses::names::{arguments_of, flat};
use crate::surfaces::responses::store::Stored;
use crate::surfaces::schema_bytes::SchemaBytes;

const ROLES: &str = "'user', 'assistant', 'system', 'developer'";

/// Items by their ids.
pub(super) type Known<'a> = &'a HashMap<String, Box<RawValue>>;

/// Reads items.
pub(super) struct Items<'a> {
    pub(super) conversation: Conversation,
    pub(super) offer: Offer,
    pub(super) ignored: &'a mut Ignored,
    schema_bytes: &'a mut SchemaBytes,
    /// Those that others may stand for; `None` until they are known.
    known: Option<Known<'a>>,
    /// The ids of those that others stand for.
    pub(super) references: HashSet<String>,
    /// What the client sends, as it is to be stored: a JSON array up to its last item.
    pub(super) sent: Option<String>,
    /// The size of the largest, in bytes.
    pub(super) largest_item: usize,
}

fields!(struct Fields {
    kind: "type", role, content, id, call_id, name, namespace, arguments, input, output, tools,
    action, operation, code, result,
});

impl<'a> Items<'a> {
    pub(super) fn new(
        ignored: &'a mut Ignored,
        schema_bytes: &'a mut SchemaBytes,
        known: Option<Known<'a>>,
    ) -> Self {
        Self {
            conversation: Conversation::default(),
            offer: Offer::default(),
            ignored,
            schema_bytes,
            known,
            references: HashSet::new(),
            sent: None,
            largest_item: 0,
        }
    }

    /// Reads what an earlier answer answered, and the answer.
    pub(super) fn recall(&mut self, stored: &Stored) -> Result<(), ApiError> {
        const AT: &str = "previous_response_id";
        let own = |error: serde_json::Error| wrong(AT, format!("cannot be read: {error}"));
        let input: &RawValue = serde_json::from_str(stored.input()).map_err(own)?;
        let response: &RawValue = serde_json::from_str(&stored.response).map_err(own)?;
        let output = fields!(response => output).map_err(own)?.output;
        for list in [Some(input), output.array()].into_iter().flatten() {
            each(AT, list, |index, item| self.read(&format!("{AT}[{index}]"), item))?;
        }
        Ok(())
    }

    /// Reads an item. One that says nothing to the models here is left out.
    pub(super) fn read(&mut self, at: &str, item: &RawValue) -> Result<(), ApiError> {
        self.largest_item = self.largest_item.max(item.get().len());
        let fields: Fields<'_> = read(item)
            .map_err(|_| wrong(at, format!("must be an object with 'type', not {}", kind(item))))?;
        let kind_of_item: Option<String> = fields.kind.optional(at, "a string")?;
        if kind_of_item.as_deref() != Some("item_reference") {
            self.note(item.get());
        }
        match kind_of_item.as_deref() {
            None | Some("message") => self.message(at, &fields),
            Some("agent_message") => {
                let said = self.content(at, fields.content)?;
                self.conversation.user(said);
                Ok(())
            }
            Some("additional_tools") => self.offer(at, fields.tools),
            Some("item_reference") => self.refer(at, fields.id),
            Some(call) if is_call(call) => self.call(at, call, &fields),
            Some(result) if is_result(result) => self.result(at, result, &fields),
            // Thoughts of other models, what OpenAI's servers have done, and what is not known yet.
            Some(other) => {
                self.ignored.add("input.", vec![plain(other)]);
                Ok(())
            }
        }
    }

    fn message(&mut self, at: &str, fields: &Fields<'_>) -> Result<(), ApiError> {
        let role: Option<String> = fields.role.optional(at, "a string")?;
        let said = self.content(at, fields.content)?;
        match role.as_deref() {
            Some("user") => self.conversation.user(said),
            Some("assistant") => {
                let texts = said.into_iter().filter_map(|part| match part {
                    Part::Text(text) => Some(AssistantPart::Text(text)),
                    Part::Image(_) | Part::File(_) => None,
                });
                self.conversation.assistant(texts.collect());
            }
            Some("system" | "developer") => {
                for part in said {
                    match part {
                        Part::Text(text) => self.conversation.instruct(text),
                        // No model takes them as instructions.
                        shown @ (Part::Image(_) | Part::File(_)) => self.conversation.user(vec![shown]),
                    }
                }
            }
            _ => return Err(wrong(fields.role.below(at), format!("must be one of {ROLES}"))),
        }
        Ok(())
    }

    fn content(&mut self, at: &str, field: Field<'_>) -> Result<Vec<Part>, ApiError> {
        let raw = field.present();
        raw.map_or(Ok(Vec::new()), |raw| content(&field.below(at), raw, self.ignored))
    }

    fn offer(&mut self, at: &str, tools: Field<'_>) -> Result<(), ApiError> {
        let Some(list) = tools.present() else { return Ok(()) };
        self.offer.read(&tools.below(at), list, self.ignored, self.schema_bytes)
    }

    /// Notes an item that is to be stored.
    pub(super) fn note(&mut self, item: &str) {
        let Some(sent) = &mut self.sent else { return };
        sent.push(if sent.is_empty() { '[' } else { ',' });
        sent.push_str(item);
    }

    /// Reads the item that this one stands for. Two never stand for the same, or a short request could mean any amount.
    fn refer(&mut self, at: &str, id: Field<'_>) -> Result<(), ApiError> {
        let at_id = id.below(at);
        let id: String = id.required(at, "a string")?;
        // The thoughts of a model are no part of a conversation here.
        if id.starts_with("rs_") {
            return Ok(());
        }
        let item = self.known.map(|known| known.get(&id));
        if !self.references.insert(id) {
            return Err(wrong(at_id, "stands for the same item as one before it: send each item once"));
        }
        match item {
            Some(Some(item)) => self.read(at, item),
            Some(None) => Err(wrong(at_id, "is no item that is stored here: send the item itself")),
            None => Ok(()),
        }
    }

    fn call(&mut self, at: &str, kind_of_call: &str, fields: &Fields<'_>) -> Result<(), ApiError> {
        let (name, arguments) = match kind_of_call {
            "function_call" => (name(at, fields)?, fields.arguments.optional(at, "a string")?),
            "custom_tool_call" => {
                let input: Option<String> = fields.input.optional(at, "a string")?;
                (name(at, fields)?, Some(arguments_of(&input.unwrap_or_default())))
            }
            other => (bare(other).to_owned(), Some(arguments(fields))),
        };
        let call_id: Option<String> = fields.call_id.optional(at, "a string")?;
        let id = if call_id.is_some() { call_id } else { fields.id.optional(at, "a string")? };
        let call = ToolCall {
            id: id.unwrap_or_default(),
            name,
            arguments: arguments.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "{}".to_owned()),
            signature: None,
        };
        self.conversation.assistant(vec![AssistantPart::Call(call)]);
        Ok(())
    }

    fn result(&mut self, at: &str, kind_of_result: &str, fields: &Fields<'_>) -> Result<(), ApiError> {
        let call_id: Option<String> = fields.call_id.optional(at, "a string")?;
        let output = [fields.output, fields.result].into_iter().find(|field| field.present().is_some());
        let is_content = matches!(kind_of_result, "function_call_output" | "custom_tool_call_output");
        let mut parts = match output.and_then(|field| Some((field.below(at), field.present()?))) {
            None => Vec::new(),
            Some((at, raw)) if raw.get().starts_with('"') || (is_content && raw.get().starts_with('[')) => {
                content(&at, raw, self.ignored)?
            }
            // What a tool of the client's own has returned: the models read JSON.
            Some((_, raw)) => vec![Part::Text(raw.get().to_owned())],
        };
        if kind_of_result == "tool_search_output" {
            self.offer(at, fields.tools)?;
            parts.extend(fields.tools.present().map(|tools| Part::Text(tools.get().to_owned())));
        }
        self.conversation.result(ToolResult { call_id, name: None, parts, is_error: false });
        Ok(())
    }
}

/// The kinds of calls that clients carry out themselves.
fn is_call(kind_of_item: &str) -> bool {
    matches!(
        kind_of_item,
        "function_call"
            | "custom_tool_call"
            | "tool_search_call"
            | "local_shell_call"
            | "shell_call"
            | "apply_patch_call"
            | "program"
    )
}

/// The kinds of their results.
fn is_result(kind_of_item: &str) -> bool {
    matches!(
        kind_of_item,
        "function_call_output"
            | "custom_tool_call_output"
            | "tool_search_output"
            | "local_shell_call_output"
            | "shell_call_output"
            | "apply_patch_call_output"
            | "program_output"
    )
}

/// The name of a tool that has no other than its kind.
fn bare(kind_of_call: &str) -> &str {
    kind_of_call.strip_suffix("_call").unwrap_or(kind_of_call)
}

/// What such a tool is called with: JSON, as the client has it.
fn arguments(fields: &Fields<'_>) -> String {
    let said = [fields.arguments, fields.action, fields.operation, fields.code];
    let Some(field) = said.into_iter().find(|field| field.present().is_some()) else {
        return "{}".to_owned();
    };
    match field.present().map(RawValue::get) {
        Some(object) if object.starts_with('{') => object.to_owned(),
        Some(other) => format!("{{\"{}\":{other}}}", field.name()),
        None => "{}".to_owned(),
    }
}

/// The name under which the called tool is offered.
fn name(at: &str, fields: &Fields<'_>) -> Result<String, ApiError> {
    let name: String = fields.name.required(at, "a string")?;
    let namespace: Option<String> = fields.namespace.optional(at, "a string")?;
    Ok(flat(namespace.as_deref(), &name))
}
