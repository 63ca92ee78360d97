//! What providers send, decoded: every fixture, cut in every way, against its golden file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ai_proxy_free::internals::middle::{
    Cause, Diagnosis, Event, ExpectedCalls, Policy, Reason, ToolCallPiece, Wait,
};
use ai_proxy_free::internals::providers::{AnswerDecoder, Directory, Provider};
use http::{HeaderMap, HeaderName};
use proptest::prelude::*;

use crate::support::openai_providers;

fn folder(provider: Provider) -> PathBuf {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    folders.join(provider.name().to_ascii_lowercase())
}

/// The names of a provider's fixtures.
fn fixtures(provider: Provider) -> Vec<String> {
    let files = std::fs::read_dir(folder(provider)).expect("a folder of fixtures");
    files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect()
}

fn fixture(provider: Provider, name: &str) -> Vec<u8> {
    let path = folder(provider).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn lists_of_models_are_read_without_what_answers_no_chats() {
    let cases = [
        (Provider::GROQ, vec!["openai/gpt-oss-20b", "whisper-large-v3-turbo", "qwen/qwen3.8-27b"]),
        (Provider::CEREBRAS, vec!["gpt-oss-120b", "qwen-3.8-27b"]),
        (Provider::GEMINI, vec!["gemini-3.8-flash", "gemma-4-31b-it"]),
    ];
    for (provider, ids) in cases {
        assert_eq!(provider.parse_models(&fixture(provider, "models.json")), Some(owned(&ids)));
    }
    for provider in Directory::core() {
        for no_list in ["", "{", "null", "[]", "{}", r#"{"data":7,"models":{}}"#, "<html>", "\u{0}"] {
            assert_eq!(provider.parse_models(no_list.as_bytes()), None, "{provider:?}: {no_list}");
        }
        let odd = r#"{"data":[7,{},{"id":7},{"id":"../x"},{"id":"a b"},{"id":"good","active":"?"}],
            "models":[7,{},{"name":7,"supportedGenerationMethods":["generateContent"]},{"name":"models/silent"},
            {"name":"models/..","supportedGenerationMethods":["generateContent"]},
            {"name":"models/good","supportedGenerationMethods":[7,"generateContent"]}]}"#;
        assert_eq!(provider.parse_models(odd.as_bytes()), Some(owned(&["good"])), "{provider:?}");
    }
    let page = br#"{"models":[{"name":"models/x","supportedGenerationMethods":["generateContent"]}],"nextPageToken":"y"}"#;
    assert_eq!(Provider::GEMINI.parse_models(page), None, "of a page nobody knows what is missing");
}

fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// The events of an answer that comes in `pieces`, and how it ends: the text of a golden file.
fn decode<'a>(provider: Provider, is_json: bool, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let expected = ExpectedCalls {
        renamed: Vec::new(),
        offered: Vec::new(),
        needs_objects: false,
        taken: Vec::new(),
        random: fastrand::Rng::with_seed(1),
    };
    let mut decoder = AnswerDecoder::new(provider, is_json, Some(expected));
    let mut events = Vec::new();
    let mut outcome = Ok(());
    for piece in pieces {
        outcome = decoder.push(piece, &mut events);
        if outcome.is_err() {
            break;
        }
    }
    let outcome = outcome.and_then(|()| decoder.end(&mut events));
    let mut golden = String::new();
    for event in events {
        let line = match event {
            Event::Text(text) => format!("text       {text:?}"),
            Event::Reasoning(text) => format!("reasoning  {text:?}"),
            Event::Usage(usage) => format!(
                "usage      prompt {} completion {} total {}",
                usage.prompt_tokens, usage.completion_tokens, usage.total_tokens
            ),
            Event::ToolCall(ToolCallPiece { index, opening: Some(it), arguments }) => {
                format!("call {index}     {} {} {:?} {arguments}", it.id, it.name, it.signature)
            }
            Event::ToolCall(ToolCallPiece { index, opening: None, arguments }) => {
                format!("call {index}     … {arguments}")
            }
            Event::Finish(reason) => format!("finish     {}", reason.as_str()),
        };
        golden += &(line + "\n");
    }
    if let Err(diagnosis) = outcome {
        let (reason, reach) = (diagnosis.cause.reason(), Policy::of(diagnosis.cause).reach);
        writeln!(golden, "failure    {} {reach:?}", reason.as_str()).expect("memory");
    }
    golden
}

/// Every answer among the fixtures: whatever is neither a list of models nor the body of an error status.
fn answers() -> Vec<(Provider, String)> {
    let of = |provider: Provider| {
        let names = fixtures(provider).into_iter();
        let names = names.filter(|name| name != "models.json" && !name.starts_with("error_"));
        names.map(move |name| (provider, name))
    };
    let mut answers: Vec<_> = Directory::core().iter().chain([Provider::LLAMA_CPP]).flat_map(of).collect();
    assert!(answers.len() >= 19, "some fixtures are gone: {answers:?}");
    // Must be an error in a body with status 200 as well.
    answers.push((Provider::GEMINI, "error_array.json".to_owned()));
    answers
}

#[test]
fn answers_are_decoded_as_their_golden_files_say() {
    for (provider, name) in answers() {
        let bytes = fixture(provider, &name);
        let golden = decode(provider, name.ends_with(".json"), [bytes.as_slice()]);
        insta::assert_snapshot!(format!("{}_{name}", provider.name()), golden);
    }
}

#[test]
fn a_cut_at_any_byte_decodes_the_same() {
    for (provider, name) in answers() {
        let bytes = fixture(provider, &name);
        let is_json = name.ends_with(".json");
        let whole = decode(provider, is_json, [bytes.as_slice()]);
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(decode(provider, is_json, [first, second]), whole, "{provider:?} {name} cut at {cut}");
        }
        assert_eq!(decode(provider, is_json, bytes.chunks(1)), whole, "{provider:?} {name} byte by byte");
    }
}

/// Without its last bytes a stream is not complete, whatever text it has.
#[test]
fn a_stream_that_is_cut_short_is_never_complete() {
    for provider in Directory::core() {
        let bytes = fixture(provider, "stream.sse");
        let finish = String::from_utf8_lossy(&bytes).rfind("inish").expect("a finish reason");
        for end in 0..finish {
            let golden = decode(provider, false, [&bytes[..end]]);
            assert!(golden.contains("failure "), "{provider:?} cut short at {end}:\n{golden}");
        }
    }
}

proptest! {
    /// Foreign bytes in the middle of a stream never panic and never invent a finish.
    #[test]
    fn foreign_bytes_are_survived(
        provider in prop::sample::select(Directory::core().into_iter().collect::<Vec<_>>()),
        is_json: bool,
        noise in prop::collection::vec(any::<u8>(), 0..200),
        keep in 0usize..600,
    ) {
        let bytes = fixture(provider, "stream.sse");
        decode(provider, is_json, [&bytes[..keep.min(bytes.len())], &noise, &bytes]);
        decode(provider, is_json, [noise.as_slice()]);
    }

    /// Any JSON at all in an event: no panic, and no text that is not there.
    #[test]
    fn odd_values_are_survived(
        provider in prop::sample::select(Directory::core().into_iter().collect::<Vec<_>>()),
        field in prop::sample::select(&["choices", "candidates", "error", "usage", "usageMetadata", "x_groq", "message", "promptFeedback"][..]),
        value in prop::sample::select(&["null", "7", "-1", "1e400", "\"x\"", "[]", "[[]]", "{}", "[null]", "[{}]", "[{\"delta\":7}]",
            "[{\"content\":{\"parts\":{}}}]", "[{\"delta\":{\"content\":[\"x\"]}}]", "\"\\ud800\"", "99999999999999999999999", "{\"code\":{}}"][..]),
    ) {
        let event = format!("data: {{\"{field}\":{value}}}\n\n");
        let golden = decode(provider, false, [event.as_bytes()]);
        prop_assert!(!golden.contains("text "), "{golden}");
    }
}

#[test]
fn broken_utf_8_loses_no_event() {
    for provider in Directory::core() {
        let bytes = fixture(provider, "stream.sse");
        let at = bytes
            .windows(5)
            .position(|window| window == "¡Ho".as_bytes() || window.starts_with("¡Hol".as_bytes()))
            .expect("the greeting");
        let mut broken = bytes.clone();
        broken[at] = 0xff;
        let golden = decode(provider, false, [broken.as_slice()]);
        assert!(
            golden.contains("\u{fffd}\u{fffd}Hola") && golden.contains("finish     stop"),
            "{provider:?}:\n{golden}"
        );
    }
    let array =
        b"[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\xff\"}]},\"finishReason\":\"STOP\"}]}]";
    let golden = decode(Provider::GEMINI, true, [array.as_slice()]);
    assert_eq!(golden, "text       \"\u{fffd}\"\nfinish     stop\n");
}

#[test]
fn of_duplicate_keys_the_last_counts() {
    let cases = [
        (Provider::GROQ, r#"{"choices":[{"delta":{"content":"a","content":"b"}}]}"#),
        (Provider::GEMINI, r#"{"candidates":[{"content":{"parts":[{"text":"a","text":"b"}]}}]}"#),
    ];
    for (provider, event) in cases {
        let golden = decode(provider, false, [format!("data: {event}\n\n").as_bytes()]);
        assert!(golden.starts_with("text       \"b\"\n"), "{golden}");
    }
}

#[test]
fn nothing_after_the_end_counts() {
    for (provider, more) in [
        (
            Provider::GROQ,
            "data: {\"choices\":[{\"delta\":{\"content\":\"more\"}}]}\n\ndata: {\"error\":{}}\n\ndata: [DONE]\n\n",
        ),
        (Provider::CEREBRAS, "data: [DONE]\n\ndata: {oops\n\n"),
        // Text would be the rest of the answer.
        (Provider::GEMINI, "data: {\"error\":{}}\r\n\r\n{\"error\":{}}"),
    ] {
        let bytes = fixture(provider, "stream.sse");
        let whole = decode(provider, false, [bytes.as_slice()]);
        assert_eq!(decode(provider, false, [&bytes, more.as_bytes()]), whole, "{provider:?}");
    }
}

/// Found by fuzzing: the late call was not passed on, yet the answer ended with `tool_calls` and with arguments of a
/// call that nobody had heard of.
#[test]
fn a_call_after_the_finish_is_no_call() {
    let openai = "data: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n\n\
                  data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}]}\n\n";
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"finishReason\":\"STOP\"}]}\n\n\
                  data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\"}}]}}]}\n\n";
    for provider in openai_providers() {
        let golden = decode(provider, false, [openai.as_bytes()]);
        assert_eq!(golden, "text       \"b\"\nfinish     stop\n", "{provider:?}");
    }
    let limit = gemini.replace("STOP", "MAX_TOKENS");
    let golden = decode(Provider::GEMINI, false, [limit.as_bytes()]);
    assert_eq!(golden, "text       \"b\"\nfinish     length\n");
    // Gemini's stop is taken back, so the answer has not ended, or by another stop.
    let call = "text       \"b\"\ncall 0     call_a833bdcdb6d1beb188dc97e5 f None {}\n";
    let golden = decode(Provider::GEMINI, false, [gemini.as_bytes()]);
    assert_eq!(golden, format!("{call}failure    broken_stream AccountModel\n"));
    let stop = "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n";
    let golden = decode(Provider::GEMINI, false, [gemini.as_bytes(), stop.as_bytes()]);
    assert_eq!(golden, format!("{call}finish     tool_calls\n"));
}

/// What an answer with an error status means.
fn diagnose(provider: Provider, status: u16, headers: &HeaderMap, body: &[u8]) -> Diagnosis {
    provider.read_error(status, &provider.read_head(headers), body).diagnosis
}

/// Every documented error: file, status, headers, and what it means.
#[test]
fn errors_mean_what_their_documentation_says() {
    const CEREBRAS: Provider = Provider::CEREBRAS;
    const GEMINI: Provider = Provider::GEMINI;
    const GROQ: Provider = Provider::GROQ;
    let seconds = |seconds: f64| Some(Wait::For(Duration::from_secs_f64(seconds)));
    type Headers = &'static [(&'static str, &'static str)];
    type Case = (Provider, &'static str, u16, Headers, Cause, Option<Wait>);
    let none: Headers = &[];
    let cases: Vec<Case> = vec![
        (GROQ, "error_unsupported_field.json", 400, none, Cause::RequestRefused, None),
        // lenra-io/amurex-backend#51
        (GROQ, "error_context.json", 400, none, Cause::ContextTooLong, None),
        (GROQ, "error_decommissioned.json", 400, none, Cause::ModelGone, None),
        (GROQ, "error_key.json", 401, none, Cause::KeyRefused, None),
        // Reported by those it has met; it is the account that is refused, not the request.
        (GROQ, "error_restricted.json", 400, none, Cause::KeyRefused, None),
        // console.groq.com/docs/model-permissions: one model is not allowed, the key is fine.
        (GROQ, "error_permission.json", 403, none, Cause::ModelNotForAccount, None),
        (GROQ, "error_model.json", 404, none, Cause::ModelNotForAccount, None),
        // koassistant#106, September 2026
        (GROQ, "error_too_large.json", 413, none, Cause::TooLarge, None),
        (GROQ, "error_rpm.json", 429, &[("retry-after", "2")], Cause::RateLimited, seconds(2.0)),
        (GROQ, "error_tpm.json", 429, none, Cause::RateLimited, seconds(7.66)),
        (GROQ, "error_rpd.json", 429, none, Cause::QuotaExhausted, seconds(86.4)),
        (GROQ, "error_tpd.json", 429, &[("retry-after", "579")], Cause::QuotaExhausted, seconds(579.0)),
        // console.groq.com/docs/spend-limits, read in November 2026: a spent budget is told as a 400.
        (GROQ, "error_spend_limit.json", 400, none, Cause::CreditSpent, None),
        // What the model wrote cannot be read by its own provider: nobody is at fault for long.
        (GROQ, "error_output_parse.json", 400, none, Cause::GenerationUnreadable, None),
        (GROQ, "error_network.json", 403, none, Cause::Intercepted, None),
        // anomalyco/opencode#41320: Cloudflare answers in one line of text, and the key is fine.
        (GROQ, "error_cloudflare.txt", 403, none, Cause::Intercepted, None),
        (CEREBRAS, "error_cloudflare.json", 403, none, Cause::Intercepted, None),
        (GROQ, "error_firewall.html", 403, none, Cause::Intercepted, None),
        (GROQ, "error_firewall.html", 404, none, Cause::Intercepted, None),
        (GROQ, "error_firewall.html", 498, none, Cause::Overloaded, None),
        (GROQ, "error_firewall.html", 520, none, Cause::ServerError, None),
        (GROQ, "error_firewall.html", 529, none, Cause::Overloaded, None),
        // Kilo-Org/kilocode#10375
        (CEREBRAS, "error_unsupported_field.json", 400, none, Cause::RequestRefused, None),
        (CEREBRAS, "error_unsupported_field.json", 422, none, Cause::RequestRefused, None),
        // ellipticmarketing/modelrelay#73, August 2026
        (CEREBRAS, "error_context.json", 400, none, Cause::ContextTooLong, None),
        (CEREBRAS, "error_key.json", 401, none, Cause::KeyRefused, None),
        (CEREBRAS, "error_model.json", 404, none, Cause::ModelNotForAccount, None),
        // mrrlin-dev/external-agents, July 2026
        (CEREBRAS, "error_credit.json", 402, none, Cause::CreditSpent, None),
        // nminaya/grammar-nazi-bot#958, August 2026
        (CEREBRAS, "error_rpm.json", 429, none, Cause::RateLimited, None),
        (
            CEREBRAS,
            "error_tpm.json",
            429,
            &[("x-ratelimit-remaining-tokens-minute", "0"), ("x-ratelimit-reset-tokens-minute", "11.382867")],
            Cause::RateLimited,
            seconds(11.382867),
        ),
        (
            CEREBRAS,
            "error_rpd.json",
            429,
            &[
                ("x-ratelimit-remaining-requests-day", "0"),
                ("x-ratelimit-reset-requests-day", "33011.382867"),
            ],
            Cause::QuotaExhausted,
            seconds(33_011.382867),
        ),
        (CEREBRAS, "error_queue.json", 429, none, Cause::Overloaded, None),
        (GEMINI, "error_key.json", 400, none, Cause::KeyRefused, None),
        (GEMINI, "error_expired.json", 400, none, Cause::KeyRefused, None),
        // googleapis/python-genai#1764
        (GEMINI, "error_leaked.json", 403, none, Cause::KeyRefused, None),
        (GEMINI, "error_unknown_field.json", 400, none, Cause::RequestRefused, None),
        (GEMINI, "error_context.json", 400, none, Cause::ContextTooLong, None),
        (GEMINI, "error_location.json", 400, none, Cause::Intercepted, None),
        (GEMINI, "error_credit.json", 402, none, Cause::CreditSpent, None),
        (GEMINI, "error_depleted.json", 429, none, Cause::CreditSpent, None),
        (GEMINI, "error_spend_cap.json", 429, none, Cause::CreditSpent, None),
        (GEMINI, "error_model.json", 404, none, Cause::ModelGone, None),
        (GEMINI, "error_overloaded.json", 503, none, Cause::Overloaded, None),
        (GEMINI, "error_internal.json", 500, none, Cause::ServerError, None),
        (GEMINI, "error_exhausted_plain.json", 429, none, Cause::RateLimited, None),
        (GEMINI, "error_per_minute.json", 429, none, Cause::RateLimited, seconds(34.4)),
        (GEMINI, "error_array.json", 429, none, Cause::RateLimited, seconds(12.0)),
        (GEMINI, "error_per_day.json", 429, none, Cause::QuotaExhausted, seconds(34.4)),
        // continuedev/continue#11799, March 2026
        (GEMINI, "error_limit_zero.json", 429, none, Cause::NotInPlan, seconds(34.4)),
    ];
    let mut unread: Vec<String> = Vec::new();
    for provider in Directory::core() {
        let names = fixtures(provider).into_iter().filter(|name| name.starts_with("error_"));
        unread.extend(names.filter(|name| !cases.iter().any(|case| case.0 == provider && case.1 == name)));
    }
    assert!(unread.is_empty(), "fixtures that no row reads: {unread:?}");
    for (provider, name, status, headers, cause, wait) in cases {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")))
            .collect();
        let diagnosis = diagnose(provider, status, &headers, &fixture(provider, name));
        assert_eq!(diagnosis.cause, cause, "{provider:?} {name} {status}");
        assert_eq!(diagnosis.wait, wait, "{provider:?} {name} {status}");
        let then = (name == "error_per_day.json").then_some(Wait::PacificMidnight);
        assert_eq!(diagnosis.then, then, "{provider:?} {name}: a delay that is too short for a day");
    }
}

/// A 404 that says nothing of models may come from anywhere on the way: it is believed for ten minutes only.
#[test]
fn a_404_without_a_word_is_no_death_sentence() {
    let cases: [(&[u8], Cause); 6] = [
        (b"", Cause::NotFound),
        (b"default backend - 404", Cause::NotFound),
        (b"{\"error\":{\"message\":\"Not Found\"}}", Cause::NotFound),
        (b"{\"error\":{\"message\":\"The model x is gone\"}}", Cause::ModelGone),
        (b"{\"message\":\"x\",\"code\":\"model_not_found\"}", Cause::ModelGone),
        (b"{\"error\":{\"details\":[{\"retryDelay\":\"1s\"}]}}", Cause::NotFound),
    ];
    for provider in Directory::core() {
        for (body, cause) in cases {
            let diagnosis = diagnose(provider, 404, &HeaderMap::new(), body);
            assert_eq!((diagnosis.cause, diagnosis.wait), (cause, None), "{provider:?}");
        }
    }
}

/// Found by fuzzing: a delay or a quota named beside it brought a dead model back.
#[test]
fn a_model_that_is_gone_is_not_waited_for() {
    let body = br#"{"error":{"code":"model_decommissioned","details":[
        {"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"retryDelay":"34.4s"}]}}"#;
    for provider in Directory::core() {
        for status in [404, 429] {
            let diagnosis = diagnose(provider, status, &HeaderMap::new(), body);
            assert_eq!(
                (diagnosis.cause.reason(), diagnosis.wait),
                (Reason::ModelGone, None),
                "{provider:?} {status}"
            );
        }
    }
}

/// A failure inside a stream is one in whatever form it comes, and what stands beside a text does not cost the text.
#[test]
fn odd_neighbours_neither_hide_a_failure_nor_cost_a_text() {
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let failures = [
        "event: error\ndata: upstream died\n\n",
        "event: error\ndata: {}\n\n",
        "data: {\"choices\":[],\"x_groq\":{\"error\":{\"message\":\"x\"}}}\n\n",
        "data: {\"choices\":[],\"x_groq\":{\"error\":\"x\"}}\n\n",
        "data: {\"error\":\"x\"}\n\n",
        "data: {\"message\":\"x\",\"code\":\"queue_exceeded\"}\n\n",
    ];
    for provider in openai_providers() {
        for failure in failures {
            let golden = decode(provider, false, [format!("{failure}{end}").as_bytes()]);
            assert!(golden.starts_with("failure ") && !golden.contains("finish"), "{failure}\n{golden}");
        }
    }
    let usage = r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#;
    let only_groqs = format!("data: {{\"choices\":[],\"x_groq\":{{\"usage\":{usage}}}}}\n\n{end}");
    let golden = decode(Provider::GROQ, false, [only_groqs.as_bytes()]);
    assert!(golden.contains("usage      prompt 1 completion 2 total 3"), "{golden}");
    let golden = decode(Provider::GEMINI, false, [&b"event: error\ndata: upstream died\n\n"[..]]);
    assert!(golden.starts_with("failure "), "{golden}");

    let texts = [
        (
            Provider::GROQ,
            r#"{"choices":[{"delta":{"content":"kept","reasoning":{}},"finish_reason":""}],"usage":7,"x_groq":[]}"#,
        ),
        (
            Provider::CEREBRAS,
            r#"{"choices":[{"delta":{"content":"kept","reasoning":[1,{"a":2}]},"finish_reason":5}]}"#,
        ),
        (
            Provider::CEREBRAS,
            r#"{"choices":[{"delta":{"content":"kept","tool_calls":null,"role":9},"finish_reason":null}],"error":null}"#,
        ),
        (
            Provider::GEMINI,
            r#"{"candidates":[{"content":{"parts":[{"text":"kept","thought":null}]},"finishReason":""}]}"#,
        ),
        (
            Provider::GEMINI,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{}},{"text":"kept","thought":{}}]},"finishReason":1}],"usageMetadata":[]}"#,
        ),
    ];
    for (provider, event) in texts {
        let golden = decode(provider, false, [format!("data: {event}\n\ndata: {event}\n\n").as_bytes()]);
        assert_eq!(golden.matches("text       \"kept\"").count(), 2, "{event}\n{golden}");
        assert!(golden.contains("failure    broken_stream"), "it has no finish: {golden}");
    }
}
