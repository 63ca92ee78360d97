//! One call to one candidate: sends it, times it, decodes it up to its first content, and reads the rest of the answer.
//!
//! Owns the timeouts of a call, except for connecting, which `upstream` times. *First token* runs from the beginning of
//! the call, connecting included, to the first meaningful event (text or thinking), as long as somebody else could be
//! called instead; the last one left has the rest of the request's own time. *Idle* runs between meaningful
//! events from then on. Comments, pings and role-only chunks do not reset it. Time in which the caller did not ask for
//! more does not count, because a client that reads slowly is not the provider's fault. *Ending* gives a provider a
//! moment to end what is complete: an answer, or the body of an error.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::question::Extent;
use crate::config::CallLimits;
use crate::middle::{Cause, Diagnosis, ErrorReading, Event, ExpectedCalls, Failure, FinishReason, Redactor};
use crate::providers::{AnswerDecoder, Provider};
use crate::quota::Reservation;
use crate::time::Alarm;
use crate::upstream::{Body, Call, Response, Upstream};

/// How long a provider may take to end what is complete. Reading to the end keeps the connection usable for the
/// next call.
const ENDING_TIME: Duration = Duration::from_secs(1);

/// The same for an answer whose client gets nothing before its end: only for what is on its way already.
const WHOLE_ENDING_TIME: Duration = Duration::from_millis(10);

/// The most that is held back of an answer whose content has not begun, in bytes: a model may think without end.
const MAX_PENDING_BYTES: usize = 8 * 1024 * 1024;

/// The longest answer that is collected before it is sent, in bytes.
const MAX_WHOLE_BYTES: usize = 64 * 1024 * 1024;

/// How many times the first-token timeout a provider may take for an answer that is not streamed, because its first
/// byte is also its last. The wait is bounded, so that the fallback starts in time when the provider hangs.
const WHOLE_PATIENCE: u32 = 3;

/// What is sent to which provider. It holds the key and the prompt, so it does not print itself.
pub(super) struct Order {
    /// The provider.
    pub provider: Provider,
    /// The request.
    pub call: Call,
    /// The key that it uses, for the log: `key 1 of 2`.
    pub key: Arc<str>,
    /// The tools that the answer may call; `None` if it may call none.
    pub expected: Option<ExpectedCalls>,
    /// Whether the request asks for a stream.
    pub is_stream: bool,
}

/// What every attempt needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The connections.
    pub upstream: &'a Upstream,
    /// The timeouts.
    pub limits: CallLimits,
    /// Cleans the provider's error texts.
    pub redactor: &'a Arc<Redactor>,
    /// When the request's own time is over.
    pub deadline: Instant,
}

/// An answer that has come as far as its request wants: to a thought, to its content, or to its end.
///
/// Dropping it closes the connection to the provider, unless the answer has been read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    source: Source,
    body: Body,
    decoder: AnswerDecoder,
    phase: Phase,
    idle: Duration,
    /// Since when there has been no meaningful event while waiting for the provider.
    waiting_since: Option<Instant>,
    alarm: Alarm,
    /// Decoded and not yet handed out.
    pending: Vec<Event>,
    begun: Instant,
    /// When the first token came, counted from the beginning of the call.
    first_token: Option<Duration>,
}

/// Where an answer comes from: what turns a diagnosis into a failure.
#[derive(Clone, Debug)]
struct Source {
    provider: Provider,
    status: u16,
    redactor: Arc<Redactor>,
}

/// Which timeout runs.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No meaningful event has come; the first one must come by then.
    FirstToken(Instant),
    /// Between events.
    Streaming,
    /// The answer is complete; the provider has until then to end it.
    Ending(Instant),
    /// The body has been read to its end, or has broken off.
    Ended,
}

/// The result of waiting for the provider.
enum Arrival {
    /// Some of the answer, which has been decoded.
    Bytes(Result<(), Diagnosis>),
    End,
    BrokenOff,
    TimedOut,
}

/// Sends the call in `order` and waits until the answer has come as far as `extent` says; of a whole one for its first
/// content.
///
/// On `Ok` the caller may commit to a 200, unless [`Answer::is_without_content`]. On `Err` nothing has reached the
/// client and another candidate may be tried. An answer that a safety filter has blocked is an answer. Waits at most
/// `limits.first_token` for the first meaningful event (three times that if no stream is asked for), `limits.idle`
/// between thoughts, and a second for the body of an error. If nobody `has_others` to call when the first of these is
/// over, it waits on, until the request's own time is over. Dropping the future closes the connection.
///
/// `reservation` gets the limits that the provider reports as soon as they arrive, whatever the outcome of the attempt,
/// and learns when the answer begins.
///
/// # Errors
/// Any [`Cause`]. Limits and faults of the request come with the provider's own words.
pub(super) async fn open(
    context: Context<'_>,
    order: Order,
    extent: Extent,
    reservation: &mut Reservation,
    has_others: &(dyn Fn() -> bool + Sync),
) -> Result<Answer, Failure> {
    let Order { provider, call, key, expected, is_stream } = order;
    let patience = if is_stream { 1 } else { WHOLE_PATIENCE };
    let begun = Instant::now();
    let deadline = begun + context.limits.first_token * patience;
    let mut sending = pin!(context.upstream.send(call));
    let Response { status, headers, mut body } = match timeout_at(deadline, &mut sending).await {
        Ok(response) => response?,
        Err(_) if has_others() => return Err(Failure::without_answer(Cause::Silent)),
        // The caller watches the request's own time.
        Err(_) => sending.await?,
    };
    let source = Source { provider, status, redactor: context.redactor.clone() };
    let head = provider.read_head(&headers);
    if !(200..300).contains(&status) {
        reservation.overwrite(&head.limits);
        let words = body.beginning(Instant::now() + ENDING_TIME).await;
        let ErrorReading { diagnosis, limits } = provider.read_error(status, &head, &words);
        reservation.overwrite(&limits);
        return match diagnosis.cause {
            Cause::Moderated => Ok(Answer::blocked(source, body, context.limits.idle, begun)),
            _ => Err(source.failure(diagnosis)),
        };
    }
    if let Some(seconds) = reservation.accepted(&head) {
        let (name, model) = (provider.name(), &**reservation.model());
        info!(key = &*key, model, "{name} has nothing left of a limit: not asked for {seconds} s");
    }
    let is_json = is_json(&headers).map_err(|cause| source.failure(cause.into()))?;
    // Nobody reads them again, and the answer may take long.
    drop(headers);
    let decoder = AnswerDecoder::new(provider, is_json, expected);
    let mut answer = Answer::new(source, body, decoder, context.limits.idle, begun);
    answer.phase = Phase::FirstToken(deadline);
    answer.await_first_event(context.deadline, has_others).await?;
    if !answer.is_without_content() {
        reservation.has_begun(answer.first_token);
    }
    answer.await_extent(extent).await?;
    Ok(answer)
}

/// Whether a good answer is one JSON document instead of a stream.
///
/// # Errors
/// It is no answer of the API, or cannot be read: identity was asked for, and a compressed stream arrives when the
/// compressor flushes, not when the model produces a token.
fn is_json(headers: &HeaderMap) -> Result<bool, Cause> {
    let coding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Cause::ServerError);
    }
    match media_type(headers).as_str() {
        "text/html" => Err(Cause::Intercepted),
        media_type => Ok(media_type == "application/json"),
    }
}

impl Source {
    fn failure(&self, diagnosis: Diagnosis) -> Failure {
        diagnosis.into_failure(self.status, &self.redactor)
    }
}

impl Answer {
    fn new(source: Source, body: Body, decoder: AnswerDecoder, idle: Duration, begun: Instant) -> Self {
        Self {
            source,
            body,
            decoder,
            phase: Phase::Ended,
            idle,
            waiting_since: None,
            alarm: Alarm::default(),
            pending: Vec::new(),
            begun,
            first_token: None,
        }
    }

    /// The answer of a safety filter that has refused the prompt, whose `body` has been read.
    fn blocked(source: Source, body: Body, idle: Duration, begun: Instant) -> Self {
        let decoder = AnswerDecoder::new(source.provider, true, None);
        let pending = vec![Event::Finish(FinishReason::ContentFilter)];
        Self { pending, ..Self::new(source, body, decoder, idle, begun) }
    }

    /// The provider that answers.
    pub(crate) fn provider(&self) -> Provider {
        self.source.provider
    }

    /// The HTTP status of the answer.
    pub(crate) fn status(&self) -> u16 {
        self.source.status
    }

    /// How many events could not be read and were skipped.
    pub(crate) fn unreadable_events(&self) -> u32 {
        self.decoder.unreadable_events()
    }

    /// Whether what has been read and not handed out yet has content, or is an answer that a safety filter has blocked.
    pub(super) fn has_content(&self) -> bool {
        let is_blocked = matches!(self.pending.last(), Some(Event::Finish(FinishReason::ContentFilter)));
        is_blocked || self.pending.iter().any(Event::is_content)
    }

    /// Whether the answer is complete and has no content. It is passed on only if no other candidate does better.
    pub(super) fn is_without_content(&self) -> bool {
        matches!(self.pending.last(), Some(Event::Finish(_))) && !self.has_content()
    }

    /// Whether the provider says why an answer has no content.
    pub(super) fn explains_emptiness(&self) -> bool {
        let is_cut = matches!(self.pending.last(), Some(Event::Finish(FinishReason::Length)));
        is_cut || self.decoder.was_stopped()
    }

    /// Takes back the end of an answer, for the next [`read`](Self::read).
    pub(super) fn put_back(&mut self, events: Vec<Event>) {
        self.pending = events;
    }

    /// Waits for more of the answer and adds at least one event; a finish is always the last. After the finish only
    /// [`drain`](Self::drain) may follow.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped, and the timeouts keep running.
    ///
    /// # Errors
    /// [`Cause::Silent`], [`Cause::BrokenStream`], or what the provider reports; events before that have been added.
    pub(crate) async fn read(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        if !self.pending.is_empty() {
            // Not `append`: it would keep the buffer's memory for as long as the answer takes.
            events.extend(std::mem::take(&mut self.pending));
            return Ok(());
        }
        let known = events.len();
        while events.len() == known {
            let arrival = self.arrival(|decoder, bytes| decoder.push(bytes, events)).await;
            self.take(arrival, known, events).map_err(|diagnosis| self.source.failure(diagnosis))?;
        }
        self.waiting_since = None;
        Ok(())
    }

    /// Reads the answer to its end and keeps all of it for one [`read`](Self::read).
    ///
    /// # Errors
    /// As [`read`](Self::read), or [`Cause::ServerError`] for an answer of more than 64 MiB.
    pub(crate) async fn read_whole(&mut self) -> Result<(), Failure> {
        let mut whole = Gathered::default();
        while !matches!(whole.events.last(), Some(Event::Finish(_))) {
            self.gather(&mut whole, MAX_WHOLE_BYTES).await?;
        }
        // The client waits, so an end that has not come with the last event is not waited for.
        let _ = tokio::time::timeout(WHOLE_ENDING_TIME, self.drain()).await;
        self.pending = whole.events;
        Ok(())
    }

    /// Gives the provider the rest of its time to end its side of the answer, so that the connection can be used again.
    pub(crate) async fn drain(&mut self) {
        while let Phase::Ending(_) = self.phase {
            if !matches!(self.arrival(|_, _| Ok(())).await, Arrival::Bytes(_)) {
                self.phase = Phase::Ended;
            }
        }
    }

    /// Waits for the first meaningful event: within its own time, or if nobody `has_others` to call then, until
    /// `deadline`.
    async fn await_first_event(
        &mut self,
        deadline: Instant,
        has_others: &(dyn Fn() -> bool + Sync),
    ) -> Result<(), Failure> {
        let mut events = Vec::new();
        let mut read = self.read(&mut events).await;
        if let (Err(Failure { cause: Cause::Silent, .. }), Phase::FirstToken(_)) = (&read, self.phase)
            && !has_others()
        {
            self.phase = Phase::FirstToken(deadline);
            read = self.read(&mut events).await;
        }
        read?;
        self.pending = events;
        Ok(())
    }

    /// Reads on until the answer has come as far as `extent` says.
    async fn await_extent(&mut self, extent: Extent) -> Result<(), Failure> {
        let mut begun = Gathered { keeps_pieces: true, ..Gathered::default() };
        loop {
            self.gather(&mut begun, MAX_PENDING_BYTES).await?;
            if begun.has_come_to(extent) {
                break;
            }
        }
        self.pending = begun.events;
        Ok(())
    }

    /// Reads more of the answer into `gathered`, up to `most` bytes of text and thoughts.
    async fn gather(&mut self, gathered: &mut Gathered, most: usize) -> Result<(), Failure> {
        let mut events = Vec::new();
        self.read(&mut events).await?;
        for event in events {
            gathered.add(event);
        }
        if gathered.bytes > most {
            return Err(self.source.failure(Cause::ServerError.into()));
        }
        Ok(())
    }

    /// Waits for the provider, no longer than the current timeout.
    async fn arrival(
        &mut self,
        mut decode: impl FnMut(&mut AnswerDecoder, &[u8]) -> Result<(), Diagnosis>,
    ) -> Arrival {
        let deadline = match self.phase {
            Phase::FirstToken(deadline) | Phase::Ending(deadline) => deadline,
            Phase::Streaming => *self.waiting_since.get_or_insert_with(Instant::now) + self.idle,
            Phase::Ended => return Arrival::End,
        };
        let Self { body, decoder, alarm, .. } = self;
        let mut decoded = Ok(());
        // Nothing is decoded behind a failure.
        let pass_on = |bytes: &[u8]| {
            if decoded.is_ok() {
                decoded = decode(decoder, bytes);
            }
        };
        tokio::select! {
            biased;
            read = body.read(pass_on) => match read {
                Ok(true) => Arrival::Bytes(decoded),
                Ok(false) => Arrival::End,
                Err(_) => Arrival::BrokenOff,
            },
            () = alarm.reached(deadline) => Arrival::TimedOut,
        }
    }

    /// Goes on with what has arrived: with the events behind the first `known` ones, or with the end.
    fn take(&mut self, arrival: Arrival, known: usize, events: &mut Vec<Event>) -> Result<(), Diagnosis> {
        match arrival {
            Arrival::Bytes(decoded) => {
                decoded?;
                if events.len() > known {
                    self.first_token.get_or_insert_with(|| self.begun.elapsed());
                    if matches!(self.phase, Phase::FirstToken(_)) {
                        self.phase = Phase::Streaming;
                    }
                }
                match self.phase {
                    // A stop was taken back.
                    Phase::Ending(_) if !self.decoder.is_complete() => self.phase = Phase::Streaming,
                    Phase::Ending(_) => {}
                    _ if self.decoder.is_complete() => {
                        self.phase = Phase::Ending(Instant::now() + ENDING_TIME);
                    }
                    _ => {}
                }
                if self.decoder.is_done() {
                    self.decoder.end(events)?;
                }
                Ok(())
            }
            Arrival::End => {
                self.phase = Phase::Ended;
                self.decoder.end(events)
            }
            Arrival::BrokenOff | Arrival::TimedOut if self.decoder.is_complete() => {
                self.phase = Phase::Ended;
                self.decoder.end(events)
            }
            Arrival::BrokenOff => Err(Cause::BrokenStream.into()),
            Arrival::TimedOut => Err(Cause::Silent.into()),
        }
    }
}

/// Events that are held back: neighbouring pieces become one, since a piece costs more than its bytes.
#[derive(Default)]
struct Gathered {
    events: Vec<Event>,
    /// The size of text and thoughts.
    bytes: usize,
    /// Text stays in the pieces that the client is to get.
    keeps_pieces: bool,
}

impl Gathered {
    /// Whether an attempt has come as far as it must before it counts.
    fn has_come_to(&self, extent: Extent) -> bool {
        let is_finished = matches!(self.events.last(), Some(Event::Finish(_)));
        match extent {
            Extent::FirstThought => !self.events.is_empty(),
            Extent::FirstContent | Extent::Whole => is_finished || self.events.iter().any(Event::is_content),
        }
    }

    fn add(&mut self, event: Event) {
        self.bytes += event.text().len();
        match (self.events.last_mut(), event) {
            (Some(Event::Reasoning(thought)), Event::Reasoning(more)) => thought.push_str(&more),
            (Some(Event::Text(text)), Event::Text(more)) if !self.keeps_pieces => text.push_str(&more),
            (_, event) => self.events.push(event),
        }
    }
}

/// The media type of the answer in lower case, without parameters; empty if it has none.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
