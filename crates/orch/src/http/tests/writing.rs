//! What people ask for.

use super::world::World;
use axum::http::StatusCode;
use orch_core::effect::Effect;
use serde_json::json;

#[tokio::test]
async fn a_task_is_made_and_started_in_one_request_and_once_however_often_it_is_sent() {
    let world = World::new().await;
    let body = json!({ "project": "demo", "title": " Add a limit ", "body": "Please.", "start": true, "key": "k1" });
    let first = world.post("/api/v1/tasks", body.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let task = first.json();
    assert_eq!((task["id"].as_str(), task["title"].as_str()), (Some("DEMO-1"), Some("Add a limit")));
    assert_ne!(task["phase"], "idle");
    let again = world.post("/api/v1/tasks", body).await;
    assert_eq!((again.status, again.json()["id"].clone()), (StatusCode::CREATED, json!("DEMO-1")));
    let keyed = [("idempotency-key", "k2")];
    let other = json!({ "project": "DEMO", "title": "Another" }).to_string();
    for _ in 0..2 {
        let seen = world.post_with("/api/v1/tasks", other.clone(), &keyed).await;
        assert_eq!((seen.json()["id"].clone(), seen.json()["phase"].clone()), (json!("DEMO-2"), json!("idle")));
    }
    for id in ["DEMO-3", "DEMO-4"] {
        assert_eq!(world.post_with("/api/v1/tasks", other.clone(), &[]).await.json()["id"], id);
    }
}

#[tokio::test]
async fn a_bad_body_is_refused_by_the_name_of_its_field() {
    let world = World::new().await;
    let table = [
        ("{}", "`project` is missing"),
        (r#"{"project":"DEMO"}"#, "`title` is missing"),
        (r#"{"project":"DEMO","title":"  "}"#, "`title` is empty"),
        (r#"{"project":"DEMO","title":3}"#, "`title` must be a text"),
        (r#"{"project":"DEMO","title":"a\nb"}"#, "`title` must be one line of at most 300 characters"),
        (r#"{"project":"DEMO","title":"t","start":"yes"}"#, "`start` must be true or false"),
        (r#"{"project":"NONE","title":"t"}"#, "`project`: there is no project `NONE`"),
        (r#"{"project":"DEMO","titel":"t"}"#, "`titel`: there is no such field here"),
        ("[1]", "the body must be a JSON object"),
    ];
    for (body, message) in table {
        let seen = world.post_with("/api/v1/tasks", body.into(), &[]).await;
        assert_eq!(seen.error(), (400, "bad_request".into(), message.into()), "{body}");
    }
    let slip = world.post_with("/api/v1/tasks", r#"{"titel":"t"}"#.into(), &[]).await;
    assert_eq!(slip.json()["error"]["hint"], "did you mean `title`?");
    let broken = world.post_with("/api/v1/tasks", "{".into(), &[]).await;
    assert!(broken.error().2.starts_with("the body is not JSON"), "{}", broken.text());
}

#[tokio::test]
async fn who_may_not_is_refused_with_the_reason_and_nothing_is_half_done_in_silence() {
    let world = World::new().await;
    world.post("/api/v1/tasks", json!({ "project": "DEMO", "title": "A" })).await;
    for actor in ["", "local:mallory", "orch"] {
        let seen = world.post_with("/api/v1/tasks/DEMO-1/start", String::new(), &[("x-orch-actor", actor)]).await;
        let (status, code, message) = seen.error();
        assert_eq!((status, code.as_str()), (409, "refused"));
        assert!(message.contains("may not start tasks of this project (people who may: local:anna)"), "{message}");
    }
    let body = json!({ "project": "DEMO", "title": "B", "start": true }).to_string();
    let seen = world.post_with("/api/v1/tasks", body, &[("x-orch-actor", "local:mallory")]).await;
    assert!(seen.error().2.starts_with("DEMO-2 was made but not started: local:mallory may not"), "{}", seen.text());
    let odd = world.post_with("/api/v1/tasks/DEMO-1/start", String::new(), &[("x-orch-actor", &"x".repeat(201))]).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_task_is_commented_on_and_given_a_priority() {
    let world = World::new().await;
    world.started("Add a limit").await;
    let said = world.post("/api/v1/tasks/DEMO-1/comment", json!({ "text": "mind the old endpoint" })).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text());
    assert_eq!(world.task("DEMO-1").await.findings.comments[0].text, "mind the old endpoint");
    let empty = world.post("/api/v1/tasks/DEMO-1/comment", json!({ "text": " " })).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST);

    let first = world.post("/api/v1/tasks/DEMO-1/priority", json!({ "priority": 12 })).await;
    assert_eq!((first.status, first.json()["priority"].clone()), (StatusCode::OK, json!(12)), "{}", first.text());
    let again = world.post("/api/v1/tasks/DEMO-1/priority", json!({ "priority": 12 })).await;
    assert_eq!(again.error(), (409, "refused".into(), "DEMO-1: its priority is 12 already".into()));
    for nonsense in [json!("12"), json!(1.5), json!(99_999), json!(null)] {
        let refused = world.post("/api/v1/tasks/DEMO-1/priority", json!({ "priority": nonsense })).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text());
    }
    assert_eq!(world.task("DEMO-1").await.priority, 12);
}

#[tokio::test]
async fn a_task_is_approved_rejected_and_cancelled_by_name() {
    let world = World::new().await;
    world.started("Add a limit").await;
    let early = world.post("/api/v1/tasks/DEMO-1/approve", json!({})).await;
    assert_eq!(early.error(), (409, "refused".into(), "DEMO-1: it does not wait for an approval".into()));
    world.work(|_| false).await;
    assert_eq!(world.get("/api/v1/tasks/demo-1").await.json()["phase"], "awaiting_approval");

    let wrong = world.post("/api/v1/tasks/DEMO-1/approve", json!({ "gate": "check_ci_green" })).await;
    assert!(wrong.error().2.ends_with("check_ci_green is not something a person approves"), "{}", wrong.text());
    let none = world.post("/api/v1/tasks/DEMO-1/approve", json!({ "gate": "check_analysis_aproved" })).await;
    assert_eq!(none.json()["error"]["hint"], "did you mean `check_analysis_approved`?");
    let stale = world.post("/api/v1/tasks/DEMO-1/approve", json!({ "subject": "something else" })).await;
    assert!(stale.error().2.contains("is not what is shown now"), "{}", stale.text());
    let asked = world.get("/api/v1/tasks/DEMO-1").await.json()["waiting"]["subject"].clone();
    assert_eq!(asked, "3fa9c1d27be04411");
    let other = world.post("/api/v1/tasks/DEMO-1/reject", json!({ "gate": "production" })).await;
    assert!(other.error().2.contains("it waits for an approval of analysis"), "{}", other.text());

    let rejected = world.post("/api/v1/tasks/DEMO-1/reject", json!({ "comment": "the limits are missing" })).await;
    assert_eq!((rejected.status, rejected.json()["stage"].clone()), (StatusCode::OK, json!("analysis")));
    assert_eq!(world.task("DEMO-1").await.findings.open[0].text, "the limits are missing");
    world.work(|_| false).await;
    let body = json!({ "gate": "analysis", "subject": "3fa9c1d27be04411", "comment": "as we spoke" });
    let approved = world.post("/api/v1/tasks/DEMO-1/approve", body).await;
    assert_eq!(approved.status, StatusCode::OK);
    assert_eq!(world.task("DEMO-1").await.approvals[0].by.as_str(), "local:anna");
    let jobs = world.engine.store().open_jobs(None).await.unwrap();
    let says = |text: &str| text == "Approved by local:anna: as we spoke";
    assert!(jobs.iter().any(|j| matches!(&j.effect, Effect::Comment { text, .. } if says(text))), "{jobs:?}");

    let no_question = world.post("/api/v1/tasks/DEMO-1/answer", json!({ "text": "42" })).await;
    assert!(no_question.error().2.ends_with("it has no open question"));
    assert_eq!(world.post("/api/v1/tasks/DEMO-1/answer", json!({})).await.error().2, "`text` is missing");
    assert!(world.post("/api/v1/tasks/DEMO-1/retry", json!({})).await.error().2.contains("it is not blocked"));
    assert_eq!(world.post("/api/v1/tasks/DEMO-1/cancel", json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_four_ways_out_are_words_and_only_for_what_production_did_not_take() {
    let world = World::new().await;
    world.started("Add a limit").await;
    let url = "/api/v1/tasks/DEMO-1/retry";
    let wrong = world.post(url, json!({ "as": "repairs" })).await;
    assert_eq!(wrong.error().0, 400);
    assert_eq!(wrong.json()["error"]["hint"], "did you mean `repair`?");
    let unknown = world.post(url, json!({ "as": "undo it all" })).await;
    let hint = unknown.json()["error"]["hint"].as_str().unwrap().to_owned();
    assert!(["deploy (", "repair (", "revert (", "accept ("].iter().all(|way| hint.contains(way)), "{hint}");
    let early = world.post(url, json!({ "as": "accept" })).await;
    assert_eq!(early.error().0, 409);
    assert!(early.error().2.contains("did not fail there"), "{}", early.text());
    assert_eq!(world.post(url, json!({ "way": "accept" })).await.error().0, 400);
}

#[tokio::test]
async fn the_same_key_is_one_wish_for_one_task_and_verb() {
    let world = World::new().await;
    for title in ["A", "B"] {
        world.post("/api/v1/tasks", json!({ "project": "DEMO", "title": title })).await;
    }
    let key = [("idempotency-key", "mine")];
    assert_eq!(world.post_with("/api/v1/tasks/DEMO-1/start", String::new(), &key).await.status, StatusCode::OK);
    assert_eq!(world.post_with("/api/v1/tasks/DEMO-1/start", String::new(), &key).await.status, StatusCode::CONFLICT);
    assert_eq!(world.post_with("/api/v1/tasks/DEMO-2/start", String::new(), &key).await.status, StatusCode::OK);
    assert_eq!(world.post_with("/api/v1/tasks/DEMO-1/cancel", String::new(), &key).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_task_is_missed_with_the_nearest_one() {
    let world = World::new().await;
    world.started("A").await;
    let seen = world.post("/api/v1/tasks/DEMI-1/cancel", json!({})).await;
    assert_eq!(seen.error(), (404, "not_found".into(), "there is no task `DEMI-1`".into()));
    assert_eq!(seen.json()["error"]["hint"], "did you mean DEMO-1?");
    for path in ["", "/why", "/evidence", "/runs", "/journal", "/runs/1/log"] {
        assert_eq!(world.get(&format!("/api/v1/tasks/NOPE-77{path}")).await.error().0, 404, "{path}");
    }
    let method = world.post("/api/v1/tasks/DEMO-1", json!({})).await;
    assert_eq!(method.error().0, 405);
}

#[tokio::test]
async fn what_people_arrange_is_an_event_in_their_name_or_a_refusal_by_the_field() {
    let world = World::new().await;
    world.started("Add a limit").await;
    let at = |verb: &str| format!("/api/v1/tasks/DEMO-1/{verb}");
    for (verb, body, why) in [
        ("hold", json!({ "why": "x" }), "`why`: there is no such field here"),
        ("release", json!({ "reason": "x" }), "`reason`: there is no such field here"),
        ("edit", json!({}), "`title` or `body` is missing"),
        ("edit", json!({ "title": 7 }), "`title` must be a text"),
        ("finish", json!({}), "`reason` is missing"),
        ("finish", json!({ "reason": " " }), "`reason` is empty"),
        ("after", json!({}), "`add` or `remove` is missing: a list of tasks"),
        ("after", json!({ "add": "DEMO-2" }), "`add` must be a list of names"),
        ("after", json!({ "add": [""] }), "`add` must be a list of names"),
    ] {
        let refused = world.post(&at(verb), body).await;
        assert_eq!(refused.error(), (400, "bad_request".into(), why.into()), "{verb}");
    }
    let early = world.post(&at("revert"), json!({})).await;
    assert_eq!(early.error().0, 409);
    assert!(early.error().2.contains("it is not merged"), "{}", early.text());
    let held = world.post(&at("hold"), json!({ "reason": "after the release" })).await;
    assert_eq!(
        (held.status, held.json()["held"]["by"].clone()),
        (StatusCode::OK, json!("local:anna")),
        "{}",
        held.text()
    );
    let why = world.get("/api/v1/tasks/DEMO-1/why").await.json();
    assert_eq!(why["waiting"]["command"], "orch task release DEMO-1");
    assert_eq!(world.post(&at("release"), json!({})).await.status, StatusCode::OK);
    for verb in ["hold", "release", "edit", "finish", "revert", "after"] {
        let body = match verb {
            "edit" => json!({ "title": "x" }),
            "finish" => json!({ "reason": "x" }),
            "after" => json!({ "remove": ["DEMO-9"] }),
            _ => json!({}),
        };
        let refused = world.post_with(&at(verb), body.to_string(), &[("x-orch-actor", "local:mallory")]).await;
        assert!(refused.error().2.contains("local:mallory may not"), "{verb}: {}", refused.text());
    }
    let edited = world.post(&at("edit"), json!({ "title": "Add two limits" })).await;
    assert_eq!(edited.status, StatusCode::OK, "{}", edited.text());
    let jobs = world.engine.store().open_jobs(None).await.unwrap();
    assert!(
        jobs.iter().any(|j| matches!(&j.effect, Effect::EditTicket { title: Some(t), .. } if t == "Add two limits"))
    );
    let finished = world.post(&at("finish"), json!({ "reason": "by hand" })).await;
    assert_eq!(finished.status, StatusCode::OK, "{}", finished.text());
    world.post("/api/v1/tasks", json!({ "project": "DEMO", "title": "B" })).await;
    let made = world.post("/api/v1/tasks", json!({ "project": "DEMO", "title": "C", "after": ["demo-2"] })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(world.task("DEMO-3").await.wait.after, vec!["DEMO-2".into()]);
}
