//! A test that a person has put into quarantine until a day: it stops nothing while that lasts, everybody is told, and what
//! else fails counts as before.

use crate::runs::{Does, Run};
use crate::world::{World, anna, demo};
use orch_core::ids::GateId;
use orch_core::task::{ApprovalKind, Phase, Task, WaitReason};
use orch_core::verdict::Verdict;
use orch_engine::quarantine::{self, Refused};
use orch_ports::clock::Clock as _;

const DAY_MS: i64 = 24 * 3_600_000;

fn held_by_the_base(task: &Task) -> bool {
    matches!(&task.phase, Phase::Waiting { why: WaitReason::Approval { what: ApprovalKind::Base, .. }, .. })
}

/// `cart::total` fails on every tree; `cart::mine` where the developer has broken it.
async fn red_by_itself(own_ci: bool) -> World {
    let world = World::with(|c| {
        (c.test, c.ci) = if own_ci { (None, Some("test".into())) } else { (Some("test".into()), None) };
        c.policy.base_first = true;
    })
    .await;
    world.runs.on("test", |run: &Run| {
        let mine = run.cwd.join("broken.txt").exists();
        let mine = if mine && run.read("broken.txt").contains("yes") { "test cart::mine ... FAILED\n" } else { "" };
        std::fs::write(run.dir.join("stdout.log"), format!("test cart::total ... FAILED\n{mine}")).unwrap();
        Does::Exit(1)
    });
    world
}

/// The day that is so many days from now.
fn day(world: &World, days: i64) -> String {
    orch_engine::view::rfc3339(world.clock.now().plus_ms(days * DAY_MS))[..10].to_owned()
}

async fn put(world: &World, test: &str, days: i64) {
    let why = (anna(), "the rounding is repaired in DEMO-9");
    orch_engine::flaky::quarantine(&world.engine(), &demo(), test, &day(world, days), why).await.unwrap();
}

#[tokio::test]
async fn a_base_that_fails_in_quarantine_holds_nobody_and_what_else_fails_is_a_round() {
    for own_ci in [false, true] {
        let world = red_by_itself(own_ci).await;
        world.runs.on("developer", |run| {
            run.write("broken.txt", if run.nth == 1 { "yes\n" } else { "no\n" });
            if run.nth == 2 {
                let prompt = run.prompt();
                assert!(prompt.contains("cart::mine"), "{prompt}");
            }
            Does::Exit(0)
        });
        world.start();
        let item = world.begin("One").await;
        world.until(&item, "held by its base", held_by_the_base).await;
        assert_eq!(world.runs.count("developer"), 0);

        put(&world, "cart::total", 5).await;
        world.clock.advance(600_000);
        let task = world.until_done(&item).await;
        assert_eq!((task.spent.rounds, world.runs.count("developer")), (1, 2), "{own_ci}: its own failure is a round");
        let told = format!("failed in quarantine until {}: cart::total, let be by {}", day(&world, 5), anna());
        assert!(0 < world.says(&item, &told).await, "{own_ci}: whoever reads the journal is told");
        if !own_ci {
            let judged = world.store.last_judgement(task.id, GateId::TestsLocal).await.unwrap().unwrap();
            assert_eq!(judged.verdict, Verdict::Pass);
        }

        // What was green because of it is not green after its last day.
        world.clock.advance(6 * DAY_MS);
        let next = world.begin("Two").await;
        world.until(&next, "held by its base", held_by_the_base).await;
        assert_eq!(world.runs.count("developer"), 2);
    }
}

#[tokio::test]
async fn who_releases_a_test_makes_it_count_at_once() {
    let world = red_by_itself(false).await;
    world.runs.on("developer", |run| {
        run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "text\n");
        Does::Exit(0)
    });
    world.start();
    put(&world, "cart::total", 5).await;
    let one = world.begin("One").await;
    world.until_done(&one).await;
    assert!(orch_engine::flaky::release(&world.engine(), &demo(), "cart::total", &anna()).await.unwrap());
    assert!(!orch_engine::flaky::release(&world.engine(), &demo(), "cart::total", &anna()).await.unwrap());
    let two = world.begin("Two").await;
    world.until(&two, "held by its base", held_by_the_base).await;
}

#[tokio::test]
async fn a_quarantine_needs_a_day_to_come_a_name_and_a_reason() {
    let world = red_by_itself(false).await;
    world.start();
    let (engine, soon) = (world.engine(), day(&world, 5));
    let asked = async |test: &str, day: &str, because: &str| match orch_engine::flaky::quarantine(
        &engine,
        &demo(),
        test,
        day,
        (anna(), because),
    )
    .await
    {
        Err(Refused::Said(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(asked("", &soon, "why").await.contains("`test`"));
    assert!(asked("cart::total", &soon, " ").await.contains("`because`"));
    assert!(asked("cart::total", &day(&world, -1), "why").await.ends_with("is over; name a day to come"));
    assert!(asked("cart::total", &day(&world, 200), "why").await.contains("more than 92 days away"));
    assert!(asked("cart::total", "tomorrow", "why").await.contains("write it as"));
    let by = ("local:mallory".into(), "why");
    let stranger = orch_engine::flaky::quarantine(&engine, &demo(), "cart::total", &soon, by).await;
    assert!(matches!(stranger, Err(Refused::NotAllowed(_))), "red tests land by it");
    assert!(quarantine::of(&**engine.store(), &demo(), world.clock.now()).await.unwrap().is_empty());
}
