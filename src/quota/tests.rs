//! The rotation and the cooldowns; with the helpers of all tests of this room.

mod clocks;
mod learnt;
mod limits;
mod line;
mod lists;
mod policy;
mod preference;
mod reservations;
mod sharing;
mod spending;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::booking::{Admission, Picked, Skipped};
use super::bucket::IsCounted;
use super::cooldowns::Standing;
use super::engine::{Quota, Reservation};
use super::place::Candidate;
use super::state::State;
use super::*;
use crate::middle::{Cause, Failure, Lift, Needs, Reason, Usage, Wait, Window};
use crate::models::Stock;
use crate::observe::Counts;
use crate::providers::{Directory, Provider};
use crate::time::{Clock, Moment};

const GROQ: usize = 0;
const CEREBRAS: usize = 1;

/// A state over the built-in providers, each with this many accounts and models of one rank.
fn state(providers: usize, accounts: usize, models: usize) -> State {
    seeded_state(providers, accounts, models, 7)
}

fn seeded_state(providers: usize, accounts: usize, models: usize, seed: u64) -> State {
    let names: Vec<String> = (0..models).map(|number| format!("m{number}")).collect();
    let offers = Directory::core().into_iter().take(providers);
    let offers = offers.map(|provider| Offer {
        is_second_tier: false,
        provider,
        accounts,
        models: names.clone(),
        limits: Vec::new(),
    });
    let mut state = State::new(offers.collect(), fastrand::Rng::with_seed(seed));
    for provider in 0..providers {
        let stock = Stock { ranks: vec![(0..models).collect()], listed: vec![None; accounts] };
        state.go_by(provider, stock, at(0));
    }
    state
}

fn anybody() -> Target {
    Target::new((0..3).map(|provider| Wanted { provider, model: None }).collect(), false)
}

/// Picks from all providers except those that `ruled_out` names.
fn pick_without(state: &mut State, ruled_out: &[RuledOut], now: i64) -> Picked {
    state.pick(
        &Criteria {
            target: &anybody(),
            needs: &Needs::default(),
            ruled_out,
            demand: Demand::default(),
            can_wait: false,
        },
        at(now),
    )
}

/// Picks for a client that has pinned `wanted`.
fn pick_pinned(state: &mut State, wanted: Wanted, now: i64) -> Option<Admission> {
    let target = Target::new(vec![wanted], true);
    state
        .pick(
            &Criteria {
                target: &target,
                needs: &Needs::default(),
                ruled_out: &[],
                demand: Demand::default(),
                can_wait: false,
            },
            at(now),
        )
        .admission()
}

fn soonest_of(state: &State, provider: Option<usize>, now: i64) -> Option<Timestamp> {
    let criteria = Criteria {
        target: &anybody(),
        needs: &Needs::default(),
        ruled_out: &[],
        demand: Demand::default(),
        can_wait: false,
    };
    state.soonest(&criteria, provider, at(now))
}

fn soonest(state: &State, now: i64) -> Option<Timestamp> {
    soonest_of(state, None, now)
}

fn wall(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn at(seconds: i64) -> Moment {
    Moment::at(wall(seconds))
}

fn failure(cause: Cause, wait: Option<u64>) -> Failure {
    let wait = wait.map(|seconds| Wait::For(Duration::from_secs(seconds)));
    Failure { wait, ..Failure::without_answer(cause) }
}

fn succeed(state: &mut State, admission: Admission, now: i64) {
    state.lift(admission, Lift::Head, at(now));
    state.lift(admission, Lift::FirstEvent, at(now));
}

/// Whether the only candidate of a state is well, demoted, or blocked.
fn standing(state: &State, now: i64) -> &'static str {
    let candidate = Candidate { provider: GROQ, account: 0, model: 0 };
    match state.provider(GROQ).expect("it is there").standing(candidate, at(now)) {
        Standing::Well => "well",
        Standing::Demoted(_) => "demoted",
        Standing::Blocked(_) => "blocked",
    }
}

fn pick(state: &mut State, now: i64) -> Option<Admission> {
    pick_without(state, &[], now).admission()
}

/// Picks once and lets the attempt fail.
fn fail(state: &mut State, now: i64, failure: &Failure) -> Candidate {
    let admission = pick(state, now).expect("somebody can serve");
    state.failed(admission, failure, at(now));
    admission.candidate
}

fn providers(state: &mut State, now: i64, times: usize) -> Vec<usize> {
    (0..times).map(|_| pick(state, now).expect("somebody can serve").candidate.provider).collect()
}

fn in_use(state: &State, now: i64) -> Vec<usize> {
    state.provider(GROQ).expect("it is there").in_use(at(now))
}

fn ids(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_rotation_goes_round_in_order() {
    let mut state = state(3, 1, 1);
    assert_eq!(providers(&mut state, 0, 7), [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn a_pinned_request_leaves_the_line_as_it_is() {
    let mut state = state(3, 1, 1);
    for _ in 0..5 {
        let admission = pick_pinned(&mut state, Wanted { provider: GROQ, model: None }, 0).unwrap();
        assert_eq!(admission.candidate.provider, GROQ);
    }
    assert_eq!(providers(&mut state, 0, 2), [GROQ, CEREBRAS]);
}

#[test]
fn a_failing_provider_is_passed_over_and_the_others_stay_even() {
    for cause in [Cause::Overloaded, Cause::RateLimited, Cause::Unreachable] {
        let mut state = state(3, 1, 1);
        fail(&mut state, 0, &failure(cause, None));
        let served = providers(&mut state, 1, 10);
        for provider in [CEREBRAS, 2] {
            assert_eq!(served.iter().filter(|it| **it == provider).count(), 5);
        }
        let pick = pick_without(&mut state, &[], 1);
        assert_eq!(pick.skipped, [Skipped { provider: GROQ, reason: cause.reason() }]);
    }
}

/// Failures demote and never silence: nobody is refused while somebody could be called.
#[test]
fn who_has_failed_is_called_when_nobody_else_is_left() {
    let mut state = state(3, 1, 1);
    for _ in 0..3 {
        fail(&mut state, 0, &failure(Cause::Overloaded, None));
    }
    assert_eq!(providers(&mut state, 1, 4), [0, 1, 2, 0], "in turn, as if all were well");
    let groq = RuledOut::Place(Place::AccountModel(GROQ, 0, 0));
    let pick = pick_without(&mut state, &[groq], 1);
    assert_eq!(pick.admission().unwrap().candidate.provider, CEREBRAS);
    assert_eq!(pick.skipped, [], "those that are demoted come after it, and those ruled out are known");
}

#[test]
fn the_well_come_before_the_demoted_and_the_blocked_not_at_all() {
    let mut state = state(3, 1, 1);
    fail(&mut state, 0, &failure(Cause::ServerError, None));
    fail(&mut state, 0, &failure(Cause::RateLimited, Some(60)));
    assert_eq!(providers(&mut state, 1, 2), [2, 2]);
    let gemini = RuledOut::Place(Place::AccountModel(2, 0, 0));
    let pick = pick_without(&mut state, &[gemini], 1);
    assert_eq!(pick.admission().unwrap().candidate.provider, GROQ);
    assert_eq!(pick.skipped, [], "who is blocked stands behind it");
    let groq = RuledOut::Place(Place::AccountModel(GROQ, 0, 0));
    let pick = pick_without(&mut state, &[gemini, groq], 1);
    assert_eq!(pick.admission(), None, "a call would be refused for sure");
    assert_eq!(pick.skipped, [Skipped { provider: CEREBRAS, reason: Reason::RateLimited }]);
}

#[test]
fn a_failing_model_leaves_its_siblings_and_the_other_keys_in() {
    let mut state = state(1, 2, 2);
    assert_eq!(fail(&mut state, 0, &failure(Cause::Silent, None)).model, 0);
    let next: Vec<_> =
        (0..2).map(|_| pick(&mut state, 1).unwrap().candidate).map(|it| (it.account, it.model)).collect();
    assert_eq!(next, [(1, 0), (1, 0)], "the other key has the better model");
    let other = [RuledOut::Place(Place::Account(GROQ, 1))];
    let sibling = pick_without(&mut state, &other, 1).admission().unwrap().candidate;
    assert_eq!((sibling.account, sibling.model), (0, 1));
}

/// Three different models or keys that fail in a row are the provider's failure.
#[test]
fn a_provider_trips_when_three_of_it_fail_in_a_row() {
    let broken = failure(Cause::BrokenStream, None);
    let fails = |state: &mut State, models: &[usize]| {
        for &model in models {
            let wanted = Wanted { provider: GROQ, model: Some(model) };
            let admission = pick_pinned(state, wanted, 0).expect("it may be called");
            state.failed(admission, &broken, at(0));
        }
    };
    let is_tripped = |state: &State| {
        let candidate = Candidate { provider: GROQ, account: 0, model: 3 };
        state.provider(GROQ).unwrap().standing(candidate, at(1)) != Standing::Well
    };
    let mut state = state(2, 1, 4);
    fails(&mut state, &[0, 1, 0, 1, 1]);
    assert!(!is_tripped(&state), "two models, however often");
    fails(&mut state, &[2]);
    assert!(is_tripped(&state), "a third one");
    let sibling = pick_pinned(&mut state, Wanted { provider: GROQ, model: Some(3) }, 1);
    assert_eq!(sibling.map(|it| it.candidate.model), Some(3), "demoted, not blocked");

    let mut state = seeded_state(2, 1, 4, 7);
    fails(&mut state, &[0, 1]);
    let admission = pick_pinned(&mut state, Wanted { provider: GROQ, model: Some(3) }, 0).unwrap();
    succeed(&mut state, admission, 0);
    fails(&mut state, &[2]);
    assert!(!is_tripped(&state), "one of them has answered in between");
}

#[test]
fn a_dead_model_never_comes_back_and_its_siblings_serve() {
    let mut state = state(1, 1, 2);
    assert_eq!(fail(&mut state, 0, &failure(Cause::ModelGone, None)).model, 0);
    assert_eq!(pick(&mut state, 1_000_000).unwrap().candidate.model, 1);
    fail(&mut state, 1_000_000, &failure(Cause::ModelGone, None));
    assert_eq!(pick(&mut state, 100_000_000), None);
    assert_eq!(soonest(&state, 0), None);
}

/// An older call may report a limit while a newer one is answered.
#[test]
fn an_answer_ends_no_cooldown_that_began_after_its_call() {
    let mut state = state(1, 1, 1);
    let slow = pick(&mut state, 0).unwrap();
    fail(&mut state, 0, &failure(Cause::KeyRefused, None));
    let probe = pick(&mut state, 602).expect("it may be tried again");
    state.failed(slow, &failure(Cause::CreditSpent, None), at(603));
    succeed(&mut state, probe, 604);
    assert_eq!(standing(&state, 1_202), "blocked");
    assert!(pick(&mut state, 1_205).is_some(), "it may be tried when that is over");
}

#[test]
fn a_request_at_fault_rests_nobody() {
    for cause in [Cause::RequestRefused, Cause::EmptyAnswer, Cause::GenerationUnreadable, Cause::OutOfTime] {
        let mut state = state(1, 1, 1);
        fail(&mut state, 0, &failure(cause, Some(90)));
        assert_eq!(standing(&state, 0), "well", "{cause:?}");
    }
}

#[test]
fn keys_take_turns_and_the_best_model_comes_first() {
    let mut state = state(1, 2, 2);
    let picked: Vec<_> =
        (0..4).map(|_| pick(&mut state, 0).unwrap().candidate).map(|it| (it.account, it.model)).collect();
    assert_eq!(picked, [(0, 0), (1, 0), (0, 0), (1, 0)]);
}

/// Of a crowd, one finds out whether a refused key is good again.
#[test]
fn one_call_at_a_time_finds_out_whether_a_refusal_is_over() {
    let mut state = state(1, 1, 1);
    fail(&mut state, 0, &failure(Cause::KeyRefused, None));
    let probe = pick(&mut state, 602).unwrap();
    assert_eq!(pick(&mut state, 602), None, "a second request does not");
    assert_eq!(soonest(&state, 602), Some(wall(603)), "it may come back in a second");
    state.release(probe);
    let probe = pick(&mut state, 603).expect("a call without result makes room for another");
    state.lift(probe, Lift::Head, at(603));
    assert!(pick(&mut state, 603).is_some() && pick(&mut state, 603).is_some(), "all is well again");
}

/// The same for a failing model, except that those who have nobody else call it as well.
#[test]
fn one_call_at_a_time_goes_first_to_who_has_failed() {
    let mut state = state(2, 1, 1);
    fail(&mut state, 0, &failure(Cause::Overloaded, None));
    providers(&mut state, 0, 1);
    let probe = pick(&mut state, 7).unwrap();
    assert_eq!(probe.candidate.provider, GROQ);
    assert_eq!(providers(&mut state, 7, 3), [CEREBRAS; 3], "the others do not wait for the result");
    let cerebras = RuledOut::Place(Place::Provider(CEREBRAS));
    assert!(pick_without(&mut state, &[cerebras], 7).admission().is_some(), "nobody else is left");
    state.lift(probe, Lift::FirstEvent, at(8));
    assert_eq!(providers(&mut state, 8, 4), [CEREBRAS, GROQ, CEREBRAS, GROQ]);
}

#[test]
fn calls_that_were_under_way_are_one_failure() {
    let mut state = state(1, 1, 1);
    let silent = failure(Cause::Silent, None);
    let calls: Vec<_> = (0..4).map(|_| pick(&mut state, 0).unwrap()).collect();
    for (call, now) in calls.iter().zip([20, 21, 22, 27]) {
        state.failed(*call, &silent, at(now));
    }
    assert_eq!((standing(&state, 31), standing(&state, 33)), ("demoted", "well"));
}

#[test]
fn of_two_limits_the_later_end_counts() {
    let mut state = state(1, 1, 1);
    let first = pick(&mut state, 0).unwrap();
    let second = pick(&mut state, 0).unwrap();
    state.failed(first, &failure(Cause::QuotaExhausted, Some(1_000)), at(0));
    state.failed(second, &failure(Cause::RateLimited, Some(10)), at(0));
    let pick = pick_without(&mut state, &[], 500);
    assert_eq!(pick.skipped, [Skipped { provider: GROQ, reason: Reason::QuotaExhausted }]);
    assert_eq!(soonest(&state, 500), Some(wall(1_000)));
}

/// After a sleep the time of day says that a limit is over, and the steady clock does not.
#[test]
fn a_limit_that_is_over_yields_to_a_new_one() {
    let mut state = state(1, 1, 1);
    let call = |state: &mut State, now: Moment, seconds| {
        let criteria = Criteria {
            target: &anybody(),
            needs: &Needs::default(),
            ruled_out: &[],
            demand: Demand::default(),
            can_wait: false,
        };
        let admission = state.pick(&criteria, now).admission().expect("it is over");
        state.failed(admission, &failure(Cause::RateLimited, Some(seconds)), now);
    };
    call(&mut state, at(0), 3_000);
    let awake = Moment { wall: wall(3_600), steady: at(1).steady };
    call(&mut state, awake, 60);
    let candidate = Candidate { provider: GROQ, account: 0, model: 0 };
    assert!(matches!(state.provider(GROQ).unwrap().standing(candidate, awake), Standing::Blocked(_)));
}

/// Neither hides the other.
#[test]
fn a_limit_blocks_beside_a_longer_failure() {
    let mut state = state(1, 1, 1);
    let calls = [pick(&mut state, 0).unwrap(), pick(&mut state, 0).unwrap()];
    state.failed(calls[0], &failure(Cause::Overloaded, Some(30)), at(0));
    state.failed(calls[1], &failure(Cause::RateLimited, Some(10)), at(0));
    let seen = [9, 10, 29, 30].map(|now| standing(&state, now));
    assert_eq!(seen, ["blocked", "demoted", "demoted", "well"]);
}

#[test]
fn the_soonest_is_the_first_of_all_and_the_last_of_one() {
    let mut state = state(2, 1, 1);
    fail(&mut state, 0, &failure(Cause::RateLimited, Some(40)));
    fail(&mut state, 0, &failure(Cause::RateLimited, Some(12)));
    assert_eq!(soonest(&state, 0), Some(wall(12)));
    assert_eq!(soonest_of(&state, Some(GROQ), 0), Some(wall(40)));
    assert_eq!(soonest(&state, 12), Some(wall(40)), "of those that rest");
}

/// Nobody knows when a failing provider is well again, unless it has said so.
#[test]
fn only_a_certain_time_is_told() {
    for (stated, expected) in [(None, None), (Some(20), Some(wall(20)))] {
        let mut state = state(1, 1, 1);
        fail(&mut state, 0, &failure(Cause::Overloaded, stated));
        assert_eq!(soonest(&state, 0), expected);
    }
}

/// If every account of a provider is blocked, the reason reported is that of the one that is free first.
#[test]
fn the_reason_told_is_that_of_the_first_to_come_back() {
    for seconds in [[40, 12, 90], [12, 40, 90], [90, 40, 12]] {
        let mut state = state(1, 1, 3);
        for wait in seconds {
            let cause = if wait == 12 { Cause::RateLimited } else { Cause::QuotaExhausted };
            fail(&mut state, 0, &failure(cause, Some(wait)));
        }
        let pick = pick_without(&mut state, &[], 1);
        let expected = Skipped { provider: GROQ, reason: Reason::RateLimited };
        assert_eq!(pick.skipped, [expected], "{seconds:?}");
    }
}

/// Two models and a spare one. `listed` says which of them the key's list has.
fn stock(listed: Option<&[usize]>) -> Stock {
    let listed = vec![listed.map(|listed| listed.iter().copied().collect())];
    Stock { ranks: vec![vec![0, 1], vec![2]], listed }
}

#[test]
fn spares_serve_when_answers_have_retired_all_others() {
    let mut state = state(1, 1, 2);
    state.go_by(GROQ, stock(None), at(0));
    let gone = failure(Cause::ModelGone, None);
    let limited = failure(Cause::RateLimited, Some(9));
    assert_eq!(fail(&mut state, 0, &gone).model, 0);
    assert_eq!(in_use(&state, 0), [1]);
    assert_eq!(fail(&mut state, 0, &limited).model, 1);
    assert_eq!(pick(&mut state, 1), None, "a limit is no reason to use another model than those wanted");
    assert_eq!(fail(&mut state, 9, &failure(Cause::ModelNotForAccount, None)).model, 1);
    assert_eq!(in_use(&state, 9), [2]);
    assert_eq!(pick(&mut state, 9).unwrap().candidate.model, 2);
}

#[test]
fn a_list_ends_the_cooldown_of_what_has_come_back_and_of_nothing_else() {
    let mut state = state(1, 1, 2);
    state.go_by(GROQ, stock(None), at(0));
    fail(&mut state, 0, &failure(Cause::ModelGone, None));
    let no_change = Change::default();
    assert_eq!(state.go_by(GROQ, stock(Some(&[0, 1, 2])), at(1)), no_change);
    assert_eq!(in_use(&state, 1), [1], "the list that had it all the time proves nothing");
    assert_eq!(state.go_by(GROQ, stock(Some(&[1, 2])), at(2)), no_change);
    let back = Change { back: vec!["m0".into()], ..Change::default() };
    assert_eq!(state.go_by(GROQ, stock(Some(&[0, 1])), at(3)), back);
    fail(&mut state, 3, &failure(Cause::RateLimited, Some(9)));
    let lost = Change { lost: vec!["m0".into()], ..Change::default() };
    assert_eq!(state.go_by(GROQ, stock(Some(&[1])), at(4)), lost);
    assert_eq!(state.go_by(GROQ, stock(Some(&[0, 1])), at(5)), back);
    assert_eq!(pick(&mut state, 5).unwrap().candidate.model, 1, "a limit is not forgiven");
    assert_eq!(pick(&mut state, 12).unwrap().candidate.model, 0);
}

#[test]
fn chance_delays_what_nobody_has_stated_and_nothing_else() {
    let ends = |cause, wait| {
        let end = |seed| {
            let mut state = seeded_state(1, 1, 1, seed);
            fail(&mut state, 0, &failure(cause, wait));
            soonest(&state, 0).expect("an end")
        };
        (0..50).map(end).collect::<Vec<_>>()
    };
    for (cause, seconds) in [(Cause::RateLimited, 60), (Cause::KeyRefused, 600)] {
        let ends = ends(cause, None);
        let latest = wall(seconds) + Duration::from_secs(1);
        assert!(ends.iter().all(|end| (wall(seconds)..=latest).contains(end)), "{cause:?}: {ends:?}");
        assert!(ends.iter().any(|end| *end != ends[0]), "{cause:?}: always the same");
    }
    assert_eq!(ends(Cause::RateLimited, Some(60)), [wall(60); 50]);
}

proptest! {
    /// Whatever fails and whenever, the providers that never fail are called evenly, and a provider in
    /// cooldown is not called at all.
    #[test]
    fn the_healthy_stay_even(steps in prop::collection::vec((0i64..8, any::<bool>()), 1..200)) {
        let mut state = state(3, 1, 1);
        let mut now = 0;
        let mut cools_until = 0;
        let mut calls: HashMap<usize, i64> = HashMap::new();
        for (seconds, fails) in steps {
            now += seconds;
            let admission = pick(&mut state, now).expect("two of three always serve");
            let provider = admission.candidate.provider;
            *calls.entry(provider).or_default() += 1;
            if provider != GROQ {
                succeed(&mut state, admission, now);
            } else {
                prop_assert!(now >= cools_until, "called during its cooldown");
                if fails {
                    state.failed(admission, &failure(Cause::RateLimited, Some(9)), at(now));
                    cools_until = now + 9;
                } else {
                    succeed(&mut state, admission, now);
                }
            }
            let count = |provider| calls.get(&provider).copied().unwrap_or_default();
            prop_assert!((count(CEREBRAS) - count(2)).abs() <= 1);
        }
    }
}
