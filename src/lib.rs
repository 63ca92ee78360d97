//! One endpoint over the free tiers of several LLM providers that simply answers.
//!
//! # The life of a request
//!
//! ```text
//! client bytes ─► http         timeouts of the connection, id, origin, client key, body
//!              ─► surfaces     parse the client's dialect into a middle::ChatRequest
//!              ─► dispatch     calls the candidates that quota picks, one by one
//!                  └► an attempt: providers encode ─► upstream ─► wire::sse ─► providers decode ─► middle::Event…
//!                     Before the first content every failure leads to the next candidate, after it none does.
//!              ─► http::relay  surfaces encode each middle::Event ─► client bytes
//! ```
//!
//! # The rooms, as a request meets them
//!
//! * `commands`: what the program can be started for; `config`: the settings, read once.
//! * `http`: connections, the checks on every request, the routes, the bodies of responses.
//! * `surfaces`: the dialects of clients; `status`: `/health`, `/providers` and `/metrics`.
//! * `dispatch`: the one loop over candidates, and the attempts it makes.
//! * `quota`: which candidate is called next; `models`: which models there are.
//! * `upstream`: connections to providers, and HTTP on them.
//! * `providers`: a row of data for each provider, and the dialects that rows speak.
//! * `middle`: the types that every room shares; `wire`: SSE and JSON; `time`: clocks and the shutdown.
//! * `observe`: counters and log lines.
//! * `simulator`: the providers on loopback, for the demo, tests and benches.
//!
//! Surfaces know no provider, providers know no HTTP library, and dispatch knows neither HTTP nor JSON. A room imports
//! only from rooms below it; `tests/it/rooms.rs` has their order. ARCHITECTURE.md explains the decisions.

mod commands;
mod config;
mod dispatch;
mod http;
mod middle;
mod models;
mod observe;
mod providers;
mod quota;
mod share;
mod simulator;
mod status;
mod surfaces;
mod time;
mod upstream;
mod wire;

pub use self::commands::main;

/// What the tests, benches and fuzz targets of this repository use; not a public interface.
#[doc(hidden)]
pub mod internals;
