//! The dialects of clients. Each parses requests into the words of the middle, and writes events and errors. None knows
//! a provider's dialect.

pub(crate) mod anthropic;
mod ask;
mod author;
pub(crate) mod chat;
mod conversation;
mod empty_objects;
mod encode;
mod error;
mod error_response;
mod fields;
mod gathered;
pub(crate) mod gemini;
mod ignored;
mod media;
pub(crate) mod media_type;
mod memory;
mod names;
mod not_json;
pub(crate) mod ollama;
pub(crate) mod openai;
pub(crate) mod responses;
mod schema_bytes;
mod surface;
mod values;

pub use self::ask::Ask;
pub use self::author::Author;
pub(crate) use self::encode::AfterFailure;
pub use self::encode::{Encode, Interrupted};
pub use self::error::ApiError;
pub(crate) use self::error_response::{Occasion, Response};
pub(crate) use self::memory::Memory;
pub(crate) use self::names::{Choice, Names};
pub(crate) use self::surface::Surface;
