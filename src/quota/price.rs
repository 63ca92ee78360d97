//! What a request costs a candidate in tokens, and the longest answer that it may be asked for.
//!
//! A provider that reserves the longest answer before the call refuses whatever is larger than its whole limit. So it is
//! asked for no more than fits; and if the client named no maximum, for a sensible one, because otherwise the provider
//! would reserve the most that its model can write.

use super::demand::Demand;
use crate::middle::{TokenCharge, Unit, Usage};
use crate::providers::Work;

/// An answer that must be cut shorter than this is not worth a call.
const SHORTEST_ANSWER: u64 = 256;
/// The longest answer if the client named no maximum and the provider reserves it: some 3,000 words, thoughts included.
const SENSIBLE_ANSWER: u64 = 4_096;
/// The prompt may be larger than estimated by this part of it, and by a few tokens of the provider's own.
const MARGIN_PART: u64 = 8;
const MARGIN_TOKENS: u64 = 16;

/// What a request costs a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Price {
    /// The tokens that the provider counts before the call, or is expected to count after it.
    pub(super) tokens: u64,
    /// The part of them that is the prompt, with a margin.
    pub(super) prompt: u64,
    /// The longest answer to ask for; `None` leaves it to the provider.
    pub(super) max_tokens: Option<u32>,
    /// Whether that is less than the client asked for, because no more fits.
    pub(super) is_cut: bool,
    /// What it costs in the provider's own unit of work.
    pub(super) work: u64,
}

/// The smallest limit of tokens of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cap {
    pub(super) most: u64,
    pub(super) is_certain: bool,
}

impl Price {
    /// The price of `demand` whose prompt has this many tokens by the provider's own count. `None` if it can never fit into
    /// `cap` with an answer that is worth it.
    pub(super) fn of(
        demand: Demand,
        prompt: u64,
        charge: TokenCharge,
        cap: Option<Cap>,
        longest: u32,
    ) -> Option<Self> {
        let asked = demand.answer.map(|asked| u64::from(asked.min(longest)));
        let prompt = prompt.saturating_add(prompt / MARGIN_PART).saturating_add(MARGIN_TOKENS);
        match charge {
            TokenCharge::Longest => Self::reserved(asked, prompt, cap, u64::from(longest)),
            TokenCharge::Prompt => {
                Some(Self { tokens: prompt, prompt, max_tokens: demand.answer, is_cut: false, work: 0 })
            }
            TokenCharge::Used => {
                let answer = asked.unwrap_or(SENSIBLE_ANSWER).min(SENSIBLE_ANSWER);
                Some(Self {
                    tokens: prompt.saturating_add(answer),
                    prompt,
                    max_tokens: demand.answer,
                    is_cut: false,
                    work: 0,
                })
            }
        }
    }

    /// The same, of a model that costs so much work.
    pub(super) fn with_work(self, work: Work) -> Self {
        let answer = self.tokens.saturating_sub(self.prompt);
        Self { work: work.of(self.prompt, answer), ..self }
    }

    /// What it takes of a limit that counts in `unit`.
    pub(super) fn amount(self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests => 1,
            Unit::Tokens => self.tokens,
            Unit::Neurons => self.work,
        }
    }

    /// What an answer has taken: at least, if nothing of what was reserved is given back, and really.
    pub(super) fn settled(self, charge: TokenCharge, usage: &Usage) -> (u64, u64) {
        let (prompt, answer) = (usage.prompt_tokens, usage.completion_tokens);
        match charge {
            TokenCharge::Longest => {
                let reserved = self.tokens.saturating_sub(self.prompt);
                (prompt.saturating_add(reserved.max(answer)), prompt.saturating_add(answer))
            }
            TokenCharge::Prompt => (prompt, prompt),
            TokenCharge::Used => (prompt.saturating_add(answer), prompt.saturating_add(answer)),
        }
    }

    fn reserved(asked: Option<u64>, prompt: u64, cap: Option<Cap>, longest: u64) -> Option<Self> {
        let sensible =
            cap.map_or(SENSIBLE_ANSWER, |cap| (cap.most / 2).clamp(SHORTEST_ANSWER, SENSIBLE_ANSWER));
        let wanted = asked.unwrap_or(sensible.min(longest));
        let room = cap.map_or(u64::MAX, |cap| cap.most.saturating_sub(prompt));
        let answer = match cap {
            _ if wanted <= room => wanted,
            _ if room >= SHORTEST_ANSWER => room,
            Some(Cap { is_certain: false, .. }) => wanted.min(sensible),
            _ => return None,
        };
        let max_tokens = u32::try_from(answer).ok();
        let tokens = prompt.saturating_add(answer);
        Some(Self { tokens, prompt, max_tokens, is_cut: answer < wanted, work: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groq's limit of 8,000 tokens a minute, and its model's longest answer of 65,536.
    #[test]
    fn no_more_is_asked_for_than_fits() {
        let cases = [
            (100, Some(200), Some((200, false)), "it fits"),
            (3_000, Some(32_768), Some((4_609, true)), "cut to what fits"),
            (3_000, None, Some((4_000, false)), "a sensible answer"),
            (100, None, Some((4_000, false)), "never the model's longest"),
            (5_000, None, Some((2_359, true)), "a sensible answer that does not fit"),
            (6_700, Some(32_768), Some((447, true)), "short, but an answer"),
            (7_100, Some(32_768), None, "too short to be worth it"),
            (6_900, Some(50), Some((50, false)), "unless no more was asked for"),
            (9_000, Some(50), None, "larger than the whole"),
        ];
        for (prompt, answer, expected, case) in cases {
            let price = |is_certain| {
                let cap = Some(Cap { most: 8_000, is_certain });
                Price::of(Demand { prompt, answer }, prompt, TokenCharge::Longest, cap, 65_536)
            };
            let asked = price(true).map(|it| (it.max_tokens.unwrap(), it.is_cut));
            assert_eq!(asked, expected, "{case}");
            assert!(price(false).is_some(), "a guess refuses nobody: {case}");
        }
    }

    #[test]
    fn who_counts_the_prompt_alone_is_asked_for_what_the_client_wants() {
        let of = |answer| Price::of(Demand { prompt: 9, answer }, 9, TokenCharge::Prompt, None, 100).unwrap();
        assert_eq!((of(None).tokens, of(None).max_tokens), (26, None));
        assert_eq!((of(Some(7)).tokens, of(Some(7)).max_tokens), (26, Some(7)));
    }
}
