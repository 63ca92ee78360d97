//! Models that a client prefers: first as long as they are well, and everybody else as ever.

use super::*;

const GEMINI: usize = 2;

/// Everybody, of whom these come first.
fn preferring(wanted: &[(usize, usize)]) -> Target {
    let wanted = wanted.iter().map(|&(provider, model)| Wanted { provider, model: Some(model) });
    anybody().preferring(Target::new(wanted.collect(), true))
}

fn pick_of(state: &mut State, target: &Target, can_wait: bool, now: i64) -> Picked {
    let (needs, demand) = (Needs::default(), Demand { prompt: 10, answer: Some(10) });
    state.pick(&Criteria { target, needs: &needs, ruled_out: &[], demand, can_wait }, at(now))
}

fn picked(state: &mut State, target: &Target, now: i64) -> Option<(usize, usize)> {
    let admission = pick_of(state, target, false, now).admission()?;
    succeed(state, admission, now);
    Some((admission.candidate.provider, admission.candidate.model))
}

#[test]
fn a_preferred_model_comes_first_and_takes_its_turn() {
    let mut state = state(3, 1, 2);
    let second = preferring(&[(CEREBRAS, 1)]);
    assert_eq!(picked(&mut state, &second, 0), Some((CEREBRAS, 1)), "out of its turn");
    assert_eq!(picked(&mut state, &second, 0), Some((CEREBRAS, 1)), "every time");
    assert_eq!(providers(&mut state, 0, 4), [GROQ, GEMINI, CEREBRAS, GROQ], "it has had its turn");
}

#[test]
fn several_preferred_take_turns() {
    let mut state = state(3, 1, 2);
    let two = preferring(&[(GROQ, 1), (GEMINI, 0)]);
    let all: Vec<_> = (0..4).filter_map(|_| picked(&mut state, &two, 0)).collect();
    assert_eq!(all, [(GROQ, 1), (GEMINI, 0), (GROQ, 1), (GEMINI, 0)]);
}

#[test]
fn who_prefers_one_that_rests_or_fails_is_served_by_everybody_in_turn() {
    for cause in [Cause::RateLimited, Cause::ServerError, Cause::ModelGone, Cause::KeyRefused] {
        let mut state = state(3, 1, 1);
        let gemini = preferring(&[(GEMINI, 0)]);
        let admission = pick_of(&mut state, &gemini, false, 0).admission().expect("it is well");
        assert_eq!(admission.candidate.provider, GEMINI, "{cause:?}");
        state.failed(admission, &failure(cause, Some(60)), at(0));
        let others: Vec<_> = (0..3).filter_map(|_| picked(&mut state, &gemini, 1)).collect();
        assert_eq!(others, [(GROQ, 0), (CEREBRAS, 0), (GROQ, 0)], "{cause:?}: the rotation goes on");
        let waiting = pick_of(&mut state, &gemini, true, 1);
        assert!(waiting.booking.is_some(), "{cause:?}: nobody waits for it");
    }
}

/// Groq's documents say 30 requests a minute; of Cerebras's model here they say nothing.
#[test]
fn a_preferred_model_is_explored_by_one_call_and_nobody_waits_for_that() {
    let offer = |provider, model: &str| Offer {
        is_second_tier: false,
        provider,
        accounts: 1,
        models: vec![model.to_owned()],
        limits: Vec::new(),
    };
    let offers = vec![offer(Provider::GROQ, "openai/gpt-oss-20b"), offer(Provider::CEREBRAS, "m")];
    let mut state = State::new(offers, fastrand::Rng::with_seed(7));
    let groq = preferring(&[(GROQ, 0)]);
    let mut provider =
        |can_wait| pick_of(&mut state, &groq, can_wait, 0).admission().map(|it| it.candidate.provider);
    let within: Vec<_> = (0..30).filter_map(|_| provider(true)).collect();
    assert_eq!(within, [GROQ; 30], "within the guess");
    assert_eq!(provider(true), Some(GROQ), "one finds out");
    assert_eq!([provider(true), provider(false)], [Some(CEREBRAS); 2], "the others go elsewhere meanwhile");
}

#[test]
fn a_preferred_model_of_the_second_tier_comes_first_too() {
    let mut state = state(3, 1, 1);
    state.providers[CEREBRAS].is_second_tier = true;
    assert_eq!(providers(&mut state, 0, 3), [GROQ, GEMINI, GROQ]);
    assert_eq!(picked(&mut state, &preferring(&[(CEREBRAS, 0)]), 0), Some((CEREBRAS, 0)));
}

proptest! {
    /// Whatever fails and rests: whoever prefers a model is served if and only if somebody is, by it whenever it is well.
    #[test]
    fn to_prefer_costs_nobody_an_answer(
        steps in prop::collection::vec((0_usize..3, 0_usize..2, 0_usize..5, 0_i64..40), 1..60),
    ) {
        let causes = [Cause::RateLimited, Cause::ServerError, Cause::ModelGone, Cause::BrokenStream];
        let mut state = state(3, 1, 2);
        let mut now = 0;
        for (provider, model, outcome, seconds) in steps {
            now += seconds;
            let wanted = Candidate { provider, account: 0, model };
            let is_well = matches!(
                state.provider(provider).expect("it is there").standing(wanted, at(now)),
                Standing::Well
            );
            let anybody_can = {
                let criteria = Criteria {
                    target: &anybody(), needs: &Needs::default(), ruled_out: &[], demand: Demand::default(),
                    can_wait: false,
                };
                state.has_candidate(&criteria, at(now))
            };
            let admission = pick_of(&mut state, &preferring(&[(provider, model)]), false, now).admission();
            prop_assert_eq!(admission.is_some(), anybody_can);
            let Some(admission) = admission else { continue };
            if is_well {
                prop_assert_eq!(admission.candidate, wanted);
            }
            match causes.get(outcome) {
                Some(&cause) => state.failed(admission, &failure(cause, Some(30)), at(now)),
                None => succeed(&mut state, admission, now),
            }
        }
    }
}
