//! The time of day, deadlines that move, and the shutdown.

mod alarm;
mod clock;
mod rarely;
mod shutdown;

pub(crate) use self::alarm::Alarm;
pub use self::clock::{Clock, Moment};
pub(crate) use self::rarely::{Doorbell, Rarely};
pub use self::shutdown::Shutdown;
