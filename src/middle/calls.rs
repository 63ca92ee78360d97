//! The tool calls of one answer in one form: numbered from 0 without gaps, each with an id, its name as the client
//! knows it, and its arguments as JSON text.
//!
//! Groq, Cerebras and Gemini send each call in one piece; others that speak OpenAI's dialect send it in many, and some
//! number all their calls 0 or send no id.

use super::event::{ToolCallOpening, ToolCallPiece};

/// The tool calls that an answer may have.
#[derive(Clone, Debug)]
pub struct ExpectedCalls {
    /// Tool names that were changed for the provider: as they are on the wire, and as the client has them.
    pub renamed: Vec<(String, String)>,
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

#[derive(Debug)]
pub(super) struct Calls {
    /// `None` if no call is expected: one that comes all the same is dropped.
    expected: Option<ExpectedCalls>,
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    number: Option<u64>,
    /// As the provider sends it; empty if it sends none.
    wire_id: String,
    id: String,
    has_arguments: bool,
}

impl Calls {
    pub(super) fn new(expected: Option<ExpectedCalls>) -> Self {
        Self { expected, known: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes a piece and returns what to pass on: nothing if it is empty or belongs to no call. Before a new call comes
    /// what was missing from the previous one, since clients read a call as complete when the next begins.
    pub(super) fn take(&mut self, wire: WireCall) -> impl Iterator<Item = ToolCallPiece> + use<> {
        let known = self.known.len();
        let piece = self.piece(wire);
        let is_next = self.known.len() > known;
        let completed = known.checked_sub(1).filter(|_| is_next).and_then(|last| self.complete(last));
        completed.into_iter().chain(piece)
    }

    fn piece(&mut self, wire: WireCall) -> Option<ToolCallPiece> {
        let expected = self.expected.as_mut()?;
        let WireCall { number, id, name, arguments, signature } = wire;
        let wire_id = id.unwrap_or_default();
        let name = name.filter(|name| !name.is_empty());
        let is_new =
            |known: &Known| if wire_id.is_empty() { name.is_some() } else { wire_id != known.wire_id };
        let position = match number {
            Some(_) => self.known.iter().rposition(|known| known.number == number),
            None => self.known.len().checked_sub(1),
        };
        let position = position.filter(|&at| self.known.get(at).is_some_and(|known| !is_new(known)));
        let (index, opening) = if let Some(index) = position {
            (index, None)
        } else {
            let name = name?;
            let mut id = wire_id.clone();
            while id.is_empty() || self.known.iter().any(|known| known.id == id) {
                id = format!("call_{:024x}", expected.random.u128(..) >> 32);
            }
            let original = expected.renamed.iter().find(|(wire, _)| *wire == name);
            let name = original.map_or(name, |(_, original)| original.clone());
            self.known.push(Known { number, wire_id, id: id.clone(), has_arguments: false });
            (self.known.len() - 1, Some(ToolCallOpening { id, name, signature }))
        };
        if let Some(known) = self.known.get_mut(index) {
            known.has_arguments |= !arguments.is_empty();
        }
        let says_something = opening.is_some() || !arguments.is_empty();
        says_something.then_some(ToolCallPiece { index, opening, arguments })
    }

    /// Completes the last call: returns what is missing from it.
    pub(super) fn end(&mut self) -> Option<ToolCallPiece> {
        self.known.len().checked_sub(1).and_then(|last| self.complete(last))
    }

    /// A call without arguments has `{}`.
    fn complete(&mut self, index: usize) -> Option<ToolCallPiece> {
        let known = self.known.get_mut(index).filter(|known| !known.has_arguments)?;
        known.has_arguments = true;
        Some(ToolCallPiece { index, opening: None, arguments: "{}".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Calls {
        let renamed = vec![("_1st".to_owned(), "1st".to_owned())];
        Calls::new(Some(ExpectedCalls { renamed, random: fastrand::Rng::with_seed(1) }))
    }

    fn wire(number: Option<u64>, id: &str, name: &str, arguments: &str) -> WireCall {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        WireCall { number, id: some(id), name: some(name), arguments: arguments.to_owned(), signature: None }
    }

    /// Calls as `index id name arguments`, a made-up id as `*`.
    fn told(pieces: impl IntoIterator<Item = WireCall>) -> Vec<String> {
        let mut calls = calls();
        let given: Vec<_> = pieces.into_iter().flat_map(|piece| calls.take(piece)).collect();
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
                vec!["0 a f {}", "1 b g [1]"],
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
                vec!["0 a f {", "0 }"],
            ),
            (
                "all numbered 0",
                vec![wire(Some(0), "a", "f", "{}"), wire(Some(0), "b", "f", "{}")],
                vec!["0 a f {}", "1 b f {}"],
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
                vec!["0 a f {}", "1 * g {}"],
            ),
            ("numbers with gaps", vec![wire(Some(3), "a", "f", "{}")], vec!["0 a f {}"]),
            ("renamed", vec![wire(None, "a", "_1st", "{}")], vec!["0 a 1st {}"]),
            ("no name at all", vec![wire(Some(0), "a", "", "{}")], vec![]),
            ("nothing", vec![wire(Some(0), "a", "f", "1"), wire(Some(0), "", "", "")], vec!["0 a f 1"]),
        ];
        for (case, pieces, expected) in cases {
            assert_eq!(told(pieces), expected, "{case}");
        }
    }

    #[test]
    fn calls_that_nobody_expects_are_not_passed_on() {
        assert_eq!(Calls::new(None).take(wire(Some(0), "a", "f", "{}")).count(), 0);
    }
}
