//! Limits over real sockets: what a caller gets to see of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Behaviour, Framing, Limits, Settings, SimulatedProvider, faster};
use crate::providers::{Dialect, Provider};
use crate::time::{Clock, Moment};

/// A published plan at 20:00:00 and so many milliseconds.
async fn start(provider: Provider, elapsed_ms: &Arc<AtomicU64>) -> SimulatedProvider {
    let (begun, elapsed) = ("2026-11-23T20:00:00Z".parse::<Timestamp>().unwrap(), elapsed_ms.clone());
    let clock: Clock =
        Arc::new(move || Moment::at(begun + Duration::from_millis(elapsed.load(Ordering::Relaxed))));
    let settings = Settings { limits: Limits::Published, ..Settings::new(provider, clock) };
    let simulated = SimulatedProvider::start(provider, settings).await.unwrap();
    simulated.always(Behaviour { framing: Framing::Close, ..Behaviour::echo() });
    simulated
}

/// Head and body of the answer to a prompt of so many tokens.
async fn ask(simulated: &SimulatedProvider, model: &str, tokens: usize, most: u64) -> (String, Value) {
    let text = "x".repeat(tokens * 4);
    let (path, body) = match &simulated.provider().profile().dialect {
        Dialect::OpenAi(quirks) => {
            let messages = json!([{"role": "user", "content": text}]);
            let body = json!({"model": model, "messages": messages, "max_completion_tokens": most});
            (quirks.chat_path.to_owned(), body)
        }
        Dialect::Gemini => {
            let body = json!({"contents": [{"role": "user", "parts": [{"text": text}]}]});
            (format!("/v1beta/models/{model}:generateContent"), body)
        }
    };
    let (length, body) = (body.to_string().len(), body.to_string());
    let request = format!(
        "POST {path} HTTP/1.1\r\nauthorization: Bearer key\r\nx-goog-api-key: key\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(simulated.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap_or_default())
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn groq_tells_of_its_day_of_requests_and_its_minute_of_tokens() {
    let elapsed_ms = Arc::new(AtomicU64::new(0));
    let groq = start(Provider::GROQ, &elapsed_ms).await;
    let model = "openai/gpt-oss-20b";
    let (head, answer) = ask(&groq, model, 1_000, 4_000).await;
    let charged = answer["usage"]["prompt_tokens"].as_u64().unwrap() + 4_000;
    assert_eq!(header(&head, "x-ratelimit-limit-requests"), Some("1000"));
    assert_eq!(header(&head, "x-ratelimit-remaining-requests"), Some("999"));
    assert_eq!(header(&head, "x-ratelimit-reset-requests"), Some("1m26.4s"));
    assert_eq!(header(&head, "x-ratelimit-limit-tokens"), Some("8000"));
    assert_eq!(header(&head, "x-ratelimit-remaining-tokens"), Some(&*(8_000 - charged).to_string()));

    let (head, error) = ask(&groq, model, 1_000, 4_000).await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    let words =
        format!("on tokens per minute (TPM): Limit 8000, Used {charged}, Requested {charged}. Please");
    assert!(error["error"]["message"].as_str().unwrap().contains(&words), "{error}");
    // Of the tokens of a minute, those that are missing.
    let wait_ms = ((2 * charged - 8_000) as f64 * 7.5).ceil();
    assert_eq!(header(&head, "retry-after"), Some(&*(wait_ms / 1_000.0).ceil().to_string()));
    assert_eq!(header(&head, "x-ratelimit-remaining-requests"), Some("999"), "a refused call costs nothing");

    elapsed_ms.store(wait_ms as u64, Ordering::Relaxed);
    assert!(ask(&groq, model, 1_000, 4_000).await.0.starts_with("HTTP/1.1 200 "));
    let (head, error) = ask(&groq, model, 1_000, 8_000).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}{error}");
}

#[tokio::test]
async fn cerebras_tells_of_tokens_in_headers_and_of_requests_when_it_refuses() {
    let elapsed_ms = Arc::new(AtomicU64::new(0));
    let cerebras = start(Provider::CEREBRAS, &elapsed_ms).await;
    for _ in 0..5 {
        let (head, answer) = ask(&cerebras, "gpt-oss-120b", 10, 100).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}{answer}");
        assert_eq!(header(&head, "x-ratelimit-limit-tokens-minute"), Some("30000"));
        assert!(header(&head, "x-ratelimit-reset-tokens-minute").unwrap().parse::<f64>().unwrap() > 0.2);
    }
    elapsed_ms.store(20_000, Ordering::Relaxed);
    let (head, error) = ask(&cerebras, "gpt-oss-120b", 10, 100).await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert_eq!(header(&head, "retry-after"), Some("40"));
    assert_eq!(error["message"], "Requests per minute limit exceeded - too many requests sent.");
    let (head, error) = ask(&cerebras, "qwen-3.8-27b", 10, 29_900).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "its other model has limits of its own: {error}");
    let (head, error) = ask(&cerebras, "qwen-3.8-27b", 10, 29_900).await;
    assert_eq!(error["message"], "Tokens per minute limit exceeded - too many tokens processed.");
    assert_eq!(header(&head, "retry-after"), None, "its headers tell");
    let left: u64 = header(&head, "x-ratelimit-remaining-tokens-minute").unwrap().parse().unwrap();
    assert!((1..100).contains(&left), "what is really left: {left}");
}

#[tokio::test]
async fn gemini_counts_prompts_only_and_tells_nothing_until_it_refuses() {
    let elapsed_ms = Arc::new(AtomicU64::new(0));
    let gemini = start(Provider::GEMINI, &elapsed_ms).await;
    let flash = "gemini-3.8-flash";
    for call in 0..20 {
        elapsed_ms.store(call * 15_000, Ordering::Relaxed);
        let (head, answer) = ask(&gemini, flash, 10, 0).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("ratelimit"), "{head}{answer}");
    }
    elapsed_ms.fetch_add(60_000, Ordering::Relaxed);
    let (head, error) = ask(&gemini, flash, 10, 0).await;
    let violation = &error["error"]["details"][1]["violations"][0];
    assert_eq!(violation["quotaId"], "GenerateRequestsPerDayPerProjectPerModel-FreeTier");
    assert_eq!(violation["quotaValue"], "20");
    assert_eq!(error["error"]["details"][2]["retryDelay"], "34.4s", "although the day is over");
    assert!(head.starts_with("HTTP/1.1 429 ") && header(&head, "retry-after").is_none(), "{head}");

    assert!(ask(&gemini, "gemma-4-31b-it", 15_000, 0).await.0.starts_with("HTTP/1.1 200 "));
    elapsed_ms.fetch_add(6_000, Ordering::Relaxed);
    let (_, error) = ask(&gemini, "gemma-4-31b-it", 15_000, 0).await;
    let violation = &error["error"]["details"][1]["violations"][0];
    assert_eq!(violation["quotaId"], "GenerateContentInputTokensPerModelPerMinute-FreeTier");
    assert_eq!(error["error"]["details"][2]["retryDelay"], "54s");

    // Eight o'clock in the evening in London is noon in California.
    elapsed_ms.store(12 * 3_600_000 - 1, Ordering::Relaxed);
    assert!(ask(&gemini, flash, 10, 0).await.0.starts_with("HTTP/1.1 429 "));
    elapsed_ms.store(12 * 3_600_000, Ordering::Relaxed);
    assert!(ask(&gemini, flash, 10, 0).await.0.starts_with("HTTP/1.1 200 "), "midnight in California");
}

#[test]
fn a_faster_clock_starts_at_the_same_moment() {
    let elapsed_ms = Arc::new(AtomicU64::new(0));
    let (begun, elapsed) = (Moment::at(Timestamp::UNIX_EPOCH), elapsed_ms.clone());
    let steady = move || Duration::from_millis(elapsed.load(Ordering::Relaxed));
    let clock: Clock = Arc::new(move || Moment { wall: begun.wall, steady: steady() });
    let fast = faster(clock, 60);
    assert_eq!(fast(), begun);
    elapsed_ms.store(1_500, Ordering::Relaxed);
    assert_eq!(fast(), Moment::at(Timestamp::UNIX_EPOCH + Duration::from_secs(90)));
}
