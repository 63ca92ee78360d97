//! The one attempt loop: candidates in turn until one answers.
//!
//! Knows no HTTP of clients and no JSON. `dispatcher` is the loop, `attempt` is one call, `upstream` is the network.

mod attempt;
mod dispatcher;
mod lists;
mod offered;
mod outcome;
mod search;
mod service;
mod signatures;
mod upstream;

pub(crate) use self::attempt::Answer;
pub(crate) use self::dispatcher::{Dispatcher, Extent};
pub(crate) use self::lists::ListOutcome;
pub(crate) use self::offered::{Offered, UnknownTarget};
pub(crate) use self::outcome::{AllFailed, Answered, FailedProvider, Incapable, Unanswered, Verdict};
pub(crate) use self::service::SetupError;
pub(crate) use self::signatures::Signatures;
pub(crate) use crate::quota::Target;
