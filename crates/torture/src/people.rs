//! The person of a world: approves, answers, cancels what is to be dropped, and retries what stands still for a reason
//! the world gave.

use crate::api::field;
use crate::world::World;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Phases in which the tasks that are to be dropped are cancelled, in turn.
const DROP_IN: [&str; 8] =
    ["merging", "waiting", "running", "deploying", "judging", "waiting", "preparing_merge", "awaiting_approval"];

/// What the person has done.
#[derive(Debug, Default)]
pub struct Person {
    /// Retries, ever.
    pub retries: u64,
    /// Cancellations, ever.
    pub cancels: u64,
    /// Answers to questions, ever.
    pub answers: u64,
    /// Work items and roles whose agent was killed: their tasks are retried.
    pub agents_killed: BTreeSet<(String, String)>,
    /// Retry whatever is blocked, because the world was broken.
    pub retries_all: bool,
}

impl Person {
    /// Does what the tasks ask for. True: something was done.
    pub fn look(&mut self, world: &World, tasks: &[Value]) -> bool {
        let mut acted = false;
        for task in tasks {
            let id = field(task, "id");
            let kind = world.made.get(&id).copied().unwrap_or_default();
            let phase = field(task, "phase");
            // Refused if it was done in the meantime: the next look shows what is.
            let ask = |verb: &str, body: Value| world.post(&format!("/api/v1/tasks/{id}/{verb}"), &body).is_ok();
            if kind == "dropped" && DROP_IN[number_of(&id) % DROP_IN.len()] == phase {
                let dropped = ask("cancel", json!({}));
                self.cancels += u64::from(dropped);
                acted |= dropped;
                continue;
            }
            match phase.as_str() {
                "awaiting_approval" => acted |= ask("approve", json!({})),
                "needs_input" => {
                    let answered = ask("answer", json!({ "text": "The first one." }));
                    self.answers += u64::from(answered);
                    acted |= answered;
                }
                // Hooks of this world fail only because something was done to them.
                "production_failed" => self.retries += u64::from(ask("retry", json!({ "as": "deploy" }))),
                "blocked" if kind != "hopeless" => {
                    let killed = self.agents_killed.iter().any(|(item, _)| *item == id);
                    // The daemon died three times at one of its jobs: it cannot know that this was not the job's fault.
                    let quarantined = field(task, "line").contains("quarantined");
                    if killed || quarantined || self.retries_all {
                        self.retries += u64::from(ask("retry", json!({})));
                    }
                }
                _ => {}
            }
        }
        acted
    }
}

/// The 12 of `ALFA-12`.
fn number_of(item: &str) -> usize {
    item.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}
