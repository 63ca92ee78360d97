//! The simulator's answers, recorded byte for byte and then sent again and again.
//!
//! The simulator is made for fidelity: it parses, checks and counts each request. A bench needs its bytes at a tenth of
//! that cost. So whatever it answers to a request is asked for some times and kept, by path and body.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ai_proxy_free::internals::simulator::SimulatedProvider;
use memchr::memmem::find;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::text::{STAMP, TEXT};

/// How many answers to a request are recorded and sent in turn: their ids differ, as those of a provider do.
const VARIANTS: usize = 8;

/// One write of the simulator's.
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_text: bool,
    /// Where the time stands at which it is sent.
    pub(crate) stamp: Option<usize>,
}

/// The writes of one answer: head, chunks, end.
pub(crate) struct Answer {
    pub(crate) frames: Vec<Frame>,
    /// All of them.
    pub(crate) whole: Vec<u8>,
}

/// A simulated provider and what it has said so far.
pub(crate) struct Recordings {
    pub(crate) provider: SimulatedProvider,
    known: Mutex<HashMap<Vec<u8>, Known>>,
}

#[derive(Default)]
struct Known {
    answers: Vec<Arc<Answer>>,
    asked: usize,
}

impl Recordings {
    pub(crate) fn of(provider: SimulatedProvider) -> Self {
        Self { provider, known: Mutex::default() }
    }

    /// The answer to `request`, which is `key` without its headers.
    pub(crate) async fn answer(&self, key: &[u8], request: &[u8]) -> Arc<Answer> {
        if let Some(known) = self.known.lock().expect("no panic").get_mut(key)
            && known.answers.len() == VARIANTS
        {
            known.asked += 1;
            return known.answers[known.asked % VARIANTS].clone();
        }
        let answer = Arc::new(self.record(request).await);
        let mut all = self.known.lock().expect("no panic");
        assert!(all.len() < 100, "requests that should be the same are not");
        let known = all.entry(key.to_owned()).or_default();
        if known.answers.len() < VARIANTS {
            known.answers.push(answer.clone());
        }
        answer
    }

    async fn record(&self, request: &[u8]) -> Answer {
        let url = self.provider.base_url();
        let address = url.strip_prefix("http://").expect("a URL");
        let mut stream = TcpStream::connect(address).await.expect("the simulator");
        stream.write_all(request).await.expect("the simulator");
        let mut bytes = Vec::new();
        loop {
            if let Some(answer) = Answer::of(&bytes) {
                return answer;
            }
            assert!(stream.read_buf(&mut bytes).await.expect("an answer") > 0, "an answer broke off");
        }
    }
}

impl Answer {
    /// Out of `bytes`, if they are a whole response.
    fn of(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_at_checked(find(bytes, b"\r\n\r\n")? + 4)?;
        let lower = String::from_utf8_lossy(head).to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        if let Some(length) = length {
            let length: usize = length.parse().expect("a length");
            return (rest.len() >= length).then(|| Self::made_of(vec![Frame::of(bytes)]));
        }
        let mut frames = vec![Frame::of(head)];
        loop {
            let line = find(rest, b"\r\n")?;
            let size = std::str::from_utf8(&rest[..line]).expect("a size");
            let size = usize::from_str_radix(size, 16).expect("a size");
            let (chunk, behind) = rest.split_at_checked(line + 2 + size + 2)?;
            frames.push(Frame::of(chunk));
            if size == 0 {
                return Some(Self::made_of(frames));
            }
            rest = behind;
        }
    }
}

impl Answer {
    fn made_of(frames: Vec<Frame>) -> Self {
        let whole = frames.iter().flat_map(|frame| &frame.bytes).copied().collect();
        Self { frames, whole }
    }
}

impl Frame {
    fn of(bytes: &[u8]) -> Self {
        let stamp = find(bytes, STAMP);
        let is_text = stamp.is_some() || find(bytes, TEXT).is_some();
        Self { bytes: bytes.to_owned(), is_text, stamp }
    }
}
