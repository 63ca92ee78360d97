//! Several instances act as one: what they use, who rests and what is gone is exchanged through a Valkey or Redis server.
//!
//! Nothing here lies on a request's way. [`Sharing`] is a future beside the server of clients; it owns the connection, asks
//! [`Quota`](crate::quota::Quota) for what is news, and hands in what comes back. All that the server does is one script
//! (`share/sync.lua`). Whatever goes wrong with it is one warning: each instance goes on with what it knows.

mod link;
mod script;
mod sharing;

pub(crate) use self::link::LinkError;
pub(crate) use self::sharing::Sharing;
