//! The ways to ask, all of which a client's fault has to meet, and what must hold when it is over.

use ai_proxy_free::internals::providers::Provider;
use ai_proxy_free::internals::simulator::{Behaviour, Outcome, SimulatedProvider};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{RawClient, Reply, TestProxy, chat, http_client, parse_sse, question, within_patience};

/// A surface, and how the answer is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ChatStream,
    ChatText,
    ChatWhole,
    OpenAiStream,
    OpenAiWhole,
}

/// What is asked, and must be in no log.
pub(super) const PROMPT: &str = "canary-prompt";

impl Way {
    pub(super) const ALL: [Self; 5] =
        [Self::ChatStream, Self::ChatText, Self::ChatWhole, Self::OpenAiStream, Self::OpenAiWhole];
    /// Those whose answer comes piece by piece.
    pub(super) const STREAMS: [Self; 3] = [Self::ChatStream, Self::ChatText, Self::OpenAiStream];
    /// One a surface, for what is refused before the form of the answer is known.
    pub(super) const SURFACES: [Self; 2] = [Self::ChatStream, Self::OpenAiWhole];

    pub(super) fn is_openai(self) -> bool {
        matches!(self, Self::OpenAiStream | Self::OpenAiWhole)
    }

    pub(super) fn is_stream(self) -> bool {
        Self::STREAMS.contains(&self)
    }

    pub(super) fn path(self) -> &'static str {
        if self.is_openai() { "/v1/chat/completions" } else { "/chat" }
    }

    pub(super) fn accept(self) -> &'static str {
        if self == Self::ChatText { "text/plain" } else { "*/*" }
    }

    /// A question of this way.
    pub(super) fn body(self) -> Value {
        json!({"messages": [{"role": "user", "content": PROMPT}], "stream": self.is_stream()})
    }

    /// A question that only `provider` may answer.
    pub(super) fn body_for(self, provider: Provider) -> Value {
        let mut body = self.body();
        body[if self.is_openai() { "model" } else { "provider" }] = json!(provider.name());
        body
    }

    /// The head of a request with `headers`, each of which ends its line.
    pub(super) fn head(self, headers: &str) -> String {
        let (path, accept) = (self.path(), self.accept());
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\ncontent-type: application/json\r\n{headers}\r\n"
        )
    }

    /// A whole request with `headers`, each of which ends its line.
    pub(super) fn request(self, headers: &str, body: &Value) -> String {
        let body = body.to_string();
        let length = body.len();
        self.head(&format!("content-length: {length}\r\n{headers}")) + &body
    }

    /// Sends a question that only `provider` may answer.
    pub(super) async fn ask(self, proxy: &TestProxy, provider: Provider) -> anyhow::Result<RawClient> {
        self.ask_from(RawClient::connect(proxy.address).await?, provider).await
    }

    /// Sends it on a connection that is open.
    pub(super) async fn ask_from(
        self,
        mut client: RawClient,
        provider: Provider,
    ) -> anyhow::Result<RawClient> {
        client.stream.write_all(self.request("", &self.body_for(provider)).as_bytes()).await?;
        Ok(client)
    }

    /// Sends `body` as an ordinary client with these headers does.
    pub(super) async fn post(
        self,
        proxy: &TestProxy,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Reply> {
        self.post_from(&http_client()?, proxy, headers, body).await
    }

    /// The same with JSON.
    pub(super) async fn post_json(
        self,
        proxy: &TestProxy,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Reply> {
        self.post(proxy, &[("content-type", "application/json")], body).await
    }

    /// The same for somebody who asks often.
    pub(super) async fn post_from(
        self,
        client: &reqwest::Client,
        proxy: &TestProxy,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Reply> {
        let mut request = client.post(proxy.url(self.path())).header("accept", self.accept());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = within_patience("an answer", request.body(body).send()).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = within_patience("its end", response.bytes()).await?.into();
        Ok(Reply { status, headers, body, is_broken: false })
    }

    /// The text of a complete answer.
    ///
    /// # Panics
    /// It is none.
    pub(super) fn text(self, reply: &Reply, case: &str) -> String {
        assert_eq!(reply.status, 200, "{self:?} {case}: {}", reply.text());
        assert!(!reply.is_broken, "{self:?} {case}: broken off: {}", reply.text());
        let string =
            |value: &Value| value.as_str().unwrap_or_else(|| panic!("{self:?} {case}: {value}")).to_owned();
        match self {
            Self::ChatText => reply.text(),
            Self::ChatWhole => string(&reply.json()["content"]),
            Self::OpenAiWhole => string(&reply.json()["choices"][0]["message"]["content"]),
            Self::ChatStream => {
                let answer = parse_sse(&reply.text());
                assert!(answer.is_done, "{self:?} {case}: not complete: {}", reply.text());
                answer.text
            }
            Self::OpenAiStream => {
                let stream = reply.text();
                let Some(events) = stream.strip_suffix("data: [DONE]\n\n") else {
                    panic!("{self:?} {case}: not complete: {stream}");
                };
                let chunks = events.split_terminator("\n\n").map(|event| {
                    let data = event.strip_prefix("data: ").expect("data");
                    serde_json::from_str::<Value>(data).expect("JSON")
                });
                chunks
                    .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
                    .collect()
            }
        }
    }

    /// Asserts that `reply` is an error of this status in the surface's form, and gives its sentence.
    pub(super) fn refusal(self, reply: &Reply, status: u16, case: &str) -> String {
        let body = refused(reply, status, &format!("{self:?} {case}"));
        let error = &body["error"];
        let sentence = if self.is_openai() {
            let kind = error["type"].as_str().unwrap_or_else(|| panic!("{self:?} {case}: no type: {body}"));
            assert!(
                ["invalid_request_error", "server_error"].contains(&kind)
                    && error.get("param").is_some()
                    && error.get("code").is_some(),
                "{self:?} {case}: not OpenAI's form: {body}"
            );
            &error["message"]
        } else {
            error
        };
        let sentence = sentence.as_str().unwrap_or_else(|| panic!("{self:?} {case}: no sentence: {body}"));
        assert!(!sentence.is_empty(), "{self:?} {case}: {body}");
        sentence.to_owned()
    }
}

/// Asserts what all refusals have in common, and gives their body.
fn refused(reply: &Reply, status: u16, case: &str) -> Value {
    assert_eq!(reply.status, status, "{case}: {}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json; charset=utf-8"), "{case}");
    assert!(reply.header("x-request-id").is_some(), "{case}: no id");
    reply.json()
}

/// Asserts that `reply` refuses what cannot even be read as a request, and that it is the last on its connection.
pub(super) fn assert_unreadable(reply: &Reply, status: u16, case: &str) {
    let body = refused(reply, status, case);
    // The path may be what cannot be read: the sentence stands where the surface wants it, or by itself.
    let error = &body["error"];
    let sentence = error.as_str().or(error["message"].as_str());
    assert!(sentence.is_some_and(|it| !it.is_empty()), "{case}: {body}");
    assert_eq!(reply.header("connection"), Some("close"), "{case}");
}

/// A proxy that closes no connection because of a clock: who is to be closed is closed for what it did.
pub(super) async fn patient_proxy() -> anyhow::Result<TestProxy> {
    let names = ["HEADER_READ_TIMEOUT_MS", "BODY_READ_TIMEOUT_MS", "CLIENT_STALL_TIMEOUT_MS"];
    names.iter().fold(TestProxy::builder(), |builder, name| builder.with(name, 600_000)).start().await
}

/// Sends `bytes` and gives all that comes back until the proxy closes.
pub(super) async fn converse(proxy: &TestProxy, case: &str, bytes: &[u8]) -> anyhow::Result<Vec<Reply>> {
    let mut client = RawClient::connect(proxy.address).await?;
    // Who is refused early may find the door closed.
    let _ = within_patience(case, client.stream.write_all(bytes)).await;
    Ok(read_replies(&ending(case, client).await))
}

/// Everything that comes until the proxy closes.
pub(super) async fn ending(case: &str, mut client: RawClient) -> Vec<u8> {
    let read =
        async { while matches!(client.stream.read_buf(&mut client.received).await, Ok(read) if read > 0) {} };
    within_patience(&format!("the end of the connection: {case}"), read).await;
    client.received
}

/// The responses that follow each other in `bytes`; interim ones are left out.
///
/// # Panics
/// A head cannot be read.
pub(super) fn read_replies(mut bytes: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let mut lines = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut lines);
        let Ok(httparse::Status::Complete(length)) = head.parse(bytes) else {
            panic!("no head: {:?}", String::from_utf8_lossy(bytes));
        };
        let headers: HeaderMap = head
            .headers
            .iter()
            .map(|line| {
                let name: HeaderName = line.name.parse().expect("a name");
                (name, HeaderValue::from_bytes(line.value).expect("a value"))
            })
            .collect();
        let status = head.code.expect("a status");
        bytes = &bytes[length..];
        if status < 200 {
            continue;
        }
        let (body, is_broken) = read_body(&headers, &mut bytes);
        replies.push(Reply { status, headers, body, is_broken });
    }
    replies
}

/// The body at the beginning of `bytes`, and whether it broke off.
fn read_body(headers: &HeaderMap, bytes: &mut &[u8]) -> (Vec<u8>, bool) {
    if headers.get("transfer-encoding").is_none() {
        let length = headers.get("content-length");
        // Without either it ends with the connection.
        let length = length.map_or(bytes.len(), |it| it.to_str().expect("ASCII").parse().expect("a length"));
        let (body, rest) = bytes.split_at(length.min(bytes.len()));
        *bytes = rest;
        return (body.to_vec(), body.len() < length);
    }
    let mut body = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return (body, true) };
        let size = std::str::from_utf8(&bytes[..end]).expect("ASCII");
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        *bytes = &bytes[end + 2..];
        if bytes.len() < size + 2 {
            body.extend_from_slice(&bytes[..size.min(bytes.len())]);
            *bytes = &[];
            return (body, true);
        }
        body.extend_from_slice(&bytes[..size]);
        *bytes = &bytes[size + 2..];
        if size == 0 {
            return (body, false);
        }
    }
}

/// The end of a client's stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    Close,
    Reset,
    /// Says that nothing more comes, and goes on reading.
    HalfClose,
}

impl Departure {
    pub(super) const ALL: [Self; 3] = [Self::Close, Self::Reset, Self::HalfClose];

    /// Leaves; one that goes on reading can do so.
    pub(super) async fn leave(self, mut client: RawClient) -> anyhow::Result<Option<RawClient>> {
        match self {
            Self::Close => {}
            Self::Reset => client.stream.set_zero_linger()?,
            Self::HalfClose => {
                client.stream.shutdown().await?;
                return Ok(Some(client));
            }
        }
        Ok(None)
    }
}

/// Whether the last call of `provider` was dropped by the proxy.
pub(super) fn is_abandoned(provider: &SimulatedProvider) -> bool {
    matches!(provider.chats().last().map(|request| request.outcome), Some(Outcome::Abandoned(_)))
}

/// What had been counted before a case.
pub(super) struct Before {
    calls: u64,
    attempts: u64,
    failures: u64,
}

impl Before {
    pub(super) async fn case(proxy: &TestProxy) -> anyhow::Result<Self> {
        let health: Value = http_client()?.get(proxy.url("/health")).send().await?.json().await?;
        let services = health["stats"]["services"].as_object().expect("services");
        let total = |name: &str| services.values().filter_map(|service| service[name].as_u64()).sum();
        Ok(Self { calls: proxy.upstream_calls(), attempts: total("count"), failures: total("failures") })
    }

    /// Nobody was asked, and the next request is answered.
    pub(super) async fn assert_nobody_was_asked(&self, proxy: &TestProxy, case: &str) -> anyhow::Result<()> {
        self.assert_asked(proxy, 0, case).await
    }

    /// So many calls were made for the case, none of which is a failure, and the next request is answered.
    pub(super) async fn assert_asked(&self, proxy: &TestProxy, calls: u64, case: &str) -> anyhow::Result<()> {
        let now = Self::case(proxy).await?;
        assert_eq!(now.calls - self.calls, calls, "{case}: calls to providers");
        assert_eq!(now.attempts - self.attempts, calls, "{case}: counted by /health");
        assert_eq!(now.failures, self.failures, "{case}: it is no provider's fault");
        let next = chat(proxy, &question()).await?;
        assert_eq!(next.status, 200, "{case}: the next request: {}", next.text());
        assert!(next.answer().is_done, "{case}: the next request: {}", next.text());
        Ok(())
    }

    /// Its one call has been dropped with its connection, is counted and no failure, and the next request is answered.
    pub(super) async fn assert_abandoned(
        &self,
        proxy: &TestProxy,
        provider: Provider,
        case: &str,
    ) -> anyhow::Result<()> {
        let simulated = proxy.provider(provider);
        let over = simulated.until(|it| is_abandoned(it) && it.open_connections() == 0);
        within_patience(&format!("the end of the call: {case}"), over).await;
        proxy.all(&Behaviour::echo());
        self.assert_asked(proxy, 1, case).await
    }
}

/// `depth` times `open` around `core`.
pub(super) fn nested(open: &str, core: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + core + &close.repeat(depth)
}
