use super::world::*;
use orch_core::effect::*;
use orch_core::ids::*;
use orch_core::verdict::*;
use serde_json::json;
#[tokio::test]
async fn shot() {
    let world = World::new().await;
    let judge_of = |gate: GateId, nr: u64| move |e: &Effect| { let _ = nr; matches!(e, Effect::Judge { gate: g, .. } if *g == gate) };
    // 1: done
    world.started("Reject uploads over 5 MB with a clear message").await;
    world.work(|_| false).await; world.pass(400_000);
    world.post("/api/v1/tasks/DEMO-1/approve", json!({})).await;
    let job = world.work(judge_of(GateId::ReviewerVerdict, 1)).await.unwrap();
    let o = world.judge(&job, Verdict::Fail { findings: vec![finding("The size is checked after the whole body has been read into memory; a large upload still exhausts it."), finding("No test covers a body without Content-Length.")] }).await;
    world.settle(&job, o).await;
    world.work(|_| false).await;
    world.pass(7_200_000);
    // 2: cancelled
    world.started("Try a different font").await;
    world.post("/api/v1/tasks/DEMO-2/cancel", json!({})).await;
    world.work(|_| false).await;
    // 3: waits for approval
    world.started("Каталог: фильтр по цене и наличию — with a rather long title that has to wrap on a narrow card").await;
    world.work(|_| false).await; world.pass(2_000_000);
    // 4: blocked in review
    world.started("Move session storage to the database").await;
    world.work(|_| false).await;
    world.post("/api/v1/tasks/DEMO-4/approve", json!({})).await;
    for _ in 0..4 {
        let Some(job) = world.work(judge_of(GateId::ReviewerVerdict, 4)).await else { break };
        let o = world.judge(&job, Verdict::Fail { findings: vec![finding("Sessions are not expired when the user changes the password.")] }).await;
        world.settle(&job, o).await;
    }
    world.work(|_| false).await;
    // 5: CI wait
    world.started("Show delivery date in the basket").await;
    world.work(|_| false).await;
    world.post("/api/v1/tasks/DEMO-5/approve", json!({})).await;
    let job = world.work(judge_of(GateId::CiGreen, 5)).await.unwrap();
    let now = world.engine.clock().now();
    let o = world.judge(&job, Verdict::Wait { why: WaitFor::Report { what: "`build` on cccccccccc".into() }, until: Some(now.plus_ms(1_800_000)), recheck: Some(now.plus_ms(10_000_000)) }).await;
    world.settle(&job, o).await;
    world.pass(185_000);
    // 6: running agent
    world.started("Speed up the product search").await;
    world.work(|_| false).await;
    world.post("/api/v1/tasks/DEMO-6/approve", json!({})).await;
    let job = world.work(|e| matches!(e, Effect::RunAgent { role, .. } if role.as_str() == "developer")).await.unwrap();
    let dir = world.run(&job, "developer", None).await;
    let mut log = String::new();
    for i in 0..60 { log += &format!("\u{1b}[36m[{i:02}]\u{1b}[0m reading src/search/index_{i}.rs … ok\n"); }
    std::fs::write(dir.join("stdout.log"), &log).unwrap();
    std::fs::write(dir.join("stderr.log"), "warning: slow disk\n").unwrap();
    world.post("/api/v1/tasks", json!({ "project": "DEMO", "title": "Newsletter opt-out link is broken in dark mode", "body": "When I click it, nothing happens.\n\nSee <b>screenshot</b>." })).await;
    world.post("/api/v1/tasks/DEMO-7/retry", json!({})).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:18599").await.unwrap();
    let file = std::path::Path::new("/tmp/shot.run");
    std::fs::write(file, dir.display().to_string()).unwrap();
    let app = world.app.clone();
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    while file.exists() { tokio::time::sleep(std::time::Duration::from_millis(200)).await; }
    server.abort();
}
