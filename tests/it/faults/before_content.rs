//! Rows 40 to 45: a stream begins, and goes wrong before it says anything.

use std::time::Duration;

use ai_proxy_free::internals::providers::{Dialect as Wire, Provider};
use serde_json::json;

use super::dialect::{CHUNKED_STREAM, Dialect, LAST_CHUNK, chunk, event, open_stream, whole_stream};
use super::trial::{Failure, answers, falls_back, fault, says_nothing};
use crate::support::{Script, Step, openai_providers};

const TIMEOUT: Failure = Failure::new(504, "timeout");
const FIRST_TOKEN: &str = "FIRST_TOKEN_TIMEOUT_MS";
/// The last one left has the rest of the request's own time.
const REQUEST: &str = "REQUEST_TIMEOUT_MS";

#[tokio::test]
async fn row_040_a_head_without_a_first_event_is_given_up() -> anyhow::Result<()> {
    let faults = [
        fault("a head", |_| vec![Step::Send(CHUNKED_STREAM.into()), Step::Stall]),
        fault("an opening", |dialect| vec![Step::Send(open_stream(&dialect.opening())), Step::Stall]),
        fault("half an event", |dialect| {
            vec![Step::Send(open_stream(&dialect.text("text")[..9])), Step::Stall]
        }),
    ];
    falls_back(TIMEOUT, faults.map(|it| it.with(FIRST_TOKEN, 2_000).with(REQUEST, 4_000))).await
}

#[tokio::test]
async fn row_041_a_stream_that_begins_with_an_error_falls_back() -> anyhow::Result<()> {
    let named = |dialect: Dialect| {
        let error = event(&dialect.overloaded_in_stream());
        whole_stream(&[b"event: error\n".to_vec(), error].concat())
    };
    let faults = [
        fault("an event called error", named),
        fault("an event with an error", |dialect| whole_stream(&event(&dialect.overloaded_in_stream()))),
        fault("an error behind the opening", |dialect| {
            whole_stream(&[dialect.opening(), event(&dialect.overloaded_in_stream())].concat())
        }),
        fault("a bare error", |dialect| whole_stream(dialect.overloaded_in_stream().to_string().as_bytes())),
    ];
    falls_back(Failure::new(502, "overloaded"), faults).await?;
    let bad_key = |dialect: Dialect| {
        let error = match &dialect.0.profile().dialect {
            Wire::OpenAi(_) => json!({"error": {"message": "Invalid API Key",
                "type": "invalid_request_error", "code": "invalid_api_key"}}),
            Wire::Gemini => dialect.error(403, "", "Forbidden"),
        };
        whole_stream(&event(&error))
    };
    falls_back(Failure::new(502, "bad_key"), [fault("a refused key", bad_key)]).await
}

#[tokio::test]
async fn row_042_pings_are_no_progress() -> anyhow::Result<()> {
    let pinging = |ping: &'static [u8]| {
        move |_: Dialect| -> Script {
            let ping = [Step::Pause(Duration::from_millis(50)), Step::Send(chunk(ping))];
            let pings = std::iter::repeat_n(ping, 100).flatten();
            std::iter::once(Step::Send(CHUNKED_STREAM.into())).chain(pings).chain([Step::Stall]).collect()
        }
    };
    let faults = [
        fault("comments", pinging(b": ping\n\n")),
        fault("data that is a comment", pinging(b"data: : keepalive\n\n")),
        fault("empty data", pinging(b"data:\n\n")),
        fault("events without data", pinging(b"event: ping\n\n")),
        fault("white space", pinging(b"\n")),
    ];
    falls_back(TIMEOUT, faults.map(|it| it.with(FIRST_TOKEN, 2_000).with(REQUEST, 4_000))).await
}

#[tokio::test]
async fn row_043_a_stream_of_nothing_but_garbage_falls_back() -> anyhow::Result<()> {
    let faults = [
        fault("no JSON", |_| whole_stream(b"data: {\"choices\":[{\n\n")),
        fault("other JSON", |_| whole_stream(b"data: 7\n\ndata: \"text\"\n\ndata: [1]\n\n")),
        fault("no SSE", |_| whole_stream(b"Hola, this is not a stream of events\n")),
    ];
    falls_back(Failure::new(502, "broken_stream"), faults).await
}

#[tokio::test]
async fn row_044_an_answer_that_says_nothing_falls_back() -> anyhow::Result<()> {
    let faults = [
        fault("an opening and the finish", |dialect| whole_stream(&dialect.stream(&[]))),
        fault("nothing but a finish", |dialect| whole_stream(&dialect.finish())),
        fault("nothing but the end mark", |_| whole_stream(b"data: [DONE]\n\n")).of(openai_providers()),
    ];
    says_nothing(faults).await
}

#[tokio::test]
async fn row_045_a_blocked_prompt_is_an_answer() -> anyhow::Result<()> {
    let blocked = |_: Dialect| {
        let feedback = json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8}, "modelVersion": "m"});
        vec![Step::Send([open_stream(&event(&feedback)), LAST_CHUNK.to_vec()].concat())]
    };
    answers("", "content_filter", [fault("blocked", blocked).of([Provider::GEMINI])]).await
}
