//! The words that all rooms share: what may be asked, what comes back, what can go wrong, what is counted.
//!
//! Every surface translates its clients' dialect into [`ChatRequest`] and from [`Event`]; every provider does the
//! reverse. So N surfaces and M providers need N + M translations, and none of them knows another. Imports no other
//! room.

mod arguments;
mod calls;
mod event;
mod failure;
mod inline_thoughts;
mod measure;
mod policy;
mod redaction;
mod request;
mod sink;
mod tool_names;

pub(crate) use self::arguments::{arguments_object, arguments_or_none};
pub use self::calls::ExpectedCalls;
pub(crate) use self::calls::WireCall;
pub use self::event::{Event, FinishReason, ToolCallOpening, ToolCallPiece, Usage};
pub use self::failure::{Cause, Diagnosis, Reason, Scope, Wait};
pub(crate) use self::failure::{Failure, RawWords};
pub(crate) use self::measure::{ErrorReading, FreePlan, MOST_COUNTED};
pub(crate) use self::measure::{Limit, Pool, Renewal, TokenCharge, Zone, in_groups};
pub use self::measure::{LimitReading, Measure, Reading, Source, Unit, Window};
pub use self::policy::{Counted, Effect, Lift, Policy, Span};
pub(crate) use self::redaction::CleanText;
pub use self::redaction::Redactor;
pub use self::request::{
    AssistantPart, ChatRequest, Feature, File, Image, Message, Part, Tool, ToolCall, ToolChoice,
};
pub(crate) use self::request::{Effort, Json, JsonSchema, Needs, ResponseFormat};
pub(crate) use self::request::{MAX_CALLS, MAX_TOOLS};
pub(crate) use self::sink::{AnswerSoFar, Said, Sink};
