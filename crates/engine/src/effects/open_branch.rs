//! Opens a task's branch: `00-business-request.md` on top of the default branch, or the default branch itself where the
//! task's documents are evidence; for what a person wants taken back, on top of a commit that takes it back.

use super::{landing, push, take};
use crate::cx::{Cx, Ended};
use crate::freshness::Fetched;
use crate::text::hex;
use orch_core::effect::{Effect, Outcome};
use orch_core::ids::Sha;
use orch_core::landing::Documents;
use orch_core::message;
use orch_core::task::Reverting;
use orch_ports::Fault;
use orch_ports::git::{Author, FileWrite, PushAnswer, Updated};
use orch_store::{ArtefactRow, Charge};
use sha2::{Digest as _, Sha256};

/// How soon to look again whether the life before is cleaned up, milliseconds.
const AGAIN_MS: i64 = 500;

pub(super) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    // The working directory has the same name in every life: what cleans up after the one before ends first.
    let open = cx.store().open_jobs(Some(cx.task.id)).await?;
    if open.iter().any(|job| job.id.seq < cx.job.id.seq && job.effect == Effect::CleanUp) {
        let fault = Fault::transient("what the task left before is cleaned up first");
        let not_before = Some(cx.now().plus_ms(AGAIN_MS));
        return Ok(Ended::Again { charge: Charge::Nothing, new_run: false, not_before, fault });
    }
    let fetched = cx.fetch().await?;
    let takes_back = cx.task.production.reverting.as_ref().is_some_and(|r| !r.by_hand);
    if let Some(source) = cx.task.branch.source.as_ref().filter(|_| !takes_back) {
        return take::ensure(cx, &fetched, source).await;
    }
    if cx.task.branch.source.is_some() {
        return anew(cx, &fetched).await;
    }
    let git = &cx.engine.ports.git;
    let project = &cx.project.key;
    if is_evidence(cx) {
        return bare(cx, &fetched).await;
    }
    let path = format!("{}/00-business-request.md", cx.task.artefact_dir());
    if let Some(head) = git.forge_branch(project, &cx.task.branch.name).await? {
        // The branch is there: from an earlier attempt of this very job, or from somebody else.
        let written = git.read_file(project, &head, &path).await?;
        let outcome = match written {
            Some(bytes) if bytes == request(cx).into_bytes() => {
                if !is_on_what_was_judged(cx, &head).await? {
                    return begin(cx, &fetched, path).await;
                }
                let base = merge_base(cx, &head, &fetched.tip).await?;
                Outcome::Opened { head, base }
            }
            // A person has looked at what somebody else put there and lets the task go on from it.
            _ if cx.task.branch.head.as_ref() == Some(&head) => {
                write(cx, &fetched, (&head, fetched.tip.clone()), path).await?
            }
            _ => Outcome::BranchMoved { now: Some(head) },
        };
        return Ok(outcome.into());
    }
    begin(cx, &fetched, path).await
}

/// Makes the branch where it begins.
async fn begin(cx: &Cx, fetched: &Fetched, path: String) -> Result<Ended, Fault> {
    let Some(base) = base(cx, &fetched.tip).await? else { return Ok(Outcome::BaseGone.into()) };
    Ok(match beginning(cx, &base).await? {
        Ok(onto) => write(cx, fetched, (&onto, base), path).await?.into(),
        Err(conflict) => conflict.into(),
    })
}

/// The commit of the default branch to begin on: what was judged, or the tip where nothing was. `None`: what was judged is
/// no part of it any more.
async fn base(cx: &Cx, tip: &Sha) -> Result<Option<Sha>, Fault> {
    let Some(judged) = &cx.task.branch.judged else { return Ok(Some(tip.clone())) };
    Ok(is_in(cx, judged, tip).await?.then(|| judged.clone()))
}

/// Was a branch of an earlier attempt opened on what is judged now?
async fn is_on_what_was_judged(cx: &Cx, head: &Sha) -> Result<bool, Fault> {
    match &cx.task.branch.judged {
        Some(judged) => is_in(cx, judged, head).await,
        None => Ok(true),
    }
}

/// What the repository does not have any more is part of nothing.
async fn is_in(cx: &Cx, commit: &Sha, head: &Sha) -> Result<bool, Fault> {
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let there = git.resolve(project, &format!("{commit}^{{commit}}")).await?.is_some();
    Ok(there && git.is_ancestor(project, commit, head).await?)
}

/// What the branch begins with: the tip, or on top of it a commit that takes back what a person wants taken back.
async fn beginning(cx: &Cx, tip: &Sha) -> Result<Result<Sha, Outcome>, Fault> {
    let Some(reverting) = cx.task.production.reverting.as_ref().filter(|r| !r.by_hand) else {
        return Ok(Ok(tip.clone()));
    };
    let taken = take_back(cx, tip, reverting).await?;
    Ok(taken.map_err(|files| Outcome::Conflict { onto: tip.clone(), files, record: None }))
}

/// A commit on the tip that takes a merge back; its documents stay. `Err`: the files that later changes stand in the way in.
async fn take_back(cx: &Cx, tip: &Sha, reverting: &Reverting) -> Result<Result<Sha, Vec<String>>, Fault> {
    let (git, project, dir, at) = (&cx.engine.ports.git, &cx.project.key, cx.task.artefact_dir(), cx.job.created_at);
    let merged = &reverting.commit;
    let before = match &reverting.base {
        Some(base) => base.clone(),
        None => git
            .resolve(project, &format!("{merged}^"))
            .await?
            .ok_or_else(|| Fault::permanent(format!("{merged} has nothing before it that could be gone back to")))?,
    };
    let message = landing::taking_back(cx, merged);
    let undone = git.squash(project, &before, merged, &message, &Author::orch(), at).await?;
    let mut documents = Vec::new();
    for path in git.list_files(project, merged, &dir).await? {
        if let Some(bytes) = git.read_file(project, merged, &path).await? {
            documents.push(FileWrite { path, bytes });
        }
    }
    let undone = git.commit_files(project, &undone, &documents, &message, at).await?;
    Ok(match git.update(project, &undone, tip, at).await? {
        Updated::UpToDate => Ok(undone),
        Updated::Moved { head } => Ok(head),
        Updated::Conflict { files } => Err(files),
    })
}

/// A landed branch is taken back on the tip as it is now: what an earlier attempt made may not suit main any more.
async fn anew(cx: &Cx, fetched: &Fetched) -> Result<Ended, Fault> {
    match beginning(cx, &fetched.tip).await? {
        Ok(head) => take::replace(cx, fetched, &head, fetched.tip.clone()).await,
        Err(conflict) => Ok(conflict.into()),
    }
}

/// Are the task's documents kept out of its branch?
fn is_evidence(cx: &Cx) -> bool {
    cx.task.landing.plan.is_some_and(|l| l.documents == Documents::Evidence)
}

/// The branch begins as the default branch itself; the request is kept as evidence.
async fn bare(cx: &Cx, fetched: &Fetched) -> Result<Ended, Fault> {
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let text = request(cx).into_bytes();
    let row = ArtefactRow {
        task: cx.task.id,
        stage: cx.task.stage().clone(),
        run: cx.job.id.seq,
        name: "00-business-request.md".into(),
        sha256: hex(&Sha256::digest(&text)),
        bytes: text,
        subject: fetched.tip.to_string(),
        at: cx.now(),
    };
    Cx::fenced(cx.store().put_artefacts(cx.job.fence(), vec![row]).await?)?;
    if let Some(head) = git.forge_branch(project, &cx.task.branch.name).await? {
        // From an earlier attempt of this very job, from a person who was asked about it, or from somebody else.
        let ours = push::pushed(cx).await?.contains(&head) || cx.task.branch.head.as_ref() == Some(&head);
        if !ours {
            return Ok(Outcome::BranchMoved { now: Some(head) }.into());
        }
        if is_on_what_was_judged(cx, &head).await? {
            let base = merge_base(cx, &head, &fetched.tip).await?;
            return Ok(Outcome::Opened { head, base }.into());
        }
    }
    let Some(base) = base(cx, &fetched.tip).await? else { return Ok(Outcome::BaseGone.into()) };
    let head = match beginning(cx, &base).await? {
        Ok(head) => head,
        Err(conflict) => return Ok(conflict.into()),
    };
    Ok(match push::push(cx, fetched, &head).await? {
        PushAnswer::Done => Outcome::Opened { head, base },
        PushAnswer::Rejected { now } => Outcome::BranchMoved { now },
    }
    .into())
}

/// The request on top of a commit that holds `base` of the default branch, pushed.
async fn write(cx: &Cx, fetched: &Fetched, (onto, base): (&Sha, Sha), path: String) -> Result<Outcome, Fault> {
    let file = FileWrite { path, bytes: request(cx).into_bytes() };
    let message = match cx.task.landing.plan {
        None => format!("{}: open\n\n{}", cx.task.work_item, cx.task.title),
        Some(_) => message::line(&format!("Documents (request): {}", landing::subject(cx))),
    };
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let head = git.commit_files(project, onto, &[file], &message, cx.job.created_at).await?;
    Ok(match push::push(cx, fetched, &head).await? {
        PushAnswer::Done => Outcome::Opened { head, base },
        PushAnswer::Rejected { now } => Outcome::BranchMoved { now },
    })
}

/// The commit of the default branch the branch was opened on: its head's first parent, if that is still on main.
async fn merge_base(cx: &Cx, head: &Sha, tip: &Sha) -> Result<Sha, Fault> {
    let git = &cx.engine.ports.git;
    // In a second generation the request is on main already, and the branch begins as main itself.
    if git.is_ancestor(&cx.project.key, head, tip).await? {
        return Ok(head.clone());
    }
    // A branch that takes something back begins with up to two commits more.
    for back in 1..=3 {
        match git.resolve(&cx.project.key, &format!("{head}~{back}")).await? {
            Some(parent) if git.is_ancestor(&cx.project.key, &parent, tip).await? => return Ok(parent),
            _ => {}
        }
    }
    Ok(tip.clone())
}

fn request(cx: &Cx) -> String {
    format!("# {}: {}\n\n{}\n", cx.task.work_item, cx.task.title, cx.task.body.trim_end())
}
