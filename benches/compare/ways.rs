//! The ways to the same upstream.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::client::{Client, question};
use crate::machine::{self, Cores};
use crate::servers::Server;
use crate::upstream::{Script, Upstream};

/// What a whole run is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) cores: Cores,
    pub(crate) is_quick: bool,
    /// How often each way is measured.
    pub(crate) rounds: usize,
    pub(crate) program: PathBuf,
    /// An older build, to be measured beside the program.
    pub(crate) before: Option<PathBuf>,
    /// Only ways with this in their names, beside the direct one and nginx.
    pub(crate) way: String,
}

impl Setup {
    /// One of two numbers.
    pub(crate) fn pick<T>(&self, quick: T, full: T) -> T {
        if self.is_quick { quick } else { full }
    }
}

/// A kind of way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No server between: the limit.
    Direct,
    Nginx,
    HaProxy,
    /// This program.
    Program(Surface, Over),
    /// The older build of it.
    Before(Surface, Over),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    Chat,
    V1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Groq,
    Cerebras,
    Gemini,
}

/// The name of the way that the others are compared with.
pub(crate) const NGINX: &str = "nginx";
/// The name of the way without a server.
pub(crate) const DIRECT: &str = "directly";

/// Every way.
pub(crate) const ALL: [Kind; 9] = [
    Kind::Direct,
    Kind::Nginx,
    Kind::HaProxy,
    Kind::Program(Surface::Chat, Over::Groq),
    Kind::Program(Surface::V1, Over::Groq),
    Kind::Program(Surface::Chat, Over::Cerebras),
    Kind::Program(Surface::V1, Over::Cerebras),
    Kind::Program(Surface::Chat, Over::Gemini),
    Kind::Program(Surface::V1, Over::Gemini),
];

/// Those of scenarios in which the dialect makes no difference.
pub(crate) const FEW: [Kind; 5] = [ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]];

impl Kind {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Direct => DIRECT.to_owned(),
            Self::Nginx => NGINX.to_owned(),
            Self::HaProxy => "HAProxy".to_owned(),
            Self::Program(surface, over) => format!("{} over {over:?}", surface.path()),
            Self::Before(surface, over) => format!("{} over {over:?}, before", surface.path()),
        }
    }

    /// Those of `kinds` that were asked for, and the older build beside the program if there is one.
    pub(crate) fn chosen(kinds: &[Self], setup: &Setup) -> Vec<Self> {
        let is_chosen = |kind: &&Self| match kind {
            Self::Direct | Self::Nginx => true,
            // There is nothing of ours in it that could break.
            Self::HaProxy if setup.is_quick => false,
            kind => kind.name().contains(setup.way.as_str()),
        };
        let older = |kind: &Self| match kind {
            Self::Program(surface, over) if setup.before.is_some() => Some(Self::Before(*surface, *over)),
            _ => None,
        };
        kinds.iter().filter(is_chosen).flat_map(|kind| [Some(*kind), older(kind)]).flatten().collect()
    }
}

impl Surface {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat",
            Self::V1 => "/v1",
        }
    }

    fn full_path(self) -> &'static str {
        match self {
            Self::Chat => "/chat",
            Self::V1 => "/v1/chat/completions",
        }
    }
}

impl Over {
    /// The settings of a program that has this provider alone, at `address`.
    pub(crate) fn variables(self, address: &str) -> Vec<(&'static str, String)> {
        let (key, url) = match self {
            Self::Groq => ("GROQ_API_KEY", "GROQ_BASE_URL"),
            Self::Cerebras => ("CEREBRAS_API_KEY", "CEREBRAS_BASE_URL"),
            Self::Gemini => ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
        };
        let mut all = vec![(key, "key".to_owned()), (url, format!("http://{address}"))];
        if self == Self::Gemini {
            // Gemini tells no limits, and the guesses would make requests wait.
            all.push(("GEMINI_LIMITS", "rpm=900000000,rpd=900000000,tpm=900000000000".to_owned()));
        }
        all
    }
}

/// A way, with the server that it leads through.
pub(crate) struct Way {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    server: Option<Server>,
    upstream: u32,
}

impl Way {
    pub(crate) fn open(setup: &Setup, upstream: &Upstream, kind: Kind) -> Self {
        let (cores, addresses) = (setup.cores, &upstream.addresses);
        let program = |path: &PathBuf, over: Over| {
            Server::program(cores, path, &over.variables(&addresses[over as usize]))
        };
        let (server, path) = match kind {
            Kind::Direct => (None, "/openai/v1/chat/completions"),
            Kind::Nginx => (Some(Server::nginx(cores, &addresses[..1])), "/openai/v1/chat/completions"),
            Kind::HaProxy => (Some(Server::haproxy(cores, &addresses[0])), "/openai/v1/chat/completions"),
            Kind::Program(surface, over) => (Some(program(&setup.program, over)), surface.full_path()),
            Kind::Before(surface, over) => {
                let path = setup.before.as_ref().expect("an older build");
                (Some(program(path, over)), surface.full_path())
            }
        };
        let direct = addresses[0].parse().expect("an address");
        let address = server.as_ref().map_or(direct, |server| server.address);
        Self { name: kind.name(), address, request: question(path), server, upstream: upstream.child.id() }
    }

    /// Through this server alone.
    pub(crate) fn through(server: Server, name: &str, path: &str) -> Self {
        let (name, address, request) = (name.to_owned(), server.address, question(path));
        Self { name, address, request, server: Some(server), upstream: 0 }
    }

    /// Since the server was started.
    pub(crate) fn age(&self) -> Duration {
        self.server.as_ref().map(Server::age).unwrap_or_default()
    }

    /// CPU time so far of the server; of the upstream if there is none between.
    pub(crate) fn cpu(&self) -> Duration {
        self.server.as_ref().map_or_else(|| machine::cpu(self.upstream), Server::cpu)
    }

    pub(crate) fn memory_kib(&self) -> f64 {
        self.server.as_ref().map_or(0.0, Server::memory_kib)
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await.unwrap_or_else(|error| self.fail(&error.to_string()))
    }

    /// Ends the run: `what` must not happen on this way.
    pub(crate) fn fail(&self, what: &str) -> ! {
        panic!("{}: {what}\nits log: {}", self.name, self.said())
    }

    /// The end of its server's log.
    pub(crate) fn said(&self) -> String {
        self.server.as_ref().map(Server::said).unwrap_or_default()
    }

    /// Asks a few times, so that what comes once is over, and looks at a reply thoroughly.
    pub(crate) async fn warm_up(&self, expected: usize) {
        let mut client = self.connect().await;
        for _ in 0..3 {
            client.ask(&self.request, expected).await.unwrap_or_else(|what| self.fail(&what));
        }
        client.check_thoroughly(expected).unwrap_or_else(|what| self.fail(&what));
    }
}

/// The ways of a scenario, side by side before one upstream.
pub(crate) struct Lineup {
    pub(crate) ways: Vec<Way>,
    /// Behind them, so that it ends last.
    _upstream: Upstream,
}

impl Lineup {
    pub(crate) async fn open(setup: &Setup, script: Script, kinds: &[Kind]) -> Self {
        let upstream = Upstream::start(setup.cores, script);
        let kinds = Kind::chosen(kinds, setup);
        let ways: Vec<Way> = kinds.into_iter().map(|kind| Way::open(setup, &upstream, kind)).collect();
        for way in &ways {
            way.warm_up(script.pieces).await;
        }
        Self { ways, _upstream: upstream }
    }

    /// The ways in the order of a round: another one begins each time.
    pub(crate) fn in_turn(&self, round: usize) -> impl Iterator<Item = &Way> {
        let first = round % self.ways.len();
        self.ways[first..].iter().chain(&self.ways[..first])
    }
}
