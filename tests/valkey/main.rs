//! Several instances over a real Valkey or Redis server: `cargo test --test valkey`. It needs `valkey-server` or
//! `redis-server`, so plain `cargo test` leaves it out.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may panic, spawn what it aborts, and have the real time"
)]

mod balancer;
mod instances;
mod limits;
mod logins;
mod measure;
mod memory;
mod seen;
mod server;
mod storms;
#[expect(dead_code, unused_imports, reason = "it serves the other tests, too")]
#[path = "../it/support/mod.rs"]
mod support;
mod trouble;
mod way;
