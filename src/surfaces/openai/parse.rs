//! A request body, checked field by field. What is opaque (schemas, arguments) keeps its bytes.

mod messages;
mod tools;

use serde_json::value::RawValue;

use self::messages::parse_messages;
use self::tools::{SchemaBytes, parse_format, parse_tool_choice, parse_tools};
use super::{AUTO, Completion};
use crate::middle::{ChatRequest, Effort};
use crate::surfaces::ApiError;
use crate::surfaces::fields::{body_object, each, kind, not_json, object_fields, optional, present, wrong};

/// As OpenAI allows.
const MAX_STOPS: usize = 4;

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
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
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
    let fields = object_fields(body_object(body)?, names).map_err(|error| not_json(&error))?;
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
        tools,
        tool_choice,
        parallel_tool_calls,
        response_format,
        unavailable @ ..,
    ] = fields.known;
    let unavailable_names = names.iter().skip(names.len() - unavailable.len());
    let mut ignored = Ignored(fields.unknown);
    for (name, raw) in unavailable_names.zip(unavailable) {
        refuse_unless_idle(name, raw)?;
    }
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
    request.seed = whole("seed", seed)?;
    request.user = optional("user", user, "a string")?;
    request.effort = parse_effort(effort)?;
    request.wants_thoughts = request.effort.is_some_and(|effort| effort != Effort::None);
    let mut schema_bytes = SchemaBytes::default();
    if let Some(tools) = present(tools) {
        parse_tools(tools, &mut request, &mut ignored, &mut schema_bytes)?;
    }
    if let Some(choice) = present(tool_choice) {
        parse_tool_choice(choice, &mut request)?;
    }
    request.parallel_tool_calls = optional("parallel_tool_calls", parallel_tool_calls, "true or false")?;
    if let Some(format) = present(response_format) {
        request.response_format = parse_format(format, &mut ignored, &mut schema_bytes)?;
    }

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

/// A whole number; also one that is written as `7.0`, as some languages do.
fn whole(name: &str, raw: Option<&RawValue>) -> Result<Option<i64>, ApiError> {
    let Some(raw) = present(raw) else { return Ok(None) };
    let fraction = |number: f64| number.fract() == 0.0 && number.abs() < 9e18;
    let whole: Result<i64, _> = serde_json::from_str(raw.get());
    let float = || serde_json::from_str(raw.get()).ok().filter(|number| fraction(*number));
    let number = whole.ok().or_else(|| float().map(|number| number as i64));
    number.map(Some).ok_or_else(|| wrong(name, "must be a whole number"))
}

fn token_limit(name: &str, raw: Option<&RawValue>) -> Result<Option<u32>, ApiError> {
    match whole(name, raw)? {
        // How some say «as many as you like».
        None | Some(-1) => Ok(None),
        Some(number) if number < 1 => Err(wrong(name, "must be a whole number of at least 1")),
        Some(number) => Ok(Some(u32::try_from(number).unwrap_or(u32::MAX))),
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

/// Refuses a field that changes what is answered and that nobody here has, unless it asks for nothing.
fn refuse_unless_idle(name: &str, raw: Option<&RawValue>) -> Result<(), ApiError> {
    let Some(raw) = present(raw) else { return Ok(()) };
    let (idle, advice): (&[&str], _) = match name {
        "n" => (&["1", "1.0"], "must be 1: ask several times for several answers"),
        "logprobs" => (&["false"], "is not available here"),
        "top_logprobs" => (&["0"], "is not available here"),
        "logit_bias" => (&["{}"], "is not available here"),
        "modalities" => (&["[\"text\"]", "[]"], "must be [\"text\"]: there is no audio here"),
        "functions" => (&["[]"], "is not available here: use 'tools'"),
        "function_call" => (&["\"auto\"", "\"none\""], "is not available here: use 'tool_choice'"),
        _ => (&[], "is not available here"),
    };
    let text = raw.get().chars().filter(|c| !c.is_whitespace());
    if idle.iter().any(|idle| text.clone().eq(idle.chars())) { Ok(()) } else { Err(wrong(name, advice)) }
}
