//! Which models there are to choose from.

mod catalogue;
mod stock;

pub(crate) use self::catalogue::Catalogue;
pub(crate) use self::stock::Stock;
