//! A conversation that begins at one surface and goes on at another, over another provider: a client changes its program,
//! not its history.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::Behaviour;
use serde_json::{Value, json};

use crate::support::{TestProxy, ask_at};

/// What every surface can say of a call.
struct Call {
    id: String,
    arguments: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Surface {
    OpenAi,
    Messages,
    Responses,
    Gemini,
}

const SURFACES: [Surface; 4] = [Surface::OpenAi, Surface::Messages, Surface::Responses, Surface::Gemini];

impl Surface {
    fn path(self, model: &str) -> String {
        match self {
            Self::OpenAi => "/v1/chat/completions".to_owned(),
            Self::Messages => "/v1/messages".to_owned(),
            Self::Responses => "/v1/responses".to_owned(),
            Self::Gemini => format!("/v1beta/models/{model}:generateContent"),
        }
    }

    /// A question that offers the tool; with a call, the call and its result besides.
    fn body(self, model: &str, call: Option<&Call>) -> Value {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let mut turns = vec![match self {
            Self::Gemini => json!({"role": "user", "parts": [{"text": "Weather?"}]}),
            _ => json!({"role": "user", "content": "Weather?"}),
        }];
        turns.extend(call.into_iter().flat_map(|call| self.called(call)));
        match self {
            Self::OpenAi => json!({"model": model, "messages": turns, "tools":
                [{"type": "function", "function": {"name": "weather", "parameters": schema}}]}),
            Self::Messages => json!({"model": model, "max_tokens": 99, "messages": turns, "tools":
                [{"name": "weather", "input_schema": schema}]}),
            Self::Responses => json!({"model": model, "input": turns, "store": false, "tools":
                [{"type": "function", "name": "weather", "parameters": schema}]}),
            Self::Gemini => json!({"contents": turns, "tools":
                [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": schema}]}]}),
        }
    }

    /// The call and its result, as a client writes them that knows nothing of signatures.
    fn called(self, Call { id, arguments }: &Call) -> [Value; 2] {
        match self {
            Self::OpenAi => [
                json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function",
                    "function": {"name": "weather", "arguments": arguments.to_string()}}]}),
                json!({"role": "tool", "tool_call_id": id, "content": "21 degrees"}),
            ],
            Self::Messages => [
                json!({"role": "assistant", "content":
                    [{"type": "tool_use", "id": id, "name": "weather", "input": arguments}]}),
                json!({"role": "user", "content":
                    [{"type": "tool_result", "tool_use_id": id, "content": "21 degrees"}]}),
            ],
            Self::Responses => [
                json!({"type": "function_call", "call_id": id, "name": "weather", "arguments": arguments.to_string()}),
                json!({"type": "function_call_output", "call_id": id, "output": "21 degrees"}),
            ],
            Self::Gemini => [
                json!({"role": "model", "parts":
                    [{"functionCall": {"id": id, "name": "weather", "args": arguments}}]}),
                json!({"role": "user", "parts":
                    [{"functionResponse": {"id": id, "name": "weather", "response": {"output": "21 degrees"}}}]}),
            ],
        }
    }

    /// The call of an answer.
    fn call(self, answer: &Value) -> Call {
        let found = |list: &Value, is_call: &dyn Fn(&Value) -> bool| {
            list.as_array().into_iter().flatten().find(|it| is_call(it)).cloned().unwrap_or_default()
        };
        let (id, arguments) = match self {
            Self::OpenAi => {
                let call = answer["choices"][0]["message"]["tool_calls"][0].clone();
                (call["id"].clone(), parsed(&call["function"]["arguments"]))
            }
            Self::Messages => {
                let call = found(&answer["content"], &|it| it["type"] == "tool_use");
                (call["id"].clone(), call["input"].clone())
            }
            Self::Responses => {
                let call = found(&answer["output"], &|it| it["type"] == "function_call");
                (call["call_id"].clone(), parsed(&call["arguments"]))
            }
            Self::Gemini => {
                let parts = &answer["candidates"][0]["content"]["parts"];
                let call = found(parts, &|it| it["functionCall"].is_object())["functionCall"].clone();
                (call["id"].clone(), call["args"].clone())
            }
        };
        Call { id: id.as_str().unwrap_or_default().to_owned(), arguments }
    }
}

fn parsed(text: &Value) -> Value {
    text.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The call and the result that a provider was sent, and the signature of the call.
fn sent(proxy: &TestProxy, provider: Provider) -> (Value, String, Value) {
    let body = proxy.provider(provider).chats().pop().expect("a call").json();
    if provider == Provider::GEMINI {
        let (call, result) = (&body["contents"][1]["parts"][0], &body["contents"][2]["parts"][0]);
        let said = result["functionResponse"]["response"].to_string();
        return (call["functionCall"]["args"].clone(), said, call["thoughtSignature"].clone());
    }
    let (call, result) = (&body["messages"][1]["tool_calls"][0], &body["messages"][2]);
    assert_eq!(call["id"], result["tool_call_id"], "{body}");
    (parsed(&call["function"]["arguments"]), result["content"].to_string(), Value::Null)
}

#[tokio::test]
async fn a_conversation_keeps_its_calls_and_signatures_from_surface_to_surface_and_provider_to_provider()
-> anyhow::Result<()> {
    let proxy = TestProxy::core().await?;
    let mut signed = 0;
    for first in SURFACES {
        for (caller, pin) in [(Provider::GEMINI, "gemini"), (Provider::GROQ, "groq")] {
            proxy.provider(caller).then(Behaviour::calling([("weather", r#"{"city":"León"}"#)]));
            let reply = ask_at(&proxy, &first.path(pin), &first.body(pin, None), &[]).await?;
            assert_eq!(reply.status, 200, "{first:?} {pin}: {}", reply.text());
            let call = first.call(&reply.json());
            assert_eq!(call.arguments, json!({"city": "León"}), "{first:?} {pin}: {}", reply.text());
            for second in SURFACES {
                for (next, pin) in
                    [(Provider::GEMINI, "gemini"), (Provider::GROQ, "groq"), (Provider::CEREBRAS, "cerebras")]
                {
                    let case = format!("{first:?} {caller:?}, then {second:?} {next:?}");
                    let body = second.body(pin, Some(&call));
                    let reply = ask_at(&proxy, &second.path(pin), &body, &[]).await?;
                    assert_eq!(reply.status, 200, "{case}: {}", reply.text());
                    let (arguments, result, signature) = sent(&proxy, next);
                    assert_eq!(arguments, call.arguments, "{case}");
                    assert!(result.contains("21 degrees"), "{case}: {result}");
                    if next == Provider::GEMINI {
                        let is_own = signature != "skip_thought_signature_validator";
                        assert!(signature.is_string(), "{case}: Gemini refuses calls without a signature");
                        assert_eq!(is_own, caller == Provider::GEMINI, "{case}: {signature}");
                        signed += usize::from(is_own);
                    }
                }
            }
        }
    }
    assert_eq!(
        signed,
        SURFACES.len() * SURFACES.len(),
        "every surface keeps Gemini's signatures for every other"
    );
    Ok(())
}
