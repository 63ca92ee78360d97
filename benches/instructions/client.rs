//! A client on one connection that tells the provider of each text that it has.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::answer::MARK;
use crate::support::post;

/// Asks `requests` times for an answer, and checks that each is whole.
pub(crate) fn ask(address: &str, path: &str, requests: usize, texts: usize, seen: &Sender<()>) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    // It fails instead of waiting for ever.
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let request =
        post(path, r#"{"messages":[{"role":"user","content":"word word word word"}],"stream":true}"#);
    for _ in 0..requests {
        stream.write_all(&request).expect("a request");
        let answer = read_answer(&mut stream, seen);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("[DONE]"), "{answer}");
        assert_eq!(answer.matches(MARK).count(), texts, "{answer}");
    }
}

fn read_answer(stream: &mut TcpStream, seen: &Sender<()>) -> String {
    let mut answer = String::new();
    let mut texts = 0;
    let mut buffer = [0; 4096];
    while !answer.ends_with("\r\n0\r\n\r\n") {
        let read = stream.read(&mut buffer).expect("an answer");
        assert!(read > 0, "cut off: {answer}");
        answer += std::str::from_utf8(&buffer[..read]).expect("whole characters");
        while answer.matches(MARK).count() > texts {
            texts += 1;
            seen.send(()).expect("a provider");
        }
    }
    answer
}
