//! Bytes on the wire, without any knowledge of LLMs.

pub(crate) mod foreign;
pub(crate) mod json;
pub mod sse;
