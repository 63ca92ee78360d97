//! The commands: arguments and environment in, an exit code out.

mod check;
mod demo;
mod fatal;
mod healthcheck;
mod serve;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use self::fatal::Fatal;
use crate::config::{Config, ENV_HOST, ENV_PORT, Environment};
use crate::http::AppState;
use crate::time::{Clock, Shutdown};

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

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_default();
    run(command).unwrap_or_else(|Fatal(code, message)| {
        eprintln!("ai-proxy-free: {message}");
        ExitCode::from(code)
    })
}

fn run(command: Command) -> Result<ExitCode, Fatal> {
    let environment = Environment::read().map_err(|error| {
        // For the health check Docker keeps all other codes for itself.
        if command == Command::Healthcheck { Fatal::machine(error) } else { Fatal::settings(error) }
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
    if command == Command::Check {
        let state = AppState::new(&config, clock, fastrand::Rng::new(), Shutdown::default());
        return Ok(try_keys(&config, &state.map_err(Fatal::settings)?).await);
    }
    let invitation = demo.is_some().then_some(demo::invitation as fn(_, _) -> _);
    serve::run(&config, clock, invitation).await
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
