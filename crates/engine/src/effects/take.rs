//! Takes a person's branch: the commit that the person asked for is copied to a branch of orch's own. The person's branch is
//! read and never written to; what was pushed to it since is not taken.

use super::{landing, push};
use crate::cx::{Cx, Ended};
use crate::freshness::Fetched;
use orch_core::effect::Outcome;
use orch_core::ids::Sha;
use orch_core::source::Source;
use orch_core::verdict::Finding;
use orch_ports::Fault;
use orch_ports::git::{PushAnswer, Updated};

/// Why there is nothing to land.
pub(super) const NOTHING: &str = "the default branch has all of it already: there is nothing to land";

pub(super) async fn ensure(cx: &Cx, fetched: &Fetched, source: &Source) -> Result<Ended, Fault> {
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let refused = |text: String| Ok(Outcome::NotTaken { findings: vec![Finding::must_fix(text)] }.into());
    let (name, head) = (&source.name, &source.head);
    if git.resolve(project, &format!("{head}^{{commit}}")).await?.is_none() {
        return refused(format!("{name} stood at {head}, and the forge does not have that commit any more"));
    }
    let Some(base) = git.merge_bases(project, head, &fetched.tip).await?.into_iter().next() else {
        return refused(format!("{name} shares no history with {}", fetched.default_branch));
    };
    if is_there(cx, head, &fetched.tip).await? {
        return refused(NOTHING.into());
    }
    replace(cx, fetched, head, base).await
}

/// Puts the copy at a commit. What stood there so far, a stranger's work too, is kept.
pub(super) async fn replace(cx: &Cx, fetched: &Fetched, head: &Sha, base: Sha) -> Result<Ended, Fault> {
    if let Some(before) = cx.task.branch.head.as_ref().filter(|before| *before != head) {
        landing::keep_history(cx, before).await?;
    }
    Ok(match push::push(cx, fetched, head).await? {
        PushAnswer::Done => Outcome::Opened { head: head.clone(), base },
        PushAnswer::Rejected { now } => Outcome::BranchMoved { now },
    }
    .into())
}

/// Does the default branch hold everything that a commit brings?
async fn is_there(cx: &Cx, head: &Sha, tip: &Sha) -> Result<bool, Fault> {
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    if git.is_ancestor(project, head, tip).await? {
        return Ok(true);
    }
    Ok(landing::one_commit(cx, head, tip).await? == Updated::Moved { head: tip.clone() })
}
