//! What a request will cost in tokens, before it is sent: a [`Demand`] from its bytes, and a provider's [`Correction`].
//!
//! Providers charge the prompt and the longest answer against a limit a minute before they answer, so the proxy needs a
//! fair estimate: too low and the provider refuses, too high and a free minute is wasted. No tokenizer is in the binary,
//! because each provider has its own and one alone takes megabytes.
//!
//! The estimate against o200k, the tokenizer of gpt-oss, for the texts in `tests/fixtures/tokens/`, to which the costs
//! were not fitted (measured 2026-11-28 with tiktoken-rs 0.12.1; `cargo test --test it demand` compares again). In the
//! conversation, what stands around the texts is assumed to be as below:
//!
//! | Text | Bytes a token | Error | bytes ÷ 4 |
//! | --- | --- | --- | --- |
//! | English | 4.6 | −1.5 % | +15 % |
//! | Spanish | 4.4 | −1.7 % | +11 % |
//! | Russian | 6.2 | +7.4 % | +56 % |
//! | Chinese | 3.7 | −5.6 % | −7 % |
//! | Rust | 3.7 | −3.0 % | −9 % |
//! | Python | 4.2 | −3.6 % | +4 % |
//! | JavaScript | 3.9 | +2.6 % | −2 % |
//! | JSON, compact | 3.0 | −0.7 % | −26 % |
//! | JSON, indented | 3.1 | −4.1 % | −23 % |
//! | numbers | 1.4 | −6.0 % | −65 % |
//! | base64 | 1.5 | −2.6 % | −63 % |
//! | a conversation with tools | 3.8 | −2.1 % | −5 % |

mod correction;
mod text;

pub(super) use self::correction::Correction;
use crate::middle::{
    AssistantPart, ChatRequest, Json, JsonSchema, Message, Part, ResponseFormat, Tool, ToolCall,
};

/// The marks at a message's begin and end, and its role: `<|start|>user<|message|>…<|end|>` in gpt-oss.
const MESSAGE: u64 = 4;

/// What stands around the name and arguments of a call: in gpt-oss
/// `<|start|>assistant<|channel|>commentary to=functions.… <|constrain|>json<|message|>…<|call|>`.
const CALL: u64 = 8;

/// What stands around the name, description and schema of a tool or of the answer.
const SCHEMA: u64 = 8;

/// An image of any size, as Gemini counts it (measured by others in September 2026, checked 2026-11).
const IMAGE: u64 = 1_100;

/// A file has no fewer tokens: a page of a PDF, as Gemini counts it (its documentation, checked 2026-11).
const FILE: u64 = 258;

/// Of a file's bytes nobody knows how many become tokens: a page of a PDF is rarely smaller than 20 kB.
const BASE64_BYTES_A_TOKEN: u64 = 100;

/// What a request asks for, in tokens, before any provider's own way of counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// All that the model reads: messages, calls, tools, images, the form of the answer.
    pub prompt: u64,
    /// The longest answer that the client asked for; `None` if it left that to the provider.
    pub answer: Option<u32>,
}

impl Demand {
    /// Reads every text of the request once, and no image. Half a nanosecond a byte: 0.1 ms for an agent's
    /// 200 kB.
    pub fn of(request: &ChatRequest) -> Self {
        let mut tally = Tally::default();
        request.messages().iter().for_each(|message| tally.add_message(message));
        request.speakers.values().for_each(|name| tally.add_text(name));
        request.offered_tools().iter().for_each(|tool| tally.add_tool(tool));
        if let Some(ResponseFormat::JsonSchema(schema)) = &request.response_format {
            tally.add_response_schema(schema);
        }
        Self { prompt: tally.hundredths.div_ceil(100), answer: request.max_tokens }
    }
}

/// How many tokens a request's prompt has, as far as its bytes tell: see [`Demand`].
pub(crate) fn estimated_tokens(request: &ChatRequest) -> u64 {
    Demand::of(request).prompt
}

/// Tokens, added up in hundredths, because most texts of a request are short.
#[derive(Default)]
struct Tally {
    hundredths: u64,
}

impl Tally {
    fn add_message(&mut self, message: &Message) {
        self.add_tokens(MESSAGE);
        match message {
            Message::System(texts) => texts.iter().for_each(|text| self.add_text(text)),
            Message::User(parts) | Message::Tool { parts, .. } => {
                parts.iter().for_each(|part| self.add_part(part));
            }
            Message::Assistant(parts) => parts.iter().for_each(|part| self.add_assistant_part(part)),
        }
    }

    fn add_part(&mut self, part: &Part) {
        match part {
            Part::Text(text) => self.add_text(text),
            Part::Image(_) => self.add_tokens(IMAGE),
            Part::File(file) => self.add_tokens(FILE.max(file.base64.len() as u64 / BASE64_BYTES_A_TOKEN)),
        }
    }

    fn add_assistant_part(&mut self, part: &AssistantPart) {
        match part {
            AssistantPart::Text(text) => self.add_text(text),
            AssistantPart::Call(call) => self.add_call(call),
        }
    }

    /// Ids and signatures are for the provider's bookkeeping; the model does not read them.
    fn add_call(&mut self, call: &ToolCall) {
        self.add_tokens(CALL);
        self.add_text(&call.name);
        self.add_text(&call.arguments);
    }

    fn add_tool(&mut self, tool: &Tool) {
        self.add_schema(Some(&tool.name), tool.description.as_deref(), tool.parameters.as_ref());
    }

    fn add_response_schema(&mut self, schema: &JsonSchema) {
        self.add_schema(schema.name.as_deref(), schema.description.as_deref(), schema.schema.as_ref());
    }

    fn add_schema(&mut self, name: Option<&str>, description: Option<&str>, schema: Option<&Json>) {
        self.add_tokens(SCHEMA);
        [name, description].into_iter().flatten().for_each(|text| self.add_text(text));
        self.hundredths += schema.map_or(0, |schema| text::of_json(schema.get()));
    }

    fn add_text(&mut self, text: &str) {
        self.hundredths += text::of_text(text);
    }

    fn add_tokens(&mut self, tokens: u64) {
        self.hundredths += 100 * tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middle::{Image, ToolChoice};

    fn prompt(messages: Vec<Message>) -> u64 {
        Demand::of(&ChatRequest::new(messages).unwrap()).prompt
    }

    fn request() -> ChatRequest {
        ChatRequest::new(vec![Message::user("What is the weather in Lund?")]).unwrap()
    }

    fn prompt_with(change: impl FnOnce(&mut ChatRequest)) -> u64 {
        let mut request = request();
        change(&mut request);
        Demand::of(&request).prompt
    }

    fn schema() -> Json {
        Json::parse(r#"{"type":"object","properties":{"city":{"type":"string"}}}"#).unwrap()
    }

    fn tool() -> Tool {
        let description = Some("The weather of today in a city".to_owned());
        Tool { name: "get_weather".to_owned(), description, parameters: Some(schema()), strict: None }
    }

    #[test]
    fn everything_that_the_model_reads_is_counted() {
        let plain = prompt_with(|_| ());
        let format = JsonSchema {
            name: Some("weather".to_owned()),
            description: None,
            schema: Some(schema()),
            strict: None,
        };
        // The tokens of o200k are in each case within the range.
        let cases = [
            ("a tool", prompt_with(|it| it.tools = vec![tool()]), 20..40),
            ("a name", prompt_with(|it| it.speakers = [(0, "marta".to_owned())].into()), 1..4),
            (
                "a schema of the answer",
                prompt_with(|it| it.response_format = Some(ResponseFormat::JsonSchema(format))),
                15..35,
            ),
            ("any JSON", prompt_with(|it| it.response_format = Some(ResponseFormat::JsonObject)), 0..1),
        ];
        for (what, prompt, more) in cases {
            assert!(more.contains(&(prompt - plain)), "{what}: {plain} and {prompt}");
        }
    }

    #[test]
    fn every_kind_of_message_is_counted() {
        let text = "Rain until noon, then clear.".to_owned();
        let call = ToolCall {
            id: "x".repeat(500),
            name: "get_weather".to_owned(),
            arguments: r#"{"city":"Lund"}"#.to_owned(),
            signature: Some("y".repeat(500)),
        };
        let result = Message::Tool {
            call_id: "x".repeat(500),
            parts: vec![Part::Text(text.clone())],
            is_error: false,
        };
        let cases = [
            (Message::system(text.clone()), 10..14),
            (Message::user(text.clone()), 10..14),
            (Message::assistant(text), 10..14),
            (result, 10..14),
            (Message::Assistant(vec![AssistantPart::Call(call)]), 16..26),
        ];
        for (message, expected) in cases {
            let prompt = prompt(vec![message.clone()]);
            assert!(expected.contains(&prompt), "{prompt}: {message:?}");
        }
    }

    #[test]
    fn an_image_costs_the_same_whatever_its_size() {
        let inline = Image::Inline { media_type: "image/png".to_owned(), base64: "QUJD".repeat(10_000) };
        let remote = Image::Remote("https://example.com/a.png".to_owned());
        for image in [inline, remote] {
            assert_eq!(prompt(vec![Message::User(vec![Part::Image(image)])]), MESSAGE + IMAGE);
        }
    }

    #[test]
    fn tools_that_no_provider_is_sent_cost_nothing() {
        let without = prompt_with(|it| it.response_format = Some(ResponseFormat::JsonObject));
        let with = prompt_with(|it| {
            it.tools = vec![tool()];
            it.tool_choice = Some(ToolChoice::None);
            it.response_format = Some(ResponseFormat::JsonObject);
        });
        assert_eq!(with, without);
    }

    #[test]
    fn many_short_texts_are_added_up_before_they_are_rounded() {
        let one = prompt(vec![Message::User(vec![Part::Text("a".to_owned()); 100])]);
        assert_eq!(one, MESSAGE + 91);
    }

    #[test]
    fn the_longest_answer_is_the_one_that_the_client_asked_for() {
        assert_eq!(Demand::of(&request()).answer, None);
        let mut short = request();
        short.max_tokens = Some(300);
        assert_eq!(Demand::of(&short).answer, Some(300));
    }
}
