//! A line that is too long to be looked at in one go.

use super::*;

/// Everybody waits for models that are on nobody's list; then the second provider gets its models.
#[test]
fn who_waits_behind_many_for_somebody_else_is_served_all_the_same() {
    const MODELS: usize = 20;
    const ACCOUNTS: usize = 5;
    let mut state = state(2, ACCOUNTS, MODELS);
    let stock = |listed: &[usize]| Stock {
        ranks: vec![(0..MODELS).collect()],
        listed: vec![Some(listed.iter().copied().collect()); ACCOUNTS],
    };
    state.go_by(GROQ, stock(&[]), at(0));
    state.go_by(CEREBRAS, stock(&[]), at(0));
    let join = |state: &mut State, provider| {
        let wish = Wish {
            target: Target::new(vec![Wanted { provider, model: None }], true),
            needs: Needs::default(),
            ruled_out: Vec::new(),
            demand: Demand::default(),
        };
        state.join_line(Arc::new(wish), Arc::default(), at(0))
    };
    for _ in 0..50 {
        join(&mut state, GROQ);
    }
    let last: u64 = join(&mut state, CEREBRAS);
    state.go_by(CEREBRAS, stock(&[0]), at(1));
    let goes = (2..6).find(|second| {
        state.serve_line_soon(at(*second));
        !state.line.called().is_empty()
    });
    assert!(goes.is_some_and(|second| second > 2), "more than one go is needed: {goes:?}");
    assert_eq!(state.line.called(), [last]);
}
