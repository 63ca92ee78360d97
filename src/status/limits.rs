//! The limits of all keys of a model as one, as every report shows them.

use crate::quota::{Blocked, LimitStatus, together};

/// The limits of a model with all of its keys added up, each in its state. Keys that are refused do not count, unless all
/// are.
pub(super) fn limits_together(keys: &[Option<Blocked>], limits: Vec<Vec<LimitStatus>>) -> Vec<LimitStatus> {
    let usable = usable_accounts(keys);
    let limits = limits.into_iter().enumerate().filter(|(account, _)| usable.contains(account));
    together(limits.map(|(_, limits)| limits))
}

/// The accounts whose limits are added up: those that are not refused, or all if all are refused.
fn usable_accounts(accounts: &[Option<Blocked>]) -> Vec<usize> {
    let is_usable = |block: &Option<Blocked>| block.is_none_or(|block| !block.reason.needs_a_person());
    let usable: Vec<usize> = accounts
        .iter()
        .enumerate()
        .filter(|(_, block)| is_usable(block))
        .map(|(account, _)| account)
        .collect();
    if usable.is_empty() { (0..accounts.len().max(1)).collect() } else { usable }
}
