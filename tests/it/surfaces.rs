//! The dialects of agents. A number in a test's name is that of a pitfall, the same in every file: one list of them counts
//! through all dialects.

mod anthropic;
mod gemini;
mod matrix;
mod moved;
mod ollama;
mod responses;
