//! The first of two providers fails each time: what the second call adds, on one connection.

use std::path::Path;
use std::time::Duration;

use crate::machine;
use crate::servers::Server;
use crate::short::{PIECES, load};
use crate::table::{Table, percentile};
use crate::upstream::{Failure, Script, Upstream};
use crate::ways::{NGINX, Over, Setup, Way};

pub(crate) const NAME: &str = "The first provider fails each time";
pub(crate) const ADDED: &str = "added by the failure p50, µs";
pub(crate) const CHAT: &str = "/chat";
pub(crate) const BEFORE: &str = "/chat, before";

/// Of a failing upstream for each request that it gets: less means that it was not asked.
const LEAST_COST: Duration = Duration::from_micros(2);

/// A server whose provider answers, and the same kind of server before a provider that fails and one that answers.
struct Pair {
    name: &'static str,
    healthy: Way,
    failing: Way,
    failed: u32,
}

pub(crate) async fn measure(setup: &Setup) -> Table {
    let cores = setup.cores;
    let script = Script::at_once(PIECES);
    let healthy = Upstream::start(cores, script);
    let overloaded = Upstream::start(cores, Script { failure: Failure::Overloaded, ..script });
    let refusing = Upstream::start(cores, Script { failure: Failure::BadRequest, ..script });
    let program = |name, path| program(setup, name, path, &refusing, &healthy);
    let mut pairs = vec![nginx(setup, &overloaded, &healthy), program(CHAT, &setup.program)];
    pairs.extend(setup.before.as_ref().map(|before| program(BEFORE, before)));
    let mut table = Table::new(NAME);
    for round in 0..setup.rounds {
        for turn in 0..pairs.len() {
            one(&mut table, &pairs[(round + turn) % pairs.len()], setup.pick(300, 1_500)).await;
        }
    }
    table
}

/// One pair in one round: small shares of either in turn, because the difference is small beside the times.
async fn one(table: &mut Table, pair: &Pair, requests: usize) {
    let (mut healthy, mut failing) = (Vec::new(), Vec::new());
    let shares = 10;
    let spent = machine::cpu(pair.failed);
    for _ in 0..shares {
        for (times, way) in [(&mut healthy, &pair.healthy), (&mut failing, &pair.failing)] {
            load(way, 1, 10).await;
            times.extend(load(way, 1, requests / shares).await);
        }
    }
    let spent = machine::cpu(pair.failed) - spent;
    if spent < LEAST_COST * u32::try_from(requests).unwrap_or(u32::MAX) {
        pair.failing.fail("the failing provider was not asked each time");
    }
    let healthy = percentile(&mut healthy, 0.5);
    table.add(pair.name, "healthy p50, µs", healthy);
    table.add(pair.name, ADDED, percentile(&mut failing, 0.5) - healthy);
}

/// It asks its backup after a 503, and the first one again with the next request.
fn nginx(setup: &Setup, failing: &Upstream, healthy: &Upstream) -> Pair {
    let (first, second) = (&failing.addresses[0], &healthy.addresses[0]);
    let servers = [format!("{first} max_fails=0"), format!("{second} backup")];
    let path = "/openai/v1/chat/completions";
    Pair {
        failed: failing.child.id(),
        name: NGINX,
        healthy: Way::through(Server::nginx(setup.cores, &healthy.addresses[..1]), NGINX, path),
        failing: Way::through(Server::nginx(setup.cores, &servers), NGINX, path),
    }
}

/// After a 400 it asks Cerebras, and Groq first again with the next request, whose turn it is: after other failures Groq
/// would be asked last for a while.
fn program(setup: &Setup, name: &'static str, path: &Path, failing: &Upstream, healthy: &Upstream) -> Pair {
    let groq = Over::Groq.variables(&failing.addresses[0]);
    let cerebras = Over::Cerebras.variables(&healthy.addresses[1]);
    let over = |variables: &[_]| Way::through(Server::program(setup.cores, path, variables), name, "/chat");
    let (healthy, failing_first) = (over(&cerebras), over(&[groq, cerebras].concat()));
    Pair { name, healthy, failing: failing_first, failed: failing.child.id() }
}
