//! A small server that answers as the API does, and keeps what it was asked.

use super::*;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use std::sync::{Arc, Mutex};

pub(super) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a request carried.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) what: String,
    pub(super) token: String,
    pub(super) actor: String,
    pub(super) body: Value,
}

pub(super) type Log = Arc<Mutex<Vec<Seen>>>;

/// A small server that answers as the API does; lives as long as the value.
pub(super) struct Server {
    pub(super) url: String,
    pub(super) seen: Log,
    _runtime: tokio::runtime::Runtime,
}

pub(super) fn note(log: &Log, what: String, headers: &HeaderMap, body: Value) {
    let header = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let seen = Seen { what, token: header("authorization"), actor: header("x-orch-actor"), body };
    log.lock().unwrap().push(seen);
}

fn task(id: &str) -> Value {
    let blocked = id == "DEMO-9";
    json!({
        "id": id, "project": "DEMO", "title": "Füge einen Health-Check hinzu 検査", "stage": "review",
        "phase": if blocked { "blocked" } else { "waiting" },
        "waiting": { "reason": if blocked { "blocked" } else { "CI" }, "since": 0, "until": null, "ends_when": "`build` reports" },
        "branch": "feature/x", "head": "abc", "pull_request": 3, "round": 1, "runs": [1, 2], "cost_usd": 0.5,
        "created_at": 0, "updated_at": 0, "done_at": null, "merge_commit": null,
    })
}

pub(super) fn refused(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": "x", "message": message, "hint": "do this" } }))).into_response()
}

async fn one_task(State(log): State<Log>, UrlPath(id): UrlPath<String>, headers: HeaderMap) -> Response {
    note(&log, format!("show {id}"), &headers, Value::Null);
    match id.as_str() {
        "DEMO-404" => refused(StatusCode::NOT_FOUND, "no task DEMO-404"),
        "DEMO-500" => refused(StatusCode::INTERNAL_SERVER_ERROR, "the store does not answer"),
        "DEMO-401" => StatusCode::UNAUTHORIZED.into_response(),
        _ => Json(task(&id)).into_response(),
    }
}

async fn act(
    State(log): State<Log>,
    UrlPath((id, verb)): UrlPath<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    note(&log, format!("{verb} {id}"), &headers, body);
    match id.as_str() {
        "DEMO-409" => refused(StatusCode::CONFLICT, "DEMO-409 waits for no approval"),
        _ => Json(task(&id)).into_response(),
    }
}

/// Two pieces, the cut in the middle of a character; the run ends at the third look.
async fn log_part(State(log): State<Log>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let text = "schön\nfertig\n".as_bytes();
    let offset: usize = query["offset"].parse().unwrap();
    let mut looks = log.lock().unwrap();
    looks.push(Seen { what: format!("log {offset}"), token: String::new(), actor: String::new(), body: Value::Null });
    let at_end = looks.iter().filter(|s| s.what == format!("log {}", text.len())).count();
    let end = if offset == 0 { 4 } else { text.len() };
    let headers = [("x-log-next", end.to_string()), ("x-log-done", (at_end > 1).to_string())];
    (headers, text[offset..end].to_vec()).into_response()
}

impl Server {
    pub(super) fn start() -> Self {
        let seen = Log::default();
        let new = |State(log): State<Log>, headers: HeaderMap, Json(body): Json<Value>| async move {
            note(&log, "new".into(), &headers, body);
            (StatusCode::CREATED, Json(task("DEMO-7")))
        };
        let list = |State(log): State<Log>, uri: axum::http::Uri, headers: HeaderMap| async move {
            note(&log, format!("list {}", uri.query().unwrap_or_default()), &headers, Value::Null);
            Json(json!({ "tasks": [task("DEMO-1"), task("DEMO-9")] }))
        };
        let why = |UrlPath(id): UrlPath<String>| async move {
            let mut waiting = task(&id)["waiting"].clone();
            waiting["command"] = json!(format!("orch logs {id}"));
            Json(json!({ "id": id, "waiting": waiting, "sentence": format!("{id} waits for CI.") }))
        };
        let evidence = || async {
            Json(json!({
                "gates": [{ "gate": "check_ci_green", "verdict": "fail", "findings": [{ "text": "red\nbuild" }] }],
                "not_checked": ["staging: nothing to deploy"],
            }))
        };
        let queue = || async {
            let circuit = json!({ "service": "agent:claude", "until": "2026-11-26T14:00:00Z", "why": "usage limit", "parked": 3 });
            Json(json!({
                "counts": { "queued": 2 }, "recent": [], "resilience": { "circuits": [circuit] },
                "unknown": [{ "id": "7-2", "kind": "teleport" }],
            }))
        };
        let pause = |body: String| async move {
            let running = if body.contains("SHOP") { 2 } else { 0 };
            Json(json!({ "paused": [], "agents": { "frozen": 1, "running": running } }))
        };
        let app = Router::new()
            .route("/health", get(|| async { Json(json!({ "status": "ok", "service": "orchestrator" })) }))
            .route("/queue", get(queue))
            .route("/api/v1/tasks", get(list).post(new))
            .route("/api/v1/tasks/{id}", get(one_task))
            .route("/api/v1/tasks/{id}/why", get(why))
            .route("/api/v1/tasks/{id}/evidence", get(evidence))
            .route("/api/v1/tasks/{id}/runs", get(|| async { Json(json!([{ "number": 1 }, { "number": 2 }])) }))
            .route("/api/v1/tasks/{id}/runs/{n}/log", get(log_part))
            .route("/api/v1/tasks/{id}/{verb}", post(act))
            .route("/api/v1/drain", post(|| async { Json(json!({ "draining": true })) }))
            .route("/api/v1/pause", post(pause))
            .route("/api/v1/resume", post(|| async { StatusCode::NO_CONTENT }))
            .merge(people::routes())
            .merge(pulls::routes())
            .with_state(seen.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, seen, _runtime: runtime }
    }

    /// Runs a command against it, in a directory without a configuration.
    pub(super) fn orch(&self, args: &[&str]) -> Said {
        let dir = tempfile::tempdir().unwrap();
        orch_in(dir.path(), &[("ORCH_URL", &self.url), ("ORCH_TOKEN", "sesame")], args)
    }

    pub(super) fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}
