//! From an answer under way to the body of a response.
//!
//! The body owns everything the answer needs: the connection to the provider, the attempt's outcome and the place among
//! the concurrent requests. Dropping the body ends all of them, for example when the client leaves; there is no
//! spawned task and no channel. Bytes are read from the provider only when the client takes some, so a slow client
//! slows the provider down instead of filling memory.

use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::body_budget::BodyPermit;
use super::connection::Connection;
use super::response_body::{Aborted, Body, Stream};
use crate::dispatch::{Answering, Broken, Progress, Signatures};
use crate::middle::{Event, ToolCallPiece};
use crate::observe::{OpenStream, RequestLog};
use crate::surfaces::{AfterFailure, ApiError, Author, Encode, Interrupted};
use crate::time::{Alarm, Doorbell};

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
    pub connection: Arc<Connection>,
    /// Keeps the signatures of tool calls.
    pub signatures: Arc<Signatures>,
}

/// The body of a streamed answer, which counts as `open` until it ends.
pub(super) fn body<E: Encode>(answering: Answering, encoder: E, held: Held, open: OpenStream) -> Body {
    let Held { author, log, permit, memory, connection, signatures } = held;
    let keeps_request = answering.keeps_request();
    Body::Streamed(Box::new(Relay {
        answering,
        encoder,
        author,
        memory: Some(memory).filter(|_| keeps_request),
        log: Some(log),
        connection,
        signatures,
        stage: Stage::Relaying,
        events: Vec::new(),
        reading: Doorbell::default(),
        silent_since: None,
        keep_alive: Alarm::default(),
        _permit: permit,
        _open: open,
    }))
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
    connection: Arc<Connection>,
    signatures: Arc<Signatures>,
    stage: Stage,
    /// Empty between frames; the allocation is reused.
    events: Vec<Event>,
    /// The answer rings when there may be more to read.
    reading: Doorbell,
    /// Since when the client has waited for the next bytes.
    silent_since: Option<Instant>,
    keep_alive: Alarm,
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
    /// They have left.
    Breaking,
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

impl<E: Encode> Stream for Relay<E> {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Aborted>>> {
        loop {
            match self.stage {
                Stage::Relaying => {}
                Stage::Complete => {
                    ready!(self.poll_drained(context));
                    return Poll::Ready(None);
                }
                Stage::Aborting => {
                    // hyper drops a frame that is followed at once by an error. Yielding lets it write the frame first.
                    self.stage = Stage::Breaking;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Stage::Breaking => {
                    self.stage = Stage::Ended;
                    return Poll::Ready(Some(Err(Aborted)));
                }
                Stage::Ended => return Poll::Ready(None),
            }
            let frame = match ready!(self.poll_wake(context)) {
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
                if self.stage == Stage::Complete {
                    // Nearly always the provider has ended, too. Then these bytes are the last ones, and the end of the body
                    // leaves with them: one write and one poll less.
                    let _ = self.poll_drained(context);
                }
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stage == Stage::Ended
    }
}

impl<E: Encode> Relay<E> {
    /// Everything here goes on where it was when it is polled again, so no future has to be kept in between: a stream that
    /// waits holds nothing but its state.
    fn poll_wake(&mut self, context: &mut Context<'_>) -> Poll<Wake> {
        if self.connection.must_end() {
            return Poll::Ready(Wake::Ending);
        }
        // What is written must leave first; hyper asks again then.
        if self.connection.is_stalled() {
            return Poll::Pending;
        }
        let Self { answering, events, .. } = self;
        let read = self.reading.answer(context, |context| pin!(answering.read(events)).poll(context));
        if let Poll::Ready(outcome) = read {
            return Poll::Ready(Wake::Read(outcome));
        }
        let silence = *self.silent_since.get_or_insert_with(Instant::now) + KEEP_ALIVE_EVERY;
        self.keep_alive.poll_reached(context, silence).map(|()| Wake::Silence)
    }

    /// Lets the provider end its part, which ends this one.
    fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(pin!(self.answering.drain()).poll(context));
        self.stage = Stage::Ended;
        Poll::Ready(())
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
        self.connection.close();
        let mut frame = Vec::new();
        self.stage = match self.encoder.interrupted(interrupted, &mut frame) {
            AfterFailure::EndNormally => Stage::Ended,
            AfterFailure::AbortConnection => Stage::Aborting,
        };
        frame
    }
}
