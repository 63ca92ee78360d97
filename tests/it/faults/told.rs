//! What a client is told of its answer, in every way of asking.

use serde_json::Value;

use super::ways::Way;
use crate::support::{Reply, TestProxy, ask_at, parse_sse};

/// What a client makes of its answer.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// The whole answer.
    Answer {
        text: String,
        /// Bare text has none.
        finish_reason: Option<String>,
    },
    /// A beginning, and that it is no more than that.
    Broken {
        text: String,
        /// Bare text has none: its connection breaks.
        error: Option<String>,
    },
    /// An error instead of an answer.
    Refused { status: u16, error: String, attempts: Vec<Attempt>, retry_after: Option<u64> },
}

/// An entry of an error's `attempts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) provider: String,
    pub(super) reason: String,
    pub(super) status: Option<u64>,
}

impl Way {
    /// Asks anybody and reads the answer to its end.
    pub(super) async fn ask_anybody(self, proxy: &TestProxy) -> anyhow::Result<Reply> {
        ask_at(proxy, self.path(), &self.body(), &[("accept", self.accept())]).await
    }

    /// What `reply` says.
    ///
    /// # Panics
    /// It is not of the form that this way has for it.
    pub(super) fn told(self, reply: &Reply) -> Told {
        assert!(reply.header("x-request-id").is_some(), "an answer without x-request-id");
        if reply.status != 200 {
            return self.refused(reply);
        }
        assert!(reply.header("x-provider").is_some() && reply.header("x-attempts").is_some());
        match self {
            Self::ChatStream => {
                let answer = parse_sse(&reply.text());
                assert!(!reply.is_broken, "the body does not end in good order");
                let error = answer.error.map(|error| text_of(&error["error"]));
                told(
                    answer.text,
                    answer.finish.map(|finish| text_of(&finish["finish_reason"])),
                    answer.is_done,
                    error,
                )
            }
            Self::ChatText if reply.is_broken => Told::Broken { text: reply.text(), error: None },
            Self::ChatText => Told::Answer { text: reply.text(), finish_reason: None },
            Self::ChatWhole => {
                let body = reply.json();
                Told::Answer {
                    text: text_of(&body["content"]),
                    finish_reason: Some(text_of(&body["finish_reason"])),
                }
            }
            Self::OpenAiStream => {
                assert!(!reply.is_broken, "the body does not end in good order");
                openai_stream(&reply.text())
            }
            Self::OpenAiWhole => {
                let choice = &reply.json()["choices"][0];
                let finish_reason = Some(text_of(&choice["finish_reason"]));
                Told::Answer { text: text_of(&choice["message"]["content"]), finish_reason }
            }
        }
    }

    fn refused(self, reply: &Reply) -> Told {
        assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"), "{}", reply.text());
        let body = reply.json();
        let (error, attempts) = match self {
            Self::ChatStream | Self::ChatText | Self::ChatWhole => (&body["error"], &body["attempts"]),
            Self::OpenAiStream | Self::OpenAiWhole => (&body["error"]["message"], &body["error"]["attempts"]),
        };
        let attempt = |attempt: &Value| Attempt {
            provider: text_of(&attempt["provider"]),
            reason: text_of(&attempt["reason"]),
            status: attempt["status"].as_u64(),
        };
        Told::Refused {
            status: reply.status,
            error: text_of(error),
            attempts: attempts.as_array().map(|all| all.iter().map(attempt).collect()).unwrap_or_default(),
            retry_after: reply.header("retry-after").map(|seconds| seconds.parse().expect("whole seconds")),
        }
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn told(text: String, finish_reason: Option<String>, is_done: bool, error: Option<String>) -> Told {
    match (finish_reason, is_done, error) {
        (Some(finish_reason), true, None) => Told::Answer { text, finish_reason: Some(finish_reason) },
        (None, false, Some(error)) => Told::Broken { text, error: Some(error) },
        mixed => panic!("neither whole nor broken: {mixed:?} after {text:?}"),
    }
}

fn openai_stream(stream: &str) -> Told {
    let (mut text, mut finish_reason, mut is_done, mut error) = (String::new(), None, false, None);
    assert!(stream.ends_with("\n\n"), "cut in the middle of an event: {stream:?}");
    for event in stream.split_terminator("\n\n") {
        assert!(!is_done && error.is_none(), "something after the end: {event:?}");
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {event:?}"));
        if data == "[DONE]" {
            is_done = true;
            continue;
        }
        let value: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("not JSON: {data:?}"));
        if value.get("error").is_some() {
            error = Some(text_of(&value["error"]["message"]));
            continue;
        }
        let choice = &value["choices"][0];
        text += choice["delta"]["content"].as_str().unwrap_or_default();
        if let Some(reason) = choice["finish_reason"].as_str() {
            finish_reason = Some(reason.to_owned());
        }
    }
    told(text, finish_reason, is_done, error)
}
