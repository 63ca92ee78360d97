//! The free filter: which of a provider's models cost nothing.
//!
//! A price of zero proves nothing by itself: routers show zero and bill for what they pick, and subscriptions have models
//! without a price. So each row says how its free models are told, and the same filter holds for lists and for the names
//! that users give.

use super::capabilities::Model;

/// How a provider's free models are told from those that bill.
#[derive(Clone, Copy, Debug)]
pub enum FreeFilter {
    /// Every model: the account cannot be billed.
    Everything,
    /// The models of the row and no other.
    InRow,
    /// Every model without one of these words in its id.
    Without(&'static [&'static str]),
    /// The models that are marked as free.
    Marked {
        /// How their ids end.
        ending: &'static str,
        /// Ids that are free without it.
        also: &'static [&'static str],
        /// How ids begin that are never free, whatever their end: routers that pick any model, names that move.
        never: &'static [&'static str],
    },
}

impl FreeFilter {
    /// Whether the model with this id is free, given the `models` of the row.
    pub(super) fn admits(&self, id: &str, models: &[Model]) -> bool {
        let id = id.to_ascii_lowercase();
        match self {
            Self::Everything => true,
            Self::InRow => models.iter().any(|model| model.id.eq_ignore_ascii_case(&id)),
            Self::Without(words) => !words.iter().any(|word| id.contains(word)),
            Self::Marked { ending, also, never } => {
                let is_marked =
                    id.ends_with(ending) && !never.iter().any(|beginning| id.starts_with(beginning));
                is_marked || also.contains(&id.as_str())
            }
        }
    }

    /// Whether its name alone makes sure that a free model costs nothing, whatever the provider picks for it. A router's
    /// does not.
    pub(super) fn is_sure_of(&self, id: &str) -> bool {
        !matches!(self, Self::Marked { ending, .. } if !id.to_ascii_lowercase().ends_with(ending))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_bill_does_not_pass() {
        let marked = FreeFilter::Marked {
            ending: ":free",
            also: &["openrouter/free"],
            never: &["~", "openrouter/", "typesafe/"],
        };
        let without = FreeFilter::Without(&["cloud", "glm-5"]);
        let cases = [
            (marked, "google/gemma-4-31b-it:free", true),
            (marked, "openrouter/free", true),
            (marked, "google/gemma-4-31b-it", false),
            (marked, "google/gemma-4-31b-it:FREE", true),
            (marked, "google/gemma-4-31b-it:free:nitro", false),
            (marked, "openrouter/auto", false),
            (marked, "openrouter/auto:free", false),
            (marked, "~google/latest:free", false),
            (marked, "typesafe/jev-router:free", false),
            (marked, "", false),
            (without, "llama3.2:3b", true),
            (without, "gpt-oss:120b-cloud", false),
            (without, "gpt-oss:120b-CLOUD", false),
            (without, "@cf/zai-org/glm-5.3", false),
            (without, "@cf/zai-org/glm-4.7-flash", true),
            (FreeFilter::Everything, "anything", true),
            (FreeFilter::InRow, "anything", false),
        ];
        for (filter, id, is_free) in cases {
            assert_eq!(filter.admits(id, &[]), is_free, "{filter:?} {id}");
        }
    }
}
