//! A client on one connection that tells the provider of each text that it has.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::answer::MARK;
use crate::support::post;

/// A surface as its clients use it.
#[derive(Clone, Copy)]
pub(crate) struct Surface {
    /// Its name in the results.
    pub(crate) name: &'static str,
    path: &'static str,
    body: &'static str,
    /// What only a complete answer has.
    end: &'static str,
}

const MESSAGES: &str = r#"{"messages":[{"role":"user","content":"word word word word"}],"stream":true}"#;

/// `/chat`, which the others are compared with, and OpenAI's.
pub(crate) const BASIC: [Surface; 2] = [
    Surface { name: "/chat", path: "/chat", body: MESSAGES, end: "[DONE]" },
    Surface { name: "/v1", path: "/v1/chat/completions", body: MESSAGES, end: "[DONE]" },
];

/// Those of agents.
pub(crate) const AGENTS: [Surface; 4] = [
    Surface { name: "/v1/messages", path: "/v1/messages", body: MESSAGES, end: "message_stop" },
    Surface {
        name: "/v1/responses",
        path: "/v1/responses",
        body: r#"{"input":"word word word word","stream":true,"store":false}"#,
        end: "response.completed",
    },
    Surface {
        name: "/v1beta",
        path: "/v1beta/models/auto:streamGenerateContent?alt=sse",
        body: r#"{"contents":[{"parts":[{"text":"word word word word"}]}]}"#,
        end: "finishReason",
    },
    Surface { name: "/api", path: "/api/chat", body: MESSAGES, end: "\"done\":true" },
];

/// Asks `requests` times for an answer, and checks that each is whole.
pub(crate) fn ask(address: &str, surface: Surface, requests: usize, texts: usize, seen: &Sender<()>) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    // It fails instead of waiting for ever.
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let request = post(surface.path, surface.body);
    for _ in 0..requests {
        stream.write_all(&request).expect("a request");
        let answer = read_answer(&mut stream, texts, seen);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(surface.end), "{answer}");
        // The responses say the whole text again at their end.
        assert_eq!(answer.matches(MARK).count() % texts, 0, "{answer}");
    }
}

fn read_answer(stream: &mut TcpStream, most: usize, seen: &Sender<()>) -> String {
    let mut answer = String::new();
    let mut texts = 0;
    let mut buffer = [0; 4096];
    while !answer.ends_with("\r\n0\r\n\r\n") {
        let read = stream.read(&mut buffer).expect("an answer");
        assert!(read > 0, "cut off: {answer}");
        answer += std::str::from_utf8(&buffer[..read]).expect("whole characters");
        while texts < most && answer.matches(MARK).count() > texts {
            texts += 1;
            seen.send(()).expect("a provider");
        }
    }
    answer
}
