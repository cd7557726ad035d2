//! Prepares the merge: the papers of staging are committed, the branch is brought to the tip of the default branch and
//! pushed, all under the merge lease. Nothing is committed to the branch after this.

use super::{Cx, Ended, push};
use orch_core::artefact;
use orch_core::effect::Outcome;
use orch_core::ids::Sha;
use orch_core::numbered;
use orch_core::verdict::Finding;
use orch_ports::Fault;
use orch_ports::forge::PullState;
use orch_ports::git::{FileWrite, PushAnswer, Updated};

/// Artefacts that wait in the store for their only commit.
const PAPERS: &[&str] = &["15-staging-log.md", "17-security-report.md"];

pub(super) async fn ensure(cx: &Cx, head: &Sha, lease_epoch: u64) -> Result<Ended, Fault> {
    if !cx.store().holds_lease(cx.task.id, lease_epoch).await? {
        return Ok(Outcome::LeaseLost.into());
    }
    let fetched = cx.fetch().await?;
    let git = &cx.engine.ports.git;
    let project = &cx.project.key;
    // Somebody has merged exactly this meanwhile: there is nothing left to prepare, and the merge itself finds it done.
    if let Some(number) = cx.task.pull_request {
        let pull = cx.project.forge.pull_request(project, number).await?;
        if pull.state == PullState::Merged && pull.head == *head {
            let tree = git.tree(project, head).await?;
            return Ok(Outcome::Updated { head: head.clone(), base: fetched.tip, tree, repatched: false }.into());
        }
    }
    // Prepared again, the branch has its papers: what is judged now goes to the evidence alone.
    let papers = if cx.task.prepared.as_ref() == Some(head) { Vec::new() } else { papers(cx).await? };
    let with_papers = git.commit_files(project, head, &papers, &message(cx), cx.job.created_at).await?;
    let updated = git.update(project, &with_papers, &fetched.tip, cx.job.created_at).await?;
    let ready = match updated {
        Updated::UpToDate => with_papers.clone(),
        Updated::Moved { head } => head,
        Updated::Conflict { files } => {
            // The record is of what the developer's clone will be made of: the branch as it is, and this tip.
            let record = git.conflict(project, head, &fetched.tip).await?;
            let files = record.as_ref().map_or(files, |r| r.files.clone());
            return Ok(Outcome::Conflict { onto: fetched.tip, files, record }.into());
        }
    };
    let dir = cx.task.artefact_dir();
    if git.is_emptied(project, &fetched.tip, &ready, &dir).await? {
        return Err(Fault::permanent(super::EMPTIED));
    }
    let numbers = numbers(cx, &fetched.tip, &ready).await?;
    if !numbers.is_empty() {
        return Ok(Outcome::NotTaken { findings: numbers }.into());
    }
    match push::push(cx, &fetched, &ready).await? {
        PushAnswer::Rejected { now } => Ok(Outcome::BranchMoved { now }.into()),
        PushAnswer::Done => {
            let tree = git.tree(project, &ready).await?;
            let patch = async |head| git.patch_id(project, &fetched.tip, head, &dir).await;
            let repatched = ready != with_papers && patch(&ready).await? != patch(head).await?;
            Ok(Outcome::Updated { head: ready, base: fetched.tip, tree, repatched }.into())
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

async fn papers(cx: &Cx) -> Result<Vec<FileWrite>, Fault> {
    let rows = cx.store().artefacts(cx.task.id).await?;
    let known = rows.into_iter().filter(|r| PAPERS.contains(&r.name.as_str()) && artefact::known(&r.name).is_some());
    Ok(known.map(|r| FileWrite { path: format!("{}/{}", cx.task.artefact_dir(), r.name), bytes: r.bytes }).collect())
}

fn message(cx: &Cx) -> String {
    format!("{}: record staging", cx.task.work_item)
}
