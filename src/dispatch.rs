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

pub use self::attempt::Answer;
pub use self::dispatcher::{Dispatcher, Extent};
pub use self::lists::ListOutcome;
pub use self::offered::{Offered, UnknownTarget};
pub use self::outcome::{AllFailed, Answered, FailedProvider, Incapable, Unanswered, Verdict};
pub use self::service::SetupError;
pub use self::signatures::Signatures;
pub use crate::quota::Target;
