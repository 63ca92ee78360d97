//! Which models there are to choose from.

mod catalogue;

pub use self::catalogue::{Catalogue, Names, Stock};
