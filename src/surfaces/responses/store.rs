//! Answers that clients may go on from.

/// Answers that clients may go on from.
#[derive(Debug, Default)]
pub struct Store;
