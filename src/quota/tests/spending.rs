//! Which model of a provider is spent on whom.

use super::*;

/// Flash, of which there are 20 a day, and Gemma, of which there is plenty but few tokens a minute.
const FLASH: usize = 0;
const GEMMA: usize = 1;
/// Gemma could take it, with most of its minute.
const LARGE: u64 = 12_000;
const SMALL: u64 = 100;

/// Half an hour after midnight in California.
const MORNING: i64 = 8 * 3_600 + 1_800;

fn gemini() -> State {
    let models = vec!["gemini-3.8-flash".to_owned(), "gemma-4-31b-it".to_owned()];
    let offer =
        Offer { is_second_tier: false, provider: Provider::GEMINI, accounts: 1, models, limits: Vec::new() };
    State::new(vec![offer], fastrand::Rng::with_seed(7))
}

/// Which model takes a prompt of this size, so many minutes after [`MORNING`].
fn model(state: &mut State, prompt: u64, is_pinned: bool, minute: i64) -> Option<usize> {
    let target = Target::new(vec![Wanted { provider: 0, model: None }], is_pinned);
    let criteria = Criteria {
        target: &target,
        needs: &Needs::default(),
        ruled_out: &[],
        demand: Demand { prompt, answer: Some(100) },
        can_wait: true,
    };
    let booking = state.pick(&criteria, midnight_and(MORNING + 60 * minute)).booking?;
    state.accepted(&booking, midnight_and(MORNING + 60 * minute));
    Some(booking.admission.candidate.model)
}

fn midnight_and(seconds: i64) -> Moment {
    Moment::at("2026-11-23T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds as u64))
}

#[test]
fn the_best_model_comes_first_while_all_requests_are_alike() {
    let mut state = gemini();
    for minute in 0..20 {
        assert_eq!(model(&mut state, SMALL, false, minute), Some(FLASH), "minute {minute}");
    }
}

/// Two of the twenty are free, and one in 72 minutes.
#[test]
fn small_requests_leave_a_days_rest_to_those_that_need_it() {
    let mut state = gemini();
    for minute in 0..4 {
        assert_eq!(model(&mut state, LARGE, false, minute), Some(FLASH), "minute {minute}");
    }
    assert_eq!(model(&mut state, SMALL, false, 4), Some(GEMMA));
    assert_eq!(model(&mut state, LARGE, false, 5), Some(FLASH));
    assert_eq!(
        model(&mut state, SMALL, true, 6),
        Some(FLASH),
        "whoever names a provider gets its best model"
    );
    assert_eq!(model(&mut state, SMALL, false, 67), Some(FLASH), "nobody has needed it for an hour");
}

/// The first of the day already shows that there are such requests, whoever they were sent to.
#[test]
fn demand_is_noticed_before_the_day_runs_short() {
    for is_pinned in [false, true] {
        let mut state = gemini();
        assert_eq!(model(&mut state, LARGE, is_pinned, 0), Some(FLASH));
        assert_eq!(model(&mut state, SMALL, false, 1), Some(FLASH));
        assert_eq!(model(&mut state, SMALL, false, 2), Some(FLASH), "a tenth is free");
        assert_eq!(model(&mut state, SMALL, false, 3), Some(GEMMA), "pinned: {is_pinned}");
    }
}

/// Nobody knows if five a minute are all. It is not for a small request to find out.
#[test]
fn small_requests_do_not_explore_what_is_left_to_others() {
    let mut state = gemini();
    for call in 0..5 {
        assert_eq!(model(&mut state, LARGE, false, 0), Some(FLASH), "call {call}");
    }
    assert_eq!(model(&mut state, SMALL, false, 0), Some(GEMMA));
}

/// Tools are no question of size.
#[test]
fn a_model_that_alone_can_do_it_is_left_to_it() {
    let mut state = gemini();
    let target = Target::new(vec![Wanted { provider: 0, model: None }], false);
    let needs = Needs { tools: true, ..Needs::default() };
    for minute in 0..4 {
        let demand = Demand { prompt: SMALL, answer: Some(100) };
        let criteria = Criteria { target: &target, needs: &needs, ruled_out: &[], demand, can_wait: true };
        let picked = state.pick(&criteria, midnight_and(MORNING + 60 * minute));
        assert_eq!(picked.admission().map(|it| it.candidate.model), Some(FLASH));
    }
    assert_eq!(model(&mut state, SMALL, false, 4), Some(GEMMA));
}

/// The lesser model is full: nobody waits or goes elsewhere for the sake of those who may come.
#[test]
fn what_is_left_to_others_is_taken_when_nothing_else_is_there() {
    let mut state = gemini();
    for minute in 0..4 {
        model(&mut state, LARGE, false, minute);
    }
    let gemma = Wanted { provider: 0, model: Some(GEMMA) };
    let target = Target::new(vec![gemma], true);
    let demand = Demand { prompt: 14_000, answer: Some(100) };
    let needs = Needs::default();
    let criteria = Criteria { target: &target, needs: &needs, ruled_out: &[], demand, can_wait: true };
    assert!(state.pick(&criteria, midnight_and(MORNING + 240)).booking.is_some());
    assert_eq!(model(&mut state, 1_000, false, 4), Some(FLASH));
}
