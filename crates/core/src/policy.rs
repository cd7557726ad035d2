//! What a project's people decided once and for all: the only configuration the core looks at.

use crate::ids::Actor;
use serde::{Deserialize, Serialize};

/// Policy of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Developer repairs before a task is blocked (`MAX_DEVELOPER_RETRIES`): one first run plus this many.
    pub max_developer_retries: u32,
    /// Times a role may be asked for readable evidence in one visit.
    pub max_role_attempts: u32,
    /// Times a merge is prepared anew because main moved, and times main may conflict with the branch, each repaired.
    pub max_updates: u32,
    /// Who may start, cancel, retry and answer.
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
    /// May this person approve?
    pub fn may_approve(&self, who: &Actor) -> bool {
        listed(&self.approvers, who)
    }
    /// May this person start, cancel, retry or answer?
    pub fn may_start(&self, who: &Actor) -> bool {
        listed(&self.starters, who) || self.may_approve(who)
    }
    /// May this person land a branch of people, and let one be landed again?
    pub fn may_land(&self, who: &Actor) -> bool {
        listed(self.landers_or_approvers(), who)
    }
    /// Who may.
    pub fn landers_or_approvers(&self) -> &[Actor] {
        if self.landers.is_empty() { &self.approvers } else { &self.landers }
    }
}

/// `local:anna` on the list is exactly her; `anna` is that name wherever it comes from.
fn listed(list: &[Actor], who: &Actor) -> bool {
    if *who == Actor::unknown() {
        return false;
    }
    let name = who.as_str().split_once(':').map_or(who.as_str(), |(_, name)| name);
    list.iter().any(|entry| entry == who || (!entry.as_str().contains(':') && entry.as_str() == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_that_name_from_anywhere_and_a_full_one_is_exact() {
        let policy = Policy { approvers: vec!["anna".into(), "gitea:bob".into()], ..Policy::default() };
        assert!(policy.may_approve(&"local:anna".into()));
        assert!(policy.may_approve(&"plane:anna".into()));
        assert!(policy.may_approve(&"gitea:bob".into()));
        assert!(!policy.may_approve(&"local:bob".into()));
        assert!(!policy.may_approve(&"orch".into()));
        assert!(policy.may_start(&"local:anna".into()));
        assert!(policy.may_land(&"local:anna".into()), "approvers land where nobody else is named");
        let policy = Policy { landers: vec!["carl".into()], ..policy };
        assert!(policy.may_land(&"local:carl".into()) && !policy.may_land(&"local:anna".into()));
        assert!(!policy.may_start(&"local:carl".into()));
        let policy = Policy { starters: vec![Actor::unknown()], approvers: vec![Actor::unknown()], ..policy };
        assert!(!policy.may_start(&Actor::unknown()), "a mover who is not known may do nothing, whatever a list says");
    }
}
