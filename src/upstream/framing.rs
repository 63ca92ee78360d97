//! Where a body ends: after so many bytes, behind its last chunk, or with the connection. Pure: bytes in, content out.
//!
//! Chunks are read as strictly as hyper reads them, since whoever misreads a length takes content for the next answer.
//! A line ends with CR LF and nothing less, a size has digits and fits into 64 bits. Extensions and trailers are skipped.

/// How much may stand in the extensions and trailers of one body, in bytes.
const MAX_SPARED_BYTES: u32 = 16 * 1024;

/// The body is not there to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BrokenOff;

/// What is still to come of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunks),
    /// Everything until the connection ends.
    UntilClose,
    /// Something that will never come.
    Broken,
}

/// A place in a chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    place: Place,
    /// The size of the chunk as far as it is known, then what is left of it.
    left: u64,
    /// The bytes of extensions and trailers so far.
    spared: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In front of the first digit of a size.
    Size,
    Digits,
    /// In the blanks behind a size.
    Blanks,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a line behind the last chunk.
    Line,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl Framing {
    /// Takes what belongs to the body from the beginning of `bytes`, and passes its content on, piece by piece. Returns
    /// how many bytes that were; the rest is not the body's.
    ///
    /// # Errors
    /// The bytes are no chunks.
    pub(super) fn push(&mut self, bytes: &[u8], pass_on: &mut impl FnMut(&[u8])) -> Result<usize, BrokenOff> {
        match self {
            Self::Length(left) => Ok(pass_up_to(left, bytes, pass_on)),
            Self::Chunked(chunks) => chunks.push(bytes, pass_on),
            Self::UntilClose => {
                let mut endless = u64::MAX;
                Ok(pass_up_to(&mut endless, bytes, pass_on))
            }
            Self::Broken => Err(BrokenOff),
        }
    }

    /// Whether nothing more is to come.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.place == Place::End,
            Self::UntilClose | Self::Broken => false,
        }
    }

    /// The connection has ended in good order.
    ///
    /// # Errors
    /// More was to come.
    pub(super) fn end(&mut self) -> Result<(), BrokenOff> {
        if *self == Self::UntilClose {
            *self = Self::Length(0);
        }
        if self.is_complete() { Ok(()) } else { Err(BrokenOff) }
    }
}

/// Passes on at most `left` of `bytes`.
fn pass_up_to(left: &mut u64, bytes: &[u8], pass_on: &mut impl FnMut(&[u8])) -> usize {
    let most = usize::try_from(*left).unwrap_or(usize::MAX);
    let content = bytes.get(..most).unwrap_or(bytes);
    if !content.is_empty() {
        pass_on(content);
    }
    *left -= content.len() as u64;
    content.len()
}

impl Chunks {
    /// At the beginning of a body.
    pub(super) const fn new() -> Self {
        Self { place: Place::Size, left: 0, spared: 0 }
    }

    fn push(&mut self, bytes: &[u8], pass_on: &mut impl FnMut(&[u8])) -> Result<usize, BrokenOff> {
        let mut rest = bytes;
        while self.place != Place::End {
            if self.place == Place::Data {
                let passed = pass_up_to(&mut self.left, rest, pass_on);
                rest = rest.get(passed..).unwrap_or_default();
                if self.left == 0 {
                    self.place = Place::DataCr;
                }
            }
            let Some((byte, behind)) = rest.split_first() else { break };
            self.place = self.next(*byte)?;
            rest = behind;
        }
        Ok(bytes.len() - rest.len())
    }

    /// The place behind `byte`, which is no content.
    fn next(&mut self, byte: u8) -> Result<Place, BrokenOff> {
        Ok(match (self.place, byte) {
            (Place::Size | Place::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.left = with_digit(self.left, byte).ok_or(BrokenOff)?;
                Place::Digits
            }
            (Place::Digits | Place::Blanks, b' ' | b'\t') => self.spare(Place::Blanks)?,
            (Place::Digits | Place::Blanks, b';') => Place::Extension,
            (Place::Digits | Place::Blanks | Place::Extension, b'\r') => Place::SizeLf,
            (Place::SizeLf, b'\n') if self.left == 0 => Place::Line,
            (Place::SizeLf, b'\n') => Place::Data,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size,
            (Place::Line, b'\r') => Place::EndLf,
            (Place::Trailer, b'\r') => Place::TrailerLf,
            (Place::TrailerLf, b'\n') => Place::Line,
            (Place::EndLf, b'\n') => Place::End,
            (Place::Extension | Place::Line | Place::Trailer, b'\n') => return Err(BrokenOff),
            (Place::Extension, _) => self.spare(Place::Extension)?,
            (Place::Line | Place::Trailer, _) => self.spare(Place::Trailer)?,
            _ => return Err(BrokenOff),
        })
    }

    /// One more byte that is skipped.
    fn spare(&mut self, place: Place) -> Result<Place, BrokenOff> {
        self.spared += 1;
        if self.spared > MAX_SPARED_BYTES { Err(BrokenOff) } else { Ok(place) }
    }
}

/// `size` with one more hexadecimal digit; `None` if it is none or the size does not fit.
fn with_digit(size: u64, digit: u8) -> Option<u64> {
    let digit = char::from(digit).to_digit(16)?;
    size.checked_mul(16)?.checked_add(u64::from(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content in `bytes`, and how many bytes were the body's; an error if it is none or not all there.
    fn read(bytes: &[u8]) -> Result<(String, usize), BrokenOff> {
        let mut framing = Framing::Chunked(Chunks::new());
        let mut content = Vec::new();
        let used = framing.push(bytes, &mut |piece| content.extend_from_slice(piece))?;
        framing.end()?;
        Ok((String::from_utf8_lossy(&content).into_owned(), used))
    }

    #[test]
    fn chunks_are_read_as_they_are_sent() {
        for (bytes, content) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
            ("A\r\n0123456789\r\n000\r\n\r\n", "0123456789"),
            ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
            // What stands behind a size means nothing.
            ("5 \t\r\nhello\r\n0;last\r\n\r\n", "hello"),
            ("5;name=\"value; 0\"\r\nhello\r\n0\r\n\r\n", "hello"),
            // Trailers are dropped.
            ("5\r\nhello\r\n0\r\nx-checksum: 1\r\nx: y\r\n\r\n", "hello"),
        ] {
            assert_eq!(read(bytes.as_bytes()), Ok((content.to_owned(), bytes.len())), "{bytes:?}");
        }
        let (body, next) = ("5\r\nhello\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n");
        let used = read(format!("{body}{next}").as_bytes()).map(|(_, used)| used);
        assert_eq!(used, Ok(body.len()), "what is behind the end is not the body's");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000));
        let trailers = format!("0\r\n{}\r\n", "x: y\r\n".repeat(5_000));
        for bytes in [
            "\r\n",
            "g\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 5\r\nhello\r\n0\r\n\r\n",
            "5\nhello\n0\n\n",
            "5\rhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r\n0\r\nx: y\n\r\n",
            "5\r\nhello\r\n0\r\n\n",
            // One digit more than 64 bits, and so many zeros that it would not matter.
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
            &long,
            &trailers,
            // Not there to its end.
            "",
            "5\r\nhel",
            "5\r\nhello\r\n",
            "5\r\nhello\r\n0\r\n",
        ] {
            assert_eq!(read(bytes.as_bytes()), Err(BrokenOff), "{bytes:?}");
        }
    }

    #[test]
    fn a_length_is_kept_to_and_an_end_is_only_where_one_was_announced() {
        let mut content = Vec::new();
        let mut framing = Framing::Length(3);
        assert_eq!(framing.push(b"ab", &mut |piece| content.extend_from_slice(piece)), Ok(2));
        assert_eq!((framing.is_complete(), framing.clone().end()), (false, Err(BrokenOff)));
        assert_eq!(framing.push(b"cde", &mut |piece| content.extend_from_slice(piece)), Ok(1));
        assert_eq!((framing.is_complete(), framing.end()), (true, Ok(())));
        assert_eq!(content, b"abc");
        let mut framing = Framing::UntilClose;
        assert_eq!(framing.push(b"0\r\n\r\n", &mut |piece| content.extend_from_slice(piece)), Ok(5));
        assert!(!framing.is_complete());
        assert_eq!((framing.end(), framing.is_complete()), (Ok(()), true));
    }
}
