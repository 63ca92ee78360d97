//! The head of an answer: bytes in, status and headers out. Pure.
//!
//! httparse refuses what is not HTTP/1.0 or 1.1, lines that are folded, blanks in front of a colon and more than a
//! hundred headers. Where the body ends is decided here; what could be read in two ways is no answer.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use httparse::{ParserConfig, Status};

use super::framing::{Chunks, Framing};

/// The longest head that is read, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most headers that are read.
const MAX_HEADERS: usize = 100;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    /// The HTTP status.
    pub status: u16,
    /// The headers. They share one buffer, which is as long as the head.
    pub headers: HeaderMap,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection can be used again behind the body.
    pub is_kept: bool,
}

/// This is no answer in HTTP, or none that has only one meaning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotHttp;

/// Gathers a head that arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct Gathering(Vec<u8>);

/// What stands at the beginning of some bytes.
enum Parsed {
    /// A head, and how long it is.
    Head(Head, usize),
    /// Something that is not complete; so many bytes before it were interim answers.
    Partial(usize),
}

impl Gathering {
    /// Adds `bytes`. Returns the head if it is complete, and how many of `bytes` belong to it. Interim answers (100, 103)
    /// are skipped.
    ///
    /// # Errors
    /// This will never be a head.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<(Head, usize)>, NotHttp> {
        let known = self.0.len();
        if known == 0 {
            // Nearly always a head comes in one piece.
            return Ok(match parse(bytes)? {
                Parsed::Head(head, length) => Some((head, length)),
                Parsed::Partial(skipped) => {
                    self.0.extend_from_slice(bytes.get(skipped..).unwrap_or_default());
                    None
                }
            });
        }
        self.0.extend_from_slice(bytes);
        // Nothing is complete before an empty line. Parsing after each byte of a head that drips in would take its square.
        let fresh = self.0.get(known.saturating_sub(3)..).unwrap_or_default();
        let is_worth_it = has_empty_line(fresh) || self.0.len() > MAX_HEAD_BYTES;
        if !is_worth_it {
            return Ok(None);
        }
        match parse(&self.0)? {
            Parsed::Head(head, length) => {
                self.0 = Vec::new();
                Ok(Some((head, length.saturating_sub(known))))
            }
            Parsed::Partial(skipped) => {
                self.0.drain(..skipped);
                Ok(None)
            }
        }
    }
}

/// Whether a line ends that has nothing in it. Lines may end without CR, as httparse has it.
fn has_empty_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

/// Reads the first head of `bytes` that is not an interim answer.
fn parse(bytes: &[u8]) -> Result<Parsed, NotHttp> {
    let mut rest = bytes;
    loop {
        let skipped = bytes.len() - rest.len();
        let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let config = ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut response, rest, &mut room);
        let length = match parsed.map_err(|_| NotHttp)? {
            Status::Complete(length) => length,
            Status::Partial if rest.len() > MAX_HEAD_BYTES => return Err(NotHttp),
            Status::Partial => return Ok(Parsed::Partial(skipped)),
        };
        if length > MAX_HEAD_BYTES {
            return Err(NotHttp);
        }
        let status = response.code.unwrap_or_default();
        if is_interim(status) {
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        let headers = headers(rest, length, response.headers)?;
        let is_1_1 = response.version == Some(1);
        let framing = framing(status, is_1_1, &headers)?;
        let is_kept = is_kept(status, is_1_1, &headers) && framing != Framing::UntilClose;
        return Ok(Parsed::Head(Head { status, headers, framing, is_kept }, skipped + length));
    }
}

/// Whether an answer follows. 101 would change the protocol, for which nobody has asked: no answer follows it.
fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}

/// The headers at the beginning of `bytes`, of which the head is the first `length`.
fn headers(bytes: &[u8], length: usize, parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, NotHttp> {
    // One buffer for all values costs less than one for each.
    let shared = Bytes::copy_from_slice(bytes.get(..length).ok_or(NotHttp)?);
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| NotHttp)?;
        let start = header.value.as_ptr().addr() - bytes.as_ptr().addr();
        let value = shared.slice(start..start + header.value.len());
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| NotHttp)?);
    }
    Ok(headers)
}

/// RFC 9112, section 6.3, without what concerns HEAD and CONNECT.
fn framing(status: u16, is_1_1: bool, headers: &HeaderMap) -> Result<Framing, NotHttp> {
    if matches!(status, 101 | 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        // Chunks win over a length. HTTP/1.0 has none, so a coding there was meant for somebody in between.
        return match tokens(headers, &TRANSFER_ENCODING).as_slice() {
            [coding] if is_1_1 && coding == "chunked" => Ok(Framing::Chunked(Chunks::new())),
            [coding] if is_1_1 && coding == "identity" => Ok(Framing::UntilClose),
            _ => Err(NotHttp),
        };
    }
    if !headers.contains_key(CONTENT_LENGTH) {
        return Ok(Framing::UntilClose);
    }
    let lengths = tokens(headers, &CONTENT_LENGTH);
    let (first, others) = lengths.split_first().ok_or(NotHttp)?;
    let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || others.iter().any(|other| other != first) {
        return Err(NotHttp);
    }
    first.parse().map(Framing::Length).map_err(|_| NotHttp)
}

/// Whether the connection stays open behind the body.
fn is_kept(status: u16, is_1_1: bool, headers: &HeaderMap) -> bool {
    let options = if headers.contains_key(CONNECTION) { tokens(headers, &CONNECTION) } else { Vec::new() };
    let says = |option: &str| options.iter().any(|it| it == option);
    // Who sends chunks and a length may have meant something else (RFC 9112, section 6.1).
    let has_two_ends = headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH);
    status != 101 && !has_two_ends && !says("close") && (is_1_1 || says("keep-alive"))
}

/// The elements of a list, in lower case. What is no text is an element without a name.
fn tokens(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    values.flat_map(|value| value.split(',')).map(|token| token.trim().to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<(Head, usize)>, NotHttp> {
        Gathering::default().push(text.as_bytes())
    }

    /// How the body of an answer with these header lines ends, and whether the connection is kept.
    fn ends(start: &str, lines: &str) -> Result<(Framing, bool), NotHttp> {
        let text = format!("HTTP/{start}\r\n{lines}\r\n");
        head(&text).map(|head| head.expect("complete")).map(|(head, length)| {
            assert_eq!(length, text.len());
            (head.framing, head.is_kept)
        })
    }

    #[test]
    fn the_body_ends_where_the_head_says() {
        let chunked = || Framing::Chunked(Chunks::new());
        for (start, lines, framing, is_kept) in [
            ("1.1 200 OK", "content-length: 5\r\n", Framing::Length(5), true),
            ("1.1 200", "Content-Length:5 \r\n", Framing::Length(5), true),
            ("1.1 200 OK", "content-length: 5, 5\r\ncontent-length: 5\r\n", Framing::Length(5), true),
            ("1.1 200 OK", "Transfer-Encoding: Chunked\r\n", chunked(), true),
            ("1.1 200 OK", "transfer-encoding: chunked\r\ncontent-length: 5\r\n", chunked(), false),
            ("1.1 200 OK", "content-length: 5\r\ntransfer-encoding: chunked\r\n", chunked(), false),
            ("1.1 200 OK", "transfer-encoding: identity\r\n", Framing::UntilClose, false),
            ("1.1 200 OK", "", Framing::UntilClose, false),
            ("1.1 204 No Content", "", Framing::Length(0), true),
            ("1.1 304 Not Modified", "content-length: 5\r\n", Framing::Length(0), true),
            ("1.1 101 Switching Protocols", "upgrade: x\r\n", Framing::Length(0), false),
            ("1.1 200 OK", "content-length: 5\r\nconnection: close\r\n", Framing::Length(5), false),
            ("1.1 200 OK", "content-length: 5\r\nconnection: x, Close\r\n", Framing::Length(5), false),
            (
                "1.1 200 OK",
                "content-length: 5\r\nconnection: close\r\nconnection: keep-alive\r\n",
                Framing::Length(5),
                false,
            ),
            ("1.0 200 OK", "content-length: 5\r\n", Framing::Length(5), false),
            ("1.0 200 OK", "content-length: 5\r\nconnection: keep-alive\r\n", Framing::Length(5), true),
        ] {
            assert_eq!(ends(start, lines), Ok((framing, is_kept)), "{start:?} {lines:?}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for lines in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 6\r\n",
            "content-length: +5\r\n",
            "content-length: -5\r\n",
            "content-length: 0x5\r\n",
            "content-length: 5 5\r\n",
            "content-length: \r\n",
            "content-length: 5,\r\n",
            "content-length: 18446744073709551616\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
            "transfer-encoding: xchunked\r\n",
            "transfer-encoding: \r\n",
            "transfer-encoding: \x0bchunked\r\n",
            "content-length : 5\r\n",
            "content-length: 5\r\n folded\r\n",
            "no colon\r\n",
            "x: a\0b\r\n",
            ": x\r\n",
        ] {
            assert_eq!(ends("1.1 200 OK", lines), Err(NotHttp), "{lines:?}");
        }
        assert_eq!(ends("1.0 200 OK", "transfer-encoding: chunked\r\n"), Err(NotHttp));
        let many = |count: usize| "x: y\r\n".repeat(count);
        assert!(ends("1.1 200 OK", &many(MAX_HEADERS)).is_ok());
        assert_eq!(ends("1.1 200 OK", &many(MAX_HEADERS + 1)), Err(NotHttp));
    }

    #[test]
    fn what_is_not_http_is_found_out_at_once() {
        for text in
            ["SSH-2.0-OpenSSH_10.0\r\n", "\0\0\0\0", "HTTP/2 200\r\n", "HTTP/1.1 2000\r\n", "HTTP/1.2 "]
        {
            assert_eq!(head(text).map(|_| ()), Err(NotHttp), "{text:?}");
        }
    }

    #[test]
    fn interim_answers_are_skipped_in_any_cut() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\nx-last: yes\r\n\r\n";
        let text = format!("{interim}{last}");
        for cut in 0..text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            let mut gathering = Gathering::default();
            assert!(gathering.push(first).unwrap().is_none(), "cut at {cut}");
            let (head, length) = gathering.push(second).unwrap().expect("a head");
            assert_eq!((head.status, length), (200, second.len()), "cut at {cut}");
            assert_eq!(head.headers.len(), 1, "only the answer's own");
        }
    }

    #[test]
    fn a_head_has_an_end_somewhere() {
        let long = |bytes: usize| format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "v".repeat(bytes));
        let read = |text: &str, piece: usize| {
            let mut gathering = Gathering::default();
            for bytes in text.as_bytes().chunks(piece) {
                if gathering.push(bytes)?.is_some() {
                    return Ok(());
                }
            }
            Err(NotHttp)
        };
        for piece in [1_000, usize::MAX] {
            assert_eq!(read(&long(MAX_HEAD_BYTES - 24), piece), Ok(()), "{piece}");
            assert_eq!(read(&long(MAX_HEAD_BYTES), piece), Err(NotHttp), "{piece}");
        }
        let mut gathering = Gathering::default();
        let endless = (0..1_000_000).find(|_| gathering.push(b"HTTP/1.1 200 OK\r\nx:      ").is_err());
        assert!(endless.is_some(), "and what has none is given up");
    }
}
