//! Several instances act as one: what they use, who rests and what is gone is exchanged through a Valkey or Redis server.
//!
//! Nothing of that lies on a request's way. [`Sharing`] is a future beside the server of clients; it owns the connection, asks
//! [`Quota`](crate::quota::Quota) for what is news, and hands in what comes back. All that the server does is one script
//! (`share/sync.lua`). Whatever goes wrong with it is one warning: each instance goes on with what it knows.
//!
//! What instances remember together (signatures of calls, responses) goes a way of its own: [`Remembering`] is another such
//! future, with another script (`share/memory.lua`), and [`CommonMemory`] what it has in common with those who remember.

mod common;
mod complaint;
mod late;
mod link;
mod memory_script;
mod pace;
mod pauses;
mod probe;
mod remembering;
mod script;
mod secret;
mod sharing;
mod status;
mod untold;

pub(crate) use self::common::{CommonMemory, RECALL_TIME};
pub(crate) use self::link::LinkError;
pub(crate) use self::memory_script::Kept;
pub(crate) use self::probe::probe;
pub(crate) use self::remembering::{Remember, Remembering};
pub(crate) use self::secret::{Name, Secret, first, joined};
pub(crate) use self::sharing::Sharing;
pub(crate) use self::status::{SharingSnapshot, SharingStatus};
pub(crate) use self::untold::Word;
