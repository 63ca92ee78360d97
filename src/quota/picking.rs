//! Who is called next. Picking the provider that has waited longest, making it the last in line, and reserving what the
//! call takes are one step; only then do concurrent requests spread evenly and keep to limits together.

use std::time::Duration;

use jiff::Timestamp;

use super::booking::{Admission, Booking, Largest, Picked, Skipped, Soonest};
use super::cooldowns::Blocked;
use super::place::Candidate;
use super::price::Price;
use super::prospect::{Ahead, Grade, Prospect};
use super::provider_state::ProviderState;
use super::state::State;
use super::target::{Criteria, Turn};
use super::ticks::Now;
use crate::middle::{Needs, Unit};
use crate::time::Moment;

/// Whoever is told a longer time is not expected at that very moment.
const LONGEST_PROMISE: Duration = Duration::from_secs(86_400);

/// What one provider has for a request.
#[derive(Default)]
struct Outlook {
    /// Who can be called now.
    now: Option<(Grade, Candidate, Price)>,
    /// Who can first, of those who cannot be called now.
    soonest: Option<Soonest>,
    /// Why not simply the best candidate.
    blocked: Option<Blocked>,
}

impl Outlook {
    fn grade(&self) -> Option<Grade> {
        self.now.map(|(grade, ..)| grade)
    }

    /// Whether nothing better can be found in another provider: it keeps its turn.
    fn ends_the_search(&self) -> bool {
        self.grade().is_some_and(Grade::keeps_its_turn)
    }

    fn add(&mut self, candidate: Candidate, prospect: Prospect, blocked: Option<Blocked>) {
        match prospect {
            Prospect::Now(grade, price) if self.grade().is_none_or(|known| grade < known) => {
                self.now = Some((grade, candidate, price));
            }
            Prospect::Later { price: Some(price), wait, is_unsure } => {
                let wait = wait.or(is_unsure.then_some(Duration::MAX));
                if let Some(wait) = wait
                    && self.soonest.as_ref().is_none_or(|known| wait < known.wait)
                {
                    self.soonest = Some(Soonest { candidate, price, wait, is_unsure });
                }
            }
            Prospect::Now(..) | Prospect::Later { .. } => {}
        }
        if let Some(blocked) = blocked
            && self.blocked.is_none_or(|known| blocked.urgency() < known.urgency())
        {
            self.blocked = Some(blocked);
        }
    }
}

impl ProviderState {
    /// What the provider has for a request, of these candidates of its own, best first.
    fn outlook(
        &mut self,
        candidates: &[Candidate],
        criteria: &Criteria<'_>,
        ahead: Ahead<'_>,
        now: Moment,
        ticks: Now,
    ) -> Outlook {
        let mut outlook = Outlook::default();
        let is_modest = !self.notices_demand(candidates, criteria, ticks) && criteria.leaves_the_choice();
        for &candidate in candidates {
            // A guess is no reason to use a worse model, but another key with room comes first.
            if matches!(outlook.now, Some((Grade::Unexplored, it, _)) if it.model != candidate.model) {
                break;
            }
            self.open_buckets(candidate.account, candidate.model, ticks);
            let (mut prospect, blocked) = self.prospect(candidate, criteria, ahead, now, ticks);
            if let Prospect::Now(grade, _) = &mut prospect
                && is_modest
                && self.is_better_spared(candidate, ticks)
            {
                *grade = grade.spared();
            }
            outlook.add(candidate, prospect, blocked);
            if outlook.grade() == Some(Grade::Well) {
                break;
            }
        }
        outlook
    }
}

impl State {
    /// Picks the best candidate that may serve: of those that the client prefers and that are well, of all that are well,
    /// else of those that are demoted, else one of which only a guess says that it has nothing left. The provider whose last attempt was longest ago comes first, with its
    /// best model and, for that model, the account that has waited longest.
    pub(super) fn pick(&mut self, criteria: &Criteria<'_>, now: Moment) -> Picked {
        let queued = self.line.lend_queued();
        let picked = self.pick_behind(criteria, &|provider, bucket| queued.of(provider, bucket), now);
        self.line.return_queued(queued);
        picked
    }

    /// The same, behind those for whom `ahead` counts what they take of a bucket.
    pub(super) fn pick_behind(&mut self, criteria: &Criteria<'_>, ahead: Ahead<'_>, now: Moment) -> Picked {
        if let Some(booking) = self.pick_preferred(criteria, ahead, now) {
            return Picked { booking: Some(booking), skipped: Vec::new(), soonest: None };
        }
        let outlooks = self.outlooks(criteria, ahead, now);
        // The first of the best.
        let graded = outlooks.iter().enumerate().filter_map(|(at, (_, it))| Some((it.now?, at)));
        let best = graded.min_by_key(|((grade, ..), _)| *grade);
        let place_of_best = best.map_or(outlooks.len(), |(_, at)| at);
        // Those ahead of it that are no better come after it.
        let is_passed_over =
            |it: &Outlook| it.grade().is_none_or(|grade| best.is_none_or(|((best, ..), _)| grade > best));
        let passed_over = outlooks.iter().take(place_of_best).filter(|(_, it)| is_passed_over(it));
        let skipped = passed_over
            .filter_map(|&(provider, ref it)| Some(Skipped { provider, reason: it.blocked?.reason }))
            .collect();
        let booking =
            best.map(|((_, candidate, price), _)| self.admit(candidate, price, criteria.target.turn(), now));
        let soonest = outlooks.into_iter().filter_map(|(_, it)| it.soonest).min_by_key(|it| it.wait);
        Picked { soonest: soonest.filter(|_| booking.is_none()), booking, skipped }
    }

    /// Picks one of those whom the client prefers, if it is well. Whoever it passes over has not been looked at.
    fn pick_preferred(&mut self, criteria: &Criteria<'_>, ahead: Ahead<'_>, now: Moment) -> Option<Booking> {
        let preferred = criteria.of_preferred()?;
        let outlooks = self.outlooks(&preferred, ahead, now).into_iter();
        let well = outlooks.filter_map(|(_, it)| it.now).filter(|(grade, ..)| grade.keeps_its_turn());
        let (_, candidate, price) = well.min_by_key(|(grade, ..)| *grade)?;
        Some(self.admit(candidate, price, preferred.target.turn(), now))
    }

    /// What each provider has for a request, by their numbers, in the order of their turns, those of the second tier last; up
    /// to the first that keeps its turn.
    fn outlooks(&mut self, criteria: &Criteria<'_>, ahead: Ahead<'_>, now: Moment) -> Vec<(usize, Outlook)> {
        let ticks = self.ticks.advance(now);
        let Self { providers, turns, candidates, looked_at, .. } = self;
        let mut outlooks = Vec::with_capacity(1);
        let number_in_tiers =
            [false, true].into_iter().flat_map(|is_second| turns.iter().map(move |&it| (it, is_second)));
        for (number, is_second) in number_in_tiers {
            let Some(provider) = providers.get_mut(number) else { continue };
            if provider.is_second_tier != is_second {
                continue;
            }
            candidates.clear();
            candidates.extend(provider.in_order_of_preference(number, criteria, now));
            *looked_at = looked_at.saturating_add(candidates.len() as u64);
            let outlook = provider.outlook(candidates, criteria, ahead, now, ticks);
            let ends_the_search = outlook.ends_the_search();
            outlooks.push((number, outlook));
            if ends_the_search {
                break;
            }
        }
        outlooks
    }

    /// How each candidate stands for a request, and why it is not simply called.
    fn prospects<'a>(
        &'a self,
        criteria: &'a Criteria<'_>,
        ahead: Ahead<'a>,
        now: Moment,
    ) -> impl Iterator<Item = (Candidate, Prospect, Option<Blocked>)> + 'a {
        let ticks = self.ticks.read(now);
        self.providers.iter().enumerate().flat_map(move |(number, provider)| {
            provider.in_order_of_preference(number, criteria, now).map(move |candidate| {
                let (prospect, blocked) = provider.prospect(candidate, criteria, ahead, now, ticks);
                (candidate, prospect, blocked)
            })
        })
    }

    /// Whether there is a candidate that could be called now.
    pub(super) fn has_candidate(&self, criteria: &Criteria<'_>, now: Moment) -> bool {
        self.prospects(criteria, &|_, _| 0, now).any(|(_, prospect, _)| matches!(prospect, Prospect::Now(..)))
    }

    /// Whether a candidate could take so many tokens, now or ever.
    pub(super) fn may_be_taken(&self, criteria: &Criteria<'_>, now: Moment) -> bool {
        let is_never = |prospect: &Prospect| matches!(prospect, Prospect::Later { price: None, .. });
        self.prospects(criteria, &|_, _| 0, now).any(|(_, prospect, _)| !is_never(&prospect))
    }

    /// The most tokens that a candidate takes, whatever is ruled out and however few they are that the request needs.
    pub(super) fn largest(&self, criteria: &Criteria<'_>, now: Moment) -> Option<Largest> {
        let ticks = self.ticks.read(now);
        let needs = Needs { window: 0, ..*criteria.needs };
        let criteria = Criteria { needs: &needs, ruled_out: &[], ..*criteria };
        let candidates = self.providers.iter().enumerate().flat_map(|(number, provider)| {
            provider.in_order_of_preference(number, &criteria, now).filter_map(move |candidate| {
                let can = &provider.models().get(candidate.model)?.can;
                let limits = provider.limits(candidate.account, candidate.model, ticks).into_iter();
                let plan = limits.filter(|it| it.measure.unit == Unit::Tokens).filter_map(|it| {
                    Some(Largest { provider: number, tokens: it.limit?, window: Some(it.measure.window) })
                });
                let own = Largest { provider: number, tokens: can.window, window: None };
                plan.chain([own]).min_by_key(|it| it.tokens)
            })
        });
        candidates.max_by_key(|it| it.tokens)
    }

    /// When the first candidate can serve again, of one provider or of any, as far as that is certain; `None` if it is not
    /// known. Nobody knows when one that merely failed is well again, unless it has said so.
    pub(super) fn soonest(
        &self,
        criteria: &Criteria<'_>,
        of: Option<usize>,
        now: Moment,
    ) -> Option<Timestamp> {
        let ticks = self.ticks.read(now);
        let prospects = self.prospects(criteria, &|_, _| 0, now);
        let its = prospects.filter(|(candidate, ..)| of.is_none_or(|of| of == candidate.provider));
        let ends = its.filter_map(|(_, prospect, blocked)| {
            let blocked = blocked.filter(|it| it.is_certain)?;
            match prospect {
                Prospect::Later { wait: Some(wait), .. } => Some(ticks.after(wait)),
                Prospect::Later { .. } | Prospect::Now(..) => Some(blocked.until),
            }
        });
        ends.min().filter(|&end| end < Timestamp::MAX)
    }

    /// A client is refused: when it will find room, behind those who wait and those who were refused before it. Its room is
    /// kept in mind for whoever is refused after it.
    pub(super) fn promise(&mut self, criteria: &Criteria<'_>, now: Moment) -> Option<Timestamp> {
        let ticks = self.ticks.advance(now);
        let Some((Candidate { provider, account, model }, price, wait)) =
            self.soonest_behind_all(criteria, now)
        else {
            return self.soonest(criteria, None, now);
        };
        if wait > LONGEST_PROMISE {
            return Some(ticks.after(wait));
        }
        let due = ticks.tick.saturating_add(wait);
        let provider = self.providers.get_mut(provider)?;
        for (number, amount) in provider.charges(account, model, price) {
            provider.buckets.get_mut(number).into_iter().for_each(|it| it.promise(due, amount, ticks));
        }
        Some(ticks.after(wait))
    }

    /// Who has room first, and after what time, behind those who wait and those who were refused; as far as that is certain.
    fn soonest_behind_all(
        &self,
        criteria: &Criteria<'_>,
        now: Moment,
    ) -> Option<(Candidate, Price, Duration)> {
        let ticks = self.ticks.read(now);
        let ahead = |provider: usize, bucket: usize| {
            let shared = self.provider(provider).and_then(|it| it.buckets.get(bucket));
            let promised = shared.map_or(0, |it| it.promised(ticks));
            self.line.queued.of(provider, bucket).saturating_add(promised)
        };
        let waits =
            self.prospects(criteria, &ahead, now).filter_map(
                |(candidate, prospect, blocked)| match prospect {
                    Prospect::Later { price: Some(price), wait: Some(wait), .. } => {
                        blocked?.is_certain.then_some((candidate, price, wait))
                    }
                    Prospect::Later { .. } | Prospect::Now(..) => None,
                },
            );
        waits.min_by_key(|(_, _, wait)| *wait)
    }

    fn admit(&mut self, candidate: Candidate, price: Price, turn: Turn, now: Moment) -> Booking {
        let ticks = self.ticks.advance(now);
        self.attempts += 1;
        let attempt = self.attempts;
        let mut charges = Vec::new();
        if turn == Turn::Taken {
            make_last(&mut self.turns, candidate.provider);
        }
        if let Some(provider) = self.providers.get_mut(candidate.provider) {
            charges = provider.charges(candidate.account, candidate.model, price);
            for &(number, amount) in &charges {
                if let Some(shared) = provider.buckets.get_mut(number) {
                    shared.bucket.reserve(attempt, amount, ticks);
                }
            }
            make_last(&mut provider.turns, candidate.account);
        }
        for place in candidate.places() {
            if let Some(cooldowns) = self.cooldowns_mut(place) {
                cooldowns.probe(attempt, now);
            }
        }
        self.write_down(candidate, attempt, price.tokens, now);
        Booking { admission: Admission { candidate, attempt }, price, charges, sent: ticks.tick }
    }
}

/// It has had its turn.
fn make_last(turns: &mut [usize], number: usize) {
    if let Some(place) = turns.iter().position(|it| *it == number)
        && let Some(behind) = turns.get_mut(place..)
    {
        behind.rotate_left(1);
    }
}
