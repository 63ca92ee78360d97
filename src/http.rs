//! Meeting clients: sockets, HTTP, routes, and the bodies of answers.

mod areas;
mod client_stream;
mod connection;
mod ingress;
mod refusal;
mod relay;
mod request_id;
mod routes;
mod server;
mod state;

pub use self::server::serve;
pub use self::state::AppState;

/// The whole proxy as a service.
pub fn app(state: AppState) -> axum::Router {
    routes::router(state)
}
