//! The loop over candidates.
//!
//! Streaming and non-streaming requests take the same path. The only difference is how far an attempt must come before
//! it counts: to its first content, or to its end. Until then every failure is recorded and the next candidate is
//! tried.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::attempt::{self, Answer, Context, Order};
use super::offered::Offered;
use super::outcome::{Answered, Incapable, Trail, Unanswered};
use super::search::Search;
use super::service::{Service, SetupError};
use super::upstream::Upstream;
use crate::config::{ProviderConfig, Timeouts};
use crate::middle::{ChatRequest, ExpectedCalls, Failure, Feature, Needs, Reason, Redactor, Scope};
use crate::providers::WireRequest;
use crate::quota::{Criteria, Offer, Quota, Reservation, Target};
use crate::time::Clock;

/// Finds answers. Shared by all requests.
#[derive(Debug)]
pub struct Dispatcher {
    /// In rotation order: a service's place is its provider's number in `quota`.
    pub(super) services: Vec<Service>,
    pub(super) upstream: Upstream,
    pub(super) timeouts: Timeouts,
    pub(super) redactor: Arc<Redactor>,
    pub(super) quota: Arc<Quota>,
}

/// How far an attempt must come before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// To its first content; the rest is relayed as it comes.
    FirstContent,
    /// To its end; an answer that breaks half-way is a failure like any other.
    Whole,
}

impl Dispatcher {
    /// A dispatcher over `providers`, in rotation order; nothing is called yet.
    ///
    /// # Errors
    /// [`SetupError`]: this machine cannot speak HTTPS, or a key cannot be sent.
    pub fn new(
        providers: &[ProviderConfig],
        timeouts: Timeouts,
        redactor: Redactor,
        clock: Clock,
        random: fastrand::Rng,
    ) -> Result<Self, SetupError> {
        let upstream = Upstream::new(providers, timeouts.connect)?;
        let services = providers.iter().map(Service::new).collect::<Result<Vec<_>, _>>()?;
        let offers = providers.iter().zip(&services).map(|(config, service)| Offer {
            provider: service.provider,
            accounts: service.accounts.len(),
            models: config.models.clone(),
        });
        let quota = Arc::new(Quota::new(offers.collect(), clock, random));
        Ok(Self { services, upstream, timeouts, redactor: Arc::new(redactor), quota })
    }

    /// Which candidates can be called, and what is known of all of them.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// What clients may ask for by name.
    pub(crate) fn offered(&self) -> Offered<'_> {
        Offered::new(&self.quota, &self.services)
    }

    /// Finds an answer to `request`. Tries the candidates that can do what it needs, each at most once, until one comes
    /// as far as `extent` says. Only the providers of `target` are tried. A pinned target with a single entry leaves
    /// the rotation unchanged.
    ///
    /// Waits at most `timeouts.request` for the first content. Dropping the future drops the call in progress.
    ///
    /// # Errors
    /// [`Unanswered`]: no provider could answer. Nothing has reached the client.
    pub(crate) async fn answer(
        &self,
        request: &ChatRequest,
        target: &Target,
        extent: Extent,
        request_id: &str,
    ) -> Result<Answered, Unanswered> {
        let needs = request.needs();
        let able = self.able(target, &needs)?;
        let deadline = Instant::now() + self.timeouts.request;
        let mut search = Search::new(&self.quota, &self.services, target, &needs);
        while let Some(mut reservation) = search.next() {
            let Some(Prepared { order, left_out }) = self.prepare(request, &reservation) else { break };
            let (number, name) = (search.attempts() + 1, order.provider.name());
            info!(
                request_id,
                model = &**reservation.model(),
                "Attempt {number}/{}: Using service {name}",
                able.max(number)
            );
            match self.attempt(order, extent, deadline, &mut reservation).await {
                Ok(answer) => {
                    let answered = Answered { answer, reservation, left_out, trail: Trail::default() };
                    if let Some(answered) = search.accept(answered) {
                        return Ok(answered);
                    }
                }
                Err(failure) => {
                    let (reason, status) = (failure.reason, failure.status);
                    warn!(request_id, reason = reason.as_str(), status, "{name} {}", reason.explanation());
                    self.fail(&mut search, reservation, failure);
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        search.give_up()
    }

    /// How many providers could serve if nothing were in cooldown.
    fn able(&self, target: &Target, needs: &Needs) -> Result<usize, Unanswered> {
        let survey = self.quota.survey(&Criteria { target, needs, ruled_out: &[] });
        if survey.able > 0 {
            Ok(survey.able)
        } else if survey.unable.is_empty() {
            let wanted = target.wanted().iter().filter_map(|wanted| self.services.get(wanted.provider));
            Err(Unanswered::NoKeys(wanted.map(|service| service.provider).collect()))
        } else {
            Err(Unanswered::Incapable(Incapable(survey.unable)))
        }
    }

    /// The call for the picked candidate; `None` if its numbers are unknown.
    fn prepare(&self, request: &ChatRequest, reservation: &Reservation) -> Option<Prepared> {
        let candidate = reservation.candidate();
        let service = self.services.get(candidate.provider)?;
        let account = service.accounts.get(candidate.account)?;
        let WireRequest { path, body, is_stream, renamed_tools: renamed, left_out } =
            service.provider.encode(request, reservation.model());
        let expected = request.may_call().then(|| ExpectedCalls { renamed, random: fastrand::Rng::new() });
        let call = service.call(account, &path, body);
        Some(Prepared { order: Order { provider: service.provider, call, expected, is_stream }, left_out })
    }

    async fn attempt(
        &self,
        order: Order,
        extent: Extent,
        deadline: Instant,
        reservation: &mut Reservation,
    ) -> Result<Answer, Failure> {
        let context = Context { upstream: &self.upstream, timeouts: self.timeouts, redactor: &self.redactor };
        // The rest of the time may be too short for any provider, so running out of it causes no cooldown.
        let too_late = |_| Failure::without_answer(Reason::Timeout, Scope::Request);
        let opened = attempt::open(context, order, reservation);
        let mut answer = timeout_at(deadline, opened).await.map_err(too_late)??;
        // Here and not at the end, because other requests wait for the provider's cooldown to end.
        reservation.has_begun(answer.spent(), answer.time_to_first_token());
        if extent == Extent::Whole {
            answer.read_whole().await?;
        }
        Ok(answer)
    }

    /// Records that an attempt failed, and logs it if a model in use is gone.
    fn fail(&self, search: &mut Search<'_>, reservation: Reservation, failure: Failure) {
        let (number, model) = (reservation.candidate().provider, reservation.model().clone());
        // A model that comes back within minutes may never have been gone.
        let is_gone = failure.reason == Reason::ModelGone && failure.wait.is_none();
        let is_news = is_gone && self.quota.in_use(number).contains(&model);
        search.fail(reservation, failure);
        if let Some(service) = self.services.get(number).filter(|_| is_news) {
            service.report_lost(&self.quota, number, &[model]);
        }
    }
}

/// What is sent, and what is left out of it.
struct Prepared {
    order: Order,
    left_out: Vec<Feature>,
}
