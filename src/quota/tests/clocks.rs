//! What a jump of a clock does to limits and to the line: daylight saving, standby, and a time of day that is set.

use tokio::sync::Notify;

use super::*;
use crate::middle::Measure;
use crate::quota::line::Turn;

/// One limit that the user has stated, how much of it there is, and after how many seconds all of it is back. Each has
/// room for one request, and starts at midnight in California.
const LIMITS: [(&str, Provider, Measure, u64, i64); 3] = [
    ("each use by itself", Provider::GROQ, Measure::REQUESTS_A_MINUTE, 1, 60),
    ("little by little", Provider::GROQ, Measure::TOKENS_A_MINUTE, 1_000, 60),
    ("with the calendar", Provider::GEMINI, Measure::REQUESTS_A_DAY, 1, 86_400),
];

fn limited(provider: Provider, measure: Measure, most: u64) -> State {
    let models = provider.default_models().take(1).map(str::to_owned).collect();
    let offer = Offer { is_second_tier: false, provider, accounts: 1, models, limits: vec![(measure, most)] };
    State::new(vec![offer], fastrand::Rng::with_seed(7))
}

/// The only provider, for 800 tokens.
fn wish() -> Wish {
    Wish {
        target: Target::new(vec![Wanted { provider: 0, model: None }], false),
        needs: Needs::default(),
        ruled_out: Vec::new(),
        demand: Demand { prompt: 400, answer: Some(400) },
    }
}

fn ask(state: &mut State, now: Moment) -> Picked {
    state.pick(&wish().criteria(false), now)
}

/// So many seconds after the beginning, by the time of day and by the steady clock.
fn moment(by_wall: i64, by_steady: i64) -> Moment {
    Moment { wall: wall(by_wall), steady: at(by_steady).steady }
}

/// The day on which clocks go forward has 23 hours, and that on which they go back has 25.
#[test]
fn a_day_in_california_may_have_23_or_25_hours() {
    for (now, midnight, hours) in [
        ("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z", 23),
        ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z", 25),
    ] {
        let mut state = limited(Provider::GEMINI, Measure::REQUESTS_A_DAY, 1);
        let (now, midnight): (Timestamp, Timestamp) = (now.parse().unwrap(), midnight.parse().unwrap());
        assert!(ask(&mut state, Moment::at(now)).booking.is_some(), "{hours}");
        let wait = ask(&mut state, Moment::at(now)).soonest.map(|it| it.wait);
        assert_eq!(wait, Some(Duration::from_secs(hours * 3_600)), "what a client is told");
        let just_before = midnight - Duration::from_millis(1);
        assert!(ask(&mut state, Moment::at(just_before)).booking.is_none(), "{hours}");
        assert!(ask(&mut state, Moment::at(midnight)).booking.is_some(), "{hours}");
    }
}

#[test]
fn a_limit_is_over_when_either_clock_says_so() {
    for (name, provider, measure, most, span) in LIMITS {
        let cases = [
            ("time passes", moment(span, span), true),
            ("the machine has slept", moment(span, 1), true),
            ("set back by an hour, and its time has passed", moment(span - 3_600, span), true),
            ("set back by an hour", moment(-3_599, 1), false),
            ("too early", moment(3, 3), false),
        ];
        for (case, later, is_over) in cases {
            let mut state = limited(provider, measure, most);
            assert!(ask(&mut state, at(0)).booking.is_some());
            let picked = ask(&mut state, later);
            assert_eq!(picked.booking.is_some(), is_over, "{name}: {case}");
            if let Some(soonest) = picked.soonest {
                let longest = Duration::from_secs(span.unsigned_abs());
                assert!(soonest.wait <= longest, "{name}: {case}: {:?}", soonest.wait);
            }
        }
    }
}

/// A clock that was set forward by mistake ends a window early, once; when it is put right, nobody has more or waits longer.
#[test]
fn a_clock_that_is_set_forward_and_back_gives_one_window_and_takes_none() {
    for (name, provider, measure, most, span) in LIMITS {
        let mut state = limited(provider, measure, most);
        assert!(ask(&mut state, at(0)).booking.is_some());
        let steps = [
            ("set forward", moment(span, 1), true),
            ("a moment later", moment(span + 1, 2), false),
            ("put right", moment(3, 3), false),
            ("a window later", moment(span + 1, span + 1), true),
        ];
        for (step, now, is_picked) in steps {
            assert_eq!(ask(&mut state, now).booking.is_some(), is_picked, "{name}: {step}");
        }
    }
}

#[test]
fn who_waits_in_line_is_served_when_either_clock_says_so() {
    for (name, provider, measure, most, span) in LIMITS {
        let cases =
            [("the machine has slept", moment(span, 3)), ("set back by an hour", moment(span - 3_600, span))];
        for (case, later) in cases {
            let mut state = limited(provider, measure, most);
            assert!(ask(&mut state, at(0)).booking.is_some());
            let ticket = state.join_line(Arc::new(wish()), Arc::new(Notify::new()), at(1));
            let turn = state.turn(ticket, at(2));
            assert!(matches!(turn, Turn::Waiting { left: Some(_), .. }), "{name}: {case}: {turn:?}");
            let turn = state.turn(ticket, later);
            assert!(matches!(turn, Turn::Picked(..)), "{name}: {case}: {turn:?}");
        }
    }
}
