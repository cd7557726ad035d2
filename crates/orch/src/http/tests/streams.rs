//! Logs and events as they grow.

use super::world::World;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::StreamExt;
use orch_core::effect::{Effect, Outcome};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_log_is_read_by_offset_until_it_is_done() {
    let world = World::new().await;
    world.started("A").await;
    let job = world.work(|e| matches!(e, Effect::RunAgent { .. })).await.unwrap();
    assert_eq!(world.get("/api/v1/tasks/DEMO-1/runs/1/log").await.error().2, "DEMO-1 has no run 1");
    let dir = world.run(&job, "analyst", None).await;
    let path = "/api/v1/tasks/DEMO-1/runs/1/log";

    let none = world.get(path).await;
    assert_eq!((none.text().as_str(), none.header("x-log-next"), none.header("x-log-done")), ("", "0", "false"));
    std::fs::write(dir.join("stdout.log"), "zażółć\n").unwrap();
    let part = world.get(&format!("{path}?offset=2")).await;
    assert_eq!(part.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!((part.text().as_str(), part.header("x-log-next"), part.header("x-log-done")), ("żółć\n", "11", "false"));
    std::fs::write(dir.join("stderr.log"), "oops").unwrap();
    assert_eq!(world.get(&format!("{path}?stream=stderr")).await.text(), "oops");
    assert_eq!(world.get(&format!("{path}?stream=both")).await.error().2, "`stream` must be stdout or stderr");

    // The exit record is the supervisor's last act; the row follows later.
    std::fs::write(dir.join("exit.json"), "{}").unwrap();
    let end = world.get(&format!("{path}?offset=11")).await;
    assert_eq!((end.text().as_str(), end.header("x-log-next"), end.header("x-log-done")), ("", "11", "true"));
    assert_eq!(world.get(&format!("{path}?offset=4")).await.header("x-log-done"), "true");
    let past = world.get(&format!("{path}?offset=99")).await;
    assert_eq!((past.text().as_str(), past.header("x-log-done")), ("", "true"));
    for (n, status) in [("0", 404), ("2", 404), ("x", 400)] {
        assert_eq!(world.get(&format!("/api/v1/tasks/DEMO-1/runs/{n}/log")).await.error().0, status);
    }
    assert_eq!(world.get(&format!("{path}?offset=-1")).await.error().2, "`offset` must be a number of bytes");
}

#[tokio::test]
async fn a_log_comes_in_pieces_and_a_lost_run_still_ends() {
    let world = World::new().await;
    world.started("A").await;
    let job = world.work(|e| matches!(e, Effect::RunAgent { .. })).await.unwrap();
    let dir = world.run(&job, "analyst", None).await;
    std::fs::write(dir.join("stdout.log"), "x".repeat(300 * 1024)).unwrap();
    world
        .settle(&job, Outcome::AgentFinished { question: None, resolved: orch_core::conflict::Resolution::default() })
        .await;
    let path = "/api/v1/tasks/DEMO-1/runs/1/log";
    let first = world.get(path).await;
    assert_eq!(
        (first.body.len(), first.header("x-log-next"), first.header("x-log-done")),
        (262_144, "262144", "false")
    );
    let second = world.get(&format!("{path}?offset=262144")).await;
    assert_eq!((second.body.len(), second.header("x-log-done")), (300 * 1024 - 262_144, "true"));
}

#[tokio::test]
async fn a_log_that_is_a_link_is_not_followed() {
    let world = World::new().await;
    world.started("A").await;
    let job = world.work(|e| matches!(e, Effect::RunAgent { .. })).await.unwrap();
    let dir = world.run(&job, "analyst", None).await;
    std::fs::write(world.home.path().join("token"), "secret").unwrap();
    std::os::unix::fs::symlink(world.home.path().join("token"), dir.join("stdout.log")).unwrap();
    let seen = world.get("/api/v1/tasks/DEMO-1/runs/1/log").await;
    assert_eq!(seen.status, StatusCode::NOT_FOUND);
    assert!(!seen.text().contains("secret"));
    let page = world.get("/tasks/DEMO-1/runs/1").await;
    assert!(!page.text().contains("secret"));
}

/// The next lines of an event stream: `(id, event of the journal)`.
async fn lines(body: &mut axum::body::BodyDataStream, count: usize) -> Vec<(i64, String)> {
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        let piece = tokio::time::timeout(Duration::from_secs(10), body.next()).await.expect("nothing came in time");
        text.push_str(std::str::from_utf8(&piece.unwrap().unwrap()).unwrap());
    }
    let field = |block: &str, name: &str| {
        block.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned()).unwrap_or_default()
    };
    let events = text.split("\n\n").filter(|b| b.contains("event: journal"));
    events
        .map(|b| {
            let data: Value = serde_json::from_str(&field(b, "data:")).unwrap();
            (field(b, "id:").parse().unwrap(), data["event"].as_str().unwrap().to_owned())
        })
        .collect()
}

async fn follow(world: &World, query: &str, last: Option<&str>) -> axum::body::BodyDataStream {
    let mut request = Request::get(format!("/api/v1/events{query}")).header("host", "localhost");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body().into_data_stream()
}

#[tokio::test]
async fn whoever_lost_the_connection_goes_on_after_the_last_line() {
    let world = World::new().await;
    world.started("A").await;
    world.started("B").await;
    let mut all = follow(&world, "?after=0", None).await;
    let seen = lines(&mut all, 2).await;
    assert_eq!(seen.iter().map(|(_, e)| e.as_str()).collect::<Vec<_>>(), ["started", "started"]);
    // The browser's own header is newer than the address it was opened with.
    let mut rest = follow(&world, "?after=0", Some(&seen[0].0.to_string())).await;
    assert_eq!(lines(&mut rest, 1).await, seen[1..]);
    // Of one task only.
    let mut one = follow(&world, "?after=0&task=DEMO-2", None).await;
    assert_eq!(lines(&mut one, 1).await, seen[1..]);
}

#[tokio::test]
async fn a_follower_without_a_place_begins_now_and_hears_what_happens() {
    let world = World::new().await;
    for title in ["A", "B", "C", "D", "E"] {
        world.post("/api/v1/tasks", json!({ "project": "DEMO", "title": title })).await;
    }
    world.post("/api/v1/tasks/DEMO-1/cancel", json!({})).await;
    let mut live = follow(&world, "", None).await;
    let mut of_one = follow(&world, "?task=DEMO-3", None).await;
    for id in [2, 3] {
        let seen = world.post(&format!("/api/v1/tasks/DEMO-{id}/cancel"), Value::Null).await;
        assert_eq!(seen.status, StatusCode::BAD_REQUEST, "null is no object");
        world.post_with(&format!("/api/v1/tasks/DEMO-{id}/cancel"), String::new(), &[]).await;
    }
    let heard = lines(&mut live, 2).await;
    assert!(heard.iter().all(|(_, event)| event == "cancel_asked"), "{heard:?}");
    assert_eq!(lines(&mut of_one, 1).await, heard[1..2]);
}

#[tokio::test]
async fn there_is_a_limit_to_followers_and_those_who_leave_make_room() {
    let world = World::new().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(follow(&world, "", None).await);
    }
    assert_eq!(world.get("/api/v1/events").await.error().0, 503);
    open.pop();
    open.push(follow(&world, "", None).await);
}
