//! Rows 94 to 106: bodies that are too large, not JSON, or ask for what there is not.

use std::collections::BTreeMap;

use ai_proxy_free::providers::Provider;
use ai_proxy_free::simulator::{Settings, Simulator};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::ways::{Before, Way, converse, ending, read_replies};
use crate::support::{Binary, RawClient, Reply, TestProxy, http_client, within_patience};

/// More than anybody may send, as in MAX_BODY_BYTES's default.
const TOO_MANY_BYTES: usize = 30_000_000;

#[tokio::test]
async fn row_094_a_body_over_the_limit_is_refused_however_it_is_sent() -> anyhow::Result<()> {
    let proxy = TestProxy::builder().with("HEADER_READ_TIMEOUT_MS", 600_000).start().await?;
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
        let good = good.to_string();
        let with = |from: &str, to: &str| good.replacen(from, to, 1).into_bytes();
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("nothing", Vec::new()),
            ("white space", b" \r\n\t".to_vec()),
            ("the beginning of an object", b"{".to_vec()),
            ("a brace too many", (good.clone() + "}").into_bytes()),
            ("half of it", good.as_bytes()[..good.len() / 2].to_vec()),
            ("all but the end", good.as_bytes()[..good.len() - 1].to_vec()),
            ("a byte order mark", format!("\u{feff}{good}").into_bytes()),
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

/// `depth` times `open` around `core`.
fn nested(open: &str, core: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + core + &close.repeat(depth)
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
            for provider in Provider::ALL {
                let case = format!("{depth} {case} to {}", provider.name());
                let body = format!("{{\"model\":\"{}\",{fields}}}", provider.name());
                let reply = Way::OpenAiWhole.post_json(&proxy, body).await?;
                assert!([200, 400].contains(&reply.status), "{case}: {} {}", reply.status, reply.text());
            }
        }
    }
    Ok(())
}

/// Values that hardly any field wants.
fn absurd_values() -> Vec<String> {
    let mut values: Vec<String> = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "2",
        "7",
        "-0",
        "0.0",
        "1.0",
        "0.5",
        "-0.5",
        "1.5",
        "2.1",
        "1e1",
        "1e-400",
        "1e400",
        "-1e400",
        "1e22",
        "1000",
        "2147483648",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "\"\"",
        "\" \"",
        "\"x\"",
        "\"0\"",
        "\"true\"",
        "\"null\"",
        "\"NaN\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\ud83c\\udf88\"",
        "\"é🎈\"",
        "\"../../etc/passwd\"",
        "\"' OR 1=1 --\"",
        "\"${jndi:ldap://x}\"",
        "\"http://127.0.0.1/\"",
        "[]",
        "[null]",
        "[1]",
        "[\"x\"]",
        "[[]]",
        "[{}]",
        "{}",
        "{\"x\":1}",
        "{\"\":null}",
        "{\"type\":\"x\"}",
        "{\"role\":\"user\",\"content\":\"x\"}",
        "{\"__proto__\":{\"x\":1}}",
        "{\"$ref\":\"#\"}",
    ]
    .map(str::to_owned)
    .into();
    values.extend([
        format!("\"{}\"", "x".repeat(100_000)),
        format!("[{}0]", "0,".repeat(100_000)),
        format!("[{}\"x\"]", "\"x\",".repeat(1_000)),
        "9".repeat(300),
        nested("[", "", "]", 100),
        nested("{\"a\":", "1", "}", 100),
    ]);
    values
}

/// Whether a field takes a value: those that mean something, and of the others what its documentation says.
fn is_taken(way: Way, field: &str, value: &str) -> bool {
    let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
    let within = |least, most| number.is_some_and(|number| (least..=most).contains(&number));
    // Also those that are written as `7.0`, where the dialect allows it.
    let whole = value.parse::<i64>().ok().or_else(|| {
        let number = number.filter(|number| number.fract() == 0.0 && number.abs() < 9e18);
        number.filter(|_| value.contains(['.', 'e'])).map(|number| number as i64)
    });
    let text = || value.starts_with('"') && !value.contains("ud800");
    value == "null" && field != "messages"
        || match (way.is_openai(), field) {
            (_, "stream" | "parallel_tool_calls") => ["true", "false"].contains(&value),
            (_, "temperature") => within(0.0, 2.0),
            (_, "top_p") => within(0.0, 1.0),
            (_, "frequency_penalty" | "presence_penalty") => within(-2.0, 2.0),
            // Above what any model has it means «as many as there are», and so does -1 at OpenAI.
            (false, "max_tokens") => value.parse::<u64>().is_ok_and(|number| number >= 1),
            (true, "max_tokens" | "max_completion_tokens") => {
                whole.is_some_and(|number| number == -1 || number >= 1)
            }
            (_, "seed") => whole.is_some(),
            (true, "model") => value == "\"\"",
            (_, "user") => text(),
            (_, "stop") => text() || ["[]", "[\"x\"]"].contains(&value),
            (_, "stream_options") => value.starts_with('{'),
            (_, "tools" | "modalities" | "functions") => value == "[]",
            (_, "logit_bias") => value == "{}",
            (_, "n") => ["1", "1.0"].contains(&value),
            (_, "logprobs") => value == "false",
            (_, "top_logprobs") => value == "0",
            (_, "nobody_knows_this") => true,
            _ => false,
        }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_100_absurd_values_are_refused_or_taken_as_documented() -> anyhow::Result<()> {
    const CHAT: &[&str] =
        &["messages", "stream", "temperature", "max_tokens", "provider", "model", "nobody_knows_this"];
    const OPENAI: &[&str] = &[
        "messages",
        "model",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "user",
        "reasoning_effort",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "n",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "modalities",
        "audio",
        "functions",
        "function_call",
        "web_search_options",
        "nobody_knows_this",
    ];
    let proxy = TestProxy::start().await?;
    let client = http_client()?;
    let mut mistakes = Vec::new();
    for (way, fields) in [(Way::ChatStream, CHAT), (Way::OpenAiWhole, OPENAI)] {
        for field in fields {
            for value in absurd_values() {
                let short: String = value.chars().take(40).collect();
                let case = format!("'{field}' is {short}");
                let mut rest = way.body();
                rest.as_object_mut().expect("an object").remove(*field);
                let rest = rest.to_string();
                let comma = if rest == "{}" { "" } else { "," };
                let body = format!("{{\"{field}\":{value}{comma}{}", &rest[1..]);
                let calls = proxy.upstream_calls();
                let reply =
                    way.post_from(&client, &proxy, &[("content-type", "application/json")], body).await?;
                let calls = proxy.upstream_calls() - calls;
                if is_taken(way, field, &value) {
                    if (reply.status, calls) != (200, 1) {
                        mistakes.push(format!("{way:?} {case}: {} {calls} {}", reply.status, reply.text()));
                    }
                    continue;
                }
                // A string may be the name of a model that there is not.
                let is_name = way.is_openai()
                    && *field == "model"
                    && value.starts_with('"')
                    && !value.contains("ud800");
                if (reply.status, calls) != (if is_name { 404 } else { 400 }, 0) {
                    mistakes.push(format!("{way:?} {case}: {} {calls} {}", reply.status, reply.text()));
                    continue;
                }
                let sentence = way.refusal(&reply, reply.status, &case);
                assert!(sentence.contains(field) || field.contains("model"), "{way:?} {case}: {sentence}");
                assert!(sentence.len() < 1_000, "{way:?} {case}: {} bytes", sentence.len());
            }
        }
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    Before::case(&proxy).await?.assert_nobody_was_asked(&proxy, "after all that").await
}

#[tokio::test(flavor = "multi_thread")]
async fn row_100_very_long_conversations_are_read_and_told_to_be_too_long() -> anyhow::Result<()> {
    let proxy = TestProxy::start().await?;
    for way in Way::SURFACES {
        for (count, words, status) in [(10_000, "x", 200), (100_000, "word ", 400)] {
            let case = format!("{count} messages");
            let before = Before::case(&proxy).await?;
            let mut body = way.body();
            body["messages"] = vec![json!({"role": "user", "content": words.repeat(20)}); count].into();
            let reply = way.post_json(&proxy, body.to_string()).await?;
            if status == 200 {
                way.text(&reply, &case);
            } else {
                let sentence = way.refusal(&reply, status, &case);
                assert!(
                    sentence.contains("cannot take in a conversation of this length"),
                    "{way:?}: {sentence}"
                );
            }
            before.assert_asked(&proxy, u64::from(status == 200), &format!("{way:?} {case}")).await?;
        }
    }
    Ok(())
}

/// Any JSON whatever, often with the names that are looked for.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "user",
            "assistant",
            "tool",
            "system",
            "auto",
            "function",
            "json_schema",
            "x"
        ])
        .prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "messages",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "tool_calls",
        "tool_call_id",
        "id",
        "function",
        "name",
        "arguments",
        "parameters",
        "tools",
        "tool_choice",
        "response_format",
        "json_schema",
        "schema",
        "stream",
        "model",
        "provider",
        "stop",
        "n",
        "allowed_tools",
        "mode",
        "extra_content",
        "properties",
        "$ref",
        "anyOf",
    ]);
    leaf.prop_recursive(6, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..8).prop_map(|entries| entries
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

#[test]
fn row_100_no_json_whatever_is_answered_with_a_failure_of_ours() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (proxy, client) =
        runtime.block_on(async { anyhow::Ok((TestProxy::start().await?, http_client()?)) })?;
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let strategy = (any_json(), any::<bool>(), prop::sample::select(Way::ALL.to_vec()));
    let outcome = TestRunner::new(config).run(&strategy, |(json, is_whole, way)| {
        let body = if is_whole {
            json
        } else {
            // A question in which something is wrong.
            let mut body = way.body();
            for (name, value) in json.as_object().into_iter().flatten().filter(|(name, _)| *name != "stream")
            {
                body[name] = value.clone();
            }
            body
        };
        let headers = [("content-type", "application/json")];
        let reply = runtime.block_on(way.post_from(&client, &proxy, &headers, body.to_string()));
        let reply = reply.map_err(|error| TestCaseError::fail(format!("{way:?} {body}: {error}")))?;
        if reply.status != 200 {
            prop_assert!(
                [400, 404].contains(&reply.status),
                "{way:?} {body}: {} {}",
                reply.status,
                reply.text()
            );
            way.refusal(&reply, reply.status, "any JSON");
        } else if !is_whole {
            way.text(&reply, "a question after all");
        }
        Ok(())
    });
    runtime.block_on(async {
        Before::case(&proxy).await?.assert_nobody_was_asked(&proxy, "after all that").await
    })?;
    outcome.map_err(|error| anyhow::anyhow!("{error}"))
}

/// Nothing that a client says leads the proxy elsewhere, or gets past it to a provider.
#[tokio::test]
async fn row_104_a_client_cannot_steer_the_connection() -> anyhow::Result<()> {
    let elsewhere = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", elsewhere.local_addr()?);
    let headers: Vec<(&str, &str)> = [
        "x-forwarded-host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "forwarded",
        "x-original-url",
        "x-rewrite-url",
        "x-upstream-host",
        "x-host",
        "x-base-url",
        "x-api-base",
        "x-portkey-custom-host",
        "helicone-target-url",
        "proxy-authorization",
        "authorization",
        "x-api-key",
        "x-goog-api-key",
        "api-key",
        "cookie",
        "referer",
        "origin",
        "user-agent",
        "via",
        "x-stainless-lang",
        "openai-organization",
        "x-goog-user-project",
        "accept-encoding",
        "te",
        "upgrade",
        "traceparent",
    ]
    .map(|name| (name, url.as_str()))
    .into();
    let mut fields = BTreeMap::new();
    for name in [
        "api_base",
        "base_url",
        "baseURL",
        "api_url",
        "endpoint",
        "host",
        "url",
        "proxy",
        "api_key",
        "apiKey",
        "key",
        "authorization",
        "headers",
        "extra_headers",
        "extra_body",
        "extra_query",
        "default_headers",
        "custom_llm_provider",
        "api_type",
        "api_version",
        "organization",
        "project",
        "fallbacks",
        "webhook",
        "callback_url",
        "service_tier",
    ] {
        fields.insert(name, json!(url));
    }
    fields.insert("headers", json!({"authorization": url, "host": url}));
    fields.insert("extra_headers", json!({"x-secret": url}));
    fields.insert("extra_body", json!({"base_url": url, "model": url}));
    let proxy = TestProxy::start().await?;
    let expected = ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"];
    for way in Way::ALL {
        for provider in Provider::ALL {
            let case = format!("{way:?} {provider:?}");
            let before = Before::case(&proxy).await?;
            let mut body = way.body_for(provider);
            for (name, value) in &fields {
                body[*name] = value.clone();
            }
            let calls = proxy.provider(provider).chats().len();
            let json = [("content-type", "application/json")];
            let all = [&headers[..], &json].concat();
            let client = http_client()?;
            let query = format!("{}?api_base={url}&key={url}&alt=media", way.path());
            let mut request = client.post(proxy.url(&query)).body(body.to_string());
            for (name, value) in all {
                request = request.header(name, value);
            }
            let response = within_patience("an answer", request.send()).await?;
            assert_eq!(response.status(), 200, "{case}");
            let answered = format!("{:?}", response.headers()) + &response.text().await?;
            assert!(!answered.contains(&url), "{case}: {answered}");
            let sent = proxy.provider(provider).chats()[calls].clone();
            let everything =
                format!("{} {:?} {}", sent.path, sent.headers, String::from_utf8_lossy(&sent.body));
            assert!(!everything.contains(&url) && !everything.contains("alt=media"), "{case}: {everything}");
            let key = if provider == Provider::Gemini { "x-goog-api-key" } else { "authorization" };
            let mut names: Vec<_> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
            let mut expected = [&expected[..], &[key]].concat();
            names.sort_unstable();
            expected.sort_unstable();
            assert_eq!(names, expected, "{case}");
            assert!(
                sent.header(key).is_some_and(|it| it.ends_with(&format!("key-of-{}", provider.name()))),
                "{case}"
            );
            before.assert_asked(&proxy, 1, &case).await?;
        }
        // Names of what may answer are looked up in a list, and never become part of an address.
        for name in [
            url.as_str(),
            "../../etc/passwd",
            "groq/../x",
            "x?key=y",
            "@evil.test",
            "groq@evil.test",
            "\r\nx: y",
        ] {
            for field in if way.is_openai() { &["model"][..] } else { &["model", "provider"] } {
                let case = format!("{field} is {name:?}");
                let before = Before::case(&proxy).await?;
                let mut body = way.body();
                body[*field] = json!(name);
                let reply = way.post_json(&proxy, body.to_string()).await?;
                way.refusal(&reply, if way.is_openai() { 404 } else { 400 }, &case);
                before.assert_nobody_was_asked(&proxy, &format!("{way:?} {case}")).await?;
            }
        }
    }
    let nobody = tokio::time::timeout(std::time::Duration::ZERO, elsewhere.accept()).await;
    assert!(nobody.is_err(), "somebody was connected to");
    Ok(())
}

/// What a refusal and a line of the log may hold of a name: a list of what there is, and the name cut short.
const SHORT: usize = 1_500;

#[tokio::test]
async fn row_106_an_unknown_model_is_told_what_there_is_and_a_long_name_is_cut() -> anyhow::Result<()> {
    let clock = std::sync::Arc::new(jiff::Timestamp::now);
    let simulator = Simulator::start(|provider| Settings::new(provider, clock.clone())).await?;
    let (mut binary, address) = Binary::over(&simulator, &[("RUST_LOG", "trace")]).await?;
    let client = http_client()?;
    let long = "x".repeat(1_000_000);
    for way in Way::ALL {
        let fields = if way.is_openai() { &["model"][..] } else { &["model", "provider"] };
        for field in fields {
            for name in [
                "gpt-4",
                "openai/gpt-4",
                "auto ",
                "\u{0}",
                "é",
                "🎈",
                long.as_str(),
                &"🎈".repeat(100_000),
                &"groq/".repeat(100_000),
            ] {
                let case = format!("{way:?} {field} of {} bytes", name.len());
                let mut body = way.body();
                body[*field] = json!(name);
                let request = client
                    .post(format!("http://{address}{}", way.path()))
                    .header("content-type", "application/json");
                let response = within_patience(&case, request.body(body.to_string()).send()).await?;
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                let reply = Reply { status, headers, body: response.bytes().await?.into(), is_broken: false };
                let sentence = way.refusal(&reply, if way.is_openai() { 404 } else { 400 }, &case);
                let known = if *field == "model" { "openai/gpt-oss-20b" } else { "Groq, Cerebras, Gemini" };
                assert!(sentence.contains(known), "{case}: {sentence}");
                assert!(sentence.len() < SHORT, "{case}: {} bytes", sentence.len());
            }
        }
    }
    assert!(simulator.providers().all(|provider| provider.request_count() == 0), "somebody was asked");
    let asked = Way::ChatStream.body();
    let served = client.post(format!("http://{address}/chat")).json(&asked).send().await?;
    assert_eq!(served.status(), 200, "the next request");
    binary.line_with("Using service Groq").await?;
    binary.signal("TERM").await?;
    let (_, log) = binary.end().await?;
    let longest = log.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < SHORT, "a line of {longest} bytes");
    Ok(())
}
