//! The bytes of a response and how they are sent: from a behaviour to steps on a socket.

use std::time::Duration;

use super::behaviour::{After, Behaviour, Fault, Reply};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A chunk for each event.
    Chunked,
    /// `Content-Length`.
    Length,
    /// The end of the connection.
    Close,
}

/// One thing done to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write these bytes.
    Send(Vec<u8>),
    /// Do nothing for a while.
    Pause(Duration),
    /// Do nothing until the peer leaves.
    Hang,
    /// Reset the connection.
    Reset,
    /// Close the connection in good order.
    Close,
}

/// A response before its faults.
#[derive(Clone, Debug, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// Events before the text, or the whole body if it is not a stream.
    pub(super) prelude: Vec<Vec<u8>>,
    /// One event for each piece of text and each call.
    pub(super) text: Vec<Vec<u8>>,
    /// Events after the text: finish and end mark.
    pub(super) ending: Vec<Vec<u8>>,
}

impl Response {
    /// A response that is sent as given, whatever the request says, or `None` for a reply in the provider's own
    /// dialect.
    pub(super) fn scripted(reply: &Reply) -> Option<Self> {
        match reply {
            Reply::Html(status) => {
                let page = "<!DOCTYPE html>\n<html><head><title>Attention Required!</title></head></html>\n";
                let headers = vec![("content-type".to_owned(), "text/html; charset=UTF-8".to_owned())];
                Some(Self {
                    status: *status,
                    headers,
                    prelude: vec![page.as_bytes().to_vec()],
                    ..Self::default()
                })
            }
            Reply::Raw { status, headers, body } => Some(Self {
                status: *status,
                headers: headers.clone(),
                prelude: body.clone(),
                ..Self::default()
            }),
            Reply::Echo
            | Reply::Answer { .. }
            | Reply::Calls(_)
            | Reply::GarbledCall
            | Reply::Blocked
            | Reply::Trouble(_) => None,
        }
    }

    /// A response that is one JSON document.
    pub(super) fn json(status: u16, headers: Vec<(String, String)>, body: &serde_json::Value) -> Self {
        Self::json_text(status, headers, body.to_string())
    }

    fn json_text(status: u16, headers: Vec<(String, String)>, body: String) -> Self {
        let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
        all.extend(headers);
        Self { status, headers: all, prelude: vec![body.into_bytes()], ..Self::default() }
    }

    /// A whole answer of JSON text, made of two parts so that a fault can come between them.
    pub(super) fn whole(headers: Vec<(String, String)>, body: String) -> Self {
        let mut response = Self::json_text(200, headers, body);
        if let Some(first) = response.prelude.first_mut() {
            let second = first.split_off(first.len() / 2);
            response.ending.push(second);
        }
        response
    }

    fn head(&self, framing: Framing, body_bytes: usize) -> Vec<u8> {
        let reason =
            http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or("Unknown"));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&match framing {
            Framing::Chunked => "transfer-encoding: chunked\r\n\r\n".to_owned(),
            Framing::Length => format!("content-length: {body_bytes}\r\n\r\n"),
            Framing::Close => "connection: close\r\n\r\n".to_owned(),
        });
        head.into_bytes()
    }

    /// The events before a fault, and those after it.
    fn split(&self, after: After) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let sent = match after {
            After::Nothing => 0,
            After::Head => self.prelude.len(),
            After::Text(pieces) => self.prelude.len() + pieces.min(self.text.len()),
        };
        let all = || self.prelude.iter().chain(&self.text).chain(&self.ending).cloned();
        (all().take(sent).collect(), all().skip(sent).collect())
    }

    /// All steps on the socket. `error_event` builds an error in a stream in the provider's own form.
    pub(super) fn steps(
        &self,
        behaviour: &Behaviour,
        pace: Duration,
        error_event: impl Fn(&Fault) -> Vec<u8>,
    ) -> Vec<Step> {
        let fault = behaviour.fault.as_ref();
        let (events, last) = match fault {
            None | Some(Fault::NoEndMark | Fault::NoFinish) => {
                (self.split(After::Text(usize::MAX)), Last::End)
            }
            Some(Fault::NeverEnds) => (self.split(After::Text(usize::MAX)), Last::Step(Step::Hang)),
            Some(Fault::Stall(after)) => (self.split(*after), Last::Step(Step::Hang)),
            Some(Fault::Reset(after)) => (self.split(*after), Last::Step(Step::Reset)),
            Some(Fault::Cut(after)) => (self.split(*after), Last::Step(Step::Close)),
            Some(Fault::EndEarly(after) | Fault::ErrorEvent(after, _) | Fault::BareError(after, _)) => {
                (self.split(*after), Last::End)
            }
            Some(Fault::Inject(after, _)) => (self.split(*after), Last::End),
        };
        let (mut events, rest) = events;
        let missing_bytes = rest.iter().map(Vec::len).sum::<usize>();
        match fault {
            None | Some(Fault::NeverEnds | Fault::NoEndMark | Fault::NoFinish) => events.extend(rest),
            Some(Fault::Inject(_, bytes)) => {
                events.push(bytes.clone());
                events.extend(rest);
            }
            Some(fault @ (Fault::ErrorEvent(..) | Fault::BareError(..))) => events.push(error_event(fault)),
            Some(Fault::Stall(_) | Fault::Reset(_) | Fault::Cut(_) | Fault::EndEarly(_)) => {}
        }
        let is_headless = matches!(
            fault,
            Some(Fault::Stall(After::Nothing) | Fault::Reset(After::Nothing) | Fault::Cut(After::Nothing))
        );
        let mut steps = Vec::new();
        if !is_headless {
            let is_cut = matches!(fault, Some(Fault::Stall(_) | Fault::Reset(_) | Fault::Cut(_)));
            let missing = if is_cut { missing_bytes } else { 0 };
            let announced = events.iter().map(Vec::len).sum::<usize>() + missing;
            steps.push(Step::Send(self.head(behaviour.framing, announced)));
        }
        for (index, event) in events.into_iter().enumerate() {
            let delay = if index == 0 { behaviour.first_delay } else { pace };
            if !delay.is_zero() {
                steps.push(Step::Pause(delay));
            }
            steps.push(Step::Send(frame(event, behaviour.framing)));
        }
        match last {
            Last::Step(step) => steps.push(step),
            Last::End => match behaviour.framing {
                Framing::Chunked => steps.push(Step::Send(b"0\r\n\r\n".to_vec())),
                Framing::Length => {}
                Framing::Close => steps.push(Step::Close),
            },
        }
        match behaviour.cut_in_two {
            Some(first) => in_two(steps, first),
            None => in_pieces(steps, behaviour.piece_bytes),
        }
    }
}

enum Last {
    End,
    Step(Step),
}

fn frame(event: Vec<u8>, framing: Framing) -> Vec<u8> {
    match framing {
        // An empty chunk would end the body.
        Framing::Chunked if !event.is_empty() => {
            [format!("{:x}\r\n", event.len()).as_bytes(), &event, b"\r\n"].concat()
        }
        _ => event,
    }
}

/// The same bytes written `size` at a time; 0 leaves them as they are.
fn in_pieces(steps: Vec<Step>, size: usize) -> Vec<Step> {
    if size == 0 {
        return steps;
    }
    let mut pieces = Vec::new();
    for step in steps {
        match step {
            Step::Send(bytes) => pieces.extend(bytes.chunks(size).map(|piece| Step::Send(piece.to_vec()))),
            step => pieces.push(step),
        }
    }
    pieces
}

/// The same bytes in two writes, the first of `first` bytes. All other steps come after them.
fn in_two(steps: Vec<Step>, first: usize) -> Vec<Step> {
    let mut bytes = Vec::new();
    let mut others = Vec::new();
    for step in steps {
        match step {
            Step::Send(more) => bytes.extend(more),
            step => others.push(step),
        }
    }
    let second = bytes.split_off(first.min(bytes.len()));
    // Long enough, most of the time, for the reader to wake up for the first piece alone.
    let sends = [Step::Send(bytes), Step::Pause(Duration::from_micros(200)), Step::Send(second)];
    sends.into_iter().chain(others).collect()
}
