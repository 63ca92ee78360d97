//! From the environment to a running server; maps failures to exit codes.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use ai_proxy_free::clock::Clock;
use ai_proxy_free::config::{Config, ENV_HOST, ENV_PORT, ProviderConfig};
use ai_proxy_free::server::Shutdown;
use ai_proxy_free::{AppState, check, demo, healthcheck, logging, server};
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tracing::{info, warn};

/// One endpoint over the free tiers of Groq, Cerebras and Gemini that simply answers.
///
/// Reads its settings from the environment and from `.env` in the working directory; README.md lists them.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Subcommand)]
enum Command {
    /// Start the proxy (the same as no command)
    #[default]
    Serve,
    /// Start the proxy with built-in simulated providers: needs no key and no network
    Demo,
    /// Try every key and name the models and limits; spends no quota: exit code 0 if a provider is usable, 1 if not
    Check,
    /// Ask the running server for /health: exit code 0 if it is well, 1 if not
    Healthcheck,
}

/// Why the program ends without having served, with its exit code.
struct Fatal(u8, String);

impl Fatal {
    /// The settings are wrong.
    fn settings(message: impl ToString) -> Self {
        Self(2, message.to_string())
    }

    /// The settings are right and cannot be had.
    fn machine(message: impl ToString) -> Self {
        Self(1, message.to_string())
    }
}

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_default();
    run(command).unwrap_or_else(|Fatal(code, message)| {
        eprintln!("ai-proxy-free: {message}");
        ExitCode::from(code)
    })
}

fn run(command: Command) -> Result<ExitCode, Fatal> {
    let environment = Environment::read().map_err(|Fatal(code, message)| {
        // Docker keeps all other codes for itself.
        Fatal(if command == Command::Healthcheck { 1 } else { code }, message)
    })?;
    if command == Command::Healthcheck {
        // Whatever else may be wrong is the server's to report.
        let lookup = |name: &str| environment.get(name).filter(|_| [ENV_HOST, ENV_PORT].contains(&name));
        let config = Config::from_lookup(lookup).map_err(Fatal::machine)?;
        healthcheck::run(&config.server.host, config.server.port).map_err(Fatal::machine)?;
        return Ok(ExitCode::SUCCESS);
    }
    #[cfg(unix)]
    // A stream takes two descriptors; where the limit cannot be raised, the one there is must do.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Fatal::machine)?;
    let outcome = runtime.block_on(start(command, &environment));
    // Not waiting for look-ups of names that nobody needs any more.
    runtime.shutdown_background();
    outcome
}

async fn start(command: Command, environment: &Environment) -> Result<ExitCode, Fatal> {
    #[expect(clippy::disallowed_methods, reason = "the one place where time comes in")]
    let clock: Clock = Arc::new(jiff::Timestamp::now);
    let demo = match command {
        Command::Demo => Some(demo::Demo::start(clock.clone()).await.map_err(Fatal::machine)?),
        Command::Serve | Command::Check | Command::Healthcheck => None,
    };
    let lookup = |name: &str| match &demo {
        Some(demo) => demo.variable(name).unwrap_or_else(|| environment.get(name)),
        None => environment.get(name),
    };
    let config = Config::from_lookup(lookup).map_err(Fatal::settings)?;

    let shutdown = Shutdown::default();
    let state = || AppState::new(&config, clock.clone(), fastrand::Rng::new(), shutdown.clone());
    if command == Command::Check {
        return Ok(try_keys(&config, &state().map_err(Fatal::settings)?).await);
    }

    // What can fail comes first: whoever cannot start says that and nothing else.
    let mut signals = Signals::new().map_err(Fatal::machine)?;
    let (host, port) = (config.server.host.as_str(), config.server.port);
    let cannot_listen = |error| Fatal::machine(format!("cannot listen on {host}:{port}: {error}"));
    let listener = TcpListener::bind((host, port)).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let state = state().map_err(Fatal::settings)?;

    let _log_guard = logging::start(&config.log, clock.clone());
    report(&config);
    info!(target: logging::STARTUP, "ai-proxy-free {} listening on http://{address}", env!("CARGO_PKG_VERSION"));
    if demo.is_some() {
        info!(target: logging::STARTUP, "{}", demo::invitation(address, !config.server.client_keys.is_empty()));
    }

    let limits = state.connection_limits();
    let serving = server::serve(listener, ai_proxy_free::app(state.clone()), limits, shutdown.clone());
    let serving = async {
        tokio::select! {
            () = serving => {}
            // Beside serving: a start without a network serves at once.
            never = state.dispatcher.keep_models_current(fastrand::Rng::new()) => match never {},
        }
    };
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        _ = signals.next() => shutdown.begin(),
    }
    Ok(tokio::select! {
        () = serving => ExitCode::SUCCESS,
        signal = signals.next() => ExitCode::from(128 + signal),
    })
}

/// Prints what every key is good for.
async fn try_keys(config: &Config, state: &AppState) -> ExitCode {
    let report = check::run(config, &state.dispatcher).await;
    let mut stdout = io::stdout();
    for line in report.lines {
        // Whoever has stopped reading still wants the exit code.
        let _ = writeln!(stdout, "{line}");
    }
    if report.is_usable { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Logs what the settings amount to.
fn report(config: &Config) {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    for ProviderConfig { provider, keys, models, .. } in &config.providers {
        let name = provider.name();
        match keys.len() {
            0 => warn!("{name} is off: {}", check::missing_key(*provider)),
            keys => info!(keys, models = models.join(","), "{name} is ready"),
        }
    }
    if config.providers.iter().all(|provider| provider.keys.is_empty()) {
        warn!("No provider has a key: every /chat will be answered with 503");
    }
}

/// The variables of the process, and below them those of `.env`.
struct Environment(HashMap<String, String>);

impl Environment {
    fn read() -> Result<Self, Fatal> {
        let entries = match dotenvy::from_path_iter(".env") {
            Ok(entries) => entries,
            Err(error) if error.not_found() => return Ok(Self(HashMap::new())),
            Err(_) => {
                return Err(Fatal::settings(".env cannot be read: is it a file, and may you read it?"));
            }
        };
        let mut variables = HashMap::new();
        for (index, entry) in entries.enumerate() {
            // The error itself would quote the line, which may hold a key.
            let hint = "expected lines of the form NAME=value, quotes closed";
            let (name, value) = entry
                .map_err(|_| Fatal::settings(format!(".env: entry {} cannot be read: {hint}", index + 1)))?;
            variables.insert(name, value);
        }
        Ok(Self(variables))
    }

    /// The value of a variable; one that is set but empty in the process does not hide the one in `.env`.
    fn get(&self, name: &str) -> Option<String> {
        let own = std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        own.filter(|value| !value.trim().is_empty()).or_else(|| self.0.get(name).cloned())
    }
}

/// The signals that ask the process to end.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one and gives its number.
    #[cfg(unix)]
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }

    #[cfg(not(unix))]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next one and gives its number.
    #[cfg(not(unix))]
    async fn next(&mut self) -> u8 {
        // Without a handler nothing can be waited for: the system's own way of ending the process is left.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        2
    }
}
