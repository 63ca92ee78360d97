//! Rows 94 to 99: bodies that are too large, alone or together, of the wrong kind, or not JSON.

use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Settings, Simulator};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::ways::{Before, Departure, Way, converse, ending, nested, read_replies};
use crate::support::{Binary, RawClient, TestProxy, within_patience};

/// More than anybody may send, as in MAX_BODY_BYTES's default.
const TOO_MANY_BYTES: usize = 30_000_000;

#[tokio::test]
async fn row_094_a_body_over_the_limit_is_refused_however_it_is_sent() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("HEADER_READ_TIMEOUT_MS", 800_000).start().await?;
    let chunk = format!("f4240\r\n{}\r\n", "x".repeat(1_000_000));
    for way in Way::SURFACES {
        let announced = way.head(&format!("content-length: {TOO_MANY_BYTES}\r\n"));
        let chunked = way.head("transfer-encoding: chunked\r\n");
        let asking = |framing: &str| way.head(&format!("{framing}\r\nexpect: 100-continue\r\n"));
        let whole = "x".repeat(TOO_MANY_BYTES);
        let cases = [
            ("announced, and none of it sent", announced.clone(), String::new()),
            ("announced, and a little of it sent", announced.clone(), "x".repeat(10_000)),
            // Many look for an answer only when they have sent everything.
            ("announced, and all of it sent", announced, whole),
            ("in chunks, all of them sent", chunked.clone(), chunk.repeat(30) + "0\r\n\r\n"),
            ("in chunks without end", chunked, chunk.repeat(30)),
            ("asked for first", asking(&format!("content-length: {TOO_MANY_BYTES}")), String::new()),
        ];
        for (case, head, body) in cases {
            let name = format!("{way:?} {case}");
            let before = Before::case(&proxy).await?;
            let mut client = RawClient::connect(proxy.address).await?;
            client.stream.write_all(head.as_bytes()).await?;
            within_patience(&name, client.stream.write_all(body.as_bytes())).await?;
            let received = ending(&name, client).await;
            assert!(!received.starts_with(b"HTTP/1.1 100 "), "{name}: it is asked to send what nobody takes");
            let replies = read_replies(&received);
            let [reply] = replies.as_slice() else { panic!("{name}: {replies:?}") };
            let sentence = way.refusal(reply, 413, case);
            assert!(sentence.contains("20971520 bytes (MAX_BODY_BYTES)"), "{name}: {sentence}");
            assert_eq!(reply.header("connection"), Some("close"), "{name}");
            before.assert_nobody_was_asked(&proxy, &name).await?;
        }
        // An ordinary client, which does as it likes.
        let reply = way.post_json(&proxy, vec![b'x'; TOO_MANY_BYTES]).await?;
        way.refusal(&reply, 413, "reqwest");
    }
    Ok(())
}

#[tokio::test]
async fn row_094_a_body_of_just_the_limit_is_read() -> anyhow::Result<()> {
    for way in Way::SURFACES {
        let most = way.body().to_string().len() + 900;
        let proxy = TestProxy::builder().with("MAX_BODY_BYTES", most).start().await?;
        let sized = |spaces: usize| way.body().to_string() + &" ".repeat(spaces);
        for chunked in [false, true] {
            for (spaces, status) in [(900, 200), (901, 413)] {
                let (before, body) = (Before::case(&proxy).await?, sized(spaces));
                let request = if chunked {
                    let (one, two) = body.split_at(100);
                    let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
                    way.head("transfer-encoding: chunked\r\nconnection: close\r\n")
                        + &chunk(one)
                        + &chunk(two)
                        + "0\r\n\r\n"
                } else {
                    way.head(&format!("content-length: {}\r\nconnection: close\r\n", body.len())) + &body
                };
                let case = format!("{way:?} chunked: {chunked}, {spaces} spaces");
                let replies = converse(&proxy, &case, request.as_bytes()).await?;
                let [reply] = replies.as_slice() else { panic!("{case}: {replies:?}") };
                assert_eq!(reply.status, status, "{case}: {}", reply.text());
                before.assert_asked(&proxy, u64::from(status == 200), &case).await?;
            }
        }
    }
    Ok(())
}

/// A request of a body with `filler_bytes` that nobody reads, in one chunk or with its length, of which all but the last
/// `missing` bytes are sent.
fn large(way: Way, chunked: bool, filler_bytes: usize, missing: usize) -> Vec<u8> {
    let body = way.body().to_string();
    let body = format!("{{\"filler\":\"{}\",{}", "x".repeat(filler_bytes), &body[1..]);
    let length = body.len();
    let mut request = if chunked {
        way.head("transfer-encoding: chunked\r\n") + &format!("{length:x}\r\n{body}\r\n0\r\n\r\n")
    } else {
        way.head(&format!("content-length: {length}\r\n")) + &body
    };
    request.truncate(request.len() - missing);
    request.into_bytes()
}

/// A proxy with memory for one body of 800 kB, which is taken by a request whose answer does not begin.
async fn with_memory_taken(way: Way, chunked: bool) -> anyhow::Result<(TestProxy, RawClient)> {
    let proxy = TestProxy::builder()
        .with("MAX_BODY_MEMORY_BYTES", 1_200_000)
        .with("BODY_READ_TIMEOUT_MS", 800)
        .start()
        .await?;
    proxy.provider(Provider::GROQ).then(Behaviour::answer(["x"]).with(Fault::Stall(After::Nothing)));
    let mut holder = RawClient::connect(proxy.address).await?;
    holder.stream.write_all(&large(way, chunked, 800_000, 0)).await?;
    let groq = proxy.provider(Provider::GROQ);
    within_patience("the holder's call", groq.until(|it| it.request_count() > 0)).await;
    Ok((proxy, holder))
}

#[tokio::test]
async fn row_099_bodies_that_do_not_fit_wait_and_are_then_refused() -> anyhow::Result<()> {
    for way in Way::SURFACES {
        for chunked in [false, true] {
            let (proxy, _holder) = with_memory_taken(way, chunked).await?;
            let begun = Instant::now();
            let mut clients = Vec::new();
            // Those that wait without a length hold what they began with.
            let missing: &[usize] = if chunked { &[1] } else { &[0, 300_000, 1] };
            for &missing in missing {
                let mut client = RawClient::connect(proxy.address).await?;
                client.stream.write_all(&large(way, chunked, 800_000, missing)).await?;
                clients.push(client);
            }
            // Small ones need not wait for those.
            for small in [large(way, false, 1_000, 0), large(way, true, 1_000, 0)] {
                let mut client = RawClient::connect(proxy.address).await?;
                client.stream.write_all(&small).await?;
                client.read_until("HTTP/1.1 200 OK").await?;
            }
            assert!(begun.elapsed() < Duration::from_millis(700), "{way:?}: {:?}", begun.elapsed());
            for client in clients {
                let case = format!("{way:?} chunked: {chunked}");
                let received = ending(&case, client).await;
                let replies = read_replies(&received);
                let [reply] = replies.as_slice() else { panic!("{case}: {replies:?}") };
                let sentence = way.refusal(reply, 503, &case);
                let told = "Too many request bodies at once (MAX_BODY_MEMORY_BYTES)";
                assert!(sentence.contains(told), "{case}: {sentence}");
                let retry = (reply.header("retry-after"), reply.header("x-should-retry"));
                assert_eq!(retry, (Some("1"), None), "{case}");
            }
            assert!(begun.elapsed() >= Duration::from_millis(800), "{way:?}: {:?}", begun.elapsed());
        }
    }
    Ok(())
}

/// Whoever begins to send and goes no further may use up the part for small bodies; the rest is still there.
#[tokio::test]
async fn row_099_slow_bodies_without_a_length_leave_room_for_others() -> anyhow::Result<()> {
    for way in Way::SURFACES {
        let builder = TestProxy::builder().with("MAX_BODY_MEMORY_BYTES", 1_000_000);
        let proxy = builder.with("BODY_READ_TIMEOUT_MS", 600_000).start().await?;
        let mut slow = Vec::new();
        for _ in 0..4 {
            let mut client = RawClient::connect(proxy.address).await?;
            client.stream.write_all(&large(way, true, 1_000, 900)).await?;
            slow.push(client);
        }
        for (chunked, filler) in [(true, 10), (false, 10), (false, 600_000), (true, 10)] {
            let mut client = RawClient::connect(proxy.address).await?;
            client.stream.write_all(&large(way, chunked, filler, 0)).await?;
            client.read_until("HTTP/1.1 200 OK").await?;
        }
        // It may need more than there is, and may not wait with what it has: somebody may wait for that.
        let mut client = RawClient::connect(proxy.address).await?;
        client.stream.write_all(&large(way, true, 600_000, 0)).await?;
        client.read_until("HTTP/1.1 503 Service Unavailable").await?;
        client.read_until("retry-after: 1").await?;
        drop(slow);
    }
    Ok(())
}

#[tokio::test]
async fn row_099_a_body_that_fits_again_is_read() -> anyhow::Result<()> {
    for way in Way::SURFACES {
        for chunked in [false, true] {
            for departure in [Departure::Close, Departure::Reset] {
                let (proxy, holder) = with_memory_taken(way, chunked).await?;
                let mut client = RawClient::connect(proxy.address).await?;
                client.stream.write_all(&large(way, chunked, 800_000, 0)).await?;
                let early = tokio::time::timeout(Duration::from_millis(200), client.read_until("HTTP")).await;
                assert!(early.is_err(), "{way:?} chunked: {chunked}: it does not wait");
                departure.leave(holder).await?;
                client.read_until("HTTP/1.1 200 OK").await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_099_a_body_beyond_the_whole_budget_is_too_large() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("MAX_BODY_MEMORY_BYTES", 100_000).start().await?;
    for way in Way::SURFACES {
        for chunked in [false, true] {
            for (filler, status) in [(99_000, 200), (100_000, 413)] {
                let case = format!("{way:?} chunked: {chunked} {filler}");
                let mut client = RawClient::connect(proxy.address).await?;
                client.stream.write_all(&large(way, chunked, filler, 0)).await?;
                client.read_until("\r\n\r\n").await?;
                client.stream.shutdown().await?;
                let received = ending(&case, client).await;
                let replies = read_replies(&received);
                let [reply] = replies.as_slice() else { panic!("{case}: {replies:?}") };
                assert_eq!(reply.status, status, "{case}: {}", reply.text());
                if status == 413 {
                    let sentence = way.refusal(reply, 413, &case);
                    assert!(sentence.contains("100000 bytes (MAX_BODY_MEMORY_BYTES)"), "{case}: {sentence}");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_099_half_sent_bodies_take_no_more_memory_than_there_is_for_bodies() -> anyhow::Result<()> {
    let variables = [("MAX_BODY_MEMORY_BYTES", "40000000"), ("MAX_BODY_BYTES", "20000000")];
    let clock = std::sync::Arc::new(ai_proxy_free::internals::time::Moment::now);
    let simulator =
        Simulator::start(Directory::core(), |provider| Settings::new(provider, clock.clone())).await?;
    for chunked in [false, true] {
        let (binary, address) = Binary::over(&simulator, &variables).await?;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let mut client = RawClient::connect(address).await?;
            clients.spawn(async move {
                let bytes = large(Way::ChatStream, chunked, 18_000_000, 100);
                let _ = client.stream.write_all(&bytes).await;
                std::future::pending::<()>().await;
            });
        }
        let (mut peak_kib, mut grew) = (0, Instant::now());
        while grew.elapsed() < Duration::from_secs(1) {
            let now_kib = binary.memory_kib()?;
            if now_kib > peak_kib {
                (peak_kib, grew) = (now_kib, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(peak_kib > 18_000, "one of them was read: {peak_kib} KiB");
        assert!(peak_kib < 100_000, "{peak_kib} KiB for bodies that may take 40 MB, chunked: {chunked}");
        clients.shutdown().await;
    }
    Ok(())
}

#[tokio::test]
async fn row_095_a_body_that_is_not_said_to_be_json_is_told_what_to_send() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let refused = [
        None,
        Some(""),
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/jsonx"),
        Some("application"),
        Some("json"),
        Some("application/json-seq"),
        Some("text/json"),
        Some("*/*"),
        Some("application/octet-stream; charset=utf-8"),
    ];
    for way in Way::ALL {
        for content_type in refused {
            let case = format!("{way:?} {content_type:?}");
            let before = Before::case(&proxy).await?;
            let headers: Vec<_> = content_type.map(|value| ("content-type", value)).into_iter().collect();
            let reply = way.post(&proxy, &headers, way.body().to_string()).await?;
            let sentence = way.refusal(&reply, 415, &case);
            assert!(sentence.contains("Content-Type: application/json"), "{case}: {sentence}");
            before.assert_nobody_was_asked(&proxy, &case).await?;
        }
        for content_type in ["application/json", "Application/JSON", "application/json ;x=y"] {
            let reply = way.post(&proxy, &[("content-type", content_type)], way.body().to_string()).await?;
            way.text(&reply, content_type);
        }
    }
    Ok(())
}

#[tokio::test]
async fn row_096_other_charsets_and_compressed_bodies_are_told_what_to_send() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let json = ("content-type", "application/json");
    let refused: &[&[(&str, &str)]] = &[
        &[("content-type", "application/json; charset=latin1")],
        &[("content-type", "application/json; Charset=\"utf-16\"")],
        &[("content-type", "application/json;charset=")],
        &[("content-type", "application/json; x=y; charset=iso-8859-1")],
        &[json, ("content-encoding", "gzip")],
        &[json, ("content-encoding", "br")],
        &[json, ("content-encoding", "identity, gzip")],
        &[json, ("content-encoding", "identity"), ("content-encoding", "zstd")],
        &[json, ("content-encoding", "rubbish")],
    ];
    let accepted: &[&[(&str, &str)]] = &[
        &[("content-type", "application/json; charset=UTF-8")],
        &[("content-type", "application/json;charset=\"utf-8\"")],
        &[("content-type", "application/json; charset=utf8")],
        &[json, ("content-encoding", "identity")],
        &[json, ("content-encoding", "Identity")],
    ];
    for way in Way::ALL {
        for headers in refused {
            let case = format!("{way:?} {headers:?}");
            let before = Before::case(&proxy).await?;
            let reply = way.post(&proxy, headers, way.body().to_string()).await?;
            let sentence = way.refusal(&reply, 415, &case);
            assert!(sentence.contains("Content-Type: application/json"), "{case}: {sentence}");
            before.assert_nobody_was_asked(&proxy, &case).await?;
        }
        for headers in accepted {
            let reply = way.post(&proxy, headers, way.body().to_string()).await?;
            way.text(&reply, &format!("{headers:?}"));
        }
    }
    Ok(())
}

/// What stands in every body that is refused, and must not be repeated to whoever reads the refusal.
const SECRET: &str = "canary";

#[tokio::test]
async fn row_097_what_is_no_json_is_told_where_and_not_quoted() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for way in Way::ALL {
        let mut good = way.body();
        good["user"] = json!(SECRET);
        good["messages"][0]["content"] = json!("Hola");
        let good = good.to_string();
        let with = |from: &str, to: &str| good.replacen(from, to, 1).into_bytes();
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("white space", b" \r\n\t".to_vec()),
            ("the beginning of an object", b"{".to_vec()),
            ("a brace too many", (good.clone() + "}").into_bytes()),
            ("half of it", good.as_bytes()[..good.len() / 2].to_vec()),
            ("all but the end", good.as_bytes()[..good.len() - 1].to_vec()),
            ("two byte order marks", format!("\u{feff}\u{feff}{good}").into_bytes()),
            ("two objects", (good.clone() + " {}").into_bytes()),
            ("lines of objects", format!("{good}\n{good}\n").into_bytes()),
            ("rubbish behind it", (good.clone() + SECRET).into_bytes()),
            ("a NUL behind it", (good.clone() + "\0").into_bytes()),
            ("rubbish before it", format!(")]}}',\n{good}").into_bytes()),
            ("a word", SECRET.as_bytes().to_vec()),
            ("a form", format!("messages={SECRET}").into_bytes()),
            ("XML", format!("<messages>{SECRET}</messages>").into_bytes()),
            ("a control character in a string", with("Hola", "Ho\u{1}la")),
            ("a line end in a string", with("Hola", "Ho\nla")),
            ("a NUL in a string", with("Hola", "Ho\0la")),
            ("an unknown escape", with("Hola", "Ho\\xla")),
            ("half an escape", with("Hola", "Ho\\u12")),
            ("a string without end", with(SECRET, "canary\\")),
            ("a comma too many", with("{", "{,")),
            ("a comma at the end", with("}", ",}")),
            ("no comma", with("[", "[{} ")),
            ("no colon", with("\":", "\" ")),
            ("no quotes", with("\"user\"", "user")),
            ("other quotes", good.replace('"', "'").into_bytes()),
            ("a comment", with("{", "{/* */")),
            ("a bracket for a brace", with("}", "]")),
            ("a name twice without a value", with("{", "{\"a\":\"a\":1,")),
            ("Python's words", with("{", "{\"a\":None,")),
            ("Python's truth", with("{", "{\"a\":True,")),
            ("JavaScript's word", with("{", "{\"a\":undefined,")),
            ("a number with a zero before it", with("{", "{\"a\":01,")),
            ("a number with a plus", with("{", "{\"a\":+1,")),
            ("a number without its end", with("{", "{\"a\":1.,")),
            ("a number without its beginning", with("{", "{\"a\":.5,")),
            ("a hexadecimal number", with("{", "{\"a\":0x10,")),
            ("a minus by itself", with("{", "{\"a\":-,")),
            ("an exponent without its end", with("{", "{\"a\":1e,")),
            ("broken UTF-8 in a string", [&with("Hola", "Ho")[..], b"\xff"].concat()),
            ("a byte that is no UTF-8", b"\xff".to_vec()),
            ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("latin 1", with("Hola", "Se\u{f1}or").into_iter().filter(|byte| *byte != 0xc3).collect()),
            ("a surrogate in UTF-8", [b"{\"a\":\"\xed\xa0\x80\",", &good.as_bytes()[1..]].concat()),
            ("a character in too many bytes", [b"{\"a\":\"\xc0\xaf\",", &good.as_bytes()[1..]].concat()),
            ("half a character", [&good.as_bytes()[..good.len() - 1], b"\xe2\x82"].concat()),
        ];
        for (case, body) in cases {
            let name = format!("{way:?} {case}");
            let before = Before::case(&proxy).await?;
            let reply = way.post_json(&proxy, body).await?;
            let sentence = way.refusal(&reply, 400, case);
            assert!(sentence.starts_with("Request body is not valid JSON: "), "{name}: {sentence}");
            let place = ["line ", "index ", "invalid utf-8"].iter().any(|word| sentence.contains(word));
            assert!(place, "{name}: where? {sentence}");
            assert!(!reply.text().contains(SECRET) && !reply.text().contains("Hola"), "{name}: {sentence}");
            before.assert_nobody_was_asked(&proxy, &name).await?;
        }
        for (kind, body) in [
            ("an array", "[]"),
            ("null", "null"),
            ("a string", "\"canary\""),
            ("a number", "7"),
            ("a boolean", "true"),
        ] {
            let reply = way.post_json(&proxy, body).await?;
            let sentence = way.refusal(&reply, 400, kind);
            assert_eq!(sentence, format!("Request body must be a JSON object, not {kind}"), "{way:?}");
        }
    }
    Ok(())
}

/// What a shell of Windows makes of the documents' line, and what else has a known cause (curl/curl#4737).
#[tokio::test]
async fn row_097_what_a_shell_has_eaten_is_told_so() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    let utf_16 = |text: &str, mark: bool, is_big: bool| -> Vec<u8> {
        let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
        units.flat_map(|unit: u16| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let good = Way::ChatStream.body().to_string();
    let (cmd, powershell) = (r#"-d "{\"messages\":[…]}""#, r#"-d '{\"messages\":[…]}'"#);
    let other = r#"-d '{"messages":[…]}'"#;
    let cases: Vec<(&str, Vec<u8>, Vec<&str>)> = vec![
        ("cmd.exe", b"'{messages:[{role:user,content:canary a joke}]}'".to_vec(), vec!["single quote", cmd]),
        ("cmd.exe, cut at a blank", b" '{".to_vec(), vec!["single quote", cmd]),
        (
            "PowerShell",
            b"{messages:[{role:user,content:Tell".to_vec(),
            vec!["no quotes", powershell, "@body.json"],
        ),
        ("PowerShell, with blanks", b"{ messages : []}".to_vec(), vec!["no quotes", powershell]),
        ("quoted once too often", format!("\"{good}\"").into_bytes(), vec!["quotes", other]),
        ("backslashes passed on", good.replace('"', "\\\"").into_bytes(), vec!["backslashes", other]),
        ("Python's own form", good.replace('"', "'").into_bytes(), vec!["double quotes"]),
        ("UTF-16", utf_16(&good, true, false), vec!["UTF-16: send UTF-8"]),
        ("UTF-16, big end first", utf_16(&good, true, true), vec!["UTF-16: send UTF-8"]),
        ("UTF-16 without a mark", utf_16(&good, false, false), vec!["UTF-16: send UTF-8"]),
        ("UTF-16 without a mark, big end first", utf_16(&good, false, true), vec!["UTF-16: send UTF-8"]),
        (
            "Latin-1",
            good.replace("canary", "\u{1}").bytes().map(|it| if it == 1 { 0xf1 } else { it }).collect(),
            vec!["JSON is sent in UTF-8"],
        ),
    ];
    for way in Way::SURFACES {
        for (case, body, words) in &cases {
            let reply = way.post_json(&proxy, body.clone()).await?;
            let sentence = way.refusal(&reply, 400, case);
            assert!(sentence.starts_with("Request body is not valid JSON: "), "{way:?} {case}: {sentence}");
            for word in words {
                assert!(sentence.contains(word), "{way:?} {case}: {word:?} is not in: {sentence}");
            }
            assert!(!sentence.contains("canary"), "{way:?} {case}: {sentence}");
        }
        // To cmd.exe the blank within single quotes ends the header, and curl sends its default.
        let form = "application/x-www-form-urlencoded";
        for (content_type, is_told) in [
            (form, true),
            ("Application/X-WWW-Form-URLencoded; charset=utf-8", true),
            ("text/plain", false),
            ("multipart/form-data", false),
        ] {
            let reply = way.post(&proxy, &[("content-type", content_type)], "'{messages:").await?;
            let sentence = way.refusal(&reply, 415, content_type);
            let line = r#"-H "Content-Type: application/json" -d "{\"messages\":[…]}""#;
            assert!(sentence.contains("Send 'Content-Type: application/json'"), "{way:?}: {sentence}");
            let has_advice = sentence.contains("cmd.exe") && sentence.contains(line);
            assert_eq!(has_advice, is_told, "{way:?} {content_type}: {sentence}");
        }
        let marked = format!("\u{feff}{}", way.body());
        let reply = way.post_json(&proxy, marked.into_bytes()).await?;
        way.text(&reply, "a byte order mark is passed over");
        for other in ["{\"messages\"", "{", "{}x", "[", ""] {
            let sentence = way.refusal(&way.post_json(&proxy, other).await?, 400, other);
            let has_advice = ["cmd.exe", "PowerShell", "UTF"].iter().any(|word| sentence.contains(word));
            assert!(!has_advice, "{way:?} {other}: {sentence}");
        }
    }
    Ok(())
}

/// No depth and no number is too much to be refused, or to be passed over where nobody looks at it.
#[tokio::test(flavor = "multi_thread")]
async fn row_098_depths_and_numbers_beyond_measure_cost_no_answer() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for way in Way::SURFACES {
        let asking = |name: &str, value: &str| {
            let mut rest = way.body();
            rest.as_object_mut().expect("an object").remove(name);
            format!("{{\"{name}\":{value},{}", rest.to_string().strip_prefix('{').expect("an object"))
        };
        let mut refused: Vec<(String, String)> = Vec::new();
        for depth in [129, 10_000, 100_000] {
            let lists = nested("[", "1", "]", depth);
            let objects = nested("{\"a\":", "1", "}", depth);
            refused.extend([
                (format!("{depth} lists"), lists.clone()),
                (format!("{depth} objects"), objects.clone()),
                (format!("{depth} lists as messages"), format!("{{\"messages\":{lists}}}")),
                (format!("{depth} lists as content"), {
                    format!("{{\"messages\":[{{\"role\":\"user\",\"content\":{lists}}}]}}")
                }),
                (format!("{depth} objects as content"), {
                    format!("{{\"messages\":[{{\"role\":\"user\",\"content\":{objects}}}]}}")
                }),
                (format!("{depth} lists as temperature"), asking("temperature", &lists)),
                (format!("{depth} lists without end"), "[".repeat(depth)),
                (format!("{depth} objects without end"), "{\"a\":".repeat(depth)),
            ]);
        }
        let digits = "9".repeat(10_000);
        for number in ["1e400", "-1e400", digits.as_str(), "1e99999999999"] {
            for field in ["temperature", "stream", "model"] {
                let number_cut: String = number.chars().take(20).collect();
                refused.push((format!("{field}: {number_cut}"), asking(field, number)));
            }
        }
        for word in ["NaN", "Infinity", "-Infinity", "-NaN", "1e", "inf"] {
            refused.push((format!("a field that nobody reads: {word}"), asking("x", word)));
            refused.push((format!("temperature: {word}"), asking("temperature", word)));
        }
        for (case, body) in refused {
            let before = Before::case(&proxy).await?;
            let reply = way.post_json(&proxy, body).await?;
            way.refusal(&reply, 400, &case);
            before.assert_nobody_was_asked(&proxy, &format!("{way:?} {case}")).await?;
        }
        let ignored = [
            ("lists", nested("[", "1", "]", 100_000)),
            ("objects", nested("{\"a\":", "1", "}", 100_000)),
            ("a number", "1e400".to_owned()),
            ("digits", digits),
        ];
        for (case, value) in ignored {
            let reply = way.post_json(&proxy, asking("x", &value)).await?;
            way.text(&reply, &format!("{case} that nobody reads"));
        }
    }
    Ok(())
}

/// Schemas and arguments go from end to end, and some providers want them written otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn row_098_deep_schemas_and_arguments_bring_nobody_down() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for depth in [100, 129, 5_000] {
        let schema = nested("{\"type\":\"object\",\"properties\":{\"a\":", "{}", "}}", depth);
        let items = nested("{\"items\":", "{}", "}", depth);
        let any = nested("{\"anyOf\":[", "{}", "]}", depth);
        let lists = nested("[", "1", "]", depth);
        let tools = |schema: &str| {
            format!(
                "\"tools\":[{{\"type\":\"function\",\"function\":{{\"name\":\"f\",\"parameters\":{schema}}}}}]"
            )
        };
        let format = |schema: &str| {
            format!(
                "\"response_format\":{{\"type\":\"json_schema\",\"json_schema\":{{\"name\":\"x\",\"schema\":{schema}}}}}"
            )
        };
        let arguments = |text: &str| {
            let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": text}});
            let messages = json!([{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "a", "content": text}]);
            format!("\"messages\":{messages},{}", tools("{\"type\":\"object\"}"))
        };
        let messages = "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]";
        let cases = [
            ("objects in a tool", format!("{messages},{}", tools(&schema))),
            ("lists in a tool", format!("{messages},{}", tools(&items))),
            ("choices in a tool", format!("{messages},{}", tools(&any))),
            ("values in a tool", format!("{messages},{}", tools(&format!("{{\"enum\":[{lists}]}}")))),
            ("objects in the format", format!("{messages},{}", format(&schema))),
            ("choices in the format", format!("{messages},{}", format(&any))),
            ("arguments", arguments(&lists)),
            ("arguments that are objects", arguments(&nested("{\"a\":", "1", "}", depth))),
            ("arguments without end", arguments(&"[".repeat(depth))),
        ];
        for (case, fields) in cases {
            for provider in Directory::core() {
                let case = format!("{depth} {case} to {}", provider.name());
                let body = format!("{{\"model\":\"{}\",{fields}}}", provider.name());
                let reply = Way::OpenAiWhole.post_json(&proxy, body).await?;
                assert!([200, 400].contains(&reply.status), "{case}: {} {}", reply.status, reply.text());
            }
        }
    }
    Ok(())
}
