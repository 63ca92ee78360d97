//! Bytes on the wire, without any knowledge of LLMs.

pub mod json;
pub mod sse;
