//! What becomes of reservations: every attempt has one outcome.

use super::*;

const CAUSES: [Cause; 4] =
    [Cause::OutOfTime, Cause::EmptyAnswer, Cause::GenerationUnreadable, Cause::RequestRefused];

proptest! {
    /// Whatever the outcomes of attempts and their order: each attempt has one outcome, and only complete answers use
    /// tokens.
    #[test]
    fn every_attempt_has_one_outcome(
        ends in prop::collection::vec((0usize..6, any::<bool>(), any::<bool>()), 1..60),
    ) {
        let models = vec!["best".to_owned(), "second".to_owned()];
        let offers = Directory::core().into_iter();
        let offers = offers.map(|provider| Offer { is_second_tier: false, provider, accounts: 2, models: models.clone(), limits: Vec::new() });
        let clock: Clock = Arc::new(|| Moment::at(Timestamp::UNIX_EPOCH));
        let quota = Arc::new(Quota::new(offers.collect(), clock, fastrand::Rng::with_seed(7)));
        let target = anybody();
        let needs = Needs::default();
        let mut open = Vec::new();
        let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
        let mut attempts = 0;
        for (end, begins, ends_at_once) in ends {
            let pick = quota.pick(&Criteria { target: &target, needs: &needs, ruled_out: &[], demand: Demand::default(), can_wait: false });
            let Some(mut reservation) = pick.reservation else { break };
            attempts += 1;
            if begins {
                reservation.has_begun(Some(Duration::from_millis(1)));
            }
            open.push((reservation, end));
            if ends_at_once {
                end_all(&mut open, &mut expected);
            }
        }
        end_all(&mut open, &mut expected);
        let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
        let mut tokens = 0;
        for model in quota.snapshot().iter().flat_map(|provider| &provider.models) {
            tokens += model.stats.recorded().completion_tokens.sum;
            for (outcome, count) in model.stats.outcomes() {
                *outcomes.entry(outcome.as_str()).or_default() += count;
            }
        }
        let counts: Counts = quota.counts().into_iter().map(|(_, counts)| counts).sum();
        let failures = outcomes.iter().filter(|(word, _)| !["ok", "cancelled"].contains(word));
        let failures = failures.map(|(_, count)| count).sum();
        prop_assert_eq!(counts, Counts { attempts, failures });
        prop_assert_eq!(outcomes.values().sum::<u64>(), attempts);
        prop_assert_eq!(tokens, 5 * expected.get("ok").copied().unwrap_or_default());
        prop_assert_eq!(outcomes, expected);
    }
}

fn end_all(open: &mut Vec<(Reservation, usize)>, expected: &mut BTreeMap<&str, u64>) {
    for (reservation, end) in open.drain(..) {
        let word = match CAUSES.get(end) {
            Some(cause) => {
                reservation.failed(&Failure::without_answer(*cause));
                cause.reason().as_str()
            }
            None if end == CAUSES.len() => {
                let (prompt_tokens, completion_tokens, total_tokens) = (9, 5, 14);
                let (cached_tokens, reasoning_tokens) = (None, None);
                reservation.complete(Some(Usage {
                    prompt_tokens,
                    completion_tokens,
                    total_tokens,
                    cached_tokens,
                    reasoning_tokens,
                }));
                "ok"
            }
            None => {
                drop(reservation);
                "cancelled"
            }
        };
        *expected.entry(word).or_default() += 1;
    }
}
