//! The names of tools as a provider takes them. A name that it would refuse is mended, shortened if need be, and mapped
//! back in the answer.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::fingerprint::fingerprint;
use crate::middle::{AssistantPart, ChatRequest, Message, ToolChoice};

/// How many letters and digits tell shortened names apart.
const FINGERPRINT: usize = 11;

/// Which names of tools a provider takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameRule {
    /// The longest name, in bytes.
    pub(super) max_bytes: usize,
    /// What may stand in it beside ASCII letters and digits; it has `_`.
    pub(super) marks: &'static str,
    /// Whether it begins with a letter or `_`.
    pub(super) begins_with_letter: bool,
}

/// The names of a request's tools that are others for the provider: those that are offered, and those of earlier calls.
#[derive(Debug, Default)]
pub(super) struct ToolNames<'a>(BTreeMap<&'a str, String>);

impl NameRule {
    fn fits(&self, name: &str) -> bool {
        let is_long = name.is_empty() || name.len() > self.max_bytes;
        !is_long && self.begins_well(name) && name.chars().all(|c| self.may_hold(c))
    }

    fn begins_well(&self, name: &str) -> bool {
        !self.begins_with_letter || name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }

    fn may_hold(&self, c: char) -> bool {
        c.is_ascii_alphanumeric() || self.marks.contains(c)
    }

    /// `name` of any length, with nothing that is not taken.
    fn mend(&self, name: &str) -> String {
        let prefix = if self.begins_well(name) && !name.is_empty() { "" } else { "_" };
        let mended = name.chars().map(|c| if self.may_hold(c) { c } else { '_' });
        prefix.chars().chain(mended).collect()
    }

    /// What `name` may become, the best first: itself, mended; shortened to its beginning and a fingerprint of all of it;
    /// the same with other fingerprints.
    fn substitutes<'n>(&'n self, name: &'n str) -> impl Iterator<Item = String> + 'n {
        let mended = self.mend(name);
        let room = self.max_bytes.saturating_sub(FINGERPRINT + 1);
        let beginning: String = mended.chars().take(room).collect();
        let shortened = (0_u32..).map(move |again| {
            let of = if again == 0 { name.to_owned() } else { format!("{name}\n{again}") };
            format!("{beginning}_{}", fingerprint(&of, FINGERPRINT))
        });
        Some(mended).filter(|it| it.len() <= self.max_bytes).into_iter().chain(shortened)
    }
}

impl<'a> ToolNames<'a> {
    pub(super) fn of(request: &'a ChatRequest, rule: &NameRule) -> Self {
        let unfit: BTreeSet<&str> = names(request).filter(|name| !rule.fits(name)).collect();
        if unfit.is_empty() {
            return Self::default();
        }
        let mut taken: HashSet<Cow<'_, str>> =
            names(request).filter(|name| rule.fits(name)).map(Cow::Borrowed).collect();
        let mut changed = BTreeMap::new();
        for name in unfit {
            if let Some(wire) = rule.substitutes(name).find(|wire| !taken.contains(&**wire)) {
                taken.insert(Cow::Owned(wire.clone()));
                changed.insert(name, wire);
            }
        }
        Self(changed)
    }

    /// The name on the wire.
    pub(super) fn wire<'n>(&'n self, name: &'n str) -> &'n str {
        self.0.get(name).map_or(name, String::as_str)
    }

    /// The names that were changed: the name on the wire and the client's name.
    pub(super) fn changed(self) -> Vec<(String, String)> {
        self.0.into_iter().map(|(name, wire)| (wire, name.to_owned())).collect()
    }
}

/// Every name of a tool in the request.
fn names(request: &ChatRequest) -> impl Iterator<Item = &str> {
    let tools = request.tools.iter().map(|tool| tool.name.as_str());
    let calls = request.messages().iter().flat_map(|message| match message {
        Message::Assistant(parts) => parts.as_slice(),
        Message::System(_) | Message::User(_) | Message::Tool { .. } => &[],
    });
    let calls = calls.filter_map(AssistantPart::call).map(|call| call.name.as_str());
    let chosen = request.tool_choice.as_ref().and_then(|choice| match choice {
        ToolChoice::Named(name) => Some(name.as_str()),
        ToolChoice::Auto | ToolChoice::None | ToolChoice::Required => None,
    });
    tools.chain(calls).chain(chosen)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::middle::{Tool, ToolCall};

    const RULE: NameRule = NameRule { max_bytes: 64, marks: "_-", begins_with_letter: false };
    const GOOGLES: NameRule = NameRule { max_bytes: 128, marks: "_.:-", begins_with_letter: true };

    /// A request that offers `offered` and in which `called` were called earlier.
    fn request(offered: &[&str], called: &[&str]) -> ChatRequest {
        let call = |name: &&str| {
            let (id, name, arguments) = ("1".to_owned(), (*name).to_owned(), "{}".to_owned());
            AssistantPart::Call(ToolCall { id, name, arguments, signature: None })
        };
        let messages = vec![Message::user("Hi"), Message::Assistant(called.iter().map(call).collect())];
        let mut request = ChatRequest::new(messages).expect("messages");
        let tool = |name: &&str| {
            let (name, description, parameters) = ((*name).to_owned(), None, None);
            Tool { name, description, parameters, strict: None }
        };
        request.tools = offered.iter().map(tool).collect();
        request
    }

    #[test]
    fn names_are_mended_and_shortened_as_little_as_needed() {
        let long = format!("mcp__{}__get", "x".repeat(80));
        let request = request(&["now", "get.weather", "get_weather", "añadir", &long, ""], &["a b"]);
        let names = ToolNames::of(&request, &RULE);
        for (name, expected) in
            [("now", "now"), ("get_weather", "get_weather"), ("añadir", "a_adir"), ("a b", "a_b"), ("", "_")]
        {
            assert_eq!(names.wire(name), expected, "{name}");
        }
        let (shortened, mended) = (names.wire(&long), names.wire("get.weather"));
        assert_eq!((shortened.len(), shortened.get(..53)), (64, Some(&*format!("{}_", &long[..52]))));
        assert!(mended.starts_with("get_weather_") && mended.len() == 23, "that name is taken: {mended}");
        let googles = ToolNames::of(&request, &GOOGLES);
        assert_eq!(
            (googles.wire("get.weather"), googles.wire(&long)),
            ("get.weather", &*long),
            "Google takes more"
        );
    }

    proptest! {
        #[test]
        fn no_two_tools_have_one_name_and_each_is_taken_and_found_again(
            offered in prop::collection::vec("[a-c._ -]{0,3}|x{60,70}[a-c.]{0,2}|\\PC{0,90}", 0..12),
            called in prop::collection::vec("[a-c._ -]{0,3}|x{60,70}[a-c.]{0,2}", 0..4),
            is_googles in any::<bool>(),
        ) {
            let rule = if is_googles { GOOGLES } else { RULE };
            let as_strs = |names: &'_ [String]| -> Vec<String> { names.to_vec() };
            let (offered, called) = (as_strs(&offered), as_strs(&called));
            let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
            let called: Vec<&str> = called.iter().map(String::as_str).collect();
            let request = request(&offered, &called);
            let names = ToolNames::of(&request, &rule);
            let all: BTreeSet<&str> = offered.iter().chain(&called).copied().collect();
            let wires: BTreeSet<String> = all.iter().map(|name| names.wire(name).to_owned()).collect();
            prop_assert_eq!(wires.len(), all.len());
            for name in &all {
                let wire = names.wire(name);
                prop_assert!(rule.fits(wire), "{} became {}", name, wire);
                prop_assert_eq!(rule.fits(name), wire == *name, "what fits is left alone");
            }
            let expected: Vec<(String, String)> =
                all.iter().filter(|name| !rule.fits(name)).map(|it| (names.wire(it).to_owned(), (*it).to_owned())).collect();
            prop_assert_eq!(names.changed(), expected);
        }
    }
}
