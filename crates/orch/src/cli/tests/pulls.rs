//! `orch diff` and `orch pr` as scripts and people see them.

use super::server::{Log, Server, note, refused};
use super::*;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

const SLY: &str = "+if admin\u{202e} // \u{1b}]0;title\u{7}\r";

fn change() -> Value {
    let file = |path: &str, how: &str, kind: &str, lines: Option<(u64, u64)>| {
        json!({
            "path": path, "how": how, "kind": kind, "binary": lines.is_none(),
            "added": lines.map(|l| l.0), "removed": lines.map(|l| l.1),
        })
    };
    let text = format!(
        "diff --git a/app.txt b/app.txt\nindex 1..2 100644\n--- a/app.txt\n+++ b/app.txt\n@@ -1,2 +1,2 @@\n größe\n--- two\n{SLY}\n"
    );
    json!({
        "task": "DEMO-1", "from": "a".repeat(40), "to": "b".repeat(40), "merged": false,
        "files": [
            file("app.txt", "modified", "file", Some((1, 1))),
            file("logo.bin", "added", "file", None),
            file("two\nlines\u{200b}", "added", "link", Some((1, 0))),
        ],
        "files_total": 3, "added": 2, "removed": 1, "text": text,
        "truncated": { "files": false, "text": false, "long_files": 0, "lines": 0, "counts": false },
    })
}

fn pull(number: u64, task: Option<&str>) -> Value {
    json!({
        "number": number, "title": "Fix \u{202e}the\nfooter", "branch": "fix", "head": "c".repeat(40), "into": "trunk",
        "state": "open", "author": "Eve", "task": task, "url": "file:///srv/demo.git#7",
    })
}

/// What the server answers of these.
pub(super) fn routes() -> Router<Log> {
    let diff = |State(log): State<Log>, UrlPath(id): UrlPath<String>, uri: Uri, headers: HeaderMap| async move {
        note(&log, format!("diff {id} {}", uri.query().unwrap_or_default()), &headers, Value::Null);
        let mut change = change();
        match id.as_str() {
            "DEMO-2" => return refused(StatusCode::CONFLICT, "DEMO-2 has no branch yet: nothing is changed"),
            "DEMO-4" => change["truncated"]["long_files"] = json!(1),
            "DEMO-3" => {
                change["merged"] = json!(true);
                change["files_total"] = json!(5_000);
                change["truncated"] =
                    json!({ "files": true, "text": true, "long_files": 1, "lines": 2, "counts": false });
            }
            _ => {}
        }
        Json(change).into_response()
    };
    let pull_diff = |UrlPath((_, n)): UrlPath<(String, u64)>| async move {
        let mut change = change();
        change["pull"] = pull(n, None);
        Json(change)
    };
    let list = |UrlPath(key): UrlPath<String>| async move {
        let pulls = if key == "EMPTY" { json!([]) } else { json!([pull(8, None), pull(7, Some("DEMO-1"))]) };
        Json(json!({ "project": key, "pulls": pulls, "truncated": false }))
    };
    let open = |State(log): State<Log>, headers: HeaderMap, Json(body): Json<Value>| async move {
        let existed = body["branch"] == "again";
        let trunk = body["branch"] == "trunk";
        note(&log, "open".into(), &headers, body);
        if trunk {
            return refused(StatusCode::CONFLICT, "`trunk` is the default branch of DEMO");
        }
        Json(json!({ "project": "DEMO", "existed": existed, "pull": pull(8, None) })).into_response()
    };
    let projects = |State(log): State<Log>| async move {
        let several = log.lock().unwrap().iter().any(|s| s.what == "diff DEMO-1 ");
        let keys: &[&str] = if several { &["DEMO", "SHOP"] } else { &["DEMO"] };
        let all: Vec<Value> = keys.iter().map(|key| json!({ "key": key })).collect();
        let answer: Response = Json(json!({ "projects": all })).into_response();
        answer
    };
    Router::new()
        .route("/api/v1/tasks/{id}/diff", get(diff))
        .route("/api/v1/projects", get(projects))
        .route("/api/v1/projects/{key}/pulls", get(list).post(open))
        .route("/api/v1/projects/{key}/pulls/{n}/diff", get(pull_diff))
}

#[test]
fn a_change_is_printed_so_that_nothing_in_it_hides_turns_or_moves_the_cursor() {
    let server = Server::start();
    let said = server.orch(&["diff", "DEMO-1"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let expected = "DEMO-1: 3 files, +2 -1, aaaaaaaaaa..bbbbbbbbbb (not merged)\n\ndiff --git a/app.txt b/app.txt\n\
                    index 1..2 100644\n--- a/app.txt\n+++ b/app.txt\n@@ -1,2 +1,2 @@\n größe\n--- two\n\
                    +if admin\\u{202e} // \\u{1b}]0;title\\u{7}\\r\n";
    assert_eq!(said.out, expected);
    assert_eq!((server.last().what.as_str(), server.last().token.as_str()), ("diff DEMO-1 ", "Bearer sesame"));
    let raw: Value = serde_json::from_str(&server.orch(&["diff", "DEMO-1", "--json"]).out).unwrap();
    assert_eq!(raw, change(), "programs get what is there");
}

#[test]
fn the_files_alone_are_a_table_and_what_is_missing_is_said() {
    let server = Server::start();
    let said = server.orch(&["diff", "DEMO-1", "--stat"]);
    let expected = "DEMO-1: 3 files, +2 -1, aaaaaaaaaa..bbbbbbbbbb (not merged)\nLINES   HOW         FILE\n\
                    +1 -1   modified    app.txt\nbinary  added       logo.bin\n\
                    +1 -0   link added  two\\nlines\\u{200b}\n";
    assert_eq!((said.code, said.out.as_str()), (0, expected));
    assert_eq!(server.last().what, "diff DEMO-1 stat=true");
    let cut = server.orch(&["diff", "DEMO-3"]).out;
    assert!(cut.starts_with("DEMO-1: 5000 files, at least +2 -1, aaaaaaaaaa..bbbbbbbbbb (merged)\n"), "{cut}");
    let rest = format!("and a clone shows the rest: git diff {} {}\n", "a".repeat(40), "b".repeat(40));
    assert!(cut.contains("\n… cut here: ") && cut.ends_with(&rest), "{cut}");
    assert!(server.orch(&["diff", "DEMO-3", "--stat"]).out.ends_with("… the first 3 of 5000 files are listed\n"));
    let left_out = server.orch(&["diff", "DEMO-4"]).out;
    assert!(left_out.contains("\n… lines were left out where it says so; a clone shows them: git diff "), "{left_out}");
    let none = server.orch(&["diff", "DEMO-2"]);
    assert_eq!((none.code, none.out.as_str()), (1, ""));
    assert!(none.err.contains("DEMO-2 has no branch yet"), "{}", none.err);
}

#[test]
fn the_only_project_needs_no_name_and_of_several_one_must_be_named() {
    let server = Server::start();
    let listed = server.orch(&["pr", "list"]);
    let expected = "PR  TASK    HEAD        AUTHOR  BRANCH  TITLE\n\
                    #8  -       cccccccccc  Eve     fix     Fix \\u{202e}the\\nfooter\n\
                    #7  DEMO-1  cccccccccc  Eve     fix     Fix \\u{202e}the\\nfooter\n";
    assert_eq!((listed.code, listed.out.as_str()), (0, expected));
    let raw: Value = serde_json::from_str(&server.orch(&["pr", "list", "--json"]).out).unwrap();
    assert_eq!(raw["pulls"], json!([pull(8, None), pull(7, Some("DEMO-1"))]));
    let empty = server.orch(&["pr", "list", "--project", "EMPTY"]);
    assert_eq!((empty.code, empty.out.as_str(), empty.err.as_str()), (0, "", "no open pull request in EMPTY\n"));
    let shown = server.orch(&["pr", "diff", "8", "--stat"]).out;
    assert!(shown.starts_with("#8 Fix \\u{202e}the\\nfooter: 3 files, +2 -1, "), "{shown}");
    let raw: Value = serde_json::from_str(&server.orch(&["pr", "diff", "8", "--json"]).out).unwrap();
    assert_eq!(raw["pull"], pull(8, None));
    server.orch(&["diff", "DEMO-1"]);
    let which = server.orch(&["pr", "list"]);
    assert_eq!((which.code, which.out.as_str()), (2, ""));
    assert!(which.err.contains("which project?") && which.err.contains("--project DEMO|SHOP"), "{}", which.err);
    assert_eq!(server.orch(&["pr", "list", "--project", "SHOP"]).code, 0);
}

#[test]
fn a_pull_request_is_opened_and_one_that_was_open_is_said_to_be() {
    let server = Server::start();
    let opened = server.orch(&["pr", "open", "fix", "--title", "Fix the footer", "--body", "Why."]);
    let expected = "#8 is open: `fix` into `trunk`, Fix \\u{202e}the\\nfooter\n  file:///srv/demo.git#7\n  \
                    see what it changes: orch pr diff 8\n";
    assert_eq!((opened.code, opened.out.as_str()), (0, expected));
    assert_eq!(server.last().body, json!({ "branch": "fix", "title": "Fix the footer", "body": "Why." }));
    let again = server.orch(&["pr", "open", "again"]);
    assert!(again.out.starts_with("#8 was open already: `fix` into `trunk`"), "{}", again.out);
    assert_eq!(server.last().body, json!({ "branch": "again" }));
    let raw: Value = serde_json::from_str(&server.orch(&["pr", "open", "again", "--json"]).out).unwrap();
    assert_eq!((&raw["existed"], &raw["pull"]["number"]), (&json!(true), &json!(8)));
    let refused = server.orch(&["pr", "open", "trunk"]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(refused.err.contains("`trunk` is the default branch"), "{}", refused.err);
    assert_eq!(server.orch(&["pr", "open", "fix", "--title", " "]).code, 2);
}

#[test]
fn who_approves_is_shown_the_way_to_what_is_approved() {
    let mut command = Cli::command();
    for name in ["approve", "reject"] {
        let help = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
        assert!(help.contains("See what it changes: orch diff DEMO-1"), "{help}");
    }
}
