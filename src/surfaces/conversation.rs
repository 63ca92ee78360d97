//! A conversation as providers take it, from one as clients send it.
//!
//! Clients put instructions anywhere, results far behind their calls or without the call's id, and leave results out.
//! Providers want instructions first, and the results of all calls of a turn right behind them, one for each call. Nothing
//! that was said is lost: what has no place becomes text of the user.

use std::collections::{HashMap, VecDeque};

use crate::middle::{AssistantPart, Message, Part, ToolCall};

/// A conversation under way.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    instructions: Vec<String>,
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    User(Vec<Part>),
    Assistant(Vec<AssistantPart>),
    /// Until it is told behind its call.
    Result(Option<ToolResult>),
}

/// What a tool has returned.
#[derive(Debug, Default)]
pub(super) struct ToolResult {
    /// The id of its call; without one the name says which call it is for, or else the order.
    pub(super) call_id: Option<String>,
    /// The tool.
    pub(super) name: Option<String>,
    /// Texts, images and files.
    pub(super) parts: Vec<Part>,
    /// Whether the tool has failed.
    pub(super) is_error: bool,
}

impl Conversation {
    /// Instructions for the model, wherever they stand.
    pub(super) fn instruct(&mut self, text: String) {
        self.instructions.extend(Some(text).filter(|text| !text.is_empty()));
    }

    /// What the user says; nothing if it is empty.
    pub(super) fn user(&mut self, parts: Vec<Part>) {
        if !parts.is_empty() {
            self.items.push(Item::User(parts));
        }
    }

    /// What the model has said and called; nothing if it is empty. What follows each other without a result in between is one
    /// turn.
    pub(super) fn assistant(&mut self, parts: Vec<AssistantPart>) {
        if !parts.is_empty() {
            self.items.push(Item::Assistant(parts));
        }
    }

    /// What a tool has returned.
    pub(super) fn result(&mut self, result: ToolResult) {
        self.items.push(Item::Result(Some(result)));
    }

    /// The messages, instructions first; none if nothing was said.
    pub(super) fn into_messages(self) -> Vec<Message> {
        let mut pairing = Pairing::of(self.items);
        if !self.instructions.is_empty() {
            pairing.messages.push(Message::System(self.instructions));
        }
        for position in 0..pairing.items.len() {
            pairing.take(position);
        }
        pairing.end_turn();
        pairing.messages
    }
}

/// How the messages come about, turn by turn.
#[derive(Default)]
struct Pairing {
    items: Vec<Item>,
    /// Where the results of the calls stand, by the numbers of the calls.
    places: HashMap<usize, usize>,
    /// How many calls have been told.
    told: usize,
    messages: Vec<Message>,
    /// The turn of the model that is not ended yet.
    turn: Vec<AssistantPart>,
    /// Where the results stand that have come since it began.
    results: Vec<usize>,
}

impl Pairing {
    fn of(items: Vec<Item>) -> Self {
        let places = places_of_results(&items);
        Self { items, places, ..Self::default() }
    }

    fn take(&mut self, position: usize) {
        match self.items.get_mut(position) {
            Some(Item::User(parts)) => {
                let parts = std::mem::take(parts);
                self.end_turn();
                self.messages.push(Message::User(parts));
            }
            Some(Item::Assistant(parts)) => {
                let mut parts = std::mem::take(parts);
                if !self.results.is_empty() {
                    self.end_turn();
                }
                self.turn.append(&mut parts);
            }
            Some(Item::Result(_)) => self.results.push(position),
            None => {}
        }
    }

    /// Tells the turn of the model, the results of its calls, and behind them the results that belong to no call.
    fn end_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        let mut used = HashMap::new();
        let mut told = Vec::new();
        let parts = turn.into_iter().map(|part| match part {
            AssistantPart::Call(call) => {
                let result = self.claim().unwrap_or_default();
                let call = ToolCall { id: own_id(&call.id, &mut used), ..call };
                told.push(Message::Tool {
                    call_id: call.id.clone(),
                    parts: result.parts,
                    is_error: result.is_error,
                });
                AssistantPart::Call(call)
            }
            text @ AssistantPart::Text(_) => text,
        });
        let parts: Vec<_> = parts.collect();
        if !parts.is_empty() {
            self.messages.push(Message::Assistant(parts));
        }
        self.messages.append(&mut told);
        for position in std::mem::take(&mut self.results) {
            if let Some(Item::Result(result)) = self.items.get_mut(position)
                && let Some(orphan) = result.take()
            {
                self.messages.push(Message::User(as_said(orphan)));
            }
        }
    }

    /// The result of the next call.
    fn claim(&mut self) -> Option<ToolResult> {
        let place = self.places.get(&self.told).copied();
        self.told += 1;
        match self.items.get_mut(place?)? {
            Item::Result(result) => result.take(),
            Item::User(_) | Item::Assistant(_) => None,
        }
    }
}

/// Calls without a result so far, by the turns in which they were made, the latest turn last.
#[derive(Default)]
struct Open(Vec<(usize, VecDeque<usize>)>);

impl Open {
    fn add(&mut self, turn: usize, call: usize) {
        match self.0.last_mut().filter(|(its, _)| *its == turn) {
            Some((_, calls)) => calls.push_back(call),
            None => self.0.push((turn, VecDeque::from([call]))),
        }
    }

    /// The first call of the latest turn that has calls which are not `answered`.
    fn take(&mut self, answered: &HashMap<usize, usize>) -> Option<usize> {
        while let Some((_, calls)) = self.0.last_mut() {
            match calls.pop_front() {
                Some(call) if answered.contains_key(&call) => {}
                Some(call) => return Some(call),
                None => drop(self.0.pop()),
            }
        }
        None
    }
}

/// Where the result of each call stands, by the call's number. A result belongs to the nearest turn before it that has a
/// call of its id without a result; where there is no such id, to one of its name; without either, to any.
fn places_of_results(items: &[Item]) -> HashMap<usize, usize> {
    let (mut by_id, mut by_name) = (HashMap::<&str, Open>::new(), HashMap::<&str, Open>::new());
    let mut all = Open::default();
    let mut places = HashMap::new();
    let (mut turn, mut calls) = (0, 0);
    for (position, item) in items.iter().enumerate() {
        match item {
            Item::User(_) => turn += 1,
            Item::Assistant(parts) => {
                for call in parts.iter().filter_map(AssistantPart::call) {
                    by_id.entry(&call.id).or_default().add(turn, calls);
                    by_name.entry(&call.name).or_default().add(turn, calls);
                    all.add(turn, calls);
                    calls += 1;
                }
            }
            Item::Result(result) => {
                turn += 1;
                let Some(ToolResult { call_id, name, .. }) = result else { continue };
                let id = call_id.as_deref().and_then(|id| by_id.get_mut(id)?.take(&places));
                let named = || name.as_deref().and_then(|name| by_name.get_mut(name)?.take(&places));
                let call = id.or_else(named);
                let is_bare = call_id.is_none() && name.is_none();
                let call = call.or_else(|| is_bare.then(|| all.take(&places)).flatten());
                places.extend(call.map(|call| (call, position)));
            }
        }
    }
    places
}

/// `id`, or another if it is empty or `used` by another call of the turn. It is kept how far the numbers behind an id have
/// come, so that many calls of one id do not try each number again.
fn own_id(id: &str, used: &mut HashMap<String, usize>) -> String {
    let base = if id.is_empty() { "call" } else { id };
    let mut own = id.to_owned();
    while own.is_empty() || used.contains_key(&own) {
        let number = used.entry(base.to_owned()).or_default();
        *number += 1;
        own = format!("{base}_{number}");
    }
    used.entry(own.clone()).or_insert(1);
    own
}

/// A result without a call, as text of the user.
fn as_said(result: ToolResult) -> Vec<Part> {
    let of = result.name.map(|name| format!(" of {name}")).unwrap_or_default();
    let failed = if result.is_error { " (it failed)" } else { "" };
    let mut parts = vec![Part::Text(format!("Result of an earlier tool call{of}{failed}:"))];
    parts.extend(result.parts);
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// Writes messages down shortly: `S` instructions, `U` user, `A` assistant with its calls as `name#id`, `R` results.
    fn shown(messages: &[Message]) -> String {
        let texts = |parts: &[Part]| {
            let text = |part: &Part| if let Part::Text(text) = part { text.clone() } else { "?".to_owned() };
            parts.iter().map(text).collect::<Vec<_>>().join("|")
        };
        let one = |message: &Message| match message {
            Message::System(texts) => format!("S({})", texts.join("|")),
            Message::User(parts) => format!("U({})", texts(parts)),
            Message::Assistant(parts) => {
                let part = |part: &AssistantPart| match part {
                    AssistantPart::Text(text) => text.clone(),
                    AssistantPart::Call(call) => format!("{}#{}", call.name, call.id),
                };
                format!("A({})", parts.iter().map(part).collect::<Vec<_>>().join("|"))
            }
            Message::Tool { call_id, parts, is_error } => {
                format!("R{}({call_id}:{})", if *is_error { "!" } else { "" }, texts(parts))
            }
        };
        messages.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// The same notation, as a client sends it; a call's id may be missing in a result, and its name may stand there.
    fn read(script: &str) -> Conversation {
        let mut conversation = Conversation::default();
        for item in script.split_whitespace() {
            let (kind, rest) = item.split_once('(').unwrap();
            let inside = rest.strip_suffix(')').unwrap();
            match kind {
                "S" => conversation.instruct(inside.to_owned()),
                "U" => conversation.user(vec![Part::Text(inside.to_owned())]),
                "A" => conversation.assistant(inside.split('|').map(said).collect()),
                _ => {
                    let (of, text) = inside.split_once(':').unwrap();
                    let (name, id) = of.split_once('#').unwrap_or(("", of));
                    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
                    conversation.result(ToolResult {
                        call_id: some(id),
                        name: some(name),
                        parts: vec![Part::Text(text.to_owned())],
                        is_error: kind == "R!",
                    });
                }
            }
        }
        conversation
    }

    fn said(text: &str) -> AssistantPart {
        match text.split_once('#') {
            None => AssistantPart::Text(text.to_owned()),
            Some((name, id)) => AssistantPart::Call(ToolCall {
                id: id.to_owned(),
                name: name.to_owned(),
                arguments: "{}".to_owned(),
                signature: None,
            }),
        }
    }

    #[test]
    fn calls_have_their_results_behind_them_and_instructions_come_first() {
        let cases = [
            ("U(a) S(x) A(b) S(y)", "S(x|y) U(a) A(b)"),
            ("A(f#1) A(g#2) R(1:x) R(2:y)", "A(f#1|g#2) R(1:x) R(2:y)"),
            ("A(f#1) R(1:x) A(g#2) R(2:y)", "A(f#1) R(1:x) A(g#2) R(2:y)"),
            ("A(f#1|g#2) R(2:y) R!(1:x)", "A(f#1|g#2) R!(1:x) R(2:y)"),
            // What stands between a call and its result comes behind the result.
            ("A(f#1) U(a) R(1:x)", "A(f#1) R(1:x) U(a)"),
            ("A(f#1|g#2) R(1:x) A(b) R(2:y)", "A(f#1|g#2) R(1:x) R(2:y) A(b)"),
            // A call without a result has an empty one.
            ("A(f#1) U(a)", "A(f#1) R(1:) U(a)"),
            ("A(f#1)", "A(f#1) R(1:)"),
            // Without an id the name decides, then the order.
            ("A(f#1|g#2) R(g#:y) R(f#:x)", "A(f#1|g#2) R(1:x) R(2:y)"),
            ("A(f#1|f#2) R(f#:x) R(f#:y)", "A(f#1|f#2) R(1:x) R(2:y)"),
            ("A(f#1|g#2) R(#:x) R(#:y)", "A(f#1|g#2) R(1:x) R(2:y)"),
            // Ids that come again in a later turn.
            ("A(f#1) R(1:x) A(f#1) R(1:y)", "A(f#1) R(1:x) A(f#1) R(1:y)"),
            // Of calls that share an id or a name, the nearest without a result is meant.
            ("A(f#1) U(a) A(f#1) R(1:x)", "A(f#1) R(1:) U(a) A(f#1) R(1:x)"),
            ("A(f#1) U(a) A(f#2) R(f#:x)", "A(f#1) R(1:) U(a) A(f#2) R(2:x)"),
            // A call that came without an id has one of ours.
            ("A(f#call_0_1) R(f#9:x)", "A(f#call_0_1) R(call_0_1:x)"),
            // Two calls of one turn never share an id.
            ("A(f#1|g#1) R(1:x) R(1:y)", "A(f#1|g#1_2) R(1:x) R(1_2:y)"),
            ("A(f#|g#) R(f#:x) R(g#:y)", "A(f#call_1|g#call_2) R(call_1:x) R(call_2:y)"),
        ];
        for (sent, expected) in cases {
            assert_eq!(shown(&read(sent).into_messages()), expected, "{sent}");
        }
    }

    #[test]
    fn a_result_without_a_call_becomes_text_of_the_user() {
        let cases = [
            ("R(9:x) U(a)", "U(Result of an earlier tool call:|x) U(a)"),
            (
                "A(f#1) R(1:x) R!(g#1:y)",
                "A(f#1) R(1:x) U(Result of an earlier tool call of g (it failed):|y)",
            ),
            ("R(1:x) A(f#1)", "U(Result of an earlier tool call:|x) A(f#1) R(1:)"),
        ];
        for (sent, expected) in cases {
            assert_eq!(shown(&read(sent).into_messages()), expected, "{sent}");
        }
    }

    #[test]
    fn many_calls_of_one_id_take_no_longer_than_others() {
        let mut used = HashMap::new();
        let taken: Vec<String> = (2..20_002).map(|number| format!("a_{number}")).collect();
        taken.iter().for_each(|id| assert_eq!(own_id(id, &mut used), *id));
        let own: HashSet<String> = (0..20_000).map(|_| own_id("a", &mut used)).collect();
        assert_eq!(own.len(), 20_000);
    }

    fn item() -> impl Strategy<Value = String> {
        let id = || prop_oneof![Just(""), Just("1"), Just("2"), Just("3")];
        prop_oneof![
            Just("U(T)".to_owned()),
            Just("S(T)".to_owned()),
            Just("A(T)".to_owned()),
            (id(), id()).prop_map(|(one, other)| format!("A(f#{one}|T|g#{other})")),
            (id(), prop_oneof![Just(""), Just("f"), Just("g")])
                .prop_map(|(id, name)| format!("R({name}#{id}:T)")),
        ]
    }

    proptest! {
        #[test]
        fn whatever_comes_calls_and_results_pair_and_nothing_is_lost(items in prop::collection::vec(item(), 0..14)) {
            let sent = items.join(" ");
            let messages = read(&sent).into_messages();
            let written = &shown(&messages);
            prop_assert_eq!(sent.matches('T').count(), written.matches('T').count(), "{}", written);
            let mut open: VecDeque<String> = VecDeque::new();
            for (position, message) in messages.iter().enumerate() {
                match message {
                    Message::Tool { call_id, .. } => {
                        let next = open.pop_front();
                        prop_assert_eq!(Some(call_id), next.as_ref(), "{}", written);
                    }
                    Message::Assistant(parts) => {
                        prop_assert!(open.is_empty(), "{}", written);
                        open.extend(parts.iter().filter_map(|part| Some(part.call()?.id.clone())));
                        let ids: HashSet<_> = open.iter().collect();
                        prop_assert_eq!(ids.len(), open.len(), "{}", written);
                    }
                    Message::System(_) => prop_assert_eq!(position, 0, "{}", written),
                    Message::User(_) => prop_assert!(open.is_empty(), "{}", written),
                }
            }
            prop_assert!(open.is_empty(), "{}", written);
        }
    }
}
