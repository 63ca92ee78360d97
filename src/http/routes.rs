//! The routes: thin handlers that take a request apart, let the dispatcher answer it and assemble the response.

use std::borrow::Cow;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use futures::FutureExt as _;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use hyper::body::{Body as _, Bytes, Incoming};
use percent_encoding::percent_decode_str;
use tracing::error;

use super::areas::{self, Action, Area, Ollama, Route};
use super::connection::Connection;
use super::relay::{self, Held};
use super::request_id::{self, X_REQUEST_ID};
use super::response_body::{Body, Large, Response};
use super::state::AppState;
use super::{cors, ingress, reading, slips};
use crate::dispatch::{Answering, Extent, Question};
use crate::observe::{self, Counted, Refusal, RequestLog};
use crate::status::{self, Health, page};
use crate::surfaces::anthropic::{self, MessagesAsk};
use crate::surfaces::chat::ChatAsk;
use crate::surfaces::gemini::{self, GenerateAsk};
use crate::surfaces::ollama::{self, OllamaAsk};
use crate::surfaces::openai::{self, Completion};
use crate::surfaces::responses::{self, ResponsesAsk};
use crate::surfaces::{
    self, ApiError, Ask, Author, Choice, Encode as _, Memory, Occasion, Surface, media_type,
};
use crate::wire::json;

/// As much of an unknown path is repeated to the client and in the log.
const MAX_PATH_CHARS: usize = 100;

/// Where Anthropic's clients look for the id of their request.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Headers of answers that no standard knows.
const X_PROVIDER: HeaderName = HeaderName::from_static("x-provider");
const X_MODEL: HeaderName = HeaderName::from_static("x-model");
const X_ATTEMPTS: HeaderName = HeaderName::from_static("x-attempts");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const X_IGNORED_FIELDS: HeaderName = HeaderName::from_static("x-ignored-fields");
const X_MAX_TOKENS: HeaderName = HeaderName::from_static("x-max-tokens");

/// Says how many tokens a request has, from its head and its body.
type CountTokens = fn(&Parts, &[u8]) -> Result<Vec<u8>, ApiError>;

/// A response whose body is known.
type Whole = surfaces::Response;

/// A request that a route answers, and where it belongs.
struct Admitted<'r> {
    state: &'r AppState,
    connection: &'r Arc<Connection>,
    area: Area,
    surface: Surface,
    id: &'r str,
    /// The id is the client's own.
    is_id_given: bool,
}

/// What a client gets, and whether its request has been read to its end.
struct Reply {
    response: Response,
    is_body_read: bool,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self { response, is_body_read: false }
    }
}

/// Answers a request of `connection`, whatever it is: gives it its id, counts it and logs a refusal.
pub(super) async fn respond(
    state: &AppState,
    connection: &Arc<Connection>,
    request: http::Request<Incoming>,
) -> Response {
    let (mut head, body) = request.into_parts();
    slips::put_right(&mut head.uri);
    let id = request_id::given_or_new(&head.headers);
    let area = Area::of(head.uri.path());
    // Told with every refusal, so that nobody puts right one thing after the other.
    let route = Route::of(head.uri.path());
    let methods = route.filter(|route| !route.takes(&head.method)).map(Route::methods);
    let surface = surface_of(area, route, &head.headers);
    let is_tunnel = head.method == Method::CONNECT;
    let has_body = !body.is_end_stream();
    let (counter, counted) = area.counts_as();
    // What a browser asks beforehand is no request of its own.
    let counted = if cors::is_preflight(&head) { Counted::IfRefused } else { counted };
    let tally = state.requests.begin(counter, counted);
    let is_id_given = head.headers.get(X_REQUEST_ID) == Some(&id);
    let admitted = Admitted { state, connection, area, surface, id: request_id::text(&id), is_id_given };
    let Reply { mut response, is_body_read } = match ingress::check(state, connection, area, &head) {
        Ok(()) => admit(&admitted, head, body).await,
        Err(error) => admitted.refuse(&error).into(),
    };
    tally.answered(response.status());
    if let Some(Refusal(reason)) = response.extensions().get() {
        observe::refused(response.status(), surface.name(), request_id::text(&id), reason);
    }
    if surface == Surface::Anthropic {
        response.headers_mut().insert(REQUEST_ID, id.clone());
    }
    response.headers_mut().insert(X_REQUEST_ID, id);
    if let Some(methods) = methods {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    }
    // hyper would keep the connection open for a tunnel that does not exist. After a request whose body was not read it
    // would close the connection without telling the client.
    if is_tunnel || (has_body && !is_body_read) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The dialect of a client that asks for this. Clients of OpenAI's and Anthropic's dialect share paths; a conversation in
/// OpenAI's is none of them.
fn surface_of(area: Area, route: Option<Route<'_>>, headers: &HeaderMap) -> Surface {
    if route == Some(Route::Completions) { area.surface } else { area.surface.for_client(headers) }
}

/// Answers a request that [`ingress`] lets in.
async fn admit(admitted: &Admitted<'_>, head: Parts, body: Incoming) -> Reply {
    let readers = cors::readers(&admitted.state.server.cors_origins, &head);
    if cors::is_preflight(&head) {
        let mut response = Response::new(Body::from(Vec::new()));
        *response.headers_mut() = cors::preflight(&head, readers);
        return response.into();
    }
    let answered = AssertUnwindSafe(route(admitted, head, body)).catch_unwind().await;
    let mut reply = answered.unwrap_or_else(|_| {
        // The panic's own message has gone to standard error, and may contain anything.
        error!("A handler panicked: this is a bug");
        admitted.refuse(&ApiError::Internal).into()
    });
    cors::allow(reply.response.headers_mut(), readers);
    reply
}

async fn route(admitted: &Admitted<'_>, head: Parts, body: Incoming) -> Reply {
    let Admitted { state, area, .. } = admitted;
    if let Err(error) = ingress::authenticate(state, *area, &head) {
        return admitted.refuse(&error).into();
    }
    let Some(route) = Route::of(head.uri.path()) else {
        return admitted.refuse(&not_found(&head)).into();
    };
    if !route.takes(&head.method) {
        let is_web_socket = route == Route::Responses && head.headers.contains_key(UPGRADE);
        let error = if is_web_socket { ApiError::NoWebSocket } else { ApiError::MethodNotAllowed };
        return admitted.refuse(&error).into();
    }
    let offered = state.dispatcher.offered();
    match route {
        Route::Chat => return complete::<ChatAsk>(admitted, head, body).await,
        Route::Completions => return complete::<Completion>(admitted, head, body).await,
        Route::Messages => return complete::<MessagesAsk>(admitted, head, body).await,
        Route::Responses => return complete::<ResponsesAsk>(admitted, head, body).await,
        Route::Gemini(Action::Generate) => return complete::<GenerateAsk>(admitted, head, body).await,
        Route::Ollama(Ollama::Answer) => return complete::<OllamaAsk>(admitted, head, body).await,
        Route::Ollama(Ollama::Show) => return show_to_ollama(admitted, head, body).await,
        Route::CountMessageTokens => return count(admitted, head, body, anthropic::count_tokens).await,
        Route::CountResponseTokens => return count_response(admitted, head, body).await,
        Route::Gemini(Action::CountTokens) => return count(admitted, head, body, gemini::count_tokens).await,
        Route::StoredResponse(_) | Route::ResponseItems(_) | Route::CancelResponse(_) => {
            let shown = stored(admitted, &head, route).await;
            return shown.unwrap_or_else(|error| admitted.refuse(&error)).into();
        }
        Route::GeminiModels => Ok(json_response(gemini::list_models(offered))),
        Route::GeminiModel(id) => gemini::show_model(offered, &decoded(id)).map(json_response),
        Route::Ollama(Ollama::Tags) => Ok(json_response(ollama::list_models(offered))),
        Route::Ollama(Ollama::Version) => Ok(json_response(ollama::version())),
        Route::Ollama(Ollama::Running) => Ok(json_response(ollama::running())),
        Route::Ollama(Ollama::Embed) => Err(ApiError::NotOffered(ollama::NO_EMBEDDINGS)),
        Route::Ollama(Ollama::Manage) => Err(ApiError::NotOffered(ollama::NO_MANAGEMENT)),
        Route::Models if admitted.surface == Surface::Anthropic => {
            Ok(json_response(anthropic::list_models(offered)))
        }
        Route::Model(id) if admitted.surface == Surface::Anthropic => {
            anthropic::show_model(offered, &decoded(id)).map(json_response)
        }
        Route::Page("") if ollama::wants_greeting(&head.headers) => Ok(ollama_greeting()),
        Route::Page(name) => page::show(name, &head.headers).ok_or_else(|| not_found(&head)),
        Route::Health => Ok(health(state)),
        Route::Providers => Ok(providers(state)),
        Route::Metrics => metrics(state),
        Route::Models => Ok(json_response(openai::list_models(offered))),
        Route::Model(id) => openai::show_model(offered, &decoded(id)).map(json_response),
    }
    .map_or_else(|error| admitted.refuse(&error), |whole| whole.map(Body::from))
    .into()
}

impl Admitted<'_> {
    /// `error` in the dialect of the client.
    fn refuse(&self, error: &ApiError) -> Response {
        let clock = || self.state.dispatcher.quota().now().wall;
        let occasion = Occasion { request_id: self.id, clock: &clock };
        self.surface.error_response(error, occasion).map(Body::from)
    }
}

fn not_found(head: &Parts) -> ApiError {
    // It is logged, too, and must not look like more than one line there.
    let path = head.uri.path().chars().filter(char::is_ascii_graphic);
    let path: String = path.take(MAX_PATH_CHARS).collect();
    ApiError::NotFound { asked: format!("{} {path}", head.method), there_are: areas::all_paths() }
}

fn health(state: &AppState) -> Whole {
    let quota = state.dispatcher.quota();
    let health = Health::new(quota.counts(), quota.now().wall, state.started.elapsed());
    json_response(json::to_vec(&health))
}

fn providers(state: &AppState) -> Whole {
    let sharing = state.sharing.as_ref().map(|it| it.snapshot());
    json_response(json::to_vec(&status::report(state.dispatcher.quota(), sharing)))
}

fn metrics(state: &AppState) -> Result<Whole, ApiError> {
    let sharing = state.sharing.as_ref().map(|it| it.snapshot());
    let written = status::metrics(state.dispatcher.quota(), &state.requests, &state.open_streams, sharing);
    written.map(|text| whole(status::METRICS_TYPE, text.into_bytes())).map_err(|_| ApiError::Internal)
}

/// The id of a model as it is written in a path. One that is not UTF-8 names no model.
fn decoded(id: &str) -> Cow<'_, str> {
    percent_decode_str(id).decode_utf8().unwrap_or_default()
}

fn json_response(body: Vec<u8>) -> Whole {
    whole(media_type::JSON, body)
}

fn whole(content_type: &'static str, body: Vec<u8>) -> Whole {
    let mut response = Whole::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What clients of Ollama's look for where the page is: no cache may take one for the other.
fn ollama_greeting() -> Whole {
    let mut response = whole(media_type::TEXT, ollama::GREETING.into());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Answers a question about a response that is stored, here or with another instance. It may be large: what is sent has a
/// place among the concurrent requests and its memory until the client has read it.
async fn stored(admitted: &Admitted<'_>, head: &Parts, route: Route<'_>) -> Result<Response, ApiError> {
    let Admitted { state, area, .. } = admitted;
    let key = ingress::shown_key(*area, head);
    let memory = Memory { responses: &state.responses, key: key.as_deref() };
    if let Route::StoredResponse(id) | Route::ResponseItems(id) | Route::CancelResponse(id) = route {
        memory.responses.fetch(&[id.to_owned()], memory.responses.caller(memory.key)).await;
    }
    match route {
        Route::StoredResponse(id) if head.method == Method::DELETE => {
            responses::delete(&memory, id).map(|deleted| json_response(deleted).map(Body::from))
        }
        Route::StoredResponse(id) => {
            let shown = responses::show(&memory, id, head.uri.query())?;
            Ok(large(shown, reading::admit(state)?))
        }
        Route::ResponseItems(id) => {
            let items = responses::input_items(&memory, id, head.uri.query())?;
            let bytes = items.bytes();
            let held = reading::reserve(state, bytes).await?;
            let list = move || items.list().map(|list| (list, held));
            let (list, mut held) = reading::work_on(bytes, list).await?;
            held.memory.shrink(list.len());
            Ok(large(list, held))
        }
        Route::CancelResponse(id) => Err(responses::cancel(&memory, id)),
        _ => Err(not_found(head)),
    }
}

/// A large response of JSON.
fn large(bytes: impl AsRef<[u8]> + Send + 'static, held: reading::Held) -> Response {
    let mut response = Response::new(Body::Large(Large::new(bytes, held)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type::JSON));
    response
}

/// Answers a conversation in the dialect of `A`.
async fn complete<A: Ask>(admitted: &Admitted<'_>, head: Parts, body: Incoming) -> Reply {
    match try_complete::<A>(admitted, head, body).await {
        Ok(response) => Reply { response, is_body_read: true },
        Err(error) => admitted.refuse(&error).into(),
    }
}

async fn try_complete<A: Ask>(
    admitted: &Admitted<'_>,
    head: Parts,
    body: Incoming,
) -> Result<Response, ApiError> {
    let (body, held) = reading::read(admitted.state, &head, body).await?;
    let answered = answer::<A>(admitted, head, body, held).await;
    Ok(answered.unwrap_or_else(|error| admitted.refuse(&error)))
}

/// Answers how many tokens a request has, which `counted` says. It asks no provider.
async fn count(admitted: &Admitted<'_>, head: Parts, body: Incoming, counted: CountTokens) -> Reply {
    let state = admitted.state;
    let (body, held) = match reading::read(state, &head, body).await {
        Ok(read) => read,
        Err(error) => return admitted.refuse(&error).into(),
    };
    let counted = reading::parse(body, held, move |body| counted(&head, body)).await;
    let counted = counted.map(|(count, ..)| json_response(count).map(Body::from));
    Reply { response: counted.unwrap_or_else(|error| admitted.refuse(&error)), is_body_read: true }
}

/// Shows the model that the body names.
async fn show_to_ollama(admitted: &Admitted<'_>, head: Parts, body: Incoming) -> Reply {
    let (body, held) = match reading::read(admitted.state, &head, body).await {
        Ok(read) => read,
        Err(error) => return admitted.refuse(&error).into(),
    };
    let shown = reading::parse(body, held, ollama::model_in).await.and_then(|(name, ..)| {
        let shown = ollama::show_model(admitted.state.names(), &name)?;
        Ok(json_response(shown).map(Body::from))
    });
    Reply { response: shown.unwrap_or_else(|error| admitted.refuse(&error)), is_body_read: true }
}

/// The same for a response, which may go on from others.
async fn count_response(admitted: &Admitted<'_>, head: Parts, body: Incoming) -> Reply {
    let (body, held) = match reading::read(admitted.state, &head, body).await {
        Ok(read) => read,
        Err(error) => return admitted.refuse(&error).into(),
    };
    let ask = reading::understand::<ResponsesAsk>(admitted.state, admitted.area, head, body, held).await;
    let counted = ask.map(|(ask, _)| json_response(responses::count_tokens(&ask)).map(Body::from));
    Reply { response: counted.unwrap_or_else(|error| admitted.refuse(&error)), is_body_read: true }
}

async fn answer<A: Ask>(
    admitted: &Admitted<'_>,
    head: Parts,
    body: Vec<u8>,
    held: reading::Held,
) -> Result<Response, ApiError> {
    let state = admitted.state;
    let (mut ask, held) = reading::understand::<A>(state, admitted.area, head, body, held).await?;
    let reading::Held { memory, place: permit } = held;

    // Nobody else has the request yet.
    if let Some(request) = Arc::get_mut(ask.request()) {
        request.calls_mut().for_each(|earlier| state.signatures.recall(earlier));
    }

    let is_stream = ask.is_stream();
    let extent = match (is_stream, ask.request().wants_thoughts) {
        (true, true) => Extent::FirstThought,
        (true, false) => Extent::FirstContent,
        (false, _) => Extent::Whole,
    };
    let Choice { target, is_name_ignored } = ask.choice(state.names())?;
    if let Some((content_type, body)) = ask.at_once(&|| state.dispatcher.quota().now().wall) {
        return Ok(whole(content_type, body).map(Body::from));
    }
    let request_id = admitted.id.to_owned();
    let mut log = RequestLog::begin(&request_id, ask.request().messages().len(), is_stream);
    let request = ask.request().clone();
    let question = Question { request, target, extent, request_id: request_id.clone() };
    let answering = match find_answer(admitted, question).await {
        Ok(answering) => answering,
        Err(error) => {
            log.failed(error.status().as_u16(), &error.log_text());
            return Err(error);
        }
    };
    log.answers(answering.provider().name(), answering.model());

    let mut headers = answer_headers::<A>(&answering, ask.ignored(), is_name_ignored);
    let author = Author {
        provider: answering.provider(),
        model: answering.model().to_owned(),
        answer_id: if admitted.is_id_given { request_id::new() } else { request_id },
        created: state.dispatcher.quota().now().wall.as_second(),
    };
    let (connection, signatures) = (admitted.connection.clone(), state.signatures.clone());
    let held = Held { author: author.clone(), log, permit, memory, connection, signatures };
    let (content_type, body) = if is_stream {
        let encoder = ask.encoder(author);
        (encoder.content_type(), relay::body(answering, encoder, held, state.open_streams.open()))
    } else {
        let (content_type, body) = ask.encode_whole(relay::whole(answering, held).await, &author);
        (content_type, Body::from(body))
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    Ok(response)
}

async fn find_answer(admitted: &Admitted<'_>, question: Question) -> Result<Answering, ApiError> {
    let Admitted { state, connection, .. } = admitted;
    let ending = poll_fn(|_| if connection.must_end() { Poll::Ready(()) } else { Poll::Pending });
    tokio::select! {
        answering = state.dispatcher.answer(question) => Ok(answering?),
        () = ending => Err(ApiError::ShuttingDown),
    }
}

/// The headers of every answer. None of them comes from the provider.
fn answer_headers<A: Ask>(answering: &Answering, ignored: &[String], is_name_ignored: bool) -> HeaderMap {
    // Room for those that are added later, too: hyper keeps the map for the next request of the connection.
    let mut headers = HeaderMap::with_capacity(12);
    let mut say = |name: HeaderName, value: Bytes| {
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            headers.insert(name, value);
        }
    };
    say(X_PROVIDER, Bytes::from_static(answering.provider().name().as_bytes()));
    say(X_MODEL, Bytes::copy_from_slice(answering.model().as_bytes()));
    say(X_ATTEMPTS, answering.trail().to_string().into());
    say(X_ACCEL_BUFFERING, Bytes::from_static(b"no"));
    say(CACHE_CONTROL, Bytes::from_static(b"no-cache"));
    let left_out = answering.left_out().iter().filter_map(|feature| A::field(*feature));
    let name = is_name_ignored.then_some("model");
    let ignored: Vec<&str> =
        name.into_iter().chain(left_out).chain(ignored.iter().map(String::as_str)).collect();
    if !ignored.is_empty() {
        say(X_IGNORED_FIELDS, ignored.join(", ").into());
    }
    if let Some(most) = answering.cut_to() {
        headers.insert(X_MAX_TOKENS, HeaderValue::from(most));
    }
    headers
}
