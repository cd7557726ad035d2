//! Brings the documents that came too late for a task's branch to the default branch, where that is asked for: by one pull
//! request of documents alone, when the task is done. It waits for nobody's review, CI or deploy. It may never bring in a
//! secret or anything but these documents, and a task that is about to merge goes first.

use super::{landing, push};
use crate::cx::Cx;
use crate::freshness::Fetched;
use crate::main_moved::{self, DocumentsAsked};
use crate::parts::Of;
use orch_core::artefact;
use orch_core::ids::{Sha, Time};
use orch_core::message::{self, trailer};
use orch_ports::Fault;
use orch_ports::forge::{CommitStatus, MergeAnswer, PullState, Right, StatusState};
use orch_ports::git::{FileWrite, OneCommit, PushAnswer, Updated};

/// Tasks that merge go first, but not for longer than this: in a busy project there is always one.
const POLITE_MS: i64 = 30 * 60 * 1_000;

/// What came of it.
pub(super) enum Documents {
    /// Nothing is left to do, and their branch may go.
    Done,
    /// A person has to look: their branch stays.
    Left,
    /// Not yet: what the job waits for.
    Later { not_before: Time, why: Fault },
}

pub(super) async fn ensure(cx: &Cx) -> Result<Documents, Fault> {
    if !landing::brings_documents(&cx.task) {
        return Ok(Documents::Done);
    }
    let rows = cx.store().artefacts(cx.task.id).await?;
    let dir = cx.task.artefact_dir();
    let own = rows.into_iter().filter(|row| cx.task.first_job() <= row.run);
    let late = own.filter(|row| artefact::closing().any(|k| k.name == row.name));
    let files: Vec<FileWrite> =
        late.map(|row| FileWrite { path: format!("{dir}/{}", row.name), bytes: row.bytes }).collect();
    let fetched = cx.fetch().await?;
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let text = words(cx);
    let written = git.commit_files(project, &fetched.tip, &files, &text, cx.job.created_at).await?;
    // Also what a crash left behind a merge.
    let there = written == fetched.tip;
    main_moved::documents_read_back(&cx.engine, &cx.project, &cx.task.work_item, there).await?;
    if there {
        return Ok(Documents::Done);
    }
    let leaks = main_moved::secrets(&cx.engine, &cx.project, &fetched.tip, &written).await?;
    if !leaks.is_empty() {
        return left(cx, &format!("they may hold a secret: {}", leaks.join("; "))).await;
    }
    let head = as_configured(cx, &fetched, &written, &text).await?;
    if let Some(holder) = merging(cx).await? {
        let fault = Fault::transient(format!("{holder} is merging; the documents go behind it"));
        let not_before = cx.now().plus_ms(cx.project.policy.lease_recheck_ms);
        return Ok(Documents::Later { not_before, why: fault });
    }
    land(cx, &fetched, &head, &text).await
}

async fn land(cx: &Cx, fetched: &Fetched, head: &Sha, text: &str) -> Result<Documents, Fault> {
    let (forge, project, branch) = (&cx.project.forge, &cx.project.key, landing::documents_branch(&cx.task));
    if let PushAnswer::Rejected { .. } = push::push_to(cx, fetched, &branch, head, None).await? {
        return left(cx, &format!("somebody else pushed to their branch `{branch}`")).await;
    }
    let title = text.lines().next().unwrap_or_default();
    let body = format!(
        "What orch wrote down about {} when its branch could take no more of it. Documents alone, below `{}`.",
        cx.task.work_item,
        cx.task.artefact_dir()
    );
    cx.still_ours().await?;
    let pull = forge.ensure_pull_request(project, &branch, &fetched.default_branch, title, &body).await?;
    if cx.project.whole(Of::Ci).is_some() {
        let status = CommitStatus {
            context: super::ensure_ci::CONTEXT.into(),
            state: StatusState::Success,
            description: "documents alone: no code has changed".into(),
            url: None,
            at: cx.now(),
        };
        forge.set_status(project, head, &status).await?;
    }
    let asked = DocumentsAsked { work_item: cx.task.work_item.clone(), pull_request: pull.number, head: head.clone() };
    main_moved::documents_asked(&cx.engine, &cx.project, asked).await?;
    cx.still_ours().await?;
    let method = cx.project.merge_method;
    let right = Right::Documents { base: &fetched.tip };
    let answer = forge.merge(project, pull.number, head, right, method, text).await;
    let now = forge.pull_request(project, pull.number).await?;
    if now.state == PullState::Merged {
        cx.fetch().await?;
        main_moved::documents_read_back(&cx.engine, &cx.project, &cx.task.work_item, true).await?;
        return Ok(Documents::Done);
    }
    match answer? {
        MergeAnswer::Refused { why } => {
            left(cx, &format!("pull request {} stays open, because the forge will not merge it: {why}", pull.number))
                .await
        }
        _ if now.state == PullState::Closed => {
            left(cx, &format!("pull request {} was closed by somebody", pull.number)).await
        }
        MergeAnswer::Merged { .. } | MergeAnswer::HeadMoved | MergeAnswer::BaseMoved => {
            Err(Fault::transient("the default branch or the pull request moved while the documents were merged"))
        }
    }
}

/// Subject and trailer; forges start no CI of their own for it.
fn words(cx: &Cx) -> String {
    let own = trailer("Work-item", cx.task.work_item.as_str());
    message::compose(&message::documents(&landing::subject(cx)), "", &Vec::from_iter(own))
}

/// The commit as the project's commits are: author, committer, signature.
async fn as_configured(cx: &Cx, fetched: &Fetched, written: &Sha, text: &str) -> Result<Sha, Fault> {
    let merging = &cx.project.merging;
    let known = push::pushed_to(cx, &landing::documents_branch(&cx.task)).await?;
    let one = OneCommit {
        project: &cx.project.key,
        head: written,
        onto: &fetched.tip,
        message: text,
        author: &merging.author,
        committer: &merging.committer,
        sign: merging.sign,
        at: cx.job.created_at,
        known: &known,
    };
    match cx.engine.ports.git.one_commit(&one).await? {
        Updated::Moved { head } => Ok(head),
        Updated::UpToDate => Ok(written.clone()),
        Updated::Conflict { .. } => Err(Fault::bug("documents on the tip of the default branch conflict with it")),
    }
}

/// Whoever holds the merge lease, while this is polite.
async fn merging(cx: &Cx) -> Result<Option<String>, Fault> {
    if cx.job.created_at.plus_ms(POLITE_MS) < cx.now() {
        return Ok(None);
    }
    let leases = cx.store().leases().await?;
    let held = leases.into_iter().find(|l| l.project == cx.project.repository);
    Ok(held.and_then(|l| l.holder).map(|item| item.to_string()))
}

/// They are not on the default branch, and orch does not try again.
async fn left(cx: &Cx, why: &str) -> Result<Documents, Fault> {
    let item = &cx.task.work_item;
    main_moved::documents_read_back(&cx.engine, &cx.project, item, true).await?;
    let text =
        format!("{item}: its documents are not on the default branch: {why}. They are kept: `orch task show {item}`");
    cx.engine.try_notice(cx.task.id, &format!("documents-{item}-{}", cx.job.id), text).await?;
    Ok(Documents::Left)
}
