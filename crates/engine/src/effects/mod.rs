//! Effects: one file each. An executor looks first, acts, and reports the truth; it may be run again at any point of
//! its life, by this process or by the next one, and must then come to the same end without doing a thing twice.

mod clean_up;
mod deploy;
mod desk;
mod documents;
mod edit_ticket;
pub(crate) mod ensure_ci;
pub(crate) mod judge_base;
mod landing;
mod merge;
mod note_findings;
mod notify;
mod open_branch;
mod publish;
mod pull_request;
pub(crate) mod push;
mod rollback;
mod run_agent;
mod set_up;
mod sync_ticket;
mod take;
mod update;
mod watch;

use crate::cx::{Cx, Ended};
use crate::gates;
use orch_core::effect::Effect;
use orch_ports::Fault;

/// Sees to it that an effect has happened.
pub(crate) async fn ensure(cx: &Cx) -> Result<Ended, Fault> {
    match &cx.job.effect {
        Effect::OpenBranch => open_branch::ensure(cx).await,
        Effect::JudgeBase => judge_base::ensure(cx).await,
        Effect::RunAgent { role, stage, round } => run_agent::ensure(cx, role, stage, *round).await,
        Effect::Publish { role, stage, run } => publish::ensure(cx, role, stage, *run).await,
        Effect::EnsurePullRequest => pull_request::ensure(cx).await,
        Effect::Judge { gate, stage, head, exact, run, since } => {
            let since = cx.engine.waits_since(&cx.task.project, *since);
            gates::ensure(cx, *gate, stage, head, *exact, *run, since).await
        }
        Effect::Deploy { environment, revision, stage, again, since } => {
            deploy::ensure(cx, *environment, revision, stage, *again, *since).await
        }
        Effect::Rollback { environment, failed } => rollback::ensure(cx, *environment, failed).await,
        Effect::Update { head, lease_epoch } => update::ensure(cx, head, *lease_epoch).await,
        Effect::Merge { pull_request, intent } => merge::ensure(cx, *pull_request, intent).await,
        Effect::Watch { revision, since } => watch::ensure(cx, revision, *since).await,
        Effect::EnsureCi { commit } => ensure_ci::ensure(cx, commit).await,
        Effect::SyncTicket => sync_ticket::ensure(cx).await,
        Effect::Notify { key, text } => notify::ensure(cx, key, text).await,
        Effect::Comment { key, text } => sync_ticket::comment(cx, key, text).await,
        Effect::EditTicket { title, body, by } => edit_ticket::ensure(cx, title.as_deref(), body.as_deref(), by).await,
        Effect::CleanUp => clean_up::ensure(cx).await,
        Effect::NoteFindings { pull_request, gate, run, findings } => {
            note_findings::ensure(cx, *pull_request, *gate, *run, findings).await
        }
    }
}
