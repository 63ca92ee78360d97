//! Anthropic's messages, as their clients send and read them.

mod answers;
mod control;
mod errors;
mod requests;
mod tools;

use serde_json::{Value, json};

use super::{ignored, pins, sent, with};
use crate::support::{Reply, TestProxy, ask_at};

/// What clients send in front of every request.
const HEADERS: [(&str, &str); 2] =
    [("anthropic-version", "2023-06-01"), ("anthropic-beta", "something-new-2026")];

/// Posts `body` as Claude Code does and reads the answer to its end.
async fn message(proxy: &TestProxy, body: &Value) -> anyhow::Result<Reply> {
    ask_at(proxy, "/v1/messages?beta=true", body, &HEADERS).await
}

/// A request of these `messages` to the provider of this name, or to anybody.
fn request(model: &str, messages: Value) -> Value {
    json!({"model": model, "max_tokens": 1024, "messages": messages})
}

/// A request of one question.
fn question(model: &str) -> Value {
    request(model, json!([{"role": "user", "content": "Hola"}]))
}

/// A streamed answer.
#[derive(Debug, Default)]
struct Stream {
    /// The message of its first event.
    start: Value,
    /// Its blocks, each with all its pieces.
    blocks: Vec<Value>,
    /// Its next to last event.
    delta: Value,
    is_stopped: bool,
    error: Option<Value>,
}

impl Stream {
    /// Reads a stream as strictly as no client would.
    fn read(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{}", reply.text());
        let text = reply.text();
        assert!(text.ends_with("\n\n"), "cut in the middle of an event: {text:?}");
        let mut stream = Self::default();
        let mut open: Option<usize> = None;
        for event in text.split_terminator("\n\n") {
            let (name, data) = event.split_once('\n').unwrap_or_else(|| panic!("one line: {event:?}"));
            let name = name.strip_prefix("event: ").unwrap_or_else(|| panic!("no name: {event:?}"));
            let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {event:?}"));
            let data: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("not JSON: {data:?}"));
            assert_eq!(data["type"], name, "both say the type");
            assert!(!stream.is_stopped && stream.error.is_none(), "something after the end: {event}");
            stream.take(name, data, &mut open);
        }
        assert!(stream.is_stopped || stream.error.is_some(), "no end: {text}");
        assert!(open.is_none() || !stream.is_stopped, "a block was left open: {text}");
        stream
    }

    fn take(&mut self, name: &str, data: Value, open: &mut Option<usize>) {
        let has_begun = !self.start.is_null();
        match name {
            "ping" => {}
            "error" => self.error = Some(data["error"].clone()),
            "message_start" => {
                assert!(!has_begun, "it begins twice");
                self.start = data["message"].clone();
            }
            _ if !has_begun => panic!("{name} before the beginning"),
            "content_block_start" => {
                assert_eq!(*open, None, "another block is open: {data}");
                assert_eq!(data["index"], self.blocks.len(), "{data}");
                *open = Some(self.blocks.len());
                self.blocks.push(data["content_block"].clone());
            }
            "content_block_delta" => {
                assert_eq!(data["index"], open.expect("an open block"), "{data}");
                let block = self.blocks.last_mut().expect("an open block");
                add(block, &data["delta"]);
            }
            "content_block_stop" => assert_eq!(data["index"], open.take().expect("an open block"), "{data}"),
            "message_delta" => self.delta = data,
            "message_stop" => {
                assert!(!self.delta.is_null(), "no message_delta");
                self.blocks.iter_mut().for_each(parse_input);
                self.is_stopped = true;
            }
            _ => panic!("an unknown event: {name}"),
        }
    }

    fn types(&self) -> Vec<&str> {
        self.blocks.iter().map(|block| block["type"].as_str().expect("a type")).collect()
    }

    fn text(&self) -> String {
        self.blocks.iter().filter_map(|block| block["text"].as_str()).collect()
    }

    fn stop_reason(&self) -> &str {
        self.delta["delta"]["stop_reason"].as_str().unwrap_or_default()
    }
}

/// Adds a piece to the block that it belongs to.
fn add(block: &mut Value, delta: &Value) {
    let (kind, field) = match delta["type"].as_str().expect("a type") {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("thinking", "signature"),
        "input_json_delta" => ("tool_use", "partial_json"),
        other => panic!("an unknown piece: {other}"),
    };
    assert_eq!(block["type"], kind, "a piece of another kind: {delta}");
    let piece = delta[field].as_str().unwrap_or_else(|| panic!("no text: {delta}"));
    let so_far = block[field].as_str().unwrap_or_default();
    block[field] = format!("{so_far}{piece}").into();
}

/// As clients do it: the pieces of a call's input together are JSON, and none at all mean `{}`.
fn parse_input(block: &mut Value) {
    if block["type"] == "tool_use" {
        assert_eq!(block["input"], json!({}), "the input comes in pieces");
        let fields = block.as_object_mut().expect("an object");
        let pieces = fields.remove("partial_json").unwrap_or_default();
        let pieces = pieces.as_str().unwrap_or_default();
        block["input"] = serde_json::from_str(if pieces.is_empty() { "{}" } else { pieces }).expect("JSON");
    }
}

/// What an answer says, streamed or whole: its blocks, why it ended, and its usage.
async fn both_ways(proxy: &TestProxy, body: &Value) -> anyhow::Result<[(Vec<Value>, String, Value); 2]> {
    let streamed = Stream::read(&message(proxy, &with(body.clone(), json!({"stream": true}))).await?);
    assert!(streamed.is_stopped, "{:?}", streamed.error);
    let usage = streamed.delta["usage"].clone();
    let streamed = (streamed.blocks.clone(), streamed.stop_reason().to_owned(), usage);
    let reply = message(proxy, body).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let whole = reply.json();
    let blocks = whole["content"].as_array().expect("blocks").clone();
    let reason = whole["stop_reason"].as_str().expect("a reason").to_owned();
    Ok([streamed, (blocks, reason, whole["usage"].clone())])
}
