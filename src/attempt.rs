//! One call to one candidate: sent, timed, decoded; up to its first content, and the rest of the answer.
//!
//! Owns the three clocks of a call. *Connect* is reqwest's. *First token* runs from sending the request to the
//! first meaningful event (text or thinking), error bodies included. *Idle* runs between meaningful events from
//! then on; comments, pings and role-only chunks do not reset it, and time in which nobody asked for more does
//! not count, because a client that reads slowly is not the provider's fault.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tokio::time::{Instant, timeout_at};

use crate::alarm::Alarm;
use crate::answer::AnswerDecoder;
use crate::chat::{Event, FinishReason};
use crate::config::Timeouts;
use crate::failure::{Diagnosis, Failure, Reason, Scope};
use crate::providers::Provider;
use crate::redaction::Redactor;
use crate::upstream::{Body, Call, Response, Upstream};

/// How long a provider may take to end an answer that is complete. Reading to the end keeps the connection
/// usable for the next call.
const ENDING_TIME: Duration = Duration::from_secs(1);

/// The most that is held back of an answer whose content has not begun, in bytes: a model that thinks for ever.
const MAX_PENDING_BYTES: usize = 8 * 1024 * 1024;

/// The longest answer that is collected before it is sent, in bytes.
const MAX_WHOLE_BYTES: usize = 64 * 1024 * 1024;

/// What an attempt needs besides the call.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The connections.
    pub upstream: &'a Upstream,
    /// The clocks.
    pub timeouts: Timeouts,
    /// Cleans what the provider says.
    pub redactor: &'a Redactor,
}

/// An answer whose content has begun.
///
/// Dropping it closes the connection to the provider, unless the answer has been read to its end.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    body: Body,
    decoder: AnswerDecoder,
    phase: Phase,
    idle: Duration,
    /// Since when the provider has been waited for without a meaningful event.
    waiting_since: Option<Instant>,
    alarm: Alarm,
    /// Decoded before the content began, not yet handed out.
    pending: Vec<Event>,
    exhausted: Option<Diagnosis>,
}

/// Which clock runs.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Nothing meaningful has come; the first must by then.
    FirstToken(Instant),
    /// Between events.
    Streaming,
    /// The answer is complete; the provider has until then to end it.
    Ending(Instant),
    /// The body has been read to its end, or has broken off.
    Ended,
}

/// What came of waiting for the provider.
enum Arrival {
    Bytes(Bytes),
    End,
    BrokenOff,
    TimedOut,
}

/// Sends `call` and waits for the first content.
///
/// On `Ok` the caller may commit to a 200, unless [`Answer::is_cut_before_text`]. On `Err` nothing has reached the
/// client and another candidate may be tried. An answer that a safety filter has blocked is an answer. Waits at most `timeouts.first_token` for the
/// first meaningful event and `timeouts.idle` between thoughts. Dropping the future closes the connection.
///
/// # Errors
/// Any [`Reason`] but those of the client's side; limits and faults of the request in the provider's own words.
pub async fn open(context: Context<'_>, provider: Provider, call: Call) -> Result<Answer, Failure> {
    let deadline = Instant::now() + context.timeouts.first_token;
    let too_late = |_| Failure::without_answer(Reason::Timeout, Scope::Provider);
    let head = timeout_at(deadline, context.upstream.send(call)).await.map_err(too_late)?;
    let response = head.map_err(|reason| Failure::without_answer(reason, Scope::Provider))?;
    let Response { status, headers, body } = response;
    let failure = |diagnosis| failure(diagnosis, status, context.redactor);
    if !(200..300).contains(&status) {
        // Status and headers say enough if the body does not come.
        let body = timeout_at(deadline, body.beginning()).await.unwrap_or_default();
        return Err(failure(provider.diagnose(status, &headers, &body)));
    }
    let is_json = match media_type(&headers).as_str() {
        "text/html" => return Err(failure(Diagnosis::provider(Reason::UpstreamError))),
        "application/json" => true,
        _ => false,
    };
    let exhausted = provider.exhausted_allowance(&headers);
    drop(headers);
    let mut answer = Answer {
        status,
        body,
        decoder: AnswerDecoder::new(provider, is_json),
        phase: Phase::FirstToken(deadline),
        idle: context.timeouts.idle,
        waiting_since: None,
        alarm: Alarm::default(),
        pending: Vec::new(),
        exhausted,
    };
    answer.await_content().await.map_err(failure)?;
    Ok(answer)
}

fn failure(diagnosis: Diagnosis, status: u16, redactor: &Redactor) -> Failure {
    let Diagnosis { reason, scope, wait, message } = diagnosis;
    Failure { reason, scope, wait, status: Some(status), message: message.map(|it| redactor.clean(&it)) }
}

impl Answer {
    /// Who answers.
    pub fn provider(&self) -> Provider {
        self.decoder.provider()
    }

    /// A failure after the first content, which nobody can be asked to make up for.
    pub fn late_failure(&self, diagnosis: Diagnosis) -> Failure {
        let Diagnosis { reason, scope, wait, .. } = diagnosis;
        Failure { reason, scope, wait, status: Some(self.status), message: None }
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// An allowance of which the answer's headers say that it is used up now.
    pub fn exhausted(&self) -> Option<&Diagnosis> {
        self.exhausted.as_ref()
    }

    /// Events that could not be read and were passed over.
    pub fn unreadable_events(&self) -> u32 {
        self.decoder.unreadable_events()
    }

    /// Waits for more of the answer and adds at least one event, the last of them ever a finish. After the finish
    /// only [`drain`](Self::drain) may follow.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped, and its clocks go on.
    ///
    /// # Errors
    /// [`Reason::Timeout`], [`Reason::BrokenStream`], or what the provider reports; events before that have been
    /// added.
    pub async fn read(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnosis> {
        if !self.pending.is_empty() {
            events.append(&mut self.pending);
            return Ok(());
        }
        let known = events.len();
        while events.len() == known {
            let arrival = self.arrival().await;
            self.take(arrival, events)?;
        }
        self.waiting_since = None;
        Ok(())
    }

    /// Gives the provider the rest of its time to end the connection's part of the answer, so that the connection
    /// can serve again.
    pub async fn drain(&mut self) {
        while let Phase::Ending(_) = self.phase {
            if !matches!(self.arrival().await, Arrival::Bytes(_)) {
                self.phase = Phase::Ended;
            }
        }
    }

    /// Whether the token limit was reached before any text: nothing to show, and worth it only if nobody does
    /// better.
    pub fn is_cut_before_text(&self) -> bool {
        let has_text = self.pending.iter().any(|event| matches!(event, Event::Text(_)));
        !has_text && matches!(self.pending.last(), Some(Event::Finish(FinishReason::Length)))
    }

    /// Reads the answer to its end and keeps all of it for one [`read`](Self::read).
    ///
    /// # Errors
    /// As [`read`](Self::read); or [`Reason::UpstreamError`] for an answer of more than 64 MiB.
    pub async fn read_whole(&mut self, redactor: &Redactor) -> Result<(), Failure> {
        let mut whole = Vec::new();
        let mut text_bytes = 0;
        while !matches!(whole.last(), Some(Event::Finish(_))) {
            let known = whole.len();
            let outcome = self.read(&mut whole).await;
            text_bytes += whole.iter().skip(known).map(text_len).sum::<usize>();
            if text_bytes > MAX_WHOLE_BYTES {
                return Err(failure(Diagnosis::provider(Reason::UpstreamError), self.status, redactor));
            }
            outcome.map_err(|diagnosis| failure(diagnosis, self.status, redactor))?;
        }
        self.drain().await;
        self.pending = whole;
        Ok(())
    }

    async fn await_content(&mut self) -> Result<(), Diagnosis> {
        let mut pending = Vec::new();
        let mut pending_bytes = 0;
        loop {
            let known = pending.len();
            self.read(&mut pending).await?;
            for event in pending.iter().skip(known) {
                match event {
                    Event::Finish(FinishReason::Stop) => {
                        return Err(Diagnosis::provider(Reason::EmptyAnswer));
                    }
                    Event::Text(_) | Event::Finish(_) => {
                        self.pending = pending;
                        return Ok(());
                    }
                    Event::Reasoning(_) | Event::Usage(_) => pending_bytes += text_len(event),
                }
            }
            if pending_bytes > MAX_PENDING_BYTES {
                return Err(Diagnosis::provider(Reason::UpstreamError));
            }
        }
    }

    /// Waits for the provider, no longer than the clock that runs.
    async fn arrival(&mut self) -> Arrival {
        let deadline = match self.phase {
            Phase::FirstToken(deadline) | Phase::Ending(deadline) => deadline,
            Phase::Streaming => *self.waiting_since.get_or_insert_with(Instant::now) + self.idle,
            Phase::Ended => return Arrival::End,
        };
        tokio::select! {
            biased;
            chunk = self.body.chunk() => match chunk {
                Ok(Some(bytes)) => Arrival::Bytes(bytes),
                Ok(None) => Arrival::End,
                Err(_) => Arrival::BrokenOff,
            },
            () = self.alarm.reached(deadline) => Arrival::TimedOut,
        }
    }

    fn take(&mut self, arrival: Arrival, events: &mut Vec<Event>) -> Result<(), Diagnosis> {
        let known = events.len();
        match arrival {
            Arrival::Bytes(bytes) => {
                self.decoder.push(&bytes, events)?;
                if events.len() > known && matches!(self.phase, Phase::FirstToken(_)) {
                    self.phase = Phase::Streaming;
                }
                if self.decoder.is_complete() && !matches!(self.phase, Phase::Ending(_)) {
                    self.phase = Phase::Ending(Instant::now() + ENDING_TIME);
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
            Arrival::BrokenOff => Err(Diagnosis::provider(Reason::BrokenStream)),
            Arrival::TimedOut => Err(Diagnosis::provider(Reason::Timeout)),
        }
    }
}

fn text_len(event: &Event) -> usize {
    match event {
        Event::Text(text) | Event::Reasoning(text) => text.len(),
        Event::Usage(_) | Event::Finish(_) => 0,
    }
}

/// The media type of the answer in lower case, without parameters; empty if it has none.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
