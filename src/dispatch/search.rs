//! The search for an answer to one request: the one loop over candidates, which were considered with what result, and
//! what to report.
//!
//! Streaming and non-streaming requests take the same path. The only difference is how far an attempt must come before
//! it counts: see [`Extent`]. Until then every failure is recorded and the next candidate is tried.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::attempt::{self, Answer, Context, Order};
use super::dispatcher::Dispatcher;
use super::outcome::{AllFailed, FailedProvider, Step, TooLong, Trail, Unanswered};
use super::question::{Extent, Question};
use super::service::{Account, Service};
use crate::config::CallLimits;
use crate::middle::{Cause, Effect, ExpectedCalls, Failure, Feature, Needs, Policy, Reason};
use crate::providers::{Provider, WireRequest};
use crate::quota::{Criteria, Demand, Pick, Place, Reservation, RuledOut, Wish};

/// The least time that a call needs.
const SHORTEST_CALL: Duration = Duration::from_secs(1);

/// Who is told to come back within this time loses little if somebody else could have served sooner, in seconds.
const SOON_SECONDS: u64 = 60;

pub(super) struct Search {
    dispatcher: Arc<Dispatcher>,
    question: Question,
    needs: Needs,
    /// How many providers could serve if nothing were in cooldown.
    able: usize,
    /// When the request's own time is over.
    deadline: Instant,
    /// Every provider that was considered, in order.
    considered: Vec<Considered>,
    /// How many calls have been made.
    attempts: usize,
    /// What the request costs.
    demand: Demand,
    /// How long it has waited in line.
    waited: Duration,
    /// The candidates that are not tried again.
    ruled_out: Vec<RuledOut>,
    /// What the latest call was sent without, because its model has refused it before.
    sent_without: Vec<&'static str>,
    /// Answers without content, in order: the last one is passed on if no candidate does better.
    empty: Vec<Found>,
}

/// What one attempt has found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) answer: Answer,
    /// Where the outcome is recorded when the answer has ended.
    pub(super) reservation: Reservation,
    /// What the client asked for and this model does not support.
    pub(super) left_out: Vec<Feature>,
    /// The key that was used, for the log: `key 1 of 2`.
    pub(super) key: Arc<str>,
}

/// What a search has found.
pub(super) struct Hit {
    pub(super) found: Found,
    /// Every provider that was considered; the one that answers is the last.
    pub(super) trail: Trail,
    /// Finds a substitute; `None` if nobody is left.
    pub(super) search: Option<Search>,
}

/// A provider that was considered, by its number, and the result.
struct Considered {
    provider: usize,
    verdict: Verdict,
}

enum Verdict {
    Skipped(Reason),
    Failed(Failure),
    /// It has answered without content, with this HTTP status.
    Empty(u16),
}

/// What is sent, and what is left out of it.
struct Prepared {
    order: Order,
    left_out: Vec<Feature>,
    without: Vec<&'static str>,
}

impl Considered {
    fn reason(&self) -> Reason {
        match &self.verdict {
            Verdict::Skipped(reason) => *reason,
            Verdict::Failed(failure) => failure.reason(),
            Verdict::Empty(_) => Reason::EmptyAnswer,
        }
    }

    fn is_silent(&self) -> bool {
        matches!(&self.verdict, Verdict::Failed(Failure { cause: Cause::Silent, .. }))
    }

    fn is_loading(&self) -> bool {
        matches!(&self.verdict, Verdict::Failed(Failure { cause: Cause::Loading, .. }))
    }

    /// Whether it failed in a way that says nothing of when it can serve again, and may be over at once.
    fn is_weather(&self) -> bool {
        let Verdict::Failed(failure) = &self.verdict else { return false };
        Policy::of(failure.cause).effect == Effect::Demote
    }

    fn step(&self) -> Step {
        match self.verdict {
            Verdict::Skipped(_) => Step::Skipped,
            _ => Step::Failed(self.reason()),
        }
    }
}

impl Search {
    pub(super) fn new(dispatcher: Arc<Dispatcher>, question: Question, needs: Needs, able: usize) -> Self {
        let deadline = Instant::now() + dispatcher.limits.request;
        let (considered, ruled_out) = (Vec::new(), Vec::new());
        let demand = Demand::of(&question.request);
        Self {
            dispatcher,
            question,
            needs,
            able,
            deadline,
            considered,
            attempts: 0,
            demand,
            waited: Duration::ZERO,
            ruled_out,
            sent_without: Vec::new(),
            empty: Vec::new(),
        }
    }

    /// Lets somebody else take over from an answer that has begun. What has begun has no total limit, so the search has its
    /// time anew.
    ///
    /// # Errors
    /// [`Unanswered::AllFailed`].
    pub(super) async fn resume(mut self) -> Result<Hit, Unanswered> {
        self.deadline = Instant::now() + self.dispatcher.limits.request;
        self.run().await
    }

    /// Tries the candidates that are left, each at most once, until one comes as far as the question's [`Extent`] says.
    ///
    /// Dropping the future drops the call in progress.
    ///
    /// # Errors
    /// [`Unanswered::AllFailed`].
    pub(super) async fn run(mut self) -> Result<Hit, Unanswered> {
        let most = self.dispatcher.limits.max_attempts;
        while self.attempts < most && Instant::now() < self.deadline {
            let Some(mut reservation) = self.next().await else { break };
            let Some(Prepared { order, left_out, without }) = self.prepare(&reservation) else { break };
            self.sent_without = without;
            let key = order.key.clone();
            self.attempts += 1;
            let (number, of) = (self.attempts, self.able.clamp(self.attempts, most));
            let (request_id, name) = (&*self.question.request_id, order.provider.name());
            let model = &**reservation.model();
            info!(request_id, model, "Attempt {number}/{of}: Using service {name}");
            // Boxed, so that a request which waits in line does not hold the room for a call.
            match Box::pin(self.attempt(order, &mut reservation)).await {
                Ok(answer) if answer.is_without_content() => {
                    self.hold(Found { answer, reservation, left_out, key });
                }
                Ok(answer) => {
                    if answer.has_content() {
                        self.reject_empty(true);
                    }
                    let trail = self.trail(answer.provider());
                    let found = Found { answer, reservation, left_out, key };
                    return Ok(Hit { found, trail, search: Some(self) });
                }
                Err(failure) => {
                    // An answer that had begun has no total limit, so whoever comes after it has the whole time.
                    if reservation.is_begun() && failure.cause != Cause::OutOfTime {
                        self.deadline = Instant::now() + self.dispatcher.limits.request;
                    }
                    self.fail(reservation, failure);
                }
            }
        }
        self.give_up()
    }

    /// The candidate to try next; `None` if none is left that can serve now.
    async fn next(&mut self) -> Option<Reservation> {
        let pick = self.pick().await;
        for skipped in pick.skipped {
            // The failure of an attempt says more than the cooldown of the provider's other models, so keep it.
            if !self.considered.iter().any(|it| it.provider == skipped.provider) {
                self.consider(skipped.provider, Verdict::Skipped(skipped.reason));
            }
        }
        // The model that the request asked for has been removed since the request came.
        if pick.reservation.is_none() && self.considered.is_empty() {
            for wanted in self.question.target.wanted().to_vec() {
                self.consider(wanted.provider, Verdict::Skipped(Reason::ModelGone));
            }
        }
        pick.reservation
    }

    /// Picks a candidate; if nobody can serve now, waits for the first that will be able to, as long as requests may wait.
    async fn pick(&mut self) -> Pick {
        let quota = self.dispatcher.quota.clone();
        let patience = self.patience();
        let pick = quota.pick(&Criteria { can_wait: !patience.is_zero(), ..self.criteria(&self.ruled_out) });
        let Some(soonest) = pick.soonest.as_ref().filter(|_| pick.reservation.is_none()) else { return pick };
        if !soonest.is_worth(patience) {
            return pick;
        }
        let request_id = &*self.question.request_id;
        info!(request_id, "Nobody can serve now: waiting in line, {} ms at most", patience.as_millis());
        let begun = Instant::now();
        let Question { target, .. } = &self.question;
        let wish = Wish {
            target: target.clone(),
            needs: self.needs,
            ruled_out: self.ruled_out.clone(),
            demand: self.demand,
        };
        let pick = quota.wait(wish, patience).await;
        if !self.is_loading() {
            self.waited += begun.elapsed();
        }
        pick
    }

    /// How long the request may still wait in line.
    fn patience(&self) -> Duration {
        let CallLimits { max_wait, max_waiting, .. } = self.dispatcher.limits;
        if self.dispatcher.quota.waiting() >= max_waiting {
            return Duration::ZERO;
        }
        // A call that is sent when the time is over is lost.
        let left = self.deadline.saturating_duration_since(Instant::now()).saturating_sub(SHORTEST_CALL);
        // Who waits for a model to be read from the disk waits as long as the request may take, unless nobody waits at all.
        if self.is_loading() && !max_wait.is_zero() {
            return left;
        }
        // Room that other instances hold is there as soon as the server has answered: nobody is refused for that.
        let max_wait = max_wait.max(self.dispatcher.quota.exchange_wait());
        max_wait.saturating_sub(self.waited).min(left)
    }

    /// Whether the latest call has found a server that is reading its model from the disk.
    fn is_loading(&self) -> bool {
        self.considered.last().is_some_and(Considered::is_loading)
    }

    /// The call for the picked candidate; `None` if its numbers are unknown.
    fn prepare(&self, reservation: &Reservation) -> Option<Prepared> {
        let (service, account) = self.service_and_account(reservation)?;
        let request = &self.question.request;
        let (model, can, max_tokens) = (reservation.model(), reservation.can(), reservation.max_tokens());
        let without = service.omissions.of(model);
        let WireRequest { path, body, is_stream, renamed_tools: renamed, left_out } =
            service.provider.encode_for(request, model, can, max_tokens, &without);
        let offered = || request.offered_tools().iter().map(|tool| tool.name.clone()).collect();
        let taken = || request.calls().map(|call| call.id.clone()).collect();
        let (needs_objects, random) = (request.needs_object_arguments, fastrand::Rng::new());
        let expected = request.may_call().then(|| ExpectedCalls {
            renamed,
            offered: offered(),
            needs_objects,
            taken: taken(),
            random,
        });
        let call = service.call(account, &path, body);
        let (provider, key) = (service.provider, account.label.clone());
        Some(Prepared { order: Order { provider, call, key, expected, is_stream }, left_out, without })
    }

    async fn attempt(&self, order: Order, reservation: &mut Reservation) -> Result<Answer, Failure> {
        let Dispatcher { upstream, limits, redactor, quota, .. } = &*self.dispatcher;
        let Question { target, extent, .. } = &self.question;
        let (needs, is_last_call) = (&self.needs, self.attempts >= limits.max_attempts);
        let (candidate, tried, considered) = (reservation.candidate(), &self.ruled_out, &self.considered);
        let has_others = || {
            // A provider that has been silent before would only use up the time.
            let silent = considered.iter().filter(|it| it.is_silent()).map(|it| Place::Provider(it.provider));
            let own = Place::AccountModel(candidate.provider, candidate.account, candidate.model);
            let others = silent.chain([own]).map(RuledOut::Place);
            let ruled_out: Vec<RuledOut> = tried.iter().copied().chain(others).collect();
            let demand = self.demand;
            let criteria = Criteria { target, needs, ruled_out: &ruled_out, demand, can_wait: true };
            !is_last_call && quota.has_candidate(&criteria)
        };
        let service = self.dispatcher.services.get(candidate.provider);
        let first_token = service.map_or(limits.first_token, |service| service.first_token);
        let limits = CallLimits { first_token, ..*limits };
        let context = Context { upstream, limits, redactor, deadline: self.deadline };
        // The rest of the time may be too short for any provider, so running out of it rests nobody.
        let too_late = |_| Failure::without_answer(Cause::OutOfTime);
        let opened = attempt::open(context, order, *extent, reservation, &has_others);
        let mut answer = timeout_at(self.deadline, opened).await.map_err(too_late)??;
        if *extent == Extent::Whole {
            answer.read_whole().await?;
        }
        Ok(answer)
    }

    /// Keeps an answer without content, in case that nobody does better.
    pub(super) fn hold(&mut self, found: Found) {
        let provider = found.reservation.candidate().provider;
        self.ruled_out.push(RuledOut::Place(Place::Provider(provider)));
        self.consider(provider, Verdict::Empty(found.answer.status()));
        self.empty.push(found);
    }

    /// Records that the answers without content are not passed on. If somebody `has_done_better`, that is their candidates'
    /// failure, unless the request itself is reason enough: a stop word may come at once, or a limit of tokens before the
    /// first one.
    pub(super) fn reject_empty(&mut self, has_done_better: bool) {
        let may_stop_at_once = !self.question.request.stop.is_empty();
        for Found { answer, reservation, .. } in self.empty.drain(..) {
            let is_explained = !has_done_better || may_stop_at_once || answer.explains_emptiness();
            let cause = if is_explained { Cause::EmptyAnswer } else { Cause::NoAnswer };
            reservation.failed(&Failure { status: Some(answer.status()), ..Failure::without_answer(cause) });
        }
    }

    /// Records a failure, logs it, and rules out what it affects, or the provider that rejects the request. A
    /// conversation that is too long may fit a model with a larger window, and another model may write what its provider can
    /// read.
    pub(super) fn fail(&mut self, reservation: Reservation, failure: Failure) {
        let candidate = reservation.candidate();
        let number = candidate.provider;
        let can_mend = self.leave_out_unwanted(&reservation, &failure);
        let failure = if can_mend { Failure { cause: Cause::RequestRefused, ..failure } } else { failure };
        self.ruled_out.extend(match failure.cause {
            _ if can_mend => None,
            // It rests for as long as that lasts, and may be asked again when it is over.
            cause if cause.reason().is_limit() || cause == Cause::Loading => None,
            Cause::ContextTooLong => Some(RuledOut::WindowsUpTo(number, reservation.can().window)),
            Cause::GenerationUnreadable => Some(RuledOut::Place(Place::Model(number, candidate.model))),
            cause => {
                let place = candidate.place(Policy::of(cause).reach).unwrap_or(Place::Provider(number));
                Some(RuledOut::Place(place))
            }
        });
        let is_gone = matches!(failure.cause, Cause::ModelGone | Cause::ModelNotForAccount);
        let is_news = is_gone && self.dispatcher.quota.in_use(number).contains(reservation.model());
        let model = reservation.model().clone();
        let label = self.service_and_account(&reservation).map(|(_, account)| account.label.clone());
        let blocked_for = reservation.failed(&failure);
        self.report(number, &failure, label.as_deref().unwrap_or_default(), &model, blocked_for);
        if let Some(service) = self.dispatcher.services.get(number).filter(|_| is_news) {
            service.report_lost(&self.dispatcher.quota, number, &[model]);
        }
        // Asking again whether the model has been loaded is the same attempt.
        if failure.cause == Cause::Loading {
            self.attempts = self.attempts.saturating_sub(1);
            self.considered.pop_if(|it| it.provider == number && it.is_loading());
        }
        self.consider(number, Verdict::Failed(failure));
        self.rule_out_spent(number);
    }

    /// Leaves out from now on what the model refuses and a request can do without; whether the request may be sent again
    /// because of that.
    fn leave_out_unwanted(&self, reservation: &Reservation, failure: &Failure) -> bool {
        let (Some(field), Some((service, _))) = (failure.unwanted, self.service_and_account(reservation))
        else {
            return false;
        };
        let (provider, model, max_tokens) = (service.provider, reservation.model(), reservation.max_tokens());
        let (request, can) = (&self.question.request, reservation.can());
        let encoded = |without: &[&str]| provider.encode_for(request, model, can, max_tokens, without).body;
        let shorter: Vec<&str> = self.sent_without.iter().copied().chain([field]).collect();
        if !provider.can_leave_out(field, model) || encoded(&shorter) == encoded(&self.sent_without) {
            return false;
        }
        info!(model = &**model, "{} refuses {field}: leaving it out from now on", provider.name());
        service.omissions.add(model, field);
        true
    }

    /// Leaves a provider alone that counts failed calls, too, when the request has cost it enough of them.
    fn rule_out_spent(&mut self, number: usize) {
        let most = self.provider(number).map_or(usize::MAX, |it| it.profile().most_calls);
        let is_call = |it: &&Considered| it.provider == number && !matches!(it.verdict, Verdict::Skipped(_));
        if self.considered.iter().filter(is_call).count() >= most {
            self.ruled_out.push(RuledOut::Place(Place::Provider(number)));
        }
    }

    /// One line for each failure: with which key and model, and how long they are left alone if they are.
    fn report(&self, number: usize, failure: &Failure, key: &str, model: &str, blocked_for: Option<u64>) {
        let Some(provider) = self.provider(number) else { return };
        let (name, reason) = (provider.name(), failure.reason());
        let (request_id, status, word) = (&*self.question.request_id, failure.status, reason.as_str());
        let explanation = reason.explanation();
        // A server of the user's own that does not run is nothing to warn of with every request.
        if provider.profile().is_second_tier && reason == Reason::ConnectFailed {
            debug!(request_id, reason = word, model, "{name} {explanation}");
            return;
        }
        match blocked_for {
            Some(seconds) => {
                warn!(
                    request_id,
                    reason = word,
                    status,
                    key,
                    model,
                    "{name} {explanation}: not asked for {seconds} s"
                );
            }
            None => warn!(request_id, reason = word, status, key, model, "{name} {explanation}"),
        }
    }

    /// Ends the search: no candidate is left, or no time.
    fn give_up(mut self) -> Result<Hit, Unanswered> {
        let has_failed = self.considered.iter().any(|it| matches!(it.verdict, Verdict::Failed(_)));
        if let Some(found) = self.empty.pop_if(|_| !has_failed) {
            self.reject_empty(false);
            let is_it = |it: &Considered| matches!(it.verdict, Verdict::Empty(_));
            if let Some(position) = self.considered.iter().rposition(is_it) {
                self.considered.remove(position);
            }
            let trail = self.trail(found.answer.provider());
            return Ok(Hit { found, trail, search: None });
        }
        self.reject_empty(false);
        Err(Unanswered::AllFailed(self.all_failed()))
    }

    fn consider(&mut self, provider: usize, verdict: Verdict) {
        self.considered.push(Considered { provider, verdict });
    }

    fn criteria<'s>(&'s self, ruled_out: &'s [RuledOut]) -> Criteria<'s> {
        let (target, needs, demand) = (&self.question.target, &self.needs, self.demand);
        Criteria { target, needs, ruled_out, demand, can_wait: false }
    }

    fn provider(&self, number: usize) -> Option<Provider> {
        self.dispatcher.services.get(number).map(|service| service.provider)
    }

    fn service_and_account(&self, reservation: &Reservation) -> Option<(&Service, &Account)> {
        let candidate = reservation.candidate();
        let service = self.dispatcher.services.get(candidate.provider)?;
        Some((service, service.accounts.get(candidate.account)?))
    }

    /// Everything considered so far, and who answers now.
    fn trail(&self, answering: Provider) -> Trail {
        let mut steps = self.steps();
        steps.push((answering, Step::Answered));
        Trail(steps)
    }

    fn steps(&self) -> Vec<(Provider, Step)> {
        self.considered.iter().filter_map(|it| Some((self.provider(it.provider)?, it.step()))).collect()
    }

    fn all_failed(&self) -> AllFailed {
        // A provider that rejects the request can serve at once, but not this request.
        let refusing = self.considered.iter().filter(|it| it.reason().blames_request());
        let refusing: Vec<RuledOut> =
            refusing.map(|it| RuledOut::Place(Place::Provider(it.provider))).collect();
        let criteria = self.criteria(&refusing);
        // In the order in which they were first considered, each with its latest failure.
        let mut numbers: Vec<usize> = Vec::new();
        for number in self.considered.iter().map(|it| it.provider) {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        let attempts = numbers.into_iter().filter_map(|number| self.last_word(number, &criteria)).collect();
        let retry_after_seconds = self.retry_after(&criteria);
        let trail = Trail(self.steps());
        AllFailed { attempts, retry_after_seconds, trail, too_long: self.too_long() }
    }

    /// The figures, if the prompt is too long for all who were considered and for all who are left.
    fn too_long(&self) -> Option<TooLong> {
        let is_too_long = |it: &Considered| matches!(it.reason(), Reason::TooLarge | Reason::ContextTooLong);
        let is_for_all = !self.considered.is_empty() && self.considered.iter().all(is_too_long);
        if !is_for_all || self.dispatcher.quota.may_be_taken(&self.criteria(&self.ruled_out)) {
            return None;
        }
        self.dispatcher.too_long(&self.question.target, &self.needs, self.demand.prompt)
    }

    /// After how many seconds somebody can serve again, if that is known. Who has merely failed may be well again at any
    /// time, so beside them a longer wait would be a lie.
    fn retry_after(&self, criteria: &Criteria<'_>) -> Option<u64> {
        let is_weather = self.considered.iter().any(Considered::is_weather);
        let certain = self.dispatcher.quota.promise(criteria);
        certain.filter(|seconds| !is_weather || *seconds <= SOON_SECONDS)
    }

    /// What to tell of a provider: its latest failure, and rather one that is no limit, because then it is not merely
    /// limited. `criteria` say which of its candidates may serve later.
    fn last_word(&self, number: usize, criteria: &Criteria<'_>) -> Option<FailedProvider> {
        let its = || self.considered.iter().filter(|it| it.provider == number);
        let last_word = its().rfind(|it| it.is_weather()).or_else(|| its().next_back())?;
        let reason = last_word.reason();
        let (status, message) = match &last_word.verdict {
            Verdict::Skipped(_) => (None, None),
            Verdict::Failed(failure) => (failure.status, failure.message.clone()),
            Verdict::Empty(status) => (Some(*status), None),
        };
        Some(FailedProvider {
            provider: self.provider(number)?,
            reason,
            status,
            retry_after_seconds: self.dispatcher.quota.seconds_until(criteria, Some(number)),
            message: message.filter(|_| reason.blames_request()),
        })
    }
}
