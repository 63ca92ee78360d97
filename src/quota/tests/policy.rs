//! Every cause of the policy table: how far it reaches, how long, how it grows, and what lifts it.

use super::*;
use crate::middle::{Effect, Policy, Scope};

/// What one failure does to a provider with two accounts and two models, of which the first of each has failed.
struct Expected {
    cause: Cause,
    /// Who is affected: `-` nobody, `am` the model with the account, `a` the account, `m` the model, `p` everybody.
    reach: &'static str,
    /// `blocked`, `demoted`, or `well` if nobody is affected.
    effect: &'static str,
    /// For how many seconds, if nothing is stated and the first, second, third and tenth time in a row. 0 is for ever.
    unstated: [i64; 4],
    /// The same if 90 seconds are stated.
    stated: i64,
    /// What lifts it when its time is over: `time`, `head` or `event`; or a `list` at any time.
    lifted_by: &'static str,
}

const fn row(
    cause: Cause,
    reach: &'static str,
    effect: &'static str,
    unstated: [i64; 4],
    stated: i64,
    lifted_by: &'static str,
) -> Expected {
    Expected { cause, reach, effect, unstated, stated, lifted_by }
}

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

const TABLE: [Expected; 29] = [
    row(Cause::RateLimited, "am", "blocked", [60; 4], 90, "time"),
    row(Cause::QuotaExhausted, "am", "blocked", [HOUR; 4], 90, "time"),
    row(Cause::AccountLimited, "a", "blocked", [60; 4], 90, "time"),
    row(Cause::AccountExhausted, "a", "blocked", [HOUR; 4], 90, "time"),
    row(Cause::HiddenLimit, "am", "blocked", [60, 120, 240, 1_800], 90, "event"),
    row(Cause::KeyRefused, "a", "blocked", [600; 4], 600, "head"),
    row(Cause::CreditSpent, "a", "blocked", [600; 4], 600, "head"),
    row(Cause::NotInPlan, "am", "blocked", [DAY; 4], DAY, "head"),
    row(Cause::ModelGone, "m", "blocked", [0; 4], 0, "list"),
    row(Cause::ModelNotForAccount, "am", "blocked", [0; 4], 0, "list"),
    row(Cause::ModelGoneButListed, "am", "blocked", [HOUR; 4], HOUR, "head"),
    row(Cause::NotFound, "m", "blocked", [600; 4], 600, "head"),
    row(Cause::TooLarge, "-", "well", [0; 4], 0, "time"),
    row(Cause::ContextTooLong, "-", "well", [0; 4], 0, "time"),
    row(Cause::RequestRefused, "-", "well", [0; 4], 0, "time"),
    row(Cause::Moderated, "-", "well", [0; 4], 0, "time"),
    row(Cause::Overloaded, "am", "demoted", [5, 10, 20, 30], 30, "event"),
    row(Cause::Loading, "am", "blocked", [2; 4], 10, "time"),
    row(Cause::ServerError, "am", "demoted", [5, 10, 20, 30], 30, "event"),
    row(Cause::Silent, "am", "demoted", [5, 10, 20, 30], 30, "event"),
    row(Cause::BrokenStream, "am", "demoted", [5, 10, 20, 30], 30, "event"),
    row(Cause::NoAnswer, "am", "demoted", [5, 10, 20, 30], 30, "event"),
    row(Cause::EmptyAnswer, "-", "well", [0; 4], 0, "time"),
    row(Cause::GenerationUnreadable, "-", "well", [0; 4], 0, "time"),
    row(Cause::Unreachable, "p", "demoted", [5, 10, 20, 30], 30, "event"),
    row(Cause::ConnectTimeout, "p", "demoted", [5, 10, 20, 30], 30, "event"),
    row(Cause::Intercepted, "p", "demoted", [5, 10, 20, 30], 30, "event"),
    row(Cause::OutOfTime, "-", "well", [0; 4], 0, "time"),
    row(Cause::OutOfDescriptors, "-", "well", [0; 4], 0, "time"),
];

/// How each of account 0 and 1 with model 0 and 1 stands.
fn standings(state: &State, now: i64) -> [&'static str; 4] {
    [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(account, model)| {
        let candidate = Candidate { provider: GROQ, account, model };
        match state.provider(GROQ).unwrap().standing(candidate, at(now)) {
            Standing::Well => "well",
            Standing::Demoted(_) => "demoted",
            Standing::Blocked(_) => "blocked",
        }
    })
}

/// A state in which the first account and model have failed so often in a row, each time as soon as they could; and when
/// the last time was.
fn failed(cause: Cause, wait: Option<u64>, times: usize) -> (State, i64) {
    let mut state = state(1, 2, 2);
    let mut now = 0;
    for time in 0..times {
        let wanted = Wanted { provider: GROQ, model: Some(0) };
        let target = Target::new(vec![wanted], true);
        let other = [RuledOut::Place(Place::Account(GROQ, 1))];
        let criteria = Criteria {
            target: &target,
            needs: &Needs::default(),
            ruled_out: &other,
            demand: Demand::default(),
            can_wait: false,
        };
        // The longest wait of a cause that ends is a day and a second of chance.
        now = time as i64 * (DAY + 2);
        let picked = state.pick(&criteria, at(now)).admission().expect("it is over");
        state.failed(picked, &failure(cause, wait), at(now));
    }
    (state, now)
}

#[test]
fn every_cause_reaches_waits_grows_and_ends_as_the_table_says() {
    let in_table: Vec<Cause> = TABLE.iter().map(|row| row.cause).collect();
    assert_eq!(in_table, Cause::ALL, "every cause, in order");
    for Expected { cause, reach, effect, unstated, stated, lifted_by } in TABLE {
        let reached = match reach {
            "-" => [false; 4],
            "am" => [true, false, false, false],
            "a" => [true, true, false, false],
            "m" => [true, false, true, false],
            _ => [true; 4],
        };
        let expected = reached.map(|is_reached| if is_reached { effect } else { "well" });
        assert_eq!(standings(&failed(cause, None, 1).0, 0), expected, "{cause:?}: reach and effect");
        if effect == "well" {
            continue;
        }
        let is_endless = unstated[0] == 0;
        let cases = unstated.into_iter().zip([1, 2, 3, 10]).map(|(seconds, times)| (None, times, seconds));
        for (wait, times, seconds) in cases.chain([(Some(90), 1, stated)]) {
            if is_endless {
                assert_eq!(standings(&failed(cause, wait, 1).0, 100 * DAY)[0], effect, "{cause:?}: no end");
                continue;
            }
            let (state, now) = failed(cause, wait, times);
            let case = format!("{cause:?}, {wait:?} stated, {times} in a row");
            assert_eq!(standings(&state, now + seconds - 1)[0], effect, "{case}: ends early");
            assert_eq!(standings(&state, now + seconds + 1)[0], "well", "{case}: ends late");
        }
        assert_eq!(what_lifts(cause), lifted_by, "{cause:?}");
    }
}

/// What ends the cooldown of `cause` once its time is over and one call is on its way to find out.
fn what_lifts(cause: Cause) -> &'static str {
    let (mut state, _) = failed(cause, None, 1);
    let later = 2 * DAY;
    if standings(&state, later)[0] != "well" {
        state.go_by(GROQ, Stock { ranks: vec![vec![0, 1]], listed: vec![Some([1].into()); 2] }, at(later));
        state.go_by(GROQ, Stock { ranks: vec![vec![0, 1]], listed: vec![Some([0, 1].into()); 2] }, at(later));
        return if standings(&state, later)[0] == "well" { "list" } else { "nothing" };
    }
    let other = [RuledOut::Place(Place::Account(GROQ, 1))];
    let probe = pick_without(&mut state, &other, later).admission().expect("it is over");
    if standings(&state, later)[0] == "well" {
        return "time";
    }
    state.lift(probe, Lift::Head, at(later));
    if standings(&state, later)[0] == "well" {
        return "head";
    }
    state.lift(probe, Lift::FirstEvent, at(later));
    if standings(&state, later)[0] == "well" { "event" } else { "nothing" }
}

/// Only failures of the weather's kind are counted together.
#[test]
fn what_was_announced_or_asked_for_trips_nobody() {
    for cause in Cause::ALL {
        let is_weather =
            [Cause::Overloaded, Cause::ServerError, Cause::Silent, Cause::BrokenStream, Cause::NoAnswer];
        let expected = is_weather.contains(&cause).then_some(3);
        assert_eq!(Policy::of(cause).trips_after, expected, "{cause:?}");
    }
    assert_eq!((Policy::TRIPPED.reach, Policy::TRIPPED.effect), (Scope::Provider, Effect::Demote));
}

/// A stated time is believed up to an hour at a minute's limit, and up to the end of the window at a day's.
#[test]
fn absurd_waits_are_believed_as_far_as_the_limit_goes() {
    let years = Some(100 * 365 * DAY as u64);
    for (cause, longest) in [(Cause::RateLimited, HOUR), (Cause::QuotaExhausted, DAY)] {
        let (state, _) = failed(cause, years, 1);
        assert_eq!(standings(&state, longest - 1)[0], "blocked", "{cause:?}");
        assert_eq!(standings(&state, longest)[0], "well", "{cause:?}");
    }
}

/// "Come back at once", refused again and again: the rest grows until it is as long as an unstated one.
#[test]
fn a_stated_time_of_nothing_grows_while_it_repeats() {
    let mut state = state(1, 1, 1);
    let mut now = 0;
    for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
        fail(&mut state, now, &failure(Cause::RateLimited, Some(0)));
        assert_eq!(standing(&state, now + rest - 1), "blocked", "after {now} s");
        now += rest;
        assert_eq!(standing(&state, now), "well", "after {now} s");
    }
    let admission = pick(&mut state, now).unwrap();
    succeed(&mut state, admission, now);
    fail(&mut state, now, &failure(Cause::RateLimited, Some(0)));
    assert_eq!(standing(&state, now + 1), "well", "after an answer it begins anew");
}

/// Google states half a minute also when the day's quota is used up: that is tried once.
#[test]
fn a_days_limit_with_a_short_delay_is_tried_once_and_then_believed() {
    let noon: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let after = |seconds: u64| Moment::at(noon + Duration::from_secs(seconds));
    let midnight = 12 * 3_600;
    let spent = Failure { then: Some(Wait::PacificMidnight), ..failure(Cause::QuotaExhausted, Some(34)) };
    let mut state = state(1, 1, 1);
    let criteria = Criteria {
        target: &anybody(),
        needs: &Needs::default(),
        ruled_out: &[],
        demand: Demand::default(),
        can_wait: false,
    };
    let pick = |state: &mut State, seconds| state.pick(&criteria, after(seconds)).admission();
    let crowd: Vec<_> = (0..3).map(|_| pick(&mut state, 0).unwrap()).collect();
    crowd.into_iter().for_each(|call| state.failed(call, &spent, after(0)));
    assert_eq!(pick(&mut state, 33), None);
    let again = pick(&mut state, 34).expect("a crowd that is refused at once is refused once");
    state.failed(again, &spent, after(34));
    assert_eq!(pick(&mut state, midnight - 1), None);
    let early = pick(&mut state, midnight).expect("the day is over");
    state.failed(early, &spent, after(midnight));
    assert!(pick(&mut state, midnight + 34).is_some(), "another day: its delay is tried once again");
}

/// Both clocks are needed: one can be set, the other stands still while a laptop sleeps.
#[test]
fn row_125_a_rest_ends_when_either_clock_says_so() {
    let started = at(0);
    let hour = Duration::from_secs(3_600);
    let moments = [
        ("the time of day was set back", Moment { wall: started.wall - hour, steady: started.steady + hour }),
        ("the machine has slept", Moment { wall: started.wall + hour, steady: started.steady }),
    ];
    for cause in [Cause::RateLimited, Cause::QuotaExhausted, Cause::KeyRefused, Cause::Overloaded] {
        for (case, moment) in moments {
            let mut state = state(1, 1, 1);
            fail(&mut state, 0, &failure(cause, Some(90)));
            let candidate = Candidate { provider: GROQ, account: 0, model: 0 };
            let standing = |state: &State, now| state.provider(GROQ).unwrap().standing(candidate, now);
            assert_eq!(standing(&state, moment), Standing::Well, "{cause:?}: {case}");
            let set_back = Moment { wall: started.wall - hour, steady: started.steady };
            let (Standing::Blocked(it) | Standing::Demoted(it)) = standing(&state, set_back) else {
                panic!("{cause:?} is not over yet")
            };
            assert!(
                it.until <= set_back.wall + Duration::from_secs(600),
                "{cause:?}: clients are told no more"
            );
        }
    }
}
