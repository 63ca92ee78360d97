//! The rotation and the cooldowns; with the helpers of all tests of this room.

mod lists;
mod reservations;

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::state::Picked;
use super::*;
use crate::middle::{Needs, Scope};
use crate::models::Stock;
use crate::providers::Directory;

const GROQ: usize = 0;
const CEREBRAS: usize = 1;

/// A state over the built-in providers, each with this many accounts and models of one rank.
fn state(providers: usize, accounts: usize, models: usize) -> State {
    seeded_state(providers, accounts, models, 7)
}

fn seeded_state(providers: usize, accounts: usize, models: usize, seed: u64) -> State {
    let names: Vec<String> = (0..models).map(|number| format!("m{number}")).collect();
    let offers = Directory::built_in().into_iter().take(providers);
    let offers = offers.map(|provider| Offer { provider, accounts, models: names.clone() });
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
    state.pick(&Criteria { target: &anybody(), needs: &Needs::default(), ruled_out }, at(now))
}

/// Picks for a client that has pinned `wanted`.
fn pick_pinned(state: &mut State, wanted: Wanted, now: i64) -> Option<Admission> {
    let target = Target::new(vec![wanted], true);
    state.pick(&Criteria { target: &target, needs: &Needs::default(), ruled_out: &[] }, at(now)).admission
}

fn soonest_of(state: &State, provider: Option<usize>, now: i64) -> Option<Timestamp> {
    let criteria = Criteria { target: &anybody(), needs: &Needs::default(), ruled_out: &[] };
    state.soonest(&criteria, provider, at(now))
}

fn soonest(state: &State, now: i64) -> Option<Timestamp> {
    soonest_of(state, None, now)
}

/// Whether a cooldown without a stated duration ends about `seconds` after the start, allowing for jitter.
fn is_about(end: Option<Timestamp>, seconds: i64) -> bool {
    end.is_some_and(|end| end >= at(seconds) && end <= at(seconds + 1))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn failure(reason: Reason, scope: Scope, wait: Option<u64>) -> Failure {
    let wait = wait.map(|seconds| Wait::For(Duration::from_secs(seconds)));
    Failure { wait, ..Failure::without_answer(reason, scope) }
}

fn pick(state: &mut State, now: i64) -> Option<Admission> {
    pick_without(state, &[], now).admission
}

/// Picks once and lets the attempt fail.
fn fail(state: &mut State, now: i64, failure: &Failure) -> Candidate {
    let admission = pick(state, now).expect("somebody can serve");
    state.failed(&admission, failure, at(now));
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
fn a_provider_in_cooldown_is_skipped_and_the_others_stay_even() {
    let mut state = state(3, 1, 1);
    fail(&mut state, 0, &failure(Reason::Overloaded, Scope::Provider, None));
    let served = providers(&mut state, 1, 10);
    for provider in [CEREBRAS, 2] {
        assert_eq!(served.iter().filter(|it| **it == provider).count(), 5);
    }
    let pick = pick_without(&mut state, &[], 1);
    assert_eq!(pick.skipped, [Skipped { provider: GROQ, reason: Reason::Overloaded }]);
}

/// For each reason: how long the place cools down if nothing is stated, and if 90 s are stated.
#[test]
fn cooldowns_last_as_long_as_their_reason_says() {
    let cases = [
        (Reason::RateLimited, Scope::AccountModel, 60, 90),
        (Reason::QuotaExhausted, Scope::AccountModel, 3_600, 90),
        (Reason::BadKey, Scope::Account, 600, 600),
        (Reason::NoCredit, Scope::Account, 600, 600),
        (Reason::Overloaded, Scope::Provider, 5, 30),
        (Reason::Timeout, Scope::Provider, 5, 30),
        (Reason::ConnectFailed, Scope::Provider, 5, 30),
        (Reason::BrokenStream, Scope::Provider, 5, 30),
        (Reason::EmptyAnswer, Scope::Provider, 5, 30),
        (Reason::UpstreamError, Scope::Provider, 5, 30),
    ];
    for (reason, scope, unstated, stated) in cases {
        for (wait, rest) in [(None, unstated), (Some(90), stated)] {
            let mut state = state(1, 1, 1);
            fail(&mut state, 0, &failure(reason, scope, wait));
            assert_eq!(pick(&mut state, rest - 1), None, "{reason:?} cools down until the end");
            let end = soonest(&state, 1);
            match wait {
                None => assert!(is_about(end, rest), "{reason:?} says when it is over: {end:?}"),
                Some(_) => assert_eq!(end, Some(at(rest)), "{reason:?} says when it is over"),
            }
            assert!(pick(&mut state, rest + 1).is_some(), "{reason:?} is over");
        }
    }
}

#[test]
fn a_dead_model_never_comes_back_and_its_siblings_serve() {
    let mut state = state(1, 1, 2);
    assert_eq!(fail(&mut state, 0, &failure(Reason::ModelGone, Scope::Model, None)).model, 0);
    assert_eq!(pick(&mut state, 1_000_000).unwrap().candidate.model, 1);
    fail(&mut state, 1_000_000, &failure(Reason::ModelGone, Scope::Model, None));
    assert_eq!(pick(&mut state, 100_000_000), None);
    assert_eq!(soonest(&state, 0), None);
}

#[test]
fn no_wait_is_longer_than_a_month() {
    let mut state = state(1, 1, 1);
    let until = Some(Wait::Until(Timestamp::MAX));
    let absurd = Failure { wait: until, ..Failure::without_answer(Reason::RateLimited, Scope::AccountModel) };
    fail(&mut state, 0, &absurd);
    assert_eq!(soonest(&state, 0), Some(at(31 * 86_400)));
}

/// An older call may report a limit while a newer one probes.
#[test]
fn a_successful_probe_ends_no_cooldown_that_began_meanwhile() {
    let mut state = state(1, 1, 1);
    let slow = pick(&mut state, 0).unwrap();
    fail(&mut state, 0, &failure(Reason::RateLimited, Scope::AccountModel, Some(5)));
    let mut probe = pick(&mut state, 6).unwrap();
    state.failed(&slow, &failure(Reason::QuotaExhausted, Scope::AccountModel, Some(3_600)), at(7));
    state.succeeded(&mut probe);
    assert_eq!(soonest(&state, 8), Some(at(3_607)));
    assert_eq!(pick(&mut state, 3_606), None);
    assert!(pick(&mut state, 3_607).is_some(), "it may be probed when it is over");
}

#[test]
fn a_request_at_fault_puts_nobody_into_cooldown() {
    let mut state = state(1, 1, 1);
    fail(&mut state, 0, &failure(Reason::BadRequest, Scope::Request, Some(90)));
    assert!(pick(&mut state, 0).is_some());
}

#[test]
fn each_scope_reaches_exactly_its_own() {
    let cases = [
        (Scope::Request, 4),
        (Scope::AccountModel, 3),
        (Scope::Account, 2),
        (Scope::Model, 2),
        (Scope::Provider, 0),
    ];
    for (scope, expected) in cases {
        let mut state = state(1, 2, 2);
        fail(&mut state, 0, &failure(Reason::RateLimited, scope, None));
        let all = (0..2).flat_map(|account| (0..2).map(move |model| (account, model)));
        let left = all.filter(|&(account, model)| {
            let other = [RuledOut::Place(Place::Account(GROQ, 1 - account))];
            let target = Target::new(vec![Wanted { provider: GROQ, model: Some(model) }], true);
            let criteria = Criteria { target: &target, needs: &Needs::default(), ruled_out: &other };
            state.pick(&criteria, at(1)).admission.is_some()
        });
        assert_eq!(left.count(), expected, "{scope:?}");
    }
}

#[test]
fn keys_take_turns_and_the_best_model_comes_first() {
    let mut state = state(1, 2, 2);
    let picked: Vec<_> =
        (0..4).map(|_| pick(&mut state, 0).unwrap().candidate).map(|it| (it.account, it.model)).collect();
    assert_eq!(picked, [(0, 0), (1, 0), (0, 0), (1, 0)]);
}

#[test]
fn one_probe_at_a_time_decides_whether_a_cooldown_is_over() {
    let mut state = state(1, 1, 1);
    let down = failure(Reason::Overloaded, Scope::Provider, None);
    fail(&mut state, 0, &down);

    let probe = pick(&mut state, 6).unwrap();
    assert_eq!(pick(&mut state, 6), None, "a second request does not probe");
    assert_eq!(soonest(&state, 6), Some(at(7)), "it may come back in a second");
    state.abandoned(&probe);
    let mut probe = pick(&mut state, 7).expect("an abandoned probe makes room for another");
    state.succeeded(&mut probe);
    assert!(pick(&mut state, 7).is_some() && pick(&mut state, 7).is_some(), "all is well again");
}

#[test]
fn cooldowns_grow_with_every_failed_probe_and_begin_anew_after_a_success() {
    let mut state = state(1, 1, 1);
    let down = failure(Reason::UpstreamError, Scope::Provider, None);
    let mut now = 0;
    for rest in [5, 10, 20, 30, 30] {
        fail(&mut state, now, &down);
        assert_eq!(pick(&mut state, now + rest - 1), None, "after {now} s");
        now += rest + 1;
    }
    let mut probe = pick(&mut state, now).unwrap();
    state.succeeded(&mut probe);
    fail(&mut state, now, &down);
    assert!(is_about(soonest(&state, now), now + 5));
}

#[test]
fn calls_that_were_under_way_make_no_cooldown_grow() {
    let mut state = state(1, 1, 1);
    let down = failure(Reason::Timeout, Scope::Provider, None);
    let calls: Vec<_> = (0..4).map(|_| pick(&mut state, 0).unwrap()).collect();
    for (call, now) in calls.iter().zip([20, 21, 22, 27]) {
        state.failed(call, &down, at(now));
    }
    assert!(is_about(soonest(&state, 27), 32));
}

#[test]
fn of_two_cooldowns_the_later_end_counts() {
    let mut state = state(1, 1, 1);
    let first = pick(&mut state, 0).unwrap();
    let second = pick(&mut state, 0).unwrap();
    state.failed(&first, &failure(Reason::QuotaExhausted, Scope::AccountModel, Some(1_000)), at(0));
    state.failed(&second, &failure(Reason::RateLimited, Scope::AccountModel, Some(10)), at(0));
    let pick = pick_without(&mut state, &[], 500);
    assert_eq!(pick.skipped, [Skipped { provider: GROQ, reason: Reason::QuotaExhausted }]);
    assert_eq!(soonest(&state, 500), Some(at(1_000)));
}

#[test]
fn the_soonest_is_the_first_of_all_and_the_last_of_one() {
    let mut state = state(2, 1, 1);
    fail(&mut state, 0, &failure(Reason::RateLimited, Scope::AccountModel, Some(40)));
    fail(&mut state, 0, &failure(Reason::RateLimited, Scope::AccountModel, Some(12)));
    assert_eq!(soonest(&state, 0), Some(at(12)));
    let probe = pick(&mut state, 12).unwrap();
    state.failed(&probe, &failure(Reason::Overloaded, Scope::Provider, None), at(12));
    assert!(is_about(soonest_of(&state, Some(CEREBRAS), 13), 17));
}

/// A client that is told to come back is told when, however fast time goes on while that is found out.
#[test]
fn what_can_serve_at_once_can_serve_in_no_time_under_a_clock_that_moves() {
    let ticks = std::sync::atomic::AtomicI64::new(0);
    let tick = move || ticks.fetch_add(7, std::sync::atomic::Ordering::Relaxed);
    let clock: Clock = Arc::new(move || Timestamp::from_millisecond(tick()).expect("a time"));
    let offer = Offer { provider: Provider::GROQ, accounts: 1, models: ids("a") };
    let quota = Arc::new(Quota::new(vec![offer], clock, fastrand::Rng::with_seed(7)));
    let criteria = Criteria { target: &anybody(), needs: &Needs::default(), ruled_out: &[] };
    assert_eq!(quota.seconds_until(&criteria, None), Some(0));
    assert_eq!(quota.seconds_until(&criteria, Some(1)), None, "there is no such account");
}

/// If every account of a provider is blocked, the reason reported is that of the one that is free first.
#[test]
fn the_reason_told_is_that_of_the_first_to_come_back() {
    for seconds in [[40, 12, 90], [12, 40, 90], [90, 40, 12]] {
        let mut state = state(1, 1, 3);
        for wait in seconds {
            let reason = if wait == 12 { Reason::RateLimited } else { Reason::QuotaExhausted };
            fail(&mut state, 0, &failure(reason, Scope::AccountModel, Some(wait)));
        }
        let pick = pick_without(&mut state, &[], 1);
        let expected = Skipped { provider: GROQ, reason: Reason::RateLimited };
        assert_eq!(pick.skipped, [expected], "{seconds:?}");
    }
}

#[test]
fn a_limit_reported_as_used_up_cools_down_without_a_failure() {
    let mut state = state(1, 1, 2);
    let candidate = pick(&mut state, 0).unwrap().candidate;
    state.exhausted(candidate, Reason::RateLimited, Wait::For(Duration::from_secs(7)), at(0));
    assert_eq!(pick(&mut state, 6).unwrap().candidate.model, 1);
    assert_eq!(pick(&mut state, 7).unwrap().candidate.model, 0);
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
    let gone = failure(Reason::ModelGone, Scope::Model, None);
    let limited = failure(Reason::RateLimited, Scope::AccountModel, Some(9));
    assert_eq!(fail(&mut state, 0, &gone).model, 0);
    assert_eq!(in_use(&state, 0), [1]);
    assert_eq!(fail(&mut state, 0, &limited).model, 1);
    assert_eq!(pick(&mut state, 1), None, "a limit is no reason to use another model than those wanted");
    assert_eq!(fail(&mut state, 9, &failure(Reason::ModelGone, Scope::AccountModel, None)).model, 1);
    assert_eq!(in_use(&state, 9), [2]);
    assert_eq!(pick(&mut state, 9).unwrap().candidate.model, 2);
}

#[test]
fn a_list_ends_the_cooldown_of_what_has_come_back_and_of_nothing_else() {
    let mut state = state(1, 1, 2);
    state.go_by(GROQ, stock(None), at(0));
    fail(&mut state, 0, &failure(Reason::ModelGone, Scope::Model, None));
    let no_change = Change::default();
    assert_eq!(state.go_by(GROQ, stock(Some(&[0, 1, 2])), at(1)), no_change);
    assert_eq!(in_use(&state, 1), [1], "the list that had it all the time proves nothing");
    assert_eq!(state.go_by(GROQ, stock(Some(&[1, 2])), at(2)), no_change);
    let back = Change { back: vec!["m0".into()], ..Change::default() };
    assert_eq!(state.go_by(GROQ, stock(Some(&[0, 1])), at(3)), back);
    fail(&mut state, 3, &failure(Reason::RateLimited, Scope::AccountModel, Some(9)));
    let lost = Change { lost: vec!["m0".into()], ..Change::default() };
    assert_eq!(state.go_by(GROQ, stock(Some(&[1])), at(4)), lost);
    assert_eq!(state.go_by(GROQ, stock(Some(&[0, 1])), at(5)), back);
    assert_eq!(pick(&mut state, 5).unwrap().candidate.model, 1, "a limit is not forgiven");
    assert_eq!(pick(&mut state, 12).unwrap().candidate.model, 0);
}

#[test]
fn chance_delays_what_nobody_has_stated_and_nothing_else() {
    let ends = |reason, wait, scope| {
        let end = |seed| {
            let mut state = seeded_state(1, 1, 1, seed);
            fail(&mut state, 0, &failure(reason, scope, wait));
            soonest(&state, 0).expect("an end")
        };
        (0..50).map(end).collect::<Vec<_>>()
    };
    for (reason, scope, seconds, most_ms) in [
        (Reason::Overloaded, Scope::Provider, 5, 500),
        (Reason::RateLimited, Scope::AccountModel, 60, 1_000),
        (Reason::BadKey, Scope::Account, 600, 1_000),
    ] {
        let ends = ends(reason, None, scope);
        let latest = at(seconds) + Duration::from_millis(most_ms);
        assert!(ends.iter().all(|end| (at(seconds)..=latest).contains(end)), "{reason:?}: {ends:?}");
        assert!(ends.iter().any(|end| *end != ends[0]), "{reason:?}: always the same");
    }
    assert_eq!(ends(Reason::RateLimited, Some(60), Scope::AccountModel), [at(60); 50]);
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
            let mut admission = pick(&mut state, now).expect("two of three always serve");
            let provider = admission.candidate.provider;
            *calls.entry(provider).or_default() += 1;
            if provider != GROQ {
                state.succeeded(&mut admission);
            } else {
                prop_assert!(now >= cools_until, "called during its cooldown");
                if fails {
                    state.failed(&admission, &failure(Reason::RateLimited, Scope::AccountModel, Some(9)), at(now));
                    cools_until = now + 9;
                } else {
                    state.succeeded(&mut admission);
                }
            }
            let count = |provider| calls.get(&provider).copied().unwrap_or_default();
            prop_assert!((count(CEREBRAS) - count(2)).abs() <= 1);
        }
    }
}
