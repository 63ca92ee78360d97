//! Sends the rest of paced answers: a thread that writes each piece in its own moment.
//!
//! The runtime's timers fire each millisecond, which would bunch the events of all streams and spare every server most of
//! its wake-ups. This one is exact to some 50 µs, and wakes no task.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::recordings::Answer;
use crate::text::{STAMP, micros_of_now};

/// An answer that is under way.
pub(crate) struct Stream {
    pub(crate) socket: Arc<TcpStream>,
    pub(crate) answer: Arc<Answer>,
    pub(crate) next_frame: usize,
    pub(crate) due: Instant,
}

impl Ord for Stream {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}

impl PartialOrd for Stream {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Stream {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Stream {}

/// Starts the thread; it takes over the streams that are sent to it.
pub(crate) fn start(pace: Duration) -> Sender<Stream> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || run(pace, &receiver));
    sender
}

fn run(pace: Duration, receiver: &Receiver<Stream>) {
    let mut waiting = BinaryHeap::new();
    loop {
        let due = waiting.peek().map(|Reverse(stream): &Reverse<Stream>| stream.due);
        let left = due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            let Some(Reverse(stream)) = waiting.pop() else { continue };
            waiting.extend(advance(stream, pace).map(Reverse));
            continue;
        }
        match receiver.recv_timeout(left) {
            Ok(stream) => waiting.push(Reverse(stream)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Sends the next piece; gives the stream back if there is more to come.
fn advance(mut stream: Stream, pace: Duration) -> Option<Stream> {
    let late = stream.due.elapsed();
    let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
    let bytes = stream.answer.next_bytes(&mut stream.next_frame, micros_of_now() - late);
    // A client that has left, or that does not read: it will miss the rest and say so.
    let is_sent = stream.socket.try_write(&bytes).is_ok_and(|sent| sent == bytes.len());
    stream.due += pace;
    (is_sent && stream.next_frame < stream.answer.frames.len()).then_some(stream)
}

impl Answer {
    /// The frames from `next` to the next piece of text; all that are left if there is none. `micros` is put into it.
    pub(crate) fn next_bytes(&self, next: &mut usize, micros: u64) -> Vec<u8> {
        let rest = &self.frames[*next..];
        let count = rest.iter().position(|frame| frame.is_text).map_or(rest.len(), |at| at + 1);
        *next += count;
        let mut bytes = Vec::new();
        for frame in &rest[..count] {
            let from = bytes.len();
            bytes.extend_from_slice(&frame.bytes);
            if let Some(stamp) = frame.stamp {
                let place = from + stamp..from + stamp + STAMP.len();
                bytes[place].copy_from_slice(format!("{micros:016}").as_bytes());
            }
        }
        bytes
    }
}
