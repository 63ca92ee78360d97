//! The request in OpenAI's dialect, without anything that the provider would refuse: Groq and Cerebras answer an
//! unknown field with a 400, even inside messages.

use std::borrow::Cow;

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::quirks::{EffortForm, NullContent, Quirks};
use super::{schema, tool_ids};
use crate::middle::{
    AssistantPart, ChatRequest, Effort, Feature, Image, Json, JsonSchema, Message, Part, ResponseFormat,
    Tool, ToolCall, ToolChoice, arguments_or_none,
};
use crate::providers::capabilities::Capabilities;
use crate::providers::tool_names::{NameRule, ToolNames};
use crate::providers::wire::WireRequest;
use crate::wire::json;

/// OpenAI's rule, and that of all who speak its dialect: `^[a-zA-Z0-9_-]{1,64}$`.
const NAMES: NameRule = NameRule { max_bytes: 64, marks: "_-", begins_with_letter: false };

/// What the text of a failed tool begins with: the dialect has no field for it.
const ERROR: &str = "Error: ";

/// `request` as JSON for `model`; see [`Provider::encode`](crate::providers::Provider::encode).
pub(in crate::providers) fn encode(
    quirks: &Quirks,
    can: &Capabilities,
    request: &ChatRequest,
    model: &str,
    max_tokens: Option<u32>,
    without: &[&str],
) -> WireRequest {
    let names = ToolNames::of(request, &NAMES);
    let body = Body { quirks, can, request, model, max_tokens, names: &names, without };
    let (is_stream, left_out, body) = (body.is_stream(), body.left_out(), json::to_vec(&body));
    WireRequest {
        path: quirks.chat_path.to_owned(),
        body,
        is_stream,
        left_out,
        renamed_tools: names.changed(),
    }
}

struct Body<'a> {
    quirks: &'a Quirks,
    can: &'a Capabilities,
    request: &'a ChatRequest,
    model: &'a str,
    /// The longest answer to ask for.
    max_tokens: Option<u32>,
    names: &'a ToolNames<'a>,
    /// The fields that the model has refused.
    without: &'a [&'a str],
}

impl Body<'_> {
    fn takes(&self, feature: Feature) -> bool {
        self.quirks.takes.contains(&feature)
    }

    /// Whether the field with this name may be sent, which carries this feature.
    fn sends(&self, name: &str, feature: Feature) -> bool {
        self.takes(feature) && !self.without.contains(&name)
    }

    /// The field that says how much to think.
    fn effort(&self) -> Option<(&'static str, Value)> {
        let nearest = self.request.effort?.nearest(self.can.efforts)?;
        let (name, value) = match self.quirks.effort {
            EffortForm::Word => ("reasoning_effort", nearest.as_str().into()),
            EffortForm::Switch => {
                let word = if nearest == Effort::None { "disabled" } else { "enabled" };
                ("thinking", json!({ "type": word }))
            }
        };
        (!self.without.contains(&name)).then_some((name, value))
    }

    /// The fields that stand in the row, with the JSON that stands there.
    fn fixed_fields(&self) -> impl Iterator<Item = (&'static str, &'static RawValue)> {
        let Quirks { fixed_fields, fixed_fields_with_tools, .. } = self.quirks;
        let with_tools = fixed_fields_with_tools.iter().filter(|_| !self.request.offered_tools().is_empty());
        let fields = fixed_fields.iter().chain(with_tools).filter(|(name, _)| !self.without.contains(name));
        fields.filter_map(|(name, json)| Some((*name, serde_json::from_str(json).ok()?)))
    }

    fn is_stream(&self) -> bool {
        let has_schema = matches!(self.request.response_format, Some(ResponseFormat::JsonSchema(_)));
        self.quirks.streams_schema || !has_schema
    }

    /// The features that the client asks for, each with its field.
    fn set_fields(&self) -> impl Iterator<Item = (&'static str, Feature, Value)> {
        let request = self.request;
        let parallel = request.parallel_tool_calls.filter(|_| !request.offered_tools().is_empty());
        let fields = [
            ("top_p", Feature::TopP, request.top_p.map(Value::from)),
            ("top_k", Feature::TopK, request.top_k.map(Value::from)),
            (self.quirks.seed_name, Feature::Seed, request.seed.map(Value::from)),
            ("stop", Feature::Stop, (!request.stop.is_empty()).then(|| json!(self.stop()))),
            ("user", Feature::User, request.user.clone().map(Value::from)),
            ("frequency_penalty", Feature::FrequencyPenalty, request.frequency_penalty.map(Value::from)),
            ("presence_penalty", Feature::PresencePenalty, request.presence_penalty.map(Value::from)),
            ("parallel_tool_calls", Feature::ParallelToolCalls, parallel.map(Value::from)),
        ];
        fields.into_iter().filter_map(|(name, feature, value)| Some((name, feature, value?)))
    }

    /// The first of the texts before which the answer ends, as many as are taken.
    fn stop(&self) -> &[String] {
        let stop = self.request.stop.as_slice();
        stop.get(..self.quirks.max_stops).unwrap_or(stop)
    }

    fn left_out(&self) -> Vec<Feature> {
        let is_strict = request_is_strict(self.request) && !self.sends_strictness();
        let has_speakers = !self.request.speakers.is_empty() && !self.takes(Feature::SpeakerName);
        let is_stop_cut = self.sends("stop", Feature::Stop) && self.stop().len() < self.request.stop.len();
        let others = [
            (Feature::SpeakerName, has_speakers),
            (Feature::ToolStrictness, is_strict),
            (Feature::Stop, is_stop_cut),
        ];
        let others = others.into_iter().filter(|(_, is_left_out)| *is_left_out).map(|(feature, _)| feature);
        let untaken = self.set_fields().filter(|(name, feature, _)| !self.sends(name, *feature));
        let untaken = untaken.map(|(_, feature, _)| feature);
        let is_refused = self.request.effort.is_some() && self.effort().is_none();
        let effort = (is_refused || self.can.misses_effort(self.request.effort)).then_some(Feature::Effort);
        untaken.chain(others).chain(effort).collect()
    }

    /// Whether the tools are sent with their strictness.
    fn sends_strictness(&self) -> bool {
        let mut strictness = self.request.offered_tools().iter().map(|tool| tool.strict.unwrap_or(false));
        let first = strictness.next();
        let is_equal = strictness.all(|strict| Some(strict) == first);
        self.takes(Feature::ToolStrictness) && (is_equal || !self.quirks.wants_equal_strictness)
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { quirks, can, request, model, max_tokens, names, without } = *self;
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("model", model)?;
        let takes_names = self.takes(Feature::SpeakerName);
        body.serialize_entry("messages", &Messages { request, quirks, names, takes_names })?;
        body.serialize_entry("stream", &self.is_stream())?;
        for (name, _, value) in self.set_fields().filter(|(name, feature, _)| self.sends(name, *feature)) {
            body.serialize_entry(name, &value)?;
        }
        let mut optional = |name: &'static str, value: Option<Value>| match value {
            Some(value) if !without.contains(&name) => body.serialize_entry(name, &value),
            Some(_) | None => Ok(()),
        };
        // Only for providers that send no usage without it: Groq once refused the field.
        let options = json!({ "include_usage": true });
        optional("stream_options", (quirks.asks_for_usage && self.is_stream()).then_some(options))?;
        let most = max_tokens.or(quirks.unasked_max_tokens);
        optional(quirks.max_tokens_name, most.map(|most| json!(most.min(can.max_output))))?;
        optional("temperature", request.temperature.map(Into::into))?;

        if let Some((name, effort)) = self.effort() {
            optional(name, Some(effort))?;
        }
        let is_parsed = quirks.parses_reasoning_of.iter().any(|prefix| model.starts_with(prefix));
        optional("reasoning_format", is_parsed.then(|| "parsed".into()))?;
        for (name, json) in self.fixed_fields() {
            body.serialize_entry(name, json)?;
        }
        let tools = request.offered_tools();
        if !tools.is_empty() {
            let with_strictness = self.sends_strictness();
            let without = quirks.schema_without;
            body.serialize_entry("tools", &Tools { tools, names, with_strictness, without })?;
            if let Some(choice) = &request.tool_choice {
                body.serialize_entry("tool_choice", &tool_choice(quirks, names, choice))?;
            }
        }
        if let Some(format) = &request.response_format {
            body.serialize_entry("response_format", &Format(format))?;
        }
        body.end()
    }
}

fn request_is_strict(request: &ChatRequest) -> bool {
    request.offered_tools().iter().any(|tool| tool.strict == Some(true))
}

fn tool_choice(quirks: &Quirks, names: &ToolNames<'_>, choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!(quirks.required_word),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": names.wire(name)}}),
    }
}

struct Format<'a>(&'a ResponseFormat);

impl Serialize for Format<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut format = serializer.serialize_map(None)?;
        match self.0 {
            ResponseFormat::JsonObject => format.serialize_entry("type", "json_object")?,
            ResponseFormat::JsonSchema(schema) => {
                format.serialize_entry("type", "json_schema")?;
                format.serialize_entry("json_schema", &WireSchema::from(schema))?;
            }
        }
        format.end()
    }
}

#[derive(Serialize)]
struct WireSchema<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

impl<'a> From<&'a JsonSchema> for WireSchema<'a> {
    fn from(schema: &'a JsonSchema) -> Self {
        let JsonSchema { name, description, schema, strict } = schema;
        Self {
            name: name.as_deref(),
            description: description.as_deref(),
            schema: schema.as_ref(),
            strict: *strict,
        }
    }
}

struct Tools<'a> {
    tools: &'a [Tool],
    names: &'a ToolNames<'a>,
    with_strictness: bool,
    without: &'static [&'static str],
}

impl Serialize for Tools<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            r#type: &'static str,
            function: Function<'a>,
        }
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            parameters: Option<Cow<'a, Json>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            strict: Option<bool>,
        }
        serializer.collect_seq(self.tools.iter().map(|tool| Wire {
            r#type: "function",
            function: Function {
                name: self.names.wire(&tool.name),
                description: tool.description.as_deref(),
                parameters: tool.parameters.as_ref().map(|it| schema::without(it, self.without)),
                strict: tool.strict.filter(|_| self.with_strictness),
            },
        }))
    }
}

struct Messages<'a> {
    request: &'a ChatRequest,
    quirks: &'a Quirks,
    names: &'a ToolNames<'a>,
    takes_names: bool,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
    // A string, an array of parts, or null or nothing if there are only calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Option<Content<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
}

impl<'a> WireMessage<'a> {
    fn new(role: &'static str, content: Content<'a>) -> Self {
        Self { role, name: None, tool_call_id: None, content: Some(Some(content)), tool_calls: Vec::new() }
    }

    fn of(message: &'a Message, quirks: &Quirks, names: &'a ToolNames<'a>) -> Self {
        let content = |parts: Vec<WirePart<'a>>| Content { parts, is_joined: quirks.joins_texts };
        match message {
            Message::System(texts) => {
                let texts = texts.iter().map(|text| WirePart::text(text));
                Self::new("system", content(texts.collect()))
            }
            Message::User(parts) => {
                Self::new("user", content(parts.iter().filter_map(WirePart::of).collect()))
            }
            Message::Assistant(parts) => {
                let texts = parts.iter().filter_map(AssistantPart::text);
                let calls = parts.iter().filter_map(AssistantPart::call);
                let call = |call: &'a ToolCall| {
                    let (id, name) = (tool_ids::sent(&call.id, quirks), names.wire(&call.name));
                    WireCall { call, id, name }
                };
                let tool_calls: Vec<_> = calls.map(call).collect();
                let content = content(texts.map(WirePart::text).collect());
                let content = match quirks.null_content {
                    _ if !content.parts.is_empty() || tool_calls.is_empty() => Some(Some(content)),
                    NullContent::Null => Some(None),
                    NullContent::Empty => Some(Some(content)),
                    NullContent::Omitted => None,
                };
                Self { role: "assistant", name: None, tool_call_id: None, content, tool_calls }
            }
            Message::Tool { call_id, parts, is_error } => {
                let texts = parts.iter().filter(|part| matches!(part, Part::Text(_)));
                let mut texts = texts.filter_map(WirePart::of).collect();
                if *is_error {
                    mark_as_error(&mut texts);
                }
                let content = content(texts);
                let id = tool_ids::sent(call_id, quirks);
                Self { tool_call_id: Some(id), ..Self::new("tool", content) }
            }
        }
    }
}

/// Lets the texts of a tool's result say that it has failed, if they do not yet.
fn mark_as_error(texts: &mut Vec<WirePart<'_>>) {
    match texts.first_mut() {
        Some(WirePart::Text { text }) if text.starts_with(ERROR) => {}
        Some(WirePart::Text { text }) => text.to_mut().insert_str(0, ERROR),
        _ => {
            let text = Cow::Owned(format!("{ERROR}the tool has failed"));
            texts.insert(0, WirePart::Text { text });
        }
    }
}

/// The images in a tool result: a `tool` message cannot hold any.
fn pictures(message: &Message) -> impl Iterator<Item = WirePart<'_>> {
    let parts = match message {
        Message::Tool { parts, .. } => parts.as_slice(),
        Message::System(_) | Message::User(_) | Message::Assistant(_) => &[],
    };
    parts.iter().filter(|part| matches!(part, Part::Image(_))).filter_map(WirePart::of)
}

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut messages = serializer.serialize_seq(None)?;
        let mut following = self.request.messages().iter().enumerate().peekable();
        let mut shown = Vec::new();
        while let Some((position, message)) = following.next() {
            let name = self.request.speakers.get(&position).filter(|_| self.takes_names);
            let message_on_wire = WireMessage::of(message, self.quirks, self.names);
            messages.serialize_element(&WireMessage { name: name.map(String::as_str), ..message_on_wire })?;
            shown.extend(pictures(message));
            let is_result = matches!(message, Message::Tool { .. });
            // The results of a turn must follow each other, so their images come after all of them.
            let is_last_result = !matches!(following.peek(), Some((_, Message::Tool { .. })));
            let is_user_next = matches!(following.peek(), Some((_, Message::User(_))));
            if let Some(text) = self.quirks.words_after_results
                && is_result
                && (is_user_next || is_last_result && !shown.is_empty())
            {
                let content = Content { parts: vec![WirePart::text(text)], is_joined: false };
                messages.serialize_element(&WireMessage::new("assistant", content))?;
            }
            if is_last_result && !shown.is_empty() {
                let content = Content { parts: std::mem::take(&mut shown), is_joined: false };
                messages.serialize_element(&WireMessage::new("user", content))?;
            }
        }
        messages.end()
    }
}

/// One text is a string; several texts, or images, are an array of parts, unless texts are joined.
struct Content<'a> {
    parts: Vec<WirePart<'a>>,
    is_joined: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WirePart<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: Url },
}

#[derive(Serialize)]
struct Url {
    url: String,
}

impl<'a> WirePart<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text { text: Cow::Borrowed(text) }
    }

    fn of(part: &'a Part) -> Option<Self> {
        match part {
            Part::Text(text) => Some(Self::text(text)),
            Part::Image(image) => Some(Self::ImageUrl { image_url: Url { url: url(image) } }),
            // The capabilities say so, so no request with one reaches this code.
            Part::File(_) => None,
        }
    }
}

impl Content<'_> {
    /// All texts as one; `None` if there are images.
    fn joined(&self) -> Option<String> {
        let text = |part: &WirePart<'_>| match part {
            WirePart::Text { text } => Some(text.clone().into_owned()),
            WirePart::ImageUrl { .. } => None,
        };
        let texts: Option<Vec<String>> = self.parts.iter().map(text).collect();
        texts.filter(|_| self.is_joined).map(|texts| texts.join("\n"))
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.parts.as_slice() {
            // Providers refuse an empty array.
            [] => serializer.serialize_str(""),
            [WirePart::Text { text }] => serializer.serialize_str(text),
            parts => match self.joined() {
                Some(text) => serializer.serialize_str(&text),
                None => serializer.collect_seq(parts),
            },
        }
    }
}

fn url(image: &Image) -> String {
    match image {
        Image::Inline { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
        Image::Remote(url) => url.clone(),
    }
}

struct WireCall<'a> {
    call: &'a ToolCall,
    id: Cow<'a, str>,
    name: &'a str,
}

impl Serialize for WireCall<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { id, name, call: ToolCall { arguments, .. } } = self;
        #[derive(Serialize)]
        struct Wire<'a> {
            id: &'a str,
            r#type: &'static str,
            function: Function<'a>,
        }
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        // Some models write an empty text or `null` for no arguments, which some providers treat as broken JSON.
        let arguments = arguments_or_none(arguments);
        Wire { id, r#type: "function", function: Function { name, arguments } }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAN: Capabilities = Capabilities { max_output: 4_096, ..Capabilities::UNKNOWN };

    /// What is sent for a request that touches every column.
    fn sent(quirks: &Quirks) -> Value {
        let call = ToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into(), signature: None };
        let result =
            Message::Tool { call_id: "1".into(), parts: vec![Part::Text("2".into())], is_error: false };
        let messages = vec![Message::user("Hi"), Message::Assistant(vec![AssistantPart::Call(call)]), result];
        let mut request = ChatRequest::new(messages).expect("messages");
        request.seed = Some(7);
        request.speakers.insert(0, "Ana".to_owned());
        let tool =
            |name: &str, strict| Tool { name: name.into(), description: None, parameters: None, strict };
        request.tools = vec![tool("f", Some(true)), tool("g", None)];
        request.tool_choice = Some(ToolChoice::Required);
        let wire = encode(quirks, &CAN, &request, "m", None, &[]);
        serde_json::from_slice(&wire.body).expect("JSON")
    }

    /// Each column by itself changes what it says, and nothing else.
    #[test]
    fn a_column_changes_what_it_names() {
        let plain = sent(&Quirks::NONE);
        let cases: [(Quirks, &str, Value); 8] = [
            (Quirks { unasked_max_tokens: Some(9_999), ..Quirks::NONE }, "/max_tokens", json!(4_096)),
            (Quirks { seed_name: "random_seed", ..Quirks::NONE }, "/random_seed", json!(7)),
            (Quirks { required_word: "any", ..Quirks::NONE }, "/tool_choice", json!("any")),
            (Quirks { asks_for_usage: false, ..Quirks::NONE }, "/stream_options", Value::Null),
            (Quirks { null_content: NullContent::Empty, ..Quirks::NONE }, "/messages/1/content", json!("")),
            (
                Quirks { wants_equal_strictness: true, ..Quirks::NONE },
                "/tools/0/function/strict",
                Value::Null,
            ),
            (Quirks { takes: &[Feature::Seed], ..Quirks::NONE }, "/messages/0/name", Value::Null),
            (Quirks { takes: &[Feature::Seed], ..Quirks::NONE }, "/tools/0/function/strict", Value::Null),
        ];
        for (quirks, place, expected) in cases {
            let sent = sent(&quirks);
            assert_eq!(sent.pointer(place).unwrap_or(&Value::Null), &expected, "{sent}");
            assert_ne!(plain.pointer(place), sent.pointer(place), "{place} is as ever");
        }
    }

    #[test]
    fn a_limit_that_the_client_names_comes_before_one_that_nobody_asked_for() {
        let quirks = Quirks { unasked_max_tokens: Some(2_048), max_tokens_name: "most", ..Quirks::NONE };
        let request = ChatRequest::new(vec![Message::user("Hi")]).expect("a message");
        for (asked, sent) in [(None, 2_048), (Some(10), 10), (Some(9_999), 4_096)] {
            let body: Value =
                serde_json::from_slice(&encode(&quirks, &CAN, &request, "m", asked, &[]).body).expect("JSON");
            assert_eq!(body["most"], sent, "{asked:?}");
        }
    }
}
