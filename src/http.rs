//! Meeting clients: sockets, HTTP, routes, and the bodies of answers.

mod client_stream;
mod ingress;
mod refusal;
mod relay;
mod routes;
mod server;
mod state;

pub use self::server::{ConnectionLimits, serve};
pub use self::state::{App, AppState};

/// The whole proxy as a service.
pub fn app(state: AppState) -> axum::Router {
    routes::router(state)
}
