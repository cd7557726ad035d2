//! What people and programs are shown of tasks: derived at the moment of asking, the same for command line, API and
//! dashboard. Field names are pinned: people script against them.

mod cost;
mod queues;
mod shapes;

use crate::budgets;
use crate::engine::Engine;
use crate::halt::{Pause, end_of};
use crate::pause;
use crate::tickets;
use orch_core::effect::Effect;
use orch_core::explain;
use orch_core::ids::{Actor, ProjectKey, TaskId, Time, WorkItem};
use orch_core::people::system;
use orch_core::phase::PhaseKind;
use orch_core::task::{Phase, Task};
use orch_ports::Fault;
use orch_store::forget::Redactor;
use orch_store::{Job, JournalRow, Judgement, RunRow, Standing, TaskFilter};
use std::path::Path;
use std::sync::PoisonError;

pub use crate::text::rfc3339;
pub use crate::watchers::report::WatcherState;
pub use cost::{CostBy, CostView};
pub use queues::MergeQueue;
pub use shapes::*;

/// Most open jobs that are shown at once.
const SHOWN: u32 = 200;

fn dollars(micro_usd: Option<u64>) -> Option<f64> {
    micro_usd.map(|micro_usd| micro_usd as f64 / 1e6)
}

/// A job that is backing off or parked explains more than "it is at work".
fn explain_queued(waiting: &mut explain::Waiting, job: &Job, money: Option<(String, Option<Time>)>) {
    let Some(fault) = &job.last_fault else { return };
    waiting.until = Some(job.available_at);
    if let Some((ends_when, until)) = money {
        waiting.reason = format!("waits for money: {}", fault.text);
        waiting.until = until;
        waiting.ends_when = ends_when;
    } else if let Some(service) = &job.parked {
        waiting.reason = format!("{}; {}", waiting.reason, fault.text);
        waiting.ends_when = format!("{service} answers one job again: that one tries first; {}", waiting.ends_when);
    } else {
        waiting.reason = format!("{}; tried before: {}", waiting.reason, fault.text);
        waiting.ends_when = format!("the next try; {}", waiting.ends_when);
    }
}

/// When orch looks again by itself at what it waits for.
fn next_look(task: &Task) -> Option<Time> {
    match &task.phase {
        Phase::Waiting { recheck, .. } => *recheck,
        _ => None,
    }
}

/// Said of every task that has run something.
const NOT_HELD: &str = "what its runs reach: agents, setups and tests run without a sandbox, as the user of orch, so that a hostile \
                        branch is not held";

impl Engine {
    /// What holds up more than this task: its project, or the instance.
    async fn explain_standing(&self, task: &Task, standing: &Standing, waiting: &mut explain::Waiting) {
        if let Some(at) = next_look(task) {
            waiting.ends_when = format!("{} (the next look is at {})", waiting.ends_when, rfc3339(at));
        }
        if let Some(slow) = self.projects().get(&task.project).and_then(|project| self.slow_pace(project)) {
            waiting.ends_when = format!("{}; {slow}", waiting.ends_when);
        }
        let running = standing.job.as_ref().is_some_and(|job| job.state == orch_store::JobState::Running);
        if let Some((why, since)) = self.project_out(&task.project) {
            waiting.reason = why;
            waiting.since = since.unwrap_or(waiting.since);
            waiting.until = None;
            if self.projects().contains_key(&task.project) {
                "its repository can be served again; orch looks by itself".clone_into(&mut waiting.ends_when);
                waiting.command = Some("orch doctor".into());
            } else {
                "the project is in the configuration again, or the task is cancelled"
                    .clone_into(&mut waiting.ends_when);
                waiting.command = Some(format!("orch task cancel {}", task.work_item));
            }
        } else if let Some((pause, end)) = self.pause_of(&task.project) {
            let so = match standing.job.as_ref().filter(|_| running) {
                None => "nothing new is begun",
                Some(job) if job.lane != orch_core::effect::Lane::Agent => {
                    "what has begun goes on to its end, nothing new is begun"
                }
                Some(job) if pause::stands(self, job).await => "its agent stands still and goes on where it was",
                Some(_) => "its agent is to stand still and does not yet",
            };
            let (by, since) = (&pause.by, rfc3339(pause.since));
            waiting.reason = format!("paused by {by} since {since}, {so}; {}", waiting.reason);
            waiting.ends_when = format!("the pause is ended (`{end}`); {}", waiting.ends_when);
            if waiting.command.is_none() {
                waiting.command = Some(end);
            }
        } else if self.is_draining() && !running && !matches!(task.phase, Phase::Idle) {
            waiting.reason = format!("orch is drained, nothing new is begun; {}", waiting.reason);
            waiting.ends_when = format!("claiming is taken up again (`orch resume`); {}", waiting.ends_when);
            if waiting.command.is_none() {
                waiting.command = Some("orch resume".into());
            }
        }
    }

    /// What is paused, that of everything first.
    pub fn paused(&self) -> Vec<PauseView> {
        let pauses = self.pauses();
        let view = |(project, pause): (Option<&ProjectKey>, &Pause)| PauseView {
            project: project.map(ToString::to_string),
            by: pause.by.to_string(),
            since: rfc3339(pause.since),
            ends: end_of(project),
        };
        pauses.in_force().map(view).collect()
    }

    /// Shows a task.
    pub async fn show(&self, task: &Task) -> Result<TaskView, Fault> {
        let standing = self.ports.store.standing(task.id, task.job()).await?;
        let mut view = self.picture(task, &standing).await?;
        if let Some(waiting) = &mut view.waiting
            && let Some(text) = tickets::refused_in_this_wait(&*self.ports.store, task).await?
        {
            waiting.reason = format!("{}; its ticket was moved: {text}", waiting.reason);
        }
        Ok(view)
    }

    async fn picture(&self, task: &Task, standing: &Standing) -> Result<TaskView, Fault> {
        let mut waiting = explain::explain(task);
        if let (Some(waiting), Some(job)) = (&mut waiting, &standing.job)
            && job.effect == Effect::JudgeBase
            && task.asked().is_none()
        {
            "the default branch is judged as it is, before anybody works on it".clone_into(&mut waiting.reason);
            "its setup, tests and CI have ended there".clone_into(&mut waiting.ends_when);
        }
        if let (Some(waiting), Some(seq)) = (&mut waiting, task.job()) {
            match &standing.job {
                Some(job) if job.state == orch_store::JobState::Queued => {
                    explain_queued(waiting, job, budgets::ends(self, job));
                }
                Some(_) => {}
                None => {
                    let id = orch_core::ids::JobId { task: task.id, seq };
                    let unknown = self.ports.store.unknown_jobs().await?.into_iter().find(|u| u.id == id);
                    if let Some(unknown) = unknown {
                        let kind = &unknown.kind;
                        waiting.reason = format!("its job {id} is of a kind this version does not know (`{kind}`)");
                        "a version of orch that knows it is started; the job is kept"
                            .clone_into(&mut waiting.ends_when);
                    }
                }
            }
        }
        if let Some(waiting) = &mut waiting {
            self.explain_standing(task, standing, waiting).await;
        }
        let outcome = match &task.phase {
            orch_core::task::Phase::Done { outcome, .. } => Some(outcome.as_str().to_owned()),
            _ => None,
        };
        Ok(TaskView {
            held: task.wait.on_hold.as_ref().map(|h| HeldView {
                by: h.by.to_string(),
                since: rfc3339(h.since),
                reason: h.reason.clone(),
            }),
            finished: task.lives.finished.as_ref().map(|f| FinishedView {
                by: f.by.to_string(),
                reason: f.reason.clone(),
                at: rfc3339(f.at),
            }),
            lives: task.lives.past.iter().map(life_view).collect(),
            priority: (task.priority != 0).then_some(task.priority),
            lands: task.branch.source.as_ref().map(|s| LandsView { branch: s.name.clone(), head: s.head.to_string() }),
            id: task.work_item.to_string(),
            project: task.project.to_string(),
            title: task.ticket_text().0,
            stage: task.stage().to_string(),
            phase: task.phase_word().to_owned(),
            line: waiting.as_ref().map_or_else(|| explain::line(task), |w| w.reason.clone()),
            waiting: waiting.map(|w| WaitingView {
                reason: w.reason,
                since: rfc3339(w.since),
                until: w.until.map(rfc3339),
                ends_when: w.ends_when,
                command: w.command,
                shown: w.shown,
                subject: task.asked().map(|asked| asked.subject.to_owned()),
            }),
            branch: task.branch.name.clone(),
            head: task.branch.head.as_ref().map(ToString::to_string),
            pull_request: task.branch.pull_request,
            round: task.spent.rounds,
            runs: usize::try_from(standing.runs).unwrap_or(usize::MAX),
            cost_usd: standing.cost.spent_micro_usd as f64 / 1e6,
            cost: standing.cost.spent(),
            reserved_usd: dollars(Some(standing.cost.reserved_micro_usd).filter(|reserved| 0 < *reserved)),
            budget_usd: dollars(self.task_limit(&task.project, task.spent.budget_from_micro_usd)),
            created_at: rfc3339(task.created_at),
            updated_at: rfc3339(task.updated_at),
            done_at: task.done_at.map(rfc3339),
            outcome,
            merge_commit: task.landing.merged.as_ref().map(|m| m.commit.to_string()),
            stages: task.pipeline.stages.iter().map(|s| s.id.to_string()).collect(),
        })
    }

    /// Shows a task by name.
    pub async fn show_item(&self, item: &WorkItem) -> Result<Option<TaskView>, Fault> {
        match self.ports.store.task_by_item(item).await? {
            Some(task) => Ok(Some(self.show(&task).await?)),
            None => Ok(None),
        }
    }

    /// Shows tasks, and where the next page begins if the filter's limit cut them off.
    pub async fn list(&self, filter: TaskFilter) -> Result<(Vec<TaskView>, Option<TaskId>), Fault> {
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let found = self.ports.store.overviews(filter).await?;
        let next = found.last().filter(|_| found.len() == limit).map(|(task, _)| task.id);
        let mut views = Vec::new();
        for (task, standing) in &found {
            views.push(self.picture(task, standing).await?);
        }
        Ok((views, next))
    }

    /// Gates that let a task through although they saw less than they should have, and what they missed; each a line.
    pub async fn degraded(&self, task: TaskId) -> Result<Vec<String>, Fault> {
        let judgements = self.ports.store.judgements(task).await?;
        let last = orch_core::ids::GateId::ALL.iter().filter_map(|id| judgements.iter().rev().find(|j| j.gate == *id));
        Ok(last.flat_map(saw_less).collect())
    }

    /// Runs of a task, the oldest first. Of an agent's that goes on: what its program has said so far.
    pub async fn runs(&self, task: &Task) -> Result<Vec<RunRow>, Fault> {
        let mut runs = self.ports.store.runs(task.id).await?;
        let Some(project) = self.projects().get(&task.project).cloned() else { return Ok(runs) };
        for run in runs.iter_mut().filter(|r| r.ended.is_none() && !r.is_command()) {
            let Some(role) = run.what.role() else { continue };
            let program = project.program(role);
            let live = program.live(Path::new(&run.dir)).filter(|_| program.name() == run.program);
            if let Some(live) = live {
                (run.model, run.session, run.usage) = (live.model, live.session, live.usage);
            }
        }
        Ok(runs)
    }

    /// Everything known about how a task was judged.
    pub async fn evidence(&self, item: &WorkItem) -> Result<Option<EvidenceView>, Fault> {
        let store = &self.ports.store;
        let Some(task) = store.task_by_item(item).await? else { return Ok(None) };
        let judgements = store.judgements(task.id).await?;
        let mut not_checked: Vec<String> = Vec::new();
        for gate in orch_core::ids::GateId::ALL {
            let last = judgements.iter().rev().find(|j| j.gate == *gate);
            if let Some(Judgement { verdict: orch_core::verdict::Verdict::Skipped { why }, .. }) = last {
                not_checked.push(format!("{gate}: {why}"));
            }
            not_checked.extend(last.into_iter().flat_map(saw_less));
        }
        if let Some(finished) = &task.lives.finished {
            let (by, at, why) = (&finished.by, rfc3339(finished.at), &finished.reason);
            not_checked.push(format!(
                "everything from stage {} on: finished outside of orch by {by} at {at}: {why}",
                task.stage()
            ));
        }
        not_checked.extend(task.production.not_deployed.iter().cloned());
        let runs = self.runs(&task).await?;
        if runs.iter().any(RunRow::is_open) {
            not_checked.push(NOT_HELD.to_owned());
        }
        let artefacts = store.artefacts(task.id).await?.into_iter().map(|a| ArtefactView {
            name: a.name,
            sha256: a.sha256,
            run: a.run,
            text: String::from_utf8_lossy(&a.bytes).into_owned(),
        });
        let mut deployments = Vec::new();
        for environment in [orch_core::ids::Environment::Staging, orch_core::ids::Environment::Production] {
            let all = store.deployments(&task.project, environment, 200).await?;
            deployments.extend(all.into_iter().filter(|d| d.task == task.id));
        }
        Ok(Some(EvidenceView {
            task: self.show(&task).await?,
            gates: judgements.iter().map(GateView::from).collect(),
            judgements,
            runs,
            approvals: task.approvals.clone(),
            artefacts: artefacts.collect(),
            not_checked,
            deployments,
        }))
    }

    /// Journal rows after an id; of one task or of all.
    pub async fn journal(&self, item: Option<&WorkItem>, after: i64, limit: u32) -> Result<Vec<JournalRow>, Fault> {
        let task = match item {
            None => None,
            Some(item) => match self.ports.store.task_by_item(item).await? {
                None => return Ok(Vec::new()),
                Some(task) => Some(task.id),
            },
        };
        Ok(self.ports.store.journal(task, after, limit).await?)
    }

    /// Journal rows after an id, with a number in the place of every person's name, in the sentences too.
    pub async fn nameless_journal(&self, after: i64, limit: u32) -> Result<Vec<JournalRow>, Fault> {
        let mut rows = self.ports.store.journal(None, after, limit).await?;
        // Who is named in a sentence has acted, or is on a project's list.
        let mut names: std::collections::BTreeSet<Actor> = rows.iter().filter_map(|row| row.actor.clone()).collect();
        for project in self.projects().values() {
            let policy = &project.policy;
            names.extend(policy.people.iter().flat_map(|person| person.names.clone()));
            names.extend([&policy.approvers, &policy.starters, &policy.landers].into_iter().flatten().cloned());
        }
        let numbers = self.numbers(names).await?;
        let hide: Vec<Redactor> = numbers.into_iter().map(|(id, names)| Redactor::of(id, names, false)).collect();
        let sentence = |text: &mut String| {
            for one in &hide {
                if let Some(without) = one.sentence(text) {
                    *text = without;
                }
            }
        };
        for row in &mut rows {
            let under = row.actor.as_ref().filter(|by| system(by).is_none()).map(ToString::to_string);
            for text in row.story.iter_mut().chain(&mut row.ignored) {
                if let Some(without) = hide.iter().find_map(|one| one.deed(text, under.as_deref()?)) {
                    *text = without;
                }
            }
            let number = row.actor.as_ref().and_then(|who| hide.iter().find_map(|one| one.who(who.as_str())));
            row.actor = number.map(Actor::new).or_else(|| row.actor.take());
            row.ignored.iter_mut().for_each(sentence);
            row.story.iter_mut().for_each(sentence);
        }
        Ok(rows)
    }

    /// State of a watcher.
    pub fn watcher(&self, name: &str) -> WatcherState {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
    }

    /// Names of watchers whose last sweep failed, with the fault; and what a look at the start found.
    pub fn failing_watchers(&self) -> Vec<(String, String)> {
        let states = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = states.iter().filter_map(|(name, s)| s.fault.clone().map(|f| ((*name).to_owned(), f)));
        let at_start = self.at_start.lock().unwrap_or_else(PoisonError::into_inner);
        let found = at_start.iter().flat_map(|(name, said)| said.iter().map(|line| ((*name).to_owned(), line.clone())));
        failing.chain(found).collect()
    }

    /// Notes what a look at the start found, to be shown as long as this process lives.
    pub fn found_at_start(&self, look: &'static str, found: Vec<String>) {
        self.at_start.lock().unwrap_or_else(PoisonError::into_inner).insert(look, found);
    }

    /// Services that are not asked for the moment: since when, until when, why, and how many jobs wait for each.
    fn circuits_view(&self, parked: &[(String, u64)]) -> Vec<serde_json::Value> {
        let circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let parked = |service: &str| parked.iter().find(|(name, _)| name == service).map_or(0, |(_, n)| *n);
        let shown = circuits.iter().filter_map(|(service, circuit)| {
            let open = circuit.open.as_ref()?;
            Some(serde_json::json!({
                "service": service, "since": rfc3339(open.since), "until": rfc3339(open.until), "why": open.why,
                "tries": open.tries, "canary": open.probe.map(|id| id.to_string()), "parked": parked(service),
            }))
        });
        shown.collect()
    }

    /// What the security gate has done since this process began, and what it does not know.
    fn security_view(&self) -> serde_json::Value {
        let s = self.security.lock().unwrap_or_else(PoisonError::into_inner).clone();
        serde_json::json!({
            "judged_total": s.judged_total, "failed_total": s.failed_total, "last_run_ts": s.last_run.map(rfc3339),
            "last": s.last, "degraded": s.degraded,
        })
    }

    /// What `GET /queue` shows.
    pub async fn queue(&self) -> Result<QueueView, Fault> {
        let store = &self.ports.store;
        let now = self.ports.clock.now();
        let open = store.open_sample(SHOWN).await?;
        let watcher = |name: &str, enabled: bool| {
            let s = self.watcher(name);
            serde_json::json!({
                "enabled": enabled, "interval": s.interval_ms / 1000, "last_run_ts": s.last_run.map(rfc3339),
                "found_total": s.found_total, "acted_total": s.acted_total, "last": s.last_act, "fault": s.fault,
            })
        };
        let leases = store.leases().await?;
        let filter = TaskFilter { phases: &[PhaseKind::WaitingForLease], ..TaskFilter::default() };
        let waiting = store.tasks(filter).await?.into_iter().rev().collect();
        let repositories: Vec<_> = self.projects().values().map(|p| (p.key.clone(), p.repository.clone())).collect();
        let reaper = self.watcher("reaper");
        let retrying: Vec<_> = open.jobs.iter().filter(|j| 0 < j.transient_attempts).map(JobView::from).collect();
        let suspects: Vec<_> = open.jobs.iter().filter(|j| 0 < j.deaths).map(JobView::from).collect();
        Ok(QueueView {
            counts: store.counts(now).await?,
            max_concurrency: self.options.widths.get(&orch_core::effect::Lane::Agent).copied().unwrap_or(1),
            draining: self.is_draining(),
            paused: self.paused(),
            budgets: self.budgets().await?,
            troubles: self.troubles().await?,
            resilience: serde_json::json!({
                "backing_off": retrying, "circuits": self.circuits_view(&open.parked), "suspects": suspects,
            }),
            reconcile: watcher("reconcile", self.options.reconcile.enabled),
            reaper: serde_json::json!({
                "enabled": self.options.reaper.enabled, "interval": reaper.interval_ms / 1000, "last_run_ts": reaper.last_run.map(rfc3339),
                "reaped_total": reaper.acted_total, "last_reaped": reaper.last_act,
                "lease_reclaimed_total": reaper.lease_reclaimed, "fault": reaper.fault,
            }),
            post_deploy: serde_json::json!({ "watching": open.watching }),
            security: self.security_view(),
            inbound: self.inbound().await?,
            merging: queues::all(&leases, waiting, &repositories, rfc3339),
            leases,
            unknown: store.unknown_jobs().await?.iter().map(unknown_view).collect(),
            open: open.jobs.iter().map(JobView::from).collect(),
            open_total: open.total,
            recent: store.recent_jobs(20).await?.iter().map(JobView::from).collect(),
        })
    }
}
