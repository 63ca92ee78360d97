//! The request in OpenAI's dialect, with nothing in it that the provider would refuse: both answer an unknown field with
//! a 400, inside messages too.

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::quirks::{Field, Quirks};
use crate::middle::{ChatRequest, Image, Message, Part, ResponseFormat, Tool, ToolCall, ToolChoice};
use crate::providers::capabilities::Capabilities;
use crate::providers::wire::WireRequest;
use crate::wire::json;

/// `request` as JSON for `model`; see [`Provider::encode`](crate::providers::Provider::encode).
pub(in crate::providers) fn encode(
    quirks: &Quirks,
    can: &Capabilities,
    request: &ChatRequest,
    model: &str,
) -> WireRequest {
    let body = Body { quirks, can, request, model };
    WireRequest {
        path: quirks.chat_path.to_owned(),
        body: json::to_vec(&body),
        is_stream: body.is_stream(),
        renamed_tools: Vec::new(),
        left_out: body.left_out(),
    }
}

struct Body<'a> {
    quirks: &'a Quirks,
    can: &'a Capabilities,
    request: &'a ChatRequest,
    model: &'a str,
}

impl Body<'_> {
    fn takes(&self, field: Field) -> bool {
        self.quirks.takes.contains(&field)
    }

    fn effort(&self) -> Option<&'static str> {
        Some(self.request.effort?.nearest(self.can.efforts)?.as_str())
    }

    fn is_stream(&self) -> bool {
        let has_schema = matches!(self.request.response_format, Some(ResponseFormat::JsonSchema { .. }));
        self.quirks.streams_schema || !has_schema
    }

    /// What the client set of the fields that not every provider takes.
    fn set_fields(&self) -> impl Iterator<Item = (&'static str, Field, Value)> {
        let request = self.request;
        let parallel = request.parallel_tool_calls.filter(|_| !request.offered_tools().is_empty());
        let fields = [
            ("top_p", Field::TopP, request.top_p.map(Value::from)),
            ("seed", Field::Seed, request.seed.map(Value::from)),
            ("stop", Field::Stop, (!request.stop.is_empty()).then(|| json!(request.stop))),
            ("user", Field::User, request.user.clone().map(Value::from)),
            ("frequency_penalty", Field::FrequencyPenalty, request.frequency_penalty.map(Value::from)),
            ("presence_penalty", Field::PresencePenalty, request.presence_penalty.map(Value::from)),
            ("parallel_tool_calls", Field::ParallelToolCalls, parallel.map(Value::from)),
        ];
        fields.into_iter().filter_map(|(name, field, value)| Some((name, field, value?)))
    }

    fn left_out(&self) -> Vec<&'static str> {
        let untaken = self.set_fields().filter(|(_, field, _)| !self.takes(*field));
        let effort = self.can.misses_effort(self.request.effort).then_some("reasoning_effort");
        untaken.map(|(name, ..)| name).chain(effort).collect()
    }
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { quirks, can, request, model } = *self;
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("model", model)?;
        body.serialize_entry("messages", &Messages(request.messages()))?;
        // No `stream_options`: usage comes without it, and Groq once refused it.
        body.serialize_entry("stream", &self.is_stream())?;
        for (name, _, value) in self.set_fields().filter(|(_, field, _)| self.takes(*field)) {
            body.serialize_entry(name, &value)?;
        }
        let mut optional = |name: &'static str, value: Option<Value>| match value {
            Some(value) => body.serialize_entry(name, &value),
            None => Ok(()),
        };
        optional(quirks.max_tokens_name, request.max_tokens.map(|most| json!(most.min(can.max_output))))?;
        optional("temperature", request.temperature.map(Into::into))?;

        optional("reasoning_effort", self.effort().map(Into::into))?;
        let is_parsed = quirks.parses_reasoning_of.iter().any(|prefix| model.starts_with(prefix));
        optional("reasoning_format", is_parsed.then(|| "parsed".into()))?;
        let tools = request.offered_tools();
        if !tools.is_empty() {
            let takes_strictness = self.takes(Field::ToolStrictness);
            body.serialize_entry("tools", &Tools { tools, takes_strictness })?;
            if let Some(choice) = &request.tool_choice {
                body.serialize_entry("tool_choice", &tool_choice(choice))?;
            }
        }
        if let Some(format) = &request.response_format {
            body.serialize_entry("response_format", &Format(format))?;
        }
        body.end()
    }
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!("auto"),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

struct Format<'a>(&'a ResponseFormat);

impl Serialize for Format<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut format = serializer.serialize_map(None)?;
        match self.0 {
            ResponseFormat::JsonObject => format.serialize_entry("type", "json_object")?,
            ResponseFormat::JsonSchema { whole, .. } => {
                format.serialize_entry("type", "json_schema")?;
                format.serialize_entry("json_schema", whole)?;
            }
        }
        format.end()
    }
}

struct Tools<'a> {
    tools: &'a [Tool],
    takes_strictness: bool,
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
            parameters: Option<&'a crate::middle::Json>,
            #[serde(skip_serializing_if = "Option::is_none")]
            strict: Option<bool>,
        }
        serializer.collect_seq(self.tools.iter().map(|tool| Wire {
            r#type: "function",
            function: Function {
                name: &tool.name,
                description: tool.description.as_deref(),
                parameters: tool.parameters.as_ref(),
                strict: tool.strict.filter(|_| self.takes_strictness),
            },
        }))
    }
}

struct Messages<'a>(&'a [Message]);

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            role: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            tool_call_id: Option<&'a str>,
            // A string, an array of parts, or null beside calls.
            content: Option<Content<'a>>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            tool_calls: &'a [WireCall<'a>],
        }
        let mut messages = serializer.serialize_seq(Some(self.0.len()))?;
        for message in self.0 {
            let (role, tool_call_id, content, calls): (_, _, _, &[ToolCall]) = match message {
                Message::System(texts) => ("system", None, Content::Texts(texts), &[]),
                Message::User(parts) => ("user", None, Content::Parts(parts), &[]),
                Message::Assistant { texts, calls } => ("assistant", None, Content::Texts(texts), calls),
                Message::Tool { call_id, texts } => {
                    ("tool", Some(call_id.as_str()), Content::Texts(texts), &[])
                }
            };
            let tool_calls: Vec<WireCall<'_>> = calls.iter().map(WireCall).collect();
            let is_only_calls = matches!(content, Content::Texts([])) && !calls.is_empty();
            let content = (!is_only_calls).then_some(content);
            messages.serialize_element(&Wire { role, tool_call_id, content, tool_calls: &tool_calls })?;
        }
        messages.end()
    }
}

/// One text is a string; several, or pictures, are an array of parts.
enum Content<'a> {
    Texts(&'a [String]),
    Parts(&'a [Part]),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WirePart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: Url },
}

#[derive(Serialize)]
struct Url {
    url: String,
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // Nothing at all is not taken as an empty list.
            Self::Texts([]) | Self::Parts([]) => serializer.serialize_str(""),
            Self::Texts([text]) => serializer.serialize_str(text),
            Self::Texts(texts) => serializer.collect_seq(texts.iter().map(|text| WirePart::Text { text })),
            Self::Parts([Part::Text(text)]) => serializer.serialize_str(text),
            Self::Parts(parts) => serializer.collect_seq(parts.iter().map(|part| match part {
                Part::Text(text) => WirePart::Text { text },
                Part::Image(image) => WirePart::ImageUrl { image_url: Url { url: url(image) } },
            })),
        }
    }
}

fn url(image: &Image) -> String {
    match image {
        Image::Inline { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
        Image::Remote(url) => url.clone(),
    }
}

struct WireCall<'a>(&'a ToolCall);

impl Serialize for WireCall<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ToolCall { id, name, arguments, .. } = self.0;
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
        // Some models write nothing for no arguments, and some providers read that as broken JSON.
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        Wire { id, r#type: "function", function: Function { name, arguments } }.serialize(serializer)
    }
}
