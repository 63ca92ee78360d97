//! Who may be asked now.

mod bucket;
mod limits;
mod reservation;

pub use self::bucket::{Book, Known, together};
pub use self::limits::*;
pub use self::reservation::{Entry, Ledger};
