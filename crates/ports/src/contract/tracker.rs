//! What every tracker must do. Prevents that orch is right on the local tracker and wrong on a real one: tickets and
//! comments made twice, changes that polling misses, titles that lose their script.

use super::{must, must_fail};
use crate::tracker::{TicketState, Tracker};
use orch_core::ids::{Actor, ProjectKey, Time};
use orch_core::verdict::FaultKind;

/// What the suite needs beside the port.
#[async_trait::async_trait]
pub trait TrackerFixture: Send + Sync {
    /// A project the suite may write into; other tickets may be there.
    fn project(&self) -> ProjectKey;
    /// A word no other run of the suite has used, for keys and titles.
    fn unique(&self) -> String;
    /// Who the tracker says it was when orch changes something.
    fn actor(&self) -> Actor;
    /// Edits a ticket's text past the port, as a person in a browser would.
    async fn edit(&self, number: u64, title: &str, body: &str);
}

/// Runs the whole suite.
pub async fn all(tracker: &dyn Tracker, fixture: &dyn TrackerFixture) {
    a_ticket_is_made_once_per_key(tracker, fixture).await;
    a_title_keeps_its_script(tracker, fixture).await;
    a_title_that_says_nothing_is_refused(tracker, fixture).await;
    a_ticket_that_is_not_there_is_gone(tracker, fixture).await;
    every_state_can_be_set_and_is_read_back(tracker, fixture).await;
    setting_the_same_state_changes_nothing(tracker, fixture).await;
    polling_sees_every_change_in_order(tracker, fixture).await;
    a_comment_is_written_once_per_key(tracker, fixture).await;
}

/// A retried creation finds what the first one made, even with other words.
pub async fn a_ticket_is_made_once_per_key(tracker: &dyn Tracker, fixture: &dyn TrackerFixture) {
    let (project, unique, actor) = (fixture.project(), fixture.unique(), fixture.actor());
    let key = format!("create-{unique}");
    let first = must("create", tracker.create(&project, &unique, "the body", &actor, &key, 0).await);
    assert_eq!((&first.project, first.title.as_str()), (&project, unique.as_str()));
    assert!(first.body.contains("the body"), "body read back: {:?}", first.body);
    let again = must("create again", tracker.create(&project, "other words", "", &actor, &key, 0).await);
    assert_eq!(again.number, first.number, "the same key makes one ticket");
    assert_eq!(again.title, first.title, "and leaves it as it is");
    let other = must("create another", tracker.create(&project, &unique, "", &actor, &format!("{key}-b"), 0).await);
    assert_ne!(other.number, first.number, "another key makes another ticket, whatever its title");
}

/// Titles are not mangled.
pub async fn a_title_keeps_its_script(tracker: &dyn Tracker, fixture: &dyn TrackerFixture) {
    let (project, unique) = (fixture.project(), fixture.unique());
    let title = format!("Отчёт 中文 عربى \"quotes\" & <b> 🚀 {unique}");
    let made = must("create", tracker.create(&project, &title, "", &fixture.actor(), &unique, 0).await);
    assert_eq!(must("read", tracker.ticket(&project, made.number).await).title, title);
}

/// An empty title is a mistake of the caller, and asking again will not help.
pub async fn a_title_that_says_nothing_is_refused(tracker: &dyn Tracker, fixture: &dyn TrackerFixture) {
    for title in ["", "  \t "] {
        let made = tracker.create(&fixture.project(), title, "b", &fixture.actor(), &fixture.unique(), 0).await;
        let fault = must_fail("create without a title", FaultKind::Permanent, made);
        assert!(fault.text.contains("title"), "the fault names what is wrong: {fault}");
    }
}

/// A missing ticket is `Gone` in every verb.
pub async fn a_ticket_that_is_not_there_is_gone(tracker: &dyn Tracker, fixture: &dyn TrackerFixture) {
    let (project, nobody) = (fixture.project(), 987_654_321);
    must_fail("read", FaultKind::Gone, tracker.ticket(&project, nobody).await);
    let state = tracker.set_state(&project, nobody, TicketState::Done, &fixture.actor()).await;
    must_fail("set the state", FaultKind::Gone, state);
    must_fail("comment", FaultKind::Gone, tracker.put_comment(&project, nobody, "k", "text").await);
    must_fail("read comments", FaultKind::Gone, tracker.comments(&project, nobody).await);
}

/// The mapping of states is complete in both directions.
pub async fn every_state_can_be_set_and_is_read_back(tracker: &dyn Tracker, fixture: &dyn TrackerFixture) {
    let (project, unique, actor) = (fixture.project(), fixture.unique(), fixture.actor());
    let number = must("create", tracker.create(&project, &unique, "", &actor, &unique, 0).await).number;
    for state in TicketState::ALL.iter().rev() {
        must(state.as_str(), tracker.set_state(&project, number, *state, &actor).await);
        let read = must("read", tracker.ticket(&project, number).await);
        assert_eq!(read.state, *state);
        assert!(read.state_by.is_none_or(|by| by == actor), "where it says who, it is the one who did it");
    }
}

/// Otherwise every poll would wake the next one.
pub async fn setting_the_same_state_changes_nothing(tracker: &dyn Tracker, fixture: &dyn TrackerFixture) {
    let (project, unique, actor) = (fixture.project(), fixture.unique(), fixture.actor());
    let number = must("create", tracker.create(&project, &unique, "", &actor, &unique, 0).await).number;
    must("set", tracker.set_state(&project, number, TicketState::InProgress, &actor).await);
    let before = must("read", tracker.ticket(&project, number).await);
    must("set again", tracker.set_state(&project, number, TicketState::InProgress, &actor).await);
    assert_eq!(must("read", tracker.ticket(&project, number).await), before);
}

/// Polling from the time of the last change seen misses none, and the oldest change comes first.
pub async fn polling_sees_every_change_in_order(tracker: &dyn Tracker, fixture: &dyn TrackerFixture) {
    let (project, unique, actor) = (fixture.project(), fixture.unique(), fixture.actor());
    let mut made = Vec::new();
    for n in 0..3 {
        let key = format!("{unique}-{n}");
        made.push(must("create", tracker.create(&project, &key, "", &actor, &key, 0).await));
    }
    let since = made[0].updated_at;
    let seen = ours(tracker, fixture, since, &made.iter().map(|t| t.number).collect::<Vec<_>>()).await;
    assert_eq!(seen, made.iter().map(|t| t.number).collect::<Vec<_>>(), "at or after, oldest change first");

    must("set", tracker.set_state(&project, made[0].number, TicketState::Todo, &actor).await);
    fixture.edit(made[1].number, &format!("{unique} edited"), "by a person").await;
    let seen = ours(tracker, fixture, made[2].updated_at, &[made[0].number, made[1].number]).await;
    assert_eq!(seen, [made[0].number, made[1].number], "a state change and an edit by a person are both seen");
    let edited = must("read", tracker.ticket(&project, made[1].number).await);
    assert_eq!(edited.title, format!("{unique} edited"));
    let later = edited.updated_at.plus_ms(1);
    assert_eq!(ours(tracker, fixture, later, &[made[0].number, made[1].number]).await, [0_u64; 0], "nothing is newer");
}

/// The numbers among `interesting`, in the order polling tells them; times must not go back.
async fn ours(tracker: &dyn Tracker, fixture: &dyn TrackerFixture, since: Time, interesting: &[u64]) -> Vec<u64> {
    let changed = must("poll", tracker.changed_since(&fixture.project(), since).await);
    assert!(changed.is_sorted_by_key(|t| t.updated_at), "oldest change first");
    assert!(changed.iter().all(|t| t.updated_at >= since), "nothing older than asked for");
    changed.iter().map(|t| t.number).filter(|n| interesting.contains(n)).collect()
}

/// One living comment per key instead of a stream.
pub async fn a_comment_is_written_once_per_key(tracker: &dyn Tracker, fixture: &dyn TrackerFixture) {
    let (project, unique, actor) = (fixture.project(), fixture.unique(), fixture.actor());
    let number = must("create", tracker.create(&project, &unique, "", &actor, &unique, 0).await).number;
    for (key, body) in
        [("status", "stage one"), ("question", "which colour?"), ("status", "stage two"), ("status", "stage two")]
    {
        must("comment", tracker.put_comment(&project, number, &format!("{unique}/{key}"), body).await);
    }
    let comments = must("read comments", tracker.comments(&project, number).await);
    let keys: Vec<_> = comments.iter().filter_map(|c| c.key.as_deref()).collect();
    assert_eq!(keys, [format!("{unique}/status"), format!("{unique}/question")], "oldest first, each key once");
    assert!(comments[0].body.contains("stage two") && !comments[0].body.contains("stage one"), "text is replaced");
    assert!(comments[1].body.contains("which colour?"));
}
