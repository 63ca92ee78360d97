//! A request body, checked field by field. What is opaque (schemas, arguments) keeps its bytes.

use serde_json::value::RawValue;

use super::{AUTO, Completion};
use crate::chat::{
    ChatRequest, Effort, Image, Json, Message, Part, ResponseFormat, Tool, ToolCall, ToolChoice,
};
use crate::error::ApiError;
use crate::surfaces::fields::{
    bad, body_object, each, kind, not_json, object_fields, optional, present, wrong,
};

/// What every surface of OpenAI's kind allows.
const MAX_TOOLS: usize = 128;
const MAX_STOPS: usize = 4;
/// More than any model makes at once.
const MAX_CALLS: usize = 1_000;

/// Who may say a message.
const ROLES: &str = "'system', 'developer', 'user', 'assistant', 'tool'";

/// Parses and checks a request body.
///
/// # Errors
/// [`ApiError`] naming the field, what is wrong with it, and what is accepted.
pub(super) fn parse(body: &[u8]) -> Result<Completion, ApiError> {
    let names = [
        "messages",
        "model",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "user",
        "reasoning_effort",
    ];
    let body = body_object(body)?;
    let fields = object_fields(body, names).map_err(|error| not_json(&error))?;
    let [
        messages,
        model,
        stream,
        stream_options,
        temperature,
        top_p,
        max_tokens,
        max_completion_tokens,
        stop,
        seed,
        frequency_penalty,
        presence_penalty,
        user,
        effort,
    ] = fields.known;
    let mut ignored = Ignored(fields.unknown);

    let messages = messages.filter(|messages| messages.get().starts_with('['));
    let messages = messages.ok_or_else(|| wrong("messages", "must be an array of messages"))?;
    let mut request = ChatRequest::new(parse_messages(messages, &mut ignored)?)
        .ok_or_else(|| wrong("messages", "is empty: send at least one message"))?;
    request.temperature = number("temperature", temperature, 0.0, 2.0)?;
    request.top_p = number("top_p", top_p, 0.0, 1.0)?;
    request.frequency_penalty = number("frequency_penalty", frequency_penalty, -2.0, 2.0)?;
    request.presence_penalty = number("presence_penalty", presence_penalty, -2.0, 2.0)?;
    // The newer name counts.
    let newer = token_limit("max_completion_tokens", max_completion_tokens)?;
    request.max_tokens = newer.or(token_limit("max_tokens", max_tokens)?);
    request.stop = parse_stop(stop)?;
    request.seed = optional("seed", seed, "a whole number")?;
    request.user = optional("user", user, "a string")?;
    request.effort = parse_effort(effort)?;
    request.wants_thoughts = request.effort.is_some_and(|effort| effort != Effort::None);
    parse_tools(body, &mut request, &mut ignored)?;
    refuse_what_nobody_can(body, &mut ignored)?;

    let model: Option<String> = optional("model", model, "the id of a model, a string")?;
    let stream: Option<bool> = optional("stream", stream, "true or false")?;
    Ok(Completion {
        request,
        model: model.filter(|model| !model.is_empty()).unwrap_or_else(|| AUTO.to_owned()),
        stream: stream.unwrap_or(false),
        include_usage: parse_stream_options(stream_options)?,
        ignored: ignored.0,
    })
}

/// Names of fields that nobody here takes any notice of; each once, and not very many.
struct Ignored(Vec<String>);

/// As many as are told of.
const MAX_IGNORED: usize = 32;

impl Ignored {
    fn add(&mut self, prefix: &str, names: Vec<String>) {
        for name in names {
            let name = format!("{prefix}{name}");
            if self.0.len() < MAX_IGNORED && !self.0.contains(&name) {
                self.0.push(name);
            }
        }
    }

    fn forget(&mut self, known: &[&str]) {
        self.0.retain(|name| !known.contains(&name.as_str()));
    }
}

fn number(name: &str, raw: Option<&RawValue>, least: f64, most: f64) -> Result<Option<f64>, ApiError> {
    let accepted = format!("a number from {least} to {most}");
    let number: Option<f64> = optional(name, raw, &accepted)?;
    match number {
        Some(number) if !(least..=most).contains(&number) => {
            Err(wrong(name, format!("must be {accepted}, not {number}")))
        }
        number => Ok(number),
    }
}

fn token_limit(name: &str, raw: Option<&RawValue>) -> Result<Option<u32>, ApiError> {
    let number: Option<u64> = optional(name, raw, "a whole number of at least 1")?;
    match number {
        Some(0) => Err(wrong(name, "must be at least 1")),
        number => Ok(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX))),
    }
}

fn parse_stop(raw: Option<&RawValue>) -> Result<Vec<String>, ApiError> {
    const ACCEPTED: &str = "must be a string or an array of at most 4 strings";
    let Some(raw) = present(raw) else { return Ok(Vec::new()) };
    if raw.get().starts_with('"') {
        let stop: Option<String> = optional("stop", Some(raw), "a string")?;
        return Ok(stop.into_iter().filter(|text| !text.is_empty()).collect());
    }
    if !raw.get().starts_with('[') {
        return Err(wrong("stop", format!("{ACCEPTED}, not {}", kind(raw))));
    }
    let mut stops = Vec::new();
    each("stop", raw, |index, item| {
        let text: String = serde_json::from_str(item.get()).map_err(|_| wrong("stop", ACCEPTED))?;
        if index >= MAX_STOPS {
            return Err(wrong("stop", ACCEPTED));
        }
        stops.extend(Some(text).filter(|text| !text.is_empty()));
        Ok(())
    })?;
    Ok(stops)
}

fn parse_effort(raw: Option<&RawValue>) -> Result<Option<Effort>, ApiError> {
    const ACCEPTED: &str = "one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max', 'default'";
    let word: Option<String> = optional("reasoning_effort", raw, ACCEPTED)?;
    let Some(word) = word else { return Ok(None) };
    match word.as_str() {
        "default" => Ok(None),
        // Nobody here thinks harder than hard.
        "xhigh" | "max" => Ok(Some(Effort::High)),
        word => match Effort::ALL.into_iter().find(|effort| effort.as_str() == word) {
            Some(effort) => Ok(Some(effort)),
            None => Err(wrong("reasoning_effort", format!("must be {ACCEPTED}"))),
        },
    }
}

fn parse_stream_options(raw: Option<&RawValue>) -> Result<bool, ApiError> {
    let Some(raw) = present(raw) else { return Ok(false) };
    let fields = object_fields(raw, ["include_usage"])
        .map_err(|_| wrong("stream_options", format!("must be an object, not {}", kind(raw))))?;
    let [include_usage] = fields.known;
    let include_usage: Option<bool> =
        optional("stream_options.include_usage", include_usage, "true or false")?;
    Ok(include_usage.unwrap_or(false))
}

/// Fields that change what is answered, and that nobody here has: refused unless they ask for nothing.
fn refuse_what_nobody_can(body: &RawValue, ignored: &mut Ignored) -> Result<(), ApiError> {
    const NAMES: [&str; 9] = [
        "n",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "modalities",
        "audio",
        "functions",
        "function_call",
        "web_search_options",
    ];
    ignored.forget(&NAMES);
    let fields = object_fields(body, NAMES).map_err(|error| not_json(&error))?;
    for (name, raw) in NAMES.into_iter().zip(fields.known) {
        let Some(raw) = present(raw) else { continue };
        let text: String = raw.get().split_whitespace().collect();
        let (asks_for_nothing, advice): (&[&str], _) = match name {
            "n" => (&["1"], "must be 1: ask several times for several answers"),
            "logprobs" => (&["false"], "is not available here"),
            "top_logprobs" => (&["0"], "is not available here"),
            "logit_bias" => (&["{}"], "is not available here"),
            "modalities" => (&["[\"text\"]", "[]"], "must be [\"text\"]: there is no audio here"),
            "functions" => (&["[]"], "is not available here: use 'tools'"),
            "function_call" => (&["\"auto\"", "\"none\""], "is not available here: use 'tool_choice'"),
            _ => (&[], "is not available here"),
        };
        if !asks_for_nothing.contains(&text.as_str()) {
            return Err(wrong(name, advice));
        }
    }
    Ok(())
}

/// Everything about tools and the form of the answer.
fn parse_tools(body: &RawValue, request: &mut ChatRequest, ignored: &mut Ignored) -> Result<(), ApiError> {
    const NAMES: [&str; 4] = ["tools", "tool_choice", "parallel_tool_calls", "response_format"];
    ignored.forget(&NAMES);
    let fields = object_fields(body, NAMES).map_err(|error| not_json(&error))?;
    let [tools, choice, parallel, format] = fields.known;
    if let Some(tools) = present(tools) {
        if !tools.get().starts_with('[') {
            return Err(wrong("tools", format!("must be an array of tools, not {}", kind(tools))));
        }
        each("tools", tools, |index, item| {
            if index >= MAX_TOOLS {
                return Err(wrong("tools", format!("has more than {MAX_TOOLS} tools")));
            }
            request.tools.push(parse_tool(&format!("tools[{index}]"), item)?);
            Ok(())
        })?;
    }
    if let Some(choice) = present(choice) {
        parse_tool_choice(choice, request)?;
    }
    request.parallel_tool_calls = optional("parallel_tool_calls", parallel, "true or false")?;
    request.response_format = present(format).map(parse_format).transpose()?.flatten();
    Ok(())
}

fn parse_tool(at: &str, item: &RawValue) -> Result<Tool, ApiError> {
    let unreadable =
        |_| wrong(at, format!("must be an object with 'type' and 'function', not {}", kind(item)));
    let fields = object_fields(item, ["type", "function"]).map_err(unreadable)?;
    let [kind_of_tool, function] = fields.known;
    let kind_of_tool: Option<String> = optional(&format!("{at}.type"), kind_of_tool, "'function'")?;
    if kind_of_tool.is_some_and(|it| it != "function") {
        return Err(wrong(format!("{at}.type"), "must be 'function': there are no other tools here"));
    }
    let at = format!("{at}.function");
    let function = present(function).ok_or_else(|| wrong(at.as_str(), "is missing"))?;
    let fields = object_fields(function, ["name", "description", "parameters", "strict"])
        .map_err(|_| wrong(at.as_str(), format!("must be an object, not {}", kind(function))))?;
    let [name, description, parameters, strict] = fields.known;
    let name: Option<String> = optional(&format!("{at}.name"), name, "a string")?;
    let name = name.filter(|name| !name.is_empty());
    let parameters = present(parameters);
    if let Some(parameters) = parameters.filter(|it| !it.get().starts_with('{')) {
        let is = kind(parameters);
        return Err(wrong(format!("{at}.parameters"), format!("must be a JSON Schema, an object, not {is}")));
    }
    Ok(Tool {
        name: name.ok_or_else(|| wrong(format!("{at}.name"), "is missing"))?,
        description: optional(&format!("{at}.description"), description, "a string")?,
        parameters: parameters.map(Json::from),
        strict: optional(&format!("{at}.strict"), strict, "true or false")?,
    })
}

fn parse_tool_choice(raw: &RawValue, request: &mut ChatRequest) -> Result<(), ApiError> {
    const ACCEPTED: &str =
        "must be 'auto', 'none', 'required', or {\"type\":\"function\",\"function\":{\"name\":…}}";
    let choice = if raw.get().starts_with('"') {
        let word: Option<String> = optional("tool_choice", Some(raw), "a string")?;
        match word.as_deref() {
            Some("auto") => ToolChoice::Auto,
            Some("none") => ToolChoice::None,
            Some("required") => ToolChoice::Required,
            _ => return Err(wrong("tool_choice", ACCEPTED)),
        }
    } else {
        let fields = object_fields(raw, ["type", "function", "allowed_tools"])
            .map_err(|_| wrong("tool_choice", format!("{ACCEPTED}, not {}", kind(raw))))?;
        let [_, function, allowed] = fields.known;
        match (present(function), present(allowed)) {
            (Some(function), _) => ToolChoice::Named(named("tool_choice.function", function)?),
            (None, Some(allowed)) => keep_only(allowed, request)?,
            (None, None) => return Err(wrong("tool_choice", ACCEPTED)),
        }
    };
    let is_offered = |name: &String| request.tools.iter().any(|tool| tool.name == *name);
    match &choice {
        ToolChoice::Named(name) if !is_offered(name) => {
            Err(wrong("tool_choice.function.name", "is none of the tools in 'tools'"))
        }
        ToolChoice::Required if request.tools.is_empty() => {
            Err(wrong("tool_choice", "wants a tool called, and 'tools' has none"))
        }
        _ => {
            request.tool_choice = Some(choice).filter(|_| !request.tools.is_empty());
            Ok(())
        }
    }
}

fn named(at: &str, function: &RawValue) -> Result<String, ApiError> {
    let fields = object_fields(function, ["name"])
        .map_err(|_| wrong(at, format!("must be an object with 'name', not {}", kind(function))))?;
    let [name] = fields.known;
    let name: Option<String> = optional(&format!("{at}.name"), name, "a string")?;
    name.ok_or_else(|| wrong(format!("{at}.name"), "is missing"))
}

/// Of the tools only these may be called: the others are not offered at all.
fn keep_only(allowed: &RawValue, request: &mut ChatRequest) -> Result<ToolChoice, ApiError> {
    const AT: &str = "tool_choice.allowed_tools";
    let unreadable = |_| wrong(AT, "must be an object with 'mode' and 'tools'");
    let fields = object_fields(allowed, ["mode", "tools"]).map_err(unreadable)?;
    let [mode, tools] = fields.known;
    let mode: Option<String> = optional(&format!("{AT}.mode"), mode, "'auto' or 'required'")?;
    let tools = present(tools).ok_or_else(|| wrong(format!("{AT}.tools"), "is missing"))?;
    let mut names = Vec::new();
    each(&format!("{AT}.tools"), tools, |index, item| {
        let at = format!("{AT}.tools[{index}]");
        let fields =
            object_fields(item, ["function"]).map_err(|_| wrong(at.as_str(), "must be an object"))?;
        let [function] = fields.known;
        let at = format!("{at}.function");
        names.push(named(&at, present(function).ok_or_else(|| wrong(at.as_str(), "is missing"))?)?);
        Ok(())
    })?;
    request.tools.retain(|tool| names.contains(&tool.name));
    match mode.as_deref() {
        Some("required") => Ok(ToolChoice::Required),
        Some("auto") | None => Ok(ToolChoice::Auto),
        Some(_) => Err(wrong(format!("{AT}.mode"), "must be 'auto' or 'required'")),
    }
}

fn parse_format(raw: &RawValue) -> Result<Option<ResponseFormat>, ApiError> {
    const ACCEPTED: &str =
        "must be {\"type\":\"text\"}, {\"type\":\"json_object\"} or {\"type\":\"json_schema\",…}";
    let fields = object_fields(raw, ["type", "json_schema"])
        .map_err(|_| wrong("response_format", format!("{ACCEPTED}, not {}", kind(raw))))?;
    let [format, whole] = fields.known;
    let format: Option<String> = optional("response_format.type", format, "a string")?;
    match format.as_deref() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(ResponseFormat::JsonObject)),
        Some("json_schema") => {
            const AT: &str = "response_format.json_schema";
            let whole = present(whole).ok_or_else(|| wrong(AT, "is missing"))?;
            let unreadable = |_| wrong(AT, format!("must be an object, not {}", kind(whole)));
            let [schema] = object_fields(whole, ["schema"]).map_err(unreadable)?.known;
            let schema = present(schema).map(Json::from);
            Ok(Some(ResponseFormat::JsonSchema { whole: whole.into(), schema }))
        }
        _ => Err(wrong("response_format.type", ACCEPTED)),
    }
}

fn parse_messages(list: &RawValue, ignored: &mut Ignored) -> Result<Vec<Message>, ApiError> {
    let mut messages = Vec::new();
    // Calls that a tool has yet to answer, and where they stand.
    let mut open: Vec<(String, String)> = Vec::new();
    let unanswered = |open: &[(String, String)]| match open.first() {
        Some((at, id)) => {
            let id: String = id.chars().take(100).collect();
            Err(wrong(at.as_str(), format!("has a call ('{id}') that no 'tool' message after it answers")))
        }
        None => Ok(()),
    };
    each("messages", list, |index, item| {
        let at = format!("messages[{index}]");
        let message = parse_message(&at, item, ignored)?;
        match &message {
            Message::Tool { call_id, .. } => {
                let position = open.iter().position(|(_, id)| id == call_id);
                let position = position.ok_or_else(|| {
                    wrong(
                        format!("{at}.tool_call_id"),
                        "answers none of the calls in the 'assistant' message before it",
                    )
                })?;
                open.remove(position);
            }
            Message::Assistant { calls, .. } => {
                unanswered(&open)?;
                open.extend(calls.iter().map(|call| (format!("{at}.tool_calls"), call.id.clone())));
            }
            Message::System(_) | Message::User(_) => unanswered(&open)?,
        }
        messages.push(message);
        Ok(())
    })?;
    unanswered(&open)?;
    if !messages.is_empty() && messages.iter().all(is_empty) {
        return Err(bad("messages have no content: send at least one with a non-empty 'content'"));
    }
    Ok(messages)
}

fn is_empty(message: &Message) -> bool {
    match message {
        Message::System(texts) => texts.is_empty(),
        Message::User(parts) => parts.is_empty(),
        Message::Assistant { texts, calls } => texts.is_empty() && calls.is_empty(),
        Message::Tool { .. } => false,
    }
}

fn parse_message(at: &str, item: &RawValue, ignored: &mut Ignored) -> Result<Message, ApiError> {
    let names = ["role", "content", "tool_calls", "tool_call_id", "refusal", "function_call", "audio"];
    let fields = object_fields(item, names)
        .map_err(|_| wrong(at, format!("must be an object with 'role' and 'content', not {}", kind(item))))?;
    let [role, content, calls, call_id, refusal, function_call, audio] = fields.known;
    let role: Option<String> = role.and_then(|role| serde_json::from_str(role.get()).ok());
    let role = role.ok_or_else(|| wrong(at, format!("needs a 'role': one of {ROLES}")))?;
    ignored.add("messages.", fields.unknown);
    if present(function_call).is_some() {
        return Err(wrong(format!("{at}.function_call"), "is not available here: use 'tool_calls'"));
    }
    if present(audio).is_some() {
        return Err(wrong(format!("{at}.audio"), "is not available here"));
    }
    let at_content = format!("{at}.content");
    match role.as_str() {
        "system" | "developer" => Ok(Message::System(texts(&at_content, required(&at_content, content)?)?)),
        "user" => Ok(Message::User(parts(&at_content, required(&at_content, content)?)?)),
        "assistant" => {
            let content = present(content).or(present(refusal));
            Ok(Message::Assistant {
                texts: content.map(|content| texts(&at_content, content)).transpose()?.unwrap_or_default(),
                calls: present(calls).map(|calls| parse_calls(at, calls)).transpose()?.unwrap_or_default(),
            })
        }
        "tool" => {
            let at_id = format!("{at}.tool_call_id");
            let call_id: Option<String> = optional(&at_id, call_id, "a string")?;
            Ok(Message::Tool {
                call_id: call_id.ok_or_else(|| wrong(at_id, "is missing"))?,
                texts: texts(&at_content, required(&at_content, content)?)?,
            })
        }
        _ => Err(wrong(format!("{at}.role"), format!("is not one of {ROLES}"))),
    }
}

fn required<'a>(at: &str, raw: Option<&'a RawValue>) -> Result<&'a RawValue, ApiError> {
    present(raw).ok_or_else(|| wrong(at, "is missing: send a string or an array of parts"))
}

/// Content that may only be words; empty ones are none.
fn texts(at: &str, content: &RawValue) -> Result<Vec<String>, ApiError> {
    let text = |part| match part {
        Part::Text(text) => Ok(text),
        Part::Image(_) => Err(wrong(at, "may hold text only; pictures belong into a 'user' message")),
    };
    parts(at, content)?.into_iter().map(text).collect()
}

/// Content as a string or in parts; empty texts are left out.
fn parts(at: &str, content: &RawValue) -> Result<Vec<Part>, ApiError> {
    match content.get().as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(content.get())
                .map_err(|error| wrong(at, format!("cannot be read: {error}")))?;
            Ok(Some(text).filter(|text| !text.is_empty()).map(Part::Text).into_iter().collect())
        }
        Some(b'[') => {
            let mut parts = Vec::new();
            each(at, content, |index, item| {
                parts.extend(parse_part(&format!("{at}[{index}]"), item)?);
                Ok(())
            })?;
            Ok(parts)
        }
        _ => Err(wrong(at, format!("must be a string or an array of parts, not {}", kind(content)))),
    }
}

fn parse_part(at: &str, item: &RawValue) -> Result<Option<Part>, ApiError> {
    let fields = object_fields(item, ["type", "text", "refusal", "image_url"])
        .map_err(|_| wrong(at, format!("must be an object with 'type', not {}", kind(item))))?;
    let [kind_of_part, text, refusal, image_url] = fields.known;
    let kind_of_part: Option<String> = optional(&format!("{at}.type"), kind_of_part, "a string")?;
    let words = |name: &str, raw| {
        let text: Option<String> = optional(&format!("{at}.{name}"), raw, "a string")?;
        let text = text.ok_or_else(|| wrong(format!("{at}.{name}"), "is missing"))?;
        Ok(Some(Part::Text(text)).filter(|_| !matches!(present(raw).map(RawValue::get), Some("\"\""))))
    };
    match kind_of_part.as_deref() {
        Some("text") => words("text", text),
        Some("refusal") => words("refusal", refusal),
        Some("image_url") => {
            let at = format!("{at}.image_url");
            let raw = present(image_url).ok_or_else(|| wrong(at.as_str(), "is missing"))?;
            // Some write the URL without its object.
            let url = if raw.get().starts_with('"') {
                Some(raw)
            } else {
                let unreadable =
                    |_| wrong(at.as_str(), format!("must be an object with 'url', not {}", kind(raw)));
                let [url] = object_fields(raw, ["url"]).map_err(unreadable)?.known;
                url
            };
            let at = format!("{at}.url");
            let url: Option<String> = optional(&at, url, "a string")?;
            let url = url.ok_or_else(|| wrong(at.as_str(), "is missing"))?;
            parse_image(&at, url).map(|image| Some(Part::Image(image)))
        }
        _ => Err(wrong(format!("{at}.type"), "must be 'text' or 'image_url': nothing else is taken here")),
    }
}

fn parse_image(at: &str, url: String) -> Result<Image, ApiError> {
    const ACCEPTED: &str = "must be an http(s) URL or data:<media type>;base64,<data>";
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Image::Remote(url));
    }
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    let (head, base64) = inline.ok_or_else(|| wrong(at, ACCEPTED))?;
    let media_type = head.strip_suffix(";base64").ok_or_else(|| wrong(at, ACCEPTED))?;
    let media_type = media_type.split(';').next().unwrap_or_default();
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    if !media_type.starts_with("image/") || base64.is_empty() || !base64.bytes().all(is_base64) {
        return Err(wrong(at, format!("{ACCEPTED}, of an image")));
    }
    Ok(Image::Inline { media_type: media_type.to_owned(), base64: base64.to_owned() })
}

fn parse_calls(at: &str, list: &RawValue) -> Result<Vec<ToolCall>, ApiError> {
    let at = format!("{at}.tool_calls");
    if !list.get().starts_with('[') {
        return Err(wrong(at, format!("must be an array of calls, not {}", kind(list))));
    }
    let mut calls: Vec<ToolCall> = Vec::new();
    each(&at, list, |index, item| {
        if index >= MAX_CALLS {
            return Err(wrong(at.as_str(), format!("has more than {MAX_CALLS} calls")));
        }
        let call = parse_call(&format!("{at}[{index}]"), item)?;
        if calls.iter().any(|known| known.id == call.id) {
            return Err(wrong(format!("{at}[{index}].id"), "is the id of another call in this message"));
        }
        calls.push(call);
        Ok(())
    })?;
    Ok(calls)
}

fn parse_call(at: &str, item: &RawValue) -> Result<ToolCall, ApiError> {
    let unreadable = |_| wrong(at, format!("must be an object with 'id' and 'function', not {}", kind(item)));
    let [id, function, extra] =
        object_fields(item, ["id", "function", "extra_content"]).map_err(unreadable)?.known;
    let string = |name: &str, raw| {
        let at = format!("{at}.{name}");
        let text: Option<String> = optional(&at, raw, "a string")?;
        text.ok_or_else(|| wrong(at, "is missing"))
    };
    let at_function = format!("{at}.function");
    let function = present(function).ok_or_else(|| wrong(at_function.as_str(), "is missing"))?;
    let unreadable = |_| wrong(at_function.as_str(), format!("must be an object, not {}", kind(function)));
    let [name, arguments] = object_fields(function, ["name", "arguments"]).map_err(unreadable)?.known;
    Ok(ToolCall {
        id: string("id", id)?,
        name: string("function.name", name)?,
        arguments: string("function.arguments", arguments)?,
        signature: extra.and_then(signature),
    })
}

/// `extra_content.google.thought_signature`, where Google's own translation puts it.
fn signature(extra: &RawValue) -> Option<String> {
    let [google] = object_fields(extra, ["google"]).ok()?.known;
    let [signature] = object_fields(google?, ["thought_signature"]).ok()?.known;
    serde_json::from_str(signature?.get()).ok()
}
