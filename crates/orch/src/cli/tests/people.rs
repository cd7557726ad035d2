//! `orch people` as scripts and people see it.

use super::server::{Log, Server, note, refused};
use super::*;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};

fn people() -> Value {
    let roles = json!({ "DEMO": ["approver", "starter"], "SHOP": ["lander"] });
    json!({
        "people": [
            { "name": "anna", "names": ["local:anna", "gitea:Anna.B"], "roles": roles },
            { "name": "bob", "names": [], "roles": {} },
        ],
        "others": ["local:eve"],
    })
}

/// What the server answers of these.
pub(super) fn routes() -> Router<Log> {
    let forget = |State(log): State<Log>, headers: HeaderMap, Json(body): Json<Value>| async move {
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        note(&log, "forget".into(), &headers, body);
        match name.as_str() {
            "anna" => refused(StatusCode::CONFLICT, "anna is configured and cannot be forgotten: `anna` in [people]"),
            "ewe" => refused(StatusCode::NOT_FOUND, "nobody is called `ewe`"),
            _ => Json(json!({
                "called": "person-3", "before": name == "gone", "rows": { "journal": 2, "task": 1 }, "mentions": {},
                "documents": 0, "scrubbed": true, "stays": ["git: commits", "backups made before"],
            }))
            .into_response(),
        }
    };
    Router::new().route("/api/v1/people", get(|| async { Json(people()) })).route("/api/v1/people/forget", post(forget))
}

#[test]
fn people_are_listed_with_their_names_and_what_they_may_do_where() {
    let server = Server::start();
    let said = server.orch(&["people", "list"]);
    let expected = "PERSON  NAMES                     MAY\n\
                    anna    local:anna, gitea:Anna.B  DEMO: approver, starter; SHOP: lander\n\
                    bob                               \n\
                    not in the configuration, named in what orch keeps: local:eve\n";
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!((said.code, lines(&said.out)), (0, lines(expected)), "{}", said.out);
    let raw: Value = serde_json::from_str(&server.orch(&["people", "list", "--json"]).out).unwrap();
    assert_eq!(raw, people());
}

#[test]
fn nobody_is_forgotten_by_a_slip_of_the_hand() {
    let server = Server::start();
    let said = server.orch(&["people", "forget", "eve"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.contains("cannot be undone") && said.err.contains("--yes"), "{}", said.err);
    assert!(server.seen.lock().unwrap().iter().all(|s| s.what != "forget"), "nothing was asked of the server");

    let said = server.orch(&["people", "forget", "local:eve", "--yes"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(
        said.out,
        "local:eve is person-3 now: 3 rows changed\nwhat stays:\n  git: commits\n  backups made before\n"
    );
    assert_eq!(server.last().body, json!({ "name": "local:eve", "mentions": false }));
    let again = server.orch(&["people", "forget", "gone", "--yes", "--mentions"]);
    assert!(again.out.starts_with("gone was forgotten before and is person-3 now"), "{}", again.out);
    assert_eq!(server.last().body, json!({ "name": "gone", "mentions": true }));
    // A name that nobody has is a wrong command; one the configuration has is refused.
    let (unknown, kept) =
        (server.orch(&["people", "forget", "ewe", "--yes"]), server.orch(&["people", "forget", "anna", "--yes"]));
    assert_eq!((unknown.code, kept.code), (2, 1));
    assert!(kept.err.contains("`anna` in [people]"), "{}", kept.err);
}
