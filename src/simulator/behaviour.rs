//! How a simulated provider answers one completion: what it says, and what goes wrong with it.

use std::time::Duration;

use super::wire::Framing;

/// What a simulated provider does with one completion.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// What it says.
    pub reply: Reply,
    /// What goes wrong, if anything.
    pub fault: Option<Fault>,
    /// How the body is delimited.
    pub framing: Framing,
    /// The bytes are written in pieces of this size, each by itself; 0 for one write per event.
    pub piece_bytes: usize,
    /// The response is written in two pieces, cut after this many bytes.
    pub cut_in_two: Option<usize>,
    /// The time before the first event.
    pub first_delay: Duration,
    /// The time between events, or `None` for the settings' pace.
    pub pace: Option<Duration>,
    /// Whether Gemini gives its calls an id. The others always do.
    pub has_call_ids: bool,
}

/// What a simulated provider says.
#[derive(Clone, Debug)]
pub enum Reply {
    /// What a small model answers to the request: it repeats the question, calls the tools that the question names or
    /// that it has to call, reports their results, and keeps to a JSON form.
    Echo,
    /// An answer.
    Answer {
        /// The thoughts before the answer, piece by piece.
        thoughts: Vec<String>,
        /// The text, piece by piece.
        text: Vec<String>,
        /// The tools it calls after that.
        calls: Vec<SimulatedCall>,
        /// Why it ends, in the words of OpenAI's dialect; translated for Gemini.
        finish: &'static str,
    },
    /// This many calls of the offered tools, in turn; a friendly answer if no tools are offered.
    Calls(usize),
    /// The model has garbled a call, and its provider says so in its own way.
    GarbledCall,
    /// The prompt is blocked.
    Blocked,
    /// An error with the provider's true status, headers and body.
    Trouble(Trouble),
    /// A web page with this status, as firewalls send them.
    Html(u16),
    /// A head and a body as given. The head gets its framing headers.
    Raw {
        /// The HTTP status.
        status: u16,
        /// Headers, without those of the framing.
        headers: Vec<(String, String)>,
        /// The body's events or pieces.
        body: Vec<Vec<u8>>,
    },
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedCall {
    /// The tool.
    pub name: String,
    /// JSON text, sent byte for byte. If it is empty, Gemini sends no arguments.
    pub arguments: String,
}

/// What a provider can refuse a request for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// A limit that ends in this many seconds.
    RateLimited(f64),
    /// A daily limit. The provider states these seconds, whether they are true or not.
    QuotaExhausted(f64),
    /// The key is wrong.
    BadKey,
    /// There is no credit.
    NoCredit,
    /// There is no such model.
    ModelGone,
    /// The request is larger than the account allows.
    TooLarge,
    /// The conversation is longer than the model's window.
    ContextTooLong,
    /// The request is malformed.
    BadRequest,
    /// The model has garbled a call. Gemini has no such error: see [`Reply::GarbledCall`].
    ToolUseFailed,
    /// The provider is overloaded.
    Overloaded,
    /// An internal error of the provider.
    ServerError,
}

/// How far a stream comes before its fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Not even the head is sent.
    Nothing,
    /// The head is sent, and everything before the text.
    Head,
    /// This many pieces of text are sent. A call counts as one.
    Text(usize),
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing more is sent, and the connection stays open.
    Stall(After),
    /// The connection is reset.
    Reset(After),
    /// The connection is closed in the middle of the body.
    Cut(After),
    /// The body ends in good order although the answer is not complete.
    EndEarly(After),
    /// The stream reports an error in the provider's own form and ends.
    ErrorEvent(After, Trouble),
    /// The stream reports an error as bare JSON without SSE framing and ends.
    BareError(After, Trouble),
    /// These bytes are inserted between two events.
    Inject(After, Vec<u8>),
    /// The answer is complete, but the body does not end.
    NeverEnds,
    /// There is a finish reason but no end mark, in the dialects that have one.
    NoEndMark,
    /// There is an end mark but no finish reason, in the dialects that have both.
    NoFinish,
}

impl Behaviour {
    /// A behaviour that gives `reply`, without a fault.
    pub fn new(reply: Reply) -> Self {
        Self {
            reply,
            fault: None,
            framing: Framing::Chunked,
            piece_bytes: 0,
            cut_in_two: None,
            first_delay: Duration::ZERO,
            pace: None,
            has_call_ids: false,
        }
    }

    /// A friendly answer that repeats the question.
    pub fn echo() -> Self {
        Self::new(Reply::Echo)
    }

    /// An answer of these pieces of text.
    pub fn answer<S: Into<String>>(text: impl IntoIterator<Item = S>) -> Self {
        let text = text.into_iter().map(Into::into).collect();
        Self::new(Reply::Answer { thoughts: Vec::new(), text, calls: Vec::new(), finish: "stop" })
    }

    /// No text, but calls of these tools: their names and arguments.
    pub fn calling<N: Into<String>, A: Into<String>>(calls: impl IntoIterator<Item = (N, A)>) -> Self {
        Self::answer::<String>([]).and_calling(calls)
    }

    /// An error of the provider.
    pub fn trouble(trouble: Trouble) -> Self {
        Self::new(Reply::Trouble(trouble))
    }

    /// Thinks these thoughts before it answers.
    #[must_use]
    pub fn thinking<S: Into<String>>(mut self, pieces: impl IntoIterator<Item = S>) -> Self {
        if let Reply::Answer { thoughts, .. } = &mut self.reply {
            thoughts.extend(pieces.into_iter().map(Into::into));
        }
        self
    }

    /// Calls these tools after its text: their names and arguments.
    #[must_use]
    pub fn and_calling<N: Into<String>, A: Into<String>>(
        mut self,
        more: impl IntoIterator<Item = (N, A)>,
    ) -> Self {
        if let Reply::Answer { calls, finish, .. } = &mut self.reply {
            let call =
                |(name, arguments): (N, A)| SimulatedCall { name: name.into(), arguments: arguments.into() };
            calls.extend(more.into_iter().map(call));
            *finish = "tool_calls";
        }
        self
    }

    /// Gives Gemini's calls an id.
    #[must_use]
    pub fn with_call_ids(mut self) -> Self {
        self.has_call_ids = true;
        self
    }

    /// Ends for this reason: `stop`, `length`, `content_filter` or `tool_calls`.
    #[must_use]
    pub fn finishing(mut self, reason: &'static str) -> Self {
        if let Reply::Answer { finish, .. } = &mut self.reply {
            *finish = reason;
        }
        self
    }

    /// Adds this fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Delimits the body like this.
    #[must_use]
    pub fn framed(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Writes `bytes` bytes at a time.
    #[must_use]
    pub fn in_pieces_of(mut self, bytes: usize) -> Self {
        self.piece_bytes = bytes;
        self
    }

    /// Writes everything in two pieces, the first of `bytes` bytes.
    #[must_use]
    pub fn cut_in_two_after(mut self, bytes: usize) -> Self {
        self.cut_in_two = Some(bytes);
        self
    }

    /// Waits this long between events.
    #[must_use]
    pub fn paced(mut self, pace: Duration) -> Self {
        self.pace = Some(pace);
        self
    }

    /// Waits this long before the first event.
    #[must_use]
    pub fn thinking_for(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// The behaviour with this name, so that any client can ask for it in an `x-simulate` header.
    pub fn named(name: &str) -> Option<Self> {
        let text = || Self::answer(["One, ", "two, ", "three."]);
        Some(match name {
            "rate_limited" => Self::trouble(Trouble::RateLimited(2.0)),
            "quota_exhausted" => Self::trouble(Trouble::QuotaExhausted(34.4)),
            "spent_until_tomorrow" => Self::trouble(Trouble::QuotaExhausted(36_000.0)),
            "bad_key" => Self::trouble(Trouble::BadKey),
            "no_credit" => Self::trouble(Trouble::NoCredit),
            "model_gone" => Self::trouble(Trouble::ModelGone),
            "too_large" => Self::trouble(Trouble::TooLarge),
            "context_too_long" => Self::trouble(Trouble::ContextTooLong),
            "bad_request" => Self::trouble(Trouble::BadRequest),
            "overloaded" => Self::trouble(Trouble::Overloaded),
            "server_error" => Self::trouble(Trouble::ServerError),
            "html" => Self::new(Reply::Html(503)),
            "html_200" => Self::new(Reply::Html(200)),
            "empty" => Self::answer::<&str>([]),
            "blocked" => Self::new(Reply::Blocked),
            "tool_call" => Self::new(Reply::Calls(1)),
            "parallel_calls" => Self::new(Reply::Calls(2)),
            "tool_use_failed" => Self::new(Reply::GarbledCall),
            "thinking" => text().thinking(["Let me ", "think."]),
            "length" => text().finishing("length"),
            "error_event" => text().with(Fault::ErrorEvent(After::Head, Trouble::Overloaded)),
            "late_error_event" => text().with(Fault::ErrorEvent(After::Text(2), Trouble::Overloaded)),
            "truncated" => text().with(Fault::EndEarly(After::Text(2))),
            "reset" => text().with(Fault::Reset(After::Text(2))),
            "stall" => text().with(Fault::Stall(After::Text(2))),
            "silence" => text().with(Fault::Stall(After::Nothing)),
            _ => return None,
        })
    }
}
