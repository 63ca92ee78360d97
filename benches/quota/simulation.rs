//! A day on a virtual clock: clients come, a strategy sends their calls, the true limiters admit or refuse them.

use std::collections::BTreeMap;
use std::time::Duration;

use ai_proxy_free::internals::simulator::{Call, Size, Used, told_limits, told_refusal};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::clients::Client;
use crate::strategy::{Ask, Decision, Sent, Strategy, Usage};
use crate::tally::Tally;
use crate::truth::Truth;

/// What happens at some time.
enum Event {
    /// A client is to be decided about.
    Ask { client: usize, ticket: u64 },
    /// A refusal arrives.
    Refused { sent: Sent, status: u16, headers: HeaderMap, body: Vec<u8> },
    /// The head and the first token of an answer arrive.
    Head { sent: Sent, headers: HeaderMap },
    /// An answer ends.
    End { sent: Sent, call: Call, used: Used },
}

/// One strategy and one set of clients.
struct Day<'d> {
    truth: &'d mut Truth,
    strategy: &'d mut dyn Strategy,
    clients: &'d [Client],
    asks: Vec<Ask>,
    /// By time, and then in the order in which they were planned.
    events: BTreeMap<(Timestamp, u64), Event>,
    planned: u64,
    calls: u64,
    /// The clients who are still to come or wait, with the ticket of the event that asks about each.
    waiting: Vec<Option<u64>>,
    /// Which clients have come back already.
    returned: Vec<bool>,
    warm_from: Timestamp,
    tally: Tally,
}

/// Lets all clients come, and waits until the last has been answered or refused. Calls for clients who come before
/// `warm_from` are counted separately.
pub(crate) fn run(
    truth: &mut Truth,
    strategy: &mut dyn Strategy,
    clients: &[Client],
    warm_from: Timestamp,
) -> Tally {
    let asks = clients.iter().enumerate().map(|(client, it)| Ask {
        client,
        arrived: it.arrives,
        prompt: it.prompt,
        estimate: it.estimate,
        max_tokens: it.max_tokens,
        refused_by: Vec::new(),
    });
    let mut day = Day {
        truth,
        strategy,
        clients,
        asks: asks.collect(),
        events: BTreeMap::new(),
        planned: 0,
        calls: 0,
        waiting: vec![None; clients.len()],
        returned: vec![false; clients.len()],
        warm_from,
        tally: Tally::default(),
    };
    for (client, it) in clients.iter().enumerate() {
        day.plan_ask(client, it.arrives);
    }
    while let Some(((now, _), event)) = day.events.pop_first() {
        day.happen(event, now);
        day.wake(now);
    }
    day.tally
}

impl Day<'_> {
    fn plan(&mut self, at: Timestamp, event: Event) {
        self.planned += 1;
        self.events.insert((at, self.planned), event);
    }

    fn plan_ask(&mut self, client: usize, at: Timestamp) {
        let ticket = self.planned + 1;
        self.waiting[client] = Some(ticket);
        self.plan(at, Event::Ask { client, ticket });
    }

    /// Asks about those for whom the strategy has news.
    fn wake(&mut self, now: Timestamp) {
        loop {
            let mut woken = self.strategy.woken();
            // Who is answered or refused by now has nothing to wait for, and who is still to come is not here yet.
            woken.retain(|&client| self.waiting[client].is_some() && self.asks[client].arrived <= now);
            if woken.is_empty() {
                break;
            }
            // Asking about one may make room for another.
            woken.into_iter().for_each(|client| self.ask(client, now));
        }
    }

    fn happen(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Ask { client, ticket } if self.waiting[client] == Some(ticket) => self.ask(client, now),
            // It was woken before.
            Event::Ask { .. } => {}
            Event::Refused { sent, status, headers, body } => {
                self.strategy.on_refused(&sent, status, &headers, &body, now);
                self.asks[sent.client].refused_by.push(sent.place);
                self.ask(sent.client, now);
            }
            Event::Head { sent, headers } => self.strategy.on_head(&sent, &headers, now),
            Event::End { sent, call, used } => {
                self.truth.settle(sent.place, call, used, now);
                let usage = Usage { prompt: used.prompt, answer: used.answer };
                self.strategy.on_settled(&sent, usage, now);
            }
        }
    }

    fn ask(&mut self, client: usize, now: Timestamp) {
        self.waiting[client] = None;
        match self.strategy.decide(&self.asks[client], self.truth, now) {
            Decision::Send { place, max_tokens } => {
                self.calls += 1;
                let number = self.calls;
                let sent = Sent { number, client, place, max_tokens };
                self.strategy.on_sent(&sent);
                self.send(sent, now);
            }
            Decision::Wait(until) => {
                // A strategy that waits for the past would stop the clock.
                let until = until.max(now + Duration::from_micros(1));
                assert!(until < self.asks[client].arrived + Duration::from_secs(120), "it waits for ever");
                self.plan_ask(client, until);
            }
            Decision::Refuse(retry_after) => self.refuse(client, retry_after, now),
        }
    }

    fn send(&mut self, sent: Sent, now: Timestamp) {
        let client = &self.clients[sent.client];
        let size = Size { prompt: client.prompt, longest_answer: sent.max_tokens };
        let admitted = self.truth.admit(sent.place, size, now);
        if client.counts {
            self.tally.call(admitted.as_ref().err(), client.arrives < self.warm_from);
        }
        match admitted {
            Ok(admitted) => {
                let used = Used { prompt: client.prompt, answer: client.answer.min(sent.max_tokens) };
                if client.counts {
                    let is_cut = used.answer < client.answer.min(client.max_tokens);
                    let wait = now.duration_since(self.asks[sent.client].arrived);
                    let has_returned = self.returned[sent.client];
                    let wait = Duration::try_from(wait).unwrap_or_default();
                    self.tally.answer(used.prompt + used.answer, is_cut, wait, has_returned);
                }
                let first = now + client.first_token;
                let end = first + Duration::from_secs_f64(used.answer as f64 / client.speed);
                let headers = header_map(told_limits(sent.place.provider, &admitted.left));
                self.plan(first, Event::Head { sent, headers });
                self.plan(end, Event::End { sent, call: admitted.call, used });
            }
            Err(refusal) => {
                let told = told_refusal(sent.place.provider, sent.place.model, &refusal);
                let (status, headers, body) = told;
                let headers = header_map(headers);
                let at = now + refusal_time(sent.number);
                self.plan(at, Event::Refused { sent, status, headers, body });
            }
        }
    }

    fn refuse(&mut self, client: usize, retry_after: Duration, now: Timestamp) {
        let it = &self.clients[client];
        let comes_back = it.returns && !self.returned[client];
        if it.counts {
            let has_room = self.truth.has_room(it.size(), now);
            self.tally.refusal(has_room, self.returned[client]);
        }
        if comes_back {
            self.returned[client] = true;
            let at = now + retry_after.max(Duration::from_micros(1));
            let ask = &mut self.asks[client];
            (ask.arrived, ask.refused_by) = (at, Vec::new());
            self.plan_ask(client, at);
        }
    }
}

/// A refusal takes a round trip: 80 to 200 ms.
fn refusal_time(number: u64) -> Duration {
    Duration::from_millis(fastrand::Rng::with_seed(number).u64(80..200))
}

fn header_map(headers: Vec<(String, String)>) -> HeaderMap {
    let parsed = headers.into_iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::try_from(value).expect("a value"))
    });
    parsed.collect()
}
