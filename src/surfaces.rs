//! The dialects of clients. Each parses requests into the words of the middle, and writes events and errors. None knows
//! a provider's dialect.

mod ask;
mod author;
pub(crate) mod chat;
mod encode;
mod error;
mod error_response;
mod fields;
pub(crate) mod media_type;
mod names;
mod not_json;
pub(crate) mod openai;
mod surface;

pub use self::ask::Ask;
pub use self::author::Author;
pub(crate) use self::encode::AfterFailure;
pub use self::encode::{Encode, Interrupted};
pub use self::error::ApiError;
pub(crate) use self::error_response::Response;
pub(crate) use self::surface::Surface;
