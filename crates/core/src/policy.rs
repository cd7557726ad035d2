//! What a project's people decided once and for all: the only configuration the core looks at. The one place that answers
//! "may this person do this": whatever asks people for a decision asks [`Policy::may`], and a mover whom nobody names may do
//! nothing.

use crate::ids::Actor;
use crate::people::{Person, bare, is_nobody, listed, person_of, same_name};
use serde::{Deserialize, Serialize};

/// Something a person wants to do in a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Have agents work on a task: start it, answer them, begin it again.
    Start,
    /// Approve or refuse, and what counts as an approval: a merge by hand, a review, letting a test fail.
    Approve,
    /// Land a branch that a person wrote.
    Land,
    /// Say how a task goes on: comment, hold, edit, cancel, revert.
    Steer {
        /// Does the task land a branch that a person wrote?
        own_branch: bool,
    },
}

impl Act {
    /// Have a task worked on.
    pub fn begin(own_branch: bool) -> Self {
        if own_branch { Self::Land } else { Self::Start }
    }
}

/// Policy of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Developer repairs before a task is blocked (`MAX_DEVELOPER_RETRIES`): one first run plus this many.
    pub max_developer_retries: u32,
    /// Times a role may be asked for readable evidence in one visit.
    pub max_role_attempts: u32,
    /// Times a merge is prepared anew because main moved, and times main may conflict with the branch, each repaired.
    pub max_updates: u32,
    /// The people who are known under several names; a list below names them by the name orch uses, or by one of theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<Person>,
    /// Who may start, cancel, retry and answer. What a list allows: [`Policy::may`].
    pub starters: Vec<Actor>,
    /// Who may approve.
    pub approvers: Vec<Actor>,
    /// Who may land branches of their own; nobody: who may approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub landers: Vec<Actor>,
    /// What the agents of one task may cost, millionths of a US dollar; `None`: no limit. It is looked at before each run,
    /// so that the last one may go beyond it.
    #[serde(default)]
    pub task_budget_micro_usd: Option<u64>,
    /// Does production need a person?
    pub production_approval: bool,
    /// Does a person confirm that nothing has to be changed?
    #[serde(default)]
    pub confirm_no_change: bool,
    /// Is production watched after the deploy?
    pub watch: bool,
    /// Is a degraded production brought back automatically?
    pub auto_rollback: bool,
    /// Are the project's tests run on the default branch before a task's first agent?
    #[serde(default)]
    pub base_first: bool,
    /// Does orch run the project's CI command itself (local forge)?
    pub own_ci: bool,
    /// How soon to look again at what could not be told, milliseconds.
    pub recheck_ms: i64,
    /// How soon to look again at a busy merge lease, milliseconds (`MERGE_DEFER_DELAY_S`).
    pub lease_recheck_ms: i64,
    /// How long something may stay unknown before a person is told, milliseconds.
    pub tell_after_ms: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_developer_retries: 3,
            max_role_attempts: 2,
            max_updates: 20,
            people: Vec::new(),
            starters: Vec::new(),
            approvers: Vec::new(),
            landers: Vec::new(),
            task_budget_micro_usd: None,
            production_approval: false,
            confirm_no_change: false,
            watch: true,
            auto_rollback: false,
            base_first: false,
            own_ci: true,
            recheck_ms: 30_000,
            lease_recheck_ms: 30_000,
            tell_after_ms: 900_000,
        }
    }
}

/// So many times the first pause is the longest between two runs of a command.
const LONGEST: i64 = 120;

impl Policy {
    /// How soon a command that told nothing good is run again, after so long of waiting: ever later. All milliseconds.
    pub fn later_ms(&self, waited_ms: i64) -> i64 {
        (waited_ms / 2).clamp(self.recheck_ms, self.recheck_ms.saturating_mul(LONGEST))
    }
}

impl Policy {
    /// May this person do this in the project? The only answer there is.
    pub fn may(&self, who: &Actor, act: Act) -> bool {
        self.lists(act).into_iter().any(|list| listed(&self.people, list, who))
    }

    /// Who may, as the configuration names them, each once, by name.
    pub fn who_may(&self, act: Act) -> Vec<&str> {
        let mut known: Vec<&str> = self.lists(act).into_iter().flatten().map(Actor::as_str).collect();
        known.sort_unstable();
        known.dedup();
        known
    }

    /// Why this person may not: `what` says what of the project, like `approve tasks of this project`.
    pub fn refusal(&self, who: &Actor, act: Act, what: &str) -> String {
        let known = self.who_may(act);
        let known = if known.is_empty() { "nobody".to_owned() } else { known.join(", ") };
        format!("{} may not {what} (people who may: {known})", who.shown())
    }

    /// Is this one person, whatever the two names are?
    pub fn same_person(&self, one: &Actor, other: &Actor) -> bool {
        if is_nobody(one) || is_nobody(other) {
            return false;
        }
        match (person_of(&self.people, one), person_of(&self.people, other)) {
            (Some(a), Some(b)) => a.name == b.name,
            (None, None) => same_name(one, other) || (bare(one) == bare(other) && self.names_everywhere(bare(one))),
            _ => false,
        }
    }

    /// Does a list name this person without a system? Then it is one person on every system.
    fn names_everywhere(&self, name: &str) -> bool {
        let lists = [&self.approvers, &self.starters, &self.landers];
        lists.into_iter().flatten().any(|entry| entry.as_str() == name)
    }

    fn lists(&self, act: Act) -> Vec<&[Actor]> {
        let landers = if self.landers.is_empty() { &self.approvers } else { &self.landers };
        match act {
            Act::Approve => vec![&self.approvers],
            Act::Start | Act::Steer { own_branch: false } => vec![&self.starters, &self.approvers],
            Act::Land => vec![landers],
            Act::Steer { own_branch: true } => vec![&self.starters, &self.approvers, landers],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Act; 5] =
        [Act::Start, Act::Approve, Act::Land, Act::Steer { own_branch: false }, Act::Steer { own_branch: true }];

    fn person(name: &str, names: &[&str]) -> Person {
        Person { name: name.into(), names: names.iter().map(|name| Actor::from(*name)).collect() }
    }

    #[test]
    fn a_bare_name_is_that_name_from_anywhere_and_a_full_one_is_exact() {
        let policy = Policy { approvers: vec!["anna".into(), "gitea:bob".into()], ..Policy::default() };
        let may = |who: &str, act| policy.may(&who.into(), act);
        assert!(may("local:anna", Act::Approve) && may("plane:anna", Act::Approve) && may("gitea:bob", Act::Approve));
        assert!(!may("local:bob", Act::Approve) && !may("orch", Act::Approve));
        assert!(may("local:anna", Act::Start), "who approves may start");
        assert!(may("local:anna", Act::Land), "approvers land where no lander is named");
        let policy = Policy { landers: vec!["carl".into()], ..policy };
        let may = |who: &str, act| policy.may(&who.into(), act);
        assert!(may("local:carl", Act::Land) && !may("local:anna", Act::Land));
        assert!(!may("local:carl", Act::Start) && !may("local:carl", Act::Steer { own_branch: false }));
        assert!(may("local:carl", Act::Steer { own_branch: true }));
    }

    #[test]
    fn a_person_is_one_person_on_every_system() {
        let people =
            vec![person("anna", &["local:anna", "gitea:Anna.B", "telegram:123"]), person("bob", &["gitea:anna"])];
        let policy = Policy { people, approvers: vec!["anna".into()], ..Policy::default() };
        for who in ["local:anna", "gitea:anna.b", "GITEA:anna.b", "telegram:123", "anna"] {
            let known = who != "GITEA:anna.b";
            assert_eq!(policy.may(&who.into(), Act::Approve), known, "{who}");
        }
        // Bob's account at Gitea has her name, and Plane has one that belongs to neither.
        for who in ["gitea:anna", "plane:anna", "local:Anna", "local:bob", "bob", "telegram:12", "gitea:anna.b2"] {
            assert!(!policy.may(&who.into(), Act::Approve), "{who}");
        }
        assert!(policy.same_person(&"local:anna".into(), &"gitea:ANNA.b".into()));
        assert!(!policy.same_person(&"local:anna".into(), &"gitea:anna".into()));
        assert!(!policy.same_person(&"local:anna".into(), &"plane:anna".into()));
        let named = Policy { approvers: vec!["gitea:anna.b".into()], ..policy };
        assert!(named.may(&"local:anna".into(), Act::Approve), "one of the names on a list is the person");
    }

    #[test]
    fn whoever_is_not_known_may_nothing_whatever_a_list_says() {
        let nobody = ["unknown", "local:unknown", "orch"];
        let list: Vec<Actor> = nobody.iter().map(|name| Actor::from(*name)).collect();
        let people = vec![person("unknown", &["local:unknown"]), person("orch", &["local:orch"])];
        for people in [Vec::new(), people] {
            let (starters, approvers, landers) = (list.clone(), list.clone(), list.clone());
            let policy = Policy { people, starters, approvers, landers, ..Policy::default() };
            for (who, act) in nobody.into_iter().flat_map(|who| ALL.map(|act| (who, act))) {
                assert!(!policy.may(&who.into(), act), "{who} {act:?}");
                assert!(!policy.same_person(&who.into(), &who.into()), "two who are not known may be two");
            }
        }
    }

    #[test]
    fn without_a_table_a_name_that_is_listed_bare_is_one_person() {
        let policy = Policy { approvers: vec!["anna".into()], ..Policy::default() };
        assert!(policy.same_person(&"local:anna".into(), &"gitea:anna".into()));
        assert!(!policy.same_person(&"local:bob".into(), &"gitea:bob".into()));
        assert!(
            policy.same_person(&"gitea:Bob".into(), &"gitea:bob".into())
                && !policy.same_person(&"local:Bob".into(), &"local:bob".into())
        );
    }

    #[test]
    fn a_refusal_names_who_may_each_once() {
        let policy = Policy {
            approvers: vec!["local:anna".into()],
            starters: vec!["local:sam".into(), "local:anna".into()],
            ..Policy::default()
        };
        let text = policy.refusal(&"local:eve".into(), Act::Start, "start tasks of this project");
        assert_eq!(text, "local:eve may not start tasks of this project (people who may: local:anna, local:sam)");
        let text = Policy::default().refusal(&Actor::unknown(), Act::Land, "land branches of SHOP");
        assert_eq!(
            text,
            "a person whom the tracker does not name may not land branches of SHOP (people who may: nobody)"
        );
    }
}
