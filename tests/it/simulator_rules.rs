//! What the simulated providers refuse, in their own words, and what a call looks like byte for byte: whatever the
//! official SDKs (`tests/clients`) cannot send or do not show.

use std::sync::Arc;

use ai_proxy_free::internals::providers::{Dialect, Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Settings, SimulatedProvider};
use serde_json::{Value, json};

use crate::support::http_client;

const VISION: &str = "qwen/qwen3.8-27b";
const CEREBRAS_VISION: &str = "qwen-3.8-27b";
const GEMMA: &str = "gemma-4-31b-it";
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgo=";

async fn start(provider: Provider) -> anyhow::Result<SimulatedProvider> {
    Ok(SimulatedProvider::start(
        provider,
        Settings::new(provider, Arc::new(ai_proxy_free::internals::time::Moment::now)),
    )
    .await?)
}

/// Status and body of a call.
async fn post(provider: &SimulatedProvider, path: &str, body: &Value) -> anyhow::Result<(u16, String)> {
    let headers = provider.provider().headers(Some(&"a-key".into()))?;
    let request = http_client()?.post(format!("{}{path}", provider.base_url())).headers(headers).json(body);
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

async fn chat(provider: &SimulatedProvider, body: &Value) -> anyhow::Result<(u16, String)> {
    match &provider.provider().profile().dialect {
        Dialect::OpenAi(quirks) => post(provider, quirks.chat_path, body).await,
        Dialect::Gemini => {
            let mut body = body.clone();
            let model = match body.as_object_mut().expect("an object").remove("model") {
                Some(Value::String(model)) => model,
                _ => "gemini-3.5-flash-lite".to_owned(),
            };
            post(provider, &format!("/v1beta/models/{model}:generateContent"), &body).await
        }
    }
}

/// `{"a": 1}` and `{"b": 2}` as `{"a": 1, "b": 2}`; the second counts.
fn merged(base: &Value, more: &Value) -> Value {
    let mut whole = base.clone();
    for (field, value) in more.as_object().expect("an object") {
        whole[field] = value.clone();
    }
    whole
}

/// Sends each case on top of `base`, and wants a 400 with these words, or a 200 if there are none.
async fn assert_refusals(
    provider: Provider,
    base: &Value,
    cases: impl IntoIterator<Item = (Value, &str)>,
) -> anyhow::Result<()> {
    let simulated = start(provider).await?;
    let mut wrong = Vec::new();
    for (more, words) in cases {
        let (status, body) = chat(&simulated, &merged(base, &more)).await?;
        let said: Value = serde_json::from_str(&body).unwrap_or_default();
        let (error, kind, known) = match &provider.profile().dialect {
            Dialect::OpenAi(_) if said["error"].is_object() => {
                (&said["error"], "type", "invalid_request_error")
            }
            Dialect::OpenAi(_) => (&said, "code", "wrong_api_format"),
            Dialect::Gemini => (&said["error"], "status", "INVALID_ARGUMENT"),
        };
        let is_refused = status == 400
            && error[kind] == known
            && error["message"].as_str().is_some_and(|message| message.contains(words));
        if if words.is_empty() { status != 200 } else { !is_refused } {
            wrong.push(format!("{more}\nwants {words:?}\nbut {status} {body}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases go wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
    Ok(())
}

fn messages(messages: Value) -> Value {
    json!({ "messages": messages })
}

fn tool(function: Value) -> Value {
    json!({"tools": [{"type": "function", "function": function}]})
}

fn image(url: &str) -> Value {
    let parts = json!([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]);
    messages(json!([{"role": "user", "content": parts}]))
}

fn tools(count: usize) -> Value {
    let tool = |index| json!({"type": "function", "function": {"name": format!("f{index}")}});
    json!({"tools": (0..count).map(tool).collect::<Vec<_>>()})
}

fn calling(content: &Value, arguments: &Value) -> Value {
    let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}});
    json!({"role": "assistant", "content": content, "tool_calls": [call]})
}

fn schema(schema: Value, is_strict: bool) -> Value {
    let json_schema = json!({"name": "answer", "schema": schema, "strict": is_strict});
    json!({"response_format": {"type": "json_schema", "json_schema": json_schema}})
}

#[tokio::test]
async fn groq_refuses_in_its_own_words() -> anyhow::Result<()> {
    let base = json!({"model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": "Hi"}]});
    let user = || json!({"role": "user", "content": "Hi"});
    let result = |message: Value| messages(json!([user(), calling(&Value::Null, &json!("{}")), message]));
    let answer = |message: Value| messages(json!([user(), message]));
    let json_mode = json!({"response_format": {"type": "json_object"}});
    let closed = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let streamed = merged(&schema(closed.clone(), true), &json!({"stream": true}));
    let cases = [
        (json!({"verbosity": "low"}), "property 'verbosity' is unsupported"),
        (
            answer(json!({"role": "assistant", "content": "x", "reasoning_content": "y"})),
            "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property \
             'reasoning_content' is unsupported)]",
        ),
        (answer(json!({"role": "assistant", "content": "x", "reasoning": "y"})), ""),
        (answer(json!({"role": "assistant", "content": "x", "refusal": null})), "'refusal' is unsupported"),
        (
            answer(json!({"role": "assistant", "content": "x", "function_call": null})),
            "messages.1.function_call",
        ),
        (
            answer(json!({"role": "assistant", "content": null})),
            "('messages.1.content' : value must be a string)",
        ),
        (answer(json!({"role": "assistant"})), "('messages.1.content' : property 'content' is missing)"),
        (answer(json!({"role": "critic", "content": "x"})), "property 'role' has invalid value"),
        (
            result(json!({"role": "tool", "content": "21"})),
            "'messages.2' : for 'role:tool' the following must be satisfied[('messages.2.tool_call_id' : property \
             'tool_call_id' is missing)]",
        ),
        (
            result(json!({"role": "tool", "content": {"a": 1}, "tool_call_id": "c1"})),
            "('messages.2.content' : value must be a string)",
        ),
        (
            result(json!({"role": "tool", "content": "21", "tool_call_id": "c1", "is_error": true})),
            "property 'is_error' is unsupported",
        ),
        (result(json!({"role": "tool", "content": "21", "tool_call_id": "c1"})), ""),
        (
            answer(calling(&Value::Null, &json!({}))),
            "tool_calls.0.function.arguments' : value must be a string",
        ),
        (json!({"tools": []}), "'tools' : minimum number of items is 1"),
        (tools(128), ""),
        (tools(129), "'tools' : maximum number of items is 128"),
        (tool(json!({"name": "a b"})), "'tools.0.function.name' : value does not match pattern"),
        (tool(json!({"name": "f".repeat(64)})), ""),
        (tool(json!({"name": "f".repeat(65)})), "'tools.0.function.name' : value does not match pattern"),
        (
            answer(json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f".repeat(65), "arguments": "{}"}}]})),
            "tool_calls.0.function.name' : value does not match pattern",
        ),
        (json!({"top_k": 40}), "property 'top_k' is unsupported"),
        (tool(json!({"name": "f", "code": 1})), "'tools.0.function' : property 'code' is unsupported"),
        (
            tool(json!({"name": "f", "parameters": "x"})),
            "'tools.0.function.parameters' : value must be an object",
        ),
        (json!({"tools": [{"function": {"name": "f"}}]}), "'tools.0.type'"),
        (json!({"tools": [{"type": "function"}]}), "'tools.0' : property 'function' is missing"),
        (json!({"tool_choice": "required"}), "'tool_choice' : only allowed when 'tools' are specified"),
        (merged(&tools(1), &json!({"tool_choice": "any"})), "'tool_choice' : value must be one of"),
        (
            merged(&tools(1), &json!({"tool_choice": {"type": "function", "function": {"name": "g"}}})),
            "function \"g\" is not among 'tools'",
        ),
        (merged(&tools(1), &json_mode), "json mode cannot be combined with tool/function calling"),
        (merged(&tools(1), &schema(closed.clone(), true)), "json mode cannot be combined"),
        (streamed, "does not support streaming"),
        (json!({"response_format": {"type": "xml"}}), "'response_format.type'"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}}),
            "'schema' is missing",
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}),
            "'name' is missing",
        ),
        (json!({"n": 2}), "'n' : number must be at most 1"),
        (json!({"n": 1}), ""),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "'stop' : maximum number of items is 4"),
        (
            json!({"model": VISION, "max_completion_tokens": 16_385}),
            "`max_completion_tokens` must be less than or equal to `16384`",
        ),
        (json!({"model": VISION, "max_completion_tokens": 16_384}), ""),
        (json!({"max_tokens": 0}), "'max_tokens' : number must be at least 1"),
        (json!({"reasoning_effort": "none"}), "`reasoning_effort` must be one of `low`, `medium`, or `high`"),
        (json!({"reasoning_effort": "default"}), "`reasoning_effort` must be one of"),
        (json!({"model": VISION, "reasoning_effort": "none"}), ""),
        (json!({"reasoning_format": "parsed", "include_reasoning": true}), "cannot specify both"),
        (json!({"reasoning_format": "visible"}), "'reasoning_format' : value must be one of"),
        (merged(&tools(1), &json!({"reasoning_format": "raw"})), "must be `parsed` or `hidden`"),
        (image(PIXEL), "messages[0].content must be a string"),
        (merged(&image(PIXEL), &json!({"model": VISION})), ""),
        (merged(&image("https://example.org/x.png"), &json!({"model": VISION})), ""),
        (merged(&image("data:image/png;base64,%%"), &json!({"model": VISION})), "invalid image data"),
        (json!({"logprobs": true, "metadata": {}, "store": false, "service_tier": "auto"}), ""),
    ];
    assert_refusals(Provider::GROQ, &base, cases).await
}

#[tokio::test]
async fn cerebras_refuses_in_its_own_words() -> anyhow::Result<()> {
    let base = json!({"model": "gpt-oss-120b", "messages": [{"role": "user", "content": "Hi"}]});
    let user = || json!({"role": "user", "content": "Hi"});
    let answer = |message: Value| messages(json!([user(), message]));
    let list = json!({"type": "object", "properties": {"a": {"type": "array", "minItems": 1}}});
    let open = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    let part =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let on_vision = json!({"model": CEREBRAS_VISION});
    let cases = [
        (json!({"store": false}), "store: property 'store' is unsupported"),
        (
            answer(json!({"role": "assistant", "content": "x", "reasoning_content": "y"})),
            "messages.1.assistant.reasoning_content: property 'messages.1.assistant.reasoning_content' is unsupported",
        ),
        (answer(json!({"role": "assistant", "content": null})), "messages.1.assistant.content"),
        (answer(json!({"role": "tool", "content": "21"})), "messages.1.tool.tool_call_id"),
        (tools(129), "tools: maximum number of items is 128"),
        (tool(json!({"name": "f", "code": 1})), "property 'tools.0.function.code' is unsupported"),
        (json!({"n": 2}), ""),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop: maximum number of items is 4"),
        (json!({"max_completion_tokens": -1}), ""),
        (json!({"max_completion_tokens": 40_000}), "must be less than or equal to `32768`"),
        (json!({"reasoning_effort": "none"}), "`reasoning_effort` must be one of `low`, `medium`, or `high`"),
        (merged(&on_vision, &json!({"reasoning_effort": "none"})), ""),
        (schema(list.clone(), false), "'minItems' is not supported"),
        (schema(open.clone(), false), ""),
        (schema(open, true), "'additionalProperties' must be false"),
        (schema(part, true), "'required' must name all properties"),
        (image(PIXEL), "gpt-oss-120b does not support images"),
        (merged(&image(PIXEL), &on_vision), ""),
        (merged(&image("https://example.org/x.png"), &on_vision), "must be a base64 data URI"),
        (messages(json!([{"role": "developer", "content": "x"}, user()])), ""),
        (
            merged(&messages(json!([{"role": "developer", "content": "x"}, user()])), &on_vision),
            "role developer is not supported",
        ),
    ];
    assert_refusals(Provider::CEREBRAS, &base, cases).await
}

fn functions(functions: Value) -> Value {
    json!({"tools": [{"functionDeclarations": functions}]})
}

fn parameters(schema: Value) -> Value {
    functions(json!([{"name": "f", "parametersJsonSchema": schema}]))
}

fn config(config: Value) -> Value {
    json!({ "generationConfig": config })
}

fn mode(mode: Value) -> Value {
    json!({"tools": [{"functionDeclarations": [{"name": "f"}]}], "toolConfig": {"functionCallingConfig": mode}})
}

fn parts(parts: Value) -> Value {
    json!({"contents": [{"role": "user", "parts": parts}]})
}

fn turns(turns: Value) -> Value {
    let turns = turns.as_array().expect("turns").iter();
    let content = |turn: &Value| json!({"role": turn[0], "parts": turn[1]});
    json!({"contents": turns.map(content).collect::<Vec<_>>()})
}

#[tokio::test]
async fn gemini_refuses_in_its_own_words() -> anyhow::Result<()> {
    let base = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]});
    let asks = || json!(["user", [{"text": "Hi"}]]);
    let signed = |name: &str| json!({"functionCall": {"name": name, "args": {}}, "thoughtSignature": "skip_thought_signature_validator"});
    let response = |name: &str| json!({"functionResponse": {"name": name, "response": {"result": 1}}});
    let calls = |call: Value| turns(json!([asks(), ["model", [call]], ["user", [response("f")]]]));
    let json_mode = json!({"generationConfig": {"responseMimeType": "application/json"}});
    let unknown = |name: &str, at: &str| {
        format!("Invalid JSON payload received. Unknown name \"{name}\" at '{at}': Cannot find field.")
    };
    let declaration = "tools[0].function_declarations[0]";
    let unknown_names = [
        (
            json!({"contents": [{"role": "user", "parts": [{"text": "x"}], "name": "n"}]}),
            "name",
            "contents[0]".into(),
        ),
        (parts(json!([{"text": "x", "cache": 1}])), "cache", "contents[0].parts[0]".into()),
        (functions(json!([{"name": "f", "strict": true}])), "strict", declaration.to_owned()),
        (mode(json!({"mode": "AUTO", "names": []})), "names", "tool_config.function_calling_config".into()),
        (config(json!({"topN": 1})), "topN", "generation_config".into()),
        (
            config(json!({"thinkingConfig": {"effort": 1}})),
            "effort",
            "generation_config.thinking_config".into(),
        ),
        (parameters(json!({"const": 1})), "const", format!("{declaration}.parameters_json_schema")),
        (
            parameters(json!({"type": "object", "properties": {"a": {"pattern": "x"}}})),
            "pattern",
            format!("{declaration}.parameters_json_schema.properties.a"),
        ),
        (
            config(json!({"responseMimeType": "application/json", "responseJsonSchema": {"$schema": "x"}})),
            "$schema",
            "generation_config.response_json_schema".into(),
        ),
        (
            functions(
                json!([{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"oneOf": []}}}}]),
            ),
            "oneOf",
            format!("{declaration}.parameters.properties[0].value"),
        ),
    ];
    let unknown_names = unknown_names.map(|(case, name, at)| (case, unknown(name, &at)));
    let unknown_names = unknown_names.iter().map(|(case, words)| (case.clone(), words.as_str()));
    let two_calls = json!(["model", [signed("f"), {"function_call": {"name": "g"}}]]);
    let missing = "Function call is missing a thought_signature in functionCall parts.";
    let cases = [
        (json!({"verbosity": 1}), "Unknown name \"verbosity\": Cannot find field."),
        (json!({"generation_config": {"max_output_tokens": 5, "topK": 40.0, "seed": 7.0}}), ""),
        (turns(json!([["system", [{"text": "x"}]]])), "Please use a valid role: user, model."),
        (turns(json!([["user", []]])), "contents.parts must not be empty"),
        (parts(json!([{"text": ""}])), "contents[0].parts[0].data: required oneof field 'data'"),
        (
            parts(json!([{"text": "a", "inlineData": {"mimeType": "a/b", "data": "AA=="}}])),
            "'data' is already set",
        ),
        (parts(json!([{"inlineData": {"data": "AA=="}}])), "inline_data.mime_type"),
        (parts(json!([{"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}}])), ""),
        (
            parts(json!([{"inlineData": {"mimeType": "application/zip", "data": "UEsDBA=="}}])),
            "Unsupported MIME type: application/zip",
        ),
        (config(json!({"topK": 0})), "top_k must be positive"),
        (config(json!({"topK": 1.5})), "generation_config.top_k' (TYPE_INT32), 1.5"),
        (
            turns(json!([asks(), ["model", [signed("f")]],
                ["user", [{"functionResponse": {"name": "f", "response": {"error": "no"}}}]]])),
            "",
        ),
        (
            parts(json!([{"inlineData": {"mimeType": "image/png", "data": "%"}}])),
            "Base64 decoding failed for \"%\"",
        ),
        (parts(json!([{"inline_data": {"mime_type": "image/png", "data": "AA=="}}])), ""),
        (
            functions(json!([])),
            "tools[0].tool_type: required one_of 'tool_type' must have one initialized field",
        ),
        (functions(json!([{"name": "1f"}])), "function_declarations[0].name: Invalid function name."),
        (functions(json!([{"name": "f"}, {"name": "f"}])), "Duplicate function declaration found: f"),
        (
            functions(json!([{"name": "f", "parameters": {}, "parametersJsonSchema": {}}])),
            "only one of parameters",
        ),
        (functions(json!([{"name": "f", "parameters": {"type": ["string"]}}])), "cannot start list"),
        (
            functions(json!([{"name": "f", "parameters": {"type": "map"}}])),
            "parameters.type' (type.googleapis",
        ),
        (functions(json!([{"name": "f", "parameters": {"type": "object"}}])), ""),
        (parameters(json!({"$ref": "#/$defs/a", "type": "object"})), "$ref cannot stand beside type"),
        (parameters(json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}})), ""),
        (mode(json!({"mode": "FORCED"})), "function_calling_config.mode' (type.googleapis"),
        (
            mode(json!({"mode": "AUTO", "allowedFunctionNames": ["f"]})),
            "Please set allowed_function_names only when",
        ),
        (mode(json!({"mode": "ANY", "allowed_function_names": ["f"]})), ""),
        (
            json!({"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}}),
            "Function calling config is set without function_declarations.",
        ),
        (
            turns(json!([["model", [signed("f")]], ["user", [response("f")]]])),
            "Please ensure that function call turn comes immediately after a user turn",
        ),
        (
            turns(json!([asks(), two_calls, ["user", [response("f")]]])),
            "Please ensure that the number of function response parts is equal",
        ),
        (
            turns(json!([asks(), two_calls, ["user", [response("f")]], ["user", [response("g")]]])),
            "Please ensure that the number of function response parts is equal",
        ),
        (turns(json!([asks(), two_calls, ["user", [response("g"), response("f")]]])), ""),
        (
            turns(json!([asks(), ["model", [signed("f")]], ["user", [response("g")]]])),
            "have the names of the function call parts",
        ),
        (turns(json!([asks(), ["user", [response("f")]]])), "function response turn comes immediately after"),
        (
            turns(
                json!([asks(), ["model", [signed("f")]], ["user", [{"functionResponse": {"name": "f", "response": "1"}}]]]),
            ),
            "function_response.response' (type.googleapis.com/google.protobuf.Struct), \"1\"",
        ),
        (
            turns(
                json!([asks(), ["model", [signed("f")]], ["user", [{"functionResponse": {"response": {}}}]]]),
            ),
            "function_response.name: Name cannot be empty.",
        ),
        (calls(json!({"functionCall": {"name": "f", "args": "{}"}})), "function_call.args' (type.googleapis"),
        (calls(signed("f")), ""),
        (calls(json!({"functionCall": {"name": "f"}})), missing),
        (
            calls(json!({"functionCall": {"name": "f"}, "thoughtSignature": "c2ln"})),
            "Corrupted thought signature.",
        ),
        (
            turns(
                json!([asks(), ["model", [{"text": "x"}]], ["model", [signed("f")]], ["model", [{"text": ""}]], ["user", [response("f")]]]),
            ),
            "",
        ),
        (merged(&calls(json!({"functionCall": {"name": "f"}})), &json!({"model": GEMMA})), ""),
        (
            config(json!({"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}})),
            "You can only set only one of thinking budget and thinking level.",
        ),
        (config(json!({"thinkingConfig": {"thinking_level": "MINIMAL", "include_thoughts": true}})), ""),
        (
            merged(
                &config(json!({"thinkingConfig": {"thinkingLevel": "minimal"}})),
                &json!({"model": "gemini-3.8-flash"}),
            ),
            "Thinking level MINIMAL is not supported for this model.",
        ),
        (
            config(json!({"thinkingConfig": {"thinkingLevel": "off"}})),
            "thinking_config.thinking_level' (type.",
        ),
        (
            merged(&config(json!({"thinkingConfig": {"thinkingBudget": 1}})), &json!({"model": GEMMA})),
            "Thinking budget is not supported for this model.",
        ),
        (
            merged(&config(json!({"thinkingConfig": {"includeThoughts": true}})), &json!({"model": GEMMA})),
            "Thinking is not enabled",
        ),
        (
            json!({"model": GEMMA, "systemInstruction": {"parts": [{"text": "x"}]}}),
            "Developer instruction is not enabled for models/gemma-4-31b-it",
        ),
        (
            merged(&mode(json!({"mode": "ANY"})), &json_mode),
            "Forced function calling (ANY mode) with a response mime type: 'application/json' is unsupported",
        ),
        (merged(&mode(json!({"mode": "AUTO"})), &json_mode), ""),
        (
            merged(&merged(&mode(json!({"mode": "AUTO"})), &json_mode), &json!({"model": GEMMA})),
            "Function calling with a response mime type: 'application/json' is unsupported",
        ),
        (config(json!({"stopSequences": ["a", "b", "c", "d", "e", "f"]})), "stop_sequences"),
        (config(json!({"seed": 3_000_000_000_u64})), "generation_config.seed' (TYPE_INT32), 3000000000"),
        (config(json!({"responseMimeType": "text/html"})), "allowed mimetypes are `text/plain`"),
        (config(json!({"responseSchema": {"type": "OBJECT"}})), "only allowed when response_mime_type"),
    ];
    assert_refusals(Provider::GEMINI, &base, cases.into_iter().chain(unknown_names)).await
}

/// A question for each provider.
fn question(provider: Provider) -> Value {
    match &provider.profile().dialect {
        Dialect::OpenAi(_) => {
            let model = provider.profile().models[0].id;
            json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]})
        }
        Dialect::Gemini => parts(json!([{"text": "Hi"}])),
    }
}

/// The arguments of a call are the bytes that were given, even where JSON could be written otherwise.
#[tokio::test]
async fn arguments_are_sent_byte_for_byte() -> anyhow::Result<()> {
    let arguments = "{ \"b\" :1.0,\"a\":[ ], \"b\":\"\\u00e9\" }";
    for provider in Directory::core() {
        let simulated = start(provider).await?;
        simulated.always(Behaviour::calling([("f", arguments)]));
        let (_, body) = chat(&simulated, &question(provider)).await?;
        let sent = match &provider.profile().dialect {
            Dialect::Gemini => format!(r#"{{"functionCall":{{"name":"f","args":{arguments}}}"#),
            Dialect::OpenAi(_) => format!("\"arguments\":{}", json!(arguments)),
        };
        assert!(body.contains(&sent), "{body}");
        // Gemini's SDK in Python hides this.
        let says_why = body.contains(r#""finishMessage":"Model generated function call(s).""#);
        assert_eq!(says_why, provider == Provider::GEMINI, "{body}");
    }
    let gemini = start(Provider::GEMINI).await?;
    gemini.always(Behaviour::calling([("f", "")]).with_call_ids());
    let (_, body) = chat(&gemini, &question(Provider::GEMINI)).await?;
    assert!(body.contains(r#"{"functionCall":{"id":"sim"#) && !body.contains("args"), "{body}");
    Ok(())
}

/// A fault after so many pieces counts the calls among them.
#[tokio::test]
async fn a_fault_comes_after_so_many_calls() -> anyhow::Result<()> {
    let groq = start(Provider::GROQ).await?;
    groq.always(
        Behaviour::answer(["Well, "])
            .and_calling([("f", "{}"), ("g", "{}")])
            .with(Fault::EndEarly(After::Text(2))),
    );
    let (_, body) = chat(&groq, &merged(&question(Provider::GROQ), &json!({"stream": true}))).await?;
    assert!(body.contains("Well, ") && body.contains("\"f\"") && !body.contains("\"g\""), "{body}");
    Ok(())
}

/// A signature is good for this simulated provider alone, in whichever alphabet it comes back.
#[tokio::test]
async fn a_signature_is_remembered() -> anyhow::Result<()> {
    let gemini = start(Provider::GEMINI).await?;
    gemini.then(Behaviour::calling([("f", "{}"), ("g", "{}")]));
    let (_, body) = chat(&gemini, &question(Provider::GEMINI)).await?;
    let turn = &serde_json::from_str::<Value>(&body)?["candidates"][0]["content"];
    let signature = turn["parts"][0]["thoughtSignature"].as_str().expect("a signature");
    assert_eq!(turn["parts"][1].get("thoughtSignature"), None, "only the first call is signed");
    let response = |name: &str| json!({"functionResponse": {"name": name, "response": {"x": 1}}});
    let history = |signature: &str| {
        let mut turn = turn.clone();
        turn["parts"][0]["thoughtSignature"] = json!(signature);
        let responses = json!({"role": "user", "parts": [response("f"), response("g")]});
        json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}, turn, responses]})
    };
    for good in [signature, signature.trim_end_matches('=')] {
        let (status, body) = chat(&gemini, &history(good)).await?;
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(r#"Tool said: {\"x\":1} | {\"x\":1}"#), "{body}");
    }
    let stranger = start(Provider::GEMINI).await?;
    assert_eq!(chat(&stranger, &history(signature)).await?.0, 400);
    Ok(())
}
