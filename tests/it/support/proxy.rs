use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use ai_proxy_free::internals::config::Config;
use ai_proxy_free::internals::http;
use ai_proxy_free::internals::http::AppState;
use ai_proxy_free::internals::providers::{AskedBy, Directory, Provider};
use ai_proxy_free::internals::simulator::{Behaviour, Limits, Plan, Settings, SimulatedProvider, Simulator};
use ai_proxy_free::internals::time::{Clock, Moment, Shutdown};
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// A clock that stands still until it is put forward, so that every wait is exact: noon in California, in winter.
#[derive(Clone, Default)]
pub(crate) struct TestClock {
    ahead_ms: Arc<AtomicI64>,
    is_broken: Arc<AtomicBool>,
}

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(i64::try_from(by.as_millis()).expect("a sensible span"), Ordering::SeqCst);
    }

    /// From now on whoever in the proxy asks what time it is panics, as a bug of ours would make it; or no longer.
    pub(crate) fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::SeqCst);
    }

    /// The time for the proxy.
    fn clock(&self) -> Clock {
        let (clock, is_broken) = (self.reliable_clock(), self.is_broken.clone());
        Arc::new(move || {
            assert!(!is_broken.load(Ordering::SeqCst), "the clock is broken, as the test wants it");
            clock()
        })
    }

    /// The same time for everybody else.
    pub(crate) fn reliable_clock(&self) -> Clock {
        let ahead_ms = self.ahead_ms.clone();
        let noon: Timestamp = "2026-11-23T20:00:00Z".parse().expect("a time");
        Arc::new(move || Moment::at(noon + Duration::from_millis(ahead_ms.load(Ordering::SeqCst) as u64)))
    }
}

/// Over all providers, each with its best model alone.
pub(crate) fn with_one_model_each() -> ProxyBuilder {
    Directory::core().into_iter().fold(TestProxy::builder(), |builder, provider| {
        let profile = provider.profile();
        builder.with(profile.models_variable, profile.models[0].id)
    })
}

/// A proxy in this process over simulated providers. Dropping it ends everything.
pub(crate) struct TestProxy {
    pub(crate) address: SocketAddr,
    pub(crate) simulator: Simulator,
    pub(crate) state: AppState,
    config: Config,
    pub(crate) clock: TestClock,
    pub(crate) shutdown: Shutdown,
    pub(crate) server: JoinHandle<()>,
}

/// What to start; see [`TestProxy::builder`].
#[derive(Default)]
pub(crate) struct ProxyBuilder {
    variables: HashMap<String, String>,
    reads_models: bool,
    limits: Option<Limits>,
    over: Option<Vec<Provider>>,
}

impl ProxyBuilder {
    /// Sets a variable; an empty value unsets it.
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// Leaves all but these without a key.
    pub(crate) fn only(self, providers: impl IntoIterator<Item = Provider>) -> Self {
        let kept: Vec<Provider> = providers.into_iter().collect();
        let others = Directory::core().into_iter().filter(|provider| !kept.contains(provider));
        others.fold(self, |builder, it| builder.with(it.profile().key_variables[0], ""))
    }

    /// Leaves all but Groq, Cerebras and Gemini without a key: for tests that spell out whose turn it is.
    pub(crate) fn core(self) -> Self {
        self.only(Directory::core())
    }

    /// Over these providers instead of Groq, Cerebras and Gemini.
    pub(crate) fn over(mut self, providers: impl IntoIterator<Item = Provider>) -> Self {
        self.over = Some(providers.into_iter().collect());
        self
    }

    /// Has read the lists of models before it serves; without this it never reads any.
    pub(crate) fn reading_models(mut self) -> Self {
        self.reads_models = true;
        self
    }

    /// Over providers that limit as their published free plans do.
    pub(crate) fn limited(mut self) -> Self {
        self.limits = Some(Limits::Published);
        self
    }

    /// Over providers that limit like this.
    pub(crate) fn limited_to(mut self, plan: &Plan) -> Self {
        self.limits = Some(Limits::Custom(plan.clone()));
        self
    }

    pub(crate) async fn start(self) -> anyhow::Result<TestProxy> {
        super::log::search();
        let clock = TestClock::default();
        let directory = self.over.map_or_else(Directory::core, Directory::from_iter);
        let simulator = Simulator::start(directory, |provider| {
            let limits = self.limits.clone().unwrap_or_default();
            Settings { limits, ..Settings::new(provider, clock.reliable_clock()) }
        })
        .await?;
        let variables = simulated_variables(&simulator, self.variables);
        let config = Config::from_lookup(|name| variables.get(name).cloned())?;
        let shutdown = Shutdown::default();
        let state = AppState::new(&config, clock.clock(), fastrand::Rng::with_seed(7), shutdown.clone())?;
        if self.reads_models {
            state.dispatcher.read_lists().await;
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let limits = state.connection_limits();
        let serving = http::serve(listener, state.clone(), limits, shutdown.clone());
        let server = tokio::spawn(serving);
        Ok(TestProxy { address, simulator, state, config, clock, shutdown, server })
    }
}

impl TestProxy {
    pub(crate) fn builder() -> ProxyBuilder {
        ProxyBuilder::default()
    }

    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::builder().start().await
    }

    /// Goes on from what a file says was used, and keeps it up to date.
    pub(crate) fn keep_state(&self, file: &std::path::Path) {
        self.state.dispatcher.keep_state(&self.config.providers, file, [7; 32]);
    }

    /// See [`ProxyBuilder::core`].
    pub(crate) async fn core() -> anyhow::Result<Self> {
        Self::builder().core().start().await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn provider(&self, provider: Provider) -> &SimulatedProvider {
        self.simulator.provider(provider)
    }

    /// From now on all providers go like this.
    pub(crate) fn all(&self, behaviour: &Behaviour) {
        for provider in self.simulator.providers() {
            provider.always(behaviour.clone());
        }
    }

    /// Reads the lists of models as after six hours.
    pub(crate) async fn read_models(&self) {
        self.state.dispatcher.read_lists().await;
    }

    /// How many calls the providers have received together.
    pub(crate) fn upstream_calls(&self) -> u64 {
        self.simulator.providers().map(SimulatedProvider::request_count).sum()
    }

    /// `count` and `failures` of a provider as `/health` tells them.
    pub(crate) async fn counts(&self, provider: Provider) -> anyhow::Result<(u64, u64)> {
        let health: Value = super::http_client()?.get(self.url("/health")).send().await?.json().await?;
        let counts = &health["stats"]["services"][provider.name()];
        Ok((counts["count"].as_u64().expect("a count"), counts["failures"].as_u64().expect("failures")))
    }

    /// What `/providers` tells of a provider.
    pub(crate) async fn report(&self, provider: Provider) -> anyhow::Result<Value> {
        let response = super::http_client()?.get(self.url("/providers")).send().await?;
        assert_eq!(response.status(), 200);
        let mut report: Value = response.json().await?;
        let providers = report["providers"].as_array_mut().expect("a list");
        let mut its = providers.iter_mut().filter(|it| it["name"] == provider.name());
        Ok(its.next().expect("everybody is there").take())
    }

    /// How often its attempts have ended how, over all its models: a word and a number each.
    pub(crate) async fn outcomes(&self, provider: Provider) -> anyhow::Result<BTreeMap<String, u64>> {
        let report = self.report(provider).await?;
        let mut outcomes = BTreeMap::new();
        for model in report["models"].as_array().expect("a list") {
            for (word, count) in model["outcomes"].as_object().expect("outcomes") {
                *outcomes.entry(word.clone()).or_default() += count.as_u64().expect("a number");
            }
        }
        Ok(outcomes)
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The variables that lead to the simulator, and `own` above them.
fn simulated_variables(simulator: &Simulator, own: HashMap<String, String>) -> HashMap<String, String> {
    // Tests of refusals need not wait for room that may come.
    let mut variables = HashMap::from([("MAX_WAIT_MS".to_owned(), "0".to_owned())]);
    for simulated in simulator.providers() {
        let (provider, profile) = (simulated.provider(), simulated.provider().profile());
        match profile.asked_by {
            AskedBy::Key => {
                variables.insert(profile.key_variables[0].to_owned(), format!("key-of-{}", provider.name()));
            }
            AskedBy::Name => {
                let named = variables.entry("KEYLESS_PROVIDERS".to_owned()).or_default();
                *named = format!("{named},{}", provider.name());
            }
            AskedBy::BaseUrl if Directory::built_in().iter().all(|it| it != provider) => {
                variables.insert(profile.key_variables[0].to_owned(), format!("key-of-{}", provider.name()));
            }
            AskedBy::BaseUrl => {}
        }
        variables.insert(profile.base_url_variable.to_owned(), simulated.base_url());
        if let Some(id) = profile.account_id {
            variables.insert(id.variable.to_owned(), "0123456789abcdef".repeat(id.hex_digits / 16));
        }
    }
    variables.extend(own);
    variables
}

/// The program itself in a process of its own, in an empty directory, with no environment but what it is given.
pub(crate) struct Binary {
    pub(crate) child: Child,
    directory: tempfile::TempDir,
    /// Everything written so far, both streams.
    pub(crate) output: String,
    lines: BufReader<tokio::process::ChildStdout>,
}

impl Binary {
    /// The variables that lead to `simulator`, and `own` above them.
    pub(crate) fn variables_over(
        simulator: &Simulator,
        own: HashMap<String, String>,
    ) -> HashMap<String, String> {
        simulated_variables(simulator, own)
    }

    pub(crate) fn command(directory: &std::path::Path) -> Command {
        Self::isolated(Command::new(env!("CARGO_BIN_EXE_ai-proxy-free")), directory)
    }

    fn isolated(mut command: Command, directory: &std::path::Path) -> Command {
        command.env_clear().current_dir(directory).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end: exit code, standard output, standard error.
    pub(crate) async fn run(
        arguments: &[&str],
        variables: &[(&str, &str)],
        dot_env: Option<&[u8]>,
    ) -> anyhow::Result<(Option<i32>, String, String)> {
        let directory = tempfile::tempdir()?;
        if let Some(bytes) = dot_env {
            std::fs::write(directory.path().join(".env"), bytes)?;
        }
        let mut command = Self::command(directory.path());
        command.args(arguments).envs(variables.iter().copied());
        let output = super::within_patience("the program to end", command.output()).await?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
    }

    /// Starts the program and waits until it says where it listens.
    pub(crate) async fn start(
        arguments: &[&str],
        variables: HashMap<String, String>,
    ) -> anyhow::Result<(Self, SocketAddr)> {
        let directory = tempfile::tempdir()?;
        let mut command = Self::command(directory.path());
        command.args(arguments).env("PORT", "0").envs(variables);
        Self::launch(command, directory).await
    }

    /// Starts the program where there is such a `.env`.
    pub(crate) async fn start_with_dot_env(
        arguments: &[&str],
        dot_env: &[u8],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<(Self, SocketAddr)> {
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join(".env"), dot_env)?;
        let mut command = Self::command(directory.path());
        command.args(arguments).env("PORT", "0").envs(variables.iter().copied());
        Self::launch(command, directory).await
    }

    async fn launch(
        mut command: Command,
        directory: tempfile::TempDir,
    ) -> anyhow::Result<(Self, SocketAddr)> {
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut binary = Self { child, directory, output: String::new(), lines: BufReader::new(stdout) };
        let line = binary.line_with("listening on http://").await?;
        let address = line.rsplit("http://").next().expect("an address");
        let address = address.trim_end_matches(|c: char| !c.is_ascii_digit()).parse()?;
        Ok((binary, address))
    }

    /// Starts the program over `simulator`.
    pub(crate) async fn over(
        simulator: &Simulator,
        own: &[(&str, &str)],
    ) -> anyhow::Result<(Self, SocketAddr)> {
        let own = own.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Self::start(&[], simulated_variables(simulator, own)).await
    }

    /// The same with at most so many descriptors.
    pub(crate) async fn with_descriptors(
        most: usize,
        simulator: &Simulator,
        own: &[(&str, &str)],
    ) -> anyhow::Result<(Self, SocketAddr)> {
        let own = own.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let directory = tempfile::tempdir()?;
        let mut command = Self::isolated(Command::new("/bin/sh"), directory.path());
        command.args([
            "-c",
            &format!("ulimit -n {most} && exec \"$0\""),
            env!("CARGO_BIN_EXE_ai-proxy-free"),
        ]);
        command.env("PORT", "0").envs(simulated_variables(simulator, own));
        Self::launch(command, directory).await
    }

    /// What it runs in.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// CPU time so far, user and system.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id().expect("it runs")))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Reads until a line holds `text`, and gives that line.
    pub(crate) async fn line_with(&mut self, text: &str) -> anyhow::Result<String> {
        let search = async {
            loop {
                let mut line = String::new();
                if self.lines.read_line(&mut line).await? == 0 {
                    let mut errors = String::new();
                    if let Some(mut stderr) = self.child.stderr.take() {
                        stderr.read_to_string(&mut errors).await?;
                    }
                    anyhow::bail!("no line with {text:?} in:\n{}{errors}", self.output);
                }
                self.output.push_str(&line);
                if line.contains(text) {
                    return Ok(line);
                }
            }
        };
        super::within_patience(text, search).await
    }

    /// Memory in use now.
    pub(crate) fn memory_kib(&self) -> anyhow::Result<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().expect("it runs")))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        Ok(resident.trim().trim_end_matches(" kB").parse()?)
    }

    /// Sends a signal such as `TERM`.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let id = self.child.id().expect("it runs").to_string();
        anyhow::ensure!(
            Command::new("kill").args(["-s", name, &id]).status().await?.success(),
            "kill failed"
        );
        Ok(())
    }

    /// Waits for the end: exit code, and everything that was written.
    pub(crate) async fn end(mut self) -> anyhow::Result<(Option<i32>, String)> {
        let mut stderr = self.child.stderr.take().expect("standard error is piped");
        let rest = async {
            let mut output = String::new();
            let mut errors = String::new();
            tokio::try_join!(self.lines.read_to_string(&mut output), stderr.read_to_string(&mut errors))?;
            anyhow::Ok((self.child.wait().await?.code(), output + &errors))
        };
        let (code, rest) = super::within_patience("the program to end", rest).await?;
        Ok((code, self.output + &rest))
    }
}
