//! The contract, and what only the local tracker promises.

use super::*;
use crate::test_clock::TestClock;
use orch_core::verdict::FaultKind;
use orch_ports::contract::tracker::{self as contract, TrackerFixture};
use std::sync::atomic::{AtomicU64, Ordering};

struct Fixture {
    tracker: Arc<LocalTracker>,
    runs: AtomicU64,
}

#[async_trait::async_trait]
impl TrackerFixture for Fixture {
    fn project(&self) -> ProjectKey {
        "DEMO".into()
    }
    fn unique(&self) -> String {
        format!("u{}", self.runs.fetch_add(1, Ordering::Relaxed))
    }
    fn actor(&self) -> Actor {
        Actor::orch()
    }
    async fn edit(&self, number: u64, title: &str, body: &str) {
        self.tracker.edit(&self.project(), number, title, body, &"local:anna".into()).await.unwrap();
    }
}

struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<TestClock>,
    tracker: Arc<LocalTracker>,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::at(1_000);
    let tracker = Arc::new(LocalTracker::open(&dir.path().join("tracker.db"), clock.clone()).unwrap());
    Bench { dir, clock, tracker }
}

fn demo() -> ProjectKey {
    "DEMO".into()
}
fn anna() -> Actor {
    "local:anna".into()
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let bench = bench();
    let fixture = Fixture { tracker: bench.tracker.clone(), runs: AtomicU64::new(0) };
    contract::all(bench.tracker.as_ref(), &fixture).await;
}

#[tokio::test]
async fn numbers_start_at_one_in_every_project_and_a_retry_leaves_no_gap() {
    let Bench { tracker, .. } = bench();
    let mut numbers = Vec::new();
    for key in ["a", "a", "b", "a", "c"] {
        numbers.push(tracker.create(&demo(), "t", "", &anna(), key, 0).await.unwrap().number);
    }
    assert_eq!(numbers, [1, 1, 2, 1, 3]);
    assert_eq!(tracker.create(&"OTHER".into(), "t", "", &anna(), "a", 0).await.unwrap().number, 1);
}

#[tokio::test]
async fn a_number_that_is_given_out_elsewhere_is_not_given_out_here() {
    let Bench { tracker, clock, dir } = bench();
    let first = tracker.create(&demo(), "t", "", &anna(), "a", 6).await.unwrap();
    assert_eq!(first.number, 7);
    assert_eq!(tracker.create(&demo(), "t", "", &anna(), "a", 9).await.unwrap(), first, "what is there is there");
    assert_eq!(tracker.create(&demo(), "t", "", &anna(), "b", 2).await.unwrap().number, 8, "it knows of more itself");
    assert_eq!(tracker.create(&"OTHER".into(), "t", "", &anna(), "a", 0).await.unwrap().number, 1);
    let fault = tracker.create(&demo(), "t", "", &anna(), "c", u64::MAX).await.unwrap_err();
    assert!(fault.text.contains("number"), "{fault}");
    // Another tracker's ticket of the same number and key is another ticket.
    clock.set(2_000);
    let other = LocalTracker::open(&dir.path().join("other.db"), clock).unwrap();
    let same = other.create(&demo(), "t", "", &anna(), "a", 6).await.unwrap();
    assert_eq!(same.number, first.number);
    assert_ne!(same.id, first.id);
    assert_eq!(same.created_at, Time(2_000));
}

#[tokio::test]
async fn twenty_creations_at_once_make_one_ticket() {
    let Bench { tracker, .. } = bench();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let tracker = tracker.clone();
            tokio::spawn(async move { tracker.create(&demo(), "t", "", &anna(), "same", 0).await.unwrap().number })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    assert_eq!(tracker.log(&demo()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_clock_that_goes_back_hides_no_change() {
    let Bench { tracker, clock, .. } = bench();
    let first = tracker.create(&demo(), "one", "", &anna(), "a", 0).await.unwrap();
    assert_eq!(first.updated_at, Time(1_000));
    clock.set(10);
    let second = tracker.create(&demo(), "two", "", &anna(), "b", 0).await.unwrap();
    tracker.set_state(&demo(), 1, TicketState::Todo, &anna()).await.unwrap();
    let seen = tracker.changed_since(&demo(), second.updated_at).await.unwrap();
    assert_eq!(seen.iter().map(|t| (t.number, t.updated_at)).collect::<Vec<_>>(), [(2, Time(1_001)), (1, Time(1_002))]);
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_in_the_log() {
    let Bench { tracker, dir, clock } = bench();
    tracker.create(&demo(), "  Заявка  ", "body", &anna(), "a", 0).await.unwrap();
    tracker.set_state(&demo(), 1, TicketState::InProgress, &anna()).await.unwrap();
    tracker.set_state(&demo(), 1, TicketState::InProgress, &anna()).await.unwrap();
    for body in ["one", "two", "two"] {
        tracker.put_comment(&demo(), 1, "status", body).await.unwrap();
    }
    drop(tracker);
    let tracker = LocalTracker::open(&dir.path().join("tracker.db"), clock).unwrap();
    let ticket = tracker.ticket(&demo(), 1).await.unwrap();
    assert_eq!((ticket.title.as_str(), ticket.state), ("Заявка", TicketState::InProgress.into()));
    let log = tracker.log(&demo()).await.unwrap();
    let told: Vec<_> = log.iter().map(|l| (l.effect.as_str(), l.detail.as_str(), l.by.as_str())).collect();
    assert_eq!(
        told,
        [
            ("ticket-created", "Заявка", "local:anna"),
            ("state-set", "InProgress", "local:anna"),
            ("comment-written", "status", "orch"),
            ("comment-replaced", "status", "orch"),
        ]
    );
}

#[tokio::test]
async fn the_log_cannot_be_rewritten() {
    let Bench { tracker, dir, .. } = bench();
    tracker.create(&demo(), "t", "", &anna(), "a", 0).await.unwrap();
    let other = rusqlite::Connection::open(dir.path().join("tracker.db")).unwrap();
    for change in ["DELETE FROM log", "UPDATE log SET detail = 'x'"] {
        let error = other.execute(change, []).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte_and_not_a_byte_more() {
    let Bench { tracker, .. } = bench();
    let body = "я".repeat(TEXT_CAP / 2);
    let ticket = tracker.create(&demo(), "t", &body, &anna(), "a", 0).await.unwrap();
    assert_eq!(ticket.body, body);
    let fault = tracker.create(&demo(), "t", &format!("{body}x"), &anna(), "b", 0).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert!(fault.text.contains("1048576"), "{fault}");
    let fault = tracker.create(&demo(), "two\nlines", "", &anna(), "c", 0).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permanent);
    assert_eq!(tracker.create(&demo(), "t", "", &anna(), "d", 0).await.unwrap().number, 2, "a refusal takes no number");
}

#[tokio::test]
async fn the_file_of_another_adapter_is_refused() {
    let Bench { dir, clock, tracker } = bench();
    drop(tracker);
    let path = dir.path().join("tracker.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "application_id", 5).unwrap();
    let Err(fault) = LocalTracker::open(&path, clock) else { panic!("opened another program's file") };
    assert!(fault.text.contains("tracker.db"), "{fault}");
}

#[tokio::test]
async fn tickets_made_again_have_their_numbers_and_states_and_are_made_once() {
    let Bench { tracker, dir, clock } = bench();
    let file = dir.path().join("tracker.db");
    assert!(LocalTracker::is_empty(&file));
    let again = |number, title: &str, state| TicketAgain {
        number,
        title: title.into(),
        body: "b".into(),
        state,
        created_at: Time(7),
    };
    let lost = vec![again(2, "two", TicketState::InProgress), again(5, "пять", TicketState::Done)];
    for _ in 0..2 {
        tracker.make_again(&demo(), lost.clone()).await.unwrap();
    }
    assert!(!LocalTracker::is_empty(&file));
    let seen = tracker.changed_since(&demo(), Time(0)).await.unwrap();
    let shown: Vec<_> = seen.iter().map(|t| (t.number, t.title.as_str(), t.body.as_str(), t.state.as_str())).collect();
    assert_eq!(shown, [(2, "two", "b", "InProgress"), (5, "пять", "b", "Done")]);
    assert!(seen.iter().all(|t| t.state_by == Some(Actor::orch()) && t.created_at == Time(7)));
    assert_eq!(
        seen.iter().map(|t| t.id.clone()).collect::<Vec<_>>(),
        lost.iter().map(TicketAgain::id).collect::<Vec<_>>()
    );
    assert_eq!(tracker.log(&demo()).await.unwrap().len(), 2);
    // A ticket that is there is not written over.
    clock.set(3_000);
    tracker.edit(&demo(), 2, "two, better", "b", &anna()).await.unwrap();
    tracker.make_again(&demo(), lost).await.unwrap();
    assert_eq!(tracker.ticket(&demo(), 2).await.unwrap().title, "two, better");
    assert_eq!(tracker.create(&demo(), "t", "", &anna(), "a", 0).await.unwrap().number, 6);
}
