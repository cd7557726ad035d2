//! How a task's work lands: the message of its one commit, the documents that never become commits, what its branch
//! leaves behind. Decides the words; git makes the commits. It may never put a trailer into a message that orch does not
//! know to be true.

use super::push;
use crate::cx::Cx;
use crate::freshness::Fetched;
use orch_core::artefact;
use orch_core::ids::{Actor, GateId, Role, Seq, Sha};
use orch_core::landing::{AfterMerge, Documents, History};
use orch_core::message::{self, trailer};
use orch_core::task::{Phase, Task};
use orch_core::verdict::Verdict;
use orch_ports::Fault;
use orch_ports::forge::Review;
use orch_ports::git::{Author, FileWrite, OneCommit, PushAnswer, Shelf, Updated, Written};
use orch_store::Fact;

/// Branch of a task's late documents.
pub(super) fn documents_branch(task: &Task) -> String {
    format!("{}-documents", task.branch.name)
}

/// Are they brought to the default branch?
pub(super) fn brings_documents(task: &Task) -> bool {
    task.landing.plan.is_some_and(|l| l.after_merge == AfterMerge::PullRequest)
        && task.landing.merged.is_some()
        && matches!(task.phase, Phase::Done { .. })
}

/// Does the forge have to show an approval before this task may land?
pub(super) fn needs_approval(cx: &Cx) -> bool {
    cx.project.review_approval && cx.task.pipeline.approval_at().is_some()
}

/// Are documents of the present stage kept out of the branch? A commit behind an approval of the forge would void it.
pub(super) fn is_evidence(cx: &Cx) -> bool {
    let Some(landing) = cx.task.landing.plan else { return false };
    let behind_approval = needs_approval(cx) && cx.task.pipeline.approval_at().is_some_and(|at| at < cx.task.at);
    landing.documents == Documents::Evidence || behind_approval
}

/// The head with every document of the task beside its code: what agents get to see. Never pushed.
pub(super) async fn desk(cx: &Cx, head: &Sha) -> Result<Sha, Fault> {
    if cx.task.landing.plan.is_none() {
        return Ok(head.clone());
    }
    let dir = cx.task.artefact_dir();
    let rows = cx.store().artefacts(cx.task.id).await?;
    let known = rows.into_iter().filter(|r| artefact::known(&r.name).is_some() && cx.task.first_job() <= r.run);
    let files: Vec<FileWrite> =
        known.map(|r| FileWrite { path: format!("{dir}/{}", r.name), bytes: r.bytes }).collect();
    let message = format!("{}: documents", cx.task.work_item);
    cx.engine.ports.git.commit_files(&cx.project.key, head, &files, &message, cx.task.created_at).await
}

/// Subject of the task's commits; of a generation that takes back what an earlier one landed, that it does.
pub(super) fn subject(cx: &Cx) -> String {
    let subject = cx.project.merging.subject.of(&cx.task.work_item, &cx.task.ticket_text().0);
    if cx.task.production.reverting.is_some() { message::revert(&subject) } else { subject }
}

/// Message of a commit that takes a merge back, as it is made.
pub(super) fn taking_back(cx: &Cx, merged: &Sha) -> String {
    let trailers = [trailer("Work-item", cx.task.work_item.as_str()), trailer("Reverts", merged.as_str())];
    let trailers: Vec<String> = trailers.into_iter().flatten().collect();
    message::compose(&subject(cx), &taken_back(&cx.task, merged), &trailers)
}

/// What such a commit says first.
fn taken_back(task: &Task, merged: &Sha) -> String {
    let before = task.lives.before_revert.iter().flat_map(|before| &before.failures);
    if task.production.failures.iter().chain(before).any(|failure| failure.merged.commit == *merged && !failure.stopped)
    {
        return message::takes_back(merged.as_str());
    }
    format!("This reverts commit {merged}.\n\nA person chose to take it back.")
}

/// Message of a role's commit on the branch. The line at its end tells one run from the other.
pub(super) fn work(cx: &Cx, role: &Role, run: Seq) -> String {
    let task = &cx.task;
    let end = format!("Orch-Run: {}-{run}", task.id.0);
    if task.landing.plan.is_none() {
        return format!("{}: {role}\n\n{}\n\n{end}", task.work_item, task.title);
    }
    let subject = subject(cx);
    match role {
        Role::Developer => {
            let own = trailer("Work-item", task.work_item.as_str()).into_iter().chain([end]);
            message::compose(&subject, "", &own.collect::<Vec<_>>())
        }
        _ => message::compose(&message::line(&format!("Documents ({role}): {subject}")), "", &[end]),
    }
}

/// The branch as one commit on the tip, which is exactly what is tested and lands.
pub(super) async fn one_commit(cx: &Cx, head: &Sha, tip: &Sha) -> Result<Updated, Fault> {
    let merging = &cx.project.merging;
    let (message, known) = (message(cx).await?, push::pushed(cx).await?);
    let authors = authors(cx).await?;
    let one = OneCommit {
        project: &cx.project.key,
        head,
        onto: tip,
        message: &message,
        author: authors.first().unwrap_or(&merging.author),
        committer: &merging.committer,
        sign: merging.sign,
        at: cx.job.created_at,
        known: &known,
    };
    cx.engine.ports.git.one_commit(&one).await
}

/// Commits of a person's branch that are looked at for their messages and authors.
const WRITTEN: usize = 200;
/// Authors beside the first that the one commit names.
const AUTHORS: usize = 20;

/// The commits of the person's branch, as it stood when it was asked for; none where agents write.
async fn written(cx: &Cx) -> Result<Vec<Written>, Fault> {
    let by_itself = cx.task.production.reverting.as_ref().is_some_and(|r| !r.by_hand);
    let Some(source) = cx.task.branch.source.as_ref().filter(|_| !by_itself) else { return Ok(Vec::new()) };
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let default_branch = cx.project.forge.default_branch(project).await?;
    let tip = git.forge_branch(project, &default_branch).await?;
    // Where the branch left main, not where main is now: the same branch has the same commits, however main moves.
    let bases = match &tip {
        Some(tip) => git.merge_bases(project, &source.head, tip).await?,
        None => Vec::new(),
    };
    git.written(project, &source.head, &bases, WRITTEN).await
}

/// Who wrote a person's branch, who wrote last first, as git writes their names.
async fn authors(cx: &Cx) -> Result<Vec<Author>, Fault> {
    let mut authors: Vec<Author> = Vec::new();
    for one in written(cx).await? {
        let author =
            Author { name: message::as_git_writes(&one.author.name), email: message::as_git_writes(&one.author.email) };
        if !author.name.is_empty() && !author.email.is_empty() && !authors.contains(&author) {
            authors.push(author);
        }
    }
    Ok(authors)
}

/// What the author of a person's branch says of it: the message of its only commit, or what each commit is about.
async fn said_by_author(cx: &Cx) -> Result<Option<String>, Fault> {
    let written = written(cx).await?;
    let first = |w: &Written| w.message.lines().next().unwrap_or_default().to_owned();
    Ok(match &written[..] {
        [] => None,
        [one] => Some(one.message.split_once('\n').map_or_else(String::new, |(_, rest)| rest.to_owned())),
        many => Some(many.iter().rev().map(|w| format!("- {}", first(w))).collect::<Vec<_>>().join("\n")),
    })
}

/// Message of the one commit: what the developer says of it, and who had a part in it.
pub(super) async fn message(cx: &Cx) -> Result<String, Fault> {
    let (task, merging) = (&cx.task, &cx.project.merging);
    let runs = cx.store().runs(task.id).await?;
    let developer = || runs.iter().filter(|r| r.what.role() == Some(&Role::Developer) && task.first_job() <= r.job);
    let mut summaries: Vec<&str> = developer().filter_map(|r| r.summary.as_deref()).map(str::trim).collect();
    summaries.dedup();
    summaries.retain(|s| !s.is_empty());
    let mut trailers = vec![trailer("Work-item", task.work_item.as_str())];
    let taken = task.production.reverting.as_ref().map(|r| taken_back(task, &r.commit));
    if let (Some(reverting), Some(taken)) = (&task.production.reverting, &taken) {
        trailers.push(trailer("Reverts", reverting.commit.as_str()));
        // What was said of the change says nothing of taking it back; only the last one may have done that, by hand.
        let last = summaries.pop().filter(|_| reverting.by_hand);
        summaries = std::iter::once(taken.as_str()).chain(last).collect();
    }
    let by_itself = task.production.reverting.as_ref().is_some_and(|r| !r.by_hand);
    let theirs = said_by_author(cx).await?;
    summaries.extend(theirs.as_deref().filter(|said| !said.trim().is_empty()));
    for other in authors(cx).await?.iter().skip(1).take(AUTHORS) {
        trailers.push(trailer("Co-authored-by", &format!("{} <{}>", other.name, other.email)));
    }
    trailers.extend(task.started_by.as_ref().map(|by| trailer("Requested-by", by.as_str())));
    trailers.extend(approvers(cx).await?.iter().map(|by| trailer("Approved-by", by.as_str())));
    for run in developer().filter(|_| !by_itself) {
        let program = format!("{} {}", run.program, run.model.as_deref().unwrap_or_default());
        trailers.push(trailer("Assisted-by", &program));
    }
    if merging.sign_off {
        let by = &merging.committer;
        trailers.push(trailer("Signed-off-by", &format!("{} <{}>", by.name, by.email)));
    }
    let mut said: Vec<String> = Vec::new();
    for trailer in trailers.into_iter().flatten() {
        if !said.contains(&trailer) {
            said.push(trailer);
        }
    }
    Ok(message::compose(&subject(cx), &summaries.join("\n\n"), &said))
}

/// Everybody who approved something of this task: on orch, and on the forge where it has to show it.
async fn approvers(cx: &Cx) -> Result<Vec<Actor>, Fault> {
    let mut by: Vec<Actor> = cx.task.approvals.iter().map(|a| a.by.clone()).collect();
    if let (true, Some(number)) = (needs_approval(cx), cx.task.branch.pull_request) {
        let reviews = cx.project.forge.reviews(&cx.project.key, number).await?;
        let counts = |r: &&Review| r.approved && r.official && cx.project.policy.approves(Some(&cx.task), &r.by);
        by.extend(reviews.iter().filter(counts).map(|r| r.by.clone()));
    }
    Ok(by)
}

/// Would pushing `new` in place of `old` void an approval of the forge? Forges dismiss one where a file is neither what
/// was approved nor what main has (seen with Gitea 1.25).
pub(super) async fn voids(cx: &Cx, old: &Sha, new: &Sha, tip: &Sha) -> Result<bool, Fault> {
    if !needs_approval(cx) || old == new {
        return Ok(false);
    }
    let (git, project) = (&cx.engine.ports.git, &cx.project.key);
    let against_main = git.changed_files(project, tip, new).await?;
    let against_old = git.changed_files(project, old, new).await?;
    Ok(against_old.iter().any(|c| against_main.iter().any(|m| m.path == c.path)))
}

/// Keeps the branch's own commits, before one commit takes their place.
pub(super) async fn keep_history(cx: &Cx, head: &Sha) -> Result<(), Fault> {
    let name = format!("{}/{}", cx.task.work_item, head.short());
    cx.engine.ports.git.keep_history(&cx.project.key, &name, head).await
}

/// What of the task's branches is left on the forge is deleted: only where it is what orch pushed there, and not the one of
/// its late documents where a person has to look at it.
pub(super) async fn delete_branches(cx: &Cx, but_documents: bool) -> Result<(), Fault> {
    let task = &cx.task;
    if task.landing.plan.is_none() {
        return Ok(());
    }
    let closed = task.is_closed();
    let own = task.branch.head.iter().filter(|_| closed).map(|head| (task.branch.name.clone(), head.clone()));
    let mut branches: Vec<(String, Option<Sha>)> =
        task.branch.old.iter().cloned().chain(own).map(|(branch, head)| (branch, Some(head))).collect();
    if closed && task.branch.head.is_none() {
        // It may have been opened and the answer lost.
        branches.push((task.branch.name.clone(), None));
    }
    if brings_documents(task) && !but_documents {
        branches.push((documents_branch(task), None));
    }
    for (branch, head) in branches {
        let Some(now) = cx.project.forge.branch_head(&task.project, &branch).await? else { continue };
        let pushed = cx.store().recall(&Fact::Pushed(task.id, branch.clone())).await?.unwrap_or_default();
        if head.as_ref() != Some(&now) && !pushed.split_whitespace().any(|ours| ours == now.as_str()) {
            tracing::info!(work_item = %task.work_item, branch, %now, "the branch stays: somebody else pushed to it");
            continue;
        }
        let fetched = cx.fetch().await?;
        if task.landing.merged.as_ref().is_none_or(|m| m.commit != now) {
            keep_history(cx, &now).await?;
        }
        cx.still_ours().await?;
        let (git, Fetched { remote, default_branch, .. }) = (&cx.engine.ports.git, &fetched);
        match git.delete_branch(&task.project, remote, &branch, default_branch, &now).await? {
            PushAnswer::Done => {}
            PushAnswer::Rejected { now } => {
                tracing::info!(work_item = %task.work_item, branch, ?now, "the branch stays: somebody else pushed to it");
            }
        }
    }
    Ok(())
}

/// Publishes the branch's own commits, where that is asked for: only those of a head whose whole range the security gate
/// let pass.
pub(super) async fn publish_history(cx: &Cx) -> Result<(), Fault> {
    let task = &cx.task;
    if !cx.project.merging.history_ref || task.landing.merged.is_none() || !is_one_commit(task) {
        return Ok(());
    }
    let git = &cx.engine.ports.git;
    let own = format!("{}/", task.work_item);
    let kept = git.kept(&task.project, Shelf::History).await?;
    let judged = cx.store().judgements(task.id).await?;
    let passed = |head: &Sha| {
        judged.iter().any(|j| j.gate == GateId::SecurityGate && j.head == *head && j.verdict == Verdict::Pass)
    };
    for (name, head) in kept.iter().filter(|(name, _)| name.starts_with(&own)) {
        if task.landing.merged.as_ref().is_some_and(|m| m.commit == *head) {
            continue;
        }
        if !passed(head) {
            tracing::info!(work_item = %task.work_item, %head, "history is not published: the security gate has not passed it");
            continue;
        }
        let remote = cx.project.forge.remote(&task.project).await?;
        git.push_history(&task.project, &remote, name, head).await?;
    }
    Ok(())
}

/// Does the task land as one commit?
pub(super) fn is_one_commit(task: &Task) -> bool {
    task.landing.plan.is_some_and(|l| l.history == History::OneCommit)
}
