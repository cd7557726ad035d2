//! What the daemon says and takes over HTTP. Decides who is let in and in which words a refusal is put; what a request
//! means for a task the engine decides. Every request passes the same guard before any handler sees it, so that a new
//! route cannot forget to ask for the token.

mod acts;
mod arrange;
mod body;
mod cost;
mod events;
pub(crate) mod guard;
mod health;
mod inbound;
mod land;
pub(crate) mod logs;
mod metrics;
mod outlet;
mod people;
mod problem;
pub(crate) mod pulls;
mod queue;
pub(crate) mod tasks;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod views;

pub use problem::Problem;

use crate::reload::Reload;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use guard::TokenDigest;
use orch_core::ids::Time;
use orch_engine::Engine;
use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

/// Largest body of a request, bytes.
const BODY_MAX: usize = 2 * 1024 * 1024;
/// Most event streams at the same time; each reads the journal.
const STREAMS_MAX: usize = 64;

/// Takes away the pause of a project, or of everything, that was left without a daemon.
type Left = dyn Fn(Option<&str>) + Send + Sync;

/// What the handlers work with.
#[derive(Clone)]
pub struct AppState {
    /// The engine.
    pub(crate) engine: Arc<Engine>,
    /// What a token is compared with; the token itself is not kept.
    pub(crate) token: TokenDigest,
    /// When the daemon started.
    pub(crate) started: Time,
    /// Its database.
    pub(crate) db_path: PathBuf,
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Places for event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// The configuration in force; `None` where there is no file to read again.
    pub(crate) reload: Option<Arc<Reload>>,
    /// Takes away what somebody left who paused, and found no daemon.
    pub(crate) left: Arc<Left>,
    /// Requests that brought no key of their own.
    keyless: Arc<AtomicU64>,
}

impl AppState {
    /// For an engine; `token` opens everything that changes state, `listen` is where the server is reached.
    pub fn new(engine: Arc<Engine>, token: String, db_path: PathBuf, listen: SocketAddr) -> Self {
        let started = engine.clock().now();
        Self {
            engine,
            token: TokenDigest::of(&token),
            started,
            db_path,
            listen,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            reload: None,
            left: Arc::new(|_| {}),
            keyless: Arc::default(),
        }
    }

    /// With what takes away a pause that was left without a daemon: of a project, or of everything.
    #[must_use]
    pub fn with_left(self, left: impl Fn(Option<&str>) + Send + Sync + 'static) -> Self {
        Self { left: Arc::new(left), ..self }
    }

    /// With a configuration that can be read again.
    #[must_use]
    pub fn with_reload(self, reload: Arc<Reload>) -> Self {
        Self { reload: Some(reload), ..self }
    }

    /// A key no other request has: which process, which request of it.
    pub(crate) fn fresh_key(&self) -> String {
        format!("http:{}:{}", self.engine.options().worker, self.keyless.fetch_add(1, Ordering::Relaxed))
    }
}

/// The whole server: API, dashboard, guard and headers.
pub fn router(state: AppState) -> Router {
    // What shows source code needs the token although it changes nothing.
    let source = Router::new()
        .route("/tasks/{id}/diff", get(pulls::task_diff))
        .route("/projects/{key}/pulls/{n}/diff", get(pulls::diff))
        .route_layer(from_fn_with_state(state.clone(), guard::token_needed));
    let api = Router::new()
        .merge(source)
        .route("/projects/{key}/pulls", get(pulls::list).post(pulls::open))
        .route("/tasks", get(tasks::list).post(tasks::create))
        .route("/tasks/{id}", get(tasks::show))
        .route("/tasks/{id}/why", get(tasks::why))
        .route("/tasks/{id}/evidence", get(tasks::evidence))
        .route("/tasks/{id}/runs", get(tasks::runs))
        .route("/tasks/{id}/journal", get(tasks::journal))
        .route("/tasks/{id}/runs/{n}/log", get(logs::log))
        .route("/tasks/{id}/start", post(acts::start))
        .route("/tasks/{id}/cancel", post(acts::cancel))
        .route("/tasks/{id}/retry", post(acts::retry))
        .route("/tasks/{id}/approve", post(acts::approve))
        .route("/tasks/{id}/reject", post(acts::reject))
        .route("/tasks/{id}/answer", post(acts::answer))
        .route("/tasks/{id}/comment", post(acts::comment))
        .route("/tasks/{id}/priority", post(acts::priority))
        .route("/tasks/{id}/hold", post(arrange::hold))
        .route("/tasks/{id}/release", post(arrange::release))
        .route("/tasks/{id}/files", get(arrange::files))
        .route(
            "/tasks/{id}/files/{name}",
            post(arrange::attach).layer(DefaultBodyLimit::max(orch_ports::attachment::FILE_MOST as usize)),
        )
        .route("/tasks/{id}/edit", post(arrange::edit))
        .route("/tasks/{id}/after", post(arrange::after))
        .route("/tasks/{id}/finish", post(arrange::finish))
        .route("/tasks/{id}/revert", post(arrange::revert))
        .route("/journal", get(tasks::whole_journal))
        .route("/events", get(events::events))
        .route("/projects", get(queue::projects))
        .route("/projects/{key}/main", get(queue::main_of))
        .route("/projects/{key}/flaky", get(queue::flaky))
        .route("/projects/{key}/flaky/forget", post(queue::forget_flaky))
        .route("/projects/{key}/flaky/quarantine", post(queue::quarantine_test))
        .route("/projects/{key}/flaky/release", post(queue::release_test))
        .route("/projects/{key}/land", post(land::land))
        .route("/cost", get(cost::cost))
        .route("/people", get(people::list))
        .route("/people/forget", post(people::forget))
        .route("/gates", get(queue::gates))
        .route("/drain", post(queue::drain))
        .route("/pause", post(queue::pause))
        .route("/resume", post(queue::resume))
        .route("/reload", post(queue::reload));
    let app = Router::new()
        .nest("/api/v1", api)
        .route("/health", get(health::health))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/status", get(queue::status))
        .route("/metrics", get(metrics::metrics))
        .merge(inbound::routes())
        .route("/queue", get(queue::queue))
        .merge(crate::web::routes())
        .fallback(crate::web::not_found)
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take that method")
        });
    around(app, state)
}

/// What every request and every answer passes, whatever the route.
fn around(app: Router<AppState>, state: AppState) -> Router {
    app.layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(state.clone(), guard::guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(outlet::readable))
        .layer(map_response(secure))
        .with_state(state)
}

/// A handler broke down: the request fails, the daemon goes on.
fn panicked(what: Box<dyn Any + Send + 'static>) -> Response {
    let text = what
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| what.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(panic = text, "a request handler broke down");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", "orch made a mistake while answering; its log says which")
        .into_response()
}

/// Headers of every answer: nothing foreign is ever loaded, framed, guessed or told where the reader came from.
async fn secure(mut response: Response) -> Response {
    const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                       connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let set: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
