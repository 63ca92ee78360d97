//! An answer in OpenAI's form, streamed and whole.

use serde::Serialize;

use super::errors;
use crate::middle::{Event, FinishReason, ToolCall, ToolCallPiece, Usage};
use crate::surfaces::author::Author;
use crate::surfaces::encode::{AfterFailure, Encode, Interrupted};
use crate::surfaces::gathered::Gathered;
use crate::surfaces::media_type;
use crate::wire::json;

/// Some clients take a chunk without a fingerprint for an error.
const SYSTEM_FINGERPRINT: &str = "fp_ai_proxy_free";

/// Some clients rely on the field in whole answers, since Groq always sends it. Of the words that OpenAI's and Groq's SDKs
/// accept, the one that both have and that asks for nothing.
const SERVICE_TIER: &str = "auto";

/// Writes a streamed answer.
#[derive(Debug)]
pub struct Encoder {
    id: String,
    created: i64,
    /// How each chunk of this answer begins, up to its choices; see [`beginning`].
    beginning: Vec<u8>,
    include_usage: bool,
    usage: Option<Usage>,
    has_begun: bool,
}

#[derive(Serialize)]
struct ChunkBeginning<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: &'static str,
}

/// How the one choice of a chunk goes on to its delta.
const TO_DELTA: &[u8] = br#","choices":[{"index":0,"delta":"#;

/// How a chunk ends behind the delta of an answer that goes on. Clients look for the keys.
const TO_END: &[u8] = b",\"logprobs\":null,\"finish_reason\":null}]}\n\n";

/// How the delta of a piece of text begins.
const TO_TEXT: &[u8] = br#"{"content":"#;

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[DeltaCall<'a>; 1]>,
}

#[derive(Serialize)]
struct DeltaCall<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: DeltaFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Serialize)]
struct DeltaFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// Where Google's own translation puts it, and where clients that know it keep it.
#[derive(Serialize)]
struct ExtraContent<'a> {
    google: Google<'a>,
}

#[derive(Serialize)]
struct Google<'a> {
    thought_signature: &'a str,
}

impl<'a> ExtraContent<'a> {
    fn of(signature: Option<&'a String>) -> Option<Self> {
        signature.map(|signature| Self { google: Google { thought_signature: signature } })
    }
}

#[derive(Serialize)]
struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total_tokens,
            prompt_tokens_details: usage.cached_tokens.map(|cached_tokens| PromptDetails { cached_tokens }),
            completion_tokens_details: usage
                .reasoning_tokens
                .map(|reasoning_tokens| CompletionDetails { reasoning_tokens }),
        }
    }
}

fn id(author: &Author) -> String {
    format!("chatcmpl-{}", author.answer_id)
}

/// How a chunk of an answer begins: everything that is the same in all of them.
fn beginning(id: &str, created: i64, model: &str) -> Vec<u8> {
    let mut beginning = b"data: ".to_vec();
    let object = "chat.completion.chunk";
    let fields = ChunkBeginning { id, object, created, model, system_fingerprint: SYSTEM_FINGERPRINT };
    json::write(&mut beginning, &fields);
    // The object goes on.
    beginning.pop();
    beginning
}

impl Encoder {
    /// An encoder for an answer of `author`; `include_usage` asks for a last chunk with the usage.
    pub fn new(author: Author, include_usage: bool) -> Self {
        let (id, created) = (id(&author), author.created);
        let beginning = beginning(&id, created, &author.name());
        Self { id, created, beginning, include_usage, usage: None, has_begun: false }
    }

    /// Writes the chunk with the role, which must be the first, unless it is written.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let delta = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
            self.write(out, &delta, None);
        }
    }

    fn write(&self, out: &mut Vec<u8>, delta: &Delta<'_>, finish: Option<FinishReason>) {
        out.extend_from_slice(&self.beginning);
        out.extend_from_slice(TO_DELTA);
        json::write(out, delta);
        match finish {
            None => out.extend_from_slice(TO_END),
            Some(reason) => {
                out.extend_from_slice(br#","logprobs":null,"finish_reason":"#);
                json::write(out, &reason.as_str());
                out.extend_from_slice(b"}]}\n\n");
            }
        }
    }

    /// As [`write`](Self::write) does it, but only the text is made anew: 300 instead of 3,300 instructions,
    /// 2026-11.
    fn write_text(&self, out: &mut Vec<u8>, field: &[u8], text: &str) {
        out.extend_from_slice(&self.beginning);
        out.extend_from_slice(TO_DELTA);
        out.extend_from_slice(field);
        json::write_string(out, text);
        out.push(b'}');
        out.extend_from_slice(TO_END);
    }

    fn write_usage(&self, out: &mut Vec<u8>, usage: Usage) {
        out.extend_from_slice(&self.beginning);
        out.extend_from_slice(br#","choices":[],"usage":"#);
        json::write(out, &WireUsage::from(usage));
        out.extend_from_slice(b"}\n\n");
    }

    fn write_call(&self, out: &mut Vec<u8>, piece: &ToolCallPiece) {
        let opening = piece.opening.as_ref();
        let call = DeltaCall {
            index: piece.index,
            id: opening.map(|opening| opening.id.as_str()),
            r#type: opening.map(|_| "function"),
            function: DeltaFunction {
                name: opening.map(|opening| opening.name.as_str()),
                arguments: &piece.arguments,
            },
            extra_content: ExtraContent::of(opening.and_then(|opening| opening.signature.as_ref())),
        };
        self.write(out, &Delta { tool_calls: Some([call]), ..Delta::default() }, None);
    }
}

impl Encode for Encoder {
    fn content_type(&self) -> &'static str {
        media_type::EVENT_STREAM
    }

    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        if self.has_begun {
            self.write(out, &Delta::default(), None);
        } else {
            self.begin(out);
        }
    }

    fn framing(&self) -> usize {
        self.beginning.len() + TO_DELTA.len() + TO_TEXT.len() + br#"""}"#.len() + TO_END.len()
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        self.begin(out);
        match event {
            Event::Text(text) => self.write_text(out, TO_TEXT, &text),
            Event::Reasoning(text) => self.write_text(out, br#"{"reasoning_content":"#, &text),
            Event::ToolCall(piece) => self.write_call(out, &piece),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Finish(reason) => {
                self.write(out, &Delta::default(), Some(reason));
                if let Some(usage) = self.usage.filter(|_| self.include_usage) {
                    self.write_usage(out, usage);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
    }

    fn taken_over(&mut self, author: Author) {
        // The id stays: it is one answer.
        self.beginning = beginning(&self.id, self.created, &author.name());
    }

    fn interrupted(&mut self, interrupted: &Interrupted, out: &mut Vec<u8>) -> AfterFailure {
        out.extend_from_slice(b"data: ");
        json::write(out, &errors::late(&interrupted.to_string()));
        out.extend_from_slice(b"\n\n");
        AfterFailure::EndNormally
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    system_fingerprint: &'static str,
    service_tier: &'static str,
    choices: [WholeChoice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct WholeChoice<'a> {
    index: u32,
    message: WholeMessage<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct WholeMessage<'a> {
    role: &'static str,
    // Null beside calls if there is no text.
    content: Option<&'a str>,
    refusal: Option<()>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
}

/// A call with all its arguments.
struct WireCall<'a>(&'a ToolCall);

impl Serialize for WireCall<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            id: &'a str,
            r#type: &'static str,
            function: DeltaFunction<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            extra_content: Option<ExtraContent<'a>>,
        }
        let Self(ToolCall { id, name, arguments, signature }) = self;
        let function = DeltaFunction { name: Some(name), arguments };
        let extra_content = ExtraContent::of(signature.as_ref());
        Wire { id, r#type: "function", function, extra_content }.serialize(serializer)
    }
}

/// An answer that is not streamed.
pub(super) fn whole(events: Vec<Event>, author: &Author) -> Vec<u8> {
    let Gathered { text, thoughts, calls, usage, finish } = Gathered::of(events);
    let message = WholeMessage {
        role: "assistant",
        content: Some(text.as_str()).filter(|text| !text.is_empty() || calls.is_empty()),
        refusal: None,
        reasoning_content: &thoughts,
        tool_calls: calls.iter().map(WireCall).collect(),
    };
    let choice = WholeChoice { index: 0, message, logprobs: None, finish_reason: finish.as_str() };
    json::to_vec(&Whole {
        id: &id(author),
        object: "chat.completion",
        created: author.created,
        model: &author.name(),
        system_fingerprint: SYSTEM_FINGERPRINT,
        service_tier: SERVICE_TIER,
        choices: [choice],
        usage: usage.map(WireUsage::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::Provider;

    #[test]
    fn the_first_chunk_has_the_role_even_if_it_only_keeps_alive() {
        let author =
            Author { provider: Provider::GROQ, model: "m".to_owned(), answer_id: "r".to_owned(), created: 0 };
        let mut encoder = Encoder::new(author, false);
        let mut deltas = Vec::new();
        let mut out = Vec::new();
        encoder.keep_alive(&mut out);
        encoder.keep_alive(&mut out);
        encoder.event(Event::Text("Hola".to_owned()), &mut out);
        for event in String::from_utf8(out).unwrap().split_terminator("\n\n") {
            let chunk: serde_json::Value =
                serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
            deltas.push(chunk["choices"][0]["delta"].to_string());
        }
        assert_eq!(deltas, [r#"{"content":"","role":"assistant"}"#, "{}", r#"{"content":"Hola"}"#]);
    }
}
