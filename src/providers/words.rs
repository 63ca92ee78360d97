//! The words of providers: what their headers, error bodies and sentences mean, as far as several use the same ones.

pub(super) mod classify;
mod error_body;
pub(super) mod lenient;
pub(super) mod limits;
pub(super) mod repair;
pub(super) mod rules;
pub(super) mod waits;

pub(super) use self::error_body::ErrorBody;
