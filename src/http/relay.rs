//! From an answer under way to the body of a response.
//!
//! The body owns everything the answer needs: the connection to the provider, the attempt's outcome and the place among
//! the concurrent requests. Dropping the body ends all of them, for example when the client leaves; there is no
//! spawned task and no channel. Bytes are read from the provider only when the client takes some, so a slow client
//! slows the provider down instead of filling memory.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::body_budget::BodyPermit;
use super::connection::Closer;
use crate::dispatch::{Answering, Broken, Progress, Signatures};
use crate::middle::{Event, ToolCallPiece};
use crate::observe::{OpenStream, RequestLog};
use crate::surfaces::{AfterFailure, ApiError, Author, Encode, Interrupted};
use crate::time::Alarm;

/// The silence after which an event without text is sent, so that no proxy on the way takes the connection for dead.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// What ends with the body.
#[derive(Debug)]
pub(super) struct Held {
    /// Who answers.
    pub author: Author,
    /// The request's line in the log.
    pub log: RequestLog,
    /// The place among the concurrent requests.
    pub permit: OwnedSemaphorePermit,
    /// The memory of the request.
    pub memory: BodyPermit,
    /// The client's connection.
    pub connection: Option<Closer>,
    /// Keeps the signatures of tool calls.
    pub signatures: Arc<Signatures>,
}

/// Breaks the connection.
#[derive(Debug, thiserror::Error)]
#[error("the answer was interrupted")]
struct Aborted;

/// The body of a streamed answer, which counts as `open` until it ends. `ending` completes when open streams must end.
pub(super) fn body<E: Encode>(
    answering: Answering,
    encoder: E,
    held: Held,
    open: OpenStream,
    ending: impl Future<Output = ()> + Send + 'static,
) -> Body {
    let Held { author, log, permit, memory, connection, signatures } = held;
    let keeps_request = answering.keeps_request();
    let relay = Box::new(Relay {
        answering,
        encoder,
        author,
        memory: Some(memory).filter(|_| keeps_request),
        log: Some(log),
        connection,
        signatures,
        stage: Stage::Relaying,
        events: Vec::new(),
        silent_since: None,
        keep_alive: Alarm::default(),
        ending: Box::pin(ending),
        _permit: permit,
        _open: open,
    });
    Body::from_stream(stream::unfold(relay, Relay::next_frame))
}

/// All events of an answer that has been read to its end.
pub(super) async fn whole(mut answering: Answering, held: Held) -> Vec<Event> {
    let mut events = Vec::new();
    // Everything has arrived, so reading only hands it over and cannot fail.
    let _ = answering.read(&mut events).await;
    events.iter().for_each(|event| remember_signature(&held.signatures, event));
    held.log.answered(answering.unreadable_events());
    events
}

struct Relay<E> {
    answering: Answering,
    encoder: E,
    author: Author,
    /// Given back with the request, once nobody else will be asked.
    memory: Option<BodyPermit>,
    /// Taken when its line is written.
    log: Option<RequestLog>,
    connection: Option<Closer>,
    signatures: Arc<Signatures>,
    stage: Stage,
    /// Empty between frames; the allocation is reused.
    events: Vec<Event>,
    /// Since when the client has waited for the next bytes.
    silent_since: Option<Instant>,
    keep_alive: Alarm,
    ending: Pin<Box<dyn Future<Output = ()> + Send>>,
    _permit: OwnedSemaphorePermit,
    _open: OpenStream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Relaying,
    /// Everything is written; the provider may end its part.
    Complete,
    /// The connection is to break, once the bytes written so far have left.
    Aborting,
    Ended,
}

/// What a relay waits for.
enum Wake {
    Read(Result<Progress, Broken>),
    Silence,
    Ending,
}

/// Keeps the signature that a provider wants back with its tool call.
fn remember_signature(signatures: &Signatures, event: &Event) {
    if let Event::ToolCall(ToolCallPiece { opening: Some(opening), .. }) = event
        && let Some(signature) = &opening.signature
    {
        signatures.remember(&opening.id, signature);
    }
}

impl<E: Encode> Relay<E> {
    async fn next_frame(mut self: Box<Self>) -> Option<(Result<Bytes, Aborted>, Box<Self>)> {
        loop {
            match self.stage {
                Stage::Relaying => {}
                Stage::Complete => {
                    self.answering.drain().await;
                    return None;
                }
                Stage::Aborting => {
                    // hyper drops a frame that is followed at once by an error. Yielding lets it write the frame first.
                    tokio::task::yield_now().await;
                    self.stage = Stage::Ended;
                    return Some((Err(Aborted), self));
                }
                Stage::Ended => return None,
            }
            let frame = match self.wake().await {
                Wake::Silence => {
                    // Also if nothing is written: else the alarm would ring on and on.
                    self.silent_since = None;
                    let mut frame = Vec::new();
                    self.encoder.keep_alive(&mut frame);
                    frame
                }
                Wake::Read(outcome) => self.encode(outcome),
                Wake::Ending => self.interrupt(&Interrupted::ShuttingDown, &Interrupted::ShuttingDown),
            };
            if !frame.is_empty() {
                self.silent_since = None;
                return Some((Ok(Bytes::from(frame)), self));
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        let silence = *self.silent_since.get_or_insert_with(Instant::now) + KEEP_ALIVE_EVERY;
        tokio::select! {
            biased;
            () = &mut self.ending => Wake::Ending,
            outcome = self.answering.read(&mut self.events) => Wake::Read(outcome),
            () = self.keep_alive.reached(silence) => Wake::Silence,
        }
    }

    fn encode(&mut self, outcome: Result<Progress, Broken>) -> Vec<u8> {
        self.memory = self.memory.take().filter(|_| self.answering.keeps_request());
        // Exact for text.
        let size = |event: &Event| self.encoder.framing() + event.text().len();
        let mut frame = Vec::with_capacity(self.events.iter().map(size).sum());
        if matches!(self.events.last(), Some(Event::Finish(_))) {
            self.stage = Stage::Complete;
            if let Some(log) = self.log.take() {
                log.answered(self.answering.unreadable_events());
            }
        }
        for event in self.events.drain(..) {
            remember_signature(&self.signatures, &event);
            self.encoder.event(event, &mut frame);
        }
        match outcome {
            Ok(Progress::Events) => {}
            Ok(Progress::TakenOver) => self.take_over(),
            Err(Broken::Provider(failure)) => {
                let name = self.answering.provider().name();
                let interrupted = Interrupted::Provider { name, reason: failure.reason() };
                frame.append(&mut self.interrupt(&interrupted, &interrupted));
            }
            Err(Broken::Everybody(failed)) => {
                // The log never has the providers' own words, which may quote the prompt.
                let failed = ApiError::AllFailed(failed);
                let (sentence, log_text) = (failed.message(), failed.log_text());
                frame.append(&mut self.interrupt(&Interrupted::Everybody(sentence), &log_text));
            }
        }
        frame
    }

    /// From now on somebody else writes.
    fn take_over(&mut self) {
        self.author.provider = self.answering.provider();
        self.answering.model().clone_into(&mut self.author.model);
        self.encoder.taken_over(self.author.clone());
        if let Some(log) = &mut self.log {
            log.answers(self.author.provider.name(), &self.author.model);
        }
    }

    /// Tells the client, and the log, that the answer will not be completed.
    fn interrupt(&mut self, interrupted: &Interrupted, why: &impl Display) -> Vec<u8> {
        if let Some(log) = self.log.take() {
            log.interrupted(why);
        }
        if let Some(connection) = &self.connection {
            connection.close();
        }
        let mut frame = Vec::new();
        self.stage = match self.encoder.interrupted(interrupted, &mut frame) {
            AfterFailure::EndNormally => Stage::Ended,
            AfterFailure::AbortConnection => Stage::Aborting,
        };
        frame
    }
}
