//! Commits what an agent left and pushes it to the task's branch, and keeps the artefacts that gates will read. The same
//! run always makes the same commit, so doing this twice is doing it once.

use super::{landing, push};
use crate::cx::{Cx, Ended};
use crate::text::hex;
use orch_core::artefact::{self, Known};
use orch_core::conflict;
use orch_core::effect::Outcome;
use orch_core::ids::{GateId, Role, Seq, Sha, StageId};
use orch_core::verdict::{FaultKind, Finding};
use orch_core::word::Word;
use orch_ports::Fault;
use orch_ports::git::{Author, Carry, PushAnswer, Snapshot};
use orch_store::ArtefactRow;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

pub(super) async fn ensure(cx: &Cx, role: &Role, stage: &StageId, run: Seq) -> Result<Ended, Fault> {
    let fetched = cx.fetch().await?;
    let git = &cx.engine.ports.git;
    let project = &cx.project.key;
    let base = match &cx.task.landing.conflict {
        Some(conflict) => conflict.onto.clone(),
        None => cx.task.branch.base.clone().unwrap_or_else(|| fetched.tip.clone()),
    };
    let parent = cx.task.branch.head.clone().unwrap_or_else(|| base.clone());
    let own: Vec<&Known> = artefact::KNOWN.iter().filter(|k| k.stage == stage.as_str() && !k.after_merge).collect();
    let take: Vec<&str> = own.iter().map(|k| k.name).collect();
    let artefact_dir = cx.task.artefact_dir();
    let message = landing::work(cx, role, run);
    let desk = landing::desk(cx, &parent).await?;
    cx.still_ours().await?;
    let large = cut_large(git.worktree_path(project, &cx.task.work_item), artefact_dir.clone()).await?;
    if !large.is_empty() {
        return Ok(Outcome::NotTaken { findings: large }.into());
    }
    let snapshot = git
        .snapshot(&Snapshot {
            project,
            work_item: &cx.task.work_item,
            parent: &desk,
            merged: cx.task.landing.conflict.as_ref().map(|c| &c.onto),
            artefact_dir: &artefact_dir,
            take_code: *role == Role::Developer,
            take_artefacts: &take,
            message: &message,
            author: &Author::role(role.as_str()),
            at: cx.job.created_at,
            since: cx.store().runs(cx.task.id).await?.iter().filter(|r| r.job == run).map(|r| r.started).max(),
        })
        .await;
    let snapshot = match snapshot {
        // The role left less than nothing. What the branch holds of earlier rounds is not this run's, so no artefact is
        // recorded, and the role tries again.
        Err(fault) if fault.kind == FaultKind::Gone => {
            tracing::warn!(work_item = %cx.task.work_item, %fault, "nothing can be taken of a run");
            // What is gone says nothing of the branch, which may have code: nothing is declared by it.
            if matches!(cx.task.wait.said, Some(Word::NoChange { .. })) {
                let text = "the whole working directory was removed or replaced by a link: `no_change` counts for nothing then";
                return Ok(Outcome::NotTaken { findings: vec![Finding::must_fix(text)] }.into());
            }
            let discarded = vec!["the whole working directory: it was removed or replaced by a link".to_owned()];
            let unresolved = cx.task.landing.conflict.as_ref().map(|c| c.files.clone()).unwrap_or_default();
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
            merged: cx.task.landing.conflict.as_ref().map(|c| &c.onto),
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
    let refused = match &cx.task.landing.conflict {
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

/// Largest document that is read, bytes.
const MAX_DOCUMENT: u64 = 10 * 1024 * 1024;

/// Puts a few words in the place of documents no gate would read, before git spends minutes on their content and pushes
/// it, and says what was wrong with each.
async fn cut_large(worktree: PathBuf, dir: String) -> Result<Vec<Finding>, Fault> {
    let cut = move || -> std::io::Result<Vec<Finding>> {
        let mut place = worktree;
        // Through no link: what is behind one is taken care of by the snapshot, which does not follow it either.
        for part in Path::new(&dir).components() {
            place.push(part);
            if !std::fs::symlink_metadata(&place).is_ok_and(|m| m.is_dir()) {
                return Ok(Vec::new());
            }
        }
        let mut large = Vec::new();
        let mut open = vec![place.clone()];
        while let Some(here) = open.pop() {
            for entry in std::fs::read_dir(&here).into_iter().flatten().flatten() {
                let (path, meta) = (entry.path(), entry.metadata());
                match meta {
                    // One level of directories is all that known documents have.
                    Ok(m) if m.is_dir() && here == place => open.push(path),
                    Ok(m) if m.is_file() && MAX_DOCUMENT < m.len() => {
                        let words = format!(
                            "This file had {} bytes, more than the {MAX_DOCUMENT} that are read. Write it again, shorter.\n",
                            m.len()
                        );
                        std::fs::remove_file(&path)?;
                        std::fs::write(&path, words)?;
                        let name = path.strip_prefix(&place).unwrap_or(&path).display().to_string();
                        let text = format!("{name} has {} bytes, more than the {MAX_DOCUMENT} that are read", m.len());
                        let file = Some(format!("{dir}/{name}"));
                        large.push(Finding { file, ..Finding::must_fix(text) });
                    }
                    _ => {}
                }
            }
        }
        Ok(large)
    };
    let done = tokio::task::spawn_blocking(cut).await.map_err(|e| Fault::bug(format!("look at documents: {e}")))?;
    done.map_err(|e| Fault::transient(format!("replace a document that is too large: {e}")))
}

/// Has the security gate found something in this branch that has not been repaired yet?
fn leaked(cx: &Cx) -> bool {
    cx.task.findings.raised.iter().any(|raised| raised.from.gate() == Some(GateId::SecurityGate))
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
