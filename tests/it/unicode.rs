//! Every character arrives as it was sent, however the network cuts the bytes.

use ai_proxy_free::internals::providers::{Dialect, Directory, Provider};
use ai_proxy_free::internals::simulator::{Behaviour, Framing};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{RawClient, TestProxy, ask, ask_at, chat, http_client, question};

/// Emoji with joiners and skin tones, combining marks, right to left, null, all that JSON escapes, line ends of
/// every alphabet, and what looks like our own framing.
const PIECES: [&str; 12] = [
    "Hola, ¿qué tal? ",
    "👩🏽‍🚀🏳️‍🌈🇪🇸",
    "e\u{301}n\u{303} Z\u{351}\u{36b}a\u{300}l\u{36c}go ",
    "שלום עולם مرحبا \u{202e}abc\u{202c} ",
    "\u{0}\u{1}\u{7f}\u{85}",
    "\"\\/\u{8}\u{c}\n\r\n\t",
    "\u{2028}\u{2029}",
    "\u{feff}\u{fffd}\u{10ffff}",
    "data: [DONE]\n\n",
    "\n\ndata: {\"content\":\"x\"}\n\n: c\n",
    "中文，日本語、한국어",
    " </script>&amp;<b>",
];

fn pinned(provider: Provider) -> serde_json::Value {
    json!({"messages": [{"role": "user", "content": "Hola"}], "provider": provider.name()})
}

/// Without a charset Python's `requests` reads text as Latin-1 (open-metadata/OpenMetadata#29531).
#[tokio::test]
async fn every_body_says_that_it_is_utf_8() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let client = http_client()?;
    let json = "application/json; charset=utf-8";
    let gets = [
        ("/health", 200),
        ("/providers", 200),
        ("/v1/models", 200),
        ("/openai/v1/models/auto", 200),
        ("/v1/models/nobody", 404),
        ("/nowhere", 404),
        ("/v1/nowhere", 404),
        ("/chat", 405),
        ("/v1/chat/completions", 405),
    ];
    for (path, status) in gets {
        let response = client.get(proxy.url(path)).send().await?;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], json, "{path}");
    }
    for path in ["/chat", "/v1/chat/completions", "/openai/v1/chat/completions"] {
        for (stream, expected) in [(true, "text/event-stream; charset=utf-8"), (false, json)] {
            let mut body = question();
            body["stream"] = json!(stream);
            let reply = ask_at(&proxy, path, &body, &[]).await?;
            assert_eq!((reply.status, reply.header("content-type")), (200, Some(expected)), "{path}");
        }
        let refused = ask_at(&proxy, path, &json!({}), &[]).await?;
        assert_eq!((refused.status, refused.header("content-type")), (400, Some(json)), "{path}");
    }
    // What hyper refuses by itself.
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    for request in ["no HTTP at all\r\n\r\n", &long] {
        let mut raw = RawClient::connect(proxy.address).await?;
        tokio::io::AsyncWriteExt::write_all(&mut raw.stream, request.as_bytes()).await?;
        let answer = raw.read_to_end().await;
        assert!(answer.contains(&format!("content-type: {json}\r\n")), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn unicode_arrives_exactly_through_all_dialects_and_forms() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let expected = PIECES.concat();
    for piece_bytes in [0, 1, 2, 3, 7] {
        for framing in [Framing::Chunked, Framing::Length, Framing::Close] {
            proxy.all(&Behaviour::answer(PIECES).in_pieces_of(piece_bytes).framed(framing));
            for provider in Directory::core() {
                let case = format!("{provider:?} {framing:?} in pieces of {piece_bytes}");
                let mut body = pinned(provider);
                assert_eq!(chat(&proxy, &body).await?.answer().text, expected, "{case}");
                let text = ask(&proxy, &body, &[("accept", "text/plain")]).await?;
                assert_eq!(text.text(), expected, "{case}");
                body["stream"] = json!(false);
                assert_eq!(chat(&proxy, &body).await?.json()["content"], expected, "{case}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_asked_arrives_exactly_too() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let question = PIECES.concat();
    for provider in Directory::core() {
        let mut body = pinned(provider);
        body["messages"][0]["content"] = json!(question);
        chat(&proxy, &body).await?;
        let sent = proxy.provider(provider).chats()[0].json();
        let arrived = match &provider.profile().dialect {
            Dialect::OpenAi(_) => &sent["messages"][0]["content"],
            Dialect::Gemini => &sent["contents"][0]["parts"][0]["text"],
        };
        assert_eq!(arrived, &json!(question), "{provider:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_of_a_megabyte_arrives_exactly() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let unit = PIECES.concat();
    let pieces: Vec<String> =
        (0..64).map(|index| format!("{index} {}", unit.repeat(16_384 / unit.len()))).collect();
    let expected = pieces.concat();
    assert!(expected.len() > 1_000_000);
    proxy.all(&Behaviour::answer(pieces));
    for provider in Directory::core() {
        let mut body = pinned(provider);
        assert!(chat(&proxy, &body).await?.answer().text == expected, "{provider:?} streamed");
        body["stream"] = json!(false);
        assert!(chat(&proxy, &body).await?.json()["content"] == expected, "{provider:?} whole");
    }
    // One event of a megabyte.
    proxy.all(&Behaviour::answer([expected.clone()]));
    for provider in Directory::core() {
        assert!(
            chat(&proxy, &pinned(provider)).await?.answer().text == expected,
            "{provider:?} in one event"
        );
    }
    Ok(())
}

/// The same answer, cut in two at every single byte of the response, its head included.
#[tokio::test]
async fn a_cut_at_any_byte_changes_nothing() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let pieces = ["é👩🏽‍🚀", "\u{0}\"שלום\n"];
    let expected = pieces.concat();
    for provider in Directory::core() {
        let client = crate::support::http_client()?;
        // Longer than any of the three responses.
        for cut in 0..1_600 {
            proxy.provider(provider).always(Behaviour::answer(pieces).cut_in_two_after(cut));
            let response = client.post(proxy.url("/chat")).json(&pinned(provider)).send().await?;
            let answer = crate::support::parse_sse(&response.text().await?);
            assert!(answer.text == expected && answer.is_done, "{provider:?} cut after {cut}: {answer:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any text in any pieces, cut any way.
    #[test]
    fn any_text_arrives_exactly(
        pieces in prop::collection::vec("\\PC{1,12}|[\u{0}-\u{20}\"\\\\]{1,4}|.{1,8}", 1..12),
        piece_bytes in 0usize..40,
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let outcome: anyhow::Result<()> = runtime.block_on(async {
            let proxy = TestProxy::start().await?;
            proxy.all(&Behaviour::answer(pieces.clone()).in_pieces_of(piece_bytes));
            for provider in Directory::core() {
                let answer = chat(&proxy, &pinned(provider)).await?.answer();
                anyhow::ensure!(answer.text == pieces.concat(), "{provider:?}: {:?}", answer.text);
            }
            Ok(())
        });
        prop_assert!(outcome.is_ok(), "{:?}", outcome);
    }
}
