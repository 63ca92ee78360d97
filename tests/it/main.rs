//! The proxy as its users meet it: over real sockets, against the simulator.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic, spawn what it aborts, and have the real time"
)]

mod aliases;
mod cancel;
mod chat;
mod command_line;
mod concurrency;
mod cooldowns;
mod decoding;
mod demand;
mod demo;
mod descriptors;
mod docs;
mod errors;
mod fairness;
mod fallback;
mod faults;
mod golden;
mod https;
mod interruption;
mod ledger;
mod line;
mod log_lines;
mod loops;
mod metrics;
mod models;
mod openai;
mod openai_requests;
mod origins_and_keys;
mod page;
mod providers_report;
mod quotas;
mod rooms;
mod rows;
mod secrets;
mod shutdown;
mod simulator_rules;
mod slow_clients;
mod supply_chain;
mod support;
mod surfaces;
mod thoughts;
mod tool_calls;
mod unicode;
