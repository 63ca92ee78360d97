//! The engine without a network, on a clock that is set: for the bench that compares it with an oracle. It does with each
//! call what the dispatcher does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::Notify;

use super::demand::Demand;
use super::engine::{Quota, Reservation, TIMER_SLACK};
use super::line::Turn;
use super::provider_state::Offer;
use super::target::{Target, Wanted, Wish};
use crate::middle::{Failure, Needs, Redactor, Usage};
use crate::providers::{Model, Profile, Provider};
use crate::time::Moment;

/// The engine over providers with their default models.
#[derive(Debug)]
pub struct Trial {
    quota: Arc<Quota>,
    now: Arc<Mutex<Moment>>,
    providers: Vec<Provider>,
    redactor: Redactor,
    /// The clients who wait, with their tickets.
    waiting: HashMap<usize, (u64, Arc<Wish>)>,
    calls: HashMap<u64, Reservation>,
    last_call: u64,
}

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialTurn {
    /// It is sent: the number of the call, where, and the longest answer that is asked for.
    Sent {
        /// The number by which the call is referred to.
        call: u64,
        /// The provider.
        provider: Provider,
        /// The number of the account.
        account: usize,
        /// The number of the model among the provider's default ones.
        model: usize,
        /// The longest answer; `None` if the provider may decide.
        max_tokens: Option<u32>,
    },
    /// It waits, and is asked about again after this time at the latest.
    Waits(Duration),
    /// It is refused, and told to come back after so many seconds, if that is known.
    Refused(Option<u64>),
}

impl Trial {
    /// Made-up providers with so many models each, which speak, charge and limit as Groq does. They stay in memory for
    /// ever, as rows do.
    pub fn many_providers(providers: usize, models: usize) -> Vec<Provider> {
        let like = Provider::GROQ.profile();
        let model = |number: usize| {
            let like = like.models.first()?;
            let id = Box::leak(format!("model-{number}").into_boxed_str());
            Some(Model { id, can: like.can.clone(), free_plan: like.free_plan, work: like.work })
        };
        let row = |number: usize| {
            let name = Box::leak(format!("Provider {number}").into_boxed_str());
            let models = Box::leak((0..models).filter_map(model).collect::<Box<[Model]>>());
            Provider::of(Box::leak(Box::new(Profile { name, models, ..*like })))
        };
        (0..providers).map(row).collect()
    }

    /// Providers with so many accounts each.
    pub fn new(providers: &[Provider], accounts: usize, now: Moment) -> Self {
        let offers = providers.iter().map(|&provider| Offer {
            provider,
            is_second_tier: false,
            accounts,
            models: provider.default_models().map(str::to_owned).collect(),
            limits: Vec::new(),
        });
        let now = Arc::new(Mutex::new(now));
        let reading = now.clone();
        let clock = Arc::new(move || *reading.lock().unwrap_or_else(PoisonError::into_inner));
        Self {
            quota: Arc::new(Quota::new(offers.collect(), clock, fastrand::Rng::with_seed(7))),
            now,
            providers: providers.to_vec(),
            redactor: Redactor::new([]),
            waiting: HashMap::new(),
            calls: HashMap::new(),
            last_call: 0,
        }
    }

    /// What becomes of a client that has come, waits, or was refused by a provider. It can wait for `patience`, counted
    /// from now.
    pub fn ask(
        &mut self,
        client: usize,
        prompt: u64,
        max_tokens: u32,
        patience: Duration,
        now: Moment,
    ) -> TrialTurn {
        self.set(now);
        if let Some((ticket, wish)) = self.waiting.get(&client).cloned() {
            return self.wait_on(client, ticket, &wish, patience, now);
        }
        let wanted = (0..self.providers.len()).map(|provider| Wanted { provider, model: None });
        let wish = Wish {
            target: Target::new(wanted.collect(), false),
            needs: Needs::default(),
            ruled_out: Vec::new(),
            demand: Demand { prompt, answer: Some(max_tokens) },
        };
        let pick = self.quota.pick(&wish.criteria(!patience.is_zero()));
        if let Some(reservation) = pick.reservation {
            return self.sent(reservation);
        }
        if pick.soonest.is_none_or(|soonest| !soonest.is_worth(patience)) {
            return TrialTurn::Refused(self.quota.promise(&wish.criteria(false)));
        }
        let wish = Arc::new(wish);
        let ticket = self.quota.lock().join_line(wish.clone(), Arc::new(Notify::new()), now);
        self.waiting.insert(client, (ticket, wish.clone()));
        self.wait_on(client, ticket, &wish, patience, now)
    }

    /// The waiting clients who can be sent now.
    pub fn called(&self) -> Vec<usize> {
        let called = self.quota.lock().line.called();
        let mut clients: Vec<(u64, usize)> =
            self.waiting.iter().map(|(client, (ticket, _))| (*ticket, *client)).collect();
        clients.retain(|(ticket, _)| called.contains(ticket));
        clients.sort_unstable();
        clients.into_iter().map(|(_, client)| client).collect()
    }

    /// The head of a good answer has come, with the first token.
    pub fn head(&mut self, call: u64, headers: &HeaderMap, now: Moment) {
        self.set(now);
        if let Some(reservation) = self.calls.get_mut(&call) {
            let head = self.providers.get(reservation.candidate().provider).map(|it| it.read_head(headers));
            reservation.accepted(&head.unwrap_or_default());
            reservation.has_begun(None);
        }
    }

    /// A good answer is complete.
    pub fn settled(&mut self, call: u64, usage: Usage, now: Moment) {
        self.set(now);
        if let Some(reservation) = self.calls.remove(&call) {
            reservation.complete(Some(usage));
        }
    }

    /// The call was refused.
    pub fn refused(&mut self, call: u64, status: u16, headers: &HeaderMap, body: &[u8], now: Moment) {
        self.set(now);
        let Some(mut reservation) = self.calls.remove(&call) else { return };
        let Some(provider) = self.providers.get(reservation.candidate().provider) else { return };
        let head = provider.read_head(headers);
        let error = provider.read_error(status, &head, body);
        reservation.overwrite(&head.limits);
        reservation.overwrite(&error.limits);
        let failure: Failure = error.diagnosis.into_failure(status, &self.redactor);
        reservation.failed(&failure);
    }

    fn wait_on(
        &mut self,
        client: usize,
        ticket: u64,
        wish: &Wish,
        patience: Duration,
        now: Moment,
    ) -> TrialTurn {
        let turn = self.quota.lock().turn(ticket, now);
        match turn {
            Turn::Picked(booking, _) => {
                self.waiting.remove(&client);
                let reservation = self.quota.reserve(&mut self.quota.lock(), booking, wish.demand);
                reservation.map_or(TrialTurn::Refused(None), |it| self.sent(it))
            }
            Turn::Waiting { left, is_unsure }
                if patience.is_zero() || (!is_unsure && left.is_some_and(|left| left > patience)) =>
            {
                self.waiting.remove(&client);
                self.quota.lock().leave_line(ticket, now);
                let criteria = wish.criteria(false);
                match self.quota.pick(&criteria).reservation {
                    Some(reservation) => self.sent(reservation),
                    None => TrialTurn::Refused(self.quota.promise(&criteria)),
                }
            }
            Turn::Waiting { left, .. } => {
                let left = left.map_or(patience, |left| left + TIMER_SLACK);
                TrialTurn::Waits(left.min(patience))
            }
        }
    }

    fn sent(&mut self, reservation: Reservation) -> TrialTurn {
        self.last_call += 1;
        let call = self.last_call;
        let candidate = reservation.candidate();
        let Some(&provider) = self.providers.get(candidate.provider) else { return TrialTurn::Refused(None) };
        let (account, model, max_tokens) = (candidate.account, candidate.model, reservation.max_tokens());
        self.calls.insert(call, reservation);
        TrialTurn::Sent { call, provider, account, model, max_tokens }
    }

    fn set(&self, now: Moment) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}
