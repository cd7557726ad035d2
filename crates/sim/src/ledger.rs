//! What an independent observer writes down: which claims are valid, what was spent, which gate said yes to which head.
//! It is fed by what verbs answered and never reads the database, so that the two can disagree.

use crate::invariants::Change;
use crate::outside;
use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::ids::{Environment, GateId, JobId, ProjectKey, Seq, Sha, TaskId, Time};
use orch_core::pipeline::{Cursor, OnInconclusive, Step};
use orch_core::task::{BlockReason, Phase, Task, WaitReason, WayOut};
use orch_core::verdict::Verdict;
use orch_store::{Fence, Job};
use std::collections::{BTreeMap, BTreeSet};

/// What a job has spent: attempts by its own failures, transient ones by the world's, and workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) attempts: u32,
    pub(crate) transient: u32,
    pub(crate) deaths: u32,
}

/// What was reserved for a run, as the claim said.
#[derive(Clone, Debug)]
pub(crate) struct Reserved {
    pub(crate) project: ProjectKey,
    pub(crate) at: Time,
    pub(crate) micro_usd: u64,
    /// Its run began.
    pub(crate) begun: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Valid claims.
    claims: BTreeMap<JobId, Claim>,
    /// What each job has spent.
    pub(crate) spent: BTreeMap<JobId, Spent>,
    /// What agents cost, millionths of a dollar, by run; and what it was when a person last granted a budget.
    pub(crate) costs: BTreeMap<(JobId, u32), u64>,
    pub(crate) granted: BTreeMap<TaskId, u64>,
    /// What claims reserved for their runs.
    pub(crate) reserved: BTreeMap<(JobId, u32), Reserved>,
    /// Jobs that are over.
    pub(crate) ended: BTreeSet<JobId>,
    /// Inbox rows that were stepped.
    pub(crate) stepped: BTreeSet<i64>,
    /// Gates that let a head pass, as of now.
    pub(crate) passes: BTreeMap<TaskId, BTreeMap<Cursor, Sha>>,
    /// The same, ever.
    pub(crate) ever: BTreeSet<(TaskId, Cursor, Sha)>,
    /// How often a program was red on a head, since a person last had a word.
    pub(crate) red: BTreeMap<(TaskId, GateId, Sha), u32>,
    /// The reviewer's run whose verdict last let a task pass.
    pub(crate) reviewed: BTreeMap<TaskId, Seq>,
    /// Last prepared head and the tip it contains.
    pub(crate) prepared: BTreeMap<TaskId, (Sha, Sha)>,
    /// Times sent back to a stage since a person last let it go on.
    pub(crate) bounces: BTreeMap<(TaskId, String), u32>,
    /// Paths in conflict that nothing has resolved yet, by task.
    pub(crate) conflicts: BTreeMap<TaskId, Vec<String>>,
    /// What people were told about a wait.
    pub(crate) told: BTreeSet<(TaskId, Time, &'static str)>,
    /// Tasks whose merge lease was reclaimed since they took it.
    pub(crate) reclaimed: BTreeSet<TaskId>,
    /// When each holder's lease may be reclaimed.
    pub(crate) lease_until: BTreeMap<TaskId, i64>,
    /// Newest journal row that was checked.
    pub(crate) journal: i64,
    /// Pull requests the core was told of.
    pub(crate) pulls: BTreeSet<(TaskId, u64)>,
    /// What gates found and hold nothing up for, by where it has to be read in the end.
    pub(crate) noted: BTreeSet<(TaskId, String)>,
    /// Production hooks that came to an end, by environment and revision, since a person last wanted them run again.
    pub(crate) hooked: BTreeMap<(ProjectKey, Environment, Sha), TaskId>,
    /// What failed in production and was not accepted, and what repairs it, once that has landed.
    pub(crate) broken: BTreeMap<TaskId, (Sha, Option<Sha>)>,
    /// What of a task had landed when it was begun again.
    pub(crate) before_life: BTreeMap<TaskId, Vec<Sha>>,
    /// Keys of people's wishes.
    pub(crate) wishes: BTreeSet<String>,
}

/// A claim that was not given back.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    epoch: u64,
    exclusive: Option<String>,
    /// Does its work go on without its worker?
    outlives: bool,
    /// Is it beside what its task does?
    pub(crate) side: bool,
    /// Process that has it.
    pub(crate) process: u32,
    /// Until when, by the store's clock.
    pub(crate) until_ms: i64,
}

impl Ledger {
    pub(crate) fn holds(&self, fence: Fence) -> bool {
        self.claims.get(&fence.job).is_some_and(|c| c.epoch == fence.epoch)
    }
    pub(crate) fn release(&mut self, job: JobId) {
        self.claims.remove(&job);
    }
    /// Does the work of this claim go on without its worker?
    pub(crate) fn outlives(&self, job: JobId) -> bool {
        self.claims.get(&job).is_some_and(|c| c.outlives)
    }
    pub(crate) fn held(&self) -> BTreeSet<JobId> {
        self.claims.keys().copied().collect()
    }
    /// What this process has claimed.
    pub(crate) fn held_by(&self, process: u32) -> BTreeSet<JobId> {
        self.claims.iter().filter(|(_, c)| c.process == process).map(|(job, _)| *job).collect()
    }
    pub(crate) fn claim_of(&self, job: JobId) -> Option<&Claim> {
        self.claims.get(&job)
    }

    pub(crate) fn claim(&mut self, job: &Job, process: u32, until_ms: i64) {
        let (exclusive, outlives) = (job.effect.exclusive(&job.project), job.lane.outlives_workers());
        self.claims.insert(
            job.id,
            Claim { epoch: job.epoch, exclusive, outlives, side: job.effect.is_side(), process, until_ms },
        );
    }

    /// A claim was renewed.
    pub(crate) fn renew(&mut self, job: JobId, until_ms: i64) {
        if let Some(claim) = self.claims.get_mut(&job) {
            claim.until_ms = until_ms;
        }
    }

    /// Who else holds this job's exclusive key.
    pub(crate) fn rival(&self, job: &Job) -> Option<JobId> {
        let key = job.effect.exclusive(&job.project)?;
        self.claims
            .iter()
            .find(|(id, claim)| **id != job.id && claim.exclusive.as_ref() == Some(&key))
            .map(|(id, _)| *id)
    }

    /// Places of the gates between `Update` and `Merge`.
    pub(crate) fn exact_gates(task: &Task) -> Vec<Cursor> {
        let Some(merge) = task.pipeline.merge_at() else { return Vec::new() };
        let update = task.pipeline.update_step(merge.stage).unwrap_or(merge.step);
        let between = (update + 1..merge.step).map(|step| Cursor { stage: merge.stage, step });
        between.filter(|at| matches!(task.pipeline.step(*at), Some(Step::Gate { .. }))).collect()
    }

    /// Places of the gates whose verdicts belong to the patch.
    pub(crate) fn patch_gates(task: &Task) -> Vec<Cursor> {
        let at = |stage, step| Cursor { stage, step };
        let places = task.pipeline.stages.iter().enumerate();
        let places = places.flat_map(|(stage, s)| (0..s.steps.len()).map(move |step| at(stage, step)));
        let of_patch = |s: &Step| matches!(s, Step::Gate { gate, .. } if gate.is_of_the_patch());
        places.filter(|at| task.pipeline.step(*at).is_some_and(of_patch)).collect()
    }

    pub(crate) fn note(&mut self, change: &Change<'_>) {
        let (before, after) = (change.before, change.after);
        let id = after.id;
        if let Event::JobEnded { job, outcome } = change.event
            && before.job() == Some(*job)
        {
            if let Outcome::PullRequestOpen { number } = outcome {
                self.pulls.insert((id, *number));
            }
            self.note_outcome(change, outcome);
        }
        // Going back voids what was said from there on; going back for an approval alone voids nothing but that.
        if after.at < before.at {
            let alone = after.landing.approval_again.is_some();
            let stands = |at: &Cursor| *at < after.at || alone && *at != after.at;
            self.passes.entry(id).or_default().retain(|at, _| stands(at));
        }
        // What a person does ends the wait; the next one may begin in the same millisecond.
        if change.event.actor().is_some() || matches!(change.event, Event::Landed { .. }) {
            self.told.retain(|(task, ..)| *task != id);
            self.red.retain(|(task, ..), _| *task != id);
        }
        self.note_grants(change);
        self.note_production(change);
        if matches!(change.event, Event::BegunAgain { .. }) {
            self.before_life.insert(id, after.landing.earlier.clone());
        }
        let again = matches!(change.event, Event::RevertAsked { .. } | Event::BegunAgain { .. });
        if again || matches!(change.event, Event::RetryAsked { .. } | Event::WayChosen { .. }) {
            self.bounces.retain(|(task, _), _| *task != id);
        }
        // Another branch is in no conflict, and neither is what a person has merged.
        if after.branch.generation != before.branch.generation
            || matches!(change.event, Event::LandAsked { .. })
            || before.landing.landed.is_some() && after.landing.merged.is_some()
        {
            self.conflicts.remove(&id);
        }
        if after.branch.generation != before.branch.generation {
            self.passes.remove(&id);
            self.prepared.remove(&id);
        }
        if change.lease.task == Some(id) && change.lease.epoch != change.lease_before.epoch {
            self.reclaimed.remove(&id);
        }
    }

    fn note_production(&mut self, change: &Change<'_>) {
        let (before, after) = (change.before, change.after);
        let (id, merged) = (after.id, after.landing.merged.as_ref().map(|m| m.commit.clone()));
        let waits = matches!(before.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. });
        let again = match change.event {
            Event::WayChosen { way: WayOut::Deploy, .. } => true,
            Event::RetryAsked { .. } => waits,
            _ => false,
        };
        if again {
            self.hooked.retain(|_, task| *task != id);
        }
        let fails = after.production.rolling_back
            && !before.production.rolling_back
            && matches!(before.step(), Some(Step::Gate { .. }));
        match (fails, merged, self.broken.get(&id).cloned()) {
            (true, Some(failed), _) => drop(self.broken.insert(id, (failed, None))),
            (false, Some(commit), Some((failed, _))) if before.landing.merged.is_none() && commit != failed => {
                self.broken.insert(id, (failed, Some(commit)));
            }
            (false, Some(commit), Some((failed, Some(_)))) if commit == failed => {
                self.broken.insert(id, (failed, None));
            }
            _ => {}
        }
        if after.is_closed() || matches!(after.step(), Some(Step::Watch)) {
            self.broken.remove(&id);
        }
    }

    fn note_outcome(&mut self, change: &Change<'_>, outcome: &Outcome) {
        let (before, after) = (change.before, change.after);
        let id = after.id;
        let judged = before.landing.merged.as_ref().map(|m| m.commit.clone()).or_else(|| before.branch.head.clone());
        let goes_on = matches!(after.phase, Phase::Working { .. }) && before.landing.landed.is_none();
        let mut sent_back = false;
        match (before.step(), outcome) {
            (_, Outcome::Updated { head, base, repatched, .. }) => {
                // A person's branch is in no conflict any more when it merges as it is: main has moved on.
                if after.branch.source.is_some() {
                    self.conflicts.remove(&id);
                }
                let mut gates = Self::exact_gates(before);
                if *repatched {
                    gates.extend(Self::patch_gates(before));
                }
                self.passes.entry(id).or_default().retain(|at, _| !gates.contains(at));
                self.prepared.insert(id, (head.clone(), base.clone()));
            }
            (Some(Step::Gate { gate, on_inconclusive, .. }), Outcome::Judged { head, verdict, notes, .. }) => {
                let warned = *on_inconclusive == OnInconclusive::PassWithWarning;
                let through = verdict.lets_through() || warned && matches!(verdict, Verdict::Inconclusive { .. });
                if judged.as_ref() == Some(head) {
                    if through {
                        self.passes.entry(id).or_default().insert(before.at, head.clone());
                        self.ever.insert((id, before.at, head.clone()));
                        if let (GateId::ReviewerVerdict, Verdict::Pass, Some(run)) = (*gate, verdict, before.run) {
                            self.reviewed.insert(id, run);
                        }
                    }
                    // Of what is being stopped nothing is told.
                    let quiet = notes.is_empty() || matches!(before.phase, Phase::Stopping { .. });
                    if let (Some(pull), Some(run), false) = (before.branch.pull_request, before.run, quiet) {
                        self.noted.insert((id, outside::note_key(pull, *gate, run)));
                    }
                }
                if matches!(verdict, Verdict::Fail { .. }) && goes_on {
                    *self.red.entry((id, *gate, head.clone())).or_default() += 1;
                }
                sent_back = matches!(verdict, Verdict::Fail { .. }) && *gate != GateId::DeployStatus
                    || matches!(verdict, Verdict::Inconclusive { .. }) && *on_inconclusive == OnInconclusive::Fail;
            }
            (Some(Step::Gate { on_inconclusive, .. }), Outcome::Failed { .. }) => {
                if *on_inconclusive == OnInconclusive::PassWithWarning
                    && let Some(head) = judged
                {
                    self.passes.entry(id).or_default().insert(before.at, head);
                }
                sent_back = *on_inconclusive == OnInconclusive::Fail;
            }
            // What cannot be taken back by itself is another matter.
            (Some(Step::Update), Outcome::Conflict { files, .. }) => {
                self.conflicts.insert(id, files.clone());
                // It spends no round, and is bounded all the same.
                if goes_on {
                    *self.bounces.entry((id, "a conflict".into())).or_default() += 1;
                }
                self.passes.entry(id).or_default().retain(|at, _| *at < after.at);
            }
            (Some(Step::Update), Outcome::NotTaken { .. }) => sent_back = true,
            _ => {}
        }
        // What a person's retry had asked first is repaired at nobody's cost, once.
        let granted = before.spent.granted && !after.spent.granted;
        if sent_back && goes_on && !granted {
            *self.bounces.entry((id, after.stage().to_string())).or_default() += 1;
        }
        if sent_back && goes_on {
            self.passes.entry(id).or_default().retain(|at, _| *at < after.at);
        }
    }
}

impl Ledger {
    /// What the agents of a task have cost, or may have.
    fn cost(&self, task: TaskId) -> u64 {
        let cost =
            |(run, reserved): (&(JobId, u32), &Reserved)| self.costs.get(run).copied().unwrap_or(reserved.micro_usd);
        self.reserved.iter().filter(|((job, _), reserved)| job.task == task && reserved.begun).map(cost).sum()
    }

    /// What they had cost when a person last granted a budget.
    pub(crate) fn granted_to(&self, task: TaskId) -> u64 {
        self.granted.get(&task).copied().unwrap_or(0)
    }

    /// A person grants the agents of a task as much again.
    fn note_grants(&mut self, change: &Change<'_>) {
        let id = change.after.id;
        let asks = matches!(&change.before.phase, Phase::Blocked { why: BlockReason::BudgetSpent { .. }, .. });
        let retried = asks && matches!(change.event, Event::RetryAsked { .. });
        if change.policy.task_budget_micro_usd.is_some()
            && (retried || matches!(change.event, Event::BegunAgain { .. }))
        {
            self.granted.insert(id, self.cost(id));
        }
    }
}

/// Open jobs a task's phase waits for.
pub(crate) fn main_jobs(open: &[Job]) -> impl Iterator<Item = &Job> {
    open.iter().filter(|j| !j.effect.is_side())
}

/// Notices among new jobs.
pub(crate) fn notices<'a>(change: &'a Change<'_>) -> impl Iterator<Item = &'a str> {
    let first = change.before.next_seq;
    change.open.iter().filter(move |j| first <= j.id.seq).filter_map(|j| match &j.effect {
        Effect::Notify { text, .. } => Some(text.as_str()),
        _ => None,
    })
}
