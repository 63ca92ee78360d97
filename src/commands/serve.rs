//! `ai-proxy-free` and `ai-proxy-free serve`: from the settings to a running server, and its end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::check;
use super::fatal::Fatal;
use crate::config::{
    self, Config, CorsOrigins, ENV_KEYLESS_PROVIDERS, ProviderConfig, ServerConfig, StateUrl,
};
use crate::http::{self, AppState};
use crate::observe::log;
use crate::providers::Directory;
use crate::share::{Remembering, Sharing, SharingStatus};
use crate::time::{Clock, Shutdown};

/// What a command says once its address is known and whether clients need a key.
pub(super) type Invitation = fn(SocketAddr, bool) -> String;

/// Serves until a signal ends it, and logs `invitation` at the start.
///
/// # Errors
/// This machine cannot provide what the settings ask for, or a key cannot be sent; no client was let in.
pub(super) async fn run(
    config: &Config,
    clock: Clock,
    invitation: Option<Invitation>,
) -> Result<ExitCode, Fatal> {
    // Everything that can fail comes first, so that a failed start logs nothing.
    let signals = Signals::new().map_err(Fatal::machine)?;
    let (listener, address) = listen(&config.server).await?;
    let shutdown = Shutdown::default();
    let state = AppState::new(config, clock.clone(), fastrand::Rng::new(), shutdown.clone());
    let state = state.map_err(Fatal::settings)?;

    let shared = match config.state_url.as_ref().zip(state.sharing.clone()) {
        Some((url, status)) => Some(shared(config, &state, url, status).await?),
        None => None,
    };

    let _log_guard = log::start(&config.log, clock).map_err(Fatal::machine)?;
    report(config);
    if let Some(path) = &config.state_file {
        state.dispatcher.keep_state(&config.providers, path, salt());
    }
    info!(target: log::STARTUP, "ai-proxy-free {} listening on http://{address}", env!("CARGO_PKG_VERSION"));
    if let Some(invitation) = invitation {
        info!(target: log::STARTUP, "{}", invitation(address, !config.server.client_keys.is_empty()));
    }
    Ok(until_signalled(serve(listener, state, shared, shutdown.clone()), signals, &shutdown).await)
}

/// What exchanges with other instances.
struct Shared {
    sharing: Sharing,
    remembering: Option<Remembering>,
}

/// Prepares to share through the server at `url`, which must let this instance in.
async fn shared(
    config: &Config,
    state: &AppState,
    url: &StateUrl,
    status: Arc<SharingStatus>,
) -> Result<Shared, Fatal> {
    let sharing = state.dispatcher.share(&config.providers, url, status, fastrand::Rng::new());
    let sharing = sharing.map_err(Fatal::machine)?;
    let remembering = state.remembering(url, fastrand::Rng::new()).map_err(Fatal::machine)?;
    sharing.check().await.map_err(Fatal::settings)?;
    Ok(Shared { sharing, remembering })
}

/// For the hashes in a new state file. If the machine has no randomness to give, hashes of real keys are still hard to
/// guess.
fn salt() -> [u8; 32] {
    let mut salt = [0; 32];
    let _ = SystemRandom::new().fill(&mut salt);
    salt
}

async fn listen(server: &ServerConfig) -> Result<(TcpListener, SocketAddr), Fatal> {
    let (host, port) = (server.host.as_str(), server.port);
    let cannot_listen =
        |error| Fatal::machine(format!("cannot listen on {}:{port}: {error}", config::shown(host)));
    let listener = TcpListener::bind((host, port)).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    Ok((listener, address))
}

/// Serves clients, and meanwhile keeps the lists of models current (a start without a network serves at once) and
/// closes unused connections to providers. At the end, other instances are told what is news.
async fn serve(listener: TcpListener, state: AppState, shared: Option<Shared>, shutdown: Shutdown) {
    let limits = state.connection_limits();
    let (mut sharing, remembering) = shared.map_or((None, None), |it| (Some(it.sharing), it.remembering));
    let served = async {
        http::serve(listener, state.clone(), limits, shutdown).await;
        state.until_told().await;
    };
    tokio::select! {
        () = served => {}
        never = state.dispatcher.keep_models_current(fastrand::Rng::new()) => match never {},
        never = keep_shared(sharing.as_mut()) => match never {},
        never = state.keep_remembering(remembering) => match never {},
        never = state.dispatcher.close_unused_connections() => match never {},
    }
    if let Some(sharing) = sharing {
        sharing.leave().await;
    }
}

/// Exchanges with other instances, if there are to be any.
async fn keep_shared(sharing: Option<&mut Sharing>) -> Infallible {
    match sharing {
        Some(sharing) => sharing.keep_shared().await,
        None => std::future::pending().await,
    }
}

/// Runs `serving` to its end, which the first signal begins; the second signal does not wait for it.
async fn until_signalled(
    serving: impl Future<Output = ()>,
    mut signals: Signals,
    shutdown: &Shutdown,
) -> ExitCode {
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => return ExitCode::SUCCESS,
        _ = signals.next() => shutdown.begin(),
    }
    tokio::select! {
        () = serving => ExitCode::SUCCESS,
        signal = signals.next() => ExitCode::from(128 + signal),
    }
}

/// Logs what the settings amount to.
fn report(config: &Config) {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    if config.server.cors_origins == CorsOrigins::Any {
        match config.server.client_keys.len() {
            0 => info!(
                "CORS_ORIGINS is *: any web page that is open in a browser here may call and read the answers"
            ),
            _ => info!("CORS_ORIGINS is *: any web page that has a client key may call and read the answers"),
        }
    }
    for ProviderConfig { provider, accounts, models, .. } in &config.providers {
        let name = provider.name();
        match accounts.len() {
            0 => warn!("{name} is off: {}", check::missing_key(*provider)),
            keys => info!(keys, models = models.join(","), "{name} is ready"),
        }
        if !accounts.is_empty() && provider.profile().may_log_prompts {
            warn!("{name}: whoever runs its hosts may log prompts");
        }
    }
    if !config.providers.iter().any(ProviderConfig::is_configured) {
        let keyless = Directory::built_in().keyless_names().join(",");
        warn!(
            "No provider has a key: every /chat will be answered with 503. Without any key, \
             {ENV_KEYLESS_PROVIDERS}={keyless} asks some whose hosts may log prompts, and OLLAMA_BASE_URL, \
             LMSTUDIO_BASE_URL, LLAMACPP_BASE_URL or VLLM_BASE_URL a server of your own"
        );
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
        // Without a handler there is nothing to wait for, and only the system can end the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        2
    }
}
