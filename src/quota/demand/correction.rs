//! How far a provider's own count of tokens lies from the estimate, learned from the usage in its answers.

/// No tokenizer of a provider differs more from the estimate; what does is a mistake, or leaves out what was cached.
const LEAST: f64 = 0.5;
const MOST: f64 = 2.5;

/// An estimate above it counts no more than this: one long conversation is not to outweigh ten others.
const FULL_TOKENS: f64 = 1_000.0;

/// What is remembered: eight answers of [`FULL_TOKENS`], so each counts for an eighth at least.
const MEMORY_TOKENS: f64 = 8.0 * FULL_TOKENS;

/// How far a provider's own count lies from the estimate, learned from its answers' real usage.
///
/// A weighted moving average of usage ÷ estimate, 1 at first and always within 0.5 to 2.5. It takes in the median of
/// the last three answers, so a single absurd figure changes nothing, and neither does the first answer by itself. Short
/// requests weigh less, because what a provider adds to every prompt is most of their usage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Correction {
    factor: f64,
    /// How many tokens `factor` rests on, at most [`MEMORY_TOKENS`].
    weight_tokens: f64,
    /// The two answers before the next one, older first.
    earlier: [Sample; 2],
}

/// What one answer says.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Usage ÷ estimate.
    ratio: f64,
    /// How much it counts.
    weight_tokens: f64,
}

impl Default for Correction {
    fn default() -> Self {
        let nothing = Sample { ratio: 1.0, weight_tokens: 0.0 };
        Self { factor: 1.0, weight_tokens: 0.0, earlier: [nothing; 2] }
    }
}

impl Correction {
    /// Takes in the tokens of one prompt: as [`Demand`](super::Demand) estimated them, uncorrected, and as the provider
    /// reported them. A usage of 0 says nothing.
    pub(crate) fn learn(&mut self, estimated: u64, actual: u64) {
        if estimated == 0 || actual == 0 {
            return;
        }
        let ratio = (actual as f64 / estimated as f64).clamp(LEAST, MOST);
        let latest = Sample { ratio, weight_tokens: (estimated as f64).min(FULL_TOKENS) };
        let [older, newer] = self.earlier;
        self.earlier = [newer, latest];
        self.take(median([older, newer, latest]));
    }

    /// The tokens that the provider will count.
    pub(crate) fn apply(&self, estimated: u64) -> u64 {
        (estimated as f64 * self.factor).round() as u64
    }

    fn take(&mut self, sample: Sample) {
        self.weight_tokens = (self.weight_tokens + sample.weight_tokens).min(MEMORY_TOKENS);
        if self.weight_tokens > 0.0 {
            self.factor += (sample.ratio - self.factor) * sample.weight_tokens / self.weight_tokens;
        }
    }
}

fn median(mut samples: [Sample; 3]) -> Sample {
    samples.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
    let [_, middle, _] = samples;
    middle
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// After answers of a provider that counts `multiple` times the estimate, give or take 15 %.
    fn taught(correction: &mut Correction, multiple: f64, answers: usize, random: &mut fastrand::Rng) {
        for _ in 0..answers {
            let estimated = random.u64(100..30_000);
            let noise = 0.85 + 0.3 * random.f64();
            correction.learn(estimated, (estimated as f64 * multiple * noise).round() as u64);
        }
    }

    fn error(correction: Correction, multiple: f64) -> f64 {
        (correction.factor / multiple - 1.0).abs()
    }

    #[test]
    fn twenty_answers_teach_any_multiple_to_a_tenth() {
        for seed in 0..200 {
            for multiple in [0.6, 0.75, 0.9, 1.0, 1.15, 1.4, 1.7, 2.1] {
                let mut correction = Correction::default();
                taught(&mut correction, multiple, 20, &mut fastrand::Rng::with_seed(seed));
                let error = error(correction, multiple);
                assert!(error < 0.10, "×{multiple}, seed {seed}: off by {error}");
            }
        }
    }

    #[test]
    fn a_provider_that_changes_its_tokenizer_is_learned_anew() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut correction = Correction::default();
        taught(&mut correction, 0.7, 1_000, &mut random);
        taught(&mut correction, 1.9, 30, &mut random);
        assert!(error(correction, 1.9) < 0.10, "{correction:?}");
    }

    #[test]
    fn a_single_absurd_usage_changes_almost_nothing() {
        for absurd in [0, 1, 40, 90_000, u64::MAX] {
            let mut correction = Correction::default();
            for answer in 0..20 {
                correction.learn(2_000, if answer == 10 { absurd } else { 2_600 });
            }
            assert!(error(correction, 1.3) < 0.01, "{absurd}: {correction:?}");
        }
    }

    #[test]
    fn the_first_answer_by_itself_changes_nothing() {
        let mut correction = Correction::default();
        correction.learn(2_000, 900_000);
        assert_eq!(correction.apply(1_000), 1_000);
        correction.learn(2_000, 2_600);
        assert_eq!(correction.apply(1_000), 1_300);
    }

    #[test]
    fn greetings_do_not_outweigh_conversations() {
        // A provider with 70 tokens of its own in each prompt, which gives titles to conversations.
        let mut correction = Correction::default();
        for _ in 0..30 {
            correction.learn(30, 100);
            correction.learn(9_000, 9_070);
        }
        assert!(error(correction, 1.0) < 0.10, "{correction:?}");
    }

    proptest! {
        #[test]
        fn whatever_providers_report_the_factor_stays_in_its_range(
            answers in prop::collection::vec((any::<u64>(), any::<u64>()), 0..40),
        ) {
            let mut correction = Correction::default();
            answers.iter().for_each(|(estimated, actual)| correction.learn(*estimated, *actual));
            prop_assert!((499..=2_500).contains(&correction.apply(1_000)), "{correction:?}");
        }
    }
}
