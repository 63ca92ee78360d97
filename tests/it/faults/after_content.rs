//! Rows 47 to 72: an answer has begun, and what comes then is not what should come.

use std::time::Duration;

use ai_proxy_free::internals::providers::{Directory, Provider};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::dialect::{CHUNKED_STREAM, Dialect, LAST_CHUNK, chunk, event, open_stream, whole_stream};
use super::trial::{Failure, answers, breaks, fault, says_nothing};
use super::ways::Way;
use crate::support::{Binary, RawClient, RawUpstream, Script, Step, openai_providers};

const BROKEN: Failure = Failure::new(502, "broken_stream");
const BEGINNING: [&str; 2] = ["canary-one, ", "canary-two, "];
const SO_FAR: &str = "canary-one, canary-two, ";

fn beginning(dialect: Dialect) -> Vec<u8> {
    [dialect.opening(), dialect.text(BEGINNING[0]), dialect.text(BEGINNING[1])].concat()
}

/// Long enough for the beginning to be read by itself: a failure that arrives together with the first content is made
/// up for.
const A_MOMENT: Duration = Duration::from_millis(400);

/// The beginning of an answer, and then these steps.
fn then(steps: impl Fn(Dialect) -> Script + Send + Sync) -> impl Fn(Dialect) -> Script + Send + Sync {
    move |dialect| {
        let mut script = vec![Step::Send(open_stream(&beginning(dialect))), Step::Pause(A_MOMENT)];
        script.extend(steps(dialect));
        script
    }
}

/// A whole stream of the beginning, then `more`, and then what every answer ends with.
fn with(more: impl Fn(Dialect) -> Vec<u8> + Send + Sync) -> impl Fn(Dialect) -> Script + Send + Sync {
    move |dialect| {
        whole_stream(&[beginning(dialect), more(dialect), dialect.finish(), dialect.end_mark()].concat())
    }
}

#[tokio::test]
async fn row_047_a_cut_between_or_in_chunks_is_visible() -> anyhow::Result<()> {
    let faults = [
        fault("between chunks", then(|_| vec![Step::Close])),
        fault("in a chunk's size", then(|_| vec![Step::Send(b"1f".to_vec()), Step::Close])),
        fault("in an event", then(|_| vec![Step::Send(b"1f\r\ndata: {\"ch".to_vec()), Step::Close])),
        fault("no size at all", then(|_| vec![Step::Send(b"zz\r\ndata".to_vec()), Step::Close])),
    ];
    breaks(BROKEN, SO_FAR, "broke off", faults).await
}

#[tokio::test]
async fn row_048_fewer_bytes_than_announced_are_visible() -> anyhow::Result<()> {
    let short = |dialect: Dialect| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100000\r\n\r\n";
        vec![Step::Send([head.as_bytes(), &beginning(dialect)].concat()), Step::Close]
    };
    breaks(BROKEN, SO_FAR, "broke off", [fault("short", short)]).await
}

#[tokio::test]
async fn row_049_a_reset_is_visible() -> anyhow::Result<()> {
    // The pause lets the beginning be read before the reset takes it away.
    let reset = then(|_| vec![Step::Pause(Duration::from_millis(300)), Step::Reset]);
    breaks(BROKEN, SO_FAR, "broke off", [fault("reset", reset)]).await
}

/// Nothing tells such a cut from an end but that no finish came, and none is made up.
#[tokio::test]
async fn row_050_an_end_in_good_order_without_a_finish_is_visible() -> anyhow::Result<()> {
    let closed = |dialect: Dialect| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        vec![Step::Send([head.as_bytes(), &beginning(dialect)].concat()), Step::Close]
    };
    let faults = [
        fault("closed", closed),
        fault("the last chunk", |dialect| whole_stream(&beginning(dialect))),
        fault("half an event before the end", |dialect| {
            whole_stream(&[beginning(dialect), dialect.text("canary-three")[..40].to_vec()].concat())
        }),
    ];
    breaks(BROKEN, SO_FAR, "broke off", faults).await
}

#[tokio::test]
async fn row_051_a_finish_without_an_end_mark_is_an_end() -> anyhow::Result<()> {
    let faults = [
        fault("in good order", |dialect| whole_stream(&[beginning(dialect), dialect.finish()].concat())),
        fault("cut", then(|dialect| vec![Step::Send(chunk(&dialect.finish())), Step::Close])),
        fault(
            "reset",
            then(|dialect| {
                // The pause lets the finish be read before the reset takes it away.
                vec![
                    Step::Send(chunk(&dialect.finish())),
                    Step::Pause(Duration::from_millis(300)),
                    Step::Reset,
                ]
            }),
        ),
        fault("no blank line", |dialect| {
            let finish = dialect.finish();
            whole_stream(&[beginning(dialect), finish[..finish.len() - 2].to_vec()].concat())
        }),
    ];
    answers(SO_FAR, "stop", faults).await
}

#[tokio::test]
async fn row_054_a_stall_between_events_is_given_up() -> anyhow::Result<()> {
    let pings = |_: Dialect| -> Script {
        let ping = [Step::Pause(Duration::from_millis(50)), Step::Send(chunk(b": ping\n\n"))];
        std::iter::repeat_n(ping, 100).flatten().chain([Step::Stall]).collect()
    };
    let faults = [
        fault("silence", then(|_| vec![Step::Stall])),
        fault("pings", then(pings)),
        fault("half an event", then(|dialect| vec![Step::Send(chunk(&dialect.text("x")[..9])), Step::Stall])),
    ];
    let faults = faults.map(|it| it.with("IDLE_TIMEOUT_MS", 2_000));
    breaks(Failure::new(504, "timeout"), SO_FAR, "stopped sending", faults).await
}

#[tokio::test]
async fn row_056_an_error_in_the_stream_is_told() -> anyhow::Result<()> {
    let ending = |end: fn(Vec<u8>) -> Vec<u8>| {
        then(move |dialect| {
            let events = end(event(&dialect.overloaded_in_stream()));
            vec![Step::Send([chunk(&events), LAST_CHUNK.to_vec()].concat())]
        })
    };
    let faults = [
        fault("an event with an error", ending(|error| error)),
        fault("an event called error", ending(|error| [b"event: error\n".to_vec(), error].concat())),
        fault("an error and an end mark", ending(|error| [error, b"data: [DONE]\n\n".to_vec()].concat())),
    ];
    breaks(Failure::new(502, "overloaded"), SO_FAR, "is overloaded", faults).await
}

/// Google has been seen to end a stream like this; the others are met in the same way.
#[tokio::test]
async fn row_057_a_bare_error_behind_good_events_is_told() -> anyhow::Result<()> {
    let tail = |write: fn(&Value) -> String| {
        move |dialect: Dialect| {
            let error = write(&dialect.overloaded_in_stream());
            whole_stream(&[beginning(dialect), error.into_bytes()].concat())
        }
    };
    let faults = [
        fault("one line", tail(Value::to_string)),
        fault("one line and its end", tail(|error| format!("{error}\n"))),
        fault("many lines", tail(|error| format!("{error:#}\n"))),
        fault("many lines behind a blank one", tail(|error| format!("\n{error:#}\n\n"))),
        fault("in an array", tail(|error| format!("[{error:#}\n]\n"))).of([Provider::GEMINI]),
    ];
    breaks(Failure::new(502, "overloaded"), SO_FAR, "is overloaded", faults).await
}

#[tokio::test]
async fn row_058_what_comes_behind_the_end_is_ignored() -> anyhow::Result<()> {
    let behind = |more: fn(Dialect) -> Vec<u8>| {
        move |dialect: Dialect| {
            let end = [dialect.finish(), b"data: [DONE]\n\n".to_vec()].concat();
            whole_stream(&[beginning(dialect), end, more(dialect)].concat())
        }
    };
    let faults = [
        // Gemini's is the rest of the answer; see below.
        fault("text", behind(|dialect| dialect.text("canary-late"))).of(openai_providers()),
        fault("another end mark", behind(|_| b"data: [DONE]\n\n".to_vec())),
        fault("an error", behind(|dialect| event(&dialect.overloaded_in_stream()))),
        fault("garbage", behind(|_| b"data: {{{\n\n\x00\xff".to_vec())),
    ];
    answers(SO_FAR, "stop", faults).await
}

/// Gemini has been seen to say `STOP` in front of the rest of its answer.
#[tokio::test]
async fn row_058_a_stop_in_front_of_the_rest_is_taken_back() -> anyhow::Result<()> {
    const ALL: &str = "canary-one, canary-two, canary-three";
    let rest = |dialect: Dialect| [dialect.text("canary-three"), dialect.finish()].concat();
    let faults = [
        fault("at once", move |dialect| {
            whole_stream(&[beginning(dialect), dialect.finish(), rest(dialect)].concat())
        }),
        fault(
            "a moment later",
            then(move |dialect| {
                let steps = [chunk(&dialect.finish()), [chunk(&rest(dialect)), LAST_CHUNK.to_vec()].concat()];
                let [finish, rest] = steps.map(Step::Send);
                vec![finish, Step::Pause(A_MOMENT), rest]
            }),
        ),
        fault(
            "twice, and longer than a second in all",
            then(move |dialect| {
                let [finish, two, three] = [dialect.finish(), dialect.text("canary-"), dialect.text("three")]
                    .map(|it| Step::Send(chunk(&it)));
                let end = Step::Send([chunk(&dialect.finish()), LAST_CHUNK.to_vec()].concat());
                let long = Step::Pause(Duration::from_millis(600));
                vec![finish.clone(), long.clone(), two, long.clone(), finish, long, three, end]
            }),
        ),
        fault("in front of the rest, which stays open", move |dialect| {
            let events = [beginning(dialect), dialect.finish(), rest(dialect)].concat();
            vec![Step::Send(open_stream(&events)), Step::Stall]
        }),
    ];
    answers(ALL, "stop", faults.map(|it| it.of([Provider::GEMINI]))).await?;
    let cut = |dialect: Dialect| {
        let events = [dialect.finish(), dialect.text("canary-three")].concat();
        vec![Step::Send([chunk(&events), LAST_CHUNK.to_vec()].concat())]
    };
    breaks(BROKEN, ALL, "broke off", [fault("and no other stop", then(cut)).of([Provider::GEMINI])]).await?;
    let silent = |dialect: Dialect| {
        let events = [dialect.finish(), dialect.text("canary-three")].concat();
        vec![Step::Send(chunk(&events)), Step::Stall]
    };
    let silent =
        fault("and then silence", then(silent)).of([Provider::GEMINI]).with("IDLE_TIMEOUT_MS", 2_000);
    breaks(Failure::new(504, "timeout"), ALL, "stopped sending", [silent]).await
}

/// Thoughts and tokens behind a stop are no rest of the answer.
#[tokio::test]
async fn row_058_what_is_no_content_takes_no_stop_back() -> anyhow::Result<()> {
    let behind = |more: Value| {
        move |dialect: Dialect| whole_stream(&[beginning(dialect), dialect.finish(), event(&more)].concat())
    };
    let parts = |parts: Value| json!({"candidates": [{"content": {"parts": parts}}]});
    let faults = [
        fault("a thought", behind(parts(json!([{"text": "canary-thought", "thought": true}])))),
        fault("an empty text", behind(parts(json!([{"text": "", "thoughtSignature": "c2ln"}])))),
        fault("tokens", |dialect| {
            whole_stream(&[beginning(dialect), dialect.finish(), dialect.usage()].concat())
        }),
    ];
    answers(SO_FAR, "stop", faults.map(|it| it.of([Provider::GEMINI]))).await
}

/// Words that say that the model was stopped, and not why.
fn stopped_for_no_reason() -> impl Iterator<Item = (&'static str, Vec<Provider>)> {
    let gemini = ["OTHER", "ESCALATION", "LANGUAGE", "IMAGE_OTHER", "NO_IMAGE", "A_WORD_TO_COME"];
    let openai = ["abort", "network_error", "insufficient_system_resource", "a_word_to_come"];
    let gemini = gemini.map(|word| (word, vec![Provider::GEMINI]));
    gemini.into_iter().chain(openai.map(|word| (word, openai_providers().collect())))
}

#[tokio::test]
async fn row_059_a_stop_for_no_reason_behind_content_is_visible() -> anyhow::Result<()> {
    let faults = stopped_for_no_reason().map(|(word, providers)| {
        let ended = move |dialect: Dialect| {
            let end = [dialect.finish_by(word), dialect.end_mark()].concat();
            vec![Step::Send([chunk(&end), LAST_CHUNK.to_vec()].concat())]
        };
        fault(word, then(ended)).of(providers)
    });
    breaks(BROKEN, SO_FAR, "broke off", faults).await
}

#[tokio::test]
async fn row_059_a_stop_for_no_reason_without_content_is_an_empty_answer() -> anyhow::Result<()> {
    let faults = stopped_for_no_reason().map(|(word, providers)| {
        let ended = move |dialect: Dialect| {
            whole_stream(&[dialect.opening(), dialect.finish_by(word), dialect.end_mark()].concat())
        };
        fault(word, ended).of(providers)
    });
    says_nothing(faults).await
}

/// What others who speak OpenAI's dialect call the same.
#[tokio::test]
async fn row_059_a_stop_by_another_word_is_an_end() -> anyhow::Result<()> {
    let words = [
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("eos", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("sensitive", "content_filter"),
    ];
    for (word, meaning) in words {
        let ended = move |dialect: Dialect| {
            whole_stream(&[beginning(dialect), dialect.finish_by(word), dialect.end_mark()].concat())
        };
        answers(SO_FAR, meaning, [fault(word, ended).of([Provider::GROQ])]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn row_060_a_byte_at_a_time_is_the_same_answer() -> anyhow::Result<()> {
    let whole = |dialect: Dialect| [open_stream(&dialect.stream(&BEGINNING)), LAST_CHUNK.to_vec()].concat();
    let chunks = |dialect: Dialect| {
        let head = CHUNKED_STREAM.as_bytes().to_vec();
        let bytes = dialect.stream(&BEGINNING).into_iter().flat_map(|byte| chunk(&[byte]));
        [head, bytes.collect(), LAST_CHUNK.to_vec()].concat()
    };
    let faults = [
        fault("segments of a byte", move |dialect| vec![Step::Drip(whole(dialect))]),
        fault("chunks of a byte", move |dialect| vec![Step::Send(chunks(dialect))]),
    ];
    answers(SO_FAR, "stop", faults).await
}

/// Characters, line ends and field names come in two pieces, wherever the cut falls.
#[tokio::test]
async fn row_061_no_cut_changes_the_answer() -> anyhow::Result<()> {
    let text = "¿Cómo? 日本 \u{1F600}\u{2028}e\u{301}";
    let dialect = Dialect(Provider::GROQ);
    let events =
        String::from_utf8([dialect.text(text), dialect.finish()].concat())?.replace("\n\n", "\r\n\r\n");
    let events = events.into_bytes();
    for at in 1..events.len() {
        let (first, second) = events.split_at(at);
        let mut decoder =
            ai_proxy_free::internals::providers::AnswerDecoder::new(Provider::GROQ, false, None);
        let mut decoded = Vec::new();
        for piece in [first, second] {
            decoder.push(piece, &mut decoded).map_err(|it| anyhow::anyhow!("cut at {at}: {it:?}"))?;
        }
        decoder.end(&mut decoded).map_err(|it| anyhow::anyhow!("cut at {at}: {it:?}"))?;
        let whole: String = decoded.iter().map(ai_proxy_free::internals::middle::Event::text).collect();
        assert_eq!(whole, text, "cut at {at}");
    }
    let dripped = |dialect: Dialect| {
        let text = dialect.text("¿Cómo? 日本 \u{1F600}\u{2028}e\u{301}");
        let events = [text, dialect.finish(), dialect.end_mark()].concat();
        let events = String::from_utf8(events).expect("UTF-8").replace("\n\n", "\r\n\r\n");
        vec![Step::Drip([open_stream(events.as_bytes()), LAST_CHUNK.to_vec()].concat())]
    };
    answers(text, "stop", [fault("dripped", dripped)]).await
}

/// The ways of writing the same events that the WHATWG's rules for event streams allow.
#[tokio::test]
async fn row_062_all_ways_of_writing_events_are_read() -> anyhow::Result<()> {
    type Rewrite = fn(String) -> String;
    let cases: [(&str, Rewrite); 12] = [
        ("CR", |it| it.replace('\n', "\r")),
        ("CRLF", |it| it.replace('\n', "\r\n")),
        ("mixed line ends", |it| it.replacen('\n', "\r\n", 3).replacen("\n\n", "\r\r", 1)),
        ("a byte order mark", |it| format!("\u{FEFF}{it}")),
        ("no space", |it| it.replace("data: ", "data:")),
        ("two spaces", |it| it.replace("data: ", "data:  ")),
        ("a field without a value", |it| it.replace("data: {", "data\ndata: {")),
        ("unknown fields", |it| it.replace("data: ", "datas: x\ndata : y\nfoo\ndata: ")),
        ("an id with NUL, and retry", |it| it.replace("data: ", "id: a\0b\nretry: 10x\nretry: 1\ndata: ")),
        ("comments", |it| it.replace("data: ", ":\n: data: x\n:data:\ndata: ")),
        ("event names", |it| it.replace("data: ", "event: message\ndata: ")),
        ("blank lines", |it| it.replace("\n\n", "\n\n\n\n\n")),
    ];
    let faults = cases.map(|(name, rewrite)| {
        fault(name, move |dialect| {
            let stream = String::from_utf8(dialect.stream(&BEGINNING)).expect("UTF-8");
            whole_stream(rewrite(stream).as_bytes())
        })
    });
    answers(SO_FAR, "stop", faults).await
}

/// 8 MiB of an event without an end are enough.
#[tokio::test]
async fn row_064_a_line_without_an_end_is_given_up() -> anyhow::Result<()> {
    let endless = |begin: &'static [u8]| {
        then(move |_| vec![Step::Send(chunk(begin)), Step::Flood(chunk(&[b'x'; 64 * 1024]))])
    };
    let faults = [
        fault("data", endless(b"data: {\"")),
        fault("a comment", endless(b": ")),
        fault("an unknown field", endless(b"x")),
    ];
    breaks(Failure::new(502, "upstream_error"), SO_FAR, "failed", faults).await
}

#[tokio::test]
async fn row_065_an_event_that_is_no_json_is_skipped() -> anyhow::Result<()> {
    let faults = [
        "{",
        "{\"choices\":[{\"delta\":{\"content\":\"x\"",
        "null",
        "7",
        "[]",
        "\"text\"",
        "undefined",
        "{}{}",
    ]
    .map(|data| fault(data, with(move |_| format!("data: {data}\n\n").into_bytes())));
    answers(SO_FAR, "stop", faults).await
}

#[tokio::test]
async fn row_066_broken_characters_are_marked_and_nothing_is_lost() -> anyhow::Result<()> {
    let broken = |dialect: Dialect| {
        let text = String::from_utf8(dialect.text("<here>")).expect("UTF-8");
        let (before, after) = text.split_once("<here>").expect("the text");
        [before.as_bytes(), b"a\xff\xc3(\xe2\x82z", after.as_bytes()].concat()
    };
    answers(&format!("{SO_FAR}a\u{FFFD}\u{FFFD}(\u{FFFD}z"), "stop", [fault("broken", with(broken))]).await
}

#[tokio::test]
async fn row_067_monsters_in_an_event_are_survived() -> anyhow::Result<()> {
    let monster = |json: String| {
        with(move |dialect| {
            let event = String::from_utf8(dialect.text("")).expect("UTF-8");
            event.replacen('{', &format!("{{\"monster\":{json},"), 1).into_bytes()
        })
    };
    let faults = [
        ("ten thousand digits", "9".repeat(10_000)),
        ("beyond all numbers", "1e400".to_owned()),
        ("a hundred thousand brackets", "[".repeat(100_000)),
        ("deep and closed", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        ("NUL", "\"\\u0000\"".to_owned()),
        ("half a pair", "\"\\ud800\"".to_owned()),
    ]
    .map(|(name, json)| fault(name, monster(json)));
    answers(SO_FAR, "stop", faults).await?;
    let nul = |dialect: Dialect| dialect.text("a\0b");
    answers(&format!("{SO_FAR}a\0b"), "stop", [fault("NUL in the text", with(nul))]).await?;
    let half = |dialect: Dialect| {
        let text = String::from_utf8(dialect.text("<here>")).expect("UTF-8");
        text.replace("<here>", "a\\ud800b").into_bytes()
    };
    answers(&format!("{SO_FAR}a\u{FFFD}b"), "stop", [fault("half a pair in the text", with(half))]).await
}

#[tokio::test]
async fn row_068_of_two_fields_of_one_name_the_last_counts() -> anyhow::Result<()> {
    let twice = |dialect: Dialect| {
        let text = String::from_utf8(dialect.text("canary-last")).expect("UTF-8");
        let field = if dialect.0 == Provider::GEMINI { "\"text\":" } else { "\"content\":" };
        let once = format!("{field}\"canary-last\"");
        assert!(text.contains(&once));
        text.replace(&once, &format!("{field}\"canary-first\",{once}")).into_bytes()
    };
    answers(&format!("{SO_FAR}canary-last"), "stop", [fault("twice", with(twice))]).await
}

#[tokio::test]
async fn row_069_usage_may_come_alone_or_not_at_all() -> anyhow::Result<()> {
    let before = |dialect: Dialect| [dialect.usage(), dialect.usage()].concat();
    let behind = |dialect: Dialect| {
        whole_stream(&[beginning(dialect), dialect.finish(), dialect.usage(), dialect.end_mark()].concat())
    };
    let odd = |dialect: Dialect| {
        let field = if dialect.0 == Provider::GEMINI { "usageMetadata" } else { "usage" };
        event(&json!({field: {"prompt_tokens": "many", "promptTokenCount": -1}}))
    };
    let faults = [
        fault("before the finish", with(before)),
        fault("behind the finish", behind),
        fault("odd", with(odd)),
        fault("none", with(|_| Vec::new())),
    ];
    answers(SO_FAR, "stop", faults).await
}

#[tokio::test]
async fn row_071_a_model_that_goes_on_behind_its_finish_is_ignored() -> anyhow::Result<()> {
    let goes_on = |dialect: Dialect| {
        let more =
            [dialect.finish(), dialect.text("canary-late"), dialect.finish(), dialect.end_mark()].concat();
        whole_stream(&[beginning(dialect), more].concat())
    };
    let for_ever = then(|dialect| {
        vec![Step::Send(chunk(&dialect.finish())), Step::Flood(chunk(&dialect.text("canary-late")))]
    });
    // What Gemini says behind a stop is the rest of the answer: row 58.
    let faults = [fault("goes on", goes_on), fault("for ever", for_ever)];
    answers(SO_FAR, "stop", faults.map(|it| it.of(openai_providers()))).await?;
    let behind_the_limit = then(|dialect| {
        let finish = chunk(&dialect.finish_by("MAX_TOKENS"));
        vec![Step::Send(finish), Step::Flood(chunk(&dialect.text("canary-late")))]
    });
    let fault = fault("behind another finish", behind_the_limit).of([Provider::GEMINI]);
    answers(SO_FAR, "length", [fault]).await
}

/// Unread bytes stay where they are, in the kernels; here they do not pile up.
#[tokio::test]
async fn row_072_a_flood_waits_for_its_reader() -> anyhow::Result<()> {
    const STREAMS: usize = 8;
    for provider in Directory::core() {
        let dialect = Dialect(provider);
        let flood = chunk(&dialect.text(&"x".repeat(16 * 1024)));
        let upstream =
            RawUpstream::always(vec![Step::Send(CHUNKED_STREAM.into()), Step::Flood(flood)]).await?;
        let variables = [
            (provider.profile().key_variables[0], "key".to_owned()),
            (provider.profile().base_url_variable, upstream.base_url()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        let (binary, address) = Binary::start(&[], variables).await?;
        // A list that is a flood, too, and is given up.
        upstream.until("the list of models", |traffic| traffic.requests == 1 && traffic.open == 0).await;
        let before = binary.memory_kib()?;
        for (before_these, way) in Way::STREAMS.into_iter().enumerate() {
            let mut unread = Vec::new();
            for _ in 0..STREAMS {
                let mut client = RawClient::connect_with_little_room(address).await?;
                client.stream.write_all(way.request("", &way.body()).as_bytes()).await?;
                unread.push(client);
            }
            let all = 1 + (before_these + 1) * STREAMS;
            upstream.until("the calls", |traffic| traffic.requests == all).await;
            // Whatever can pile up does so at memory speed.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let grown = binary.memory_kib()?.saturating_sub(before) / STREAMS;
            assert!(grown < 8 * 1024, "{provider:?} {way:?}: {grown} KiB a stream");
        }
    }
    Ok(())
}
