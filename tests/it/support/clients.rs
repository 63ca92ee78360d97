use std::net::SocketAddr;

use ai_proxy_free::internals::providers::{Directory, Provider};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{TestProxy, within_patience};

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the body broke off instead of ending.
    pub(crate) is_broken: bool,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// The sentence of an error.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_else(|| panic!("no error in {}", self.text())).to_owned()
    }

    /// The answer in a stream of events.
    pub(crate) fn answer(&self) -> Answer {
        assert_eq!(self.status, 200, "{}", self.text());
        parse_sse(&self.text())
    }
}

/// What a stream of `/chat` said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// All contents together.
    pub(crate) text: String,
    /// The event with the finish reason.
    pub(crate) finish: Option<Value>,
    /// The event with an error.
    pub(crate) error: Option<Value>,
    pub(crate) is_done: bool,
    pub(crate) events: usize,
}

/// Reads a stream as strictly as no client would.
///
/// # Panics
/// Anything is not as the contract has it.
pub(crate) fn parse_sse(stream: &str) -> Answer {
    let mut answer = Answer::default();
    assert!(stream.is_empty() || stream.ends_with("\n\n"), "cut in the middle of an event: {stream:?}");
    for event in stream.split_terminator("\n\n") {
        assert!(!answer.is_done, "something after [DONE]: {event:?}");
        assert!(answer.error.is_none(), "something after an error: {event:?}");
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {event:?}"));
        assert!(!data.contains(['\n', '\r']), "more than one line: {data:?}");
        if data == "[DONE]" {
            assert!(answer.finish.is_some(), "[DONE] without a finish reason");
            answer.is_done = true;
            continue;
        }
        answer.events += 1;
        let value: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("not JSON: {data:?}"));
        if value.get("error").is_some() {
            answer.error = Some(value);
            continue;
        }
        assert!(answer.finish.is_none(), "content after the finish: {data}");
        answer.text += value["content"].as_str().unwrap_or_else(|| panic!("no content: {data}"));
        if value.get("finish_reason").is_some() {
            answer.finish = Some(value);
        }
    }
    answer
}

/// A client for one test: connections must not outlive a test's runtime.
pub(crate) fn http_client() -> anyhow::Result<reqwest::Client> {
    // Fails if it has been done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?)
}

/// A request of one question.
pub(crate) fn question() -> Value {
    json!({"messages": [{"role": "user", "content": "Hola"}]})
}

/// Posts `body` to `/chat` and reads the answer to its end.
pub(crate) async fn chat(proxy: &TestProxy, body: &Value) -> anyhow::Result<Reply> {
    ask(proxy, body, &[]).await
}

/// The same with headers of its own.
pub(crate) async fn ask(proxy: &TestProxy, body: &Value, headers: &[(&str, &str)]) -> anyhow::Result<Reply> {
    ask_at(proxy, "/chat", body, headers).await
}

/// Posts `body` to `/v1/chat/completions` and reads the answer to its end.
pub(crate) async fn complete(proxy: &TestProxy, body: &Value) -> anyhow::Result<Reply> {
    ask_at(proxy, "/v1/chat/completions", body, &[]).await
}

/// Posts `body` to `path` and reads the answer to its end.
pub(crate) async fn ask_at(
    proxy: &TestProxy,
    path: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> anyhow::Result<Reply> {
    let mut request = http_client()?.post(proxy.url(path)).json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = within_patience("the head of an answer", request.send()).await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    let read = async {
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    };
    let is_broken = within_patience("the end of an answer", read).await;
    Ok(Reply { status, headers, body, is_broken })
}

impl TestProxy {
    /// Makes `provider` the next in turn, by letting the ones before it answer.
    pub(crate) async fn make_next(&self, provider: Provider) -> anyhow::Result<()> {
        for before in Directory::core().into_iter().take_while(|it| *it != provider) {
            let reply = chat(self, &question()).await?;
            anyhow::ensure!(reply.header("x-provider") == Some(before.name()), "{before:?} did not answer");
        }
        Ok(())
    }
}

/// A client that writes and reads bytes.
pub(crate) struct RawClient {
    pub(crate) stream: TcpStream,
    pub(crate) received: Vec<u8>,
}

impl RawClient {
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { stream: TcpStream::connect(address).await?, received: Vec::new() })
    }

    /// Sends a `POST /chat` with `body`.
    pub(crate) async fn post(address: SocketAddr, body: &Value) -> anyhow::Result<Self> {
        let mut client = Self::connect(address).await?;
        client.send("1.1", "", body).await?;
        Ok(client)
    }

    /// From a machine that takes in hardly more than what is read.
    pub(crate) async fn connect_with_little_room(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4_096)?;
        Ok(Self { stream: socket.connect(address).await?, received: Vec::new() })
    }

    /// Sends a `POST /chat` of HTTP `version` with `headers`, each of which ends its line, and `body`.
    pub(crate) async fn send(&mut self, version: &str, headers: &str, body: &Value) -> anyhow::Result<()> {
        let body = body.to_string();
        let length = body.len();
        let fixed =
            format!("host: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n");
        let request = format!("POST /chat HTTP/{version}\r\n{fixed}{headers}\r\n{body}");
        Ok(self.stream.write_all(request.as_bytes()).await?)
    }

    /// Reads until `text` has come.
    pub(crate) async fn read_until(&mut self, text: &str) -> anyhow::Result<()> {
        let read = async {
            while !String::from_utf8_lossy(&self.received).contains(text) {
                if self.stream.read_buf(&mut self.received).await? == 0 {
                    anyhow::bail!("ended without {text:?}: {}", String::from_utf8_lossy(&self.received));
                }
            }
            Ok(())
        };
        within_patience(text, read).await
    }

    /// Reads to the end of the connection and gives everything.
    pub(crate) async fn read_to_end(mut self) -> String {
        let read =
            async { while matches!(self.stream.read_buf(&mut self.received).await, Ok(read) if read > 0) {} };
        within_patience("the end of a connection", read).await;
        String::from_utf8_lossy(&self.received).into_owned()
    }
}
