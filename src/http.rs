//! Everything between a client's socket and its surface: connections, the checks on requests, routes, and the bodies of
//! responses.

mod areas;
mod body_budget;
mod client_stream;
mod connection;
mod cors;
mod head_timer;
mod ingress;
mod reading;
mod refusal;
mod relay;
mod request_body;
mod request_id;
mod response_body;
mod routes;
mod server;
mod slips;
mod state;

pub(crate) use self::areas::HEALTH_PATH;
pub use self::server::serve;
pub use self::state::AppState;
