//! A provider that goes in step with the client: it sends the next text when the client has the one before.
//!
//! So each text comes by itself and wakes the proxy once, however busy the machine is; otherwise the count would depend
//! on how many of them happen to be read at once.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_proxy_free::internals::providers::Provider;

use crate::answer::{self, Answer};

/// How long the proxy has for what it passes on to nobody. Too short only costs precision.
const UNSEEN: Duration = Duration::from_millis(5);

/// A provider whose answers have `texts` texts; it takes one from `seen` for each. Gives its base URL.
pub(crate) fn start(provider: Provider, texts: usize, seen: Receiver<()>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(seen));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, seen) = (stream.expect("a connection"), seen.clone());
            // It ends when the proxy ends.
            std::thread::spawn(move || serve(stream, provider, texts, &seen));
        }
    });
    url
}

fn serve(mut stream: TcpStream, provider: Provider, texts: usize, seen: &Mutex<Receiver<()>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let answer = Answer::new(provider, texts);
    loop {
        let head = read_request(&mut stream)?;
        if head.starts_with("GET") {
            let models = answer::models(provider);
            let length = models.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            stream.write_all((head + models).as_bytes()).ok()?;
        } else {
            send(&mut stream, provider, &answer, &*seen.lock().ok()?)?;
        }
    }
}

fn send(stream: &mut TcpStream, provider: Provider, answer: &Answer, seen: &Receiver<()>) -> Option<()> {
    stream.write_all(head(provider).as_bytes()).ok()?;
    std::thread::sleep(UNSEEN);
    for event in &answer.opening {
        stream.write_all(&chunk(event)).ok()?;
        std::thread::sleep(UNSEEN);
    }
    for text in &answer.texts {
        stream.write_all(&chunk(text)).ok()?;
        seen.recv().ok()?;
    }
    for event in &answer.closing {
        stream.write_all(&chunk(event)).ok()?;
        std::thread::sleep(UNSEEN);
    }
    stream.write_all(b"0\r\n\r\n").ok()
}

fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

/// With the limits that each provider states, and so much left that they decide nothing.
fn head(provider: Provider) -> String {
    let limits = match provider.name() {
        "Groq" => {
            "x-ratelimit-limit-requests: 1000000\r\nx-ratelimit-remaining-requests: 999999\r\n\
             x-ratelimit-reset-requests: 86.4ms\r\nx-ratelimit-limit-tokens: 1000000\r\n\
             x-ratelimit-remaining-tokens: 999991\r\nx-ratelimit-reset-tokens: 0.54ms\r\n"
        }
        "Cerebras" => {
            "x-ratelimit-limit-requests-day: 1000000\r\nx-ratelimit-remaining-requests-day: 999999\r\n\
             x-ratelimit-reset-requests-day: 86400.5\r\nx-ratelimit-limit-tokens-minute: 1000000\r\n\
             x-ratelimit-remaining-tokens-minute: 999991\r\nx-ratelimit-reset-tokens-minute: 60.5\r\n"
        }
        _ => "",
    };
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n{limits}transfer-encoding: chunked\r\n\r\n"
    )
}

/// Reads a request to its end and gives its head; `None` when the proxy has closed the connection.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes[..end]).into_owned());
            }
        }
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}
