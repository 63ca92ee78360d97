//! What limits let through: guesses, stated limits, what is settled, and the line of those who wait.

use tokio::time::Instant;

use super::*;
use crate::middle::{Counted, LimitReading, Measure, Source, Unit};

const MODEL: &str = "openai/gpt-oss-20b";

/// Groq alone, with one key and one model, whose limits the documents name.
fn groq() -> State {
    groq_with(Vec::new())
}

fn groq_with(limits: Vec<(Measure, u64)>) -> State {
    let offer = Offer {
        is_second_tier: false,
        provider: Provider::GROQ,
        accounts: 1,
        models: vec![MODEL.to_owned()],
        limits,
    };
    State::new(vec![offer], fastrand::Rng::with_seed(7))
}

/// A request with a prompt and a longest answer of so many tokens.
fn ask(state: &mut State, prompt: u64, answer: u32, can_wait: bool, now: Moment) -> Picked {
    let target = Target::new(vec![Wanted { provider: GROQ, model: None }], false);
    let demand = Demand { prompt, answer: Some(answer) };
    state.pick(&Criteria { target: &target, needs: &Needs::default(), ruled_out: &[], demand, can_wait }, now)
}

fn header(measure: Measure, limit: u64, remaining: u64, reset: f64) -> LimitReading {
    let reset = Some(Wait::For(Duration::from_secs_f64(reset)));
    LimitReading {
        measure,
        limit: Some(limit),
        remaining: Some(remaining),
        reset,
        refills: true,
        source: Source::Header,
    }
}

fn refusal(measure: Measure, limit: u64, used: u64, wait: f64) -> LimitReading {
    LimitReading { refills: false, source: Source::ErrorBody, ..header(measure, limit, limit - used, wait) }
}

/// How much is left of a limit.
fn left(state: &State, measure: Measure, now: i64) -> Option<u64> {
    let limits = state.provider(GROQ).unwrap().limits(0, 0, state.ticks.read(at(now)));
    limits.into_iter().find(|it| it.measure == measure).and_then(|it| it.remaining)
}

fn seconds(picked: &Picked) -> Option<f64> {
    picked.soonest.as_ref().map(|it| it.wait.as_secs_f64())
}

/// Of 30 requests a minute nobody knows whether they are right: beyond them one call at a time finds out, the others wait,
/// and who cannot wait goes too.
#[test]
fn a_guess_paces_and_refuses_nobody() {
    let mut state = groq();
    for _ in 0..30 {
        assert!(ask(&mut state, 10, 10, true, at(0)).booking.is_some(), "within the guess");
    }
    let explorer = ask(&mut state, 10, 10, true, at(0)).booking.expect("one finds out");
    let waiting = ask(&mut state, 10, 10, true, at(0));
    assert_eq!((waiting.booking, waiting.soonest.map(|it| it.is_unsure)), (None, Some(true)));
    assert!(ask(&mut state, 10, 10, false, at(0)).booking.is_some(), "it cannot wait");
    state.accepted(&explorer, at(1));
    let next = ask(&mut state, 10, 10, true, at(1)).booking.expect("there is more than was guessed");
    state.uncount(&next, Counted::Nothing, at(1));
    state.refused(&next, None, Window::Minute, at(1));
    let refused = ask(&mut state, 10, 10, false, at(1));
    assert_eq!(refused.booking, None, "now it is known");
    assert_eq!(seconds(&refused), Some(59.0), "until the oldest is a minute old");
}

#[test]
fn what_the_user_states_is_kept_to() {
    let mut state = groq_with(vec![(Measure::REQUESTS_A_MINUTE, 2)]);
    let picks = [0, 0, 0, 59, 60].map(|now| ask(&mut state, 10, 10, false, at(now)).booking.is_some());
    assert_eq!(picks, [true, true, false, false, true]);
    let mut state = groq_with(vec![(Measure::TOKENS_A_MINUTE, 1_000)]);
    let large = ask(&mut state, 1_001, 10, false, at(0));
    assert_eq!(large.skipped, [Skipped { provider: GROQ, reason: Reason::TooLarge }], "it will never fit");
    assert_eq!(large.soonest, None);
}

/// Groq's tokens come back at 8,000 a minute.
#[test]
fn what_the_provider_says_replaces_what_was_counted() {
    let mut state = groq();
    let booking = ask(&mut state, 1_000, 1_000, false, at(0)).booking.unwrap();
    let reading = header(Measure::TOKENS_A_MINUTE, 8_000, 1_000, 52.5);
    state.overwrite(&booking, &[reading], IsCounted::Yes, at(0));
    state.accepted(&booking, at(0));
    assert_eq!(left(&state, Measure::TOKENS_A_MINUTE, 0), Some(1_000));
    assert_eq!(left(&state, Measure::TOKENS_A_MINUTE, 30), Some(5_000));
    assert_eq!(
        seconds(&ask(&mut state, 1_000, 1_000, false, at(0))),
        Some(8.557_5),
        "1,000 and a margin, and 1,000 for the answer"
    );
    assert!(ask(&mut state, 500, 400, false, at(0)).booking.is_some(), "who is smaller fits");
    let upwards = header(Measure::TOKENS_A_MINUTE, 16_000, 16_000, 0.0);
    let booking = ask(&mut state, 10, 10, false, at(30)).booking.unwrap();
    state.overwrite(&booking, &[upwards], IsCounted::Yes, at(30));
    assert_eq!(left(&state, Measure::TOKENS_A_MINUTE, 30), Some(16_000), "up, too");
}

/// Two calls are sent, and the head of the first cannot know of the second; nor does it matter which head comes first.
#[test]
fn heads_do_not_forget_calls_that_they_cannot_know_of() {
    for second_head_first in [false, true] {
        let mut state = groq();
        let first = ask(&mut state, 1_000, 1_000, false, at(0)).booking.unwrap();
        let second = ask(&mut state, 1_000, 1_000, false, at(5)).booking.unwrap();
        let heads = [(&first, 6_000), (&second, 4_666)];
        let order = if second_head_first { [1, 0] } else { [0, 1] };
        for number in order {
            let (booking, remaining) = heads[number];
            let reading = header(Measure::TOKENS_A_MINUTE, 8_000, remaining, 25.0);
            state.overwrite(booking, &[reading], IsCounted::Yes, at(5));
            state.accepted(booking, at(5));
        }
        let left = left(&state, Measure::TOKENS_A_MINUTE, 5).unwrap();
        assert!((3_800..=4_700).contains(&left), "{left}, second head first: {second_head_first}");
    }
}

/// "Limit 8000, Used 7905, Requested 1200. Please try again in 9.5s."
#[test]
fn a_refusal_is_believed_in_its_figures_and_in_its_wait() {
    let mut state = groq();
    let booking = ask(&mut state, 600, 600, false, at(0)).booking.unwrap();
    let reading = refusal(Measure::TOKENS_A_MINUTE, 8_000, 7_905, 7.66);
    state.overwrite(&booking, &[reading], IsCounted::No, at(0));
    state.uncount(&booking, Counted::Nothing, at(0));
    assert_eq!(left(&state, Measure::TOKENS_A_MINUTE, 0), Some(95), "the refused call is not counted");
    let wait = seconds(&ask(&mut state, 600, 600, false, at(0))).unwrap();
    assert!((7.6..7.7).contains(&wait), "{wait}: as stated, not as calculated");
}

/// Somebody else uses the key: 30 calls that the proxy has not made.
#[test]
fn a_sliding_limit_has_room_when_the_provider_says_so() {
    let mut state = groq();
    let booking = ask(&mut state, 10, 10, false, at(0)).booking.unwrap();
    let reading = refusal(Measure::REQUESTS_A_MINUTE, 30, 30, 2.0);
    state.overwrite(&booking, &[reading], IsCounted::No, at(0));
    state.uncount(&booking, Counted::Nothing, at(0));
    assert_eq!(seconds(&ask(&mut state, 10, 10, false, at(0))), Some(2.0));
    assert!(ask(&mut state, 10, 10, false, at(2)).booking.is_some());
}

/// 6,000 tokens are reserved, and 100 are used. Whether the rest is given back, the next head shows.
#[test]
fn whether_a_provider_gives_back_is_learned() {
    for gives_back in [true, false] {
        let mut state = groq();
        let mut call = |now, remaining: Option<u64>| {
            let booking = ask(&mut state, 1_000, 5_000, false, at(now)).booking?;
            let remaining = remaining.unwrap_or(2_000);
            let reading = header(Measure::TOKENS_A_MINUTE, 8_000, remaining, 45.0);
            state.overwrite(&booking, &[reading], IsCounted::Yes, at(now));
            state.accepted(&booking, at(now));
            let usage = Usage {
                prompt_tokens: 1_000,
                completion_tokens: 100,
                total_tokens: 1_100,
                cached_tokens: None,
                reasoning_tokens: None,
            };
            state.settle(&booking, 1_000, Some(usage), &[Measure::TOKENS_A_MINUTE], at(now));
            Some(())
        };
        call(0, None).expect("there is room");
        // 3 s later, 400 tokens more are back.
        call(3, Some(if gives_back { 1_300 } else { 0 })).expect("it is not known, so one finds out");
        assert_eq!(call(6, None).is_some(), gives_back);
    }
}

/// A day's quota at Google: it ends with the calendar's day, in California.
#[test]
fn a_calendars_day_ends_when_it_ends_there() {
    let offer = |limits| Offer {
        is_second_tier: false,
        provider: Provider::GEMINI,
        accounts: 1,
        models: vec!["gemini-3.8-flash".to_owned()],
        limits,
    };
    for (now, midnight) in
        [("2026-03-08T07:59:00Z", "2026-03-08T08:00:00Z"), ("2026-11-01T08:00:00Z", "2026-11-02T08:00:00Z")]
    {
        let mut state =
            State::new(vec![offer(vec![(Measure::REQUESTS_A_DAY, 1)])], fastrand::Rng::with_seed(7));
        let (now, midnight): (Timestamp, Timestamp) = (now.parse().unwrap(), midnight.parse().unwrap());
        let just_before = midnight - Duration::from_millis(1);
        let picks = [now, now, just_before, midnight]
            .map(|now| ask(&mut state, 10, 10, false, Moment::at(now)).booking.is_some());
        assert_eq!(picks, [true, false, false, true], "{midnight}");
    }
}

/// The laptop sleeps for an hour, and the time of day is set back by one.
#[test]
fn neither_sleep_nor_a_clock_that_is_set_back_prolongs_a_limit() {
    let moment = |wall_seconds, steady| Moment { wall: wall(wall_seconds), steady: at(steady).steady };
    for (case, later) in [("asleep", moment(3_600, 1)), ("set back", moment(-3_600, 61))] {
        let mut state = groq_with(vec![(Measure::REQUESTS_A_MINUTE, 1)]);
        assert!(ask(&mut state, 10, 10, false, at(0)).booking.is_some());
        assert!(ask(&mut state, 10, 10, false, at(1)).booking.is_none());
        assert!(ask(&mut state, 10, 10, false, later).booking.is_some(), "{case}");
    }
}

proptest! {
    /// Whatever a provider says, what is known of its limits makes sense.
    #[test]
    fn no_figure_makes_nonsense(
        readings in prop::collection::vec((
            prop::option::of(any::<u64>()), prop::option::of(any::<u64>()), prop::option::of(any::<u64>()),
            any::<(bool, bool, bool)>(), 0i64..200_000,
        ), 1..20),
    ) {
        let mut state = groq();
        let mut now = 0;
        for (limit, remaining, reset, (refills, is_error, is_day), later) in readings {
            now += later;
            let measure = if is_day { Measure::REQUESTS_A_DAY } else { Measure::new(Unit::Tokens, Window::Hour) };
            let source = if is_error { Source::ErrorBody } else { Source::Header };
            let reset = reset.map(|seconds| Wait::For(Duration::from_secs(seconds)));
            let reading = LimitReading { measure, limit, remaining, reset, refills, source };
            let Some(booking) = ask(&mut state, 10, 10, false, at(now)).booking else { continue };
            state.overwrite(&booking, &[reading], IsCounted::Yes, at(now));
            state.accepted(&booking, at(now));
            for status in state.provider(GROQ).unwrap().limits(0, 0, state.ticks.read(at(now))) {
                prop_assert_eq!(status.used.zip(status.remaining).map(|(used, left)| used + left), status.limit);
                prop_assert!(status.resets_at.is_none_or(|at| at > wall(now)), "{:?}", status);
            }
        }
    }

    /// However requests come, a limit of calls in any minute is never exceeded, nor one of tokens that come back little by
    /// little; and whoever is told a time finds room then.
    #[test]
    fn stated_limits_are_never_exceeded(
        requests in prop::collection::vec((1u64..900, 1u32..900, 0i64..20), 1..120),
    ) {
        let limits = vec![(Measure::REQUESTS_A_MINUTE, 5), (Measure::TOKENS_A_MINUTE, 2_000)];
        let mut state = groq_with(limits);
        let mut sent: Vec<(i64, u64)> = Vec::new();
        let mut now = 0;
        for (prompt, answer, later) in requests {
            now += later;
            let picked = ask(&mut state, prompt, answer, false, at(now));
            if picked.booking.is_none() {
                let soonest = picked.soonest.expect("it fits one day");
                let then = Moment::at(at(now).wall + soonest.wait + Duration::from_millis(1));
                let again = ask(&mut state, prompt, answer, false, then);
                prop_assert!(again.booking.is_some(), "told {:?}", soonest.wait);
                now += i64::try_from(soonest.wait.as_secs()).unwrap() + 1;
            }
            sent.push((now, prompt + u64::from(answer)));
            let minute = sent.iter().filter(|(at, _)| *at > now - 60);
            prop_assert!(minute.count() <= 5);
            for start in 0..sent.len() {
                let since = &sent[start..];
                let tokens: u64 = since.iter().map(|(_, tokens)| tokens).sum();
                let elapsed = u64::try_from(now - since[0].0).unwrap();
                // The times are rounded up to a second.
                prop_assert!(tokens <= 2_000 + (elapsed + 1) * 2_000 / 60 + 1, "{} in {} s", tokens, elapsed);
            }
        }
    }
}

/// The clock of tokio's paused time.
fn quota(limits: Vec<(Measure, u64)>) -> Arc<Quota> {
    let begun = Instant::now();
    let clock: Clock = Arc::new(move || {
        let elapsed = begun.elapsed();
        Moment { wall: wall(0) + elapsed, steady: elapsed }
    });
    let offer = Offer {
        is_second_tier: false,
        provider: Provider::GROQ,
        accounts: 1,
        models: vec![MODEL.to_owned()],
        limits,
    };
    Arc::new(Quota::new(vec![offer], clock, fastrand::Rng::with_seed(7)))
}

fn wish(prompt: u64) -> Wish {
    Wish {
        target: Target::new(vec![Wanted { provider: GROQ, model: None }], false),
        needs: Needs::default(),
        ruled_out: Vec::new(),
        demand: Demand { prompt, answer: Some(1) },
    }
}

/// Three a minute: the first three are sent at once, and of the others three a minute, in order.
#[tokio::test(start_paused = true)]
async fn who_waits_is_sent_in_order_as_soon_as_there_is_room() {
    let quota = quota(vec![(Measure::REQUESTS_A_MINUTE, 3)]);
    let begun = Instant::now();
    let patience = Duration::from_secs(130);
    let waits = (0..10).map(|number| {
        let quota = quota.clone();
        async move {
            let reservation = quota.wait(wish(10), patience).await.reservation;
            (number, begun.elapsed().as_secs(), reservation.is_some())
        }
    });
    let ends = futures::future::join_all(waits).await;
    let expected: Vec<(usize, u64, bool)> = (0..10)
        .map(|number| match number {
            0..9 => (number, 60 * (number as u64 / 3), true),
            // It would wait for 180 seconds, which is too long, so it does not wait at all.
            _ => (number, 0, false),
        })
        .collect();
    assert_eq!(ends, expected);
    assert_eq!(quota.waiting(), 0);
}

/// A request that needs most of a minute's tokens is not overtaken for ever by small ones that come later.
#[tokio::test(start_paused = true)]
async fn nobody_is_overtaken_for_ever() {
    let quota = quota(vec![(Measure::TOKENS_A_MINUTE, 1_000)]);
    let begun = Instant::now();
    let first = quota.wait(wish(800), Duration::ZERO).await.reservation;
    assert!(first.is_some());
    let large = async {
        assert!(quota.wait(wish(800), Duration::from_secs(100)).await.reservation.is_some());
        begun.elapsed().as_secs()
    };
    let small = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let pick = quota.pick(&wish(100).criteria(true));
        assert!(pick.reservation.is_none(), "there is room, but somebody was there before");
        assert!(quota.wait(wish(100), Duration::from_secs(100)).await.reservation.is_some());
        begun.elapsed().as_secs()
    };
    assert_eq!(futures::future::join(large, small).await, (50, 57));
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_line_makes_room() {
    let quota = quota(vec![(Measure::REQUESTS_A_MINUTE, 1)]);
    let first = quota.wait(wish(10), Duration::ZERO).await.reservation.expect("there is room");
    let leaving = tokio::time::timeout(Duration::from_secs(5), quota.wait(wish(10), Duration::from_secs(70)));
    let staying = quota.wait(wish(10), Duration::from_secs(130));
    let (left, stayed) = futures::future::join(leaving, staying).await;
    assert!(left.is_err() && stayed.reservation.is_some(), "the one behind has the first's turn");
    drop(first);
    assert_eq!(quota.counts()[0].1.attempts, 2, "who has left was never sent");
}

/// A call that fails without being counted makes room at once.
#[tokio::test(start_paused = true)]
async fn room_that_appears_is_used_at_once() {
    let quota = quota(vec![(Measure::REQUESTS_A_MINUTE, 1)]);
    let begun = Instant::now();
    let first = quota.wait(wish(10), Duration::ZERO).await.reservation.expect("there is room");
    let fail = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        first.failed(&failure(Cause::RequestRefused, None));
    };
    let waiting = quota.wait(wish(10), Duration::from_secs(70));
    let (pick, ()) = futures::future::join(waiting, fail).await;
    assert!(pick.reservation.is_some());
    assert_eq!(begun.elapsed().as_secs(), 3);
}

/// The head has told what is left; the margin of the estimate is not given back on top of it.
#[test]
fn a_settled_call_gives_back_nothing_that_the_head_has_not_counted() {
    let mut state = groq();
    let booking = ask(&mut state, 4_000, 1_000, false, at(0)).booking.unwrap();
    state.overwrite(&booking, &[header(Measure::TOKENS_A_MINUTE, 8_000, 3_000, 37.5)], IsCounted::Yes, at(0));
    state.accepted(&booking, at(0));
    let usage = Usage {
        prompt_tokens: 4_000,
        completion_tokens: 1_000,
        total_tokens: 5_000,
        cached_tokens: None,
        reasoning_tokens: None,
    };
    state.settle(&booking, 4_000, Some(usage), &[Measure::TOKENS_A_MINUTE], at(0));
    assert_eq!(left(&state, Measure::TOKENS_A_MINUTE, 0), Some(3_000));
}

/// A limit of a minute has refused a call, and which one is not said: the day is not to blame.
#[test]
fn a_minutes_refusal_leaves_the_day_alone() {
    let mut state = groq();
    let mut last = None;
    for minute in 0..20 {
        last = ask(&mut state, 100, 3_900, false, at(60 * minute)).booking;
    }
    let refused = last.unwrap();
    state.uncount(&refused, Counted::Nothing, at(1_140));
    let before = left(&state, Measure::TOKENS_A_DAY, 1_140).unwrap();
    state.refused(&refused, None, Window::Minute, at(1_140));
    assert_eq!(left(&state, Measure::TOKENS_A_DAY, 1_140), Some(before));
}

/// Somebody has room in a minute for certain; another only by a guess has none. Who cannot wait is not refused for a guess.
#[test]
fn a_guess_refuses_nobody_beside_a_certain_limit() {
    let offer = |provider, model: &str, limits| Offer {
        is_second_tier: false,
        provider,
        accounts: 1,
        models: vec![model.to_owned()],
        limits,
    };
    let offers = vec![
        offer(Provider::GROQ, MODEL, vec![(Measure::REQUESTS_A_MINUTE, 1)]),
        offer(Provider::CEREBRAS, "gpt-oss-120b", Vec::new()),
    ];
    let mut state = State::new(offers, fastrand::Rng::with_seed(7));
    let target = anybody();
    let mut pick = |can_wait| {
        let demand = Demand { prompt: 10, answer: Some(10) };
        let needs = Needs::default();
        state.pick(&Criteria { target: &target, needs: &needs, ruled_out: &[], demand, can_wait }, at(0))
    };
    // One at Groq, five at Cerebras, and the sixth finds out.
    for _ in 0..7 {
        assert!(pick(true).booking.is_some());
    }
    assert!(pick(true).booking.is_none(), "one call at a time");
    assert!(pick(false).booking.is_some(), "it cannot wait");
}

/// More uses than are kept apart: what is merged counts too long by a small part of the window, and no more.
#[test]
fn merged_uses_run_off_in_time() {
    let mut state = groq_with(vec![(Measure::new(Unit::Requests, Window::Hour), 100_000)]);
    for second in 0..3_600 {
        ask(&mut state, 1, 1, false, at(second));
    }
    let hour = Measure::new(Unit::Requests, Window::Hour);
    let half = 100_000 - left(&state, hour, 5_400).unwrap();
    assert!((1_800..1_830).contains(&half), "{half}");
}

/// Two calls at once end the wait of two, although little time has passed since the line was served.
#[tokio::test(start_paused = true)]
async fn no_news_is_lost_because_it_comes_soon() {
    let quota = quota(vec![(Measure::REQUESTS_A_MINUTE, 2)]);
    let begun = Instant::now();
    let first = quota.wait(wish(10), Duration::ZERO).await.reservation.expect("there is room");
    let second = quota.wait(wish(10), Duration::ZERO).await.reservation.expect("there is room");
    let fail = async {
        for reservation in [first, second] {
            tokio::time::sleep(Duration::from_millis(5)).await;
            reservation.failed(&failure(Cause::RequestRefused, None));
        }
    };
    let patience = Duration::from_secs(100);
    let waits = futures::future::join(quota.wait(wish(10), patience), quota.wait(wish(10), patience));
    let ((one, other), ()) = futures::future::join(waits, fail).await;
    assert!(one.reservation.is_some() && other.reservation.is_some());
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
