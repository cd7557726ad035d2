//! The dashboard: what is going on, for people, without a click and without a script. It reads what the API reads and
//! changes nothing: what a person can do is shown as the command to type. (The one button, that of a pause, asks the API
//! as any program does, with the token that its user gives it.) Titles, findings, logs and artefacts are
//! written by strangers: the templates escape everything, and no page has a script or a style of its own that a stranger
//! could add to.

mod assets;
mod board;
mod change;
mod run;
mod task;
#[cfg(test)]
mod tests;
mod words;

use crate::http::{AppState, Problem};
use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use orch_engine::view::PauseView;
use serde::Deserialize;

/// Addresses of the dashboard.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(board::page))
        .route("/tasks/{id}", get(task::page))
        .route("/tasks/{id}/runs/{n}", get(run::page))
        .route("/assets/{name}", get(assets::serve))
        .route("/favicon.ico", get(assets::favicon))
}

/// `?fragment=1`: only what changes; `?diff=1`: with the text of a change, which needs the token.
#[derive(Deserialize)]
struct Wanted {
    fragment: Option<String>,
    diff: Option<String>,
}

/// A whole page around its live part.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'p> {
    title: &'p str,
    css: &'p str,
    js: &'p str,
    icon: &'p str,
    /// Address of the events that make this page look again; empty: none.
    events: &'p str,
    head: &'p Head,
    /// The live part; made by a template, so everything foreign in it is escaped.
    live: &'p str,
}

/// What stands above every page.
struct Head {
    version: &'static str,
    /// The server's clock, which is what "ago" is counted by.
    now: String,
    projects: String,
    draining: bool,
    /// What is paused, a line each.
    paused: Vec<String>,
    /// What the first button of the page does: `pause` or `resume`.
    act: &'static str,
    failing: Vec<(String, String)>,
}

impl Head {
    fn of(state: &AppState) -> Self {
        let keys: Vec<String> = state.engine.projects().keys().map(ToString::to_string).collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: orch_engine::view::rfc3339(state.engine.clock().now()),
            projects: keys.join(", "),
            draining: state.engine.is_draining(),
            paused: state.engine.paused().iter().map(PauseView::line).collect(),
            act: if state.engine.pauses().all.is_some() { "resume" } else { "pause" },
            failing: state.engine.failing_watchers(),
        }
    }
}

/// Renders a page, or its live part alone.
fn render(state: &AppState, wanted: &Wanted, title: &str, events: &str, live: &impl Template) -> Response {
    let page = live.render().and_then(|live| {
        if wanted.fragment.is_some() {
            return Ok(live);
        }
        let names = assets::names();
        let head = Head::of(state);
        Page { title, css: &names.css, js: &names.js, icon: &names.icon, events, head: &head, live: &live }.render()
    });
    match page {
        Ok(html) => Html(html).into_response(),
        Err(error) => Problem::from(orch_ports::Fault::bug(format!("render a page: {error}"))).into_response(),
    }
}

/// The page for a refusal.
#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'r> {
    code: u16,
    message: &'r str,
    hint: &'r str,
}

fn refused(state: &AppState, problem: &Problem) -> Response {
    let hint = problem.hint.as_deref().unwrap_or_default();
    let live = Refused { code: problem.status.as_u16(), message: &problem.message, hint };
    let mut response = render(state, &Wanted { fragment: None, diff: None }, "not here", "", &live);
    *response.status_mut() = problem.status;
    response
}

/// An address nobody knows: as JSON for programs, as a page for people.
pub(crate) async fn not_found(State(state): State<AppState>, uri: Uri) -> Response {
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address");
    if uri.path().starts_with("/api/") || uri.path().starts_with("/webhook/") {
        return problem.hint("the addresses are below /api/v1").into_response();
    }
    refused(&state, &problem)
}
