//! The words that everybody shares: what may be asked, what comes back, what can go wrong, what is counted.
//!
//! Every surface translates its clients' dialect into [`ChatRequest`] and from [`Event`]; every provider the other way
//! round. So N surfaces and M providers cost N + M translations, and none of them knows any other. Imports nothing of ours.

mod calls;
mod event;
mod failure;
mod measure;
mod redaction;
mod request;
mod sink;

pub use self::calls::{ExpectedCalls, WireCall};
pub use self::event::{Event, FinishReason, ToolCallOpening, ToolCallPiece, Usage};
pub use self::failure::{Diagnosis, Failure, RawWords, Reason, Scope, Wait};
pub use self::measure::{ErrorReading, FreePlan, LimitReading, Measure, Reading, Source, Unit, Window};
pub use self::redaction::{CleanText, Redactor};
pub use self::request::{
    AssistantPart, ChatRequest, Effort, Feature, Image, Json, JsonSchema, Message, Needs, Part,
    ResponseFormat, Tool, ToolCall, ToolChoice,
};
pub(crate) use self::sink::AnswerSoFar;
pub use self::sink::Sink;
