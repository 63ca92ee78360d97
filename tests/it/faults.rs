//! The fault matrix: everything that goes wrong with providers, clients and ourselves, and what the proxy makes of it.
//!
//! Each fault has a number, by which its test and its line in `FAULTS.md` are found. The numbers are names: they stay when
//! faults come and go. Faults of providers differ in data only, so one table of them is tried with every provider in
//! every way of asking (`trial`).

mod after_content;
mod before_content;
mod clients_bodies;
mod clients_framing;
mod clients_http;
mod clients_leaving;
mod clients_slow;
mod clients_values;
mod connections;
mod dialect;
mod heads;
mod ourselves;
mod reaching;
mod told;
mod trial;
mod ways;
