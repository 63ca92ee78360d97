//! A client that checks every reply: its status, each piece of its text, its end mark and the end of its body.

use std::net::SocketAddr;
use std::time::Instant;

use memchr::memmem::find;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::text::{TEXT, number, pieces, whole};

/// What every surface promises as the end of a complete answer, and the end of the body behind it.
const END_MARK: &[u8] = b"data: [DONE]\n\n";
const END_OF_BODY: &[u8] = b"\r\n0\r\n\r\n";

/// A connection that is used again and again.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// When the first text of a reply came, and its end.
pub(crate) struct Times {
    pub(crate) first: Instant,
    pub(crate) end: Instant,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(8 * 1024) })
    }

    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<(), String> {
        self.received.clear();
        self.stream.write_all(request).await.map_err(|error| error.to_string())
    }

    /// Asks, and reads an answer of so many pieces.
    pub(crate) async fn ask(&mut self, request: &[u8], expected: usize) -> Result<Times, String> {
        self.send(request).await?;
        let mut first = None;
        loop {
            let news = self.read().await?;
            if first.is_none() && find(news, TEXT).is_some() {
                first = Some(Instant::now());
            }
            if self.is_at_the_end() {
                let end = Instant::now();
                self.check(expected)?;
                // Cut in two by a chunk's end, the first text is not seen as it comes.
                return Ok(Times { first: first.unwrap_or(end), end });
            }
        }
    }

    /// Reads some bytes; gives them with those before that may belong to the same piece.
    pub(crate) async fn read(&mut self) -> Result<&[u8], String> {
        let before = self.received.len().saturating_sub(64);
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) => Err(format!("the connection ended: {}", self.said())),
            Ok(_) => Ok(&self.received[before..]),
            Err(error) => Err(format!("{error}: {}", self.said())),
        }
    }

    /// Whether the body has ended, or begun if it is that of an error.
    pub(crate) fn is_at_the_end(&self) -> bool {
        let is_error = || !self.received.starts_with(b"HTTP/1.1 200 ");
        let has_body =
            || find(&self.received, b"\r\n\r\n").is_some_and(|head| self.received.len() > head + 4);
        self.received.ends_with(END_OF_BODY) || (is_error() && has_body())
    }

    /// Whether a reply of so many pieces was complete and in order.
    pub(crate) fn check(&self, expected: usize) -> Result<(), String> {
        let is_ok = self.received.starts_with(b"HTTP/1.1 200 ");
        let body = body(&self.received);
        let is_whole = pieces(&body).map(number).eq((0..expected).map(Some));
        let is_ended = body.ends_with(END_MARK) && self.received.ends_with(END_OF_BODY);
        if is_ok && is_whole && is_ended {
            return Ok(());
        }
        Err(format!("success {is_ok}, text {is_whole}, end {is_ended}: {}", self.said()))
    }

    /// Whether the reply of so many pieces is what it looked like: its JSON read as a client reads it.
    pub(crate) fn check_thoroughly(&self, expected: usize) -> Result<(), String> {
        let text: Option<String> = events(&self.received).iter().map(|event| text_of(event)).collect();
        let is_equal = text.as_ref().is_some_and(|text| *text == whole(expected));
        if is_equal { Ok(()) } else { Err(format!("not the text: {text:?} in {}", self.said())) }
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.received).chars().take(1_500).collect()
    }
}

/// The events of a response, without the end mark.
fn events(response: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(&body(response)).into_owned();
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    events.filter(|event| *event != "[DONE]").map(str::to_owned).collect()
}

/// The body of a response without its chunks: servers cut them anew, anywhere in a text.
fn body(response: &[u8]) -> Vec<u8> {
    let mut rest = find(response, b"\r\n\r\n").map_or(response, |head| &response[head + 4..]);
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some(line) = find(rest, b"\r\n") {
        let size =
            std::str::from_utf8(&rest[..line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(chunk) = size.and_then(|size| rest.get(line + 2..line + 2 + size)) else { break };
        bytes.extend_from_slice(chunk);
        rest = rest.get(line + 2 + chunk.len() + 2..).unwrap_or_default();
    }
    bytes
}

/// The text of an event of `/chat` or of OpenAI's dialect; `None` if it is neither.
fn text_of(event: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(event).ok()?;
    if let Some(text) = event.get("content") {
        return Some(text.as_str()?.to_owned());
    }
    let choices = event.get("choices")?.as_array()?;
    let text = choices.first().and_then(|choice| choice.pointer("/delta/content"));
    Some(text.and_then(|text| text.as_str()).unwrap_or_default().to_owned())
}

/// A `POST` of a short question to `path`.
pub(crate) fn question(path: &str) -> Vec<u8> {
    // Which model it is, this program chooses; what the others pass on must name one.
    let model = if path.starts_with("/openai/") { "openai/gpt-oss-20b" } else { "auto" };
    let body =
        format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hola"}}],"stream":true}}"#);
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer key\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    (head + &body).into_bytes()
}
