//! The forms of an answer: chunks of a stream, and the whole, as each host writes them.

use serde_json::{Value, json};

use super::Headers;
use super::host::Manner;
use crate::simulator::behaviour::{Fault, SimulatedCall};
use crate::simulator::echo::Said;
use crate::simulator::wire::Response;

/// What an answer consists of in addition to its text.
pub(super) struct Completion {
    pub(super) manner: Manner,
    pub(super) streams_usage: bool,
    pub(super) id: String,
    /// The number of the request, from which its calls get their ids.
    pub(super) number: u64,
    pub(super) created: i64,
    pub(super) model: String,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    pub(super) reasoning_tokens: u64,
}

impl Completion {
    pub(super) fn stream(&self, said: &Said, fault: Option<&Fault>, headers: Headers) -> Response {
        let mut all = vec![("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned())];
        all.extend(headers);
        let first = match self.manner {
            Manner::Groq | Manner::Plain if said.text.is_empty() && !said.calls.is_empty() => {
                json!({"role": "assistant", "content": null})
            }
            Manner::Groq | Manner::Plain => json!({"role": "assistant", "content": ""}),
            Manner::Cerebras => json!({"role": "assistant"}),
            Manner::LlamaCpp => json!({"role": "assistant", "content": null}),
        };
        let mut prelude = vec![self.chunk(&first, None, true)];
        let thoughts = said.thoughts.iter();
        prelude.extend(thoughts.map(|piece| self.chunk(&json!({self.thoughts_name(): piece}), None, false)));
        let text = said.text.iter().map(|piece| self.chunk(&json!({"content": piece}), None, false));
        let calls = said.calls.iter().enumerate();
        let calls = calls.map(|(index, call)| {
            let call = self.call(call, index, true);
            self.chunk(&json!({"tool_calls": [call]}), None, false)
        });
        let mut ending = Vec::new();
        if fault != Some(&Fault::NoFinish) {
            ending.push(self.chunk(&json!({}), Some(said.finish), false));
            if matches!(self.manner, Manner::Plain | Manner::LlamaCpp) && self.streams_usage {
                ending.push(self.usage_chunk());
            }
        }
        if fault != Some(&Fault::NoEndMark) {
            ending.push(b"data: [DONE]\n\n".to_vec());
        }
        Response { status: 200, headers: all, prelude, text: text.chain(calls).collect(), ending }
    }

    fn chunk(&self, delta: &Value, finish: Option<&str>, is_first: bool) -> Vec<u8> {
        let Self { id, created, model, .. } = self;
        let chunk = match self.manner {
            Manner::Plain => {
                format!(
                    r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":"{model}","choices":[{{"index":0,"delta":{delta},"finish_reason":{}}}]}}"#,
                    json!(finish)
                )
            }
            Manner::LlamaCpp => format!(
                r#"{{"choices":[{{"finish_reason":{},"index":0,"delta":{delta}}}],"created":{created},"id":"{id}","model":"{model}","system_fingerprint":"b0-sim","object":"chat.completion.chunk"}}"#,
                json!(finish)
            ),
            Manner::Groq => {
                let usage = finish.map(|_| self.usage());
                let x_groq = match &usage {
                    Some(usage) => {
                        format!(r#","x_groq":{{"id":"req_{id}","usage":{usage}}},"usage":{usage}"#)
                    }
                    None if is_first => format!(r#","x_groq":{{"id":"req_{id}","seed":7}}"#),
                    None => String::new(),
                };
                format!(
                    r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":"{model}","system_fingerprint":"fp_sim","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{}}}]{x_groq}}}"#,
                    json!(finish)
                )
            }
            Manner::Cerebras => {
                let finish_reason =
                    finish.map(|it| format!(r#""finish_reason":"{it}","#)).unwrap_or_default();
                let usage = match finish {
                    Some(_) => format!(r#","usage":{},"time_info":{}"#, self.usage(), self.time_info()),
                    None => String::new(),
                };
                format!(
                    r#"{{"id":"{id}","choices":[{{"delta":{delta},{finish_reason}"index":0}}],"created":{created},"model":"{model}","system_fingerprint":"fp_sim","object":"chat.completion.chunk"{usage}}}"#
                )
            }
        };
        format!("data: {chunk}\n\n").into_bytes()
    }

    /// The chunk that OpenAI sends between the finish and the end mark.
    fn usage_chunk(&self) -> Vec<u8> {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": [], "usage": self.usage(),
        });
        if self.manner == Manner::LlamaCpp {
            chunk["timings"] = self.timings();
        }
        format!("data: {chunk}\n\n").into_bytes()
    }

    /// The name of the field with the reasoning.
    fn thoughts_name(&self) -> &'static str {
        match self.manner {
            Manner::Groq | Manner::Cerebras => "reasoning",
            Manner::LlamaCpp | Manner::Plain => "reasoning_content",
        }
    }

    /// A call, with its place among the calls in a stream. Its id has nine letters and digits.
    fn call(&self, call: &SimulatedCall, index: usize, is_stream: bool) -> Value {
        let id = format!("sim{:04x}{:02x}", self.number % 0x1_0000, index % 0x100);
        let function = json!({"name": call.name, "arguments": call.arguments});
        let mut call = json!({"id": id, "type": "function", "function": function});
        if is_stream {
            call["index"] = json!(index);
        }
        call
    }

    pub(super) fn whole(&self, said: &Said, headers: Headers) -> Response {
        let mut message = json!({"role": "assistant"});
        if said.calls.is_empty() || !said.text.is_empty() || self.manner == Manner::LlamaCpp {
            message["content"] = json!(said.text.concat());
        }
        if !said.calls.is_empty() {
            let calls = said.calls.iter().enumerate();
            message["tool_calls"] = calls.map(|(index, call)| self.call(call, index, false)).collect();
        }
        if !said.thoughts.is_empty() {
            message[self.thoughts_name()] = json!(said.thoughts.concat());
        }
        let mut body = json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": said.finish}],
            "usage": self.usage(), "system_fingerprint": "fp_sim",
        });
        match self.manner {
            Manner::Plain => {}
            Manner::Groq => {
                body["choices"][0]["logprobs"] = Value::Null;
                body["usage_breakdown"] = Value::Null;
                body["x_groq"] = json!({"id": format!("req_{}", self.id), "seed": 7});
                body["service_tier"] = json!("on_demand");
            }
            Manner::Cerebras => body["time_info"] = self.time_info(),
            Manner::LlamaCpp => body["timings"] = self.timings(),
        }
        Response::whole(headers, body.to_string())
    }

    fn usage(&self) -> Value {
        let Self { prompt_tokens, completion_tokens, .. } = self;
        let total_tokens = prompt_tokens + completion_tokens;
        let mut usage = match self.manner {
            Manner::Plain => json!({
                "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total_tokens,
            }),
            Manner::LlamaCpp => json!({
                "completion_tokens": completion_tokens, "prompt_tokens": prompt_tokens, "total_tokens": total_tokens,
                "prompt_tokens_details": {"cached_tokens": 0},
            }),
            Manner::Groq => json!({
                "queue_time": 0.01, "prompt_tokens": prompt_tokens, "prompt_time": 0.001,
                "completion_tokens": completion_tokens, "completion_time": 0.01,
                "total_tokens": total_tokens, "total_time": 0.011,
            }),
            Manner::Cerebras => json!({
                "total_tokens": total_tokens, "completion_tokens": completion_tokens,
                "completion_tokens_details": {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
                "prompt_tokens": prompt_tokens, "prompt_tokens_details": {"cached_tokens": 0},
            }),
        };
        if self.reasoning_tokens > 0 {
            usage["completion_tokens_details"]["reasoning_tokens"] = json!(self.reasoning_tokens);
        }
        usage
    }

    fn timings(&self) -> Value {
        json!({"cache_n": 0, "prompt_n": self.prompt_tokens, "prompt_ms": 7.4, "predicted_n": self.completion_tokens,
            "predicted_ms": 96.1, "predicted_per_second": 124.8})
    }

    fn time_info(&self) -> Value {
        json!({"queue_time": 0.0001, "prompt_time": 0.0003, "completion_time": 0.0024, "total_time": 0.0042,
            "created": self.created})
    }
}
