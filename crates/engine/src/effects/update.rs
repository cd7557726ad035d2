//! Prepares the merge: the branch becomes one commit on the tip of the default branch, or is brought there as it is, and
//! is pushed, all under the merge lease. Exactly this is tested and lands; nothing is committed after it.

use super::{landing, push};
use crate::cx::{Cx, EMPTIED, Ended};
use crate::main_moved;
use orch_artefacts::numbered;
use orch_core::artefact;
use orch_core::effect::Outcome;
use orch_core::ids::Sha;
use orch_core::landing::{History, LandingPlan};
use orch_core::verdict::Finding;
use orch_ports::Fault;
use orch_ports::forge::PullState;
use orch_ports::git::{FileWrite, PushAnswer, Updated};

/// Artefacts that wait in the store for their only commit, of a task that was stored before they were evidence.
const PAPERS: &[&str] = &["15-staging-log.md", "17-security-report.md"];

pub(super) async fn ensure(cx: &Cx, head: &Sha, lease_epoch: u64) -> Result<Ended, Fault> {
    if cx.store().holds_lease(cx.task.id, lease_epoch).await?.is_none() {
        return Ok(Outcome::LeaseLost.into());
    }
    let fetched = cx.fetch().await?;
    let git = &cx.engine.ports.git;
    let project = &cx.project.key;
    main_moved::look(&cx.engine, &cx.project, &fetched.tip).await?;
    // Each job looks for itself: what was said while the merge was under way has not been heard.
    if main_moved::own_landed(&cx.engine, &cx.project, &cx.task, &format!("-{}", cx.job.id)).await? {
        return Ok(Outcome::Cancelled.into());
    }
    if let Some(shown) = main_moved::unapproved(&cx.engine, &cx.project, &cx.task).await? {
        return Ok(Outcome::ApprovalNeeded { subject: fetched.tip.to_string(), shown }.into());
    }
    main_moved::tell_task(&cx.engine, &cx.project, &cx.task, &fetched.tip).await?;
    // A late request of orch's own has merged exactly this meanwhile: there is nothing left to prepare, and the merge itself
    // finds it done and says whether it is what was tested.
    if let Some(number) = cx.task.branch.pull_request {
        let pull = cx.project.forge.pull_request(project, number).await?;
        if pull.state == PullState::Merged && pull.head == *head {
            let tree = git.tree(project, head).await?;
            return Ok(Outcome::Updated {
                head: head.clone(),
                base: fetched.tip,
                tree,
                repatched: false,
                voids: false,
            }
            .into());
        }
    }
    let (before, updated) = match cx.task.landing.plan {
        None => as_it_was(cx, head, &fetched.tip).await?,
        Some(LandingPlan { history: History::AsIs, .. }) => {
            (head.clone(), git.update(project, head, &fetched.tip, cx.job.created_at).await?)
        }
        Some(LandingPlan { history: History::OneCommit, .. }) => {
            (head.clone(), landing::one_commit(cx, head, &fetched.tip).await?)
        }
    };
    let ready = match updated {
        Updated::UpToDate => before.clone(),
        Updated::Moved { head } => head,
        Updated::Conflict { files } => {
            // The record is of what the developer's clone will be made of: the branch with its documents, and this tip.
            let desk = landing::desk(cx, head).await?;
            let record = git.conflict(project, &desk, &fetched.tip).await?;
            let files = record.as_ref().map_or(files, |r| r.files.clone());
            return Ok(Outcome::Conflict { onto: fetched.tip, files, record }.into());
        }
    };
    if cx.task.branch.source.is_some() && ready == fetched.tip {
        return Ok(Outcome::NotTaken { findings: vec![Finding::must_fix(super::take::NOTHING)] }.into());
    }
    let dir = cx.task.artefact_dir();
    if git.is_emptied(project, &fetched.tip, &ready, &dir).await? {
        return Err(Fault::permanent(EMPTIED));
    }
    let numbers = numbers(cx, &fetched.tip, &ready).await?;
    if !numbers.is_empty() {
        return Ok(Outcome::NotTaken { findings: numbers }.into());
    }
    if landing::is_one_commit(&cx.task) && ready != *head && cx.task.landing.prepared.as_ref() != Some(head) {
        landing::keep_history(cx, head).await?;
    }
    match push::push(cx, &fetched, &ready).await? {
        PushAnswer::Rejected { now } => Ok(Outcome::BranchMoved { now }.into()),
        PushAnswer::Done => {
            let tree = git.tree(project, &ready).await?;
            let patch = async |head| git.patch_id(project, &fetched.tip, head, &dir).await;
            let repatched = ready != before && patch(&ready).await? != patch(head).await?;
            let voids = cx.task.landing.plan.is_some() && landing::voids(cx, head, &ready, &fetched.tip).await?;
            Ok(Outcome::Updated { head: ready, base: fetched.tip, tree, repatched, voids }.into())
        }
    }
}

/// Numbers of migrations, decision records and the like that this branch gives out and main has given out meanwhile.
async fn numbers(cx: &Cx, tip: &Sha, ready: &Sha) -> Result<Vec<Finding>, Fault> {
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let own = format!("{}/", cx.task.artefact_dir());
    let changed = git.changed_files(project, tip, ready).await?;
    let added: Vec<&str> =
        changed.iter().filter(|c| c.how == 'A' && !c.path.starts_with(&own)).map(|c| c.path.as_str()).collect();
    if !added.iter().any(|path| path.contains(|c: char| c.is_ascii_digit())) {
        return Ok(Vec::new());
    }
    let all = git.entries(project, ready).await?;
    let all: Vec<&str> = all.iter().map(|e| e.path.as_str()).collect();
    Ok(numbered::taken_twice(&added, &all))
}

/// A task that was stored before a landing could be chosen: the papers of staging are committed, once, and its branch is
/// rebased as it is. What is judged after that goes to the evidence alone.
async fn as_it_was(cx: &Cx, head: &Sha, tip: &Sha) -> Result<(Sha, Updated), Fault> {
    let (git, project, at) = (&cx.engine.ports.git, &cx.project.key, cx.job.created_at);
    let papers = if cx.task.landing.prepared.as_ref() == Some(head) { Vec::new() } else { papers(cx).await? };
    let with_papers = git.commit_files(project, head, &papers, &message(cx), at).await?;
    let updated = git.update(project, &with_papers, tip, at).await?;
    Ok((with_papers, updated))
}

async fn papers(cx: &Cx) -> Result<Vec<FileWrite>, Fault> {
    let rows = cx.store().artefacts(cx.task.id).await?;
    let rows = rows.into_iter().filter(|r| cx.task.first_job() <= r.run);
    let known = rows.filter(|r| PAPERS.contains(&r.name.as_str()) && artefact::known(&r.name).is_some());
    Ok(known.map(|r| FileWrite { path: format!("{}/{}", cx.task.artefact_dir(), r.name), bytes: r.bytes }).collect())
}

fn message(cx: &Cx) -> String {
    format!("{}: record staging", cx.task.work_item)
}
