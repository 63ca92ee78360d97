//! What a strategy must do: say where a call goes, and learn from what comes back.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

use crate::truth::{Place, Truth};

/// A client that waits for somebody to answer.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The number of the client.
    pub(crate) client: usize,
    /// When it came.
    pub(crate) arrived: Timestamp,
    /// The tokens of its prompt as providers count them. Only an oracle may look.
    pub(crate) prompt: u64,
    /// The same as a proxy can estimate it: up to a tenth off.
    pub(crate) estimate: u64,
    /// The longest answer that it allows, in tokens.
    pub(crate) max_tokens: u64,
    /// Who has refused it already, oldest first.
    pub(crate) refused_by: Vec<Place>,
}

/// What becomes of a client now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision {
    /// It is sent there. An answer longer than `max_tokens` is cut.
    Send { place: Place, max_tokens: u64 },
    /// It waits, and is asked about again at this time.
    Wait(Timestamp),
    /// It is refused, and told to come back after this time.
    Refuse(Duration),
}

/// A call that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// The number of the call.
    pub(crate) number: u64,
    /// The number of the client that it is for.
    pub(crate) client: usize,
    pub(crate) place: Place,
    /// The longest answer that it allows.
    pub(crate) max_tokens: u64,
}

/// What an answer has taken, as its stream reports it at the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    pub(crate) answer: u64,
}

/// A way to choose who is asked. All its time is `now`.
pub(crate) trait Strategy {
    /// What the report calls it.
    fn name(&self) -> &'static str;

    /// What becomes of a client that has come, has waited, or was refused. Only an oracle may use `truth`, and nobody may
    /// charge it.
    fn decide(&mut self, ask: &Ask, truth: &mut Truth, now: Timestamp) -> Decision;

    /// The call on which it has just decided is sent.
    fn on_sent(&mut self, _sent: &Sent) {}

    /// The head of a good answer has come, with the first token.
    fn on_head(&mut self, _sent: &Sent, _headers: &HeaderMap, _now: Timestamp) {}

    /// The call was refused, byte for byte like this.
    fn on_refused(
        &mut self,
        _sent: &Sent,
        _status: u16,
        _headers: &HeaderMap,
        _body: &[u8],
        _now: Timestamp,
    ) {
    }

    /// A good answer has come to its end.
    fn on_settled(&mut self, _sent: &Sent, _usage: Usage, _now: Timestamp) {}

    /// The waiting clients about whom it wants to be asked before their time, because of what has just come back.
    fn woken(&mut self) -> Vec<usize> {
        Vec::new()
    }
}
