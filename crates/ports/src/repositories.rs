//! Which projects work on one repository. Decided by the configuration; whoever keeps something of a repository asks here
//! under whose name. One list for all of them, so that a project that is added while orch runs is known everywhere at once.

use orch_core::ids::ProjectKey;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Each project's repository, named by the key of the first project that has it. Clones are one list. A project that is not
/// on it has a repository of its own.
#[derive(Clone, Debug, Default)]
pub struct Repositories(Arc<RwLock<BTreeMap<ProjectKey, ProjectKey>>>);

impl Repositories {
    /// These, by project.
    pub fn new(all: impl IntoIterator<Item = (ProjectKey, ProjectKey)>) -> Self {
        let list = Self::default();
        list.set(all);
        list
    }

    /// The repository of a project.
    pub fn of(&self, project: &ProjectKey) -> ProjectKey {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(project).unwrap_or(project).clone()
    }

    /// All projects on the repository of this one, itself among them.
    pub fn sharing(&self, project: &ProjectKey) -> Vec<ProjectKey> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let repository = all.get(project).unwrap_or(project);
        let mut keys: Vec<ProjectKey> =
            all.iter().filter(|(_, of)| *of == repository).map(|(key, _)| key.clone()).collect();
        if !keys.contains(project) {
            keys.push(project.clone());
        }
        keys
    }

    /// From now on it is these.
    pub fn set(&self, all: impl IntoIterator<Item = (ProjectKey, ProjectKey)>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = all.into_iter().collect();
    }
}
