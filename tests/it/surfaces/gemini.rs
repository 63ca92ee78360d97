//! Google's dialect, as its clients send and read it.

mod answers;
mod control;
mod requests;

use serde_json::{Value, json};

use super::{ignored, pins, sent, with};
use crate::support::{Reply, TestProxy, ask_at};

/// Asks for a whole answer.
async fn generate(proxy: &TestProxy, model: &str, body: &Value) -> anyhow::Result<Reply> {
    ask_at(proxy, &format!("/v1beta/models/{model}:generateContent"), body, &[]).await
}

/// Asks for a stream of events.
async fn stream(proxy: &TestProxy, model: &str, body: &Value) -> anyhow::Result<Reply> {
    ask_at(proxy, &format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"), body, &[]).await
}

/// A request of one question.
fn question() -> Value {
    contents(json!([{"role": "user", "parts": [{"text": "Hola"}]}]))
}

fn contents(contents: Value) -> Value {
    json!({"contents": contents})
}

/// The chunks of a stream, read as strictly as no client would: each has a part, and nothing stands between them.
fn chunks(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    let events = text.strip_suffix("\r\n\r\n").unwrap_or_else(|| panic!("cut: {text:?}")).split("\r\n\r\n");
    let events =
        events.inspect(|event| assert!(!event.contains(['\n', '\r']), "more than a line: {event:?}"));
    let data = events.map(|event| event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event:?}")));
    let chunks: Vec<Value> = data.map(|data| serde_json::from_str(data).expect("JSON")).collect();
    chunks.iter().for_each(check);
    chunks
}

/// Whether clients keep it in their history.
fn check(chunk: &Value) {
    let is_told = !chunk["error"].is_null() || !chunk["promptFeedback"].is_null();
    let parts = chunk["candidates"][0]["content"]["parts"].as_array();
    assert!(is_told || parts.is_some_and(|parts| parts.iter().all(|part| part != &json!({}))), "{chunk}");
    assert!(is_told || parts.is_some_and(|parts| !parts.is_empty()), "no parts: {chunk}");
}

/// All parts of all chunks.
fn parts(chunks: &[Value]) -> Vec<Value> {
    let parts = chunks.iter().filter_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array());
    parts.flatten().cloned().collect()
}

/// The text, without thoughts.
fn text(parts: &[Value]) -> String {
    parts.iter().filter(|part| part["thought"].is_null()).filter_map(|part| part["text"].as_str()).collect()
}

/// The calls among the parts.
fn calls(parts: &[Value]) -> Vec<Value> {
    parts.iter().filter(|part| part["functionCall"].is_object()).cloned().collect()
}

/// What an answer says, streamed as events and as an array, and whole: its parts, why it ended, and its usage.
async fn all_ways(
    proxy: &TestProxy,
    model: &str,
    body: &Value,
) -> anyhow::Result<Vec<(Vec<Value>, Value, Value)>> {
    let streamed = chunks(&stream(proxy, model, body).await?);
    let array = ask_at(proxy, &format!("/v1beta/models/{model}:streamGenerateContent"), body, &[]).await?;
    assert_eq!(array.header("content-type"), Some("application/json; charset=utf-8"));
    let array: Vec<Value> = serde_json::from_str(&array.text())?;
    array.iter().for_each(check);
    let whole = generate(proxy, model, body).await?;
    assert_eq!(whole.status, 200, "{}", whole.text());
    let ways = [streamed, array, vec![whole.json()]];
    Ok(ways
        .into_iter()
        .map(|chunks| {
            let last = chunks.last().expect("a chunk");
            let reason = last["candidates"][0]["finishReason"].clone();
            (parts(&chunks), reason, last["usageMetadata"].clone())
        })
        .collect())
}
