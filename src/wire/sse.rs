//! Server-sent events: bytes in, events out; no I/O, no clock.
//!
//! Follows the WHATWG rules (<https://html.spec.whatwg.org/multipage/server-sent-events.html>, checked 2026-11) for any
//! split of the bytes, with two deliberate differences: a last event that lacks its blank line counts, and lines that
//! are not an SSE field are kept (up to 64 KiB), because Gemini reports late failures as bare JSON. Memory is bounded:
//! an event over the limit is an error.

use memchr::{memchr, memchr2};

/// Longest event accepted, in bytes. Scanners with 64 KB limits broke for real users; no provider sends 8 MiB.
pub const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// How much of the lines that are not SSE is kept, in bytes.
const MAX_STRAY_BYTES: usize = 64 * 1024;

/// One event: its name (empty if it has none) and its data without the last line end.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The last `event:` field.
    pub name: &'a str,
    /// The `data:` fields, joined by `\n`. Not necessarily UTF-8.
    pub data: &'a [u8],
}

/// An event grew beyond [`MAX_EVENT_BYTES`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {MAX_EVENT_BYTES} bytes")]
pub struct EventTooLarge;

/// Incremental decoder. Give it bytes with [`feed`](Self::feed). At the end of the stream, call
/// [`finish`](Self::finish).
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    /// `data` and `name` were handed out and are cleared at the next call.
    is_spent: bool,
    /// The last byte was a CR: an LF that follows belongs to it.
    is_after_cr: bool,
    is_past_first_line: bool,
    stray: Vec<u8>,
}

/// The events in one piece of bytes; see [`Decoder::feed`].
#[derive(Debug)]
pub struct Feed<'d, 'b> {
    decoder: &'d mut Decoder,
    rest: &'b [u8],
}

impl Decoder {
    /// The events that `bytes` complete. Events not taken with [`Feed::next`] are lost, so call it until it returns
    /// `None`.
    pub fn feed<'d, 'b>(&'d mut self, bytes: &'b [u8]) -> Feed<'d, 'b> {
        Feed { decoder: self, rest: bytes }
    }

    /// The last event, if the stream ended without its blank line.
    ///
    /// # Errors
    /// [`EventTooLarge`] as in [`Feed::next`].
    pub fn finish(&mut self) -> Result<Option<Event<'_>>, EventTooLarge> {
        self.forget_spent();
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line)?;
        }
        self.is_spent = true;
        Ok(self.has_data.then_some(Event { name: &self.name, data: &self.data }))
    }

    /// The lines so far that were not an SSE field, each with a line end; at most 64 KiB of them.
    pub fn stray(&self) -> &[u8] {
        &self.stray
    }

    fn forget_spent(&mut self) {
        if self.is_spent {
            self.name.clear();
            self.data.clear();
            self.has_data = false;
            self.is_spent = false;
        }
    }

    /// Whether nothing of the next event has come.
    fn is_between_events(&self) -> bool {
        self.line.is_empty() && self.name.is_empty() && !self.has_data && !self.is_after_cr
    }

    /// Stores the beginning of a line that has not ended yet.
    fn hold(&mut self, part: &[u8]) -> Result<(), EventTooLarge> {
        self.expect_room(self.line.len() + part.len())?;
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Checks that the event has room for a line of this length, in the same way whether the line comes whole or in
    /// pieces.
    fn expect_room(&self, line_bytes: usize) -> Result<(), EventTooLarge> {
        let is_too_large = self.name.len() + self.data.len() + line_bytes > MAX_EVENT_BYTES;
        if is_too_large { Err(EventTooLarge) } else { Ok(()) }
    }

    /// Processes a whole line without its end. Returns `true` if it completes an event.
    fn take_line(&mut self, line: &[u8]) -> Result<bool, EventTooLarge> {
        self.expect_room(line.len())?;
        let line = if self.is_past_first_line {
            line
        } else {
            self.is_past_first_line = true;
            line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
        };
        if line.is_empty() {
            self.is_spent = true;
            return Ok(self.has_data);
        }
        let (field, value) = match memchr(b':', line) {
            Some(0) => return Ok(false),
            Some(colon) => {
                let (field, value) = line.split_at(colon);
                let value = value.strip_prefix(b":").unwrap_or(value);
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"id" | b"retry" => {}
            _ => {
                if self.stray.len() + line.len() < MAX_STRAY_BYTES {
                    self.stray.extend_from_slice(line);
                    self.stray.push(b'\n');
                }
            }
        }
        Ok(false)
    }
}

impl<'b> Feed<'_, 'b> {
    /// The next complete event; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`EventTooLarge`]: the stream cannot be read any further.
    #[expect(
        clippy::should_implement_trait,
        reason = "the event borrows from the decoder, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, EventTooLarge> {
        self.decoder.forget_spent();
        if self.rest.is_empty() {
            return Ok(None);
        }
        if let Some(data) = self.whole_event() {
            return Ok(Some(Event { name: "", data }));
        }
        loop {
            if self.decoder.is_after_cr && !self.rest.is_empty() {
                self.decoder.is_after_cr = false;
                self.rest = self.rest.strip_prefix(b"\n").unwrap_or(self.rest);
            }
            let Some((line, end, rest)) = split_line(self.rest) else {
                self.decoder.hold(self.rest)?;
                self.rest = &[];
                return Ok(None);
            };
            self.rest = rest;
            self.decoder.is_after_cr = end == b'\r';
            let completes_event = if self.decoder.line.is_empty() {
                self.decoder.take_line(line)?
            } else {
                self.decoder.hold(line)?;
                let mut whole = std::mem::take(&mut self.decoder.line);
                let completes_event = self.decoder.take_line(&whole)?;
                whole.clear();
                self.decoder.line = whole;
                completes_event
            };
            if completes_event {
                break;
            }
            self.decoder.forget_spent();
        }
        Ok(Some(Event { name: &self.decoder.name, data: &self.decoder.data }))
    }

    /// The data of the next event if the bytes have all of it in the usual form: one line of data and a blank line. It is
    /// not copied.
    fn whole_event(&mut self) -> Option<&'b [u8]> {
        if !self.decoder.is_between_events() {
            return None;
        }
        let (data, end, rest) = split_line(self.rest.strip_prefix(b"data: ")?)?;
        let blank_line: &[u8] = if end == b'\n' { b"\n" } else { b"\n\r\n" };
        let rest = rest.strip_prefix(blank_line)?;
        if data.len() + b"data: ".len() > MAX_EVENT_BYTES {
            return None;
        }
        self.rest = rest;
        // A byte order mark would have stood before the field.
        self.decoder.is_past_first_line = true;
        Some(data)
    }
}

/// The first line, the byte that ends it, and what follows; `None` if no line ends in `bytes`.
fn split_line(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (line, rest) = bytes.split_at(memchr2(b'\n', b'\r', bytes)?);
    let (end, rest) = rest.split_first()?;
    Some((line, *end, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes `pieces` one after the other, the end of the stream included, into (name, data) pairs.
    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
        let own =
            |event: Event<'_>| (event.name.to_owned(), String::from_utf8_lossy(event.data).into_owned());
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for piece in pieces {
            let mut feed = decoder.feed(piece);
            while let Some(event) = feed.next().unwrap() {
                events.push(own(event));
            }
        }
        events.extend(decoder.finish().unwrap().map(own));
        events
    }

    /// The cases of the web platform tests `eventsource/format-*`, in our own words.
    #[test]
    fn reads_the_forms_the_standard_allows() {
        type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
        let cases: &[Case] = &[
            ("lf", "data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]),
            ("crlf", "data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]),
            ("cr", "data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]),
            (
                "mixed line ends",
                "data: a\r\n\ndata: b\n\rdata: c\r\n\r\n",
                &[("", "a"), ("", "b"), ("", "c")],
            ),
            ("byte order mark", "\u{FEFF}data: a\n\n", &[("", "a")]),
            ("a second byte order mark is part of a field name", "\u{FEFF}\u{FEFF}data: a\n\n", &[]),
            ("comment", ": hi\n\ndata: a\n:\n\n", &[("", "a")]),
            ("no space", "data:a\n\n", &[("", "a")]),
            ("only one space goes", "data:  a\n\n", &[("", " a")]),
            ("a tab stays", "data:\ta\n\n", &[("", "\ta")]),
            ("data alone", "data\n\n", &[("", "")]),
            ("empty data", "data:\n\n", &[("", "")]),
            ("two data lines", "data: a\ndata: b\n\n", &[("", "a\nb")]),
            ("two data lines, crlf", "data: a\r\ndata: b\r\n\r\n", &[("", "a\nb")]),
            ("two empty data lines", "data\ndata\n\n", &[("", "\n")]),
            ("name", "event: error\ndata: a\n\n", &[("error", "a")]),
            ("name without data is no event", "event: x\n\ndata: a\n\n", &[("", "a")]),
            ("the last name counts", "event: x\nevent: y\ndata: a\n\n", &[("y", "a")]),
            (
                "id and retry mean nothing to us",
                "id: 1\nid: \0\nretry: 5\nretry: x\ndata: a\n\n",
                &[("", "a")],
            ),
            ("unknown fields", "Data: x\n data: x\nfoo\ndata: a\n\n", &[("", "a")]),
            ("null characters", "data: \0\n\n", &[("", "\0")]),
            ("last event without its blank line", "data: a\n\ndata: b\n", &[("", "a"), ("", "b")]),
            ("last event without any line end", "data: a\n\ndata: b", &[("", "a"), ("", "b")]),
            ("nothing", "", &[]),
        ];
        for (case, stream, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(n, d)| (n.to_string(), d.to_string())).collect();
            assert_eq!(decode([stream.as_bytes()]), expected, "{case}");
        }
    }

    #[test]
    fn keeps_lines_that_are_no_event_stream() {
        let mut decoder = Decoder::default();
        let mut feed =
            decoder.feed(b"id: 1\nretry: 2\nevent: x\n: c\ndata: a\n\n{\n  \"error\": {\"code\": 503}\n}\n");
        while feed.next().unwrap().is_some() {}
        assert_eq!(decoder.stray(), b"{\n  \"error\": {\"code\": 503}\n}\n");
    }

    #[test]
    fn of_lines_that_are_no_event_stream_64_kib_are_kept() {
        let line = [&[b'{'; 1023][..], b"\n"].concat();
        let mut decoder = Decoder::default();
        for lines in 1..100 {
            assert!(decoder.feed(&line).next().unwrap().is_none());
            assert_eq!(decoder.stray().len(), lines.min(64) * 1024, "after {lines} lines");
        }
    }

    #[test]
    fn refuses_an_endless_line_and_an_endless_event() {
        let megabyte = vec![b'x'; 1024 * 1024];
        let mut decoder = Decoder::default();
        let refused_after = (1..20).find(|_| decoder.feed(&megabyte).next().is_err());
        assert_eq!(refused_after, Some(9), "a line without an end");

        let line = [b"data: ".as_slice(), &megabyte, b"\n"].concat();
        let mut decoder = Decoder::default();
        let refused_after = (1..20).find(|_| decoder.feed(&line).next().is_err());
        assert_eq!(refused_after, Some(8), "an event of many lines, whose ends count");
    }

    /// Names count as well, and so does a line that belongs to no event: nothing beyond the limit is held.
    #[test]
    fn the_largest_event_is_the_same_in_any_cut() {
        let fields: [fn(usize) -> Vec<u8>; 3] = [
            |size| [b"data: ".as_slice(), &vec![b'x'; size - 6], b"\n\n"].concat(),
            |size| [b"event: xyz\ndata: ".as_slice(), &vec![b'x'; size - 9], b"\n\n"].concat(),
            |size| [b":".as_slice(), &vec![b'x'; size - 1], b"\n\n"].concat(),
        ];
        for field in fields {
            for (size, is_taken) in [(MAX_EVENT_BYTES, true), (MAX_EVENT_BYTES + 1, false)] {
                let stream = field(size);
                for piece_size in [stream.len(), stream.len() - 3, 4096] {
                    let mut decoder = Decoder::default();
                    let mut pieces = stream.chunks(piece_size);
                    let is_read = pieces.all(|piece| decoder.feed(piece).next().is_ok());
                    assert_eq!(is_read, is_taken, "{size} in pieces of {piece_size}");
                }
            }
        }
    }

    proptest! {
        /// The events are the same however the network splits a stream.
        #[test]
        fn any_split_gives_the_same_events(
            lines in prop::collection::vec("(data|event|id|:|x)?:? ?[a-zé\u{1F600}]{0,6}(\r\n|\n|\r){1,2}", 0..12),
            cuts in prop::collection::vec(0usize..400, 0..20),
        ) {
            let stream = lines.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            let bytewise: Vec<&[u8]> = stream.chunks(1).collect();
            let whole = decode([stream.as_slice()]);
            prop_assert_eq!(&decode(pieces), &whole);
            prop_assert_eq!(&decode(bytewise), &whole);
        }

        /// Foreign bytes never cause a panic.
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            decode([bytes.as_slice()]);
        }
    }
}
