//! Two projects on one repository: tickets, people and commands of their own, one merge lease, and a main that each sees move
//! when the other merges. Each project's site keeps commits of its own; what the other brings in is a stranger's commit
//! there.

use crate::sim::{Live, Sim};
use orch_core::ids::ProjectKey;

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
