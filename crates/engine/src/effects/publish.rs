//! Commits what an agent left and pushes it to the task's branch, and keeps the artefacts that gates will read. The same
//! run always makes the same commit, so doing this twice is doing it once.

use super::deploy::hex;
use super::{Cx, Ended, landing, push};
use orch_core::artefact::{self, Known};
use orch_core::conflict;
use orch_core::effect::Outcome;
use orch_core::ids::{GateId, Role, Seq, Sha, StageId};
use orch_core::verdict::{FaultKind, Finding};
use orch_ports::Fault;
use orch_ports::git::{Author, Carry, PushAnswer, Snapshot};
use orch_store::ArtefactRow;
use sha2::{Digest as _, Sha256};

pub(super) async fn ensure(cx: &Cx, role: &Role, stage: &StageId, run: Seq) -> Result<Ended, Fault> {
    let fetched = cx.fetch().await?;
    let git = &cx.engine.ports.git;
    let project = &cx.project.key;
    let base = match &cx.task.conflict {
        Some(conflict) => conflict.onto.clone(),
        None => cx.task.base.clone().unwrap_or_else(|| fetched.tip.clone()),
    };
    let parent = cx.task.head.clone().unwrap_or_else(|| base.clone());
    let own: Vec<&Known> = artefact::KNOWN.iter().filter(|k| k.stage == stage.as_str() && !k.after_merge).collect();
    let take: Vec<&str> = own.iter().map(|k| k.name).collect();
    let artefact_dir = cx.task.artefact_dir();
    let message = landing::work(cx, role.as_str(), run);
    let desk = landing::desk(cx, &parent).await?;
    cx.still_ours().await?;
    let snapshot = git
        .snapshot(&Snapshot {
            project,
            work_item: &cx.task.work_item,
            parent: &desk,
            merged: cx.task.conflict.as_ref().map(|c| &c.onto),
            artefact_dir: &artefact_dir,
            take_code: role.as_str() == "developer",
            take_artefacts: &take,
            message: &message,
            author: &Author::role(role.as_str()),
            at: cx.job.created_at,
        })
        .await;
    let snapshot = match snapshot {
        // The role left less than nothing. What the branch holds of earlier rounds is not this run's, so no artefact is
        // recorded, and the role tries again.
        Err(fault) if fault.kind == FaultKind::Gone => {
            tracing::warn!(work_item = %cx.task.work_item, %fault, "nothing can be taken of a run");
            let discarded = vec!["the whole working directory: it was removed or replaced by a link".to_owned()];
            let unresolved = cx.task.conflict.as_ref().map(|c| c.files.clone()).unwrap_or_default();
            let gone = Finding::must_fix("the whole working directory was removed or replaced by a link");
            let refused = if unresolved.is_empty() { Vec::new() } else { vec![gone] };
            return Ok(Outcome::Published { head: parent, empty: true, discarded, unresolved, refused }.into());
        }
        other => other?,
    };
    if let Some(why) = snapshot.refused {
        tracing::warn!(work_item = %cx.task.work_item, %why, "what a run left is not taken");
        return Ok(Outcome::NotTaken { findings: vec![Finding::must_fix(why)] }.into());
    }
    // What stays out of the branch is read from the snapshot, and left there.
    let evidence = landing::is_evidence(cx);
    let author = Author::role(role.as_str());
    let carried = if desk == parent && !evidence {
        snapshot.commit.clone()
    } else {
        let carry = Carry {
            project,
            commit: &snapshot.commit,
            parent: &parent,
            merged: cx.task.conflict.as_ref().map(|c| &c.onto),
            artefact_dir: &artefact_dir,
            documents: if evidence { &[][..] } else { &take[..] },
            message: &message,
            author: &author,
            at: cx.job.created_at,
        };
        git.carry(&carry).await?
    };
    let head = if leaked(cx) {
        // The history of the branch holds what must not reach the default branch. The work goes on as one new commit.
        git.squash(project, &carried, &base, &message, &author, cx.job.created_at).await?
    } else {
        carried
    };
    if let PushAnswer::Rejected { now } = push::push(cx, &fetched, &head).await? {
        return Ok(Outcome::BranchMoved { now }.into());
    }
    let rows = artefacts(cx, &own, stage, run, (&snapshot.commit, &head), &base).await?;
    Cx::fenced(cx.store().put_artefacts(cx.job.fence(), rows).await?)?;
    let code = git.code_digest(project, &head, &artefact_dir).await?;
    let empty = code == git.code_digest(project, &base, &artefact_dir).await?;
    let refused = match &cx.task.conflict {
        Some(record) => {
            let shown = git.conflict_shown(project, &head, record, &record.onto, &artefact_dir).await?;
            conflict::refusals(record, &shown)
        }
        None => Vec::new(),
    };
    let mut unresolved: Vec<String> = refused.iter().filter_map(|f| f.file.clone()).collect();
    unresolved.dedup();
    Ok(Outcome::Published { head, empty, discarded: snapshot.discarded, unresolved, refused }.into())
}

/// Has the security gate found something in this branch that has not been repaired yet?
fn leaked(cx: &Cx) -> bool {
    cx.task.raised.iter().any(|raised| raised.from.starts_with(GateId::SecurityGate.as_str()))
}

/// The stage's artefacts as the run left them, whether or not they are on the branch.
async fn artefacts(
    cx: &Cx,
    own: &[&Known],
    stage: &StageId,
    run: Seq,
    (files, head): (&Sha, &Sha),
    base: &Sha,
) -> Result<Vec<ArtefactRow>, Fault> {
    let git = &cx.engine.ports.git;
    let (project, dir) = (&cx.project.key, cx.task.artefact_dir());
    let subject = git.patch_id(project, base, head, &dir).await?.to_string();
    let mut rows = Vec::new();
    for path in git.list_files(project, files, &dir).await? {
        let Some(name) = path.strip_prefix(&dir).and_then(|n| n.strip_prefix('/')) else { continue };
        if !artefact::known(name).is_some_and(|k| own.contains(&k)) {
            continue;
        }
        let Some(bytes) = git.read_file(project, files, &path).await? else { continue };
        rows.push(ArtefactRow {
            task: cx.task.id,
            stage: stage.clone(),
            run,
            name: name.to_owned(),
            sha256: hex(&Sha256::digest(&bytes)),
            bytes,
            subject: subject.clone(),
            at: cx.now(),
        });
    }
    Ok(rows)
}
