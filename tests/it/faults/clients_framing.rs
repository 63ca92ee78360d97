//! Rows 84 and 85: heads that are too large, and requests of which nobody can say where they end.

use super::ways::{Before, PROMPT, Way, assert_unreadable, converse, patient_proxy};
use crate::support::Reply;

#[tokio::test]
async fn row_084_heads_that_are_too_large_are_refused_with_a_reason() -> anyhow::Result<()> {
    let proxy = patient_proxy().await?;
    let many = |count: usize| (0..count).map(|index| format!("x-{index}: y\r\n")).collect::<String>();
    let long = |bytes: usize| format!("x-long: {}\r\n", "y".repeat(bytes));
    let cases = [
        ("101 headers", many(98), 431),
        ("over 32 KiB", long(33_000), 431),
        ("far too many", many(2_000), 431),
        ("far too long", long(300_000), 431),
        ("half a megabyte of them", long(50_000).repeat(10), 431),
    ];
    for way in Way::SURFACES {
        for (case, headers, status) in &cases {
            let before = Before::case(&proxy).await?;
            // Three more stand in every head, and this one.
            let bytes = way.head(&format!("connection: close\r\n{headers}")).replace("accept: */*\r\n", "");
            let replies = converse(&proxy, case, bytes.as_bytes()).await?;
            let [reply] = replies.as_slice() else { panic!("{way:?} {case}: {replies:?}") };
            assert_unreadable(reply, *status, &format!("{way:?} {case}"));
            before.assert_nobody_was_asked(&proxy, &format!("{way:?} {case}")).await?;
        }
        for (case, bytes, status) in [("33 KB", 33_000, 414), ("64 KiB", 65_536, 414), ("70 KB", 70_000, 414)]
        {
            let before = Before::case(&proxy).await?;
            let path = format!("{}?{}", way.path(), "y".repeat(bytes));
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            let replies = converse(&proxy, case, request.as_bytes()).await?;
            let [reply] = replies.as_slice() else { panic!("{way:?} a URI of {case}: {replies:?}") };
            assert_unreadable(reply, status, &format!("{way:?} a URI of {case}"));
            before.assert_nobody_was_asked(&proxy, case).await?;
        }
        // As much as is allowed.
        for (case, headers) in [("100 headers", many(95)), ("nearly 32 KiB", long(32_000))] {
            let request = way.request(&format!("connection: close\r\n{headers}"), &way.body());
            let replies = converse(&proxy, case, request.as_bytes()).await?;
            let [reply] = replies.as_slice() else { panic!("{way:?} {case}: {replies:?}") };
            way.text(reply, case);
        }
    }
    Ok(())
}

/// A request that has come after another one whose end is in doubt: it must never be seen.
const SMUGGLED: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Heads and bodies whose end two readers may see in different places, and other malformed ones: headers, then what
/// follows the head.
fn smuggling(length: usize, body: &str) -> Vec<(&'static str, String, String)> {
    let sized = format!("{length:x}\r\n{body}\r\n");
    let chunked = format!("{sized}0\r\n\r\n");
    let mut cases = Vec::new();
    for (case, headers) in [
        ("different lengths", format!("content-length: {length}\r\ncontent-length: {}\r\n", length + 1)),
        (
            "different lengths, the larger first",
            format!("content-length: 999\r\ncontent-length: {length}\r\n"),
        ),
        ("a list of equal lengths", format!("content-length: {length}, {length}\r\n")),
        ("a list of different lengths", format!("content-length: {length}, 3\r\n")),
        ("a length with a plus", format!("content-length: +{length}\r\n")),
        ("a length below nothing", format!("content-length: -{length}\r\n")),
        ("a length in hexadecimal", format!("content-length: 0x{length:x}\r\n")),
        ("a length in hexadecimal without prefix", "content-length: 1f\r\n".to_owned()),
        ("a fraction", format!("content-length: {length}.0\r\n")),
        ("an empty length", "content-length: \r\n".to_owned()),
        ("a length in two words", "content-length: 1 5\r\n".to_owned()),
        ("a length with an exponent", "content-length: 1e1\r\n".to_owned()),
        ("a length with a parameter", format!("content-length: {length};x\r\n")),
        ("a quoted length", format!("content-length: \"{length}\"\r\n")),
        ("a length above all numbers", "content-length: 18446744073709551616\r\n".to_owned()),
        ("a length of thirty digits", format!("content-length: {}\r\n", "9".repeat(30))),
        ("a length that is a word", "content-length: chunked\r\n".to_owned()),
        ("a space before the colon of the length", format!("content-length : {length}\r\n")),
        ("a folded length", format!("content-length:\r\n {length}\r\n")),
        ("a folded length with a tab", format!("content-length:\r\n\t{length}\r\n")),
        ("a NUL in a value", format!("x-a: a\0b\r\ncontent-length: {length}\r\n")),
        ("a NUL in a name", format!("x\0: a\r\ncontent-length: {length}\r\n")),
        ("a line feed in a name", format!("x\n: a\r\ncontent-length: {length}\r\n")),
        ("a carriage return in a value", format!("x-a: a\rb\r\ncontent-length: {length}\r\n")),
        ("a carriage return for a line end", format!("x-a: a\rcontent-length: {length}\r\n")),
        ("DEL in a value", format!("x-a: a\u{7f}b\r\ncontent-length: {length}\r\n")),
        ("a bell in a name", format!("x\u{7}y: a\r\ncontent-length: {length}\r\n")),
        ("brackets in a name", format!("x(y): a\r\ncontent-length: {length}\r\n")),
        ("a header without a colon", format!("rubbish\r\ncontent-length: {length}\r\n")),
        ("a header without a name", format!(": a\r\ncontent-length: {length}\r\n")),
        ("a header that begins with a space", format!(" x-a: b\r\ncontent-length: {length}\r\n")),
    ] {
        cases.push((case, headers, body.to_owned()));
    }
    for (case, headers) in [
        ("a length and another coding", format!("transfer-encoding: cow\r\ncontent-length: {length}\r\n")),
        ("no coding", "transfer-encoding: identity\r\n".to_owned()),
        ("an unknown coding", "transfer-encoding: xchunked\r\n".to_owned()),
        ("a coding that begins well", "transfer-encoding: chunkedx\r\n".to_owned()),
        ("chunks compressed", "transfer-encoding: chunked, gzip\r\n".to_owned()),
        ("compressed in chunks", "transfer-encoding: gzip, chunked\r\n".to_owned()),
        ("chunks in chunks", "transfer-encoding: chunked, chunked\r\n".to_owned()),
        ("no coding in chunks", "transfer-encoding: identity, chunked\r\n".to_owned()),
        ("chunks twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n".to_owned()),
        ("chunks, then not", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned()),
        ("not, then chunks", "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n".to_owned()),
        ("an empty coding", "transfer-encoding: \r\n".to_owned()),
        ("an empty coding before chunks", "transfer-encoding: , chunked\r\n".to_owned()),
        ("an empty coding after chunks", "transfer-encoding: chunked,\r\n".to_owned()),
        ("a quoted coding", "transfer-encoding: \"chunked\"\r\n".to_owned()),
        ("a coding with a parameter", "transfer-encoding: chunked;q=1\r\n".to_owned()),
        ("a vertical tab before the coding", "transfer-encoding: \u{b}chunked\r\n".to_owned()),
        ("a space before the colon of the coding", "transfer-encoding : chunked\r\n".to_owned()),
        ("a folded coding", "transfer-encoding:\r\n chunked\r\n".to_owned()),
    ] {
        cases.push((case, headers, chunked.clone()));
    }
    let many = |byte: char| byte.to_string().repeat(20_000);
    for (case, chunks) in [
        ("line feeds in chunks", format!("{length:x}\n{body}\n0\n\n")),
        ("a line feed after a size", format!("{length:x}\n{body}\r\n0\r\n\r\n")),
        ("a line feed after a chunk", format!("{length:x}\r\n{body}\n0\r\n\r\n")),
        ("a size with a prefix", format!("0x{length:x}\r\n{body}\r\n0\r\n\r\n")),
        ("a size with a plus", format!("+{length:x}\r\n{body}\r\n0\r\n\r\n")),
        ("a size below nothing", format!("-{length:x}\r\n{body}\r\n0\r\n\r\n")),
        ("a size that is none", format!("{length:x}g\r\n{body}\r\n0\r\n\r\n")),
        ("an empty size", format!("\r\n{body}\r\n0\r\n\r\n")),
        ("a space before a size", format!(" {length:x}\r\n{body}\r\n0\r\n\r\n")),
        ("a size above all numbers", format!("1000000000000000f\r\n{body}\r\n0\r\n\r\n")),
        ("a chunk longer than its size", format!("{:x}\r\n{body}\r\n0\r\n\r\n", length - 1)),
        ("a line feed in an extension", format!("{length:x};a\nb\r\n{body}\r\n0\r\n\r\n")),
        ("a carriage return in an extension", format!("{length:x};a\rb\r\n{body}\r\n0\r\n\r\n")),
        ("an endless extension", format!("{length:x};{}\r\n{body}\r\n0\r\n\r\n", many('a'))),
        ("a trailer without end", format!("{sized}0\r\nx: {}\r\n\r\n", many('a').repeat(10))),
        ("a trailer that is none", format!("{sized}0\r\nrubbish\r\n\r\n")),
    ] {
        cases.push((case, "transfer-encoding: chunked\r\n".to_owned(), chunks));
    }
    cases
}

/// Who can be read in two ways is not read at all: one refusal, and the connection ends without looking at what follows.
#[tokio::test]
async fn row_085_what_two_readers_could_read_in_two_ways_is_refused() -> anyhow::Result<()> {
    let proxy = patient_proxy().await?;
    let mut mistakes = Vec::new();
    for way in Way::SURFACES {
        let body = way.body().to_string();
        let mut cases: Vec<(String, Vec<u8>)> = smuggling(body.len(), &body)
            .into_iter()
            .map(|(case, headers, rest)| (case.to_owned(), (way.head(&headers) + &rest).into_bytes()))
            .collect();
        let old = |headers: &str| way.head(headers).replace("HTTP/1.1", "HTTP/1.0") + &body;
        let line = |line: &str| way.request("", &way.body()).replacen("HTTP/1.1", line, 1);
        let spoilt = |from: &str, to: &str| way.request("", &way.body()).replacen(from, to, 1);
        for (case, request) in [
            ("chunks over HTTP/1.0", old("transfer-encoding: chunked\r\n")),
            ("chunks and a length over HTTP/1.0", {
                old(&format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n", body.len()))
            }),
            ("a version that is none", line("HTTP/1.1x")),
            ("a version to come", line("HTTP/1.2")),
            ("another version", line("HTTP/2.0")),
            ("no version", line("")),
            ("two spaces", spoilt("POST ", "POST  ")),
            ("a method that is none", spoilt("POST ", "P@ST( ")),
            ("a space in the path", spoilt("POST /", "POST / ")),
            ("a NUL in the path", spoilt("POST /", "POST /\0")),
        ] {
            cases.push((case.to_owned(), request.into_bytes()));
        }
        for (case, mut request) in cases {
            let name = format!("{way:?} {case}");
            let before = Before::case(&proxy).await?;
            request.extend_from_slice(SMUGGLED.as_bytes());
            let replies = converse(&proxy, &name, &request).await?;
            // All mistakes at once, since the table is long.
            if let [reply] = replies.as_slice()
                && reply.status == 400
                && !reply.body.is_empty()
            {
                assert_unreadable(reply, 400, &name);
                before.assert_nobody_was_asked(&proxy, &name).await?;
            } else {
                let told: Vec<_> = replies.iter().map(|reply| (reply.status, reply.text())).collect();
                mistakes.push(format!("{name}: {told:?}"));
            }
        }
    }
    assert!(mistakes.is_empty(), "not refused once with 400 and a reason: {mistakes:#?}");
    Ok(())
}

/// The chunks say where the request ends. A reader before us may believe the length, so what stands behind is never read.
#[tokio::test]
async fn row_085_behind_a_length_beside_chunks_nothing_is_read() -> anyhow::Result<()> {
    for (case, replies) in length_beside_chunks().await? {
        let [reply] = replies.as_slice() else { panic!("{case}: {replies:?}") };
        assert!(reply.text().contains(PROMPT), "{case}: {}", reply.text());
    }
    Ok(())
}

/// What is answered to requests with both, until the connection ends.
async fn length_beside_chunks() -> anyhow::Result<Vec<(String, Vec<Reply>)>> {
    let proxy = patient_proxy().await?;
    let mut answered = Vec::new();
    for way in Way::SURFACES {
        let body = way.body().to_string();
        let length = body.len();
        let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
        for (case, headers) in [
            ("a length and chunks", format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n")),
            ("chunks and a length", format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n")),
            ("chunks and no length", "transfer-encoding: chunked\r\ncontent-length: 0\r\n".to_owned()),
            ("chunks and the length of the chunks", {
                format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", chunked.len())
            }),
        ] {
            let case = format!("{way:?} {case}");
            let request = way.head(&headers) + &chunked + SMUGGLED;
            answered.push((case.clone(), converse(&proxy, &case, request.as_bytes()).await?));
        }
    }
    Ok(answered)
}

/// What can be read in one way only is read, also if it is unusual.
#[tokio::test]
async fn row_085_what_is_merely_unusual_is_read() -> anyhow::Result<()> {
    let proxy = patient_proxy().await?;
    for way in Way::SURFACES {
        let body = way.body().to_string();
        let length = body.len();
        let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
        let (first, second) = body.split_at(10);
        let cases = [
            (
                "the same length twice",
                format!("content-length: {length}\r\ncontent-length: {length}\r\n"),
                body.clone(),
            ),
            ("a length with a zero before it", format!("content-length: 0{length}\r\n"), body.clone()),
            ("CHUNKED", "Transfer-Encoding: CHUNKED\r\n".to_owned(), chunked.clone()),
            ("tabs around the coding", "transfer-encoding:\t chunked \t\r\n".to_owned(), chunked.clone()),
            ("several chunks", "transfer-encoding: chunked\r\n".to_owned(), {
                format!("A\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len())
            }),
            ("an extension", "transfer-encoding: chunked\r\n".to_owned(), {
                format!("{length:x};a=b\r\n{body}\r\n0;c\r\n\r\n")
            }),
            (
                "a size with zeros before it",
                "transfer-encoding: chunked\r\n".to_owned(),
                format!("000{chunked}"),
            ),
            ("trailers", "transfer-encoding: chunked\r\ntrailer: x-a\r\n".to_owned(), {
                format!("{length:x}\r\n{body}\r\n0\r\nx-a: b\r\ncontent-length: 7\r\n\r\n")
            }),
        ];
        for (case, headers, rest) in cases {
            let name = format!("{way:?} {case}");
            let before = Before::case(&proxy).await?;
            // The next request begins where this one ends.
            let next = "GET /nowhere HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            let request = format!("{}{rest}{next}", way.head(&headers));
            let replies = converse(&proxy, &name, request.as_bytes()).await?;
            let [reply, next] = replies.as_slice() else { panic!("{name}: {replies:?}") };
            assert!(way.text(reply, &name).contains(PROMPT), "{name}: {}", reply.text());
            assert_eq!(next.status, 404, "{name}: {}", next.text());
            before.assert_asked(&proxy, 1, &name).await?;
        }
    }
    Ok(())
}
