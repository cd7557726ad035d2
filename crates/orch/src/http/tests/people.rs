//! Who there is, and forgetting somebody over the API.

use super::world::{TOKEN, World};
use axum::http::StatusCode;
use orch_store::SqliteStore;
use orch_store::sqlite::OpenOptions;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

async fn as_person(world: &World, who: &str, path: &str, body: serde_json::Value) -> StatusCode {
    world.post_with(path, body.to_string(), &[("x-orch-actor", who)]).await.status
}

async fn forget(world: &World, name: &str) -> super::world::Seen {
    world.post("/api/v1/people/forget", json!({ "name": name })).await
}

async fn world_at(path: &Path) -> World {
    let store = SqliteStore::open(path, OpenOptions { holder: "a test".into(), ..OpenOptions::default() }).unwrap();
    let world = World::with_store(Arc::new(store)).await;
    world.engine.know_people().await.unwrap();
    world
}

#[tokio::test]
async fn the_people_of_the_configuration_are_listed_and_who_else_is_named() {
    let world = World::new().await;
    world.started("Add a limit").await;
    as_person(&world, "gitea:eve", "/api/v1/tasks/DEMO-1/cancel", json!({})).await;
    as_person(&world, "orch", "/api/v1/tasks/DEMO-1/cancel", json!({})).await;
    let seen = world.get("/api/v1/people").await.json();
    let roles = json!({ "DEMO": ["approver", "starter"] });
    assert_eq!(seen["people"], json!([{ "name": "local:anna", "names": ["local:anna"], "roles": roles }]));
    assert_eq!(seen["others"], json!(["gitea:eve"]));
}

#[tokio::test]
async fn who_is_configured_or_not_known_cannot_be_forgotten_and_is_told_why() {
    let world = World::new().await;
    world.started("Add a limit").await;
    for name in ["local:anna", "anna"] {
        let seen = forget(&world, name).await;
        let (status, code, message) = seen.error();
        assert_eq!((status, code.as_str()), (409, "refused"), "{message}");
        assert!(
            message.ends_with(
                "`local:anna` in `approvers` of [[project]] DEMO, `local:anna` in `starters` of [[project]] DEMO"
            ),
            "{message}"
        );
        assert!(seen.json()["error"]["hint"].as_str().unwrap().contains("orch reload"));
    }
    as_person(&world, "gitea:eve", "/api/v1/tasks/DEMO-1/cancel", json!({})).await;
    for (name, near) in
        [("gitea:ewe", Some("gitea:eve")), ("Eve", Some("eve")), ("zzzzzzzzz", None), ("unknown", None), ("orch", None)]
    {
        let seen = forget(&world, name).await;
        assert_eq!(seen.status, StatusCode::NOT_FOUND, "{name}: {}", seen.text());
        if let Some(near) = near {
            assert_eq!(seen.json()["error"]["hint"], format!("did you mean `{near}`?"));
        }
    }
    for (body, field) in [
        ("{}", "`name` is missing"),
        (r#"{"name":" "}"#, "`name` is empty"),
        (r#"{"name":"a","mentions":1}"#, "`mentions`"),
    ] {
        let seen = world.post_with("/api/v1/people/forget", body.into(), &[]).await;
        assert!(seen.error().2.starts_with(field), "{}", seen.text());
    }
    let stranger =
        axum::http::Request::post("/api/v1/people/forget").header("host", "localhost").body("{}".into()).unwrap();
    assert_eq!(world.see(stranger).await.status, StatusCode::UNAUTHORIZED, "{TOKEN} is needed");
}

#[tokio::test]
async fn who_was_forgotten_is_a_number_in_everything_that_is_shown_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orch.db");
    let world = world_at(&path).await;
    world.started("Add a limit").await;
    as_person(&world, "gitea:Eve", "/api/v1/tasks/DEMO-1/cancel", json!({})).await;
    assert_eq!(as_person(&world, "gitea:eve", "/api/v1/pause", json!({ "project": "DEMO" })).await, StatusCode::OK);
    let done = forget(&world, "gitea:eve").await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
    let done = done.json();
    assert_eq!((done["before"].clone(), done["scrubbed"].clone()), (json!(false), json!(true)), "{done}");
    let called = done["called"].as_str().unwrap().to_owned();
    assert!(done["stays"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().starts_with("git: ")));
    for path in [
        "/api/v1/journal",
        "/api/v1/tasks/DEMO-1/journal",
        "/queue",
        "/status",
        "/api/v1/people",
        "/api/v1/tasks/DEMO-1/evidence",
    ] {
        let text = world.get(path).await.text();
        assert!(!text.to_lowercase().contains("eve\""), "{path}: {text}");
    }
    assert!(world.get("/queue").await.text().contains(&called), "who paused is a number, in this process, too");
    // The pause is written down anew by who has nothing to do with it: the name does not come back.
    world.post("/api/v1/pause", json!({})).await;
    drop(world);

    let world = world_at(&path).await;
    let again = forget(&world, "gitea:EVE").await.json();
    assert_eq!((again["called"].as_str(), again["before"].clone()), (Some(&*called), json!(true)));
    assert_eq!(again["rows"], json!({}));
    // What the person does now is written down under the number.
    as_person(&world, "gitea:eve", "/api/v1/tasks/DEMO-1/cancel", json!({})).await;
    let journal = world.get("/api/v1/tasks/DEMO-1/journal").await.text();
    assert!(!journal.to_lowercase().contains("gitea:eve"), "{journal}");
    assert!(journal.contains(&format!("{called} may not cancel tasks of this project")), "{journal}");
    let exported = world.get("/api/v1/journal").await.text();
    assert!(exported.contains(&called) && !exported.contains("local:anna"), "{exported}");
}
