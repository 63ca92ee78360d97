//! The arguments of one tool call, put together from what a provider sends: each thing once, and an object if they say
//! nothing.
//!
//! Some providers send what they have sent before: the whole again behind its pieces, or with every piece everything so
//! far. A piece that begins with everything so far is such a repetition if JSON could not go on with it. JSON can, where
//! a value may begin; there the piece is held back until what follows decides.

use std::borrow::Cow;

use serde_json::Value;

use super::request::Json;

/// Strings inside strings that are opened to see whether they say anything.
const MAX_WRAPPINGS: usize = 3;

/// The arguments of one call so far.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// What counts, up to the end of the first complete value.
    text: String,
    /// How much of it has been passed on, in bytes.
    told: usize,
    scan: Scan,
    /// A piece that either repeats everything so far or goes on from it.
    doubtful: String,
    /// What came behind the complete value and is no repetition so far.
    extra: String,
    /// `extra` is something else than a repetition in the same words.
    extra_differs: bool,
    /// Pieces that begin with everything so far have come.
    has_snapshots: bool,
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
            self.settle(&doubtful, piece.starts_with(&doubtful) || says_the_same(&doubtful, piece));
        }
        let goes_on = piece.strip_prefix(&*self.text).filter(|_| self.text.trim_start().starts_with('{'));
        match goes_on {
            _ if self.is_complete() => self.take_extra(piece),
            None => self.append(piece),
            Some(_) if self.scan.expects_value() && !self.has_snapshots => self.doubtful = piece.to_owned(),
            Some(more) => {
                self.has_snapshots = true;
                self.append(more);
            }
        }
    }

    /// What may be passed on now and has not been.
    pub(super) fn tell(&mut self) -> String {
        // Whatever is not an object may say nothing, and then it is passed on as an empty object.
        let is_object = self.text.trim_start().starts_with('{');
        if is_object || self.told > 0 { self.rest() } else { String::new() }
    }

    /// Ends the arguments: returns what was held back, `{}` if they say nothing.
    pub(super) fn end(&mut self) -> String {
        let doubtful = std::mem::take(&mut self.doubtful);
        if !doubtful.is_empty() {
            let mut literal = self.scan;
            let goes_on_to_the_end = literal.end_of_value(&doubtful).is_some();
            let is_snapshot = !goes_on_to_the_end && Scan::default().end_of_value(&doubtful).is_some();
            self.settle(&doubtful, is_snapshot);
        }
        let extra = std::mem::take(&mut self.extra);
        if !self.repeats_beginning(&extra) && !says_the_same(&self.text, &extra) {
            self.text.push_str(&extra);
        }
        if self.told == 0 && says_nothing(&self.text) {
            "{}".clone_into(&mut self.text);
        }
        self.is_ended = true;
        self.rest()
    }

    /// Whether a whole object, array or string has come.
    pub(super) fn is_complete(&self) -> bool {
        self.scan.is_complete
    }

    /// Whether nothing has come.
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty() && self.doubtful.is_empty()
    }

    /// Whether `piece` says again all that is complete.
    pub(super) fn is_repeated_by(&self, piece: &str) -> bool {
        self.is_complete() && says_the_same(&self.text, piece)
    }

    /// Whether `piece` may be the beginning of a repetition of all that is complete.
    pub(super) fn may_be_repeated_by(&self, piece: &str) -> bool {
        self.is_repeated_by(piece) || self.repeats_beginning(piece)
    }

    /// How much is kept, in bytes.
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
        let more = doubtful.strip_prefix(&*self.text).filter(|_| is_snapshot);
        self.append(more.unwrap_or(doubtful));
    }

    fn append(&mut self, piece: &str) {
        let end = self.scan.end_of_value(piece).unwrap_or(piece.len());
        let (value, extra) = piece.split_at_checked(end).unwrap_or((piece, ""));
        self.text.push_str(value);
        self.take_extra(extra);
    }

    /// Drops repetitions of the whole; anything else waits for the end.
    fn take_extra(&mut self, piece: &str) {
        self.extra.push_str(piece);
        let whole = self.text.trim();
        let mut rest = self.extra.trim_start();
        while !self.extra_differs && !whole.is_empty() && rest.len() >= whole.len() {
            match rest.strip_prefix(whole) {
                Some(more) => rest = more.trim_start(),
                None => self.extra_differs = true,
            }
        }
        let done = self.extra.len() - rest.len();
        self.extra.drain(..done);
    }

    fn repeats_beginning(&self, piece: &str) -> bool {
        self.text.trim().starts_with(piece.trim())
    }
}

/// Where in JSON text the arguments stand. Sees brackets and strings only; it does not check anything else.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
    /// The last byte outside of strings that is not blank.
    last: u8,
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
                if !byte.is_ascii_whitespace() {
                    self.last = byte;
                }
            }
            if self.is_complete {
                return Some(at + 1);
            }
        }
        None
    }

    /// Whether a value may begin here.
    fn expects_value(&self) -> bool {
        !self.is_in_string && matches!(self.last, b':' | b',' | b'[')
    }
}

/// Whether both are the same JSON value, in whatever form.
fn says_the_same(one: &str, other: &str) -> bool {
    // No writer makes a value eight times as long, and without this limit comparing many short texts with a long one
    // would cost time without end.
    let is_close = other.len().saturating_mul(8).saturating_add(64) >= one.len();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    one.trim() == other.trim() || (is_close && parsed(other).is_some_and(|other| parsed(one) == Some(other)))
}

/// Whether arguments say nothing: they are blank, `null`, or empty; also inside a string.
fn says_nothing(arguments: &str) -> bool {
    let mut text = Cow::Borrowed(arguments.trim());
    for _ in 0..MAX_WRAPPINGS {
        if matches!(&*text, "" | "null" | "{}" | "[]") {
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
mod tests {
    use super::*;

    /// What is passed on with each piece, and at the end.
    fn told(pieces: &[&str]) -> Vec<String> {
        let mut arguments = Arguments::default();
        let mut told: Vec<String> = pieces
            .iter()
            .map(|piece| {
                arguments.take(piece);
                arguments.tell()
            })
            .collect();
        told.push(arguments.end());
        told.retain(|text| !text.is_empty());
        told
    }

    #[test]
    fn what_comes_twice_is_told_once() {
        let cases: [(&str, &[&str], &[&str]); 18] = [
            ("pieces", &["", "{\"x\"", ":12}"], &["{\"x\"", ":12}"]),
            ("the whole behind its pieces", &["", "{\"x\"", ":12}", "{\"x\":12}"], &["{\"x\"", ":12}"]),
            ("the whole in other words", &["{\"x\"", ":12}", "{ \"x\": 12 }"], &["{\"x\"", ":12}"]),
            ("the whole before the pieces end", &["{\"x\"", ":12", "{\"x\":12}"], &["{\"x\"", ":12", "}"]),
            ("twice in one piece", &["{\"x\":12}{\"x\":12}"], &["{\"x\":12}"]),
            ("many times", &["{\"x\":1}", "{\"x\":1}", "{\"x\":1}\n{\"x\":1}"], &["{\"x\":1}"]),
            ("again in pieces", &["{\"x\":1}", "{\"x", "\":1}"], &["{\"x\":1}"]),
            ("half of it again", &["{\"x\":1}", "{\"x"], &["{\"x\":1}"]),
            ("everything so far", &["{", "{\"x\"", "{\"x\":1}", "{\"x\":1}"], &["{", "\"x\"", ":1}"]),
            ("so far, cut before a value", &["{\"x\":", "{\"x\":12}"], &["{\"x\":", "12}"]),
            (
                "so far, cut before a value, and the whole in other words",
                &["{\"x\":", "{\"x\":12}", "{ \"x\": 12 }"],
                &["{\"x\":", "12}"],
            ),
            (
                "so far, cut before a value and inside of it",
                &["{\"x\":", "{\"x\":[1,", "{\"x\":[1,2]}"],
                &["{\"x\":", "[1,2]}"],
            ),
            (
                "so far, cut inside of a string",
                &["{\"x\":\"a", "{\"x\":\"a\\\"b\"}"],
                &["{\"x\":\"a", "\\\"b\"}"],
            ),
            ("an object in itself", &["{\"x\":", "{\"x\":12}", "}"], &["{\"x\":", "{\"x\":12}}"]),
            ("an object in itself at once", &["{\"x\":", "{\"x\":12}}"], &["{\"x\":", "{\"x\":12}}"]),
            (
                "the same in a string",
                &["{\"x\":\"", "{\\\"x\\\":", "\"}"],
                &["{\"x\":\"", "{\\\"x\\\":", "\"}"],
            ),
            ("the same piece in a list", &["{\"x\":[", "1,", "1,", "1]}"], &["{\"x\":[", "1,", "1,", "1]}"]),
            ("blanks behind it", &["{\"x\":1}", " \n"], &["{\"x\":1}"]),
        ];
        for (case, pieces, expected) in cases {
            assert_eq!(told(pieces), expected, "{case}");
        }
    }

    /// Ten times as many pieces take about ten times as long, whatever they repeat: a hundred times would be quadratic.
    #[test]
    fn the_time_grows_with_the_bytes_that_come() {
        type Pieces = fn(usize) -> Vec<String>;
        let kinds: [(&str, Pieces); 4] = [
            ("pieces", |count| {
                std::iter::once("{\"x\":[".to_owned()).chain((0..count).map(|_| "1, ".repeat(8))).collect()
            }),
            ("one piece again and again behind the whole", |count| {
                let whole = format!("{{\"x\":\"{}\"}}", "a".repeat(count));
                let again = format!("{}b", &whole[..count]);
                [whole, again].into_iter().chain((0..count).map(|_| "{}".to_owned())).collect()
            }),
            ("the whole again and again", |count| vec!["{\"x\":1}".to_owned(); count]),
            ("blanks behind the whole", |count| {
                std::iter::once("{}".to_owned()).chain((0..count).map(|_| "  ".to_owned())).collect()
            }),
        ];
        for (kind, pieces) in kinds {
            let time = |count: usize| {
                let pieces = pieces(count);
                let begun = std::time::Instant::now();
                let mut arguments = Arguments::default();
                for piece in &pieces {
                    arguments.take(piece);
                    arguments.tell();
                }
                arguments.end();
                begun.elapsed()
            };
            let (once, tenfold) = (time(10_000), time(100_000));
            let most = once * 40 + std::time::Duration::from_millis(200);
            assert!(tenfold < most, "{kind}: {once:?} and {tenfold:?}");
        }
    }

    #[test]
    fn nothing_that_is_no_repetition_is_lost() {
        assert_eq!(told(&["{\"x\":1}", "{\"y\":2}"]), ["{\"x\":1}", "{\"y\":2}"]);
        assert_eq!(told(&["{\"x\":1}", "}"]), ["{\"x\":1}", "}"]);
        assert_eq!(told(&["[1", "]"]), ["[1]"]);
        assert_eq!(told(&["12"]), ["12"]);
        assert_eq!(told(&["\"a\""]), ["\"a\""]);
    }

    #[test]
    fn what_says_nothing_is_an_empty_object() {
        let nothings: [&[&str]; 10] = [
            &[],
            &[""],
            &[" ", "\n"],
            &["null"],
            &["nu", "ll"],
            &["\"\""],
            &["\"null\""],
            &["\"\\\"\\\"\""],
            &["\" {} \""],
            &["[]"],
        ];
        for pieces in nothings {
            assert_eq!(told(pieces), ["{}"], "{pieces:?}");
            assert_eq!(arguments_or_none(&pieces.concat()), "{}", "{pieces:?}");
        }
        assert_eq!(arguments_object("[1]"), None);
        assert_eq!(arguments_object("{\"x\""), None);
        assert_eq!(arguments_object(" {\"x\":1.0} ").expect("an object").get(), "{\"x\":1.0}");
    }
}
