use proptest::prelude::*;

use super::*;
use crate::providers::Provider;

const MINUTE: Duration = Duration::from_secs(60);
const NANOSECOND: Duration = Duration::from_nanos(1);

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    time("2026-11-23T20:00:10Z")
}

fn size(prompt: u64, longest_answer: u64) -> Size {
    Size { prompt, longest_answer }
}

fn limiter(limits: impl IntoIterator<Item = Limit>) -> Limiter {
    Limiter::new(Plan::each_model(limits))
}

fn one(most: u64, cost: Cost, window: Window) -> Limiter {
    limiter([Limit::new(most, cost, window)])
}

/// Whether a call of that prompt is admitted.
fn admits(limiter: &mut Limiter, prompt: u64, now: Timestamp) -> bool {
    limiter.admit("key", "model", size(prompt, 0), now).is_ok()
}

/// Four tokens, three of them used at 20:00:10; when two more are admitted.
#[test]
fn each_window_gives_back_in_its_own_way() {
    let hour = Duration::from_secs(3_600);
    let cases = [
        (Window::Sliding(MINUTE), "2026-11-23T20:01:10Z"),
        (Window::Refilled(MINUTE), "2026-11-23T20:00:25Z"),
        (Window::Clock(MINUTE), "2026-11-23T20:01:00Z"),
        (Window::Clock(hour), "2026-11-23T21:00:00Z"),
        (Window::Day(Zone::Utc), "2026-11-24T00:00:00Z"),
        (Window::Day(Zone::Pacific), "2026-11-24T08:00:00Z"),
        (Window::Month(Zone::Utc), "2026-12-01T00:00:00Z"),
        (Window::Month(Zone::Pacific), "2026-12-01T08:00:00Z"),
    ];
    for (window, expected) in cases {
        let mut limiter = one(4, Cost::Prompt, window);
        assert!(admits(&mut limiter, 3, noon()), "{window:?}");
        let refusal = limiter.admit("key", "model", size(2, 0), noon()).unwrap_err();
        assert_eq!((refusal.limit, refusal.used, refusal.requested), (4, 3, 2), "{window:?}");
        assert_eq!(noon() + refusal.wait.unwrap(), time(expected), "{window:?}");
        assert!(!admits(&mut limiter, 2, time(expected) - NANOSECOND), "{window:?}");
        assert!(admits(&mut limiter, 2, time(expected)), "{window:?}");
    }
}

#[test]
fn the_pacific_day_ends_at_midnight_in_every_season() {
    let cases = [
        ("winter", "2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z"),
        ("summer", "2026-07-01T07:00:00Z", "2026-07-02T07:00:00Z"),
        ("23 hours", "2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z"),
        ("25 hours", "2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"),
    ];
    for (case, midnight, next) in cases {
        let mut limiter = one(1, Cost::Requests, Window::Day(Zone::Pacific));
        assert!(admits(&mut limiter, 0, time(midnight) - NANOSECOND), "{case}: the day before");
        assert!(admits(&mut limiter, 0, time(midnight)), "{case}: its first moment");
        assert!(!admits(&mut limiter, 0, time(next) - NANOSECOND), "{case}: its last moment");
        assert!(admits(&mut limiter, 0, time(next)), "{case}: the day after");
    }
}

#[test]
fn a_call_costs_what_its_limit_counts() {
    let cases = [
        (Cost::Requests, 1, 1),
        (Cost::Prompt, 20, 22),
        (Cost::Longest, 50, 50),
        (Cost::LongestThenUsed, 50, 27),
    ];
    for window in [Window::Sliding(MINUTE), Window::Refilled(MINUTE), Window::Day(Zone::Utc)] {
        for (cost, before, after) in cases {
            let mut limiter = one(100, cost, window);
            let admitted = limiter.admit("key", "model", size(20, 30), noon()).unwrap();
            assert_eq!(admitted.left[0].left, 100 - before, "{cost:?} {window:?}");
            limiter.settle(admitted.call, Used { prompt: 22, answer: 5 }, noon());
            assert_eq!(limiter.left("key", "model", noon())[0].left, 100 - after, "{cost:?} {window:?}");
        }
    }
}

#[test]
fn nothing_is_given_back_to_another_period() {
    let mut limiter = one(100, Cost::LongestThenUsed, Window::Clock(MINUTE));
    let old = limiter.admit("key", "model", size(0, 90), noon()).unwrap();
    let new = limiter.admit("key", "model", size(0, 60), noon() + MINUTE).unwrap();
    limiter.settle(old.call, Used::default(), noon() + MINUTE);
    assert_eq!(limiter.left("key", "model", noon() + MINUTE)[0].left, 40);
    limiter.settle(new.call, Used::default(), noon() + MINUTE);
    assert_eq!(limiter.left("key", "model", noon() + MINUTE)[0].left, 100);
}

#[test]
fn what_an_answer_takes_beyond_its_charge_is_missing_afterwards() {
    for (window, wait) in [(Window::Refilled(MINUTE), 66), (Window::Sliding(MINUTE), 60)] {
        let mut limiter = one(100, Cost::LongestThenUsed, window);
        let admitted = limiter.admit("key", "model", size(10, 0), noon()).unwrap();
        limiter.settle(admitted.call, Used { prompt: 10, answer: 100 }, noon());
        let room = limiter.room_in("key", "model", size(100, 0), noon());
        assert_eq!(room, Some(Duration::from_secs(wait)), "{window:?}");
    }
}

#[test]
fn calls_under_way_count_until_they_are_settled() {
    let mut limiter = one(2, Cost::Prompt, Window::AtOnce);
    let first = limiter.admit("key", "model", size(7, 7), noon()).unwrap();
    let second = limiter.admit("key", "model", size(7, 7), noon()).unwrap();
    assert_eq!(second.left[0].left, 0);
    assert!(!admits(&mut limiter, 7, noon() + MINUTE));
    limiter.settle(first.call, Used::default(), noon());
    assert!(admits(&mut limiter, 7, noon()));
}

#[test]
fn refused_calls_count_only_where_the_plan_says_so() {
    for refused_count in [false, true] {
        let limits = [
            Limit::new(2, Cost::Requests, Window::Sliding(MINUTE)),
            Limit::new(10, Cost::Prompt, Window::Sliding(MINUTE)),
        ];
        let mut limiter = Limiter::new(Plan { refused_count, ..Plan::each_model(limits) });
        assert!(admits(&mut limiter, 8, noon()));
        assert!(!admits(&mut limiter, 8, noon()), "for its tokens");
        assert_eq!(admits(&mut limiter, 1, noon()), !refused_count);
        // Whoever comes back every second is never admitted.
        let impatient = (1..=60).any(|second| admits(&mut limiter, 1, noon() + Duration::from_secs(second)));
        assert_eq!(impatient, !refused_count);
    }
}

#[test]
fn models_and_accounts_have_limits_of_their_own_beside_the_pool() {
    let minute = Window::Sliding(MINUTE);
    let pool = vec![Limit::new(3, Cost::Requests, minute)];
    let models = vec![
        ("flash-lite", vec![Limit::new(2, Cost::Requests, minute)]),
        ("flash", vec![Limit::new(1, Cost::Requests, minute)]),
    ];
    let mut limiter = Limiter::new(Plan { pool, models, ..Plan::default() });
    let calls = [
        ("a", "x-flash", true),
        ("a", "x-flash", false),
        ("a", "y-flash", true),
        ("a", "x-flash-lite", true),
        ("a", "x-flash-lite", false),
        ("a", "gemma", false),
        ("b", "gemma", true),
    ];
    for (index, (key, model, is_admitted)) in calls.into_iter().enumerate() {
        assert_eq!(limiter.admit(key, model, size(1, 1), noon()).is_ok(), is_admitted, "call {index}");
    }
}

#[test]
fn a_refusal_charges_no_limit_at_all() {
    let minute = Window::Sliding(MINUTE);
    let limits = [Limit::new(10, Cost::Requests, minute), Limit::new(5, Cost::Prompt, minute)];
    let mut limiter = limiter(limits);
    let refusal = limiter.admit("key", "model", size(6, 0), noon()).unwrap_err();
    assert_eq!((refusal.cost, refusal.wait), (Cost::Prompt, None), "the call alone is too large");
    assert_eq!(refusal.left.iter().map(|it| it.left).collect::<Vec<_>>(), [10, 5]);
    assert_eq!(limiter.room_in("key", "model", size(6, 0), noon()), None);
}

/// The figures that were quoted of real refusals: 86.4 s for a request of a thousand a day.
#[test]
fn published_plans_wait_as_their_providers_say() {
    let mut groq = Limiter::new(Plan::published(Provider::GROQ));
    let mut now = noon();
    let mut refused = None;
    for _ in 0..1_100 {
        refused = groq.admit("key", "openai/gpt-oss-20b", size(1, 1), now).err();
        now += Duration::from_millis(2_001);
        if refused.is_some() {
            break;
        }
    }
    let refusal = refused.unwrap();
    assert_eq!((refusal.cost, refusal.span, refusal.limit), (Cost::Requests, Span::Day, 1_000));
    assert!(refusal.wait.unwrap() <= Duration::from_millis(86_400), "{:?}", refusal.wait);
    let day = groq.left("key", "openai/gpt-oss-20b", now)[1];
    assert!(day.whole_in > Duration::from_secs(86_000), "{day:?}");
}

#[test]
fn published_plans_have_the_limits_of_each_model() {
    let most = |provider, model| {
        let plan = Plan::published(provider);
        plan.limits_of(model).iter().map(|limit| limit.most).collect::<Vec<_>>()
    };
    assert_eq!(most(Provider::GROQ, "openai/gpt-oss-20b"), [30, 1_000, 8_000, 200_000]);
    assert_eq!(most(Provider::GROQ, "groq/compound-mini"), [30, 250, 70_000]);
    assert_eq!(most(Provider::CEREBRAS, "gpt-oss-120b"), [5, 30_000, 1_000_000, 1_000_000]);
    assert_eq!(most(Provider::GEMINI, "gemini-3.5-flash-lite"), [15, 250_000, 500]);
    assert_eq!(most(Provider::GEMINI, "gemini-3.8-flash"), [5, 250_000, 20]);
    assert_eq!(most(Provider::GEMINI, "gemma-4-31b-it"), [30, 16_000, 14_400]);
    assert_eq!(most(Provider::GEMINI, "gemini-3.1-pro-preview"), [0], "nothing of it is free");
}

fn windows() -> impl Strategy<Value = Window> {
    prop_oneof![
        Just(Window::Sliding(MINUTE)),
        Just(Window::Refilled(MINUTE)),
        Just(Window::Refilled(Duration::from_millis(7_777))),
        Just(Window::Clock(MINUTE)),
        Just(Window::Day(Zone::Pacific)),
        Just(Window::Month(Zone::Utc)),
    ]
}

/// Times between calls in milliseconds, and their prompts.
fn calls() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0_u64..20_000, 0_u64..60), 1..80)
}

/// The calls that are admitted, with their times.
fn admitted(limiter: &mut Limiter, calls: &[(u64, u64)]) -> Vec<(Timestamp, u64)> {
    let mut now = noon();
    let mut admitted = Vec::new();
    for (gap_ms, prompt) in calls {
        now += Duration::from_millis(*gap_ms);
        if admits(limiter, *prompt, now) {
            admitted.push((now, *prompt));
        }
    }
    admitted
}

proptest! {
    #[test]
    fn no_sliding_window_holds_more_than_the_limit(calls in calls(), most in 1_u64..200) {
        let admitted = admitted(&mut one(most, Cost::Prompt, Window::Sliding(MINUTE)), &calls);
        for (end, _) in &admitted {
            let within = admitted.iter().filter(|(at, _)| at <= end && *at + MINUTE > *end);
            prop_assert!(within.map(|(_, prompt)| prompt).sum::<u64>() <= most);
        }
    }

    #[test]
    fn no_span_of_a_bucket_holds_more_than_the_limit_and_what_comes_back(calls in calls(), most in 1_u64..200) {
        let admitted = admitted(&mut one(most, Cost::Prompt, Window::Refilled(MINUTE)), &calls);
        for (first, (start, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (end, prompt) in &admitted[first..] {
                sum += prompt;
                let refilled_ms = window::between(*start, *end).as_millis() as u64 * most;
                prop_assert!(sum * 60_000 <= most * 60_000 + refilled_ms);
            }
        }
    }

    /// So an oracle may sleep until then.
    #[test]
    fn the_stated_wait_is_exact(calls in calls(), most in 1_u64..200, window in windows(), prompt in 1_u64..200) {
        let mut limiter = one(most, Cost::Prompt, window);
        admitted(&mut limiter, &calls);
        let last = noon() + Duration::from_millis(calls.iter().map(|(gap_ms, _)| gap_ms).sum());
        match limiter.room_in("key", "model", size(prompt, 0), last) {
            None => prop_assert!(prompt > most),
            Some(Duration::ZERO) => prop_assert!(admits(&mut limiter, prompt, last)),
            Some(wait) => {
                prop_assert!(!admits(&mut limiter, prompt, last + (wait - NANOSECOND)));
                prop_assert!(admits(&mut limiter, prompt, last + wait));
            }
        }
    }

    /// A bucket that is left alone is whole when it said.
    #[test]
    fn what_is_left_adds_up(calls in calls(), most in 1_u64..200) {
        let mut limiter = one(most, Cost::Prompt, Window::Refilled(MINUTE));
        admitted(&mut limiter, &calls);
        let last = noon() + Duration::from_millis(calls.iter().map(|(gap_ms, _)| gap_ms).sum());
        let now = limiter.left("key", "model", last)[0];
        prop_assert!(now.left <= most);
        prop_assert_eq!(limiter.left("key", "model", last + now.whole_in)[0].left, most);
    }
}
