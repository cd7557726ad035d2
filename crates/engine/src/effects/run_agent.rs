//! An agent's turn: a fresh working directory, a brief, the program under its supervisor, and what its end is worth.
//! After a crash the run is found again and waited for; it is never started twice.

use super::desk::{Desk, desk};
use super::set_up::{self, SetUp};
use crate::attachments;
use crate::conflicts;
use crate::cx::{Cx, Ended};
use crate::parts::Of;
use crate::prompt::{self, AnswerNote, ArtefactNote, Commands, FindingNote, PromptContext, ReviewNote};
use crate::review;
use crate::shell::{self, Supervised};
use orch_core::artefact;
use orch_core::effect::Outcome;
use orch_core::ids::{GateId, Role, Sha, StageId};
use orch_core::pipeline::Step;
use orch_ports::Fault;
use orch_ports::agent::{Brief, files as agent_files};
use orch_ports::masks::mask;
use orch_ports::supervisor::RunState;
use std::path::Path;

pub(super) async fn ensure(cx: &Cx, role: &Role, stage: &StageId, round: u32) -> Result<Ended, Fault> {
    let dir = cx.run_dir("");
    let program = cx.project.program(role);
    if matches!(cx.engine.ports.supervisor.look(&dir)?, RunState::Absent) {
        if cx.stop.is_cancelled() {
            shell::never_began(cx, &dir).await?;
            return Ok(Outcome::Cancelled.into());
        }
        match set_up::ensure(cx, role, stage).await? {
            SetUp::Asked => {}
            SetUp::Over(ended) => return Ok(ended),
            set_up => {
                // It may have taken long: somebody may want something else by now.
                if cx.stop.is_cancelled() || (matches!(set_up, SetUp::Ran { .. }) && cx.is_on_hold().await?) {
                    shell::never_began(cx, &dir).await?;
                    return Ok(Outcome::Cancelled.into());
                }
                begin(cx, (role, stage, round), &dir, set_up).await?;
            }
        }
    }
    let exit = match shell::wait(cx, &dir, &|| program.keys()).await {
        Ok(Supervised::Ended(exit)) => exit,
        Ok(Supervised::Stopped(exit)) => {
            // What is stopped has cost something all the same.
            shell::finish(cx, &dir, &exit, Some(&program.read(&dir, &exit))).await?;
            set_up::over(cx);
            return Ok(Outcome::Cancelled.into());
        }
        Err(fault) if fault.is_transient() => {
            // It has cost something, too, and nobody comes back to it.
            if cx.engine.ports.supervisor.look(&dir)? == RunState::Lost {
                let exit = shell::lost(cx);
                shell::finish(cx, &dir, &exit, Some(&program.read(&dir, &exit))).await?;
            }
            return Ok(shell::again(cx, "", fault));
        }
        Err(fault) => return Err(fault),
    };
    let report = program.read(&dir, &exit);
    shell::finish(cx, &dir, &exit, Some(&report)).await?;
    set_up::over(cx);
    if let Some(tried) = report.end.tried(role.as_str()) {
        return Ok(Ended::Tried(Box::new(tried)));
    }
    Ok(match (report.question, report.word) {
        (None, Some(word)) => Outcome::AgentSaid { word, resolved: report.resolved }.into(),
        // A question can be answered: it goes first, and the person who does that hears the rest.
        (Some(question), Some(word)) => {
            let question = Some(format!("{question}\n(It also says `{}`: {})", word.key(), word.reason()));
            Outcome::AgentFinished { question, resolved: report.resolved }.into()
        }
        (question, None) => Outcome::AgentFinished { question, resolved: report.resolved }.into(),
    })
}

/// Makes everything ready and asks for the run.
async fn begin(cx: &Cx, (role, stage, round): (&Role, &StageId, u32), dir: &Path, set_up: SetUp) -> Result<(), Fault> {
    let (after_setup, note) = match set_up {
        SetUp::Ran { note } => (true, note),
        _ => (false, None),
    };
    let Desk { fetched, base, commit, sees: desk, worktree, resume } = desk(cx, role, stage, after_setup).await?;
    let project = &cx.project.key;
    let artefact_dir = cx.task.artefact_dir();
    let run_name = cx.run_name("");
    shell::private_dir(dir)?;
    shell::private_dir(&dir.join(agent_files::OUT))?;
    let brief = Brief {
        work_item: cx.task.work_item.clone(),
        project: project.clone(),
        role: role.clone(),
        stage: stage.clone(),
        attempt: cx.job.run_attempt,
        round,
        run_id: run_name,
        branch: cx.task.branch.name.clone(),
        base: base.to_string(),
        artefact_dir: artefact_dir.clone(),
        worktree,
        run_dir: dir.to_owned(),
        prompt_file: dir.join("prompt.md"),
        result_file: dir.join(agent_files::RESULT),
        reserved_micro_usd: cx.job.reserved_micro_usd,
        session_dir: cx.engine.options.sessions_dir.join(format!("{}-{role}", cx.task.id.0)),
        resume,
        artefacts: artefact::expected(stage).iter().map(|name| (*name).to_owned()).collect(),
        test: cx.project.whole(Of::Test).map(|run| run.shown),
    };
    let template = template(cx, role, &fetched.tip).await?;
    let files = attachments::hand_over(cx, dir).await?;
    let mut context = context(cx, &brief, &fetched.default_branch, (&commit, &desk)).await?;
    context.notes.extend(files);
    context.notes.extend(note);
    let text = prompt::render(&template, &context).map_err(|e| Fault::permanent(e.to_string()))?;
    // Whoever was told a key by another one's output is not to learn it.
    shell::written(&brief.prompt_file, mask(&text).as_bytes())
        .map_err(|e| Fault::transient(format!("write {}: {e}", brief.prompt_file.display())))?;
    let program = cx.project.program(role);
    let spec = program.launch(&brief)?;
    shell::start(cx, dir, &spec, role.clone().into(), (program.name(), program.sandbox())).await
}

/// The role's prompt: the project's own from its default branch, never from the task's branch (a branch must not write
/// its own reviewer's instructions), else the built-in one.
async fn template(cx: &Cx, role: &Role, tip: &Sha) -> Result<String, Fault> {
    for place in [".openclaw/agents", ".orch/agents"] {
        let path = format!("{place}/{role}.md");
        if let Some(bytes) = cx.engine.ports.git.read_file(&cx.project.key, tip, &path).await? {
            return String::from_utf8(bytes)
                .map_err(|_| Fault::permanent(format!("the project's {path} is not UTF-8 text")));
        }
    }
    prompt::builtin(role.as_str()).map(ToOwned::to_owned).ok_or_else(|| {
        Fault::permanent(format!("there is no prompt for the role `{role}`: add .orch/agents/{role}.md to the project"))
    })
}

/// What whoever reviews again has to know of the review before.
async fn last_review(cx: &Cx, brief: &Brief, head: &Sha) -> Result<Option<ReviewNote>, Fault> {
    let task = &cx.task;
    let judged = |s: &Step| matches!(s, Step::Gate { gate: GateId::ReviewerVerdict, .. });
    if !task.pipeline.stages.iter().any(|s| s.id == brief.stage && s.steps.iter().any(judged)) {
        return Ok(None);
    }
    let Some(last) = review::last(cx.store(), task, cx.job.id.seq).await? else { return Ok(None) };
    let changed = review::changed_since(&*cx.engine.ports.git, &task.project, &last, head).await?;
    let changed = changed.map(|changed| review::without_papers(changed, &brief.artefact_dir));
    Ok(Some(ReviewNote::new(&last.head, &last.open, &task.findings.open, changed.as_deref())))
}

/// What the developer said since the last review, the newest last: claims for whoever judges the work.
async fn developer_says(cx: &Cx, brief: &Brief) -> Result<Vec<String>, Fault> {
    const MOST: usize = 5;
    let task = &cx.task;
    if !matches!(brief.role, Role::Reviewer | Role::Tester) || task.repairs() == 0 && task.findings.open.is_empty() {
        return Ok(Vec::new());
    }
    let runs = cx.store().runs(task.id).await?;
    let own = || runs.iter().filter(|r| (task.first_job()..cx.job.id.seq).contains(&r.job));
    let since = own().filter(|r| r.what.role() == Some(&brief.role)).map(|r| r.job).max().unwrap_or(0);
    let said =
        own().filter(|r| r.what.role() == Some(&Role::Developer) && since < r.job).filter_map(|r| r.summary.clone());
    let mut said: Vec<String> = said.filter(|s| !s.trim().is_empty()).collect();
    said.drain(..said.len().saturating_sub(MOST));
    Ok(said)
}

/// The open findings. One without an id has the name in the developer's brief that the reviewer's next brief gives it, so that
/// an answer by name is understood.
async fn findings(cx: &Cx, brief: &Brief) -> Result<Vec<FindingNote>, Fault> {
    let mut notes: Vec<FindingNote> = cx.task.findings.open.iter().map(FindingNote::from).collect();
    if brief.role == Role::Developer
        && let Some(last) = review::last(cx.store(), &cx.task, cx.job.id.seq).await?
    {
        for (note, finding) in notes.iter_mut().zip(&cx.task.findings.open).filter(|(note, _)| note.id.is_none()) {
            note.id = last.open.iter().position(|open| open == finding).map(|n| format!("O{}", n + 1));
        }
    }
    Ok(notes)
}

async fn context(
    cx: &Cx,
    brief: &Brief,
    default_branch: &str,
    (head, desk): (&Sha, &Sha),
) -> Result<PromptContext, Fault> {
    let task = &cx.task;
    let files = cx.engine.ports.git.list_files(&task.project, desk, &brief.artefact_dir).await?;
    let present = |name: &str| {
        let path = format!("{}/{}", brief.artefact_dir, name.trim_end_matches('/'));
        files.iter().any(|f| *f == path || f.starts_with(&format!("{path}/")))
    };
    let artefacts =
        artefact::KNOWN.iter().map(|k| ArtefactNote { name: k.name.into(), present: present(k.name) }).collect();
    let answers = task.findings.answers.iter().map(|a| AnswerNote {
        question: a.question.clone(),
        answer: a.answer.clone(),
        by: a.by.to_string(),
    });
    let (title, body) = task.ticket_text();
    let previous = cx.job.last_fault.as_ref().map(|f| f.text.clone()).unwrap_or_default();
    let comments = task.findings.comments.iter().map(|c| format!("{} commented on the ticket:\n{}", c.by, c.text));
    Ok(PromptContext {
        work_item: task.work_item.to_string(),
        project: task.project.to_string(),
        title,
        body,
        role: brief.role.to_string(),
        stage: brief.stage.to_string(),
        attempt: brief.attempt,
        round: brief.round,
        max_rounds: cx.project.policy.max_developer_retries,
        branch: task.branch.name.clone(),
        base: brief.base.clone(),
        default_branch: default_branch.to_owned(),
        artefact_dir: brief.artefact_dir.clone(),
        result_file: brief.result_file.display().to_string(),
        artefacts,
        findings: findings(cx, brief).await?,
        developer_says: developer_says(cx, brief).await?,
        no_change: task.findings.no_change.as_ref().map(|d| d.reason.clone()).unwrap_or_default(),
        last_review: last_review(cx, brief, head).await?,
        findings_from: task.findings.from.clone().unwrap_or_default(),
        answers: answers.collect(),
        notes: task
            .past_notes()
            .into_iter()
            .chain(base_notes(task))
            .chain(task.findings.notes.iter().map(ToString::to_string))
            .chain(comments)
            .collect(),
        conflicts: task.landing.conflict.as_ref().map(|c| c.files.clone()).unwrap_or_default(),
        conflict_paths: conflicts::to_resolve(task),
        was_in_conflict: conflicts::resolved(cx).await?,
        commands: Commands {
            setup: cx.project.preparation.setup.clone(),
            test: cx.project.whole(Of::Test).map(|run| run.shown),
            ci: cx.project.whole(Of::Ci).map(|run| run.shown),
        },
        previous,
    })
}

/// What failed before anybody worked on it, where the ticket is to repair that.
fn base_notes(task: &orch_core::task::Task) -> Option<String> {
    let failed = &task.findings.base;
    let first = "Before this ticket was begun, this failed on the default branch; the ticket is to repair it:";
    (!failed.is_empty()).then(|| format!("{first}\n{}", failed.join("\n")))
}
