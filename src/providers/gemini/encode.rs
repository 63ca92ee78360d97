//! The request in Google's form.
//!
//! System messages become the system instruction. Consecutive messages of one role become one turn. `assistant` is
//! called `model`. A user turn is required, so a conversation that has only system messages becomes one. Gemma models
//! refuse a system instruction, so theirs opens the first user turn.
//!
//! The results of all calls of one turn form one turn: in the order of the calls, each with the name of its tool,
//! followed by the images. Gemini 3 wants back the signature that it gave to the first call of a turn.
//!
//! Sources, checked 2026-11: the types of google-genai 3.4.0; <https://ai.google.dev/gemini-api/docs/function-calling>,
//! <https://ai.google.dev/gemini-api/docs/thinking>, <https://ai.google.dev/gemini-api/docs/thought-signatures>.

use std::collections::HashMap;
use std::iter::Peekable;
use std::slice;

use serde::{Serialize, Serializer};
use serde_json::json;

use super::schema;
use crate::middle::{
    AssistantPart, ChatRequest, Effort, Feature, File, Image, Json, Message, Part, ResponseFormat, Tool,
    ToolCall, ToolChoice, arguments_object,
};
use crate::providers::capabilities::Capabilities;
use crate::providers::tool_names::{NameRule, ToolNames};
use crate::providers::wire::WireRequest;
use crate::wire::json;

/// "Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:),
/// or dashes (-), with a maximum length of 128": its refusal.
const NAMES: NameRule = NameRule { max_bytes: 128, marks: "_.:-", begins_with_letter: true };

/// "The set of character sequences (up to 5) that will stop output generation."
const MAX_STOPS: usize = 5;

/// The signature that Google documents for calls made by another model.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    // An empty list is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Declarations<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "GenerationConfig::is_default")]
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    // Absent in a system instruction, which has no speaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<WirePart<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WirePart<'a> {
    Text {
        text: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    InlineData {
        inline_data: InlineData<'a>,
    },
    #[serde(rename_all = "camelCase")]
    FunctionCall {
        function_call: FunctionCall<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    FunctionResponse {
        function_response: FunctionResponse<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InlineData<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    id: &'a str,
    name: &'a str,
    args: Arguments<'a>,
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    id: &'a str,
    name: &'a str,
    response: ToolResult,
}

/// Must be an object, whatever the tool returns.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ToolResult {
    Result(String),
    Error(String),
}

/// Must be an object, whatever the model has written.
struct Arguments<'a>(&'a str);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declarations<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<Json>,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    // The newest models ignore it or fail on it, so it is sent only if the client set one.
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig {
    // Only one of the two: Google refuses both together.
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    include_thoughts: bool,
}

impl GenerationConfig<'_> {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `request` as JSON for `model`; see [`Provider::encode`](crate::providers::Provider::encode).
pub(in crate::providers) fn encode(
    can: &Capabilities,
    request: &ChatRequest,
    model: &str,
    max_tokens: Option<u32>,
) -> WireRequest {
    let names = ToolNames::of(request, &NAMES);
    let mut system = Vec::new();
    let mut turns = Turns { contents: Vec::new(), names: &names, wants_signatures: can.signs_calls };
    let mut messages = request.messages().iter().peekable();
    while let Some(message) = messages.next() {
        match message {
            Message::System(texts) => system.extend(texts_of(texts)),
            Message::User(parts) => turns.add("user", parts.iter().filter_map(part).collect()),
            Message::Assistant(parts) => turns.add_answer(parts, &mut messages),
            // A result without a call; surfaces refuse it.
            Message::Tool { parts, .. } => turns.add("user", parts.iter().filter_map(part).collect()),
        }
    }
    let mut contents = turns.contents;
    let holds_call = |content: &Content<'_>| {
        content.parts.iter().any(|part| matches!(part, WirePart::FunctionCall { .. }))
    };
    if contents.first().is_some_and(holds_call) {
        // A turn with calls must follow a user turn.
        contents.insert(0, Content { role: Some("user"), parts: vec![WirePart::Text { text: " " }] });
    }
    if !system.is_empty() && (contents.is_empty() || !can.instructions) {
        fold_into_first_user_turn(&mut contents, std::mem::take(&mut system));
    }
    let choice = request.tool_choice.as_ref().filter(|_| !request.offered_tools().is_empty());
    let body = Request {
        system_instruction: (!system.is_empty()).then_some(Content { role: None, parts: system }),
        contents,
        tools: declarations(request.offered_tools(), &names),
        tool_config: choice.map(|choice| tool_choice(&names, choice)),
        generation_config: generation_config(can, request, max_tokens),
    };
    let body = json::to_vec(&body);
    WireRequest {
        path: format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        body,
        is_stream: true,
        renamed_tools: names.changed(),
        left_out: left_out(can, request),
    }
}

struct Turns<'a> {
    contents: Vec<Content<'a>>,
    names: &'a ToolNames<'a>,
    wants_signatures: bool,
}

impl<'a> Turns<'a> {
    /// Adds to the last turn if it has the same role and no tool results, because Google checks their number.
    fn add(&mut self, role: &'static str, mut parts: Vec<WirePart<'a>>) {
        let is_response = |part: &WirePart<'_>| matches!(part, WirePart::FunctionResponse { .. });
        let holds_responses = |content: &Content<'_>| content.parts.iter().any(is_response);
        match self.contents.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.role == Some(role) && !holds_responses(last) => last.parts.append(&mut parts),
            _ => self.contents.push(Content { role: Some(role), parts }),
        }
    }

    /// Adds an earlier answer of the model and the results of its tools.
    fn add_answer(&mut self, answer: &'a [AssistantPart], messages: &mut Peekable<slice::Iter<'a, Message>>) {
        let calls: Vec<&ToolCall> = answer.iter().filter_map(AssistantPart::call).collect();
        let mut is_first_call = true;
        let parts = answer.iter().filter_map(|part| match part {
            // Google refuses empty texts.
            AssistantPart::Text(text) => (!text.is_empty()).then_some(WirePart::Text { text }),
            AssistantPart::Call(call) => Some(self.call(std::mem::take(&mut is_first_call), call)),
        });
        let parts = parts.collect();
        self.add("model", parts);

        let positions: HashMap<&str, usize> =
            calls.iter().enumerate().map(|(position, call)| (call.id.as_str(), position)).collect();
        let mut results: Vec<(usize, &'a ToolCall, &'a [Part], bool)> = Vec::new();
        while let Some(Message::Tool { call_id, parts, is_error }) =
            messages.next_if(|it| !calls.is_empty() && matches!(it, Message::Tool { .. }))
        {
            let position = positions.get(call_id.as_str()).copied();
            let call = position.and_then(|position| Some((position, *calls.get(position)?)));
            results.extend(call.map(|(position, call)| (position, call, parts.as_slice(), *is_error)));
        }
        results.sort_by_key(|(position, ..)| *position);
        let responses = results.iter().map(|(_, call, parts, is_error)| {
            let response = match texts_in(parts) {
                text if !*is_error => ToolResult::Result(text),
                text if text.is_empty() => ToolResult::Error("the tool has failed".to_owned()),
                text => ToolResult::Error(text),
            };
            let function_response =
                FunctionResponse { id: &call.id, name: self.names.wire(&call.name), response };
            WirePart::FunctionResponse { function_response }
        });
        // The images of the results follow all of them, in the same order.
        let shown = results.iter().flat_map(|(_, _, parts, _)| parts.iter());
        let shown = shown.filter(|part| !matches!(part, Part::Text(_))).filter_map(part);
        let parts: Vec<_> = responses.chain(shown).collect();
        if !parts.is_empty() {
            self.contents.push(Content { role: Some("user"), parts });
        }
    }

    fn call(&self, is_first: bool, call: &'a ToolCall) -> WirePart<'a> {
        let ToolCall { id, name, arguments, signature } = call;
        let substitute = is_first.then_some(NO_SIGNATURE);
        WirePart::FunctionCall {
            function_call: FunctionCall { id, name: self.names.wire(name), args: Arguments(arguments) },
            thought_signature: signature.as_deref().or(substitute).filter(|_| self.wants_signatures),
        }
    }
}

fn texts_of(texts: &[String]) -> impl Iterator<Item = WirePart<'_>> {
    texts.iter().filter(|text| !text.is_empty()).map(|text| WirePart::Text { text })
}

/// The text of a tool's result.
fn texts_in(parts: &[Part]) -> String {
    let text = |part: &Part| match part {
        Part::Text(text) => Some(text.clone()),
        Part::Image(_) | Part::File(_) => None,
    };
    parts.iter().filter_map(text).collect()
}

fn part(part: &Part) -> Option<WirePart<'_>> {
    match part {
        Part::Text(text) => (!text.is_empty()).then_some(WirePart::Text { text }),
        Part::Image(Image::Inline { media_type, base64 }) => {
            Some(WirePart::InlineData { inline_data: InlineData { mime_type: media_type, data: base64 } })
        }
        Part::File(File { media_type, base64, .. }) => {
            Some(WirePart::InlineData { inline_data: InlineData { mime_type: media_type, data: base64 } })
        }
        // Google does not fetch URLs reliably. The capabilities say so, so no request with one reaches this code.
        Part::Image(Image::Remote(url)) => Some(WirePart::Text { text: url }),
    }
}

fn fold_into_first_user_turn<'a>(contents: &mut Vec<Content<'a>>, mut parts: Vec<WirePart<'a>>) {
    match contents.first_mut() {
        Some(first) if first.role == Some("user") => {
            parts.append(&mut first.parts);
            first.parts = parts;
        }
        _ => contents.insert(0, Content { role: Some("user"), parts }),
    }
}

fn declarations<'a>(tools: &'a [Tool], names: &'a ToolNames<'a>) -> Vec<Declarations<'a>> {
    if tools.is_empty() {
        return Vec::new();
    }
    let declaration = |tool: &'a Tool| Declaration {
        name: names.wire(&tool.name),
        description: tool.description.as_deref(),
        parameters_json_schema: tool.parameters.as_ref().map(schema::clean),
    };
    vec![Declarations { function_declarations: tools.iter().map(declaration).collect() }]
}

fn generation_config<'a>(
    can: &Capabilities,
    request: &'a ChatRequest,
    max_tokens: Option<u32>,
) -> GenerationConfig<'a> {
    let response_json_schema = match &request.response_format {
        Some(ResponseFormat::JsonSchema(format)) => format.schema.as_ref().map(schema::clean),
        Some(ResponseFormat::JsonObject) | None => None,
    };
    GenerationConfig {
        max_output_tokens: max_tokens.map(|most| most.min(can.max_output)),
        temperature: request.temperature,
        top_p: request.top_p,
        top_k: request.top_k.filter(|most| *most > 0),
        stop_sequences: request.stop.get(..MAX_STOPS).unwrap_or(&request.stop),
        // Google takes 32 bits. Any seed will do, as long as it is the same every time.
        seed: request.seed.map(|seed| i32::try_from(seed).unwrap_or((seed & 0x7fff_ffff) as i32)),
        response_mime_type: request.response_format.as_ref().map(|_| "application/json"),
        response_json_schema,
        thinking_config: thinking_config(can, request),
    }
}

fn thinking_config(can: &Capabilities, request: &ChatRequest) -> Option<ThinkingConfig> {
    let effort = request.effort.and_then(|effort| effort.nearest(can.efforts));
    let mut config = ThinkingConfig {
        include_thoughts: request.wants_thoughts && !can.efforts.is_empty(),
        ..ThinkingConfig::default()
    };
    if can.thinks_by_budget {
        config.thinking_budget = effort.map(budget);
    } else {
        config.thinking_level = effort.map(Effort::as_str);
    }
    (config != ThinkingConfig::default()).then_some(config)
}

/// The thinking budget in tokens, with the numbers that other proxies use.
fn budget(effort: Effort) -> u32 {
    match effort {
        Effort::None => 0,
        Effort::Minimal => 512,
        Effort::Low => 1_024,
        Effort::Medium => 8_192,
        Effort::High => 24_576,
    }
}

fn left_out(can: &Capabilities, request: &ChatRequest) -> Vec<Feature> {
    let features = [
        (Feature::User, request.user.is_some()),
        (Feature::SpeakerName, !request.speakers.is_empty()),
        (Feature::FrequencyPenalty, request.frequency_penalty.is_some()),
        (Feature::PresencePenalty, request.presence_penalty.is_some()),
        // Gemini always allows several calls at once, so only a "no" is left out.
        (Feature::ParallelToolCalls, request.parallel_tool_calls == Some(false)),
        (Feature::Stop, request.stop.len() > MAX_STOPS),
        (Feature::TopK, request.top_k == Some(0)),
        (Feature::Effort, can.misses_effort(request.effort)),
    ];
    features.into_iter().filter(|(_, is_left_out)| *is_left_out).map(|(feature, _)| feature).collect()
}

fn tool_choice(names: &ToolNames<'_>, choice: &ToolChoice) -> serde_json::Value {
    let config = match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [names.wire(name)]}),
    };
    json!({ "functionCallingConfig": config })
}

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match arguments_object(self.0) {
            Some(object) => object.serialize(serializer),
            // An earlier model wrote something that is not an object; this model is shown it unchanged.
            None => json!({ "arguments": self.0 }).serialize(serializer),
        }
    }
}
