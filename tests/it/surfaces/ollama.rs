//! Ollama's dialect, as its clients send and read it.

mod answers;
mod control;
mod requests;

use serde_json::{Value, json};

use super::{ignored, pins, sent, with};
use crate::support::{Reply, TestProxy, ask_at};

/// Asks in a conversation; streamed, unless `body` says otherwise.
async fn chat(proxy: &TestProxy, body: &Value) -> anyhow::Result<Reply> {
    ask_at(proxy, "/api/chat", body, &[]).await
}

/// Asks with a prompt.
async fn generate(proxy: &TestProxy, body: &Value) -> anyhow::Result<Reply> {
    ask_at(proxy, "/api/generate", body, &[]).await
}

/// A conversation of one question to `model`.
fn question(model: &str) -> Value {
    messages(model, json!([{"role": "user", "content": "Hola"}]))
}

fn messages(model: &str, messages: Value) -> Value {
    json!({"model": model, "messages": messages})
}

/// The lines of a stream, each of which is an object and names its model.
fn lines(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let text = reply.text();
    assert!(text.ends_with('\n'), "cut within a line: {text:?}");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"))).collect();
    for line in lines.iter().filter(|line| line["error"].is_null()) {
        assert!(
            line["model"].is_string() && line["created_at"].is_string() && line["done"].is_boolean(),
            "{line}"
        );
    }
    lines
}

/// What an answer says, however it came.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    thoughts: String,
    /// The functions of its calls.
    calls: Vec<Value>,
    /// The end, whole.
    end: Value,
}

impl Said {
    fn of(lines: &[Value]) -> Self {
        let mut said = Self::default();
        for line in lines {
            let message = if line["message"].is_object() { &line["message"] } else { line };
            let text = message["content"].as_str().or(message["response"].as_str());
            said.text += text.unwrap_or_else(|| panic!("no text: {line}"));
            said.thoughts += message["thinking"].as_str().unwrap_or_default();
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            said.calls.extend(calls.map(|call| call["function"].clone()));
        }
        let (end, before) = lines.split_last().expect("a line");
        assert!(before.iter().all(|line| line["done"] == json!(false)), "done before the end: {before:?}");
        assert_eq!(end["done"], json!(true), "{end}");
        said.end = end.clone();
        said
    }
}

/// What an answer says, streamed and whole, to a conversation and, if that can ask it, to a prompt.
async fn all_ways(proxy: &TestProxy, body: &Value) -> anyhow::Result<Vec<Said>> {
    let whole = with(body.clone(), json!({"stream": false}));
    let mut replies =
        vec![Said::of(&lines(&chat(proxy, body).await?)), said_whole(&chat(proxy, &whole).await?)];
    if body["tools"].is_null() {
        let prompt = |body: Value| with(body, json!({"messages": null, "prompt": "Hola"}));
        replies.push(Said::of(&lines(&generate(proxy, &prompt(body.clone())).await?)));
        replies.push(said_whole(&generate(proxy, &prompt(whole)).await?));
    }
    Ok(replies)
}

fn said_whole(reply: &Reply) -> Said {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"));
    Said::of(&[reply.json()])
}
