//! What agents may cost: reserved before every run, whatever the run before ended with.

use crate::runs::Does;
use crate::world::{World, anna};
use orch_core::budget::Sums;
use orch_core::event::Event;
use orch_core::ids::{TaskId, Time};
use orch_core::policy::Policy;
use orch_core::task::{BlockReason, Phase};
use orch_ports::clock::Clock;
use orch_store::Whose;

const USD: u64 = 1_000_000;
const DAY_MS: i64 = 24 * 3_600_000;

async fn spent(world: &World, whose: Whose) -> Sums {
    world.store.spending(whose, Time(i64::MIN)).await.unwrap()
}

/// Midnight of tomorrow, UTC.
fn tomorrow(world: &World) -> Time {
    Time((world.clock.now().0 / DAY_MS + 1) * DAY_MS)
}

#[tokio::test]
async fn an_agent_that_says_try_later_is_stopped_before_the_run_that_would_pass_the_tasks_budget() {
    let world = World::with(|c| {
        c.policy = Policy { task_budget_micro_usd: Some(5 * USD), ..c.policy.clone() };
        c.money.run_micro_usd = Some(2 * USD);
    })
    .await;
    world.runs.on("developer", |run| {
        assert_eq!(run.var("ORCH_BUDGET_USD"), "2.000000");
        std::fs::write(run.dir.join("cost"), "2").unwrap();
        Does::Exit(75)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_blocked(&item).await;
    let Phase::Blocked { why, .. } = &task.phase else { panic!("{:?}", task.phase) };
    let (spent_micro_usd, limit_micro_usd) = (4 * USD, 5 * USD);
    assert_eq!(
        *why,
        BlockReason::BudgetSpent { spent_micro_usd, limit_micro_usd, run_micro_usd: Some(2 * USD), at_most: false }
    );
    assert_eq!(world.runs.count("developer"), 2);
    let view = world.engine().show(&task).await.unwrap();
    assert!(
        view.line.contains("4.00 USD, and 5.00 USD is what they may, and a run may cost 2.00 USD"),
        "{}",
        view.line
    );
    assert_eq!((view.cost.as_str(), view.budget_usd, view.reserved_usd), ("4.00", Some(5.0), None));
    // As much again is two more runs: 4 of 9 are spent.
    world.ask(&item, Event::RetryAsked { by: anna() }).await;
    world.eventually("two more runs", async || world.runs.count("developer") == 4).await;
    world.until_blocked(&item).await;
    assert_eq!(
        (world.runs.count("developer"), spent(&world, Whose::Task(task.id)).await.spent_micro_usd),
        (4, 8 * USD)
    );
}

#[tokio::test]
async fn eight_tasks_at_once_stop_at_a_days_budget_say_so_and_go_on_the_next_day() {
    let world = World::with(|c| {
        c.agents = 8;
        c.money.run_micro_usd = Some(USD / 4);
        c.money.all_day_micro_usd = Some(USD);
    })
    .await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let mut items = Vec::new();
    for n in 1..=8 {
        items.push(world.begin(&format!("Add file {n}")).await);
    }
    let parked = async |name: &str| {
        let open = world.store.open_jobs(None).await.unwrap();
        open.into_iter().filter(|j| j.parked.as_deref() == Some(name)).collect::<Vec<_>>()
    };
    world.eventually("four wait for the others", async || parked("budget:reserved").await.len() == 4).await;
    assert_eq!(world.runs.count("developer"), 4);
    let held = spent(&world, Whose::Everybody).await;
    assert_eq!((held.spent_micro_usd, held.reserved_micro_usd), (0, USD));
    let shown = async |job: &orch_store::Job| {
        let task = world.store.task(job.id.task).await.unwrap().unwrap();
        world.engine().show(&task).await.unwrap().waiting.unwrap()
    };
    let waiting = shown(&parked("budget:reserved").await[0]).await;
    let why = "waits for money: the day's budget (day_usd): 0.00 USD spent and 1.00 USD reserved of 1.00 USD, \
               and a run may cost 0.25 USD";
    assert_eq!(waiting.reason, why);
    assert_eq!(
        waiting.ends_when,
        "the runs that have reserved what is left end and leave enough, or the limit is raised in orch.toml (`orch reload`)"
    );
    assert_eq!(world.told_people(), Vec::<String>::new(), "nothing is spent yet");

    // They cost what they may: the day is over for everybody.
    let finish = |world: &World| {
        world.runs.finish("developer", |run| run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "x\n"));
    };
    finish(&world);
    world.eventually("all wait for tomorrow", async || parked("budget:day").await.len() == 8).await;
    assert_eq!(spent(&world, Whose::Everybody).await.spent_micro_usd, USD);
    let waiting = shown(&parked("budget:day").await[0]).await;
    let midnight = orch_engine::view::rfc3339(tomorrow(&world));
    assert_eq!(waiting.until.as_deref(), Some(midnight.as_str()));
    assert_eq!(
        waiting.ends_when,
        "the next day begins ([server] timezone: UTC), or `[budget] day_usd` is raised in orch.toml (`orch reload`)"
    );
    let told = async |word: &str| world.told_people().iter().filter(|t| t.contains(word)).count();
    world.eventually("people hear once that it is nearly spent", async || told("is nearly spent").await == 1).await;
    world.eventually("and once that somebody waits", async || told("it goes on by itself at").await == 1).await;
    let budgets = world.engine().budgets().await.unwrap();
    let day = &budgets[0];
    assert_eq!((day.name.as_str(), day.spent.as_str(), day.left_usd), ("day", "1.00", 0.0));

    // Midnight: four more runs, and no fifth.
    world.clock.advance(tomorrow(&world).0 - world.clock.now().0 + 1_000);
    let of_today = async || {
        let day = Time(world.clock.now().0 / DAY_MS * DAY_MS);
        world.store.spending(Whose::Everybody, day).await.unwrap()
    };
    world
        .eventually("the new day is spent as well", async || {
            finish(&world);
            let today = of_today().await;
            assert!(today.spent_micro_usd + today.reserved_micro_usd <= USD, "{today:?}");
            today.spent_micro_usd == USD
        })
        .await;
    assert_eq!(spent(&world, Whose::Everybody).await.spent_micro_usd, 2 * USD);
}

#[tokio::test]
async fn a_daemon_that_dies_beside_a_run_neither_loses_its_cost_nor_keeps_a_reservation() {
    let world = World::with(|c| {
        c.policy = Policy { task_budget_micro_usd: Some(5 * USD), ..c.policy.clone() };
        c.money.run_micro_usd = Some(2 * USD);
    })
    .await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    let id: TaskId = world.task(&item).await.id;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world.kill().await;
    assert_eq!(spent(&world, Whose::Task(id)).await.reserved_micro_usd, 2 * USD);
    world.start();
    world.runs.finish("developer", |run| {
        std::fs::write(run.dir.join("cost"), "3.5").unwrap();
        run.write("a.txt", "x\n");
    });
    // Of 5 USD 3.50 are spent, and the reviewer may cost 2.
    let task = world.until_blocked(&item).await;
    assert!(matches!(&task.phase, Phase::Blocked { why: BlockReason::BudgetSpent { .. }, .. }), "{:?}", task.phase);
    let sums = spent(&world, Whose::Task(id)).await;
    assert_eq!((sums.spent_micro_usd, sums.reserved_micro_usd, sums.at_most), (3_500_000, 0, 0));
    assert_eq!((world.runs.count("developer"), world.runs.count("reviewer")), (1, 0));
}

#[tokio::test]
async fn a_cost_that_nobody_can_read_is_shown_as_what_it_was_at_most() {
    let world = World::with(|c| {
        c.policy = Policy { task_budget_micro_usd: Some(5 * USD), ..c.policy.clone() };
        c.money.run_micro_usd = Some(2 * USD);
    })
    .await;
    world.runs.on("developer", |run| {
        std::fs::write(run.dir.join("cost"), "a lot").unwrap();
        Does::Exit(75)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_blocked(&item).await;
    assert_eq!(world.runs.count("developer"), 2);
    assert_eq!(world.engine().show(&task).await.unwrap().cost, "<= 4.00");
    let runs = world.store.runs(task.id).await.unwrap();
    assert!(runs.iter().all(|r| r.usage.shown() == "<= 2.00" && r.usage.cost_unread.is_some()), "{runs:#?}");
}

#[tokio::test]
async fn a_cost_that_a_proxy_has_measured_counts_and_its_alarm_reaches_people_once() {
    let world = World::with(|c| {
        c.policy = Policy { task_budget_micro_usd: Some(5 * USD), ..c.policy.clone() };
        c.money.run_micro_usd = Some(2 * USD);
    })
    .await;
    world.runs.on("developer", |run| {
        std::fs::write(run.dir.join("cost"), "at most 0.5").unwrap();
        std::fs::write(run.dir.join("alarm"), "somebody's token came\nanother one's, too").unwrap();
        Does::Exit(77)
    });
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_blocked(&item).await;
    let sums = spent(&world, Whose::Task(task.id)).await;
    assert_eq!((sums.spent_micro_usd, sums.reserved_micro_usd, sums.at_most), (USD / 2, 0, 1));
    assert_eq!(world.engine().show(&task).await.unwrap().cost, "<= 0.50");
    let alarms =
        async || world.told_people().into_iter().filter(|t| t.contains("alarm in developer")).collect::<Vec<_>>();
    world.eventually("people hear of it", async || !alarms().await.is_empty()).await;
    let alarms = alarms().await;
    assert!(matches!(&alarms[..], [all] if all.contains("somebody's token came; another one's, too")), "{alarms:?}");
}

#[tokio::test]
async fn what_the_proxy_of_a_lost_run_has_measured_is_what_the_run_has_cost() {
    let world = World::with(|c| {
        c.money.run_micro_usd = Some(2 * USD);
        c.money.all_day_micro_usd = Some(8 * USD);
    })
    .await;
    world.runs.on("developer", |run| {
        if run.nth == 1 {
            std::fs::write(run.dir.join("cost"), "at most 0.5").unwrap();
            std::fs::write(run.dir.join("alarm"), "somebody's token came").unwrap();
            return Does::Vanish;
        }
        Does::Hang
    });
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("a new run begins", async || world.runs.count("developer") == 2).await;
    assert_eq!(money(&world).await, (USD / 2, 2 * USD), "what was measured, and what the new one may cost");
    let runs = world.store.runs(world.task(&item).await.id).await.unwrap();
    let end = runs.iter().find_map(|run| run.end.clone());
    assert_eq!(end.as_deref(), Some("its supervisor died, and it with it"));
    world
        .eventually("people hear of the alarm", async || {
            world.told_people().iter().any(|t| t.contains("somebody's token came"))
        })
        .await;
}

/// Spent and reserved by everybody, millionths.
async fn money(world: &World) -> (u64, u64) {
    let sums = spent(world, Whose::Everybody).await;
    (sums.spent_micro_usd, sums.reserved_micro_usd)
}

#[tokio::test]
async fn tests_that_are_run_again_reserve_nothing_and_need_no_budget() {
    let world = World::with(|c| {
        (c.test, c.ci) = (Some("test".into()), None);
        c.money.run_micro_usd = Some(USD / 4);
        c.money.all_day_micro_usd = Some(USD / 4);
    })
    .await;
    // Red by chance, then once more: what tells whose fault it is, is no agent.
    world.runs.on("test", |run| match run.nth {
        1 => {
            std::fs::write(run.dir.join("stdout.log"), "test cart::sometimes ... FAILED\n").unwrap();
            Does::Exit(1)
        }
        2 => Does::Hang,
        _ => Does::Exit(0),
    });
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the tests run again", async || world.runs.live("test")).await;
    assert_eq!(money(&world).await, (USD / 4, 0), "the developer's, and nothing beside it");
    world.runs.finish("test", |_| {});
    // The day is spent: the gates went on all the same, and the next agent waits.
    let parked = async || {
        let open = world.store.open_jobs(None).await.unwrap();
        open.iter().any(|job| job.parked.as_deref() == Some("budget:day"))
    };
    world.eventually("the reviewer waits for money", parked).await;
    assert_eq!((world.runs.count("developer"), world.runs.count("reviewer")), (1, 0));
    assert_eq!(money(&world).await, (USD / 4, 0));
    assert_eq!(world.task(&item).await.spent.rounds, 0);
    world.clock.advance(tomorrow(&world).0 - world.clock.now().0 + 1_000);
    world.until_done(&item).await;
    assert_eq!(money(&world).await, (USD / 2, 0));
}

#[tokio::test]
async fn a_pause_keeps_what_is_reserved_for_runs_that_began_and_reserves_nothing_for_others() {
    let world = World::with(|c| {
        c.agents = 2;
        c.money.run_micro_usd = Some(USD);
        c.money.all_day_micro_usd = Some(9 * USD);
    })
    .await;
    world.runs.on("developer", |_| Does::Hang);
    world.start();
    let item = world.begin("Add a file").await;
    world.eventually("the developer works", async || world.runs.live("developer")).await;
    world.engine().pause(None, &anna()).await.unwrap();
    let second = world.begin("Another one").await;
    for _ in 0..2 {
        world.kill().await;
        world.start();
        world.eventually("it stands still", async || world.runs.frozen("developer")).await;
        assert_eq!(money(&world).await, (0, USD), "for one run, once");
    }
    world.engine().resume(None).await.unwrap();
    world.eventually("both work", async || world.runs.count("developer") == 2).await;
    world.runs.on("developer", |run| {
        run.write("a.txt", "x\n");
        Does::Exit(0)
    });
    world.runs.finish("developer", |run| run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "x\n"));
    world.until_done(&item).await;
    world.until_done(&second).await;
    let agents = u64::try_from(world.runs.count("developer") + world.runs.count("reviewer")).unwrap();
    assert_eq!(money(&world).await, (agents * USD / 4, 0), "0.25 USD each, and nothing is left over");
}

#[tokio::test]
async fn a_run_that_was_written_down_and_never_began_costs_nothing() {
    let world = World::with(|c| {
        c.money.run_micro_usd = Some(USD);
        c.money.all_day_micro_usd = Some(9 * USD);
    })
    .await;
    world.faults.plan("git.prepare_worktree", &[crate::faults::How::Pause]);
    world.start();
    let item = world.begin("Add a file").await;
    world.faults.reached("git.prepare_worktree").await;
    world.engine().pause(None, &anna()).await.unwrap();
    world.faults.release();
    world.eventually("its supervisor holds it back", async || world.runs.holds_one_back()).await;
    world.kill().await;
    world.start();
    assert_eq!(money(&world).await, (0, USD));
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    world.until(&item, "cancelled", |t| t.phase_word() == "cancelled").await;
    assert_eq!((money(&world).await, world.runs.count("developer")), ((0, 0), 0));
}

#[tokio::test]
async fn what_a_run_cost_that_nobody_waited_for_counts_when_its_task_is_cleaned_up() {
    let world = World::with(|c| {
        c.money.run_micro_usd = Some(2 * USD);
        c.money.all_day_micro_usd = Some(9 * USD);
    })
    .await;
    world.runs.on("developer", |run| {
        std::fs::write(run.dir.join("cost"), "1.5").unwrap();
        Does::Exit(0)
    });
    // Its worker is refused for good: the job fails, and the run is left to whoever cleans up.
    world.faults.plan("answer developer", &[crate::faults::How::Never]);
    world.start();
    let item = world.begin("Add a file").await;
    let task = world.until_blocked(&item).await;
    let sums = spent(&world, Whose::Task(task.id)).await;
    assert_eq!((sums.spent_micro_usd, sums.at_most), (2 * USD, 1), "so much it cost at most");
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
    world.until_quiet().await;
    let sums = spent(&world, Whose::Task(task.id)).await;
    assert_eq!((sums.spent_micro_usd, sums.reserved_micro_usd, sums.at_most), (USD * 3 / 2, 0, 0));
}
