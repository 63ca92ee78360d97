//! Rows 15 to 38: a provider answers, and its status or its headers are not those of an answer.

use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::Behaviour;
use serde_json::json;
use tokio::net::TcpListener;

use super::dialect::{
    CHUNKED_STREAM, Dialect, LAST_CHUNK, chunk, json_response, open_stream, response, whole_stream,
};
use super::told::Told;
use super::trial::{Failure, answers, falls_back, fault};
use super::ways::Way;
use crate::support::{RawUpstream, Script, Step, TestProxy, chat, question};

const UPSTREAM_ERROR: Failure = Failure::new(502, "upstream_error");
const OVERLOADED: Failure = Failure::new(502, "overloaded");
const BAD_KEY: Failure = Failure::new(502, "bad_key");

fn status(status: u16, code: &'static str, message: &'static str) -> impl Fn(Dialect) -> Script {
    move |dialect| json_response(status, "", &dialect.error(status, code, message))
}

#[tokio::test]
async fn row_015_a_limit_is_believed_and_told() -> anyhow::Result<()> {
    let limited = |dialect: Dialect| {
        json_response(
            429,
            "retry-after: 7\r\n",
            &dialect.error(429, "rate_limit_exceeded", "Rate limit reached"),
        )
    };
    let failure = Failure { retry_after: Some(7), ..Failure::new(429, "rate_limited") };
    falls_back(failure, [fault("429 with Retry-After", limited)]).await
}

/// Cerebras sends its errors bare; clients of it have met both forms, and both mean the same.
#[tokio::test]
async fn row_017_a_bare_error_body_means_what_a_wrapped_one_means() -> anyhow::Result<()> {
    let cases = [
        (
            429,
            "request_quota_exceeded",
            "Requests per minute limit exceeded",
            Failure::new(429, "rate_limited"),
        ),
        (429, "token_quota_exceeded", "Tokens per day limit exceeded", Failure::new(429, "quota_exhausted")),
        (429, "queue_exceeded", "We're experiencing high traffic", OVERLOADED),
        (401, "wrong_api_key", "Wrong API Key", BAD_KEY),
        (402, "payment_required", "No credit", Failure::new(502, "no_credit")),
        (400, "wrong_api_format", "temperature: too high", Failure::new(400, "bad_request")),
    ];
    for (status, code, message, failure) in cases {
        let bare = json!({"message": message, "type": "t", "param": "p", "code": code});
        let wrapped = json!({"error": bare});
        let forms = [("bare", bare), ("wrapped", wrapped)].map(|(form, body)| {
            fault(format!("{code}, {form}"), move |_| json_response(status, "", &body))
                .of([Provider::CEREBRAS])
        });
        falls_back(failure, forms).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_018_server_errors_fall_back() -> anyhow::Result<()> {
    let statuses = [500, 502, 504, 520, 521, 522, 523, 524];
    falls_back(
        UPSTREAM_ERROR,
        statuses.map(|it| fault(it.to_string(), status(it, "internal", "Internal error"))),
    )
    .await?;
    let page = |_: Dialect| response(502, "content-type: text/html\r\n", b"<html>Bad gateway</html>");
    falls_back(UPSTREAM_ERROR, [fault("a page of the edge", page)]).await?;
    falls_back(OVERLOADED, [fault("503", status(503, "", "Service unavailable"))]).await
}

#[tokio::test]
async fn row_019_a_lack_of_capacity_is_no_broken_key() -> anyhow::Result<()> {
    let statuses = [498, 529];
    falls_back(
        OVERLOADED,
        statuses.map(|it| fault(it.to_string(), status(it, "capacity_exceeded", "Over capacity"))),
    )
    .await
}

#[tokio::test]
async fn row_020_a_refused_key_is_the_proxys_own_affair() -> anyhow::Result<()> {
    let leaked = |_: Dialect| {
        let message = "Your API key was reported as leaked. Please use another API key.";
        json_response(
            403,
            "",
            &json!({"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED"}}),
        )
    };
    let invalid = |_: Dialect| {
        let details =
            json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
        let message = "API key not valid. Please pass a valid API key.";
        json_response(
            400,
            "",
            &json!({"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT",
            "details": details}}),
        )
    };
    let faults = [
        fault("401", status(401, "invalid_api_key", "Invalid API Key")),
        fault("403", status(403, "forbidden", "Forbidden")),
        fault("leaked", leaked).of([Provider::GEMINI]),
        fault("a 400 for the key", invalid).of([Provider::GEMINI]),
    ];
    falls_back(BAD_KEY, faults).await
}

#[tokio::test]
async fn row_021_a_refused_request_is_offered_to_the_others() -> anyhow::Result<()> {
    let faults =
        [400, 422].map(|it| fault(it.to_string(), status(it, "wrong_field", "temperature is too high")));
    falls_back(Failure::new(400, "bad_request"), faults).await
}

/// Nothing is wrong with the provider: its next turn comes as if nothing had been, and the client reads what was wrong.
#[tokio::test]
async fn row_021_a_refused_request_leaves_the_provider_as_it_is() -> anyhow::Result<()> {
    for provider in Directory::core() {
        let body = Dialect(provider).error(
            400,
            "wrong_field",
            "temperature is too high, see https://docs.example/x",
        );
        let refuses = move |_| json_response(400, "", &body);
        let upstream = RawUpstream::start(refuses).await?;
        let others = Directory::core().into_iter().filter(|it| *it != provider);
        let builder = TestProxy::builder().with(provider.profile().base_url_variable, upstream.base_url());
        let builder = others.fold(builder, |builder, it| builder.with(it.profile().key_variables[0], ""));
        let proxy = builder.start().await?;
        for asked in 1..=2 {
            let error = chat(&proxy, &question()).await?.error();
            assert!(error.contains("temperature is too high") && !error.contains("docs.example"), "{error}");
            assert_eq!(upstream.traffic().requests, asked, "{provider:?} is asked again");
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_022_a_model_that_is_gone_falls_back() -> anyhow::Result<()> {
    let gone =
        status(404, "model_not_found", "The model `m` does not exist or you do not have access to it.");
    falls_back(Failure::new(502, "model_gone"), [fault("404", gone).cured_by_another_model()]).await
}

#[tokio::test]
async fn row_023_what_is_too_large_for_one_is_offered_to_the_others() -> anyhow::Result<()> {
    let too_long = || status(400, "context_length_exceeded", "Please reduce the length of the messages.");
    falls_back(Failure::new(400, "context_too_long"), [fault("too long", too_long())]).await?;
    let too_large =
        status(413, "rate_limit_exceeded", "Request too large on tokens per minute (TPM): Limit 8000");
    falls_back(Failure::new(400, "too_large"), [fault("413", too_large).of([Provider::GROQ])]).await
}

/// Neither key nor prompt goes where a provider points.
#[tokio::test]
async fn row_024_redirects_are_not_followed() -> anyhow::Result<()> {
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await?;
    let target = format!("location: http://{}/v1/chat/completions\r\n", elsewhere.local_addr()?);
    let faults = [301, 302, 303, 307, 308].map(|it| {
        let target = target.clone();
        fault(it.to_string(), move |_| response(it, &target, b""))
    });
    falls_back(UPSTREAM_ERROR, faults).await?;
    let visitor = tokio::time::timeout(Duration::from_millis(100), elsewhere.accept()).await;
    assert!(visitor.is_err(), "somebody has followed");
    Ok(())
}

#[tokio::test]
async fn row_025_a_web_page_is_no_answer() -> anyhow::Result<()> {
    let page = b"<!DOCTYPE html><html><body>Checking your browser</body></html>";
    let faults = ["text/html", "text/html; charset=UTF-8", "Text/HTML"].map(|media_type| {
        let headers = format!("content-type: {media_type}\r\n");
        fault(media_type, move |_| response(200, &headers, page))
    });
    falls_back(UPSTREAM_ERROR, faults).await
}

#[tokio::test]
async fn row_026_an_error_with_status_200_is_an_error() -> anyhow::Result<()> {
    let overloaded = |dialect: Dialect| json_response(200, "", &dialect.overloaded_in_stream());
    falls_back(OVERLOADED, [fault("overloaded", overloaded)]).await
}

#[tokio::test]
async fn row_028_nothing_is_no_answer() -> anyhow::Result<()> {
    let stream = "content-type: text/event-stream\r\n";
    let faults = [
        fault("204", |_| vec![Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())]),
        fault("a stream of nothing", move |_| response(200, stream, b"")),
        fault("chunks of nothing", |_| vec![Step::Send([CHUNKED_STREAM.as_bytes(), LAST_CHUNK].concat())]),
        fault("nothing and the end", |_| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            vec![Step::Send(head.to_vec()), Step::Close]
        }),
        fault("JSON of nothing", |_| response(200, "content-type: application/json\r\n", b"")),
    ];
    falls_back(Failure::new(502, "empty_answer"), faults).await
}

#[tokio::test]
async fn row_029_what_is_not_http_falls_back() -> anyhow::Result<()> {
    let cases: [(&str, &[u8]); 6] = [
        ("a greeting of SSH", b"SSH-2.0-OpenSSH_10.0\r\n"),
        ("zeros", &[0; 64]),
        ("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x28"),
        ("half a status line", b"HTTP/1.1 20"),
        ("half a head", b"HTTP/1.1 200 OK\r\ncontent-type: text/ev"),
        ("an unknown version", b"HTTP/7.3 200 OK\r\n\r\n"),
    ];
    let faults =
        cases.map(|(name, bytes)| fault(name, move |_| vec![Step::Send(bytes.to_vec()), Step::Close]));
    falls_back(UPSTREAM_ERROR, faults).await
}

#[tokio::test]
async fn row_030_a_head_without_end_falls_back() -> anyhow::Result<()> {
    let many = "x-header: value\r\n".repeat(5_000);
    let long = format!("x-header: {}\r\n", "v".repeat(600_000));
    let faults = [("many headers", many), ("a long header", long)].map(|(name, headers)| {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}").into_bytes();
        fault(name, move |_| vec![Step::Send(head.clone()), Step::Stall])
    });
    falls_back(UPSTREAM_ERROR, faults).await
}

#[tokio::test]
async fn row_031_two_lengths_are_no_answer() -> anyhow::Result<()> {
    let two = |dialect: Dialect| {
        let body = dialect.stream(&["text"]);
        let (right, wrong) = (body.len(), body.len() - 3);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {right}\r\ncontent-length: {wrong}\r\n\r\n"
        );
        vec![Step::Send([head.into_bytes(), body].concat())]
    };
    falls_back(UPSTREAM_ERROR, [fault("two lengths", two)]).await
}

#[tokio::test]
async fn row_032_chunks_win_over_a_length() -> anyhow::Result<()> {
    let both = |dialect: Dialect| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        vec![Step::Send([head.as_bytes(), &chunk(&dialect.stream(&["canary-answer"])), LAST_CHUNK].concat())]
    };
    answers("canary-answer", "stop", [fault("both", both)]).await
}

#[tokio::test]
async fn row_033_interim_answers_are_skipped() -> anyhow::Result<()> {
    let interim = |dialect: Dialect| {
        let hints =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n";
        let mut script = vec![Step::Send(hints.to_vec())];
        script.extend(whole_stream(&dialect.stream(&["canary-answer"])));
        script
    };
    answers("canary-answer", "stop", [fault("100 and 103", interim)]).await
}

#[tokio::test]
async fn row_034_trailers_are_dropped() -> anyhow::Result<()> {
    let trailers = |dialect: Dialect| {
        let end = b"0\r\nx-secret: key-of-nobody\r\n\r\n";
        vec![Step::Send([open_stream(&dialect.stream(&["canary-answer"])), end.to_vec()].concat())]
    };
    answers("canary-answer", "stop", [fault("trailers", trailers)]).await
}

/// Identity was asked for. What comes compressed would come late and all at once, so nobody waits for it.
#[tokio::test]
async fn row_035_a_compressed_answer_falls_back() -> anyhow::Result<()> {
    let faults = ["gzip", "br", "zstd, gzip"].map(|coding| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: {coding}\r\n\
             transfer-encoding: chunked\r\n\r\n"
        );
        // Never flushed: without a look at the head, the first-token clock would have to decide.
        fault(coding, move |_| {
            vec![Step::Send(head.clone().into_bytes()), Step::Send(chunk(b"\x1f\x8b\x08")), Step::Stall]
        })
        .with("FIRST_TOKEN_TIMEOUT_MS", 60_000)
    });
    falls_back(UPSTREAM_ERROR, faults).await?;
    let identity = |dialect: Dialect| {
        let headers = "content-type: text/event-stream\r\ncontent-encoding: identity\r\n";
        response(200, headers, &dialect.stream(&["canary-answer"]))
    };
    answers("canary-answer", "stop", [fault("identity", identity)]).await
}

#[tokio::test]
async fn row_037_no_header_of_a_provider_reaches_the_client() -> anyhow::Result<()> {
    let leaking = "x-goog-api-key: canary-header\r\nset-cookie: session=canary-header\r\nserver: canary-header\r\n\
                   alt-svc: h3=\":443\"\r\nx-powered-by: canary-header\r\naccess-control-allow-origin: canary-header\r\n\
                   x-request-id: canary-header\r\nx-provider: canary-header\r\nretry-after: 999\r\n";
    let known = [
        "access-control-allow-origin",
        "access-control-expose-headers",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "retry-after",
        "transfer-encoding",
        "vary",
        "x-accel-buffering",
        "x-attempts",
        "x-ignored-fields",
        "x-model",
        "x-provider",
        "x-request-id",
        "x-should-retry",
    ];
    for provider in Directory::core() {
        let dialect = Dialect(provider);
        let well = response(
            200,
            &format!("content-type: text/event-stream\r\n{leaking}"),
            &dialect.stream(&["text"]),
        );
        let ill = json_response(500, leaking, &dialect.error(500, "x", "x"));
        for script in [well, ill] {
            let upstream = RawUpstream::always(script).await?;
            for way in Way::ALL {
                let builder =
                    TestProxy::builder().with(provider.profile().base_url_variable, upstream.base_url());
                let others = Directory::core().into_iter().filter(|it| *it != provider);
                let builder =
                    others.fold(builder, |builder, it| builder.with(it.profile().key_variables[0], ""));
                let reply = way.ask_anybody(&builder.start().await?).await?;
                for (name, value) in &reply.headers {
                    let value = value.to_str()?;
                    assert!(known.contains(&name.as_str()), "{provider:?} {way:?}: {name}: {value}");
                    assert!(
                        !value.contains("canary-header") && value != "999",
                        "{provider:?} {way:?}: {name}: {value}"
                    );
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_038_silence_is_given_up() -> anyhow::Result<()> {
    let faults = [fault("nothing at all", |_| vec![Step::Stall])
        .with("FIRST_TOKEN_TIMEOUT_MS", 2_000)
        .with("REQUEST_TIMEOUT_MS", 4_000)];
    falls_back(Failure::new(504, "timeout"), faults).await
}

/// All three at once: the refusal is exact, and made without asking anybody.
#[tokio::test]
async fn row_046_with_everybody_at_the_limit_nobody_is_asked() -> anyhow::Result<()> {
    for way in Way::ALL {
        let mut builder = TestProxy::builder().core();
        let mut upstreams = Vec::new();
        for (provider, seconds) in Directory::core().into_iter().zip([50, 20, 80]) {
            let body = Dialect(provider).error(429, "rate_limit_exceeded", "Rate limit reached");
            let limited = json_response(429, &format!("retry-after: {seconds}\r\n"), &body);
            let well = whole_stream(&Dialect(provider).stream(&["canary-answer"]));
            let upstream =
                RawUpstream::start(move |number| if number == 0 { limited.clone() } else { well.clone() })
                    .await?;
            builder = builder.with(provider.profile().base_url_variable, upstream.base_url());
            builder = builder.with(provider.profile().models_variable, provider.profile().models[0].id);
            upstreams.push(upstream);
        }
        let proxy = builder.start().await?;
        for (advance, expected) in [(0, 20), (0, 20), (13, 7)] {
            proxy.clock.advance(Duration::from_secs(advance));
            let told = way.told(&way.ask_anybody(&proxy).await?);
            let Told::Refused { status: 429, retry_after, .. } = told else { panic!("{way:?}: {told:?}") };
            assert_eq!(retry_after, Some(expected), "{way:?}");
            let requests: Vec<usize> = upstreams.iter().map(|it| it.traffic().requests).collect();
            assert_eq!(requests, [1, 1, 1], "{way:?}: nobody is asked again");
        }
        proxy.all(&Behaviour::echo());
        proxy.clock.advance(Duration::from_secs(7));
        let told = way.told(&way.ask_anybody(&proxy).await?);
        assert!(matches!(told, Told::Answer { .. }), "{way:?}: whoever obeys succeeds: {told:?}");
    }
    Ok(())
}
