//! Every fault of a provider is tried with every provider's dialect, in every way, among others and alone; and after
//! each the proxy serves on, owes nothing and has told nobody a secret.

use ai_proxy_free::internals::observe::{Counts, Outcome};
use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::quota::ProviderSnapshot;
use ai_proxy_free::internals::simulator::Behaviour;
use futures::future::try_join_all;

use super::dialect::{Dialect, whole_stream};
use super::told::{Attempt, Told};
use super::ways::{PROMPT, Way};
use crate::support::{ProxyBuilder, RawUpstream, Reply, Script, TestProxy, log, within_patience};
use std::time::{Duration, Instant};

/// What the others say when one fails.
const SUBSTITUTE: &str = "another canary-answer";

/// What a provider says that is well again.
const RECOVERED: &str = "canary-answer once more";

/// Far beyond the clocks of a trial, far below the defaults: who takes longer has no clock.
const LONGEST: Duration = Duration::from_secs(25);

/// A year is beyond every rest.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

/// One way for a provider to misbehave.
pub(super) struct Fault {
    name: String,
    met: Met,
    variables: Vec<(&'static str, String)>,
    only: Vec<Provider>,
    is_for_good: bool,
    is_cured: bool,
}

/// What is met instead of a provider that is well.
enum Met {
    /// A server that says this.
    Script(Box<dyn Fn(Dialect) -> Script + Send + Sync>),
    /// A base URL at which there is nobody.
    Nobody(String),
}

/// What a provider's failure before its first content is called, and what the client gets when nobody else is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    /// Seconds, where the provider has stated them.
    pub(super) retry_after: Option<u64>,
}

impl Failure {
    /// One that goes by `reason` and is an error of `status` when nobody else is left.
    pub(super) const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, retry_after: None }
    }
}

/// `fault` that goes by `name`, in whatever dialect.
pub(super) fn fault(
    name: impl Into<String>,
    script: impl Fn(Dialect) -> Script + Send + Sync + 'static,
) -> Fault {
    Fault::new(name.into(), Met::Script(Box::new(script)))
}

/// A base URL at which there is nobody.
pub(super) fn nobody_at(base_url: impl Into<String>) -> Fault {
    let base_url = base_url.into();
    Fault::new(base_url.clone(), Met::Nobody(base_url)).for_good()
}

impl Fault {
    fn new(name: String, met: Met) -> Self {
        Self {
            name,
            met,
            variables: Vec::new(),
            only: Directory::core().into_iter().collect(),
            is_for_good: false,
            is_cured: false,
        }
    }

    /// With this clock or limit.
    pub(super) fn with(mut self, variable: &'static str, value: impl ToString) -> Self {
        self.variables.push((variable, value.to_string()));
        self
    }

    /// Of these providers only.
    pub(super) fn of(mut self, providers: impl IntoIterator<Item = Provider>) -> Self {
        self.only = providers.into_iter().collect();
        self
    }

    /// The provider itself makes up for it.
    pub(super) fn cured_by_another_model(mut self) -> Self {
        self.is_cured = true;
        self
    }

    /// No time heals it.
    pub(super) fn for_good(mut self) -> Self {
        self.is_for_good = true;
        self
    }
}

/// A fault with one provider in one way.
struct Trial<'a> {
    fault: &'a Fault,
    provider: Provider,
    way: Way,
}

fn trials(fault: &Fault) -> impl Iterator<Item = Trial<'_>> {
    let ways = move |provider| Way::ALL.into_iter().map(move |way| Trial { fault, provider, way });
    fault.only.iter().copied().flat_map(ways)
}

/// Each of the faults before the first content: invisible as long as somebody else can answer, and honest when nobody can.
pub(super) async fn falls_back(
    failure: Failure,
    faults: impl IntoIterator<Item = Fault>,
) -> anyhow::Result<()> {
    for fault in faults {
        try_join_all(trials(&fault).map(async |trial| {
            trial.falls_back(failure).await?;
            trial.is_told(failure).await
        }))
        .await?;
    }
    log::assert_clean();
    Ok(())
}

/// Each of the faults is an answer without content: nothing is shown of it as long as somebody else can answer, and it is
/// passed on as it is when nobody can.
pub(super) async fn says_nothing(faults: impl IntoIterator<Item = Fault>) -> anyhow::Result<()> {
    for fault in faults {
        try_join_all(trials(&fault).map(async |trial| {
            trial.falls_back(Failure::new(502, "empty_answer")).await?;
            trial.says_nothing().await
        }))
        .await?;
    }
    log::assert_clean();
    Ok(())
}

/// Each of the faults behind the content `text`: visible in a stream, which says `words`, and as before the content in an
/// answer that is not streamed.
pub(super) async fn breaks(
    failure: Failure,
    text: &str,
    words: &str,
    faults: impl IntoIterator<Item = Fault>,
) -> anyhow::Result<()> {
    for fault in faults {
        try_join_all(trials(&fault).map(async |trial| {
            if trial.way.is_stream() {
                trial.is_visible(text, words).await
            } else {
                trial.falls_back(failure).await?;
                trial.is_told(failure).await
            }
        }))
        .await?;
    }
    log::assert_clean();
    Ok(())
}

/// None of these is a fault: the client gets `text`, and nobody else is asked.
pub(super) async fn answers(
    text: &str,
    finish_reason: &str,
    faults: impl IntoIterator<Item = Fault>,
) -> anyhow::Result<()> {
    for fault in faults {
        try_join_all(trials(&fault).map(async |trial| trial.is_no_failure(text, finish_reason).await))
            .await?;
    }
    log::assert_clean();
    Ok(())
}

impl Trial<'_> {
    fn place(&self) -> String {
        format!("{}, {:?}, {:?}", self.fault.name, self.provider, self.way)
    }

    /// The provider misbehaves at its first request, and is well at all others.
    async fn upstream(&self) -> anyhow::Result<RawUpstream> {
        let dialect = Dialect(self.provider);
        let faulty = match &self.fault.met {
            Met::Script(script) => script(dialect),
            Met::Nobody(_) => Vec::new(),
        };
        let well = whole_stream(&dialect.stream(&[RECOVERED]));
        RawUpstream::start(move |number| if number == 0 { faulty.clone() } else { well.clone() }).await
    }

    fn proxy(&self, upstream: &RawUpstream) -> ProxyBuilder {
        let profile = self.provider.profile();
        let base_url = match &self.fault.met {
            Met::Script(_) => upstream.base_url(),
            Met::Nobody(base_url) => base_url.clone(),
        };
        let builder = TestProxy::builder().with(profile.base_url_variable, base_url);
        // One model: another would be asked before anybody is told of a failure. The spares are asked only if it is gone.
        let builder = builder.with(profile.models_variable, profile.models[0].id);
        self.fault.variables.iter().fold(builder, |builder, (name, value)| builder.with(name, value))
    }

    /// A proxy that knows all providers, and whose next is the one that misbehaves.
    async fn among_others(&self, upstream: &RawUpstream) -> anyhow::Result<TestProxy> {
        let proxy = self.proxy(upstream).start().await?;
        proxy.all(&Behaviour::answer([SUBSTITUTE]));
        proxy.make_next(self.provider).await?;
        Ok(proxy)
    }

    /// A proxy that knows nobody else.
    async fn alone(&self, upstream: &RawUpstream) -> anyhow::Result<TestProxy> {
        let others = Directory::core().into_iter().filter(|it| *it != self.provider);
        others
            .fold(self.proxy(upstream), |builder, it| builder.with(it.profile().key_variables[0], ""))
            .start()
            .await
    }

    async fn ask(&self, proxy: &TestProxy) -> anyhow::Result<(Reply, Told)> {
        let begun = Instant::now();
        let reply = self.way.ask_anybody(proxy).await?;
        assert!(begun.elapsed() < LONGEST, "{}: no clock ended it", self.place());
        let told = self.way.told(&reply);
        assert!(
            !format!("{:?} {}", reply.headers, reply.text()).contains("key-of-"),
            "{}: a key",
            self.place()
        );
        Ok((reply, told))
    }

    fn answer(&self, text: &str, finish_reason: &str) -> Told {
        let finish_reason = (self.way != Way::ChatText).then(|| finish_reason.to_owned());
        Told::Answer { text: text.to_owned(), finish_reason }
    }

    async fn falls_back(&self, failure: Failure) -> anyhow::Result<()> {
        let place = self.place();
        let upstream = self.upstream().await?;
        let proxy = self.among_others(&upstream).await?;
        let calls = proxy.upstream_calls();

        let (reply, told) = self.ask(&proxy).await?;
        assert_eq!(told, self.answer(SUBSTITUTE, "stop"), "{place}");
        let trail = reply.header("x-attempts").expect("a trail");
        let failed = format!("{}:{}, ", self.provider.name(), failure.reason);
        assert!(trail.starts_with(&failed) && trail.ends_with(":ok"), "{place}: {trail}");
        assert_eq!(proxy.upstream_calls(), calls + 1, "{place}: one other is asked");
        assert!(upstream.traffic().requests <= 1, "{place}: it is asked once");
        assert_eq!(proxy.counts(self.provider).await?, (1, 1), "{place}: one outcome");

        let (_, told) = self.ask(&proxy).await?;
        assert!(matches!(told, Told::Answer { .. }), "{place}: the next request: {told:?}");
        self.owes_nothing(&proxy).await
    }

    async fn is_told(&self, failure: Failure) -> anyhow::Result<()> {
        let place = self.place();
        let upstream = self.upstream().await?;
        let proxy = self.alone(&upstream).await?;

        let (_, told) = self.ask(&proxy).await?;
        if self.fault.is_cured {
            assert_eq!(told, self.answer(RECOVERED, "stop"), "{place}");
            assert_eq!(proxy.counts(self.provider).await?, (2, 1), "{place}: one outcome each");
            return self.owes_nothing(&proxy).await;
        }
        let Told::Refused { status, error, attempts, retry_after } = told else {
            panic!("{place}: {told:?}")
        };
        assert_eq!(status, failure.status, "{place}: {error}");
        let [Attempt { provider, reason, .. }] = attempts.as_slice() else { panic!("{place}: {attempts:?}") };
        assert_eq!((provider.as_str(), reason.as_str()), (self.provider.name(), failure.reason), "{place}");
        assert!(
            failure.retry_after.is_none() || failure.retry_after == retry_after,
            "{place}: {retry_after:?}"
        );
        for secret in ["http", "127.0.0.1", PROMPT] {
            assert!(!error.contains(secret), "{place}: {secret} in {error}");
        }
        assert_eq!(proxy.counts(self.provider).await?, (1, 1), "{place}: one outcome");

        if !self.fault.is_for_good {
            proxy.clock.advance(A_YEAR);
            let (_, told) = self.ask(&proxy).await?;
            assert_eq!(told, self.answer(RECOVERED, "stop"), "{place}: when it is well again");
        }
        self.owes_nothing(&proxy).await
    }

    async fn says_nothing(&self) -> anyhow::Result<()> {
        let upstream = self.upstream().await?;
        let proxy = self.alone(&upstream).await?;
        let (_, told) = self.ask(&proxy).await?;
        assert_eq!(told, self.answer("", "stop"), "{}: honestly empty", self.place());
        assert_eq!(proxy.counts(self.provider).await?, (1, 0), "{}: one outcome", self.place());
        self.owes_nothing(&proxy).await
    }

    async fn is_visible(&self, text: &str, words: &str) -> anyhow::Result<()> {
        let place = self.place();
        let upstream = self.upstream().await?;
        let proxy = self.among_others(&upstream).await?;
        let calls = proxy.upstream_calls();

        let (_, told) = self.ask(&proxy).await?;
        let Told::Broken { text: so_far, error } = told else { panic!("{place}: {told:?}") };
        assert_eq!(so_far, text, "{place}: what came, came");
        if let Some(error) = error {
            let name = self.provider.name();
            assert!(error.starts_with(name) && error.contains(words), "{place}: {error}");
        }
        assert_eq!(proxy.upstream_calls(), calls, "{place}: nobody else is asked");
        assert_eq!(proxy.counts(self.provider).await?, (1, 1), "{place}: one outcome");

        let (_, told) = self.ask(&proxy).await?;
        assert!(matches!(told, Told::Answer { .. }), "{place}: the next request: {told:?}");
        self.owes_nothing(&proxy).await
    }

    async fn is_no_failure(&self, text: &str, finish_reason: &str) -> anyhow::Result<()> {
        let place = self.place();
        let upstream = self.upstream().await?;
        let proxy = self.among_others(&upstream).await?;
        let calls = proxy.upstream_calls();

        let (reply, told) = self.ask(&proxy).await?;
        assert_eq!(told, self.answer(text, finish_reason), "{place}");
        assert_eq!(reply.header("x-provider"), Some(self.provider.name()), "{place}");
        assert_eq!(proxy.upstream_calls(), calls, "{place}: nobody else is asked");
        assert_eq!(proxy.counts(self.provider).await?, (1, 0), "{place}: one outcome");

        let (_, told) = self.ask(&proxy).await?;
        assert!(matches!(told, Told::Answer { .. }), "{place}: the next request: {told:?}");
        self.owes_nothing(&proxy).await
    }

    /// Every place among the concurrent requests is free again, and every attempt has its outcome.
    async fn owes_nothing(&self, proxy: &TestProxy) -> anyhow::Result<()> {
        let all = proxy.state.server.max_concurrent_requests;
        let admission = proxy.state.admission.clone();
        let permits = admission.acquire_many(u32::try_from(all)?);
        drop(within_patience(&format!("{}: the places", self.place()), permits).await?);
        let quota = proxy.state.dispatcher.quota();
        let counts = quota.counts();
        for ProviderSnapshot { provider, models, .. } in quota.snapshot() {
            let outcomes = || models.iter().flat_map(|model| model.stats.outcomes());
            let (_, counted) = counts.iter().find(|(of, _)| *of == provider).expect("everybody is counted");
            let is_failure = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
            let failures =
                outcomes().filter(|(outcome, _)| is_failure(outcome)).map(|(_, count)| count).sum();
            let sums = Counts { attempts: outcomes().map(|(_, count)| count).sum(), failures };
            assert_eq!(*counted, sums, "{}: {provider:?}: every attempt has ended", self.place());
        }
        Ok(())
    }
}
