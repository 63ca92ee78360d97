//! What a failing provider costs: the time until the next one is asked, and the calls that are wasted while all fail.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use ai_proxy_free::internals::config::MAX_ATTEMPTS;
use ai_proxy_free::internals::providers::{Directory, Provider};
use ai_proxy_free::internals::simulator::{
    After, Behaviour, Fault, Outcome, ReceivedRequest, Reply, SimulatedProvider, Simulator, Trouble,
};
use tokio::task::JoinSet;

use crate::client::{Client, HEALTH, question};
use crate::support::Process;
use crate::{Figure, Size, leading_to, ms, percentile, proxy_over, simulator};

const BOUND: Duration = Duration::from_millis(5);

/// From the moment in which a provider begins to send the last of its failure to the arrival of the request at the
/// next one. Each time in a new process, which has called every provider once: a failing provider is in cooldown.
pub(crate) async fn time_to_substitute(size: Size) -> Vec<Figure> {
    let answer = || Behaviour::answer(["word number 1", "word number 2"]);
    let failures = [
        ("429", Behaviour::trouble(Trouble::RateLimited(30.0))),
        ("400", Behaviour::trouble(Trouble::BadRequest)),
        ("500", Behaviour::trouble(Trouble::ServerError)),
        ("web page", Behaviour::new(Reply::Html(200))),
        ("reset before the head", answer().with(Fault::Reset(After::Nothing))),
        ("closed before the head", answer().with(Fault::Cut(After::Nothing))),
        ("cut before the text", answer().with(Fault::Cut(After::Head))),
        ("error event", answer().with(Fault::ErrorEvent(After::Head, Trouble::Overloaded))),
        ("no text", Behaviour::answer::<&str>([])),
        ("silence until the clock", answer().with(Fault::Stall(After::Nothing))),
    ];
    let times = size.pick(4, 40);
    let mut figures = Vec::new();
    let mut all = Vec::new();
    let mut machine = Vec::new();
    for (failure, behaviour) in failures {
        let mut taken = Vec::new();
        for _ in 0..times {
            taken.push(substitute_after(&behaviour, &mut machine).await);
        }
        figures.push(one_kind(failure, &mut taken));
        all.append(&mut taken);
    }
    let mut taken = Vec::new();
    for _ in 0..times {
        taken.push(substitute_after_refusal(&mut machine).await);
    }
    figures.push(one_kind("refused, from the client's request on", &mut taken));
    all.append(&mut taken);
    figures.push(all_kinds(size, &mut all, &mut machine));
    figures
}

/// Too few for more than a median.
fn one_kind(failure: &str, times: &mut [Duration]) -> Figure {
    let median = percentile(times, 0.5);
    Figure {
        name: format!("failure → next provider asked: {failure}, {} times", times.len()),
        bound: format!("p50 < {}", ms(BOUND)),
        measured: format!("p50 {}, at most {}", ms(median), ms(percentile(times, 1.0))),
        is_ok: median < BOUND,
    }
}

/// `machine` are round trips for nothing, made beside the others: they wake as many processes.
fn all_kinds(size: Size, times: &mut [Duration], machine: &mut [Duration]) -> Figure {
    let (median, most) = (percentile(times, 0.5), percentile(times, 0.99));
    let noise = percentile(machine, 0.99);
    Figure {
        name: format!("failure → next provider asked: all of these, {} times", times.len()),
        bound: format!("p99 < {}, or thrice the machine's own", ms(BOUND)),
        measured: format!("p50 {}, p99 {}; the machine's own {}", ms(median), ms(most), ms(noise)),
        is_ok: most < size.allowed(BOUND.max(noise * 3)),
    }
}

async fn substitute_after(failure: &Behaviour, machine: &mut Vec<Duration>) -> Duration {
    let simulator = simulator(8).await;
    let proxy = proxy_over(simulator.providers(), &[("FIRST_TOKEN_TIMEOUT_MS", "300")]);
    for _ in Directory::core() {
        assert_eq!(ask(&proxy).await, 200);
    }
    let [first, second] = [Provider::GROQ, Provider::CEREBRAS].map(|provider| simulator.provider(provider));
    machine.push(round_trip(&proxy).await);
    first.then(failure.clone());
    assert_eq!(ask(&proxy).await, 200, "{failure:?}");
    // The caller may be seen to leave only after the next one has been asked.
    first.until(|it| last(it).outcome != Outcome::Open).await;
    let failed = match last(first).outcome {
        Outcome::Answered(at) | Outcome::Abandoned(at) => at,
        Outcome::Open => unreachable!("it has just been looked at"),
    };
    last(second).received.duration_since(failed)
}

async fn substitute_after_refusal(machine: &mut Vec<Duration>) -> Duration {
    let simulator = simulator(8).await;
    // Nobody listens where somebody has just listened.
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let nowhere = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let variables = leading_to(simulator.providers(), "key").into_iter();
    let proxy = Process::proxy(variables.chain([("GROQ_BASE_URL", nowhere)]), |_| {});
    machine.push(round_trip(&proxy).await);
    let mut client = Client::connect(&proxy).await;
    let asked = Instant::now();
    client.send(&question("/chat")).await.expect("a connection");
    assert_eq!(client.reply().await.expect("an answer").status, 200);
    last(simulator.provider(Provider::CEREBRAS)).received.into_std().duration_since(asked)
}

/// On a connection that is open.
async fn round_trip(proxy: &Process) -> Duration {
    let mut client = Client::connect(proxy).await;
    let mut begun = Instant::now();
    for _ in 0..2 {
        begun = Instant::now();
        client.send(HEALTH).await.expect("a connection");
        client.reply().await.expect("an answer");
    }
    begun.elapsed()
}

fn last(provider: &SimulatedProvider) -> ReceivedRequest {
    provider.chats().pop().expect("a request")
}

async fn ask(proxy: &Process) -> u16 {
    let mut client = Client::connect(proxy).await;
    client.send(&question("/chat")).await.expect("a connection");
    client.reply().await.expect("an answer").status
}

/// Requests without end while every provider fails, over the time in which cooldowns end and are renewed.
pub(crate) async fn calls_while_all_fail(size: Size) -> Vec<Figure> {
    let all = MAX_ATTEMPTS.default as f64;
    let cases = [
        // What happens is tried again with every request, what is announced is not, unless a request waits for it.
        ("500", Behaviour::trouble(Trouble::ServerError), "0", all),
        ("429", Behaviour::trouble(Trouble::RateLimited(1.0)), "0", 1.2),
        ("429, and they wait", Behaviour::trouble(Trouble::RateLimited(1.0)), "10000", all),
        ("no answer", Behaviour::echo().with(Fault::Reset(After::Nothing)), "0", all),
        ("broken streams", Behaviour::echo().with(Fault::Cut(After::Text(1))), "0", 1.0),
    ];
    let mut figures = Vec::new();
    for (case, behaviour, max_wait_ms, most) in cases {
        let simulator = simulator(0).await;
        simulator.providers().for_each(|provider| provider.always(behaviour.clone()));
        let proxy = proxy_over(simulator.providers(), &[("MAX_WAIT_MS", max_wait_ms)]);
        let crowd = 50;
        crowd_asks(&proxy, crowd, 1, Duration::ZERO).await;
        let first_round = calls(&simulator);
        let (times, pause) = size.pick((20, 300), (40, 400));
        crowd_asks(&proxy, crowd, times, Duration::from_millis(pause)).await;
        let requests = crowd * times;
        let calls = calls(&simulator) - first_round;
        let ratio = calls as f64 / requests as f64;
        figures.push(Figure {
            name: format!("calls ÷ requests while all fail: {case}, {requests} requests"),
            bound: format!("≤ {most} after the first round"),
            measured: format!("{ratio:.3} ({first_round} for the first {crowd})"),
            is_ok: ratio <= most,
        });
    }
    figures
}

fn calls(simulator: &Simulator) -> u64 {
    simulator.providers().map(SimulatedProvider::chat_count).sum()
}

/// `crowd` clients at once ask `times` each, with a `pause` after each.
async fn crowd_asks(proxy: &Process, crowd: usize, times: usize, pause: Duration) {
    let mut clients = JoinSet::new();
    for _ in 0..crowd {
        let mut client = Client::connect(proxy).await;
        let address = proxy.address.clone();
        clients.spawn(async move {
            for _ in 0..times {
                client.send(&question("/chat")).await.expect("a connection");
                let reply = client.reply().await.expect("an answer");
                if reply.status == 200 {
                    // An answer that breaks off ends its connection.
                    let stream = tokio::net::TcpStream::connect(&address).await.expect("a connection");
                    client = Client { stream, received: Vec::new() };
                }
                tokio::time::sleep(pause).await;
            }
        });
    }
    clients.join_all().await;
}
