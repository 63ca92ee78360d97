//! An answer without a socket: what tests and the fuzzer compare, however the network has cut it.

use super::framing::{BrokenOff, Framing};
use super::head::{Gathering, Head, NotHttp};

/// What was read of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The HTTP status.
    pub status: u16,
    /// The header lines, with lower-case names.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// Whether that is all of it.
    pub is_whole: bool,
    /// Whether the connection would be used again.
    pub is_kept: bool,
    /// How many bytes came that do not belong to the answer; known only if it is whole.
    pub surplus: usize,
}

/// Reads an answer that arrives in `pieces`, behind which the connection ends; `None` if there is none.
pub fn replay(pieces: &[&[u8]]) -> Option<Replayed> {
    let mut gathering = Gathering::default();
    let mut reading: Option<(Head, Replayed)> = None;
    let mut outcome = Ok(());
    for piece in pieces {
        let mut rest = *piece;
        if reading.is_none() {
            let gathered: Result<_, NotHttp> = gathering.push(piece);
            let Some((head, length)) = gathered.ok()? else { continue };
            rest = piece.get(length..)?;
            reading = Some(begin(head));
        }
        if let (Some((head, replayed)), Ok(())) = (&mut reading, &outcome) {
            let Replayed { body, surplus, .. } = replayed;
            let pushed = head.framing.push(rest, &mut |content| body.extend_from_slice(content));
            outcome = pushed.map(|used| *surplus += rest.len() - used);
        }
    }
    let (Head { mut framing, is_kept, .. }, mut replayed) = reading?;
    replayed.is_whole = outcome.and_then(|()| ended(&mut framing)).is_ok();
    replayed.is_kept = is_kept && replayed.is_whole && replayed.surplus == 0;
    Some(replayed)
}

fn ended(framing: &mut Framing) -> Result<(), BrokenOff> {
    framing.end()
}

fn begin(head: Head) -> (Head, Replayed) {
    let lines = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let (status, headers) = (head.status, lines.collect());
    let (body, is_whole, is_kept, surplus) = (Vec::new(), false, false, 0);
    (head, Replayed { status, headers, body, is_whole, is_kept, surplus })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Some of what stands in answers, and in what looks like one.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let parts: &[&[u8]] = &[
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.0 503 No\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n",
            b"HTTP/1.1 204 X\r\n",
            b"content-length: 5\r\n",
            b"content-length: 7\r\n",
            b"transfer-encoding: chunked\r\n",
            b"connection: close\r\n",
            b"x: y\r\n",
            b"\r\n",
            b"\n",
            b"5\r\nhello\r\n",
            b"b;x=y\r\nhello world\r\n",
            b"0\r\n",
            b"0\r\nx: y\r\n",
            b"hello",
            b"\0",
        ];
        let part = prop_oneof![
            9 => prop::sample::select(parts).prop_map(<[u8]>::to_vec),
            1 => vec(any::<u8>(), 0..4),
        ];
        vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    /// An answer in good order, with this body, in chunks of these sizes or with its length.
    fn answer(body: &[u8], sizes: &[usize]) -> Vec<u8> {
        let mut answer = b"HTTP/1.1 200 OK\r\nx: y\r\n".to_vec();
        let Some(most) = sizes.iter().max() else {
            answer.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
            answer.extend(body);
            return answer;
        };
        answer.extend(b"transfer-encoding: chunked\r\n\r\n");
        for chunk in body.chunks(*most) {
            answer.extend(format!("{:x}\r\n", chunk.len()).bytes());
            answer.extend(chunk);
            answer.extend(b"\r\n");
        }
        answer.extend(b"0\r\n\r\n");
        answer
    }

    fn cut(mut bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        for size in sizes {
            let (piece, rest) = bytes.split_at((*size).min(bytes.len()));
            // Nothing never arrives: it would be the end.
            pieces.extend((!piece.is_empty()).then(|| piece.to_vec()));
            bytes = rest;
        }
        pieces.push(bytes.to_vec());
        pieces
    }

    fn replay_all(pieces: &[Vec<u8>]) -> Option<Replayed> {
        replay(&pieces.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn no_cut_changes_what_is_read(start in bytes(), more in bytes(), sizes in vec(0_usize..30, 0..20)) {
            for bytes in [[b"HTTP/1.1 200 OK\r\n".as_slice(), &start].concat(), start, more] {
                let whole = replay(&[&bytes]);
                prop_assert_eq!(&replay_all(&cut(&bytes, &sizes)), &whole);
                prop_assert_eq!(&replay_all(&cut(&bytes, &vec![1; bytes.len()])), &whole);
            }
        }

        #[test]
        fn a_good_answer_is_read_as_it_was_written(
            body in vec(any::<u8>(), 0..200),
            sizes in vec(1_usize..40, 0..3),
            cuts in vec(0_usize..60, 0..10),
            surplus in vec(any::<u8>(), 0..3),
        ) {
            let answer = [answer(&body, &sizes), surplus.clone()].concat();
            let read = replay_all(&cut(&answer, &cuts)).unwrap();
            prop_assert_eq!(&read.body, &body);
            prop_assert!(read.is_whole);
            prop_assert_eq!(read.is_kept, surplus.is_empty());
            prop_assert_eq!(read.surplus, surplus.len());
            prop_assert_eq!(&read.headers[0], &("x".to_owned(), b"y".to_vec()));
        }
    }
}
