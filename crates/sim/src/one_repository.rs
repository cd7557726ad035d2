//! Two projects on one repository: tickets, people and commands of their own, one merge lease, and a main that each sees move
//! when the other merges. Each project's site keeps commits of its own; what the other brings in is a stranger's commit there.

use crate::invariants::{Change, ensure};
use crate::sim::{Live, Sim};
use orch_core::ids::ProjectKey;
use orch_core::task::{Phase, Task};

/// The first of the two.
const FIRST: &str = "DEMO";

impl Sim {
    /// The repository of a project, as the world was made.
    pub(crate) fn repository_of(&self, project: &ProjectKey) -> ProjectKey {
        if self.one_repository { FIRST.into() } else { project.clone() }
    }

    /// A merge of this project is on the main of the others on its repository, too.
    pub(crate) fn others_see_main_move(&mut self, project: &ProjectKey) -> Live<()> {
        let of = self.repository_of(project);
        let others: Vec<ProjectKey> =
            self.sites.keys().filter(|key| *key != project && self.repository_of(key) == of).cloned().collect();
        for other in others {
            self.seen.count("answer", "merge: the other project's main moves");
            self.outsider_pushes(&other)?;
        }
        Ok(())
    }
}

/// Is it on its way to a merge, with nobody having taken the lease from it?
fn merges(sim: &Sim, task: &Task) -> bool {
    matches!(task.phase, Phase::Working { .. } | Phase::Stopping { .. })
        && task.pipeline.in_lease_span(task.at)
        && !sim.ledger.reclaimed.contains(&task.id)
}

/// At most one task of a repository is between `Update` and the read-back of `Merge`, whichever project it is of.
pub(crate) fn invariant_one_merges_into_a_repository(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let after = change.after;
    if !merges(sim, after) {
        return Ok(());
    }
    let of = sim.repository_of(&after.project);
    let rival = sim.tasks.values().find(|t| t.id != after.id && sim.repository_of(&t.project) == of && merges(sim, t));
    ensure(rival.is_none(), "one_merges_into_a_repository", || {
        format!("{} and {:?} both prepare a merge into {of}", after.work_item, rival.map(|t| &t.work_item))
    })
}
