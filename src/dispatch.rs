//! The one attempt loop: candidates in turn until one answers.
//!
//! Streaming and non-streaming requests go the same way; the only difference is how far an attempt has to come
//! before it counts: to its first content, or to its end. Until then every failure is remembered and the next
//! candidate is tried. The loop knows no HTTP and no JSON.

mod attempt;
mod lists;
mod outcome;
mod search;
mod signatures;
mod upstream;

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::middle::ExpectedCalls;
use crate::models::{Catalogue, Names};
use crate::middle::{ChatRequest, Needs};
use crate::time::Clock;
use crate::config::{ProviderConfig, Timeouts};
use crate::middle::{Failure, Reason, Scope};
use crate::quota::{Entry, Ledger};
use crate::quota::{Candidate, Limits, Offer};
use crate::providers::{Directory, Provider};
use crate::middle::Redactor;

pub use self::lists::Reading;
pub use self::outcome::{AllFailed, Answered, FailedProvider, Incapable, Trail, Unanswered, Verdict};
pub use self::attempt::Answer;
use self::attempt::{Context, Order};
use self::search::Search;
pub use self::signatures::Signatures;
use self::upstream::{Call, Network, Upstream};
pub use self::upstream::TlsUnavailable;

/// Finds answers. Shared by all requests.
#[derive(Debug)]
pub struct Dispatcher {
    services: Vec<Service>,
    upstream: Upstream,
    timeouts: Timeouts,
    redactor: Arc<Redactor>,
    ledger: Arc<Ledger>,
}

/// A provider with all that is needed to call it.
#[derive(Debug)]
struct Service {
    provider: Provider,
    names: Names,
    // Held for microseconds, never across an await, and before the lock of the limits.
    catalogue: Mutex<Catalogue>,
    base_url: String,
    network: Network,
    key_headers: Vec<(HeaderName, HeaderValue)>,
}

/// What a provider has to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster<'d> {
    /// Who.
    pub provider: Provider,
    /// How many keys it has; without any it serves nobody.
    pub keys: usize,
    /// Its models in order of preference: the number that stands in a [`Candidate`], and the provider's id.
    pub models: Vec<(usize, &'d str)>,
}

/// The dispatcher cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No HTTPS.
    #[error(transparent)]
    Tls(#[from] TlsUnavailable),
    /// A key that no header can hold.
    #[error("a key of {} has characters that no header may hold", .0.name())]
    Key(Provider),
}

/// Who may answer a request: everybody, or what the client has pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    wanted: Vec<Wanted>,
    is_pinned: bool,
}

/// A provider that may answer, with any of its models or with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    provider: Provider,
    model: Option<usize>,
}

/// A client pinned what there is not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTarget {
    /// No such provider.
    #[error("Unknown provider '{name}'. There are: {}", Directory::built_in().names().join(", "))]
    Provider {
        /// What was asked for, cut to a readable length.
        name: String,
    },
    /// No such model, or not at the provider that is pinned.
    #[error("Unknown model '{name}'. There are: {}", known.join(", "))]
    Model {
        /// What was asked for, cut to a readable length.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
}

impl UnknownTarget {
    /// What was asked for, cut to a readable length.
    pub fn name(&self) -> &str {
        match self {
            Self::Provider { name } | Self::Model { name, .. } => name,
        }
    }
}

/// How far an attempt has to come before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To its first content: the rest is relayed as it comes.
    FirstContent,
    /// To its end: an answer that breaks half-way is a failure like any other.
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
        let offers = providers.iter().map(|it| Offer {
            provider: it.provider,
            keys: it.keys.len(),
            models: it.models.len(),
        });
        let ledger = Arc::new(Ledger::new(Limits::new(offers.collect(), random), clock));
        for service in &services {
            let stock = service.catalogue().stock(&service.names);
            ledger.limits.restock(service.provider, stock, ledger.now());
        }
        Ok(Self { services, upstream, timeouts, redactor: Arc::new(redactor), ledger })
    }

    /// The books.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Everything that is offered: the models in use of the providers that have a key.
    pub fn offered(&self) -> impl Iterator<Item = (Provider, &str)> {
        let with_key = self.services.iter().filter(|service| !service.key_headers.is_empty());
        with_key.flat_map(|service| self.in_use(service).map(|(_, model)| (service.provider, model)))
    }

    /// The models of a provider that are used, best first, with their numbers.
    fn in_use<'s>(&self, service: &'s Service) -> impl Iterator<Item = (usize, &'s str)> {
        let numbers = self.ledger.limits.in_use(service.provider, self.ledger.now());
        numbers.into_iter().filter_map(|number| Some((number, service.names.get(number)?)))
    }

    /// Everybody in rotation order, with a key or without: the models that are wanted, and those used in their stead.
    pub fn roster(&self) -> impl Iterator<Item = Roster<'_>> {
        self.services.iter().map(|service| {
            let is_wanted = |number: usize| service.catalogue().is_wanted(number);
            let wanted = (0..).take_while(|&number| is_wanted(number));
            let wanted = wanted.filter_map(|number| Some((number, service.names.get(number)?)));
            let others = self.in_use(service).filter(|&(number, _)| !is_wanted(number));
            let models = wanted.chain(others).collect();
            Roster { provider: service.provider, keys: service.key_headers.len(), models }
        })
    }

    /// Whether `target` leaves it to this model to answer.
    pub fn includes(&self, target: &Target, provider: Provider, model: &str) -> bool {
        let service = self.services.iter().find(|service| service.provider == provider);
        let number = service.and_then(|service| service.names.find(model));
        number.is_some_and(|number| target.allows(provider, number))
    }

    /// What a client pins: a provider by its name in any case, a model by its id, both, or neither.
    ///
    /// # Errors
    /// [`UnknownTarget`], with a list of what there is.
    pub fn target(&self, provider: Option<&str>, model: Option<&str>) -> Result<Target, UnknownTarget> {
        let is_pinned = provider.is_some() || model.is_some();
        let unknown = |name| UnknownTarget::Provider { name: shorten(name) };
        let provider =
            provider.map(|name| Directory::built_in().find(name).ok_or_else(|| unknown(name))).transpose()?;
        let services = || {
            self.services.iter().filter(|service| provider.is_none_or(|pinned| pinned == service.provider))
        };
        let wanted: Vec<Wanted> = match model {
            None => services().map(|service| Wanted { provider: service.provider, model: None }).collect(),
            Some(pinned) => {
                let offers =
                    services().filter_map(|service| Some((service.provider, self.number(service, pinned)?)));
                offers.map(|(provider, number)| Wanted { provider, model: Some(number) }).collect()
            }
        };
        if wanted.is_empty() {
            let models = services().flat_map(|service| self.in_use(service));
            let known = models.map(|(_, model)| model.to_owned()).collect();
            return Err(UnknownTarget::Model { name: shorten(model.unwrap_or_default()), known });
        }
        // Among several who have the model there is a turn to take.
        let is_pinned = is_pinned && wanted.len() == 1;
        Ok(Target { wanted, is_pinned })
    }

    /// The number of a model that may be asked for by name: one that is used, or that is wanted and may be gone.
    fn number(&self, service: &Service, model: &str) -> Option<usize> {
        let number = service.names.find(model)?;
        let is_known =
            service.catalogue().is_wanted(number) || self.in_use(service).any(|(it, _)| it == number);
        is_known.then_some(number)
    }

    /// Finds an answer to `request`: tries candidates that can do what it needs in turn, each at most once, until one
    /// comes as far as `extent` says. A pinned `target` takes no turn in the rotation and is left to nobody else.
    ///
    /// Waits at most `timeouts.request` for the first content. Dropping the future drops the call under way.
    ///
    /// # Errors
    /// [`Unanswered`]: nobody could; nothing has reached the client.
    pub async fn answer(
        &self,
        request: &ChatRequest,
        target: &Target,
        extent: Extent,
        request_id: &str,
    ) -> Result<Answered, Unanswered> {
        let needs = request.needs();
        let usable = self.usable(target, &needs)?;
        let deadline = Instant::now() + self.timeouts.request;
        let mut search = Search::new(self, target, needs);
        while let Some(admission) = search.next() {
            let candidate = admission.candidate;
            let Some((service, model, key_header)) = self.look_up(candidate) else {
                self.ledger.limits.abandoned(&admission);
                break;
            };
            let mut entry = Entry::open(self.ledger.clone(), admission, model);
            let number = search.attempts() + 1;
            let name = service.provider.name();
            info!(request_id, model, "Attempt {number}/{}: Using service {name}", usable.max(number));
            let wire = service.provider.encode(request, model);
            let call = Call {
                url: format!("{}{}", service.base_url, wire.path),
                network: service.network,
                key_header: key_header.clone(),
                body: wire.body,
            };
            let expected = request
                .may_call()
                .then(|| ExpectedCalls { renamed: wire.renamed_tools, random: fastrand::Rng::new() });
            let order = Order { provider: service.provider, call, expected, is_stream: wire.is_stream };
            match self.attempt(order, extent, deadline, &mut entry).await {
                Ok(answer) => {
                    let answered = Answered {
                        answer,
                        entry,
                        provider: service.provider,
                        model: model.to_owned(),
                        left_out: wire.left_out,
                        trail: Trail::default(),
                    };
                    if let Some(answered) = search.accept(candidate, answered) {
                        return Ok(answered);
                    }
                }
                Err(failure) => {
                    let (reason, status) = (failure.reason, failure.status);
                    warn!(request_id, reason = reason.as_str(), status, "{name} {}", reason.explanation());
                    // One that comes back within minutes may never have been gone.
                    let is_gone = failure.reason == Reason::ModelGone && failure.wait.is_none();
                    let is_news =
                        is_gone && self.in_use(service).any(|(number, _)| number == candidate.model);
                    entry.failed(&failure);
                    if is_news {
                        self.report_lost(service, &[candidate.model]);
                    }
                    search.fail(candidate, failure);
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        search.give_up()
    }

    async fn attempt(
        &self,
        order: Order,
        extent: Extent,
        deadline: Instant,
        entry: &mut Entry,
    ) -> Result<Answer, Failure> {
        let context = Context { upstream: &self.upstream, timeouts: self.timeouts, redactor: &self.redactor };
        // What is left of the time may be too little for anybody: no reason to let the provider rest.
        let too_late = |_| Failure::without_answer(Reason::Timeout, Scope::Request);
        let opened = attempt::open(context, order, |told| entry.learn(told));
        let mut answer = timeout_at(deadline, opened).await.map_err(too_late)??;
        // Here and not at the end: others wait to hear that the provider is well again.
        entry.has_begun(answer.exhausted(), answer.time_to_first_token());
        if extent == Extent::Whole {
            answer.read_whole().await?;
        }
        Ok(answer)
    }

    /// How many providers may answer for `target`, have a key, and a model that can do what is needed.
    fn usable(&self, target: &Target, needs: &Needs) -> Result<usize, Unanswered> {
        let mut usable: Vec<Provider> = Vec::new();
        let mut incapable = Incapable::default();
        for (provider, model) in self.reachable(target) {
            match provider.capabilities(model).lacks(needs) {
                Some(lack) => incapable.add(provider, lack),
                None if usable.contains(&provider) => {}
                None => usable.push(provider),
            }
        }
        if !usable.is_empty() {
            Ok(usable.len())
        } else if incapable.is_empty() {
            Err(Unanswered::NoKeys(target.wanted.iter().map(|wanted| wanted.provider).collect()))
        } else {
            Err(Unanswered::Incapable(incapable))
        }
    }

    /// The models that `target` leads to, of providers that have a key.
    fn reachable(&self, target: &Target) -> impl Iterator<Item = (Provider, &str)> {
        let with_key = self.services.iter().filter(|service| !service.key_headers.is_empty());
        with_key.flat_map(|service| {
            let its = |wanted: &&Wanted| wanted.provider == service.provider;
            let models = target.wanted.iter().filter(its).flat_map(|wanted| match wanted.model {
                Some(number) => service.names.get(number).into_iter().collect::<Vec<_>>(),
                None => self.in_use(service).map(|(_, model)| model).collect(),
            });
            models.map(|model| (service.provider, model)).collect::<Vec<_>>()
        })
    }

    /// How many tokens a candidate's model takes.
    fn window(&self, candidate: Candidate) -> u64 {
        let model = self.look_up(candidate).map(|(_, model, _)| model);
        model.map_or(0, |model| candidate.provider.capabilities(model).window)
    }

    /// Whether a candidate can do what is needed.
    fn can(&self, candidate: Candidate, needs: &Needs) -> bool {
        let model = self.look_up(candidate).map(|(_, model, _)| model);
        model.is_some_and(|model| candidate.provider.capabilities(model).lacks(needs).is_none())
    }

    /// The service, model and key that a candidate's numbers stand for.
    fn look_up(&self, candidate: Candidate) -> Option<(&Service, &str, &(HeaderName, HeaderValue))> {
        let service = self.services.iter().find(|service| service.provider == candidate.provider)?;
        Some((service, service.names.get(candidate.model)?, service.key_headers.get(candidate.key)?))
    }
}

impl Service {
    fn new(config: &ProviderConfig) -> Result<Self, SetupError> {
        let provider = config.provider;
        let catalogue = Catalogue::new(provider, &config.models, config.keys.len());
        let key_headers = config.keys.iter().map(|key| provider.key_header(key));
        Ok(Self {
            provider,
            names: Names::of(&catalogue),
            catalogue: Mutex::new(catalogue),
            base_url: config.base_url.as_str().trim_end_matches('/').to_owned(),
            network: Network::of(config),
            key_headers: key_headers.collect::<Result<_, _>>().map_err(|_| SetupError::Key(provider))?,
        })
    }

    fn catalogue(&self) -> std::sync::MutexGuard<'_, Catalogue> {
        // Nothing that is done with it can panic half-way.
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target {
    /// Whether it is about certain models, rather than providers with whatever they have.
    pub fn names_model(&self) -> bool {
        self.wanted.iter().any(|wanted| wanted.model.is_some())
    }

    fn allows(&self, provider: Provider, model: usize) -> bool {
        let is_it = |wanted: &Wanted| {
            wanted.provider == provider && wanted.model.is_none_or(|wanted| wanted == model)
        };
        self.wanted.iter().any(is_it)
    }
}

/// What a client wrote, short enough to be shown.
fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 100;
    let mut short: String = text.chars().take(MAX_CHARS).filter(|c| !c.is_control()).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        short.push('…');
    }
    short
}
