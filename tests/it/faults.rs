//! The fault table, row by row: each test bears the number of its row, and a failing assertion names the case.

mod clients_bodies;
mod clients_framing;
mod clients_http;
mod clients_leaving;
mod clients_slow;
mod clients_values;
mod ourselves;
mod ways;
