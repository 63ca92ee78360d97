//! An answer under way, from whoever gives it.
//!
//! Until its first content another candidate may still take over: that is how a client can be shown thoughts while they
//! are thought, and still get a whole answer if the thinker fails. From the first content on there is no second one.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use tracing::warn;

use super::attempt::Answer;
use super::dispatcher::Dispatcher;
use super::outcome::{AllFailed, Trail, Unanswered};
use super::question::Question;
use super::search::{Found, Hit, Search};
use crate::middle::{Event, Failure, Feature, FinishReason, Usage};
use crate::providers::Provider;

/// An answer under way. Dropping it closes the connection to the provider and means that the client has left.
pub(crate) struct Answering {
    provider: Provider,
    model: Arc<str>,
    left_out: Vec<Feature>,
    cut_to: Option<u32>,
    trail: Trail,
    state: State,
    /// Who else may be asked; `None` once there is content.
    search: Option<Box<Search>>,
}

enum State {
    Reading(Box<Found>),
    /// Waiting for whoever takes over.
    Searching(Pin<Box<dyn Future<Output = Result<Hit, Unanswered>> + Send>>),
    /// The outcome is recorded; the provider may end its part.
    Complete(Box<Answer>),
    Failed,
}

/// What [`Answering::read`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Added events.
    Events,
    /// Another model goes on, or another provider.
    TakenOver,
}

/// Why an answer ends before it is complete.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The provider failed after its first content.
    Provider(Failure),
    /// Everybody failed before the first content.
    Everybody(AllFailed),
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// Finds an answer. Tries the candidates that can do what it needs, each at most once and `limits.max_attempts` in
    /// all, until one comes as far as the question's extent says.
    ///
    /// Waits at most `limits.request` for that. Dropping the future drops the call in progress.
    ///
    /// # Errors
    /// [`Unanswered`]: no provider could answer. Nothing has reached the client.
    pub(crate) async fn answer(self: &Arc<Self>, question: Question) -> Result<Answering, Unanswered> {
        let needs = question.request.needs();
        let able = self.able(&question, &needs)?;
        Search::new(self.clone(), question, needs, able).run().await.map(Answering::new)
    }
}

impl Answering {
    /// An answer that has come as far as its request wants. Somebody else may take over if it has no content yet.
    fn new(hit: Hit) -> Self {
        let Hit { found, trail, search } = hit;
        let Found { answer, reservation, left_out, key } = found;
        let search = search.filter(|_| !answer.has_content()).map(Box::new);
        let (provider, model) = (answer.provider(), reservation.model().clone());
        let cut_to = reservation.cut_to();
        let found = Found { answer, reservation, left_out: Vec::new(), key };
        Self { provider, model, left_out, cut_to, trail, state: State::Reading(Box::new(found)), search }
    }

    /// The provider that answers.
    pub(crate) fn provider(&self) -> Provider {
        self.provider
    }

    /// The model that answers: the provider's own id.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// What the client asked for and this model does not support.
    pub(crate) fn left_out(&self) -> &[Feature] {
        &self.left_out
    }

    /// The longest answer that the provider was asked for, in tokens, if the limits of its plan allow none as long as the
    /// client wants.
    pub(crate) fn cut_to(&self) -> Option<u32> {
        self.cut_to
    }

    /// Every provider that was considered so far; the one that answers is the last.
    pub(crate) fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Whether it still holds the request, because somebody else may have to be asked.
    pub(crate) fn keeps_request(&self) -> bool {
        self.search.is_some() || matches!(self.state, State::Searching(_))
    }

    /// How many events could not be read and were skipped.
    pub(crate) fn unreadable_events(&self) -> u32 {
        match &self.state {
            State::Reading(found) => found.answer.unreadable_events(),
            State::Complete(answer) => answer.unreadable_events(),
            State::Searching(_) | State::Failed => 0,
        }
    }

    /// Waits for more of the answer and adds its events; a finish is always the last. After it only
    /// [`drain`](Self::drain) may follow. The outcome is recorded here.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped, and the timeouts keep running.
    ///
    /// # Errors
    /// [`Broken`]; events before that have been added.
    pub(crate) async fn read(&mut self, events: &mut Vec<Event>) -> Result<Progress, Broken> {
        let found = match &mut self.state {
            State::Searching(search) => {
                let result = search.as_mut().await;
                self.state = State::Failed;
                *self = Self::new(result.map_err(Broken::from)?);
                return Ok(Progress::TakenOver);
            }
            State::Reading(found) => found,
            State::Complete(_) | State::Failed => return Ok(Progress::Events),
        };
        let known = events.len();
        let outcome = found.answer.read(events).await;
        // Nearly always: one more piece of an answer whose content has begun.
        if self.search.is_none() && outcome.is_ok() && !matches!(events.last(), Some(Event::Finish(_))) {
            return Ok(Progress::Events);
        }
        self.take(outcome, known, events)
    }

    /// Gives the provider the rest of its time to end its side of the answer, so that the connection can be used again.
    pub(crate) async fn drain(&mut self) {
        if let State::Complete(answer) = &mut self.state {
            answer.drain().await;
        }
    }

    /// Decides what follows from what has been read: those `events` after the first `known`.
    fn take(
        &mut self,
        outcome: Result<(), Failure>,
        known: usize,
        events: &mut Vec<Event>,
    ) -> Result<Progress, Broken> {
        let new = || events.iter().skip(known);
        let finish =
            new().find_map(|event| if let Event::Finish(reason) = event { Some(*reason) } else { None });
        let is_blocked = finish == Some(FinishReason::ContentFilter);
        let has_content = new().any(Event::is_content);
        let State::Reading(found) = std::mem::replace(&mut self.state, State::Failed) else {
            return Ok(Progress::Events);
        };
        match (outcome, self.search.take()) {
            // What was not shown yet is taken back, and somebody else gives the whole of it.
            (Err(failure), Some(mut search)) => {
                let thoughts = new().take_while(|event| !event.is_content()).count();
                events.truncate(known + thoughts);
                search.fail(found.reservation, failure);
                self.state = State::Searching(Box::pin(search.resume()));
            }
            (Ok(()), Some(mut search)) if finish.is_some() && !has_content && !is_blocked => {
                let thoughts = new().take_while(|event| matches!(event, Event::Reasoning(_))).count();
                let rest = events.split_off(known + thoughts);
                let mut found = found;
                found.answer.put_back(rest);
                search.hold(*found);
                self.state = State::Searching(Box::pin(search.resume()));
            }
            (Ok(()), mut search) if finish.is_some() => {
                search.iter_mut().for_each(|search| search.reject_empty(true));
                let usage = usage(events);
                found.reservation.complete(usage);
                self.state = State::Complete(Box::new(found.answer));
            }
            (Err(failure), None) => {
                let reason = failure.reason();
                if let Some(seconds) = found.reservation.failed(&failure) {
                    let (name, key, model) = (self.provider.name(), &*found.key, &*self.model);
                    let explanation = reason.explanation();
                    warn!(
                        reason = reason.as_str(),
                        key, model, "{name} {explanation}: not asked for {seconds} s"
                    );
                }
                return Err(Broken::Provider(failure));
            }
            (Ok(()), mut search) => {
                if has_content {
                    search.iter_mut().for_each(|search| search.reject_empty(true));
                }
                self.search = search.filter(|_| !has_content);
                self.state = State::Reading(found);
            }
        }
        Ok(Progress::Events)
    }
}

impl From<Unanswered> for Broken {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::AllFailed(failed) => Self::Everybody(failed),
            // Both are found out before the first call.
            Unanswered::NoKeys(_) | Unanswered::Incapable(_) => Self::Everybody(AllFailed::default()),
        }
    }
}

/// What an answer has used, if the provider has reported it: it comes right before the finish.
fn usage(events: &[Event]) -> Option<Usage> {
    events.iter().find_map(|event| if let Event::Usage(usage) = event { Some(*usage) } else { None })
}
