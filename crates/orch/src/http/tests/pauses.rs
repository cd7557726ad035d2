//! Stop means stop, over HTTP: who paused is said wherever people look, and what ends it.

use super::world::World;
use axum::http::StatusCode;
use serde_json::{Value, json};

async fn paused(world: &World, path: &str) -> Value {
    world.get(path).await.json()["paused"].clone()
}

#[tokio::test]
async fn who_paused_since_when_and_what_ends_it_is_said_wherever_people_look() {
    let world = World::new().await;
    world.started("First").await;
    let answer = world.post("/api/v1/pause", json!({})).await.json();
    assert_eq!(answer["agents"], json!({ "frozen": 0, "running": 0 }));
    let pause = &answer["paused"][0];
    assert_eq!(
        (&pause["project"], &pause["by"], &pause["ends"]),
        (&json!(null), &json!("local:anna"), &json!("orch resume"))
    );
    for path in ["/queue", "/status", "/health"] {
        assert_eq!(paused(&world, path).await, answer["paused"], "{path}");
    }
    assert_eq!(world.get("/health").await.json()["status"], "ok", "a pause is no trouble");
    let said = format!("paused by local:anna since {}", pause["since"].as_str().unwrap());
    for path in ["/api/v1/tasks/DEMO-1", "/api/v1/tasks/DEMO-1/why", "/", "/?fragment=1", "/tasks/DEMO-1"] {
        let page = world.get(path).await.text();
        assert!(page.contains(&said) && page.contains("orch resume"), "{path}: {page}");
    }
    // Who pauses again has not paused.
    let again = world.post_with("/api/v1/pause", "{}".into(), &[("x-orch-actor", "local:bert")]).await.json();
    assert_eq!(again["paused"], answer["paused"]);
    let over = world.post("/api/v1/resume", json!({})).await.json();
    assert_eq!(over, json!({ "draining": false, "paused": [] }));
    assert!(!world.get("/").await.text().contains("paused by"));
    assert_eq!(paused(&world, "/health").await, json!(null));
}

#[tokio::test]
async fn one_project_is_paused_by_its_key_and_nothing_else_ends_that() {
    let world = World::new().await;
    let pause = world.post("/api/v1/pause", json!({ "project": "demo" })).await.json();
    assert_eq!(
        (&pause["paused"][0]["project"], &pause["paused"][0]["ends"]),
        (&json!("DEMO"), &json!("orch resume --project DEMO"))
    );
    let still = world.post("/api/v1/resume", json!({})).await.json();
    assert_eq!(still["paused"], pause["paused"]);
    let over = world.post("/api/v1/resume", json!({ "project": "DEMO" })).await.json();
    assert_eq!(over["paused"], json!([]));

    for verb in ["pause", "resume"] {
        let unknown = world.post(&format!("/api/v1/{verb}"), json!({ "project": "SHOP" })).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{verb}");
        let slip = world.post(&format!("/api/v1/{verb}"), json!({ "projekt": "DEMO" })).await;
        assert_eq!(slip.status, StatusCode::BAD_REQUEST, "{verb}");
    }
    world.post("/api/v1/pause", json!({})).await;
    let (status, code, message) = world.post("/api/v1/resume", json!({ "project": "DEMO" })).await.error();
    assert_eq!((status, code.as_str()), (409, "refused"));
    assert!(message.contains("everything is paused"), "{message}");
}

#[tokio::test]
async fn the_first_button_of_every_page_stops_everything_or_goes_on() {
    let world = World::new().await;
    world.started("First").await;
    for (act, next) in [("pause", "/api/v1/pause"), ("resume", "/api/v1/resume"), ("pause", "/livez")] {
        for path in ["/", "/tasks/DEMO-1", "/nothing"] {
            let page = world.get(path).await.text();
            let (before, after) = page.split_once(&format!("<span id=\"halt\" data-act=\"{act}\">")).expect(path);
            assert!(!before.contains("<button") && after.starts_with(&format!("<code class=\"command\">orch {act}<")));
        }
        if next.starts_with("/api") {
            world.post(next, json!({})).await;
        }
    }
}
