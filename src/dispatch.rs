//! The one attempt loop: candidates in turn until one answers.
//!
//! Streaming and non-streaming requests go the same way; the only difference is how far an attempt has to come
//! before it counts: to its first content, or to its end. Until then every failure is remembered and the next
//! candidate is tried. The loop knows no HTTP and no JSON.

mod outcome;
mod search;

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::attempt::{self, Answer, Context};
use crate::chat::ChatRequest;
use crate::config::{ProviderConfig, Timeouts};
use crate::failure::{Failure, Reason, Scope};
use crate::ledger::{Clock, Entry, Ledger};
use crate::limits::{Candidate, Limits, Offer};
use crate::providers::Provider;
use crate::redaction::Redactor;
use crate::upstream::{Call, Network, TlsUnavailable, Upstream};

pub use self::outcome::{AllFailed, Answered, FailedProvider, Trail, Unanswered, Verdict};
use self::search::Search;

/// Finds answers. Shared by all requests.
#[derive(Debug)]
pub struct Dispatcher {
    services: Vec<Service>,
    upstream: Upstream,
    timeouts: Timeouts,
    redactor: Redactor,
    ledger: Arc<Ledger>,
}

/// A provider with all that is needed to call it.
#[derive(Debug)]
struct Service {
    provider: Provider,
    models: Vec<String>,
    base_url: String,
    network: Network,
    key_headers: Vec<(HeaderName, HeaderValue)>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    provider: Option<Provider>,
    model: Option<String>,
}

/// A client pinned what there is not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTarget {
    /// No such provider.
    #[error("Unknown provider '{name}'. There are: {}", Provider::ALL.map(Provider::name).join(", "))]
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
    ) -> Result<Self, SetupError> {
        let upstream = Upstream::new(providers, timeouts.connect)?;
        let services = providers.iter().map(Service::new).collect::<Result<Vec<_>, _>>()?;
        let offers = services.iter().map(|service| Offer {
            provider: service.provider,
            keys: service.key_headers.len(),
            models: service.models.len(),
        });
        let ledger = Arc::new(Ledger::new(Limits::new(offers.collect()), clock));
        Ok(Self { services, upstream, timeouts, redactor, ledger })
    }

    /// The books.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What a client pins: a provider by its name in any case, a model by its id, both, or neither.
    ///
    /// # Errors
    /// [`UnknownTarget`], with a list of what there is.
    pub fn target(&self, provider: Option<&str>, model: Option<&str>) -> Result<Target, UnknownTarget> {
        let unknown = |name| UnknownTarget::Provider { name: shorten(name) };
        let provider =
            provider.map(|name| Provider::from_name(name).ok_or_else(|| unknown(name))).transpose()?;
        let Some(model) = model else {
            return Ok(Target { provider, model: None });
        };
        let offered = self.services.iter().filter(|it| provider.is_none_or(|pinned| pinned == it.provider));
        let known: Vec<&String> = offered.flat_map(|service| &service.models).collect();
        if known.iter().any(|known| *known == model) {
            return Ok(Target { provider, model: Some(model.to_owned()) });
        }
        Err(UnknownTarget::Model { name: shorten(model), known: known.into_iter().cloned().collect() })
    }

    /// Finds an answer to `request`: tries candidates in turn, each at most once, until one comes as far as
    /// `extent` says. A pinned `target` takes no turn in the rotation and is left to nobody else.
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
        let usable = self.usable(target)?;
        let deadline = Instant::now() + self.timeouts.request;
        let mut search = Search::new(self, target);
        while let Some(admission) = search.next() {
            let candidate = admission.candidate;
            let Some((service, model, key_header)) = self.look_up(candidate) else {
                break;
            };
            let number = search.attempts() + 1;
            let name = service.provider.name();
            info!(request_id, model, "Attempt {number}/{}: Using service {name}", usable.max(number));
            let entry = Entry::open(self.ledger.clone(), admission);
            let wire = service.provider.encode(request, model);
            let call = Call {
                url: format!("{}{}", service.base_url, wire.path),
                network: service.network,
                key_header: key_header.clone(),
                body: wire.body,
            };
            match self.attempt(service.provider, call, extent, deadline).await {
                Ok(answer) => {
                    let (provider, model) = (service.provider, model.to_owned());
                    let answered = Answered { answer, entry, provider, model, trail: Trail::default() };
                    if let Some(answered) = search.accept(candidate, answered) {
                        return Ok(answered);
                    }
                }
                Err(failure) => {
                    let reason = failure.reason;
                    warn!(
                        request_id,
                        reason = reason.as_str(),
                        status = failure.status,
                        "{name} {}",
                        reason.explanation()
                    );
                    entry.failed(&failure);
                    search.fail(candidate, failure);
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        search.give_up()
    }

    /// How many providers may answer for `target` and have a key.
    fn usable(&self, target: &Target) -> Result<usize, Unanswered> {
        let wanted =
            self.services.iter().filter(|it| target.provider.is_none_or(|pinned| pinned == it.provider));
        let offers_model =
            |it: &&Service| target.model.as_ref().is_none_or(|model| it.models.contains(model));
        let wanted: Vec<_> = wanted.filter(offers_model).collect();
        match wanted.iter().filter(|service| !service.key_headers.is_empty()).count() {
            0 => Err(Unanswered::NoKeys(wanted.iter().map(|service| service.provider).collect())),
            usable => Ok(usable),
        }
    }

    fn allows(&self, target: &Target, candidate: Candidate) -> bool {
        let is_provider = target.provider.is_none_or(|pinned| pinned == candidate.provider);
        let is_model = |pinned: &String| self.look_up(candidate).is_some_and(|(_, model, _)| model == pinned);
        is_provider && target.model.as_ref().is_none_or(is_model)
    }

    /// The service, model and key that a candidate's numbers stand for.
    fn look_up(&self, candidate: Candidate) -> Option<(&Service, &str, &(HeaderName, HeaderValue))> {
        let service = self.services.iter().find(|service| service.provider == candidate.provider)?;
        Some((service, service.models.get(candidate.model)?, service.key_headers.get(candidate.key)?))
    }

    async fn attempt(
        &self,
        provider: Provider,
        call: Call,
        extent: Extent,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let context = Context { upstream: &self.upstream, timeouts: self.timeouts, redactor: &self.redactor };
        // What is left of the time may be too little for anybody: no reason to let the provider rest.
        let too_late = |_| Failure::without_answer(Reason::Timeout, Scope::Request);
        let mut answer =
            timeout_at(deadline, attempt::open(context, provider, call)).await.map_err(too_late)??;
        if extent == Extent::Whole {
            answer.read_whole(&self.redactor).await?;
        }
        Ok(answer)
    }
}

impl Service {
    fn new(config: &ProviderConfig) -> Result<Self, SetupError> {
        let provider = config.provider;
        let key_headers = config.keys.iter().map(|key| provider.key_header(key));
        Ok(Self {
            provider,
            models: config.models.clone(),
            base_url: config.base_url.as_str().trim_end_matches('/').to_owned(),
            network: Network::of(config),
            key_headers: key_headers.collect::<Result<_, _>>().map_err(|_| SetupError::Key(provider))?,
        })
    }
}

impl Target {
    fn is_pinned(&self) -> bool {
        self.provider.is_some() || self.model.is_some()
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
