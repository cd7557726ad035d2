//! What programs read. Names are pinned here.

use super::world::World;
use crate::http::Problem;
use axum::http::StatusCode;
use orch_core::effect::Effect;
use orch_core::fault_code::FaultCode;
use orch_core::ids::Time;
use orch_ports::Fault;
use orch_store::{Fact, SqliteStore, StoreError};
use serde_json::{Value, json};
use std::sync::Arc;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn health_says_exactly_what_probes_look_for() {
    let world = World::new().await;
    let seen = world.get("/health").await;
    assert_eq!((seen.status, seen.text().as_str()), (StatusCode::OK, r#"{"status":"ok","service":"orchestrator"}"#));
    assert_eq!(world.get("/livez").await.text(), "ok\n");
    assert_eq!(world.get("/readyz").await.text(), "ok\n");
}

#[tokio::test]
async fn without_a_readable_store_it_is_alive_but_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orch.db");
    let store = SqliteStore::open(&file, orch_store::sqlite::OpenOptions::default()).unwrap();
    let world = World::with_store(Arc::new(store)).await;
    assert_eq!(world.get("/readyz").await.status, StatusCode::OK);
    world.started("A").await;
    for name in ["orch.db", "orch.db-wal", "orch.db-shm"] {
        let path = dir.path().join(name);
        if let Ok(meta) = std::fs::metadata(&path) {
            std::fs::write(&path, vec![0xA5_u8; usize::try_from(meta.len()).unwrap()]).unwrap();
        }
    }
    let seen = world.get("/readyz").await;
    assert_eq!((seen.status, seen.error().1.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(world.get("/livez").await.status, StatusCode::OK);
    assert!(world.get("/api/v1/tasks").await.status.is_server_error());
}

#[test]
fn a_fault_that_passes_says_try_again_and_others_say_what_they_are() {
    let table = [
        (Fault::transient("the database failed: disk I/O error"), 503, "unavailable"),
        (Fault::denied("no"), 502, "denied"),
        (Fault::gone("there is no task X-1"), 404, "not_found"),
        (Fault::permanent("no"), 500, "failed"),
        (Fault::bug("no"), 500, "bug"),
        (StoreError::Full.into(), 503, "no_room"),
        (Fault::gone("branch `a` is not there").coded(FaultCode::NoSuchBranch), 404, "no_such_branch"),
    ];
    for (fault, status, code) in table {
        let problem = Problem::from(fault);
        assert_eq!((problem.status.as_u16(), problem.code), (status, code));
        // Whoever is to come back is told so, and nobody else.
        assert_eq!(problem.hint.is_some(), matches!(status, 502 | 503), "{problem:?}");
    }
    let (path, holder) = ("orch.db".into(), "pid 7".into());
    let held = Problem::from(StoreError::Held { path, holder });
    assert_eq!((held.code, held.hint), ("busy", None), "it does not pass by itself");
    let hint = Problem::from(StoreError::Full).hint.unwrap();
    assert!(hint.contains("free some space"), "{hint}");
}

#[tokio::test]
async fn the_queue_keeps_its_blocks() {
    let world = World::new().await;
    world.started("A").await;
    let queue = world.get("/queue").await.json();
    assert_eq!(
        keys(&queue),
        [
            "budgets",
            "counts",
            "draining",
            "inbound",
            "leases",
            "max_concurrency",
            "merging",
            "open",
            "open_total",
            "paused",
            "post_deploy",
            "reaper",
            "recent",
            "reconcile",
            "resilience",
            "security",
            "troubles",
            "unknown"
        ]
    );
    for name in ["enabled", "interval", "last_run_ts", "reaped_total", "last_reaped", "lease_reclaimed_total"] {
        assert!(keys(&queue["reaper"]).contains(&name), "{name}");
    }
    assert_eq!(queue["counts"]["queued"], 2, "{queue}");
}

#[tokio::test]
async fn a_task_keeps_its_fields() {
    let world = World::new().await;
    world.started("A").await;
    let task = world.get("/api/v1/tasks/DEMO-1").await.json();
    assert_eq!(
        keys(&task),
        [
            "branch",
            "cost",
            "cost_usd",
            "created_at",
            "done_at",
            "head",
            "id",
            "line",
            "merge_commit",
            "outcome",
            "phase",
            "project",
            "pull_request",
            "round",
            "runs",
            "stage",
            "stages",
            "title",
            "updated_at",
            "waiting"
        ]
    );
    assert_eq!(keys(&task["waiting"]), ["command", "ends_when", "reason", "since", "until"]);
    assert_eq!(task["created_at"], "2026-11-23T12:00:00.000Z");
}

#[tokio::test]
async fn why_answers_in_a_sentence() {
    let world = World::new().await;
    world.started("A").await;
    world.work(|_| false).await;
    let why = world.get("/api/v1/tasks/DEMO-1/why").await.json();
    let sentence = why["sentence"].as_str().unwrap();
    assert!(
        sentence
            .starts_with("DEMO-1 (analysis): waiting for a person to approve the analysis (3fa9c1d27be0), since 2026-")
    );
    assert!(sentence.ends_with("ends when an approver approves or rejects the analysis."), "{sentence}");
    assert_eq!(why["waiting"]["command"], "orch approve DEMO-1");
    world.post("/api/v1/tasks/DEMO-1/approve", json!({})).await;
    world.work(|_| false).await;
    let why = world.get("/api/v1/tasks/DEMO-1/why").await.json();
    assert_eq!((why["waiting"].clone(), why["sentence"].clone()), (Value::Null, json!("DEMO-1 is done, healthy.")));
}

#[tokio::test]
async fn evidence_says_what_was_judged_and_what_was_not_checked() {
    let world = World::new().await;
    world.started("A").await;
    world.work(|_| false).await;
    world.post("/api/v1/tasks/DEMO-1/approve", json!({})).await;
    world.work(|_| false).await;
    let evidence = world.get("/api/v1/tasks/DEMO-1/evidence").await.json();
    assert_eq!(keys(&evidence), ["approvals", "artefacts", "deployments", "gates", "not_checked", "runs", "task"]);
    let gates = evidence["gates"].as_array().unwrap();
    let ci = gates.iter().find(|g| g["gate"] == "check_ci_green").unwrap();
    assert_eq!(ci["verdict"], "pass");
    assert_eq!(ci["evidence"]["checks"][0]["name"], "ci");
    assert_eq!(
        evidence["not_checked"],
        json!([
            "check_security_gate: switched off by ORCH_SECURITY_GATE_ENABLED",
            "what its runs reach: agents, setups and tests run without a sandbox, as the user of orch, so that a hostile branch is \
             not held"
        ])
    );
    assert_eq!(evidence["approvals"][0]["by"], "local:anna");
    assert!(evidence["deployments"].as_array().unwrap().iter().any(|d| d["environment"] == "production"));
    let runs = world.get("/api/v1/tasks/DEMO-1/runs").await.json();
    assert_eq!(runs["runs"][0]["number"], 1);
    assert!(!runs.to_string().contains("\"dir\""));
    let closed = world.get("/api/v1/tasks").await.json();
    assert_eq!(closed, json!({ "tasks": [], "next": null }));
    assert_eq!(world.get("/api/v1/tasks?all=true&project=demo").await.json()["tasks"][0]["outcome"], "healthy");
    assert_eq!(world.get("/api/v1/tasks?project=NONE").await.error().0, 400);
}

#[tokio::test]
async fn the_instance_shows_itself() {
    let world = World::new().await;
    world.started("A").await;
    world.pass(90_000);
    let status = world.get("/status").await.json();
    assert_eq!((status["uptime_s"].clone(), status["draining"].clone()), (json!(90), json!(false)));
    assert_eq!(status["tasks"], json!({ "open": 1, "by_stage": { "created": 1 } }));
    assert_eq!(status["projects"], json!(["DEMO"]));
    let gates = world.get("/api/v1/gates").await.json();
    let security = gates["gates"].as_array().unwrap().iter().find(|g| g["gate"] == "check_security_gate").unwrap();
    assert_eq!(security["projects"]["DEMO"]["mode"], "off");
    assert_eq!(world.get("/api/v1/projects").await.json()["projects"][0]["pipeline"], "full");
}

#[tokio::test]
async fn what_came_into_main_past_orch_can_be_read() {
    let world = World::new().await;
    let main = world.get("/api/v1/projects/demo/main").await.json();
    assert_eq!((main["tip"].clone(), main["moves"].clone()), (Value::Null, json!([])), "nobody has looked yet");
    let (old, new) = ("1".repeat(40), "2".repeat(40));
    let commit = json!({ "id": new, "author": "Eve", "subject": "evil" });
    let moved = json!({
        "n": 1, "from": old, "to": new, "seen_at": 0, "rewound": false, "commits": [commit],
        "protected": ["ci.yml: is changed"],
    });
    let record = json!({ "tip": new, "seen_at": 0, "moves": 1, "told": 1, "pending": 1 });
    world.engine.store().remember(&Fact::MainMove("DEMO".into(), 1), &moved.to_string(), Time(1)).await.unwrap();
    world.engine.store().remember(&Fact::Main("DEMO".into()), &record.to_string(), Time(1)).await.unwrap();
    let main = world.get("/api/v1/projects/DEMO/main").await.json();
    let lines = json!(["2222222222 Eve: evil", "ci.yml: is changed"]);
    assert_eq!((main["tip"].clone(), main["moves"][0]["lines"].clone()), (json!(new), lines));
    assert_eq!((main["moved_by_others"].clone(), main["waits_for_approval"].clone()), (json!(1), json!(true)));
    assert_eq!(main["moves"][0]["seen_at"], "1970-01-01T00:00:00.000Z");
    assert_eq!(world.get("/api/v1/projects/NONE/main").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_journal_is_read_from_any_row_on() {
    let world = World::new().await;
    world.started("A").await;
    world.work(|e| matches!(e, Effect::RunAgent { .. })).await;
    let all = world.get("/api/v1/tasks/DEMO-1/journal").await.json();
    let rows = all["journal"].as_array().unwrap();
    assert_eq!((rows[0]["event"].clone(), rows[0]["actor"].clone()), (json!("started"), json!("local:anna")));
    let first = rows[0]["id"].as_i64().unwrap();
    let rest = world.get(&format!("/api/v1/tasks/DEMO-1/journal?after={first}")).await.json();
    assert_eq!(rest["journal"].as_array().unwrap().len(), rows.len() - 1);
    assert_eq!(rest["next"], all["next"]);
    assert_eq!(
        world.get("/api/v1/tasks/DEMO-1/journal?after=x").await.error().2,
        "`after` must be a number, 0 or more"
    );
}

#[tokio::test]
async fn a_long_list_of_tasks_comes_in_pages() {
    let world = World::new().await;
    for n in 0..5 {
        world.started(&format!("Task {n}")).await;
    }
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/api/v1/tasks?limit=2".to_owned();
    for page in 0.. {
        assert!(page < 4, "the pages have an end");
        let answer = world.get(&path).await.json();
        seen.extend(answer["tasks"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap().to_owned()));
        match answer["next"].as_i64() {
            Some(next) => path = format!("/api/v1/tasks?limit=2&before={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["DEMO-5", "DEMO-4", "DEMO-3", "DEMO-2", "DEMO-1"]);
    for (query, says) in [("limit=x", "`limit`"), ("before=-1", "`before`")] {
        let refused = world.get(&format!("/api/v1/tasks?{query}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.text().contains(says), "{}", refused.text());
    }
}

/// The server answers before the engine runs: what is drained is not said to be open in between.
#[tokio::test]
async fn what_is_drained_is_shown_as_drained_before_the_engine_runs() {
    let world = World::new().await;
    let drained = async || world.get("/queue").await.json()["draining"] == true;
    assert!(!drained().await);
    orch_engine::restored::hold(&world.engine, "a copy".into(), "k".into()).await.unwrap();
    assert!(drained().await, "a database from a copy");
    world.engine.drain(false).await.unwrap();
    let now = world.engine.clock().now();
    world.engine.store().remember(&orch_store::Fact::Draining, "true", now).await.unwrap();
    world.engine.know_what_is_halted().await.unwrap();
    assert!(drained().await, "drained by a process before this one");
}
