//! Rows 129 to 131: which connections to a provider are used again, and what is sent and read on them at once.

use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::dialect::{Dialect, LAST_CHUNK, chunk, json_response, open_stream, response, whole_stream};
use super::told::Told;
use super::trial::{Failure, falls_back, fault};
use super::ways::Way;
use crate::support::{
    RawUpstream, Reply, Script, Step, TestProxy, chat, complete, question, within_patience,
};

const GROQ: Dialect = Dialect(Provider::GROQ);

const STREAM: &str = "content-type: text/event-stream\r\n";

async fn over(base_url: &str) -> anyhow::Result<TestProxy> {
    // Of a model that is in no table, nobody knows that it takes no pictures.
    let builder = TestProxy::builder().only([Provider::GROQ]).with("GROQ_MODEL", "unknown/model");
    builder.with("GROQ_BASE_URL", base_url).start().await
}

/// An answer of Groq with this start of its head, and this behind its body of known length.
fn answer(start: &str, lines: &str, behind: &str) -> Script {
    let body = GROQ.stream(&["canary-answer"]);
    let head = format!("{start}\r\n{STREAM}{lines}content-length: {}\r\n\r\n", body.len());
    vec![Step::Send([head.as_bytes(), &body, behind.as_bytes()].concat())]
}

fn chunked(head: &str, end: &[u8]) -> Script {
    let head = format!("{head}\r\n{STREAM}transfer-encoding: chunked\r\n\r\n");
    vec![Step::Send([head.as_bytes(), &chunk(&GROQ.stream(&["canary-answer"])), end].concat())]
}

/// How many connections two questions take, one after the other, and how many are open behind them.
async fn connections(script: Script) -> anyhow::Result<(usize, usize)> {
    let upstream = RawUpstream::always(script).await?;
    let proxy = over(&upstream.base_url()).await?;
    for _ in 0..2 {
        let told = Way::ChatStream.told(&Way::ChatStream.ask_anybody(&proxy).await?);
        assert!(matches!(&told, Told::Answer { text, .. } if text == "canary-answer"), "{told:?}");
    }
    let connections = upstream.traffic().connections;
    if connections == 2 {
        upstream.until("the connections to end", |traffic| traffic.open == 0).await;
    }
    Ok((connections, upstream.traffic().open))
}

#[tokio::test]
async fn row_129_a_connection_is_used_again_behind_an_answer_that_was_read_to_its_end() -> anyhow::Result<()>
{
    let trailers = b"0\r\nx-checksum: 1\r\n\r\n";
    for (case, script) in [
        ("length", answer("HTTP/1.1 200 OK", "", "")),
        ("chunks", chunked("HTTP/1.1 200 OK", LAST_CHUNK)),
        ("trailers", chunked("HTTP/1.1 200 OK", trailers)),
        ("HTTP/1.0 that says so", answer("HTTP/1.0 200 OK", "connection: Keep-Alive\r\n", "")),
        ("a late end", [chunked("HTTP/1.1 200 OK", b""), vec![Step::Send(LAST_CHUNK.into())]].concat()),
    ] {
        assert_eq!(connections(script).await?, (1, 1), "{case}");
    }
    // An error's body is read, too.
    let error = json_response(500, "", &GROQ.error(500, "internal", "Internal error"));
    let upstream = RawUpstream::always(error).await?;
    let proxy = over(&upstream.base_url()).await?;
    for _ in 0..2 {
        chat(&proxy, &question()).await?;
    }
    assert_eq!((upstream.traffic().connections, upstream.traffic().requests), (1, 2));
    Ok(())
}

/// The provider would keep them all open, so it is the proxy that ends them.
#[tokio::test]
async fn row_129_a_connection_that_could_be_misread_is_used_no_more() -> anyhow::Result<()> {
    let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let behind_chunks = [LAST_CHUNK, smuggled.as_bytes()].concat();
    let two_ends = "transfer-encoding: chunked\r\n";
    let body = [chunk(&GROQ.stream(&["canary-answer"])), LAST_CHUNK.to_vec()].concat();
    let head = format!("HTTP/1.1 200 OK\r\n{STREAM}content-length: 9\r\n{two_ends}\r\n");
    for (case, script) in [
        ("close", answer("HTTP/1.1 200 OK", "connection: close\r\n", "")),
        ("close among others", answer("HTTP/1.1 200 OK", "Connection: x-y, Close\r\n", "")),
        ("HTTP/1.0", answer("HTTP/1.0 200 OK", "", "")),
        ("more than the length", answer("HTTP/1.1 200 OK", "", smuggled)),
        ("more than the chunks", chunked("HTTP/1.1 200 OK", &behind_chunks)),
        ("a length and chunks", vec![Step::Send([head.into_bytes(), body].concat())]),
    ] {
        assert_eq!(connections(script).await?, (2, 0), "{case}");
    }
    Ok(())
}

/// An answer that was sent without a question is not taken for the next one's.
#[tokio::test]
async fn row_129_what_nobody_has_asked_for_is_no_answer() -> anyhow::Result<()> {
    let late = [Step::Pause(Duration::from_millis(50))].into_iter();
    let late = late.chain(whole_stream(&GROQ.stream(&["canary-wrong"])));
    let script = [whole_stream(&GROQ.stream(&["canary-answer"])), late.collect()].concat();
    let upstream = RawUpstream::always(script).await?;
    let proxy = over(&upstream.base_url()).await?;
    for connections in 1..=2 {
        assert_eq!(chat(&proxy, &question()).await?.answer().text, "canary-answer");
        assert_eq!(upstream.traffic().connections, connections);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}

/// Sizes that could be read in two ways end the answer where they stand.
#[tokio::test]
async fn row_130_chunks_that_are_none_are_no_answer() -> anyhow::Result<()> {
    let bad = [
        "-5\r\n",
        "+5\r\n",
        "0x5\r\n",
        " 5\r\n",
        "5 5\r\n",
        "5\n",
        "g\r\n",
        "10000000000000005\r\n",
        ";\r\n",
    ];
    let faults = bad.map(|size| {
        fault(format!("{size:?}"), move |dialect| {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let opening = chunk(&dialect.opening());
            vec![Step::Send([head.as_bytes(), &opening, size.as_bytes(), b"hello\r\n0\r\n\r\n"].concat())]
        })
        .of([Provider::GROQ])
    });
    falls_back(Failure::new(502, "broken_stream"), faults).await
}

#[tokio::test]
async fn row_130_lengths_that_are_none_are_no_answer() -> anyhow::Result<()> {
    let heads = [
        "content-length: +5\r\n",
        "content-length: 5, 6\r\n",
        "content-length: 99999999999999999999\r\n",
        "content-length:\r\n",
        "content-length : 5\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "x: folded\r\n line\r\ncontent-length: 5\r\n",
    ];
    let faults = heads.map(|lines| {
        fault(format!("{lines:?}"), move |_| {
            vec![Step::Send(format!("HTTP/1.1 200 OK\r\n{STREAM}{lines}\r\nhello").into_bytes())]
        })
        .of([Provider::GROQ])
    });
    falls_back(Failure::new(502, "upstream_error"), faults).await
}

/// More than the buffers of two kernels hold.
const LARGE: usize = 6 * 1024 * 1024;

async fn listener() -> anyhow::Result<(TcpListener, String)> {
    let socket = TcpSocket::new_v4()?;
    // What is accepted inherits it.
    socket.set_recv_buffer_size(64 * 1024)?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let listener = socket.listen(8)?;
    let base_url = format!("http://{}", listener.local_addr()?);
    Ok((listener, base_url))
}

/// Reads the head of a request. Returns what came behind it, and the length of the body.
async fn read_head(stream: &mut TcpStream) -> anyhow::Result<(Vec<u8>, usize)> {
    let mut received = Vec::new();
    loop {
        anyhow::ensure!(stream.read_buf(&mut received).await? > 0, "ended in the head");
        let text = String::from_utf8_lossy(&received).to_ascii_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        return Ok((received.split_off(end + 4), length.unwrap_or(0)));
    }
}

/// Asks about a picture that is as large.
async fn ask_large(proxy: &TestProxy) -> anyhow::Result<Reply> {
    let picture = json!({"url": format!("data:image/png;base64,{}", "A".repeat(LARGE))});
    let parts = json!([{"type": "text", "text": "Hola"}, {"type": "image_url", "image_url": picture}]);
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": parts}]});
    within_patience("an answer", complete(proxy, &body)).await
}

fn text(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

/// Whether the picture has arrived whole.
fn has_picture(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body.to_string().contains(&"A".repeat(LARGE)))
}

/// Whoever finds a request too large does not read it first.
#[tokio::test]
async fn row_131_an_answer_is_read_although_the_request_was_not() -> anyhow::Result<()> {
    for ends_it in [false, true] {
        let (listener, base_url) = listener().await?;
        let proxy = over(&base_url).await?;
        let provider = async {
            let (mut stream, _) = listener.accept().await?;
            read_head(&mut stream).await?;
            let error = GROQ.error(413, "request_too_large", "Request Entity Too Large");
            let Some(Step::Send(refusal)) = json_response(413, "", &error).pop() else { unreachable!() };
            stream.write_all(&refusal).await?;
            if ends_it {
                return anyhow::Ok(());
            }
            // The rest of the request never comes: the connection ends, and is not used again.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let rest = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            assert!(rest.map_or(true, |bytes| bytes < LARGE as u64), "nobody goes on sending");
            Ok(())
        };
        let (reply, provided) = tokio::join!(ask_large(&proxy), within_patience("its end", provider));
        provided?;
        let reply = reply?;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.text().contains("too_large"), "{}", reply.text());
    }
    Ok(())
}

/// An answer may begin before all of the request was sent, and then both go on.
#[tokio::test]
async fn row_131_a_request_is_sent_to_its_end_while_its_answer_is_read() -> anyhow::Result<()> {
    let (listener, base_url) = listener().await?;
    let proxy = over(&base_url).await?;
    let provider = async {
        let (mut stream, _) = listener.accept().await?;
        let (rest, length) = read_head(&mut stream).await?;
        stream.write_all(&open_stream(&GROQ.opening())).await?;
        let mut body = vec![0; length - rest.len()];
        stream.read_exact(&mut body).await?;
        stream.write_all(&[chunk(&GROQ.stream(&["canary-answer"])), LAST_CHUNK.to_vec()].concat()).await?;
        // And the connection is good for another.
        read_head(&mut stream).await?;
        let Some(Step::Send(again)) = whole_stream(&GROQ.stream(&["canary-again"])).pop() else {
            unreachable!()
        };
        stream.write_all(&again).await?;
        anyhow::Ok([rest, body].concat())
    };
    let client = async {
        let first = text(&ask_large(&proxy).await?);
        anyhow::Ok((first, chat(&proxy, &question()).await?.answer().text))
    };
    let (told, body) = tokio::join!(client, within_patience("two requests", provider));
    assert_eq!(told?, ("canary-answer".to_owned(), "canary-again".to_owned()));
    assert!(has_picture(&body?), "nothing is lost");
    Ok(())
}

/// What a provider does not take at once is kept until it does, and nothing of it is lost.
#[tokio::test]
async fn row_131_a_provider_that_reads_slowly_gets_everything() -> anyhow::Result<()> {
    let (listener, base_url) = listener().await?;
    let proxy = over(&base_url).await?;
    let provider = async {
        let (mut stream, _) = listener.accept().await?;
        let (mut body, length) = read_head(&mut stream).await?;
        while body.len() < length {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let mut piece = vec![0; (length - body.len()).min(500_000)];
            stream.read_exact(&mut piece).await?;
            body.extend(piece);
        }
        let well = response(200, STREAM, &GROQ.stream(&["canary-answer"]));
        let Some(Step::Send(well)) = well.into_iter().next() else { unreachable!() };
        stream.write_all(&well).await?;
        anyhow::Ok(body)
    };
    let (reply, body) = tokio::join!(ask_large(&proxy), within_patience("the request", provider));
    assert_eq!(text(&reply?), "canary-answer");
    assert!(has_picture(&body?), "nothing is lost");
    Ok(())
}
