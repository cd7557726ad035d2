//! Webhooks and polls: a delivery makes orch look at once and decides nothing; who waits costs next to nothing.

use crate::faults::ELSEWHERE;
use crate::runs::Does;
use crate::world::{World, anna, demo};
use orch_adapters::gitea::hook::GiteaHook;
use orch_adapters::plane::hook::PlaneHook;
use orch_core::event::Event;
use orch_core::ids::{Sha, Time, WorkItem};
use orch_core::task::Phase;
use orch_engine::Engine;
use orch_engine::inbound::Received;
use orch_ports::clock::Clock as _;
use orch_ports::forge::{CommitStatus, Forge as _, StatusState};
use orch_ports::inbound::{Delivery, Headers, Signal, Webhook};
use orch_ports::tracker::{CallBudget, TicketState};
use std::sync::Arc;
use std::time::Duration;

/// The vendor's reader, with a signature that a story can make.
struct Signed<W>(W);

impl<W: Webhook> Webhook for Signed<W> {
    fn source(&self) -> &'static str {
        self.0.source()
    }
    fn has_secret(&self) -> bool {
        true
    }
    fn is_genuine(&self, headers: Headers<'_>, _: &[u8]) -> bool {
        headers("signed") == Some("yes")
    }
    fn read(&self, headers: Headers<'_>, body: &[u8]) -> Delivery {
        self.0.read(headers, body)
    }
    fn signals(&self, delivery: &Delivery) -> Vec<Signal> {
        self.0.signals(delivery)
    }
}

/// What a server sends.
#[derive(Clone, Debug)]
struct Sent {
    source: &'static str,
    event: &'static str,
    body: String,
}

impl Sent {
    /// A ticket was moved.
    fn ticket(number: u64, mark: &str) -> Self {
        let body = format!(r#"{{"action":"updated","data":{{"id":"{number}","project":"DEMO"}},"mark":"{mark}"}}"#);
        Self { source: "plane", event: "issue", body }
    }
    /// A branch was moved to a commit.
    fn push(repository: &str, branch: &str, commit: &Sha) -> Self {
        let body = format!(
            r#"{{"ref":"refs/heads/{branch}","after":"{commit}","repository":{{"full_name":"{repository}"}}}}"#
        );
        Self { source: "gitea", event: "push", body }
    }
    /// A check has reported on a commit.
    fn status(commit: &Sha) -> Self {
        let body = format!(r#"{{"sha":"{commit}","state":"success","repository":{{"full_name":"Acme/Shop"}}}}"#);
        Self { source: "gitea", event: "status", body }
    }

    async fn to(&self, engine: &Engine, name: &str) -> Received {
        let headers = |asked: &str| match asked {
            "signed" => Some("yes"),
            "x-gitea-event" | "x-plane-event" => Some(self.event),
            "x-gitea-delivery" | "x-plane-delivery" => Some(name),
            _ => None,
        };
        engine.receive(self.source, &headers, self.body.as_bytes()).await.unwrap()
    }
}

fn listen(engine: &Engine) {
    let hooks: [Arc<dyn Webhook>; 2] = [Arc::new(Signed(GiteaHook::default())), Arc::new(Signed(PlaneHook::default()))];
    engine.set_webhooks(hooks.into());
}

/// A world without polling, whose repository is on another machine.
async fn elsewhere(choose: impl FnOnce(&mut crate::world::Choice)) -> (World, Arc<Engine>) {
    let world = World::with(choose).await;
    world.faults.move_elsewhere(world.forge.remote(&demo()).await.unwrap());
    let engine = world.start();
    listen(&engine);
    (world, engine)
}

fn green(at: Time) -> CommitStatus {
    let (context, description) = ("build".into(), "fine".into());
    CommitStatus { context, state: StatusState::Success, description, url: None, at }
}

/// CI is somebody else's, who reports to the forge.
fn foreign_ci(c: &mut crate::world::Choice) {
    c.ci = None;
    c.policy.own_ci = false;
    c.ci_wait_ms = 100_000_000;
}

#[tokio::test]
async fn a_delivery_makes_the_tracker_be_read_and_the_ticket_says_what_happens() {
    let (world, engine) = elsewhere(|c| c.poll = false).await;
    let item = world.ticket("Add a file").await;
    world.eventually("the first look", async || 0 < world.faults.calls("tracker.changed_since")).await;
    // A delivery alone starts nothing: the ticket is where it was.
    assert_eq!(Sent::ticket(1, "a").to(&engine, "n1").await, Received::Kept);
    let looks =
        async |n: u64| world.eventually("looks", async || engine.inbound().await.unwrap()[1].counts.looks == n).await;
    looks(1).await;
    assert!(matches!(world.task(&item).await.phase, Phase::Idle));
    world.move_ticket(1, TicketState::InProgress, &anna()).await;
    world.clock.advance(2_000);
    assert_eq!(Sent::ticket(1, "b").to(&engine, "n2").await, Received::Kept);
    world.until(&item, "started", |t| !matches!(t.phase, Phase::Idle)).await;
    world.until_done(&item).await;
}

#[tokio::test]
async fn a_push_to_main_is_seen_at_once_and_a_status_ends_a_wait() {
    let (world, engine) = elsewhere(|c| {
        foreign_ci(c);
        c.poll = false;
    })
    .await;
    let item = world.begin("Add a file").await;
    let task = world.until(&item, "waits for CI", |t| t.phase_word() == "waiting").await;
    let outside = world.outsider_on_main("other.txt", "by hand\n");
    let before = world.faults.calls("git.fetch");
    assert_eq!(Sent::push("acme/shop", "main", &outside).to(&engine, "n1").await, Received::Kept);
    world
        .eventually("main is known", async || {
            engine.main_of(&demo(), 1).await.unwrap().is_some_and(|m| m.0.tip == outside)
        })
        .await;
    assert_eq!(world.faults.calls("git.fetch"), before + 1, "one look");
    let head = task.branch.head.unwrap();
    world.forge.set_status(&demo(), &head, &green(world.clock.now())).await.unwrap();
    assert_eq!(Sent::status(&head).to(&engine, "n2").await, Received::Kept);
    world.eventually("it was looked at", async || engine.inbound().await.unwrap()[0].counts.looks == 2).await;
    world.until(&item, "goes on", |t| t.stage().as_str() != "development").await;
}

#[tokio::test]
async fn what_is_not_signed_twice_or_about_nobody_is_counted_and_moves_nothing() {
    let (world, engine) = elsewhere(|_| {}).await;
    let forged = engine.receive("gitea", &|_| None, b"{}").await.unwrap();
    assert_eq!(forged, Received::Refused);
    assert_eq!(engine.receive("github", &|_| Some("yes"), b"{}").await.unwrap(), Received::Unknown);
    let strange = Sent::push("acme/other", "main", &world.main_tip().await);
    assert_eq!(strange.to(&engine, "n1").await, Received::Kept);
    assert_eq!(strange.to(&engine, "n1").await, Received::Again, "by its name");
    assert_eq!(strange.to(&engine, "n2").await, Received::Again, "by its body");
    let silent = Sent { source: "gitea", event: "fork", body: r#"{"repository":{"full_name":"acme/shop"}}"#.into() };
    assert_eq!(silent.to(&engine, "n3").await, Received::Kept);
    engine.too_large("gitea");
    world.eventually("resolved", async || engine.inbound().await.unwrap()[0].unresolved == 0).await;
    let gitea = engine.inbound().await.unwrap().swap_remove(0);
    let c = gitea.counts;
    assert_eq!((c.received, c.refused, c.duplicate, c.too_large), (4, 1, 2, 1));
    assert_eq!((c.unknown, c.silent, c.looks), (1, 1, 0));
    assert!(gitea.last.is_some() && gitea.set_up);
}

#[tokio::test]
async fn what_was_acknowledged_before_a_crash_is_looked_up_behind_it_and_a_fault_only_puts_it_off() {
    let (world, engine) = elsewhere(|c| c.poll = false).await;
    let outside = world.outsider_on_main("other.txt", "by hand\n");
    // The forge does not answer.
    world.faults.down("git.fetch");
    assert_eq!(Sent::push("acme/shop", "main", &outside).to(&engine, "n1").await, Received::Kept);
    world.eventually("it was tried", async || !engine.failing_watchers().is_empty()).await;
    assert_eq!(engine.inbound().await.unwrap()[0].unresolved, 1);
    world.kill().await;
    world.faults.up();
    let engine = world.start();
    listen(&engine);
    world.eventually("it is looked up", async || engine.inbound().await.unwrap()[0].unresolved == 0).await;
    assert_eq!(engine.main_of(&demo(), 1).await.unwrap().unwrap().0.tip, outside);
}

/// What a world has come to: how tasks stand, what they cost, what is on main.
async fn end_of(world: &World, items: &[WorkItem]) -> Vec<String> {
    let mut end = Vec::new();
    for item in items {
        let task = world.task(item).await;
        let ticket = world.ticket_now(task.number).await;
        end.push(format!("{item} {} {} {:?} {:?}", task.stage(), task.phase_word(), task.spent.rounds, ticket.state));
    }
    end.push(format!("{} runs of agents", world.runs.count("developer") + world.runs.count("reviewer")));
    let mut commits = world.commits("main");
    commits.sort();
    end.extend(commits);
    let mut files: Vec<String> = crate::world::git(&world.bare(), &["ls-tree", "-r", "--name-only", "main"])
        .lines()
        .map(str::to_owned)
        .collect();
    files.sort();
    end.extend(files);
    end
}

/// What people and servers do in three tasks' lives, and how its deliveries arrive: each so many times, in this order.
async fn live(times: usize, order: impl Fn(&mut Vec<Sent>)) -> Vec<String> {
    let (world, engine) = elsewhere(foreign_ci).await;
    let mut items = Vec::new();
    for n in 1..=3 {
        items.push(world.ticket(&format!("Add file {n}")).await);
    }
    let deliver = async |sent: Vec<Sent>| {
        let mut all: Vec<Sent> = sent.into_iter().flat_map(|one| std::iter::repeat_n(one, times)).collect();
        order(&mut all);
        for (n, one) in all.iter().enumerate() {
            one.to(&engine, &format!("{n}-{}", world.clock.now().0)).await;
        }
    };
    for number in 1..=3 {
        world.move_ticket(number, TicketState::InProgress, &anna()).await;
    }
    deliver((1..=3).map(|n| Sent::ticket(n, "start")).collect()).await;
    let mut statuses = Vec::new();
    for item in &items {
        let task = world.until(item, "waits for CI", |t| t.phase_word() == "waiting").await;
        statuses.push(task.branch.head.unwrap());
    }
    // One is cancelled, main moves, CI reports.
    world.move_ticket(3, TicketState::Cancelled, &anna()).await;
    let outside = world.outsider_on_main("other.txt", "by hand\n");
    // Of the cancelled one CI says nothing: who is first there is the world's matter.
    statuses.truncate(2);
    for head in &statuses {
        world.forge.set_status(&demo(), head, &green(world.clock.now())).await.unwrap();
    }
    let mut sent = vec![Sent::ticket(3, "cancel"), Sent::push("acme/shop", "main", &outside)];
    sent.extend(statuses.iter().map(Sent::status));
    deliver(sent).await;
    world.until(&items[2], "cancelled", |t| matches!(t.phase, Phase::Cancelled { .. })).await;
    // What is prepared for the merge is another commit: it is judged, too. One merges behind the other.
    let began = std::time::Instant::now();
    let mut open: Vec<&WorkItem> = items[..2].iter().collect();
    while let Some(item) = open.first().copied() {
        let told = world.told_story(item).await;
        assert!(began.elapsed() < Duration::from_mins(2), "{item}: {told:#?}");
        for item in std::mem::take(&mut open) {
            let task = world.task(item).await;
            let waits = task.phase_word() == "waiting";
            if !matches!(task.phase, Phase::Done { .. }) {
                open.push(item);
            }
            if let Some(head) = task.branch.head.filter(|_| waits) {
                world.forge.set_status(&demo(), &head, &green(world.clock.now())).await.unwrap();
                deliver(vec![Sent::status(&head)]).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.until_quiet().await;
    world.eventually("resolved", async || engine.inbound().await.unwrap().iter().all(|v| v.unresolved == 0)).await;
    end_of(&world, &items).await
}

#[tokio::test]
async fn none_each_ten_times_and_any_order_come_to_the_same_end() {
    let shuffle = |seed: u64| {
        move |all: &mut Vec<Sent>| {
            let mut dice = seed;
            for at in (1..all.len()).rev() {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                all.swap(at, usize::try_from(dice >> 33).unwrap() % (at + 1));
            }
        }
    };
    // Six worlds side by side: each of them mostly waits.
    let (none, once, ten, first, second, third) = tokio::join!(
        live(0, |_| {}),
        live(1, |_| {}),
        live(10, |_| {}),
        live(2, shuffle(1)),
        live(2, shuffle(2)),
        live(2, shuffle(3))
    );
    for there in ["other.txt", "DEMO-1.txt", "DEMO-2.txt"] {
        assert!(none.iter().any(|line| line == there), "{none:#?}");
    }
    for (how, end) in [("each once", once), ("each ten times", ten)] {
        assert_eq!(end, none, "{how}");
    }
    for (seed, end) in [first, second, third].into_iter().enumerate() {
        assert_eq!(end, none, "in another order ({seed})");
    }
}

/// Thirty minutes.
const LONG_MS: i64 = 1_800_000;

#[tokio::test]
async fn twenty_tasks_that_wait_for_ci_cost_one_fetch_a_minute_one_list_every_half_minute_and_no_agent() {
    let (world, engine) = elsewhere(|c| {
        foreign_ci(c);
        c.agents = 4;
        c.poll_ms = 30_000;
    })
    .await;
    world.runs.on("developer", |run| {
        run.write(&format!("{}.txt", run.var("ORCH_WORK_ITEM")), "done\n");
        Does::Exit(0)
    });
    let mut items = Vec::new();
    for n in 1..=20 {
        items.push(world.begin(&format!("Add file {n}")).await);
    }
    for item in &items {
        world.until(item, "waits for CI", |t| t.phase_word() == "waiting").await;
    }
    world.until_quiet().await;
    let calls = || (world.faults.calls("git.fetch"), world.faults.calls("tracker.changed_since"));
    let runs = || world.runs.count("developer") + world.runs.count("reviewer");
    let (before, ran, looks) = (calls(), runs(), world.faults.calls("forge.statuses"));
    let began = world.clock.now();
    while world.clock.now().since_ms(began) < LONG_MS {
        world.clock.advance(10_000);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let waited_ms = usize::try_from(world.clock.now().since_ms(began)).unwrap();
    let after = calls();
    let (fetches, lists) = (after.0 - before.0, after.1 - before.1);
    assert!(
        fetches <= waited_ms / 60_000 && lists <= waited_ms / 30_000,
        "{fetches} fetches, {lists} lists in {waited_ms} ms"
    );
    assert!(10 <= fetches && 20 <= lists, "it looks: {fetches} fetches, {lists} lists in {waited_ms} ms");
    assert!(looks + 200 < world.faults.calls("forge.statuses"), "each of them is judged again and again");
    assert_eq!(runs(), ran, "nobody works while everybody waits");
    // Nothing was ever taken for granted: what is new there is found all the same.
    let outside = world.outsider_on_main("other.txt", "by hand\n");
    world.clock.advance(120_000);
    world
        .eventually("main is known", async || {
            engine.main_of(&demo(), 1).await.unwrap().is_some_and(|m| m.0.tip == outside)
        })
        .await;
    assert!(ELSEWHERE.starts_with("https://"));
}

#[tokio::test]
async fn a_short_budget_of_calls_slows_polling_and_a_waiting_task_says_so() {
    let world = World::with(|c| {
        foreign_ci(c);
        c.poll_ms = 30_000;
    })
    .await;
    let engine = world.start();
    let item = world.begin("Add a file").await;
    world.until(&item, "waits for CI", |t| t.phase_word() == "waiting").await;
    let why = async || engine.show_item(&item).await.unwrap().unwrap().waiting.unwrap().ends_when;
    assert!(!why().await.contains("are read every"), "{}", why().await);
    let of = "the token of plane".to_owned();
    *world.budget.lock().unwrap() = Some(CallBudget { of, per_minute: 50, left: 4 });
    assert!(
        why().await.contains("its tickets are read every 60 s: the token of plane has 4 of 50 calls left"),
        "{}",
        why().await
    );
    assert_eq!(engine.paces()[0].1.every_ms, 60_000);
    let began = (world.clock.now(), world.faults.calls("tracker.changed_since"));
    for _ in 0..60 {
        world.clock.advance(10_000);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let waited_ms = usize::try_from(world.clock.now().since_ms(began.0)).unwrap();
    let lists = world.faults.calls("tracker.changed_since") - began.1;
    assert!(3 <= lists && lists <= waited_ms / 57_000 + 1, "{lists} in {waited_ms} ms");
    world.ask(&item, Event::CancelAsked { by: anna() }).await;
}
