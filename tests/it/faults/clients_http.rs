//! Rows 87 to 93: requests whose HTTP is odd or merely old.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::ways::{Before, Way, converse, ending, patient_proxy, read_replies};
use crate::support::{RawClient, TestProxy, ask_at, within_patience};

/// Whatever host a request names, it is answered here or not at all.
#[tokio::test]
async fn row_087_nothing_is_fetched_for_anybody() -> anyhow::Result<()> {
    let proxy = patient_proxy().await?;
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await?;
    let host = elsewhere.local_addr()?;
    let cases = [
        (format!("GET http://{host}/ HTTP/1.1"), 200),
        (format!("GET http://{host} HTTP/1.1"), 200),
        (format!("GET http://{host}/secret?of=it HTTP/1.1"), 404),
        (format!("GET http://user:password@{host}/ HTTP/1.1"), 200),
        (format!("GET http://{host}/v1/nothing HTTP/1.1"), 404),
        (format!("GET http://{host}/chat HTTP/1.1"), 405),
        (format!("DELETE http://{host}/v1/chat/completions HTTP/1.1"), 405),
        (format!("GET http://{host}/health HTTP/1.1"), 200),
        (format!("CONNECT {host} HTTP/1.1"), 404),
        ("CONNECT /chat HTTP/1.1".to_owned(), 405),
        ("CONNECT /v1/chat/completions HTTP/1.1".to_owned(), 405),
        ("TRACE / HTTP/1.1".to_owned(), 405),
        ("TRACE /chat HTTP/1.1".to_owned(), 405),
        ("TRACE /v1/chat/completions HTTP/1.1".to_owned(), 405),
        (format!("TRACE http://{host}/chat HTTP/1.1"), 405),
        ("OPTIONS * HTTP/1.1".to_owned(), 404),
        ("OPTIONS /chat HTTP/1.1".to_owned(), 405),
        ("OPTIONS /v1/chat/completions HTTP/1.1".to_owned(), 405),
        ("GET * HTTP/1.1".to_owned(), 404),
        ("PRI /chat HTTP/1.1".to_owned(), 405),
    ];
    for (line, status) in cases {
        let before = Before::case(&proxy).await?;
        // A tunnel that is refused leaves nothing to ask on.
        let close = if line.starts_with("CONNECT") { "" } else { "connection: close\r\n" };
        let request = format!("{line}\r\nhost: {host}\r\nx-secret: of-the-client\r\n{close}\r\n");
        let replies = converse(&proxy, &line, request.as_bytes()).await?;
        let [reply] = replies.as_slice() else { panic!("{line}: {replies:?}") };
        assert_eq!(reply.status, status, "{line}: {}", reply.text());
        if line.contains("/health") {
            assert_eq!(reply.json()["status"], "ok", "{line}");
        } else if status == 200 {
            assert!(reply.text().contains("<title>AI Proxy Free"), "{line}: the proxy's own page");
        } else {
            let way = if line.contains("/v1") { Way::OpenAiWhole } else { Way::ChatStream };
            way.refusal(reply, status, &line);
        }
        assert_eq!(reply.header("allow").is_some(), status == 405, "{line}");
        assert!(
            !reply.text().contains("of-the-client")
                && !format!("{:?}", reply.headers).contains("of-the-client")
        );
        before.assert_nobody_was_asked(&proxy, &line).await?;
    }
    // A question to another host is one to us.
    for way in Way::ALL {
        let request = way.request("connection: close\r\n", &way.body());
        let request = request.replacen("POST ", &format!("POST http://{host}"), 1);
        let replies = converse(&proxy, "an absolute form", request.as_bytes()).await?;
        let [reply] = replies.as_slice() else { panic!("{way:?}: {replies:?}") };
        way.text(reply, "an absolute form");
    }
    let nobody = tokio::time::timeout(std::time::Duration::ZERO, elsewhere.accept()).await;
    assert!(nobody.is_err(), "somebody was connected to");
    Ok(())
}

/// What HTTP/2 begins with is no request here, and its connection ends.
#[tokio::test]
async fn row_087_other_protocols_are_sent_away() -> anyhow::Result<()> {
    let proxy = patient_proxy().await?;
    let hello = [b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03".to_vec(), vec![b'a'; 80]].concat();
    let cases = [
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("TLS", hello),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("HTTP/0.9", b"GET /health\r\n\r\n".to_vec()),
    ];
    for (case, bytes) in cases {
        let before = Before::case(&proxy).await?;
        let replies = converse(&proxy, case, &bytes).await?;
        assert!(replies.iter().all(|reply| reply.status == 400), "{case}: {replies:?}");
        before.assert_nobody_was_asked(&proxy, case).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_088_old_clients_are_served_and_see_an_end() -> anyhow::Result<()> {
    for way in Way::ALL {
        for headers in ["", "connection: close\r\n"] {
            let case = format!("HTTP/1.0 {headers:?}");
            let proxy = patient_proxy().await?;
            let before = Before::case(&proxy).await?;
            proxy.all(&Behaviour::answer(["Ho", "la"]));
            let request = way.request(headers, &way.body()).replacen("HTTP/1.1", "HTTP/1.0", 1);
            let request = request.replacen("host: localhost\r\n", "", 1);
            let mut client = RawClient::connect(proxy.address).await?;
            client.stream.write_all(request.as_bytes()).await?;
            let received = ending(&case, client).await;
            assert!(received.starts_with(b"HTTP/1.0 200 OK\r\n"), "{way:?} {case}");
            let replies = read_replies(&received);
            let [reply] = replies.as_slice() else { panic!("{way:?} {case}: {replies:?}") };
            assert_eq!(reply.header("transfer-encoding"), None, "{way:?} {case}");
            assert_eq!(way.text(reply, &case), "Hola");
            before.assert_asked(&proxy, 1, &format!("{way:?} {case}")).await?;
        }
    }
    Ok(())
}

/// Over HTTP/1.0 a body ends with its connection, so bare text that breaks off would look complete: it is sent only
/// when it is.
#[tokio::test]
async fn row_088_bare_text_for_old_clients_is_sent_whole_or_not_at_all() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    proxy.all(&Behaviour::answer(["another ", "answer"]));
    let broken = Behaviour::answer(["One, ", "two."]).with(Fault::EndEarly(After::Text(1)));
    proxy.provider(Provider::GROQ).always(broken);
    let request = Way::ChatText.request("", &Way::ChatText.body()).replacen("HTTP/1.1", "HTTP/1.0", 1);
    let mut client = RawClient::connect(proxy.address).await?;
    client.stream.write_all(request.as_bytes()).await?;
    let response = client.read_to_end().await;
    assert!(
        response.starts_with("HTTP/1.0 200 OK\r\n") && response.contains("content-length: 14\r\n"),
        "{response}"
    );
    assert!(response.ends_with("\r\n\r\nanother answer"), "{response}");
    Ok(())
}

#[tokio::test]
async fn row_090_other_methods_are_told_which_one_to_use() -> anyhow::Result<()> {
    let proxy = patient_proxy().await?;
    let chat = [("/chat", "POST")];
    let openai = [
        ("/v1/chat/completions", "POST"),
        ("/openai/v1/chat/completions", "POST"),
        ("/v1/models", "GET,HEAD"),
        ("/v1/models/groq/openai/gpt-oss-20b", "GET,HEAD"),
    ];
    let reports = [("/health", "GET,HEAD"), ("/providers", "GET,HEAD")];
    for (path, allow) in chat.into_iter().chain(openai).chain(reports) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X"] {
            if allow.split(',').any(|known| known == method) {
                continue;
            }
            let case = format!("{method} {path}");
            let before = Before::case(&proxy).await?;
            let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            let mut client = RawClient::connect(proxy.address).await?;
            client.stream.write_all(request.as_bytes()).await?;
            let received = ending(&case, client).await;
            if method == "HEAD" {
                let text = String::from_utf8_lossy(&received).into_owned();
                assert!(text.starts_with("HTTP/1.1 405 ") && text.ends_with("\r\n\r\n"), "{case}: {text}");
                assert!(text.contains(&format!("allow: {allow}\r\n")), "{case}: {text}");
            } else {
                let replies = read_replies(&received);
                let [reply] = replies.as_slice() else { panic!("{case}: {replies:?}") };
                let way = if path.contains("/v1/") { Way::OpenAiWhole } else { Way::ChatStream };
                assert_eq!(way.refusal(reply, 405, &case), "Method Not Allowed");
                assert_eq!(reply.header("allow"), Some(allow), "{case}");
            }
            before.assert_nobody_was_asked(&proxy, &case).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_091_pipelined_requests_are_answered_in_order() -> anyhow::Result<()> {
    let proxy = patient_proxy().await?;
    for first in Way::ALL {
        for second in Way::ALL {
            let case = format!("{first:?} {second:?}");
            let before = Before::case(&proxy).await?;
            let mut one = first.body_for(Provider::GROQ);
            one["messages"][0]["content"] = json!("One");
            let mut two = second.body_for(Provider::GEMINI);
            two["messages"][0]["content"] = json!("Two");
            let bytes = first.request("", &one)
                + "GET /nowhere HTTP/1.1\r\nhost: localhost\r\n\r\n"
                + &second.request("connection: close\r\n", &two);
            let replies = converse(&proxy, &case, bytes.as_bytes()).await?;
            let [one, nothing, two] = replies.as_slice() else { panic!("{case}: {replies:?}") };
            assert!(first.text(one, &case).contains("You said: One"), "{case}: {}", one.text());
            assert_eq!(nothing.status, 404, "{case}");
            assert!(second.text(two, &case).contains("You said: Two"), "{case}: {}", two.text());
            before.assert_asked(&proxy, 2, &case).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_093_expectations_that_nobody_knows_are_ignored() -> anyhow::Result<()> {
    let proxy = patient_proxy().await?;
    for way in Way::ALL {
        for expect in ["200-ok", "x", "100-continue, x", "", "\"", "\u{e9}"] {
            let case = format!("{way:?} {expect:?}");
            let before = Before::case(&proxy).await?;
            let request = way.request(&format!("expect: {expect}\r\nconnection: close\r\n"), &way.body());
            let replies = converse(&proxy, &case, request.as_bytes()).await?;
            let [reply] = replies.as_slice() else { panic!("{case}: {replies:?}") };
            way.text(reply, &case);
            before.assert_asked(&proxy, 1, &case).await?;
        }
        // The one that everybody knows: who waits to be asked is asked.
        let (before, body) = (Before::case(&proxy).await?, way.body().to_string());
        let mut client = RawClient::connect(proxy.address).await?;
        let framing =
            format!("content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n", body.len());
        client.stream.write_all(way.head(&framing).as_bytes()).await?;
        client.read_until("HTTP/1.1 100 Continue\r\n\r\n").await?;
        client.stream.write_all(body.as_bytes()).await?;
        let replies = read_replies(&ending("100-continue", client).await);
        let [reply] = replies.as_slice() else { panic!("{way:?} 100-continue: {replies:?}") };
        way.text(reply, "100-continue");
        before.assert_asked(&proxy, 1, &format!("{way:?} 100-continue")).await?;
    }
    Ok(())
}

/// A connection that one request has used well serves the next, whatever its surface.
#[tokio::test]
async fn row_091_one_connection_serves_all_surfaces() -> anyhow::Result<()> {
    let proxy = patient_proxy().await?;
    let mut client = RawClient::connect(proxy.address).await?;
    for way in Way::ALL {
        client.received.clear();
        client.stream.write_all(way.request("", &way.body()).as_bytes()).await?;
        let whole = async {
            while read_whole(&client.received).is_none() {
                let read = client.stream.read_buf(&mut client.received).await?;
                anyhow::ensure!(read > 0, "{way:?}: the connection has ended");
            }
            anyhow::Ok(())
        };
        within_patience(&format!("an answer: {way:?}"), whole).await?;
        way.text(&read_whole(&client.received).expect("it is whole"), "the next on a connection");
    }
    assert_eq!(ask_at(&proxy, "/chat", &Way::ChatStream.body(), &[]).await?.status, 200);
    Ok(())
}

fn read_whole(bytes: &[u8]) -> Option<crate::support::Reply> {
    let has_head = bytes.windows(4).any(|four| four == b"\r\n\r\n");
    let mut replies = if has_head { read_replies(bytes) } else { Vec::new() };
    replies.pop().filter(|reply| !reply.is_broken)
}
