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
    assert_eq!(world.get(path).await.json(), json!({ "project": "DEMO", "tests": [], "quarantine": [] }));
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

#[tokio::test]
async fn a_person_puts_a_test_into_quarantine_until_a_day_and_releases_it() {
    let world = World::new().await;
    let (put, release) = ("/api/v1/projects/demo/flaky/quarantine", "/api/v1/projects/demo/flaky/release");
    let asked = |test: &str, until: &str| json!({ "test": test, "until": until, "because": "repaired in DEMO-12" });
    let soon = orch_engine::view::rfc3339(world.clock.now().plus_ms(5 * 24 * 3_600_000));
    let day = &soon[..10];
    for nonsense in ["", "soon", "2026-02-30", "1999-01-01", "2999-01-01"] {
        assert_eq!(world.post(put, asked("cart::total", nonsense)).await.status, StatusCode::BAD_REQUEST, "{nonsense}");
    }
    for test in ["", " ", "two\nlines"] {
        assert_eq!(world.post(put, asked(test, day)).await.status, StatusCode::BAD_REQUEST, "{test:?}");
    }
    assert_eq!(world.post(put, json!({ "test": "cart::total", "until": day })).await.status, StatusCode::BAD_REQUEST);
    let listed = || async { world.get("/api/v1/projects/demo/flaky").await.json()["quarantine"].clone() };
    assert_eq!(listed().await, json!([]), "nothing that was refused is kept");

    let sam = world.post_with(put, asked("cart::total", day).to_string(), &[("x-orch-actor", "local:sam")]).await;
    assert_eq!(sam.status, StatusCode::CONFLICT);
    assert!(sam.error().2.contains("local:sam may not let tests of this project fail (people who may: local:anna)"));
    assert_eq!(listed().await, json!([]), "nothing that was refused is kept");

    let answer = world.post(put, asked("cart::total", day)).await.json();
    assert_eq!(answer["quarantine"]["until"], day, "{answer}");
    assert_eq!(world.post(put, asked("cart::other", day)).await.status, StatusCode::OK);
    let all = listed().await;
    assert_eq!((all.as_array().unwrap().len(), &all[1]["because"]), (2, &json!("repaired in DEMO-12")), "{all}");
    assert_eq!(world.post(release, json!({ "test": "cart::none" })).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.post(release, json!({ "test": "cart::total" })).await.json()["released"], "cart::total");
    assert_eq!(listed().await.as_array().unwrap().len(), 1);

    world.pass(6 * 24 * 3_600_000);
    assert_eq!(listed().await, json!([]), "it ends with its day");
}
