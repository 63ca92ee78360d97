//! The first of two providers fails each time: what the second call adds, on one connection.

use std::path::Path;

use crate::servers::Server;
use crate::short::{PIECES, load};
use crate::table::{Table, percentile};
use crate::upstream::{Failure, Script, Upstream};
use crate::ways::{NGINX, Over, Setup, Way};

pub(crate) const NAME: &str = "The first provider fails each time";
pub(crate) const ADDED: &str = "added by the failure p50, µs";
pub(crate) const CHAT: &str = "/chat";
pub(crate) const BEFORE: &str = "/chat, before";

/// A server that gets its answer at once, and the same kind of server whose first provider fails.
struct Pair {
    name: &'static str,
    healthy: Way,
    failing: Way,
}

pub(crate) async fn measure(setup: &Setup) -> Table {
    let cores = setup.cores;
    let script = Script::at_once(PIECES);
    let healthy = Upstream::start(cores, script);
    let overloaded = Upstream::start(cores, Script { failure: Failure::Overloaded, ..script });
    let refusing = Upstream::start(cores, Script { failure: Failure::BadRequest, ..script });
    let mut pairs =
        vec![nginx(setup, &overloaded, &healthy), program(setup, CHAT, &setup.program, &refusing, &healthy)];
    if let Some(before) = &setup.before {
        pairs.push(program(setup, BEFORE, before, &refusing, &healthy));
    }
    let requests = setup.pick(300, 1_500);
    let mut table = Table::new(NAME);
    for round in 0..setup.rounds {
        for turn in 0..pairs.len() {
            let pair = &pairs[(round + turn) % pairs.len()];
            let mut medians = [0.0; 2];
            for (median, way) in medians.iter_mut().zip([&pair.healthy, &pair.failing]) {
                load(way, 1, 20).await;
                *median = percentile(&mut load(way, 1, requests).await, 0.5);
            }
            table.add(pair.name, "healthy p50, µs", medians[0]);
            table.add(pair.name, ADDED, medians[1] - medians[0]);
        }
    }
    table
}

/// It asks its backup after a 503, and the first one again with the next request.
fn nginx(setup: &Setup, failing: &Upstream, healthy: &Upstream) -> Pair {
    let (first, second) = (&failing.addresses[0], &healthy.addresses[0]);
    let servers = [format!("{first} max_fails=0"), format!("{second} backup")];
    let path = "/openai/v1/chat/completions";
    Pair {
        name: NGINX,
        healthy: Way::through(Server::nginx(setup.cores, &healthy.addresses[..1]), NGINX, path),
        failing: Way::through(Server::nginx(setup.cores, &servers), NGINX, path),
    }
}

/// After a 400 it asks Cerebras, and Groq first again with the next request, whose turn it is: after other failures Groq
/// would be asked last for a while.
fn program(setup: &Setup, name: &'static str, path: &Path, failing: &Upstream, healthy: &Upstream) -> Pair {
    let over = |groq: &Upstream| {
        let variables =
            [Over::Groq.variables(&groq.addresses[0]), Over::Cerebras.variables(&healthy.addresses[1])];
        Way::through(Server::program(setup.cores, path, &variables.concat()), name, "/chat")
    };
    Pair { name, healthy: over(healthy), failing: over(failing) }
}
