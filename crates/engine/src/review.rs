//! What the review before this one was, and what has changed since: for the reviewer's brief and for the gate that reads
//! its verdict. It is put together from stored judgements and the private repository, never from what an agent says; where
//! either is missing, the review counts as a first one.

use orch_core::artefact;
use orch_core::ids::{GateId, ProjectKey, Seq, Sha};
use orch_core::task::Task;
use orch_core::verdict::{Finding, Verdict};
use orch_ports::Fault;
use orch_ports::git::{ChangedLines, Git};
use orch_store::{Evidence, Judgement};

/// A review that was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastReview {
    /// Commit it was about.
    pub head: Sha,
    /// What it asked for, word for word; empty if it let the change pass.
    pub open: Vec<Finding>,
}

/// The newest review of a task's present life that was judged before the run `before` began.
pub(crate) async fn last(store: &dyn Evidence, task: &Task, before: Seq) -> Result<Option<LastReview>, Fault> {
    let judged = store.judgements(task.id).await?;
    let own = task.first_job()..before;
    let counts = |j: &Judgement| j.gate == GateId::ReviewerVerdict && own.contains(&j.job) && !j.reused;
    Ok(judged.into_iter().rev().filter(counts).find_map(|j| match j.verdict {
        Verdict::Pass => Some(LastReview { head: j.head, open: Vec::new() }),
        Verdict::Fail { findings } => Some(LastReview { head: j.head, open: findings }),
        Verdict::Wait { .. } | Verdict::Unreadable { .. } | Verdict::Inconclusive { .. } | Verdict::Skipped { .. } => {
            None
        }
    }))
}

/// What changed since that review; `None` if the commit it was about is not there any more.
pub(crate) async fn changed_since(
    git: &dyn Git,
    project: &ProjectKey,
    last: &LastReview,
    head: &Sha,
) -> Result<Option<Vec<ChangedLines>>, Fault> {
    if git.resolve(project, last.head.as_str()).await?.as_ref() != Some(&last.head) {
        return Ok(None);
    }
    git.changed_lines(project, &last.head, head).await.map(Some)
}

/// The same without the task's own papers, which are nobody's change.
pub(crate) fn without_papers(mut changed: Vec<ChangedLines>, artefact_dir: &str) -> Vec<ChangedLines> {
    changed.retain(|c| {
        let name = c.path.strip_prefix(artefact_dir).and_then(|name| name.strip_prefix('/'));
        name.is_none_or(|name| artefact::known(name).is_none())
    });
    changed
}
