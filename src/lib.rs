//! One endpoint over the free tiers of several LLM providers that simply answers.
//!
//! # The life of a request
//!
//! ```text
//! client bytes ─► http (clocks of a connection, id, origin, key, body)
//!              ─► surfaces parse ─► middle::ChatRequest
//!              ─► dispatch: whom quota picks, one after the other
//!                  └► attempt: providers encode ─► upstream sends ─► wire::sse, providers decode ─► middle::Event…
//!                     until the first content; before it any failure means: remember it, next candidate
//!              ─► http::relay: Event… ─► surfaces encode ─► client bytes
//! ```
//!
//! One direction, no way back: surfaces know no provider, providers know no HTTP library, dispatch knows neither.
//! ARCHITECTURE.md tells more.

mod commands;
mod config;
mod dispatch;
mod http;
mod middle;
mod models;
mod observe;
mod providers;
mod quota;
mod simulator;
mod status;
mod surfaces;
mod time;
mod wire;

pub use self::commands::main;

/// What the tests, benches and fuzz targets of this repository use. No promise to anybody else.
#[doc(hidden)]
pub mod internals;
