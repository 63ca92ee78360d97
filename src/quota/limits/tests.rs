use super::*;
use proptest::prelude::*;

const GROQ: Offer = Offer { provider: Provider::GROQ, keys: 1, models: 1 };
const CEREBRAS: Offer = Offer { provider: Provider::CEREBRAS, keys: 1, models: 1 };
const GEMINI: Offer = Offer { provider: Provider::GEMINI, keys: 1, models: 1 };

fn book(offers: Vec<Offer>) -> Limits {
    Limits::new(offers, fastrand::Rng::with_seed(7))
}

/// Whether a rest of which nobody has stated the end ends `seconds` after the beginning, give or take the chance.
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

fn pick(limits: &Limits, now: i64) -> Option<Admission> {
    limits.pick(|_| true, Turn::Taken, at(now)).admission
}

/// Picks once and lets it fail.
fn fail(limits: &Limits, now: i64, failure: &Failure) -> Candidate {
    let admission = pick(limits, now).expect("somebody can serve");
    limits.failed(&admission, failure, at(now));
    admission.candidate
}

fn providers(limits: &Limits, now: i64, times: usize) -> Vec<Provider> {
    (0..times).map(|_| pick(limits, now).expect("somebody can serve").candidate.provider).collect()
}

#[test]
fn the_rotation_goes_round_in_order() {
    const GROQ: Provider = Provider::GROQ;
    const CEREBRAS: Provider = Provider::CEREBRAS;
    const GEMINI: Provider = Provider::GEMINI;
    let limits = book(vec![GROQ, CEREBRAS, GEMINI]);
    assert_eq!(providers(&limits, 0, 7), [Groq, Cerebras, Gemini, Groq, Cerebras, Gemini, Groq]);
}

#[test]
fn a_pinned_request_leaves_the_line_as_it_is() {
    let limits = book(vec![GROQ, CEREBRAS, GEMINI]);
    let is_groq = |candidate: Candidate| candidate.provider == Provider::GROQ;
    for _ in 0..5 {
        let admission = limits.pick(is_groq, Turn::Untouched, at(0)).admission.unwrap();
        assert_eq!(admission.candidate.provider, Provider::GROQ);
    }
    assert_eq!(providers(&limits, 0, 2), [Provider::GROQ, Provider::CEREBRAS]);
}

#[test]
fn a_resting_provider_is_passed_over_and_the_others_stay_even() {
    let limits = book(vec![GROQ, CEREBRAS, GEMINI]);
    fail(&limits, 0, &failure(Reason::Overloaded, Scope::Provider, None));
    let served = providers(&limits, 1, 10);
    for provider in [Provider::CEREBRAS, Provider::GEMINI] {
        assert_eq!(served.iter().filter(|it| **it == provider).count(), 5);
    }
    let pick = limits.pick(|_| true, Turn::Taken, at(1));
    assert_eq!(pick.passed_over, [PassedOver { provider: Provider::GROQ, reason: Reason::Overloaded }]);
}

/// For each reason: how long the place rests, when nothing is stated and when 90 s are.
#[test]
fn rests_last_as_long_as_their_reason_says() {
    let cases = [
        (Reason::RateLimited, Scope::KeyModel, 60, 90),
        (Reason::QuotaExhausted, Scope::KeyModel, 3_600, 90),
        (Reason::BadKey, Scope::Key, 600, 600),
        (Reason::NoCredit, Scope::Key, 600, 600),
        (Reason::Overloaded, Scope::Provider, 5, 30),
        (Reason::Timeout, Scope::Provider, 5, 30),
        (Reason::ConnectFailed, Scope::Provider, 5, 30),
        (Reason::BrokenStream, Scope::Provider, 5, 30),
        (Reason::EmptyAnswer, Scope::Provider, 5, 30),
        (Reason::UpstreamError, Scope::Provider, 5, 30),
    ];
    for (reason, scope, unstated, stated) in cases {
        for (wait, rest) in [(None, unstated), (Some(90), stated)] {
            let limits = book(vec![GROQ]);
            fail(&limits, 0, &failure(reason, scope, wait));
            assert_eq!(pick(&limits, rest - 1), None, "{reason:?} rests until the end");
            let end = limits.soonest(|_| true, at(1));
            match wait {
                None => assert!(is_about(end, rest), "{reason:?} says when it is over: {end:?}"),
                Some(_) => assert_eq!(end, Some(at(rest)), "{reason:?} says when it is over"),
            }
            assert!(pick(&limits, rest + 1).is_some(), "{reason:?} is over");
        }
    }
}

#[test]
fn a_dead_model_never_comes_back_and_its_siblings_serve() {
    let limits = book(vec![Offer { models: 2, ..GROQ }]);
    assert_eq!(fail(&limits, 0, &failure(Reason::ModelGone, Scope::Model, None)).model, 0);
    assert_eq!(pick(&limits, 1_000_000).unwrap().candidate.model, 1);
    fail(&limits, 1_000_000, &failure(Reason::ModelGone, Scope::Model, None));
    assert_eq!(pick(&limits, 100_000_000), None);
    assert_eq!(limits.soonest(|_| true, at(0)), None);
}

#[test]
fn no_wait_is_longer_than_a_month() {
    let limits = book(vec![GROQ]);
    let until = Some(Wait::Until(Timestamp::MAX));
    let absurd = Failure { wait: until, ..Failure::without_answer(Reason::RateLimited, Scope::KeyModel) };
    fail(&limits, 0, &absurd);
    assert_eq!(limits.soonest(|_| true, at(0)), Some(at(31 * 86_400)));
}

/// An older call may report a limit while a newer one probes.
#[test]
fn a_successful_probe_ends_no_rest_that_began_meanwhile() {
    let limits = book(vec![GROQ]);
    let slow = pick(&limits, 0).unwrap();
    fail(&limits, 0, &failure(Reason::RateLimited, Scope::KeyModel, Some(5)));
    let mut probe = pick(&limits, 6).unwrap();
    limits.failed(&slow, &failure(Reason::QuotaExhausted, Scope::KeyModel, Some(3_600)), at(7));
    limits.succeeded(&mut probe);
    assert_eq!(limits.soonest(|_| true, at(8)), Some(at(3_607)));
    assert_eq!(pick(&limits, 3_606), None);
    assert!(pick(&limits, 3_607).is_some(), "it may be probed when it is over");
}

#[test]
fn a_request_at_fault_puts_nobody_to_rest() {
    let limits = book(vec![GROQ]);
    fail(&limits, 0, &failure(Reason::BadRequest, Scope::Request, Some(90)));
    assert!(pick(&limits, 0).is_some());
}

#[test]
fn each_scope_reaches_exactly_its_own() {
    let offer = Offer { keys: 2, models: 2, ..GROQ };
    let cases =
        [(Scope::Request, 4), (Scope::KeyModel, 3), (Scope::Key, 2), (Scope::Model, 2), (Scope::Provider, 0)];
    for (scope, expected) in cases {
        let limits = book(vec![offer]);
        fail(&limits, 0, &failure(Reason::RateLimited, scope, None));
        let all = (0..2).flat_map(|key| (0..2).map(move |model| (key, model)));
        let left = all.filter(|&(key, model)| {
            let this = |it: Candidate| it.key == key && it.model == model;
            limits.pick(this, Turn::Untouched, at(1)).admission.is_some()
        });
        assert_eq!(left.count(), expected, "{scope:?}");
    }
}

#[test]
fn keys_take_turns_and_the_best_model_comes_first() {
    let limits = book(vec![Offer { keys: 2, models: 2, ..GROQ }]);
    let picked: Vec<_> =
        (0..4).map(|_| pick(&limits, 0).unwrap().candidate).map(|it| (it.key, it.model)).collect();
    assert_eq!(picked, [(0, 0), (1, 0), (0, 0), (1, 0)]);
}

#[test]
fn one_probe_at_a_time_decides_whether_a_rest_is_over() {
    let limits = book(vec![GROQ]);
    let down = failure(Reason::Overloaded, Scope::Provider, None);
    fail(&limits, 0, &down);

    let probe = pick(&limits, 6).unwrap();
    assert_eq!(pick(&limits, 6), None, "a second request does not probe");
    assert_eq!(limits.soonest(|_| true, at(6)), Some(at(7)), "it may come back in a second");
    limits.abandoned(&probe);
    let mut probe = pick(&limits, 7).expect("an abandoned probe makes room for another");
    limits.succeeded(&mut probe);
    assert!(pick(&limits, 7).is_some() && pick(&limits, 7).is_some(), "all is well again");
}

#[test]
fn rests_grow_with_every_failed_probe_and_begin_anew_after_a_success() {
    let limits = book(vec![GROQ]);
    let down = failure(Reason::UpstreamError, Scope::Provider, None);
    let mut now = 0;
    for rest in [5, 10, 20, 30, 30] {
        fail(&limits, now, &down);
        assert_eq!(pick(&limits, now + rest - 1), None, "after {now} s");
        now += rest + 1;
    }
    let mut probe = pick(&limits, now).unwrap();
    limits.succeeded(&mut probe);
    fail(&limits, now, &down);
    assert!(is_about(limits.soonest(|_| true, at(now)), now + 5));
}

#[test]
fn calls_that_were_under_way_make_no_rest_grow() {
    let limits = book(vec![GROQ]);
    let down = failure(Reason::Timeout, Scope::Provider, None);
    let calls: Vec<_> = (0..4).map(|_| pick(&limits, 0).unwrap()).collect();
    for (call, now) in calls.iter().zip([20, 21, 22, 27]) {
        limits.failed(call, &down, at(now));
    }
    assert!(is_about(limits.soonest(|_| true, at(27)), 32));
}

#[test]
fn of_two_rests_the_later_end_counts() {
    let limits = book(vec![GROQ]);
    let first = pick(&limits, 0).unwrap();
    let second = pick(&limits, 0).unwrap();
    limits.failed(&first, &failure(Reason::QuotaExhausted, Scope::KeyModel, Some(1_000)), at(0));
    limits.failed(&second, &failure(Reason::RateLimited, Scope::KeyModel, Some(10)), at(0));
    let pick = limits.pick(|_| true, Turn::Taken, at(500));
    assert_eq!(pick.passed_over, [PassedOver { provider: Provider::GROQ, reason: Reason::QuotaExhausted }]);
    assert_eq!(limits.soonest(|_| true, at(500)), Some(at(1_000)));
}

#[test]
fn the_soonest_is_the_first_of_all_and_the_last_of_one() {
    let limits = book(vec![GROQ, CEREBRAS]);
    fail(&limits, 0, &failure(Reason::RateLimited, Scope::KeyModel, Some(40)));
    fail(&limits, 0, &failure(Reason::RateLimited, Scope::KeyModel, Some(12)));
    assert_eq!(limits.soonest(|_| true, at(0)), Some(at(12)));
    let probe = pick(&limits, 12).unwrap();
    limits.failed(&probe, &failure(Reason::Overloaded, Scope::Provider, None), at(12));
    assert!(is_about(limits.soonest(|it| it.provider == Provider::CEREBRAS, at(13)), 17));
}

/// Of several ways to the same provider, the one that is free first says why it is passed over.
#[test]
fn the_reason_told_is_that_of_the_first_to_come_back() {
    for seconds in [[40, 12, 90], [12, 40, 90], [90, 40, 12]] {
        let limits = book(vec![Offer { models: 3, ..GROQ }]);
        for wait in seconds {
            let reason = if wait == 12 { Reason::RateLimited } else { Reason::QuotaExhausted };
            fail(&limits, 0, &failure(reason, Scope::KeyModel, Some(wait)));
        }
        let pick = limits.pick(|_| true, Turn::Taken, at(1));
        let expected = PassedOver { provider: Provider::GROQ, reason: Reason::RateLimited };
        assert_eq!(pick.passed_over, [expected], "{seconds:?}");
    }
}

#[test]
fn an_allowance_reported_as_used_up_rests_without_a_failure() {
    let limits = book(vec![Offer { models: 2, ..GROQ }]);
    let candidate = pick(&limits, 0).unwrap().candidate;
    limits.exhausted(candidate, Reason::RateLimited, Some(Wait::For(Duration::from_secs(7))), at(0));
    assert_eq!(pick(&limits, 6).unwrap().candidate.model, 1);
    assert_eq!(pick(&limits, 7).unwrap().candidate.model, 0);
}

/// Two models and a spare; `listed` of them are in the key's list.
fn stock(listed: Option<&[usize]>) -> Stock {
    let listed = vec![listed.map(|listed| listed.iter().copied().collect())];
    Stock { ranks: vec![vec![0, 1], vec![2]], listed }
}

#[test]
fn spares_serve_when_answers_have_retired_all_others() {
    let limits = book(vec![Offer { models: 2, ..GROQ }]);
    limits.restock(Provider::GROQ, stock(None), at(0));
    let gone = failure(Reason::ModelGone, Scope::Model, None);
    let limited = failure(Reason::RateLimited, Scope::KeyModel, Some(9));
    assert_eq!(fail(&limits, 0, &gone).model, 0);
    assert_eq!(limits.in_use(Provider::GROQ, at(0)), [1]);
    assert_eq!(fail(&limits, 0, &limited).model, 1);
    assert_eq!(pick(&limits, 1), None, "a limit is no reason to use another model than those wanted");
    assert_eq!(fail(&limits, 9, &failure(Reason::ModelGone, Scope::KeyModel, None)).model, 1);
    assert_eq!(limits.in_use(Provider::GROQ, at(9)), [2]);
    assert_eq!(pick(&limits, 9).unwrap().candidate.model, 2);
}

#[test]
fn a_list_ends_the_rest_of_what_has_come_back_and_of_nothing_else() {
    let limits = book(vec![Offer { models: 2, ..GROQ }]);
    limits.restock(Provider::GROQ, stock(None), at(0));
    fail(&limits, 0, &failure(Reason::ModelGone, Scope::Model, None));
    let no_change = Change::default();
    assert_eq!(limits.restock(Provider::GROQ, stock(Some(&[0, 1, 2])), at(1)), no_change);
    assert_eq!(limits.in_use(Provider::GROQ, at(1)), [1], "the list that had it all the time proves nothing");
    assert_eq!(limits.restock(Provider::GROQ, stock(Some(&[1, 2])), at(2)), no_change);
    let back = Change { back: vec![0], ..Change::default() };
    assert_eq!(limits.restock(Provider::GROQ, stock(Some(&[0, 1])), at(3)), back);
    fail(&limits, 3, &failure(Reason::RateLimited, Scope::KeyModel, Some(9)));
    let lost = Change { lost: vec![0], ..Change::default() };
    assert_eq!(limits.restock(Provider::GROQ, stock(Some(&[1])), at(4)), lost);
    assert_eq!(limits.restock(Provider::GROQ, stock(Some(&[0, 1])), at(5)), back);
    assert_eq!(pick(&limits, 5).unwrap().candidate.model, 1, "a limit is not forgiven");
    assert_eq!(pick(&limits, 12).unwrap().candidate.model, 0);
}

#[test]
fn chance_delays_what_nobody_has_stated_and_nothing_else() {
    let ends = |reason, wait, scope| {
        let end = |seed| {
            let limits = Limits::new(vec![GROQ], fastrand::Rng::with_seed(seed));
            fail(&limits, 0, &failure(reason, scope, wait));
            limits.soonest(|_| true, at(0)).expect("an end")
        };
        (0..50).map(end).collect::<Vec<_>>()
    };
    for (reason, scope, seconds, most_ms) in [
        (Reason::Overloaded, Scope::Provider, 5, 500),
        (Reason::RateLimited, Scope::KeyModel, 60, 1_000),
        (Reason::BadKey, Scope::Key, 600, 1_000),
    ] {
        let ends = ends(reason, None, scope);
        let latest = at(seconds) + Duration::from_millis(most_ms);
        assert!(ends.iter().all(|end| (at(seconds)..=latest).contains(end)), "{reason:?}: {ends:?}");
        assert!(ends.iter().any(|end| *end != ends[0]), "{reason:?}: always the same");
    }
    assert_eq!(ends(Reason::RateLimited, Some(60), Scope::KeyModel), [at(60); 50]);
}

proptest! {
    /// Whatever fails and whenever, the providers that never rest are called evenly, and a provider that
    /// rests is not called at all.
    #[test]
    fn the_healthy_stay_even(steps in prop::collection::vec((0i64..8, any::<bool>()), 1..200)) {
        let limits = book(vec![GROQ, CEREBRAS, GEMINI]);
        let mut now = 0;
        let mut resting_until = 0;
        let mut calls: HashMap<Provider, i64> = HashMap::new();
        for (seconds, fails) in steps {
            now += seconds;
            let mut admission = pick(&limits, now).expect("two of three always serve");
            let provider = admission.candidate.provider;
            *calls.entry(provider).or_default() += 1;
            if provider != Provider::GROQ {
                limits.succeeded(&mut admission);
            } else {
                prop_assert!(now >= resting_until, "called during its rest");
                if fails {
                    limits.failed(&admission, &failure(Reason::RateLimited, Scope::KeyModel, Some(9)), at(now));
                    resting_until = now + 9;
                } else {
                    limits.succeeded(&mut admission);
                }
            }
            let count = |provider| calls.get(&provider).copied().unwrap_or_default();
            prop_assert!((count(Provider::CEREBRAS) - count(Provider::GEMINI)).abs() <= 1);
        }
    }
}
