//! The dialects of clients. A surface parses and validates, encodes events and encodes errors; it knows no
//! provider and does no I/O.

pub mod chat;
