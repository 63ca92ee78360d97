//! Which of a provider's models can be picked.

use std::collections::HashSet;

/// Which models of a provider may be used, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stock {
    /// The models of the first rank are used, in their order; those of a later rank when all before them are gone.
    pub(crate) ranks: Vec<Vec<usize>>,
    /// For each account, which of them its list has; `None` if there is no list.
    pub(crate) listed: Vec<Option<HashSet<usize>>>,
}

impl Stock {
    /// Whether the account's list has this model; `None` if there is no list.
    pub(crate) fn lists(&self, account: usize, model: usize) -> Option<bool> {
        self.listed.get(account)?.as_ref().map(|listed| listed.contains(&model))
    }

    /// The models that are used as long as one of them is left, best first.
    pub(crate) fn first_rank(&self) -> impl Iterator<Item = usize> + '_ {
        self.ranks.first().into_iter().flatten().copied()
    }

    /// All models of all ranks, best first.
    pub(crate) fn models(&self) -> impl Iterator<Item = usize> + '_ {
        self.ranks.iter().flatten().copied()
    }
}
