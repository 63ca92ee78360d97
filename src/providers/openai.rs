//! OpenAI's chat completions as most providers speak them; what differs between them is data ([`Quirks`]).
//!
//! Sources, checked 2026-11: the request and response types of the SDKs groq 1.7.0 and cerebras-cloud-sdk 1.91.0;
//! recorded streams of both in vercel/ai's fixtures (February and May 2026).
//! Fixtures: `tests/fixtures/groq/`, `tests/fixtures/cerebras/`.

mod decode;
mod encode;
mod list;
mod parts;
mod quirks;
mod schema;
mod tool_ids;
mod unwanted;

pub(super) use self::decode::{decode, diagnose, limits_in_error};
pub(super) use self::encode::encode;
pub(super) use self::list::read_list;
pub(crate) use self::quirks::{EffortForm, Guard, NullContent, Quirks};
pub use self::quirks::{ErrorForm, ListForm};
