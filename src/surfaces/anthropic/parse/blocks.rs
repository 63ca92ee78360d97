//! The blocks that a message consists of.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::documents::{Document, document, image, search_result};
use super::tools::plain;
use crate::middle::{Part, ToolCall};
use crate::surfaces::conversation::ToolResult;
use crate::surfaces::error::ApiError;
use crate::surfaces::fields::{Field, each, fields, kind, read, string, wrong};
use crate::surfaces::ignored::Ignored;

/// Where blocks stand, for the names of what is ignored.
const PLACE: &str = "messages.content.";

/// Reads blocks.
pub(super) struct Blocks<'i> {
    pub(super) ignored: &'i mut Ignored,
    /// The tools that searches have found.
    pub(super) referenced: HashSet<String>,
    depth: usize,
}

/// Blocks hold blocks: a message a result, that a document, and that its texts. Deeper ones would be read again and again.
const MAX_DEPTH: usize = 4;

/// What a block says.
pub(super) enum Block {
    /// Texts, images and files.
    Parts(Vec<Part>),
    /// A call of a tool.
    Call(ToolCall),
    /// What one has returned.
    Result(ToolResult),
}

fields!(struct Fields {
    kind: "type", text, source, title, context, content,
    id, name, input, tool_use_id, is_error, tool_name,
});

impl<'i> Blocks<'i> {
    pub(super) fn new(ignored: &'i mut Ignored) -> Self {
        Self { ignored, referenced: HashSet::new(), depth: 0 }
    }

    /// Hands what `content` says to `take`: a string, or blocks. Blocks that say nothing to the models here are left out.
    pub(super) fn read(
        &mut self,
        at: &str,
        content: &RawValue,
        mut take: impl FnMut(Block),
    ) -> Result<(), ApiError> {
        match content.get().as_bytes().first() {
            Some(b'"') => {
                take(Block::Parts(text(at, content)?));
                Ok(())
            }
            Some(b'[') if self.depth >= MAX_DEPTH => {
                Err(wrong(at, format!("stands in more than {MAX_DEPTH} blocks, one in the other")))
            }
            Some(b'[') => {
                self.depth += 1;
                let read = each(at, content, |index, item| {
                    if let Some(block) = self.block(&format!("{at}[{index}]"), item)? {
                        take(block);
                    }
                    Ok(())
                });
                self.depth -= 1;
                read
            }
            _ => Err(wrong(at, format!("must be a string or an array of blocks, not {}", kind(content)))),
        }
    }

    /// Tells that blocks of this kind are left out, if they are.
    pub(super) fn skip_if(&mut self, is_left_out: bool, kind_of_block: &str) {
        if is_left_out {
            self.ignored.add(PLACE, vec![plain(kind_of_block)]);
        }
    }

    fn block(&mut self, at: &str, item: &RawValue) -> Result<Option<Block>, ApiError> {
        let mut fields: Fields<'_> = read(item)
            .map_err(|_| wrong(at, format!("must be an object with 'type', not {}", kind(item))))?;
        let kind_of_block: Option<String> = fields.kind.optional(at, "a string")?;
        let kind_of_block =
            kind_of_block.ok_or_else(|| wrong(fields.kind.below(at), "is missing: 'text', 'image', …"))?;
        let unknown = std::mem::take(&mut fields.unknown);
        let block = match kind_of_block.as_str() {
            "text" => Block::Parts(text_of(at, fields.text)?),
            "image" => Block::Parts(vec![Part::Image(image(at, fields.source)?)]),
            "document" => Block::Parts(self.document(at, &fields)?),
            "search_result" => Block::Parts(self.search_result(at, &fields)?),
            "compaction" => Block::Parts(self.parts(&fields.content.below(at), fields.content)?),
            "tool_reference" => Block::Parts(self.reference(at, fields.tool_name)?),
            "tool_use" => Block::Call(call(at, &fields)?),
            "tool_result" => Block::Result(self.result(at, &fields)?),
            // Thoughts of other models, what Anthropic's servers have done, and what is not known yet.
            other => {
                self.skip_if(true, other);
                return Ok(None);
            }
        };
        self.ignored.add(PLACE, unknown);
        Ok(Some(block))
    }

    /// What `field` shows: a string, or blocks without calls.
    fn parts(&mut self, at: &str, field: Field<'_>) -> Result<Vec<Part>, ApiError> {
        let Some(content) = field.present() else { return Ok(Vec::new()) };
        let mut parts = Vec::new();
        self.read_parts(at, content, |part| parts.push(part))?;
        Ok(parts)
    }

    /// Reads what `content` shows. Calls and results in it are left out, and told.
    pub(super) fn read_parts(
        &mut self,
        at: &str,
        content: &RawValue,
        mut take: impl FnMut(Part),
    ) -> Result<(), ApiError> {
        let (mut calls, mut results) = (false, false);
        self.read(at, content, |block| match block {
            Block::Parts(parts) => parts.into_iter().for_each(&mut take),
            Block::Call(_) => calls = true,
            Block::Result(_) => results = true,
        })?;
        self.skip_if(calls, "tool_use");
        self.skip_if(results, "tool_result");
        Ok(())
    }

    fn document(&mut self, at: &str, fields: &Fields<'_>) -> Result<Vec<Part>, ApiError> {
        let title: Option<String> = fields.title.optional(at, "a string")?;
        let context: Option<String> = fields.context.optional(at, "a string")?;
        document(at, fields.source, Document { title, context }, |at, content| self.parts(at, content))
    }

    fn search_result(&mut self, at: &str, fields: &Fields<'_>) -> Result<Vec<Part>, ApiError> {
        let title: Option<String> = fields.title.optional(at, "a string")?;
        let source: Option<String> = fields.source.optional(at, "a string")?;
        let content = self.parts(&fields.content.below(at), fields.content)?;
        Ok(search_result(title, source, content))
    }

    /// A tool that a search has found. The model is offered it from now on.
    fn reference(&mut self, at: &str, field: Field<'_>) -> Result<Vec<Part>, ApiError> {
        let name: String = field.required(at, "a string")?;
        let told = Part::Text(format!("The tool {name} is available now."));
        self.referenced.insert(name);
        Ok(vec![told])
    }

    fn result(&mut self, at: &str, fields: &Fields<'_>) -> Result<ToolResult, ApiError> {
        let is_error: Option<bool> = fields.is_error.optional(at, "true or false")?;
        Ok(ToolResult {
            call_id: fields.tool_use_id.optional(at, "a string")?,
            name: None,
            parts: self.parts(&fields.content.below(at), fields.content)?,
            is_error: is_error.unwrap_or(false),
        })
    }
}

/// A call; its input keeps its bytes.
fn call(at: &str, fields: &Fields<'_>) -> Result<ToolCall, ApiError> {
    let input = fields.input.present().map_or("{}", RawValue::get);
    Ok(ToolCall {
        id: fields.id.required(at, "a string")?,
        name: fields.name.required(at, "a string")?,
        arguments: input.to_owned(),
        signature: None,
    })
}

fn text_of(at: &str, field: Field<'_>) -> Result<Vec<Part>, ApiError> {
    let at = field.below(at);
    let raw = field.present().ok_or_else(|| wrong(at.as_str(), "is missing"))?;
    text(&at, raw)
}

/// A text; nothing if it is empty.
fn text(at: &str, raw: &RawValue) -> Result<Vec<Part>, ApiError> {
    let text = string(raw).map_err(|error| wrong(at, error))?;
    Ok(Some(text).filter(|text| !text.is_empty()).map(Part::Text).into_iter().collect())
}
