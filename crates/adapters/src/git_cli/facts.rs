//! What was found out about objects and never changes, because their names are made of their content: the code of a tree,
//! the best common ancestor of two commits. Kept in memory, per repository; a repository that is made anew is asked anew.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Most that are kept; beyond it everything is found out again.
const MOST: usize = 20_000;

/// Answers by repository and question.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts(Arc<Mutex<HashMap<(PathBuf, String), String>>>);

impl Facts {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<(PathBuf, String), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, repo: &Path, question: &str) -> Option<String> {
        self.all().get(&(repo.to_owned(), question.to_owned())).cloned()
    }

    pub(super) fn put(&self, repo: &Path, question: String, answer: &str) {
        let mut all = self.all();
        if MOST <= all.len() {
            all.clear();
        }
        all.insert((repo.to_owned(), question), answer.to_owned());
    }

    pub(super) fn forget(&self, repo: &Path) {
        self.all().retain(|(of, _), _| of != repo);
    }
}
