//! OpenAI's responses, as their clients send and read them.

mod answers;
mod errors;
mod requests;
mod stored;
mod tools;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ignored, pins, sent, with};
use crate::support::{Reply, TestProxy, ask_at};

const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Posts `body` as OpenAI's SDKs do and reads the answer to its end.
async fn respond(proxy: &TestProxy, body: &Value) -> anyhow::Result<Reply> {
    ask_at(proxy, "/v1/responses", body, &[]).await
}

/// A request with this input to the provider of this name, or to anybody.
fn request(model: &str, input: Value) -> Value {
    json!({"model": model, "input": input})
}

/// A request of one question.
fn question(model: &str) -> Value {
    request(model, json!("Hola"))
}

/// The names of the tools that a provider was offered.
fn offered(sent: &Value) -> Vec<String> {
    let names = |list: &Value, path: &str| -> Vec<String> {
        let tools = list.as_array().into_iter().flatten();
        tools.filter_map(|tool| Some(tool.pointer(path)?.as_str()?.to_owned())).collect()
    };
    let openai = names(&sent["tools"], "/function/name");
    if openai.is_empty() { names(&sent["tools"][0]["functionDeclarations"], "/name") } else { openai }
}

/// The texts of a whole response together.
fn text_of(response: &Value) -> String {
    let items = response["output"].as_array().expect("items").iter();
    let parts = items.filter_map(|item| item["content"].as_array()).flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// A streamed answer.
#[derive(Debug, Default)]
struct Stream {
    /// The response in its first event.
    created: Value,
    /// The items, as its pieces say them.
    items: Vec<Value>,
    /// The response in its last event, and the name of that event.
    last: Value,
    end: String,
    /// The item under way, and the text of its pieces.
    open: Option<(Value, String)>,
    /// How often each kind of event has come.
    counts: BTreeMap<String, u32>,
}

impl Stream {
    /// Reads a stream as strictly as no client would.
    fn read(reply: &Reply) -> Self {
        assert_eq!(reply.status, 200, "{}", reply.text());
        let text = reply.text();
        assert!(text.ends_with("\n\n"), "cut in the middle of an event: {text:?}");
        let mut stream = Self::default();
        let events = text.split_terminator("\n\n").filter(|event| !event.starts_with(':'));
        for (number, event) in events.enumerate() {
            let (name, data) = event.split_once('\n').unwrap_or_else(|| panic!("one line: {event:?}"));
            let name = name.strip_prefix("event: ").unwrap_or_else(|| panic!("no name: {event:?}"));
            let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {event:?}"));
            let data: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("not JSON: {data:?}"));
            assert_eq!(data["type"], name, "both say the type");
            assert_eq!(data["sequence_number"], number, "{data}");
            assert!(stream.end.is_empty(), "something after the end: {event}");
            *stream.counts.entry(name.to_owned()).or_default() += 1;
            stream.take(name, &data, number);
        }
        assert!(!stream.end.is_empty(), "no end: {text}");
        if stream.is_complete() {
            assert!(stream.open.is_none(), "an item was left open: {text}");
            assert_eq!(stream.last["output"], json!(stream.items), "the last event has all items again");
        }
        stream
    }

    fn is_complete(&self) -> bool {
        self.end == "response.completed" || self.end == "response.incomplete"
    }

    fn take(&mut self, name: &str, data: &Value, number: usize) {
        let response = &data["response"];
        match name {
            "response.created" => {
                assert_eq!(number, 0);
                assert_eq!((&response["status"], &response["output"]), (&json!("in_progress"), &json!([])));
                self.created = response.clone();
            }
            "response.in_progress" => assert_eq!((number, response), (1, &self.created)),
            "response.completed" | "response.incomplete" | "response.failed" => {
                assert!(number >= 2, "the end before the beginning");
                assert_eq!(response["id"], self.created["id"], "one response has one id");
                assert_eq!(name, format!("response.{}", response["status"].as_str().expect("a status")));
                self.end = name.to_owned();
                self.last = response.clone();
            }
            _ if number < 2 => panic!("{name} before the beginning"),
            _ => self.take_item(name, data),
        }
    }

    fn take_item(&mut self, name: &str, data: &Value) {
        assert_eq!(data["output_index"], self.items.len(), "{data}");
        if name == "response.output_item.added" {
            assert!(self.open.is_none(), "another item is open: {data}");
            self.open = Some((data["item"].clone(), String::new()));
            return;
        }
        let (item, so_far) = self.open.as_mut().unwrap_or_else(|| panic!("no item is open: {data}"));
        let kind = item["type"].as_str().expect("a type").to_owned();
        if name == "response.output_item.done" {
            let done = &data["item"];
            assert_eq!((&done["id"], &done["type"]), (&item["id"], &item["type"]), "{data}");
            let field = match kind.as_str() {
                "message" => "/content/0/text",
                "reasoning" => "/summary/0/text",
                "function_call" => "/arguments",
                _ => "/input",
            };
            assert_eq!(done.pointer(field), Some(&json!(so_far)), "the pieces are the whole: {data}");
            self.items.push(done.clone());
            self.open = None;
            return;
        }
        assert_eq!(data["item_id"], item["id"], "{data}");
        let (of, what) = match name {
            "response.content_part.added" | "response.content_part.done" => ("message", "/part/text"),
            "response.output_text.delta" => ("message", "/delta"),
            "response.output_text.done" => ("message", "/text"),
            "response.reasoning_summary_part.added" | "response.reasoning_summary_part.done" => {
                ("reasoning", "/part/text")
            }
            "response.reasoning_summary_text.delta" => ("reasoning", "/delta"),
            "response.reasoning_summary_text.done" => ("reasoning", "/text"),
            "response.function_call_arguments.delta" => ("function_call", "/delta"),
            "response.function_call_arguments.done" => ("function_call", "/arguments"),
            "response.custom_tool_call_input.delta" => ("custom_tool_call", "/delta"),
            "response.custom_tool_call_input.done" => ("custom_tool_call", "/input"),
            _ => panic!("an unknown event: {data}"),
        };
        assert_eq!(kind, of, "an event of another kind: {data}");
        let said = data.pointer(what).and_then(Value::as_str).unwrap_or_else(|| panic!("no text: {data}"));
        match name.rsplit('.').next() {
            Some("delta") => *so_far += said,
            _ => assert_eq!(said, so_far, "{data}"),
        }
    }
}

/// A response without what differs each time: ids, and when it was made.
fn plain(mut response: Value) -> Value {
    let fields = response.as_object_mut().expect("an object");
    for name in ["id", "created_at", "completed_at"] {
        fields.remove(name);
    }
    for item in response["output"].as_array_mut().expect("items") {
        item.as_object_mut().expect("an object").remove("id");
    }
    response
}

/// The response of the same request, streamed and whole.
async fn both_ways(proxy: &TestProxy, body: &Value) -> anyhow::Result<[Value; 2]> {
    let stream = Stream::read(&respond(proxy, &with(body.clone(), json!({"stream": true}))).await?);
    assert!(stream.is_complete(), "{:?}", stream.last);
    let reply = respond(proxy, body).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    Ok([stream.last, reply.json()])
}
