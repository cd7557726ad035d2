//! Tests that are known to fail by chance, over HTTP.

use super::world::World;
use axum::http::StatusCode;
use orch_core::ids::Time;
use orch_ports::clock::Clock as _;
use orch_store::Fact;
use serde_json::json;

#[tokio::test]
async fn tests_that_fail_by_chance_are_listed_and_forgotten() {
    let world = World::new().await;
    let path = "/api/v1/projects/demo/flaky";
    assert_eq!(world.get(path).await.json(), json!({ "project": "DEMO", "tests": [] }));
    let now = world.clock.now().0;
    let test = |last| json!({ "on_main": true, "item": "DEMO-1", "first": 0, "last": last, "times": 3 });
    // One that has not failed by chance for 61 days is none any more.
    let kept = json!({ "cart::total": test(now), "cart::old": test(now - 61 * 24 * 3_600_000) });
    world.engine.store().remember(&Fact::Flaky("DEMO".into()), &kept.to_string(), Time(now)).await.unwrap();
    let listed = world.get(path).await.json();
    assert_eq!(listed["tests"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!((&listed["tests"][0]["test"], &listed["tests"][0]["times"]), (&json!("cart::total"), &json!(3)));

    let forget = "/api/v1/projects/DEMO/flaky/forget";
    assert_eq!(world.post(forget, json!({})).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.post(forget, json!({ "test": "cart::none" })).await.status, StatusCode::NOT_FOUND);
    let answer = world.post(forget, json!({ "test": "cart::total" })).await.json();
    assert_eq!(answer, json!({ "project": "DEMO", "forgotten": "cart::total" }));
    assert_eq!(world.get(path).await.json()["tests"], json!([]));
}
