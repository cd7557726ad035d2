//! Outside services that do not answer: nobody's attempts are spent, nothing is hammered, one job tries first, and it can
//! be seen.

use crate::faults::How;
use crate::runs::Does;
use crate::world::{World, anna};
use orch_core::event::Event;
use orch_core::ids::Time;
use orch_core::policy::Policy;
use orch_core::task::{BlockReason, Phase};
use orch_ports::Fault;
use orch_ports::clock::Clock;
use orch_store::Fact;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const HOUR_MS: i64 = 3_600_000;

/// Developers who meet a usage limit that ends in an hour, until it is lifted.
fn limited(world: &World) -> (Time, Arc<AtomicBool>) {
    let back_at = world.clock.now().plus_ms(HOUR_MS);
    let lifted = Arc::new(AtomicBool::new(false));
    let now = lifted.clone();
    world.runs.on("developer", move |run| {
        if now.load(Ordering::SeqCst) {
            run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "x\n");
            return Does::Exit(0);
        }
        std::fs::write(run.dir.join("back_at"), back_at.0.to_string()).unwrap();
        Does::Exit(75)
    });
    (back_at, lifted)
}

#[tokio::test]
async fn a_usage_limit_parks_every_job_of_its_program_until_its_reset_and_one_goes_first() {
    let world = World::with(|c| c.agents = 1).await;
    let (back_at, lifted) = limited(&world);
    world.start();
    let items = [world.begin("First").await, world.begin("Second").await, world.begin("Third").await];
    let parked = async || {
        let open = world.store.open_jobs(None).await.unwrap();
        open.iter().filter(|j| j.parked.as_deref() == Some("agent:played")).count()
    };
    world.eventually("the others are parked", async || parked().await == 2).await;
    assert_eq!(world.runs.count("developer"), 1, "the others did not even try");
    // Which of the three met the limit is anybody's guess; the two others say what they wait for.
    let mut waiting = 0;
    for item in &items {
        let why = world.engine().show_item(item).await.unwrap().unwrap().waiting.unwrap();
        if why.reason.contains("agent:played is not asked before") {
            assert!(why.reason.contains("usage limit"), "{why:?}");
            assert!(why.ends_when.contains("agent:played answers one job"), "{why:?}");
            waiting += 1;
        }
    }
    assert_eq!(waiting, 2);
    let queue = serde_json::to_value(world.engine().queue().await.unwrap()).unwrap();
    let circuit = &queue["resilience"]["circuits"][0];
    assert_eq!((circuit["service"].as_str(), circuit["parked"].as_u64()), (Some("agent:played"), Some(2)), "{circuit}");

    // A restart forgets nothing: nobody tries before the reset.
    world.kill().await;
    world.start();
    world.clock.advance(HOUR_MS / 2);
    world.eventually("half an hour has passed", async || back_at.plus_ms(-HOUR_MS / 2) < world.clock.now()).await;
    assert_eq!(world.runs.count("developer"), 1);

    // The first one afterwards meets it again: the others go on waiting.
    world.clock.advance(HOUR_MS / 2);
    world.eventually("one went first", async || world.runs.count("developer") == 2).await;
    world.eventually("all wait again", async || parked().await == 2).await;
    assert_eq!(world.runs.count("developer"), 2);
    lifted.store(true, Ordering::SeqCst);
    for item in &items {
        let task = world.until_done(item).await;
        assert_eq!((task.spent.rounds, task.spent.role_attempts), (0, 0));
    }
    let told: Vec<String> = world.told_people().into_iter().filter(|t| t.contains("agent:played")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    world.until_quiet().await;
    let recent = world.store.recent_jobs(200).await.unwrap();
    assert!(recent.iter().all(|j| j.attempts == 0), "no attempt was spent");
    assert_eq!(world.engine().queue().await.unwrap().resilience["circuits"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn a_forge_that_is_down_is_not_hammered_and_everything_ends_well_afterwards() {
    let world = World::new().await;
    world.faults.down("git.fetch");
    world.start();
    let items = [world.begin("First").await, world.begin("Second").await, world.begin("Third").await];
    let open = async || world.engine().queue().await.unwrap().resilience["circuits"].as_array().map_or(0, Vec::len);
    world.eventually("its circuit is open", async || open().await == 1).await;
    world
        .eventually("everybody waits for it", async || {
            let jobs = world.store.open_jobs(None).await.unwrap();
            jobs.iter().filter(|j| j.parked.as_deref() == Some("forge:DEMO")).count() == 3
        })
        .await;
    world.faults.up();
    for item in &items {
        world.until_done(item).await;
    }
    assert_eq!(open().await, 0);
    assert_eq!(world.forge_did("merge-done").await, 3);
}

#[tokio::test]
async fn one_slip_of_the_forge_opens_nothing() {
    let world = World::new().await;
    world.faults.plan("git.push", &[How::Before, How::After, How::Before]);
    world.start();
    let item = world.begin("Add a file").await;
    world.until_done(&item).await;
    assert_eq!(world.told_people(), Vec::<String>::new());
    assert_eq!(world.store.recall(&Fact::Circuit("forge:DEMO".into())).await.unwrap(), None);
}

#[tokio::test]
async fn a_task_that_has_cost_enough_asks_a_person_before_the_next_agent() {
    // Each run of the story's agents costs 25 cents.
    let world = World::with(|c| {
        c.policy = Policy { task_budget_micro_usd: Some(250_000), ..c.policy.clone() };
    })
    .await;
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_blocked(&item).await;
    let Phase::Blocked { why, .. } = &task.phase else { panic!("{:?}", task.phase) };
    assert_eq!(
        *why,
        BlockReason::BudgetSpent {
            spent_micro_usd: 250_000,
            limit_micro_usd: 250_000,
            run_micro_usd: None,
            at_most: false
        }
    );
    assert_eq!((world.runs.count("developer"), world.runs.count("reviewer")), (1, 0));
    world.eventually("a person is told", async || world.told_people().iter().any(|t| t.contains("0.25 USD"))).await;
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.until_done(&item).await;
    assert_eq!((world.runs.count("developer"), world.runs.count("reviewer")), (1, 1));
}

#[tokio::test]
async fn what_has_to_be_known_first_is_asked_again_until_the_store_answers_or_never_will() {
    let world = World::new().await;
    world.start();
    let tries = AtomicU32::new(0);
    let never = tokio_util::sync::CancellationToken::new();
    let ask = |last: Result<u8, Fault>| {
        let (engine, clock, tries, never) = (world.engine(), &world.clock, &tries, &never);
        async move {
            let asked = engine.until_answered(never, || async {
                let n = tries.fetch_add(1, Ordering::Relaxed);
                if n % 3 < 2 { Err(Fault::transient("the disk is full")) } else { last.clone() }
            });
            let passes = async {
                loop {
                    clock.advance(1_000);
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! { answer = asked => answer, () = passes => unreachable!() }
        }
    };
    assert_eq!(ask(Ok(7)).await.unwrap(), Some(7));
    assert_eq!(ask(Err(Fault::permanent("damaged"))).await.unwrap_err().text, "damaged");
    assert_eq!(tries.load(Ordering::Relaxed), 6);
    never.cancel();
    let full = || async { Err::<u8, _>(Fault::transient("the disk is full")) };
    assert_eq!(world.engine().until_answered(&never, full).await.unwrap(), None, "it is told to end");
}
