//! What the tests, benches and fuzz targets of this repository use, by room. No promise to anybody else.

pub mod config {
    //! See `crate::config`.
    pub use crate::config::{
        BODY_READ_TIMEOUT_MS, CLIENT_STALL_TIMEOUT_MS, CONNECT_TIMEOUT_MS, Config, DEFAULT_HOST,
        DEFAULT_PORT, DotEnv, ENV_PROXY_API_KEY, FIRST_TOKEN_TIMEOUT_MS, HEADER_READ_TIMEOUT_MS,
        IDLE_TIMEOUT_MS, KEEP_ALIVE_TIMEOUT_MS, MAX_ATTEMPTS, MAX_BODY_BYTES, MAX_BODY_MEMORY_BYTES,
        MAX_CONCURRENT_REQUESTS, MAX_WAIT_MS, MAX_WAITING_REQUESTS, NUMBERS, REQUEST_TIMEOUT_MS,
        RESPONSES_MEMORY_BYTES, SHUTDOWN_GRACE_SECONDS,
    };
}

pub mod http {
    //! See `crate::http`.
    pub use crate::http::{AppState, serve};
}

pub mod middle {
    //! See `crate::middle`.
    pub use crate::middle::{
        AssistantPart, Cause, ChatRequest, Counted, Diagnosis, Effect, Event, ExpectedCalls, Feature, File,
        FinishReason, Image, Lift, LimitReading, Measure, Message, Part, Policy, Reading, Reason, Redactor,
        Scope, Source, Span, Tool, ToolCall, ToolCallOpening, ToolCallPiece, ToolChoice, Unit, Usage, Wait,
        Window,
    };
}

pub mod observe {
    //! See `crate::observe`.
    pub use crate::observe::{Counts, Outcome};
}

pub mod providers {
    //! See `crate::providers`.
    pub use crate::providers::{
        AnswerDecoder, AskedBy, Auth, Dialect, Directory, ErrorForm, KeyNeed, ListForm, Provider,
    };
}

pub mod quota {
    //! See `crate::quota`.
    pub use crate::quota::{
        Demand, Ledger, LedgerWarning, ModelSnapshot, PastUse, PlaceId, ProviderSnapshot, Trial, TrialTurn,
    };
}

pub mod simulator {
    //! See `crate::simulator`.
    pub use crate::simulator::{
        Admitted, After, Allowance, Behaviour, Call, Cost, Fault, Framing, Limit, Limiter, Limits, Outcome,
        Plan, ReceivedRequest, Refusal, Reply, Settings, SimulatedCall, SimulatedProvider, Simulator, Size,
        Span, Trouble, Used, Voice, Window, Zone, faster, told_limits, told_refusal,
    };
}

pub mod surfaces {
    //! See `crate::surfaces`.
    pub use crate::surfaces::anthropic::MessagesAsk;
    pub use crate::surfaces::chat::ChatAsk;
    pub use crate::surfaces::gemini::GenerateAsk;
    pub use crate::surfaces::ollama::OllamaAsk;
    pub use crate::surfaces::openai::Completion;
    pub use crate::surfaces::responses::{ResponsesAsk, Store};
    pub use crate::surfaces::{ApiError, Ask, Author, Encode, Interrupted};
}

pub mod time {
    //! See `crate::time`.
    pub use crate::time::{Clock, Moment, Shutdown};
}

pub mod upstream {
    //! See `crate::upstream`.
    pub use crate::upstream::{Replayed, read_response};
}

pub mod wire {
    //! See `crate::wire`.
    pub use crate::wire::sse;
}
