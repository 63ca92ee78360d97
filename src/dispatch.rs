//! The one attempt loop: candidates in turn until one answers.
//!
//! Knows no HTTP of clients and no JSON. `search` is the loop, `attempt` is one call, `answering` is what comes of it.

mod answering;
mod attempt;
mod bills;
mod dispatcher;
mod lists;
mod mark;
mod offered;
mod omissions;
mod outcome;
mod question;
mod search;
mod service;
mod signatures;

pub(crate) use self::answering::{Answering, Broken, Progress};
pub(crate) use self::dispatcher::{Dispatcher, common_memory};
pub(crate) use self::lists::ListOutcome;
pub(crate) use self::offered::{Offered, UnknownTarget};
pub(crate) use self::outcome::{AllFailed, FailedProvider, Incapable, TooLong, Unanswered, Verdict};
pub(crate) use self::question::{Extent, Question};
pub(crate) use self::service::SetupError;
pub(crate) use self::signatures::Signatures;
pub(crate) use crate::quota::Target;
pub(crate) use crate::quota::estimated_tokens;
