//! The fault matrix: everything that goes wrong with providers, clients and ourselves, and what the proxy makes of it.
//!
//! Each fault has a number, by which its test and its line in `FAULTS.md` are found. The numbers are names: they stay when
//! faults come and go.

mod after_content;
mod before_content;
mod dialect;
mod heads;
mod mode;
mod reaching;
mod trial;
