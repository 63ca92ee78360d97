//! The providers: a row of data each, and pure functions between the wire and the middle.
//!
//! Nothing here uses sockets. A provider is a row ([`Profile`]: names, variables, models) that speaks
//! a dialect: OpenAI's or Google's own. To add one, write its row; ARCHITECTURE.md lists the steps.

mod capabilities;
mod decoder;
mod directory;
mod fingerprint;
mod free;
mod gemini;
mod listed;
mod model_id;
mod openai;
mod pattern;
mod profile;
mod rows;
mod tool_names;
mod wire;
mod words;

pub(crate) use self::capabilities::{Capabilities, Images, Lack, Model, Work};
pub use self::decoder::AnswerDecoder;
pub use self::directory::{Directory, Provider};
pub(crate) use self::listed::{Listed, ModelList, Said};
pub(crate) use self::openai::{EffortForm, NullContent, Quirks};
pub use self::openai::{ErrorForm, ListForm};
pub(crate) use self::profile::Profile;
pub(crate) use self::profile::{AccountId, Guesses};
pub use self::profile::{AskedBy, Auth, Dialect, KeyNeed};
pub(crate) use self::wire::WireRequest;
