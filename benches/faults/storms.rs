//! How providers fail while very many requests are made.
//!
//! A failing provider is in cooldown for seconds, so most of the ways to fail come in storms: for a moment all new calls to one
//! provider go wrong, and the others take over. Limits and refusals, which put less into cooldown, are sprinkled over the
//! whole time.

use std::time::Duration;

use ai_proxy_free::internals::providers::Directory;
use ai_proxy_free::internals::simulator::{After, Behaviour, Fault, Reply, Simulator, Trouble};

/// How long a storm lasts, and how long it takes from one to the next: about as long as the cooldown of a failing provider.
const STORM: Duration = Duration::from_millis(300);
const CALM: Duration = Duration::from_millis(4_700);

/// In percent of the requests; the storms come on top.
const SPRINKLED_FAULTS: u32 = 5;

/// An answer of eight words, which takes some 10 ms.
pub(crate) fn answer() -> Behaviour {
    let words = (0..8).map(|number| format!("word number {number} "));
    let answer = Behaviour::answer(words).thinking(["hm, ", "well"]);
    answer.paced(Duration::from_millis(1)).thinking_for(Duration::from_millis(2))
}

/// One provider after the other fails for a moment, each time in another way.
pub(crate) async fn storms(simulator: &Simulator) {
    let providers = Directory::core().into_iter().cycle();
    for (provider, fault) in providers.zip(failures().into_iter().cycle()) {
        tokio::time::sleep(CALM).await;
        let provider = simulator.provider(provider);
        provider.always(fault);
        tokio::time::sleep(STORM).await;
        provider.always(answer());
    }
}

/// Everything that puts a provider into cooldown. Late, so that many calls fail at once.
fn failures() -> Vec<Behaviour> {
    let faults = [
        Fault::Cut(After::Text(1)),
        Fault::Stall(After::Nothing),
        Fault::Reset(After::Text(3)),
        Fault::ErrorEvent(After::Head, Trouble::Overloaded),
        Fault::EndEarly(After::Text(2)),
        Fault::Stall(After::Text(1)),
        Fault::ErrorEvent(After::Text(2), Trouble::Overloaded),
        Fault::BareError(After::Text(2), Trouble::ServerError),
        Fault::Reset(After::Nothing),
        Fault::NeverEnds,
        Fault::Cut(After::Head),
        Fault::Inject(After::Text(1), b"data: {\"oops\n\n".to_vec()),
    ];
    let replies = [
        Behaviour::trouble(Trouble::ServerError),
        Behaviour::new(Reply::Html(200)),
        Behaviour::trouble(Trouble::Overloaded),
        Behaviour::answer::<&str>([]),
    ];
    let faulty = faults.into_iter().map(|fault| answer().with(fault));
    faulty.chain(replies).map(|behaviour| behaviour.thinking_for(Duration::from_millis(150))).collect()
}

/// Lets the next call to one of the providers fail in a way that lets the provider itself go on, now and then.
pub(crate) fn sprinkle(simulator: &Simulator) {
    if fastrand::u32(0..100) >= SPRINKLED_FAULTS {
        return;
    }
    let fault = match fastrand::u32(0..4) {
        // Says when it is over. In a stream it would not, and a key would be in cooldown for a minute.
        0 => Behaviour::trouble(Trouble::RateLimited(1.0)),
        1 => Behaviour::trouble(Trouble::BadRequest),
        2 => answer().with(Fault::ErrorEvent(After::Head, Trouble::BadRequest)),
        _ => answer().with(Fault::ErrorEvent(After::Text(2), Trouble::BadRequest)),
    };
    simulator.provider(fastrand::choice(Directory::core()).expect("there are some")).then(fault);
}
