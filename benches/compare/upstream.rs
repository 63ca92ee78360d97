//! Groq, Cerebras and Gemini for the bench: the simulator's bytes, sent at a fraction of its cost.
//!
//! A process of its own, so that its CPU time can be told apart.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{Behaviour, Settings, SimulatedProvider, Trouble};
use ai_proxy_free::internals::time::Moment;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::machine::{Cores, spawn_on};
use crate::pacer::{self, Stream};
use crate::recordings::Recordings;
use crate::text::{micros_of_now, piece};

/// What the upstream answers.
#[derive(Clone, Copy)]
pub(crate) struct Script {
    /// Pieces of text.
    pub(crate) pieces: usize,
    /// The time between two of them.
    pub(crate) pace: Duration,
    /// Whether each says when it was sent.
    pub(crate) is_stamped: bool,
    pub(crate) failure: Failure,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    None,
    /// A 400: the one failure after which this program asks the same provider first again.
    BadRequest,
    /// A 503, after which nginx asks the next one.
    Overloaded,
}

impl Script {
    /// An answer of `pieces` at once, in a single write: no server is spared work by being late.
    pub(crate) fn at_once(pieces: usize) -> Self {
        Self { pieces, pace: Duration::ZERO, is_stamped: false, failure: Failure::None }
    }

    fn arguments(self) -> [String; 4] {
        let failure = match self.failure {
            Failure::None => "none",
            Failure::BadRequest => "400",
            Failure::Overloaded => "503",
        };
        let pace = self.pace.as_micros().to_string();
        [self.pieces.to_string(), pace, self.is_stamped.to_string(), failure.to_owned()]
    }

    /// From what [`Self::arguments`] gave.
    pub(crate) fn of(words: &[&str]) -> Option<Self> {
        let [pieces, pace_us, is_stamped, failure] = words else { return None };
        let failure = match *failure {
            "400" => Failure::BadRequest,
            "503" => Failure::Overloaded,
            _ => Failure::None,
        };
        let pace = Duration::from_micros(pace_us.parse().ok()?);
        Some(Self { pieces: pieces.parse().ok()?, pace, is_stamped: is_stamped.parse().ok()?, failure })
    }

    fn behaviour(self) -> Behaviour {
        match self.failure {
            Failure::None => Behaviour::answer((0..self.pieces).map(|number| piece(number, self.is_stamped))),
            Failure::BadRequest => Behaviour::trouble(Trouble::BadRequest),
            Failure::Overloaded => Behaviour::trouble(Trouble::Overloaded),
        }
    }
}

/// The process; ends when dropped.
pub(crate) struct Upstream {
    pub(crate) child: Child,
    /// Of Groq, Cerebras and Gemini.
    pub(crate) addresses: Vec<String>,
}

impl Upstream {
    pub(crate) fn start(cores: Cores, script: Script) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("upstream").args(script.arguments()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let (mut child, _) = spawn_on(cores.others, command);
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        output.read_line(&mut line).expect("its addresses");
        Self { child, addresses: line.split_whitespace().map(str::to_owned).collect() }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the process does: serves until whoever has started it is gone, however it went.
pub(crate) async fn serve(script: Script) {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let pacer = pacer::start(script.pace);
    let mut addresses = Vec::new();
    let mut servers = JoinSet::new();
    for provider in Directory::core() {
        let recordings = record(provider, script).await;
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let listener = socket.listen(16_384).expect("a port");
        addresses.push(listener.local_addr().expect("an address").to_string());
        servers.spawn(accept(listener, Arc::new(recordings), pacer.clone(), script.pace));
    }
    println!("{}", addresses.join(" "));
    servers.join_all().await;
}

async fn record(provider: Provider, script: Script) -> Recordings {
    let settings = Settings { kept_requests: 0, ..Settings::new(provider, Arc::new(Moment::now)) };
    let simulated = SimulatedProvider::start(provider, settings).await.expect("a port");
    simulated.always(script.behaviour());
    Recordings::of(simulated)
}

async fn accept(listener: TcpListener, recordings: Arc<Recordings>, pacer: Sender<Stream>, pace: Duration) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        connections.spawn(converse(Arc::new(stream), recordings.clone(), pacer.clone(), pace));
        while connections.try_join_next().is_some() {}
    }
}

/// Answers the requests of one connection until either side ends it.
async fn converse(
    stream: Arc<TcpStream>,
    recordings: Arc<Recordings>,
    pacer: Sender<Stream>,
    pace: Duration,
) -> Option<()> {
    let mut inbox = Vec::with_capacity(2_048);
    let mut key = Vec::new();
    loop {
        let whole = receive(&stream, &mut inbox, &mut key).await?;
        let answer = recordings.answer(&key, &inbox[..whole]).await;
        inbox.drain(..whole);
        if pace.is_zero() {
            write(&stream, &answer.whole).await?;
            continue;
        }
        let mut next_frame = 0;
        let due = Instant::now() + pace;
        write(&stream, &answer.next_bytes(&mut next_frame, micros_of_now())).await?;
        if next_frame < answer.frames.len() {
            pacer.send(Stream { socket: stream.clone(), answer, next_frame, due }).ok()?;
        }
    }
}

/// Reads a request; gives its length, and puts what it asks, without its headers, into `key`.
async fn receive(stream: &TcpStream, inbox: &mut Vec<u8>, key: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some((head, body)) = lengths(inbox)
            && inbox.len() >= head + body
        {
            key.clear();
            key.extend(inbox.split(|byte| *byte == b'\r').next()?);
            key.extend_from_slice(&inbox[head..head + body]);
            return Some(head + body);
        }
        stream.readable().await.ok()?;
        match stream.try_read_buf(inbox) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

/// The lengths of a request's head and body, if the head is whole.
fn lengths(inbox: &[u8]) -> Option<(usize, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(inbox).expect("a request") else { return None };
    let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    Some((head, length.unwrap_or(0)))
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) -> Option<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => stream.writable().await.ok()?,
            Err(_) => return None,
        }
    }
    Some(())
}
