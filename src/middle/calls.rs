//! The tool calls of one answer in one form: numbered from 0 without gaps, one behind the other, each with an id of its
//! own, its name as the client knows it, and its arguments once.
//!
//! Groq, Cerebras and Gemini send each call in one piece; others that speak OpenAI's dialect send it in many, send it
//! again when it is whole, mix the pieces of several calls, number all calls 0 or each piece anew, send no id, or send
//! the arguments before the name.

use std::collections::{HashMap, HashSet};

use super::arguments::{Arguments, says_nothing};
use super::event::{ToolCallOpening, ToolCallPiece};
use super::request::MAX_CALLS;
use super::tool_names::ToolNames;

/// The most that the arguments of one answer may take in memory, in bytes: they are kept to see what comes twice.
const MAX_ARGUMENT_BYTES: usize = 8 * 1024 * 1024;

/// The tool calls that an answer may have.
#[derive(Clone, Debug)]
pub struct ExpectedCalls {
    /// Tool names that were changed for the provider: as they are on the wire, and as the client has them.
    pub renamed: Vec<(String, String)>,
    /// The names of the tools that the answer may call, as the client has them.
    pub offered: Vec<String>,
    /// Whether the client can be given arguments only that are a JSON object.
    pub needs_objects: bool,
    /// The ids of the calls before this answer: no other call of the conversation may have one of them.
    pub taken: Vec<String>,
    /// Makes ids for calls that come without one that all clients take.
    pub random: fastrand::Rng,
}

/// A call, or a piece of one, as a provider sends it; everything but the arguments may be missing.
#[derive(Debug, Default)]
pub struct WireCall {
    /// The provider's number for it.
    pub number: Option<u64>,
    /// Its id.
    pub id: Option<String>,
    /// The tool.
    pub name: Option<String>,
    /// JSON text or a piece of it.
    pub arguments: String,
    /// What the provider wants back with the call, if anything.
    pub signature: Option<String>,
}

/// An answer has more calls, or longer arguments, than it may have, or arguments that the client cannot be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadCalls;

#[derive(Debug)]
pub(super) struct Calls {
    /// `None` if no call is expected: one that comes all the same is dropped.
    expected: Option<Expected>,
    known: Vec<Known>,
    /// Arguments whose call has no name yet, so that it cannot be passed on.
    nameless: Vec<Nameless>,
    /// The last call with each of the provider's numbers.
    by_number: HashMap<u64, usize>,
    by_wire_id: HashMap<String, usize>,
    /// Those that no other call may have.
    ids: HashSet<String>,
    /// The call whose pieces are passed on as they come. Later ones wait until it is complete: calls do not mix.
    current: usize,
    argument_bytes: usize,
}

#[derive(Debug)]
struct Expected {
    names: ToolNames,
    needs_objects: bool,
    random: fastrand::Rng,
}

#[derive(Debug)]
struct Known {
    /// As the provider sends it; empty if it sends none.
    wire_id: String,
    wire_name: String,
    /// The provider's number for it when it began.
    number: Option<u64>,
    /// Until it is passed on.
    opening: Option<ToolCallOpening>,
    arguments: Arguments,
}

#[derive(Debug)]
struct Nameless {
    number: Option<u64>,
    /// Empty if there is none.
    id: String,
    signature: Option<String>,
    arguments: Arguments,
}

impl Calls {
    pub(super) fn new(expected: Option<ExpectedCalls>) -> Self {
        let mut ids = HashSet::new();
        let expected = expected.map(|ExpectedCalls { renamed, offered, needs_objects, taken, random }| {
            ids.extend(taken);
            Expected { names: ToolNames::new(renamed, offered), needs_objects, random }
        });
        Self {
            expected,
            known: Vec::new(),
            nameless: Vec::new(),
            by_number: HashMap::new(),
            by_wire_id: HashMap::new(),
            ids,
            current: 0,
            argument_bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether arguments have come whose call has no name: the client cannot be told, and must not miss them.
    pub(super) fn has_nameless(&self) -> bool {
        self.nameless.iter().any(|it| it.arguments.says_something())
    }

    /// Takes a piece and returns what to pass on: nothing if it says nothing new or its call has no name yet.
    ///
    /// # Errors
    /// [`BadCalls`]; nothing more should be taken then.
    pub(super) fn take(&mut self, mut wire: WireCall) -> Result<Vec<ToolCallPiece>, BadCalls> {
        if self.expected.is_none() {
            return Ok(Vec::new());
        }
        wire.id = wire.id.filter(|id| !id.is_empty());
        wire.name = wire.name.filter(|name| !name.is_empty());
        let position = match (&wire.name, self.position(&wire)) {
            (_, Some(position)) => position,
            (None, None) => return self.keep(wire).map(|()| Vec::new()),
            (Some(name), None) => self.open(name, &wire)?,
        };
        if let Some(number) = wire.number {
            self.by_number.insert(number, position);
        }
        if let Some(id) = wire.id {
            self.by_wire_id.entry(id).or_insert(position);
        }
        if let Some(known) = self.known.get_mut(position) {
            add(&mut known.arguments, &wire.arguments, &mut self.argument_bytes)?;
        }
        self.tell()
    }

    /// The known call that a piece belongs to; `None` if it begins a new one, or one without a name.
    fn position(&self, wire: &WireCall) -> Option<usize> {
        let same_id = wire.id.as_ref().and_then(|id| self.by_wire_id.get(id).copied());
        let same_number = wire.number.map(|number| self.by_number.get(&number).copied());
        let last = self.known.len().checked_sub(1);
        let goes_on = |&at: &usize| self.known.get(at).is_some_and(|known| known.goes_on_with(wire));
        if wire.name.is_none() {
            if self.nameless.iter().any(|it| !it.arguments.is_blank() && it.is_named_by(wire)) {
                return None;
            }
            let same_number = same_number.flatten().filter(goes_on);
            return same_number.or_else(|| same_id.filter(goes_on)).or_else(|| last.filter(goes_on));
        }
        let position = match same_number {
            Some(position) => position,
            None => same_id.or(last),
        };
        // The whole again, under another number.
        let is_again = |&at: &usize| self.known.get(at).is_some_and(|known| known.is_said_again_by(wire));
        position.filter(goes_on).or_else(|| same_id.filter(is_again))
    }

    /// Begins a new call; its arguments may have come before.
    fn open(&mut self, name: &str, wire: &WireCall) -> Result<usize, BadCalls> {
        let nameless = self.nameless.iter().position(|it| it.is_named_by(wire));
        let before = nameless.map(|at| self.nameless.remove(at));
        let Some(expected) = self.expected.as_mut() else { return Err(BadCalls) };
        if self.known.len() >= MAX_CALLS {
            return Err(BadCalls);
        }
        let position = self.known.len();
        let mut opening = ToolCallOpening {
            id: wire.id.clone().unwrap_or_default(),
            name: expected.names.of(name),
            signature: wire.signature.clone(),
        };
        let (mut number, mut arguments) = (wire.number, Arguments::default());
        if let Some(before) = before {
            if let Some(before) = before.number {
                self.by_number.insert(before, position);
            }
            number = number.or(before.number);
            if opening.id.is_empty() {
                opening.id.clone_from(&before.id);
            }
            opening.signature = opening.signature.or(before.signature);
            arguments = before.arguments;
        }
        let wire_id = opening.id.clone();
        if !wire_id.is_empty() {
            self.by_wire_id.entry(wire_id.clone()).or_insert(position);
        }
        while !is_fit(&opening.id) || self.ids.contains(&opening.id) {
            opening.id = format!("call_{:024x}", expected.random.u128(..) >> 32);
        }
        self.ids.insert(opening.id.clone());
        self.known.push(Known {
            wire_id,
            wire_name: name.to_owned(),
            number,
            opening: Some(opening),
            arguments,
        });
        Ok(position)
    }

    /// Keeps arguments until the name of their call comes.
    fn keep(&mut self, wire: WireCall) -> Result<(), BadCalls> {
        let WireCall { number, id, arguments, signature, .. } = wire;
        let known = self.nameless.iter().position(|it| it.is_meant_by(number, id.as_deref()));
        if known.is_none() && self.known.len() + self.nameless.len() >= MAX_CALLS {
            return Err(BadCalls);
        }
        if known.is_none() {
            let id = id.unwrap_or_default();
            self.nameless.push(Nameless { number, id, signature, arguments: Arguments::default() });
        }
        let at = known.unwrap_or(self.nameless.len() - 1);
        match self.nameless.get_mut(at) {
            Some(nameless) => add(&mut nameless.arguments, &arguments, &mut self.argument_bytes),
            None => Ok(()),
        }
    }

    /// What may be passed on now. A call is ended when the next one may begin, since clients read it as complete then.
    fn tell(&mut self) -> Result<Vec<ToolCallPiece>, BadCalls> {
        let mut pieces = Vec::new();
        let (calls, needs_objects) = (self.known.len(), self.needs_objects());
        while let Some(known) = self.known.get_mut(self.current) {
            let is_whole = known.arguments.is_complete() || known.is_empty_call();
            let is_over = is_whole && self.current + 1 < calls;
            if is_over || known.is_empty_call() {
                pieces.extend(known.end(self.current, needs_objects)?);
            } else {
                let arguments = known.arguments.tell();
                // What may turn out to be no object is not begun: then somebody else can still answer.
                let may_begin = !needs_objects || known.opening.is_none() || !arguments.is_empty();
                pieces.extend(may_begin.then(|| known.piece(self.current, arguments)).flatten());
            }
            if !is_over {
                break;
            }
            self.current += 1;
        }
        Ok(pieces)
    }

    /// Completes all calls: returns what was held back, and what is missing from them. If the answer `is_cut` off at the
    /// limit of its length, so may a call be. Nothing completes that one: a client must not take it for what the model
    /// meant. Where a call must have an object it is left out, with those behind it, unless the client has begun to read it.
    ///
    /// # Errors
    /// [`BadCalls`]: arguments must be an object and are none, although they were not cut off.
    pub(super) fn end(&mut self, is_cut: bool) -> Result<Vec<ToolCallPiece>, BadCalls> {
        let needs_objects = self.needs_objects();
        let mut pieces = Vec::new();
        for (index, known) in self.known.iter_mut().enumerate().skip(self.current) {
            if is_cut && known.arguments.are_cut() {
                let may_be_told = !needs_objects || known.opening.is_none();
                let rest = known.arguments.end_cut();
                pieces.extend(may_be_told.then(|| known.piece(index, rest)).flatten());
                if needs_objects {
                    break;
                }
            } else {
                pieces.extend(known.end(index, needs_objects)?);
            }
        }
        Ok(pieces)
    }

    fn needs_objects(&self) -> bool {
        self.expected.as_ref().is_some_and(|it| it.needs_objects)
    }
}

/// Adds a piece to the arguments of one call, of which all together take `argument_bytes`.
fn add(arguments: &mut Arguments, piece: &str, argument_bytes: &mut usize) -> Result<(), BadCalls> {
    let kept = arguments.len();
    arguments.take(piece);
    *argument_bytes = (*argument_bytes + arguments.len()).saturating_sub(kept);
    if *argument_bytes > MAX_ARGUMENT_BYTES { Err(BadCalls) } else { Ok(()) }
}

impl Known {
    /// The piece with `arguments`; `None` if it says nothing.
    fn piece(&mut self, index: usize, arguments: String) -> Option<ToolCallPiece> {
        let opening = self.opening.take();
        let says_something = opening.is_some() || !arguments.is_empty();
        says_something.then_some(ToolCallPiece { index, opening, arguments })
    }

    /// The last piece, with all that was held back.
    fn end(&mut self, index: usize, needs_object: bool) -> Result<Option<ToolCallPiece>, BadCalls> {
        let arguments = self.arguments.end();
        if needs_object && !self.arguments.is_object() {
            return Err(BadCalls);
        }
        Ok(self.piece(index, arguments))
    }

    /// Whether it is a call with `{}` that is not waited for: providers that do not number calls send them whole.
    fn is_empty_call(&self) -> bool {
        self.number.is_none() && self.arguments.is_empty_object()
    }

    fn has_name(&self, wire: &WireCall) -> bool {
        wire.name.as_deref().is_some_and(|name| name == self.wire_name)
    }

    /// Whether a piece that may belong to this call does.
    fn goes_on_with(&self, wire: &WireCall) -> bool {
        let id = wire.id.as_deref().unwrap_or_default();
        let (has_same_id, has_same_name) = (id == self.wire_id, self.has_name(wire));
        let may_be_same = id.is_empty() || self.wire_id.is_empty() || has_same_id;
        if wire.name.is_none() {
            // Some providers make a new id for every piece, but none begins another object behind a complete one.
            let begins_another = wire.arguments.trim_start().starts_with('{')
                && !self.arguments.may_be_repeated_by(&wire.arguments);
            return if self.arguments.is_complete() {
                !begins_another
                    || (may_be_same
                        && wire.number.is_some()
                        && (wire.number == self.number || (has_same_id && !id.is_empty())))
            } else {
                may_be_same || wire.number.is_none() || wire.number == self.number
            };
        }
        if !may_be_same {
            return false;
        }
        let is_sure = has_same_id && !id.is_empty();
        if self.arguments.is_complete() {
            let is_again = if is_sure {
                self.arguments.may_be_repeated_by(&wire.arguments)
            } else {
                // Without ids and numbers two calls may be the same in every word.
                wire.number.is_some() && self.is_said_again_by(wire)
            };
            return has_same_name && is_again;
        }
        if self.arguments.is_empty_value() {
            return has_same_name && (is_sure || wire.number.is_some());
        }
        is_sure || (has_same_name && (wire.number.is_some() || !self.arguments.is_blank()))
    }

    /// Whether a whole call says this one again: in the same words, or one of the two says nothing.
    fn is_said_again_by(&self, wire: &WireCall) -> bool {
        let (known, again) = (&self.arguments, &wire.arguments);
        let is_whole = !again.trim_start().is_empty();
        let says_no_more = known.is_repeated_by(again) || (known.is_complete() && says_nothing(again));
        self.has_name(wire) && is_whole && (says_no_more || known.is_empty_value())
    }
}

impl Nameless {
    /// Whether a piece without a name belongs to the same call.
    fn is_meant_by(&self, number: Option<u64>, id: Option<&str>) -> bool {
        let id = id.unwrap_or_default();
        let is_same_id = !id.is_empty() && id == self.id;
        let may_be_same = id.is_empty() || self.id.is_empty();
        is_same_id || (may_be_same && (number.is_none() || self.number.is_none() || number == self.number))
    }

    /// Whether a piece belongs to the same call and, if it has a name, does not bring other arguments.
    fn is_named_by(&self, wire: &WireCall) -> bool {
        let brings_others =
            || self.arguments.is_complete() && !self.arguments.may_be_repeated_by(&wire.arguments);
        self.is_meant_by(wire.number, wire.id.as_deref()) && !brings_others()
    }
}

/// Whether every client and provider takes an id: some refuse a call in the conversation with another.
fn is_fit(id: &str) -> bool {
    const MAX_LEN: usize = 64;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=MAX_LEN).contains(&id.len()) && id.bytes().all(is_plain)
}

#[cfg(test)]
mod tests;
