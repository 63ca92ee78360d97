//! The arguments of one tool call, put together from what a provider sends: each thing once, and an object if they say
//! nothing.
//!
//! Some providers send what they have sent before: the whole again behind its pieces, or with every piece everything so
//! far. A piece that begins with everything so far is such a repetition if JSON could not go on with it. JSON can, where
//! a value may begin; there the piece is held back until what follows decides.
//!
//! Others send something empty first, or last. A value that says nothing counts as if it had not come.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::request::Json;

/// Strings inside strings that are opened to see whether they say anything.
const MAX_WRAPPINGS: usize = 3;

/// What a value begins with that has an end of its own.
const OPENINGS: [char; 3] = ['{', '[', '"'];

/// The arguments of one call so far.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// What counts, from the first value on that may say something; values behind a complete one only if they are others.
    text: String,
    /// How much of it has been passed on, in bytes.
    told: usize,
    scan: Scan,
    /// The text is an object with something in it, so it is passed on as it comes.
    is_telling: bool,
    /// A piece that either repeats everything so far or goes on from it.
    doubtful: String,
    /// The complete value without its blanks.
    whole: String,
    /// A value behind the complete one, as far as it has come.
    extra: String,
    extra_scan: Scan,
    /// Pieces that begin with everything so far have come.
    has_snapshots: bool,
    /// A value that says nothing has come.
    had_nothing: bool,
    /// It was an object.
    had_empty_object: bool,
    is_ended: bool,
}

impl Arguments {
    /// Takes a piece.
    pub(super) fn take(&mut self, piece: &str) {
        if piece.is_empty() || self.is_ended {
            return;
        }
        if !self.doubtful.is_empty() {
            let doubtful = std::mem::take(&mut self.doubtful);
            self.settle(&doubtful, piece.starts_with(&doubtful) || compact(&doubtful) == compact(piece));
        }
        if self.is_complete() {
            self.take_extra(piece);
            return;
        }
        let more = piece.trim_start().strip_prefix(&*self.text).filter(|_| self.text.starts_with('{'));
        let Some(more) = more else { return self.append(piece) };
        if !may_become_json(&[&self.text, piece].concat()) {
            self.has_snapshots |= !more.is_empty();
            self.append(more);
        } else if self.has_snapshots {
            self.append(more);
        } else if more.is_empty() || !may_become_json(piece) {
            self.append(piece);
        } else {
            piece.clone_into(&mut self.doubtful);
        }
    }

    /// What may be passed on now and has not been.
    pub(super) fn tell(&mut self) -> String {
        // Whatever is not an object may say nothing, and then it is passed on as an empty object.
        if self.is_telling { self.rest() } else { String::new() }
    }

    /// Ends the arguments: returns what was held back, `{}` if they say nothing. What is no JSON behind a complete value
    /// is dropped.
    pub(super) fn end(&mut self) -> String {
        self.decide();
        if self.is_nothing() {
            "{}".clone_into(&mut self.text);
            "{}".clone_into(&mut self.whole);
            self.scan.is_complete = true;
        }
        self.is_ended = true;
        self.rest()
    }

    /// The same for arguments that were cut off: nothing completes them.
    pub(super) fn end_cut(&mut self) -> String {
        self.is_ended = true;
        self.rest()
    }

    /// Whether they have not come to an end, although nothing follows.
    pub(super) fn are_cut(&mut self) -> bool {
        self.decide();
        !self.is_complete() && !self.is_empty_value()
    }

    /// Takes what was held back, now that nothing follows.
    fn decide(&mut self) {
        let doubtful = std::mem::take(&mut self.doubtful);
        if !doubtful.is_empty() {
            let goes_on_to_the_end = is_json(&[&self.text, &*doubtful].concat());
            self.settle(&doubtful, !goes_on_to_the_end && is_json(&doubtful));
        }
    }

    /// Whether they are a JSON object, now that they have ended.
    pub(super) fn is_object(&self) -> bool {
        self.text.starts_with('{') && is_json(&self.text)
    }

    /// Whether a whole object, array or string has come that says something.
    pub(super) fn is_complete(&self) -> bool {
        self.scan.is_complete
    }

    /// Whether nothing has come that may say anything.
    pub(super) fn is_blank(&self) -> bool {
        self.text.is_empty() && self.doubtful.is_empty()
    }

    /// Whether all that has come is complete and says nothing, such as `{}`.
    pub(super) fn is_empty_value(&self) -> bool {
        self.had_nothing && self.is_blank()
    }

    /// Whether anything has come that says something.
    pub(super) fn says_something(&self) -> bool {
        !self.doubtful.is_empty() || !self.is_nothing()
    }

    /// The same, if an object has come.
    pub(super) fn is_empty_object(&self) -> bool {
        self.had_empty_object && self.is_blank()
    }

    /// Whether `piece` says again all that is complete.
    pub(super) fn is_repeated_by(&self, piece: &str) -> bool {
        self.is_complete() && compact(piece) == self.whole
    }

    /// Whether `piece` says nothing beside what is complete, or may be the beginning of a repetition of it.
    pub(super) fn may_be_repeated_by(&self, piece: &str) -> bool {
        let may_be_whole = || self.whole != "{}" && self.whole.starts_with(&compact(piece));
        self.is_complete() && (says_nothing(piece) || may_be_whole())
    }

    /// How much is kept, in bytes. What is kept in two forms counts once.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.doubtful.len() + self.extra.len()
    }

    fn rest(&mut self) -> String {
        let rest = self.text.get(self.told..).unwrap_or_default().to_owned();
        self.told = self.text.len();
        rest
    }

    /// Adds the piece that was held back: all of it, or what is new in it if it repeats everything so far.
    fn settle(&mut self, doubtful: &str, is_snapshot: bool) {
        self.has_snapshots |= is_snapshot;
        let more = doubtful.trim_start().strip_prefix(&*self.text).filter(|_| is_snapshot);
        self.append(more.unwrap_or(doubtful));
    }

    fn append(&mut self, piece: &str) {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = self.without_nothing_before(rest);
            let is_first = self.text.is_empty();
            let end = self.scan.end_of_value(rest).unwrap_or(rest.len());
            let (value, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            self.text.push_str(value);
            // Only blanks stand between this and the bracket, so that they are not read again with each piece.
            if !self.is_telling && self.text.starts_with('{') {
                let inside = if is_first { value.get(1..).unwrap_or_default() } else { value }.trim_start();
                self.is_telling = !inside.is_empty() && !inside.starts_with('}');
            }
            if self.is_complete() {
                if !self.is_nothing() {
                    self.whole = compact(&self.text);
                    return self.take_extra(behind);
                }
                self.forget();
            }
            rest = behind;
        }
    }

    /// `piece` without the blanks in front of the arguments, and without a `null` in front of a value.
    fn without_nothing_before<'a>(&mut self, piece: &'a str) -> &'a str {
        let mut piece = piece;
        if self.text == "null" {
            self.forget();
        }
        if self.text.is_empty() {
            piece = piece.trim_start();
            while let Some(rest) = piece.strip_prefix("null") {
                self.had_nothing = true;
                piece = rest.trim_start();
            }
        }
        if self.scan.is_inside() {
            return piece;
        }
        let opening = piece.find(OPENINGS).and_then(|at| piece.split_at_checked(at));
        let Some((word, value)) = opening.filter(|(word, _)| self.text.len() + word.len() > 0) else {
            return piece;
        };
        if !self.had_nothing && !says_nothing(&[&self.text, word].concat()) {
            return piece;
        }
        self.forget();
        value
    }

    /// What has come says nothing, so it counts as if it had not.
    fn forget(&mut self) {
        self.had_empty_object |= self.text.starts_with('{');
        self.text.clear();
        self.scan = Scan::default();
        self.had_nothing = true;
    }

    /// Whether what has come says nothing; behind a value that says nothing, what is no JSON does not either.
    fn is_nothing(&self) -> bool {
        let is_noise = || self.had_nothing && !self.text.starts_with('{') && !is_json(&self.text);
        !self.is_telling && (says_nothing(&self.text) || is_noise())
    }

    /// Takes what comes behind the complete value: only another object or array counts, no repetition and no noise, such
    /// as a bracket too many or a mark of the model.
    fn take_extra(&mut self, piece: &str) {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.extra.is_empty() {
                rest = rest.find(OPENINGS).and_then(|at| rest.get(at..)).unwrap_or_default();
            }
            let end = self.extra_scan.end_of_value(rest);
            let (value, behind) = end.and_then(|end| rest.split_at_checked(end)).unwrap_or((rest, ""));
            self.extra.push_str(value);
            rest = behind;
            if self.extra_scan.is_complete {
                self.extra_scan = Scan::default();
                let value = std::mem::take(&mut self.extra);
                let is_other = !value.starts_with('"') && is_json(&value) && !self.may_be_repeated_by(&value);
                if is_other {
                    self.text.push_str(&value);
                }
            }
        }
    }
}

/// Where in JSON text the arguments stand. Sees brackets and strings only; it does not check anything else.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
    is_complete: bool,
}

impl Scan {
    /// Reads on, up to the end of the outermost value; `Some` is where that ends in `text`.
    fn end_of_value(&mut self, text: &str) -> Option<usize> {
        for (at, byte) in text.bytes().enumerate() {
            if self.is_in_string {
                self.is_in_string = self.is_escaped || byte != b'"';
                self.is_escaped = byte == b'\\' && !self.is_escaped;
                self.is_complete = !self.is_in_string && self.depth == 0;
            } else {
                match byte {
                    b'"' => self.is_in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        self.is_complete = self.depth == 0;
                    }
                    _ => {}
                }
            }
            if self.is_complete {
                return Some(at + 1);
            }
        }
        None
    }

    /// Whether an object, array or string has begun and not ended.
    fn is_inside(&self) -> bool {
        self.depth > 0 || self.is_in_string
    }
}

/// JSON text, or the beginning of one, without the blanks between its words. Comparing values would take numbers for the
/// same that only look so to a computer.
fn compact(text: &str) -> String {
    let (mut is_in_string, mut is_escaped) = (false, false);
    let says_something = |c: &char| {
        if is_in_string {
            is_in_string = is_escaped || *c != '"';
            is_escaped = *c == '\\' && !is_escaped;
            return true;
        }
        is_in_string = *c == '"';
        !c.is_ascii_whitespace()
    };
    text.chars().filter(says_something).collect()
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether `text` is JSON, or the beginning of it.
fn may_become_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).map_or_else(|error| error.is_eof(), |_| true)
}

/// Whether arguments say nothing: they are blank, `null`, or empty; also inside a string.
pub(super) fn says_nothing(arguments: &str) -> bool {
    let mut text = Cow::Borrowed(arguments.trim());
    for _ in 0..MAX_WRAPPINGS {
        let inside =
            |open, close| text.strip_prefix(open).and_then(|it| it.strip_suffix(close)).map(str::trim);
        if matches!(&*text, "" | "null") || inside('{', '}').or_else(|| inside('[', ']')) == Some("") {
            return true;
        }
        if !text.starts_with('"') {
            return false;
        }
        let Ok(inner) = serde_json::from_str::<String>(&text) else { return false };
        text = Cow::Owned(inner.trim().to_owned());
    }
    false
}

/// The arguments of a call as every provider takes them in a conversation: `{}` if they say nothing.
pub(crate) fn arguments_or_none(arguments: &str) -> &str {
    if says_nothing(arguments) { "{}" } else { arguments }
}

/// The arguments of a call as an object, for a dialect that must send one; `None` if they are none.
pub(crate) fn arguments_object(arguments: &str) -> Option<Json> {
    let text = arguments_or_none(arguments).trim();
    Json::parse(text).ok().filter(|_| text.starts_with('{'))
}

#[cfg(test)]
mod tests;
