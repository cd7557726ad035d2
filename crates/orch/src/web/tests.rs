//! The dashboard as a browser gets it.

use crate::http::tests::world::{World, finding};
use axum::http::StatusCode;
use orch_core::effect::Effect;
use orch_core::ids::GateId;
use orch_core::verdict::Verdict;
use serde_json::json;

const HOSTILE: &str = r#"<script>alert(1)</script>"><img src=x onerror=alert(2)> 'quote'"#;

/// No tag, attribute or address of the hostile text has got into the page as markup.
fn harmless(page: &str) {
    for bad in ["<script>alert", "<img src=x", "<b>bold"] {
        assert!(!page.contains(bad), "{bad} in {page}");
    }
    let scripts: Vec<&str> = page.split("<script").skip(1).collect();
    assert!(scripts.len() <= 1 && scripts.iter().all(|s| s.starts_with(" src=\"/assets/orch-")), "{page}");
    assert!(!page.contains(" style=") && !page.contains("<style") && !page.contains(" onclick="), "{page}");
}

#[tokio::test]
async fn an_empty_board_says_how_to_begin() {
    let world = World::new().await;
    let page = world.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    assert!(page.text().contains("orch task new --project DEMO"), "{}", page.text());
    harmless(&page.text());
}

#[tokio::test]
async fn what_strangers_write_is_shown_and_never_obeyed() {
    let world = World::new().await;
    let body = json!({ "project": "DEMO", "title": HOSTILE, "body": "</pre><b>bold", "start": true });
    world.post("/api/v1/tasks", body).await;
    let job = world.work(|e| matches!(e, Effect::RunAgent { .. })).await.unwrap();
    let dir = world.run(&job, "<b>bold", None).await;
    std::fs::write(dir.join("stdout.log"), format!("\u{1b}[31m{HOSTILE}\u{1b}[0m </pre>\n")).unwrap();
    for path in ["/", "/?fragment=1", "/tasks/DEMO-1", "/tasks/DEMO-1?fragment=1", "/tasks/DEMO-1/runs/1"] {
        let page = world.get(path).await;
        assert_eq!(page.status, StatusCode::OK);
        harmless(&page.text());
        assert!(page.text().contains("alert(1)"), "{path} shows the text");
        assert!(!page.text().contains('\u{1b}'), "{path}");
    }
    harmless(&world.get("/tasks/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await.text());
    harmless(&world.get("/%3Cscript%3Ealert(1)").await.text());
}

#[tokio::test]
async fn the_board_has_a_card_in_the_column_of_its_stage_and_calls_for_people() {
    let world = World::new().await;
    world.started("First").await;
    world.work(|_| false).await;
    world.pass(720_000);
    let page = world.get("/").await.text();
    let columns: Vec<&str> = page.split("class=\"column").skip(2).collect();
    let names =
        ["created", "analysis", "architecture", "development", "review", "testing", "deploy-staging", "deploy", "done"];
    assert_eq!(columns.len(), names.len());
    for (column, name) in columns.iter().zip(names) {
        assert!(column.contains(&format!("<h2>{name}")), "{name}: {column}");
        assert_eq!(column.contains("DEMO-1"), name == "analysis", "{name}");
    }
    assert!(page.contains("Waiting for a person"));
    assert!(page.contains("<code class=\"command\" data-copy>orch approve DEMO-1</code>"));
    assert!(page.contains("needs approval"));
    assert!(page.contains("12 min ago"), "{page}");
    assert!(page.contains("data-events=\"/api/v1/events?after="));
}

#[tokio::test]
async fn a_fragment_is_what_changes_and_nothing_else() {
    let world = World::new().await;
    world.started("First").await;
    for path in ["/", "/tasks/DEMO-1"] {
        let whole = world.get(path).await.text();
        let fragment = world.get(&format!("{path}?fragment=1")).await.text();
        assert!(whole.contains(&fragment), "{path}");
        assert!(!fragment.contains("<html") && !fragment.contains("<main"), "{path}");
    }
}

#[tokio::test]
async fn a_tasks_page_tells_what_it_waits_for_and_how_it_was_judged() {
    let world = World::new().await;
    world.started("First").await;
    world.work(|_| false).await;
    let page = world.get("/tasks/DEMO-1").await.text();
    for text in [
        "data-say>waiting for a person to approve the analysis (3fa9c1d27be0)",
        "an approver approves or rejects the analysis",
        "orch approve DEMO-1",
        "check_analysis_complete",
        "Not reached yet: <span class=\"mono\">check_architecture_done</span>",
        "stage 2 of 9",
        "aria-current=\"step\"",
        "01-brd.md",
        "/tasks/DEMO-1/runs/1",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    world.post("/api/v1/tasks/DEMO-1/approve", json!({})).await;
    let job = world.work(|e| matches!(e, Effect::Judge { gate: GateId::ReviewerVerdict, .. })).await.unwrap();
    let outcome = world.judge(&job, Verdict::Fail { findings: vec![finding("No <limit> on the size")] }).await;
    world.settle(&job, outcome).await;
    let page = world.get("/tasks/DEMO-1").await.text();
    assert!(page.contains("src/limits.rs:42"), "{page}");
    assert!(page.contains("No &#60;limit&#62; on the size"), "{page}");
    world.work(|_| false).await;
    let page = world.get("/tasks/DEMO-1").await.text();
    for text in [
        "done, healthy",
        "not checked",
        "switched off by ORCH_SECURITY_GATE_ENABLED",
        "1 earlier",
        "came up",
        "local:anna",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    let board = world.get("/").await.text();
    assert!(board.contains("Closed lately") && board.contains("done, healthy"));
}

#[tokio::test]
async fn assets_keep_for_ever_under_the_name_of_their_content() {
    let world = World::new().await;
    let page = world.get("/").await.text();
    for (start, kind) in [
        ("href=\"/assets/orch-", "text/css"),
        ("src=\"/assets/orch-", "text/javascript"),
        ("href=\"/assets/mark-", "image/svg+xml"),
    ] {
        let at = page.find(start).unwrap() + start.find('/').unwrap();
        let path = &page[at..at + page[at..].find('"').unwrap()];
        let asset = world.get(path).await;
        assert_eq!(asset.status, StatusCode::OK);
        assert!(asset.header("content-type").starts_with(kind), "{path}");
        assert!(asset.header("cache-control").contains("immutable"));
    }
    assert_eq!(world.get("/assets/orch-000000000000.js").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/favicon.ico").await.header("content-type"), "image/svg+xml");
}

#[tokio::test]
async fn what_is_not_there_is_a_page_for_people_and_json_for_programs() {
    let world = World::new().await;
    world.started("First").await;
    let page = world.get("/tasks/DEMI-1").await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::NOT_FOUND, "text/html; charset=utf-8"));
    assert!(page.text().contains("did you mean DEMO-1?"));
    assert_eq!(world.get("/nothing").await.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(world.get("/api/v1/nothing").await.error().0, 404);
    assert_eq!(world.get("/tasks/DEMO-1/runs/9").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_run_page_follows_from_where_its_text_ends() {
    let world = World::new().await;
    world.started("First").await;
    let job = world.work(|e| matches!(e, Effect::RunAgent { .. })).await.unwrap();
    let dir = world.run(&job, "analyst", None).await;
    std::fs::write(dir.join("stdout.log"), b"one\ntwo \xc5").unwrap();
    let page = world.get("/tasks/DEMO-1/runs/1").await.text();
    assert!(page.contains("data-next=\"8\" data-done=\"false\""), "{page}");
    assert!(page.contains(">one\ntwo </pre>"), "{page}");
    assert!(page.contains("data-log=\"/api/v1/tasks/DEMO-1/runs/1/log\""));
}

#[tokio::test]
async fn a_long_column_shows_its_newest_cards_and_how_many_more_there_are() {
    let world = World::new().await;
    for n in 0..52 {
        world.started(&format!("Task {n}")).await;
    }
    let page = world.get("/").await.text();
    assert_eq!(page.matches("class=\"card tone-").count(), 50);
    assert!(page.contains("<span class=\"count\">52</span>") && page.contains("and 2 older"), "{page}");
    assert!(page.contains("/tasks/DEMO-52") && !page.contains("\"/tasks/DEMO-1\""), "the newest are shown");
}
