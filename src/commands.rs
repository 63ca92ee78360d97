//! The commands: arguments and environment in, an exit code out.

mod check;
mod demo;
mod fatal;
mod healthcheck;
mod serve;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::demo::Demo;
use self::fatal::Fatal;
use crate::config::{self, Config, ConfigError, ENV_HOST, ENV_PORT, Environment};
use crate::http::AppState;
use crate::time::{Clock, Moment, Shutdown};

/// One endpoint over the free tiers of Groq, Cerebras and Gemini that simply answers.
///
/// While it runs, http://127.0.0.1:3001/ is a page to try it with.
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
    /// Try every key and name models and limits; spends no quota. Exit code 0 if a provider is usable, else 1
    Check,
    /// Ask the running server for /health: exit code 0 if it is well, 1 if not
    Healthcheck,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    run(command()).unwrap_or_else(|Fatal(code, message)| {
        eprintln!("ai-proxy-free: {message}");
        ExitCode::from(code)
    })
}

/// The command of the arguments; `--help`, `--version` and mistakes end the process here, as clap does.
fn command() -> Command {
    let cli = Cli::command().after_help(format!(
        "Settings, from the environment or from the file .env in the working directory (the demo reads no .env):\n{}\n\n\
         docs/settings.md explains them, docs/settings.es.md en español.",
        config::listing()
    ));
    Cli::from_arg_matches(&cli.get_matches()).unwrap_or_else(|error| error.exit()).command.unwrap_or_default()
}

fn run(command: Command) -> Result<ExitCode, Fatal> {
    match command {
        Command::Serve => block_on(serve()),
        Command::Demo => block_on(demo()),
        Command::Check => block_on(check()),
        Command::Healthcheck => healthcheck(),
    }
}

async fn serve() -> Result<ExitCode, Fatal> {
    let environment = environment()?;
    let config = config(&environment, |name| environment.get(name))?;
    serve::run(&config, clock(), None).await
}

/// `.env` is about the real providers, so the demo is the same with it and without it.
async fn demo() -> Result<ExitCode, Fatal> {
    let environment = Environment::without_file();
    let demo = Demo::start(clock()).await.map_err(Fatal::machine)?;
    let lookup = |name: &str| demo.variable(name).unwrap_or_else(|| environment.get(name));
    let config = config(&environment, lookup)?;
    serve::run(&config, clock(), Some(demo::invitation)).await
}

async fn check() -> Result<ExitCode, Fatal> {
    let environment = environment()?;
    let config = config(&environment, |name| environment.get(name))?;
    let state = AppState::new(&config, clock(), fastrand::Rng::new(), Shutdown::default());
    let report = check::run(&config, &state.map_err(Fatal::settings)?.dispatcher).await;
    let mut stdout = io::stdout();
    for line in report.lines {
        // A reader that has closed its end still wants the exit code.
        let _ = writeln!(stdout, "{line}");
    }
    Ok(if report.is_usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Needs no runtime. Fails with 1 only, because Docker reserves all other codes.
fn healthcheck() -> Result<ExitCode, Fatal> {
    let environment = Environment::read().map_err(Fatal::machine)?;
    // The server itself reports mistakes in any other variable.
    let lookup = |name: &str| environment.get(name).filter(|_| [ENV_HOST, ENV_PORT].contains(&name));
    let config = Config::from_lookup(lookup).map_err(Fatal::machine)?;
    healthcheck::run(&config.server.host, config.server.port).map_err(Fatal::machine)?;
    Ok(ExitCode::SUCCESS)
}

fn environment() -> Result<Environment, Fatal> {
    Environment::read().map_err(Fatal::settings)
}

/// The settings; or all mistakes, those of the lines of `.env` and those of the values, together.
fn config(environment: &Environment, lookup: impl Fn(&str) -> Option<String>) -> Result<Config, Fatal> {
    let mut mistakes = environment.mistakes().to_vec();
    let config = Config::from_lookup(lookup);
    if let Err(ConfigError(its)) = &config {
        mistakes.extend_from_slice(its);
    }
    match config {
        Ok(config) if mistakes.is_empty() => Ok(config),
        _ => Err(Fatal::settings(ConfigError(mistakes))),
    }
}

fn clock() -> Clock {
    Arc::new(Moment::now)
}

fn block_on(command: impl Future<Output = Result<ExitCode, Fatal>>) -> Result<ExitCode, Fatal> {
    #[cfg(unix)]
    // A stream takes two descriptors. If the limit cannot be raised, the current one has to do.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Fatal::machine)?;
    let outcome = runtime.block_on(command);
    // DNS lookups that nobody needs any more must not delay the exit.
    runtime.shutdown_background();
    outcome
}
