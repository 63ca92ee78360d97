//! Rows 1 to 14: there is no way to a provider, or it ends before an answer begins.
