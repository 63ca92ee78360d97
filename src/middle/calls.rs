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
    /// Makes ids for calls that come without one.
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

/// An answer has more calls, or longer arguments, than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyCalls;

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
    ids: HashSet<String>,
    /// The call whose pieces are passed on as they come. Later ones wait until it is complete: calls do not mix.
    current: usize,
    argument_bytes: usize,
}

#[derive(Debug)]
struct Expected {
    names: ToolNames,
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
        let expected = expected.map(|ExpectedCalls { renamed, offered, random }| Expected {
            names: ToolNames::new(renamed, offered),
            random,
        });
        Self {
            expected,
            known: Vec::new(),
            nameless: Vec::new(),
            by_number: HashMap::new(),
            by_wire_id: HashMap::new(),
            ids: HashSet::new(),
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
    /// [`TooManyCalls`]; nothing more should be taken then.
    pub(super) fn take(&mut self, mut wire: WireCall) -> Result<Vec<ToolCallPiece>, TooManyCalls> {
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
            let kept = known.arguments.len();
            known.arguments.take(&wire.arguments);
            self.argument_bytes = (self.argument_bytes + known.arguments.len()).saturating_sub(kept);
        }
        if self.argument_bytes > MAX_ARGUMENT_BYTES {
            return Err(TooManyCalls);
        }
        Ok(self.tell())
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
    fn open(&mut self, name: &str, wire: &WireCall) -> Result<usize, TooManyCalls> {
        let nameless = self.nameless.iter().position(|it| it.is_named_by(wire));
        let before = nameless.map(|at| self.nameless.remove(at));
        let Some(expected) = self.expected.as_mut() else { return Err(TooManyCalls) };
        if self.known.len() >= MAX_CALLS {
            return Err(TooManyCalls);
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
        while opening.id.is_empty() || self.ids.contains(&opening.id) {
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
    fn keep(&mut self, wire: WireCall) -> Result<(), TooManyCalls> {
        let WireCall { number, id, arguments, signature, .. } = wire;
        let known = self.nameless.iter().position(|it| it.is_meant_by(number, id.as_deref()));
        if known.is_none() && self.known.len() + self.nameless.len() >= MAX_CALLS {
            return Err(TooManyCalls);
        }
        if known.is_none() {
            let id = id.unwrap_or_default();
            self.nameless.push(Nameless { number, id, signature, arguments: Arguments::default() });
        }
        let at = known.unwrap_or(self.nameless.len() - 1);
        if let Some(nameless) = self.nameless.get_mut(at) {
            let kept = nameless.arguments.len();
            nameless.arguments.take(&arguments);
            self.argument_bytes = (self.argument_bytes + nameless.arguments.len()).saturating_sub(kept);
        }
        if self.argument_bytes > MAX_ARGUMENT_BYTES { Err(TooManyCalls) } else { Ok(()) }
    }

    /// What may be passed on now. A call is ended when the next one may begin, since clients read it as complete then.
    fn tell(&mut self) -> Vec<ToolCallPiece> {
        let mut pieces = Vec::new();
        let calls = self.known.len();
        while let Some(known) = self.known.get_mut(self.current) {
            let is_whole = known.arguments.is_complete() || known.is_empty_call();
            let is_over = is_whole && self.current + 1 < calls;
            let arguments =
                if is_over || known.is_empty_call() { known.arguments.end() } else { known.arguments.tell() };
            pieces.extend(known.piece(self.current, arguments));
            if !is_over {
                break;
            }
            self.current += 1;
        }
        pieces
    }

    /// Completes all calls: returns what was held back, and what is missing from them.
    pub(super) fn end(&mut self) -> Vec<ToolCallPiece> {
        let rest = self.known.iter_mut().enumerate().skip(self.current);
        let pieces = rest.filter_map(|(index, known)| {
            let arguments = known.arguments.end();
            known.piece(index, arguments)
        });
        pieces.collect()
    }
}

impl Known {
    /// The piece with `arguments`; `None` if it says nothing.
    fn piece(&mut self, index: usize, arguments: String) -> Option<ToolCallPiece> {
        let opening = self.opening.take();
        let says_something = opening.is_some() || !arguments.is_empty();
        says_something.then_some(ToolCallPiece { index, opening, arguments })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Calls {
        let renamed = vec![("_1st".to_owned(), "1st".to_owned())];
        let offered = ["f", "g", "1st"].map(str::to_owned).to_vec();
        Calls::new(Some(ExpectedCalls { renamed, offered, random: fastrand::Rng::with_seed(1) }))
    }

    fn wire(number: Option<u64>, id: &str, name: &str, arguments: &str) -> WireCall {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        WireCall { number, id: some(id), name: some(name), arguments: arguments.to_owned(), signature: None }
    }

    /// Calls as `index id name arguments`, a made-up id as `*`.
    fn told(pieces: impl IntoIterator<Item = WireCall>) -> Vec<String> {
        let mut calls = calls();
        let given: Vec<_> =
            pieces.into_iter().flat_map(|piece| calls.take(piece).expect("few calls")).collect();
        let pieces = given.into_iter().chain(calls.end());
        let text = |piece: ToolCallPiece| {
            let opening = piece.opening.map_or_else(String::new, |opening| {
                let is_made_up = opening.id.len() == 29 && opening.id.starts_with("call_");
                format!("{} {} ", if is_made_up { "*" } else { &opening.id }, opening.name)
            });
            format!("{} {opening}{}", piece.index, piece.arguments)
        };
        pieces.map(text).collect()
    }

    #[test]
    fn calls_are_numbered_and_named_whatever_is_missing() {
        let cases = [
            (
                "whole",
                vec![wire(Some(0), "a", "f", "{}"), wire(Some(1), "b", "g", "[1]")],
                vec!["0 a f ", "0 {}", "1 b g [1]"],
            ),
            (
                "in pieces",
                vec![
                    wire(Some(0), "a", "f", ""),
                    wire(Some(0), "", "", "{\"x\""),
                    wire(Some(0), "", "", ":1}"),
                ],
                vec!["0 a f ", "0 {\"x\"", "0 :1}"],
            ),
            (
                "id repeated with every piece",
                vec![wire(Some(0), "a", "f", "{"), wire(Some(0), "a", "f", "}")],
                vec!["0 a f ", "0 {}"],
            ),
            (
                "all numbered 0",
                vec![wire(Some(0), "a", "f", "{}"), wire(Some(0), "b", "f", "{}")],
                vec!["0 a f ", "0 {}", "1 b f {}"],
            ),
            (
                "no number and no id",
                vec![wire(None, "", "f", "{}"), wire(None, "", "f", "{}"), wire(None, "", "g", "")],
                vec!["0 * f {}", "1 * f {}", "2 * g ", "2 {}"],
            ),
            (
                "no arguments before the next",
                vec![wire(Some(0), "a", "f", ""), wire(Some(1), "b", "g", "{}")],
                vec!["0 a f ", "0 {}", "1 b g {}"],
            ),
            (
                "the same id twice",
                vec![wire(Some(0), "a", "f", "{}"), wire(Some(1), "a", "g", "{}")],
                vec!["0 a f ", "0 {}", "1 * g {}"],
            ),
            ("numbers with gaps", vec![wire(Some(3), "a", "f", "[1]")], vec!["0 a f ", "0 [1]"]),
            ("renamed", vec![wire(None, "a", "_1st", "{}")], vec!["0 a 1st {}"]),
            ("no name at all", vec![wire(Some(0), "a", "", "{}")], vec![]),
            ("nothing", vec![wire(Some(0), "a", "f", "1"), wire(Some(0), "", "", "")], vec!["0 a f ", "0 1"]),
            (
                "the whole again behind its pieces",
                vec![
                    wire(Some(0), "a", "f", ""),
                    wire(Some(0), "", "", "{\"x\""),
                    wire(Some(0), "", "", ":12}"),
                    wire(Some(0), "a", "f", "{\"x\":12}"),
                ],
                vec!["0 a f ", "0 {\"x\"", "0 :12}"],
            ),
            (
                "the whole again without id and name",
                vec![
                    wire(Some(0), "a", "f", "{\"x\""),
                    wire(Some(0), "", "", ":12}"),
                    wire(Some(0), "", "", "{\"x\":12}"),
                ],
                vec!["0 a f {\"x\"", "0 :12}"],
            ),
            (
                "an id only with the whole again",
                vec![wire(Some(0), "", "f", "{\"x\":1}"), wire(Some(0), "a", "f", "{ \"x\": 1 }")],
                vec!["0 * f {\"x\":1}"],
            ),
            (
                "two wholes again, under other numbers too",
                vec![
                    wire(Some(0), "a", "f", "{\"x\":1}"),
                    wire(Some(1), "b", "f", "{\"x\":1}"),
                    wire(Some(0), "a", "f", "{\"x\":1}"),
                    wire(Some(3), "b", "f", "{\"x\":1}"),
                ],
                vec!["0 a f {\"x\":1}", "1 b f {\"x\":1}"],
            ),
            (
                "a new id with every piece",
                vec![wire(Some(0), "a", "f", "{"), wire(Some(0), "b", "", "}")],
                vec!["0 a f ", "0 {}"],
            ),
            (
                "the name with every piece",
                vec![wire(Some(0), "", "f", ""), wire(Some(0), "", "f", "{"), wire(Some(0), "", "f", "}")],
                vec!["0 * f ", "0 {}"],
            ),
            (
                "one id for two calls without numbers",
                vec![wire(None, "a", "f", "{\"x\":1}"), wire(None, "a", "f", "{\"x\":2}")],
                vec!["0 a f {\"x\":1}", "1 * f {\"x\":2}"],
            ),
            (
                "pieces of two calls mixed",
                vec![
                    wire(Some(0), "a", "f", ""),
                    wire(Some(1), "b", "g", ""),
                    wire(Some(1), "", "", "{\"y\":"),
                    wire(Some(0), "", "", "{\"x\":1}"),
                    wire(Some(1), "", "", "2}"),
                ],
                vec!["0 a f ", "0 {\"x\":1}", "1 b g {\"y\":", "1 2}"],
            ),
            (
                "arguments that say nothing",
                vec![wire(None, "a", "f", "null"), wire(None, "b", "g", "\"\"")],
                vec!["0 a f ", "0 {}", "1 b g {}"],
            ),
            ("a model's marks", vec![wire(None, "a", "functions.f<|channel|>json", "{}")], vec!["0 a f {}"]),
        ];
        for (case, pieces, expected) in cases {
            assert_eq!(told(pieces), expected, "{case}");
        }
    }

    /// The same, each call as one text: `id name arguments`.
    fn wholes(pieces: impl IntoIterator<Item = WireCall>) -> Vec<String> {
        let mut wholes: Vec<String> = Vec::new();
        for piece in told(pieces) {
            let (index, text) = piece.split_once(' ').expect("an index");
            match wholes.get_mut(index.parse::<usize>().expect("a number")) {
                Some(whole) => whole.push_str(text),
                None => wholes.push(text.to_owned()),
            }
        }
        wholes
    }

    #[test]
    fn no_arguments_are_lost_or_doubled_whatever_is_missing() {
        let cases = [
            (
                "arguments before the name",
                vec![wire(Some(0), "a", "", "{\"x\":1}"), wire(Some(0), "", "f", "")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "arguments before the name, and with it",
                vec![wire(Some(0), "a", "", "{\"x\""), wire(Some(0), "a", "f", ":1}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "arguments in pieces before the name",
                vec![
                    wire(Some(0), "a", "", "{\"x\""),
                    wire(Some(0), "", "", ":1}"),
                    wire(Some(0), "", "f", ""),
                ],
                vec!["a f {\"x\":1}"],
            ),
            (
                "an id only before the name, no numbers",
                vec![wire(None, "a", "", "{\"x\""), wire(None, "", "", ":1}"), wire(None, "a", "f", "")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "arguments before two names",
                vec![
                    wire(Some(0), "a", "", "{\"x\""),
                    wire(Some(1), "b", "", "{\"y\":2}"),
                    wire(Some(0), "", "", ":1}"),
                    wire(Some(1), "", "g", ""),
                    wire(Some(0), "", "f", ""),
                ],
                vec!["b g {\"y\":2}", "a f {\"x\":1}"],
            ),
            (
                "arguments before the name of the second call",
                vec![
                    wire(Some(0), "a", "f", "{\"x\":1}"),
                    wire(Some(1), "b", "", "{\"y\":2}"),
                    wire(Some(1), "b", "g", ""),
                ],
                vec!["a f {\"x\":1}", "b g {\"y\":2}"],
            ),
            (
                "the same without ids",
                vec![
                    wire(Some(0), "", "f", "{\"x\":1}"),
                    wire(Some(1), "", "", "{\"y\":2}"),
                    wire(Some(1), "", "g", ""),
                ],
                vec!["* f {\"x\":1}", "* g {\"y\":2}"],
            ),
            (
                "the same, all numbered 0",
                vec![
                    wire(Some(0), "a", "f", "{\"x\":1}"),
                    wire(Some(0), "b", "", "{\"y\":2}"),
                    wire(Some(0), "b", "g", ""),
                ],
                vec!["a f {\"x\":1}", "b g {\"y\":2}"],
            ),
            (
                "the same beside a call without arguments yet",
                vec![
                    wire(Some(0), "a", "f", ""),
                    wire(Some(1), "b", "", "{\"y\":2}"),
                    wire(Some(1), "b", "g", ""),
                    wire(Some(0), "", "", "{\"x\":1}"),
                ],
                vec!["a f {\"x\":1}", "b g {\"y\":2}"],
            ),
            (
                "the whole before and with the name",
                vec![wire(Some(0), "a", "", "{\"x\":1}"), wire(Some(0), "a", "f", "{\"x\":1}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "no number at first",
                vec![wire(None, "a", "f", ""), wire(Some(0), "", "", "{\"x\":1}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "no number at first, then pieces",
                vec![wire(None, "a", "f", ""), wire(Some(0), "", "", "{\"x\""), wire(Some(0), "", "", ":1}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "a new number with each piece, and the id",
                vec![wire(Some(0), "a", "f", "{\"x\""), wire(Some(1), "a", "", ":1}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "a new number with each piece",
                vec![
                    wire(Some(0), "a", "f", "{\"x\""),
                    wire(Some(1), "", "", ":"),
                    wire(Some(2), "", "", "1}"),
                ],
                vec!["a f {\"x\":1}"],
            ),
            (
                "a new number with each piece, two calls",
                vec![
                    wire(Some(0), "a", "f", "{\"x\""),
                    wire(Some(1), "", "", ":1}"),
                    wire(Some(1), "b", "g", "{\"y\""),
                    wire(Some(2), "", "", ":2}"),
                ],
                vec!["a f {\"x\":1}", "b g {\"y\":2}"],
            ),
            (
                "noise under another number",
                vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(1), "", "", "<|endoftext|>")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "nothing, then the whole",
                vec![wire(Some(0), "a", "f", "{}"), wire(Some(0), "a", "f", "{\"x\":1}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "nothing, then the whole without id",
                vec![wire(Some(0), "a", "f", "{}"), wire(Some(0), "", "f", "{\"x\":1}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "nothing, then the whole without number",
                vec![wire(None, "a", "f", "{}"), wire(None, "a", "f", "{\"x\":1}")],
                vec!["a f {}", "* f {\"x\":1}"],
            ),
            (
                "nothing, then the whole under another number",
                vec![wire(Some(0), "a", "f", "{}"), wire(Some(1), "a", "f", "{\"x\":1}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "nothing, then pieces",
                vec![
                    wire(Some(0), "a", "f", "{}"),
                    wire(Some(0), "", "", "{\"x\""),
                    wire(Some(0), "", "", ":1}"),
                ],
                vec!["a f {\"x\":1}"],
            ),
            (
                "nothing, then another call, then the whole",
                vec![
                    wire(Some(0), "a", "f", "{}"),
                    wire(Some(1), "b", "g", "{\"y\":2}"),
                    wire(Some(0), "", "", "{\"x\":1}"),
                ],
                vec!["a f {\"x\":1}", "b g {\"y\":2}"],
            ),
            (
                "nothing behind the whole",
                vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(0), "a", "f", "{}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "null behind the whole",
                vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(0), "a", "f", "null")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "nothing behind the whole without id",
                vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(0), "", "f", "{}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "nothing behind the whole under another number",
                vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(1), "a", "f", "{}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "nothing behind the whole without number",
                vec![wire(None, "a", "f", "{\"x\":1}"), wire(None, "a", "f", "{}")],
                vec!["a f {\"x\":1}"],
            ),
            (
                "another call that says nothing",
                vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(0), "b", "f", "{}")],
                vec!["a f {\"x\":1}", "b f {}"],
            ),
            (
                "another call without number and id that says nothing",
                vec![wire(None, "", "f", "{\"x\":1}"), wire(None, "", "f", "{}")],
                vec!["* f {\"x\":1}", "* f {}"],
            ),
        ];
        for (case, pieces, expected) in cases {
            assert_eq!(wholes(pieces), expected, "{case}");
        }
    }

    #[test]
    fn arguments_without_a_name_are_not_forgotten() {
        let cases = [
            ("no name", vec![wire(Some(0), "a", "", "{\"x\":1}")], true),
            ("a piece", vec![wire(None, "", "", "{\"x\"")], true),
            (
                "beside a call",
                vec![wire(Some(0), "a", "f", "{\"x\":1}"), wire(Some(1), "b", "", "{\"y\":2}")],
                true,
            ),
            (
                "beside a call without numbers",
                vec![wire(None, "a", "f", "{\"x\":1}"), wire(None, "b", "", "{\"y\":2}")],
                true,
            ),
            (
                "a call with other arguments",
                vec![wire(None, "", "", "{\"x\":1}"), wire(None, "", "f", "{\"y\":2}")],
                true,
            ),
            (
                "behind an object that says nothing and was passed on",
                vec![wire(None, "a", "f", "{}"), wire(None, "a", "", "{"), wire(None, "a", "", "\"x\":1}")],
                true,
            ),
            ("no arguments", vec![wire(Some(0), "a", "", "")], false),
            ("nothing", vec![wire(Some(0), "a", "", "{}"), wire(Some(0), "a", "", "null")], false),
            ("a name at last", vec![wire(Some(0), "a", "", "{\"x\":1}"), wire(Some(0), "", "f", "")], false),
        ];
        for (case, pieces, expected) in cases {
            let mut calls = calls();
            pieces.into_iter().for_each(|piece| drop(calls.take(piece)));
            assert_eq!(calls.has_nameless(), expected, "{case}");
        }
    }

    #[test]
    fn calls_that_nobody_expects_are_not_passed_on() {
        assert_eq!(Calls::new(None).take(wire(Some(0), "a", "f", "{}")), Ok(Vec::new()));
    }

    #[test]
    fn calls_and_their_arguments_have_a_limit() {
        let mut calls = calls();
        for number in 0..MAX_CALLS as u64 {
            assert!(calls.take(wire(Some(number), "", "f", "{}")).is_ok());
        }
        assert_eq!(calls.take(wire(None, "", "f", "{}")), Err(TooManyCalls));
        let mut calls = self::calls();
        let piece = "1,".repeat(MAX_ARGUMENT_BYTES / 4);
        assert!(calls.take(wire(Some(0), "", "f", &format!("{{\"x\":[{piece}"))).is_ok());
        assert_eq!(calls.take(wire(Some(0), "", "", &piece)), Err(TooManyCalls));
    }
}
