//! The variables that belong to no provider: name, default, unit, least and greatest value.
//!
//! A new one stands here and is read in the reader; the tests of the documents notice it because it is read.

/// Where to listen.
pub(crate) const ENV_HOST: &str = "HOST";
/// Loopback: nobody but this machine.
pub const DEFAULT_HOST: &str = "127.0.0.1";
/// On which port; 0 picks a free one.
pub(crate) const ENV_PORT: &str = "PORT";
/// The port unless another one is set.
pub const DEFAULT_PORT: u16 = 3001;
/// Keys that clients must show.
pub const ENV_PROXY_API_KEY: &str = "PROXY_API_KEY";
/// Web pages that may call.
pub(super) const ENV_CORS_ORIGINS: &str = "CORS_ORIGINS";
/// The providers without a key that may be asked.
pub(crate) const ENV_KEYLESS_PROVIDERS: &str = "KEYLESS_PROVIDERS";
/// The user's own providers.
pub(super) const ENV_CUSTOM_PROVIDERS: &str = "CUSTOM_PROVIDERS";
/// The providers that are asked only when nobody else can serve.
pub(super) const ENV_TIER_2: &str = "TIER_2";
/// The user's own names for models.
pub(super) const ENV_MODEL_ALIASES: &str = "MODEL_ALIASES";
/// The most providers of the user's own.
pub(super) const MOST_CUSTOM_PROVIDERS: usize = 16;
/// The server through which several instances share their quotas.
pub(super) const ENV_STATE_URL: &str = "STATE_URL";
/// Where what was used of free plans is kept for the next start; set to nothing, it is not kept.
pub(super) const ENV_STATE_FILE: &str = "STATE_FILE";
/// The file in the working directory.
pub(super) const DEFAULT_STATE_FILE: &str = "ai-proxy-free.state";
/// The form of the log.
pub(super) const ENV_LOG_FORMAT: &str = "LOG_FORMAT";
/// What is logged.
pub(super) const ENV_RUST_LOG: &str = "RUST_LOG";
/// What is logged unless something else is set.
pub(super) const DEFAULT_RUST_LOG: &str = "info";

/// A variable that holds a number, with its default and the least and greatest accepted value.
#[derive(Clone, Copy, Debug)]
pub struct NumberVariable {
    /// Its name, which ends in the unit.
    pub name: &'static str,
    /// The value if it is not set.
    pub default: u64,
    /// The smallest value accepted.
    pub least: u64,
    /// The greatest value accepted.
    pub most: u64,
}

/// A day: no longer timeout is useful.
const MOST_MS: u64 = 86_400_000;

/// TCP and TLS to a provider, in milliseconds.
pub const CONNECT_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "CONNECT_TIMEOUT_MS", default: 5_000, least: 1, most: MOST_MS };
/// From sending a request to a provider to its first meaningful event, while somebody else could be asked instead, in
/// milliseconds.
pub const FIRST_TOKEN_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "FIRST_TOKEN_TIMEOUT_MS", default: 20_000, least: 1, most: MOST_MS };
/// Between two meaningful events of a stream, in milliseconds.
pub const IDLE_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "IDLE_TIMEOUT_MS", default: 30_000, least: 1, most: MOST_MS };
/// All attempts for one request together, up to the first content, in milliseconds.
pub const REQUEST_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "REQUEST_TIMEOUT_MS", default: 120_000, least: 1, most: MOST_MS };
/// The most calls to providers for one request.
pub const MAX_ATTEMPTS: NumberVariable =
    NumberVariable { name: "MAX_ATTEMPTS", default: 6, least: 1, most: 100 };
/// How long a request may wait for the first provider that will be able to serve it, in milliseconds; 0 never waits.
pub const MAX_WAIT_MS: NumberVariable =
    NumberVariable { name: "MAX_WAIT_MS", default: 10_000, least: 0, most: MOST_MS };
/// The most requests that wait at once; more are answered as if waiting were off.
pub const MAX_WAITING_REQUESTS: NumberVariable =
    NumberVariable { name: "MAX_WAITING_REQUESTS", default: 1_000, least: 0, most: 1_000_000 };
/// The largest request body, in bytes.
pub const MAX_BODY_BYTES: NumberVariable =
    NumberVariable { name: "MAX_BODY_BYTES", default: 20 * 1024 * 1024, least: 1, most: 1 << 30 };
/// All request bodies under way together, in bytes.
pub const MAX_BODY_MEMORY_BYTES: NumberVariable =
    NumberVariable { name: "MAX_BODY_MEMORY_BYTES", default: 128 * 1024 * 1024, least: 1, most: 1 << 40 };
/// Answers of `/v1/responses` that clients may go on from, all together, in bytes; 0 keeps none.
pub const RESPONSES_MEMORY_BYTES: NumberVariable =
    NumberVariable { name: "RESPONSES_MEMORY_BYTES", default: 64 * 1024 * 1024, least: 0, most: 1 << 40 };
/// The most requests at once.
pub const MAX_CONCURRENT_REQUESTS: NumberVariable =
    NumberVariable { name: "MAX_CONCURRENT_REQUESTS", default: 20_000, least: 1, most: 1_000_000 };
/// For a client to send its whole request head, in milliseconds: from its first byte, or for the first request of a
/// connection from the start.
pub const HEADER_READ_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "HEADER_READ_TIMEOUT_MS", default: 10_000, least: 1, most: MOST_MS };
/// The longest silence between two requests of a connection, in milliseconds.
pub const KEEP_ALIVE_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "KEEP_ALIVE_TIMEOUT_MS", default: 75_000, least: 1, most: MOST_MS };
/// For a client to send its whole request body, in milliseconds.
pub const BODY_READ_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "BODY_READ_TIMEOUT_MS", default: 30_000, least: 1, most: MOST_MS };
/// For a client that reads nothing, in milliseconds.
pub const CLIENT_STALL_TIMEOUT_MS: NumberVariable =
    NumberVariable { name: "CLIENT_STALL_TIMEOUT_MS", default: 30_000, least: 1, most: MOST_MS };
/// For open streams to finish after the first signal, in seconds.
pub const SHUTDOWN_GRACE_SECONDS: NumberVariable =
    NumberVariable { name: "SHUTDOWN_GRACE_SECONDS", default: 30, least: 0, most: 86_400 };

/// All of them, in the order of the documents.
pub const NUMBERS: [NumberVariable; 16] = [
    CONNECT_TIMEOUT_MS,
    FIRST_TOKEN_TIMEOUT_MS,
    IDLE_TIMEOUT_MS,
    REQUEST_TIMEOUT_MS,
    MAX_ATTEMPTS,
    MAX_WAIT_MS,
    MAX_WAITING_REQUESTS,
    MAX_BODY_BYTES,
    MAX_BODY_MEMORY_BYTES,
    RESPONSES_MEMORY_BYTES,
    MAX_CONCURRENT_REQUESTS,
    HEADER_READ_TIMEOUT_MS,
    KEEP_ALIVE_TIMEOUT_MS,
    BODY_READ_TIMEOUT_MS,
    CLIENT_STALL_TIMEOUT_MS,
    SHUTDOWN_GRACE_SECONDS,
];
