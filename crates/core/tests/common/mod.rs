//! A small world around `decide`: it keeps the task and the merge lease, answers jobs the way a healthy outside would,
//! and checks after every single event what must always be true. Only the public interface is used.
#![allow(dead_code, unreachable_pub)]

use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::explain::explain;
use orch_core::ids::{Actor, Digest, GateId, Sha, TaskId, Time, WorkItem};
use orch_core::pipeline::{Cursor, OnInconclusive, Pipeline, Step};
use orch_core::policy::Policy;
use orch_core::source::Source;
use orch_core::task::{Branch, DoneOutcome, NewTask, Phase, Task, WaitReason};
use orch_core::verdict::{FaultKind, FaultNote, Finding, Verdict, WaitFor};
use orch_core::{Decided, Decision, LeaseOp, LeaseView, NewJob, Snapshot, decide};

pub const T0: Time = Time(1_700_000_000_000);

pub fn anna() -> Actor {
    Actor::new("local:anna")
}
pub fn bob() -> Actor {
    Actor::new("local:bob")
}
pub fn mallory() -> Actor {
    Actor::new("local:mallory")
}
pub fn sha(n: u64) -> Sha {
    Sha::new(format!("{n:040x}"))
}
pub fn tree(n: u64) -> Digest {
    Digest::new(format!("tree-{n}"))
}
pub fn fault(kind: FaultKind, text: &str) -> FaultNote {
    FaultNote::new(kind, text)
}
pub fn failed(text: &str) -> Outcome {
    Outcome::Failed { fault: fault(FaultKind::Permanent, text) }
}
pub fn must(text: &str) -> Finding {
    Finding::must_fix(text)
}

/// Anna approves, Bob starts, Mallory may nothing.
pub fn policy() -> Policy {
    Policy { starters: vec![bob()], approvers: vec![anna()], own_ci: false, ..Policy::default() }
}

pub fn new_task(pipeline: Pipeline) -> Task {
    ticket(pipeline).into_task(TaskId(1), T0)
}

/// What is known of its ticket.
pub fn ticket(pipeline: Pipeline) -> NewTask {
    NewTask {
        project: "DEMO".into(),
        number: 1,
        title: "Show the version".into(),
        body: "On the front page.".into(),
        pipeline,
        landing: orch_core::landing::LandingPlan::default(),
        repository: None,
        source: None,
    }
}

pub struct World {
    pub task: Task,
    pub lease: LeaseView,
    pub spent_micro_usd: u64,
    pub policy: Policy,
    pub now: Time,
    /// Jobs of the last decision.
    pub jobs: Vec<NewJob>,
    pub last: Option<Decision>,
    /// Everything people were told.
    pub told: Vec<String>,
    /// Every sentence of the journal.
    pub story: Vec<String>,
    /// The job under way.
    pub job: Option<NewJob>,
    /// Last sha handed out.
    pub shas: u64,
    /// Exact gates passed since the last `Update`, kept independently of the task.
    pub exact: Vec<(Cursor, Sha)>,
    /// Merges asked for.
    pub merges: u32,
    /// A merge was asked for, and nobody has read back what became of it.
    pub unknown: bool,
}

impl World {
    pub fn new(pipeline: Pipeline) -> Self {
        Self::with(pipeline, policy())
    }

    pub fn with(pipeline: Pipeline, policy: Policy) -> Self {
        Self {
            task: new_task(pipeline),
            lease: LeaseView::default(),
            spent_micro_usd: 0,
            policy,
            now: T0,
            jobs: Vec::new(),
            last: None,
            told: Vec::new(),
            story: Vec::new(),
            job: None,
            shas: 100,
            exact: Vec::new(),
            merges: 0,
            unknown: false,
        }
    }

    pub fn started(pipeline: Pipeline) -> Self {
        let mut w = Self::new(pipeline);
        w.ok(Event::Started { by: bob() });
        w
    }

    /// A task that lands the branch `bobs/fix` of Bob, who may.
    pub fn landing(pipeline: Pipeline) -> Self {
        let policy = Policy { landers: vec![bob()], ..policy() };
        let mut w = Self::with(pipeline.without_agents(), policy);
        let source = Source::new("bobs/fix", sha(7));
        w.task.branch = Branch::first(&w.task.work_item, &w.task.title, Some(source));
        w
    }

    /// A task of `pipeline` whose job under way is `effect`, reached with nothing but good outcomes.
    pub fn at(pipeline: Pipeline, effect: &str) -> Self {
        let mut w = Self::started(pipeline);
        w.until(effect);
        w
    }

    pub fn holds_lease(&self) -> bool {
        self.lease.holder.as_ref().is_some_and(|(id, _)| *id == self.task.id)
    }

    pub fn lease_taken_by_other(&mut self) {
        assert!(self.lease.holder.is_none());
        self.lease.epoch += 1;
        self.lease.holder = Some((TaskId(2), WorkItem::new("DEMO-2")));
    }

    pub fn fresh(&mut self) -> Sha {
        self.shas += 1;
        sha(self.shas)
    }

    /// Sends an event; `Err` is the reason it was ignored for.
    pub fn send(&mut self, event: Event) -> Result<(), String> {
        let before = self.task.clone();
        let snapshot =
            Snapshot { task: before.clone(), lease: self.lease.clone(), spent_micro_usd: self.spent_micro_usd };
        let d = match decide(&snapshot, &self.policy, &event, self.now) {
            Decided::Ignore(why) => {
                assert!(!why.trim().is_empty(), "{event:?} was ignored without a reason");
                return Err(why);
            }
            Decided::Apply(d) => d,
        };
        if before.is_closed() {
            // What people should know of it still reaches them, and changes nothing else.
            let taken_back = matches!(event, Event::RevertAsked { .. }) && before.landing.merged.is_some();
            let said = matches!(event, Event::Noticed { .. } | Event::EditAsked { .. });
            let taken_back = taken_back || matches!(event, Event::BegunAgain { .. });
            assert!(said || taken_back, "a closed task was changed by {event:?}");
            let same = Task { next_seq: before.next_seq, ..d.task.clone() };
            assert!(taken_back || same == before, "{event:?} changed {before:?}");
        }
        if let Event::JobEnded { outcome, .. } = &event {
            self.note_exact(&before, outcome);
            self.note_merge(&before, outcome);
        }
        self.apply_lease(d.lease);
        self.check_jobs(&before, &d);
        self.check_landed(&before, &event, &d);
        check_start(&before, &event, &d);
        check_base(&before, &self.policy, &event, &d);
        self.task = d.task.clone();
        self.jobs.clone_from(&d.jobs);
        self.story.extend(d.story.iter().cloned());
        for job in &d.jobs {
            if let Effect::Notify { text, .. } = &job.effect {
                self.told.push(text.clone());
            }
        }
        self.last = Some(d);
        self.check_standing();
        Ok(())
    }

    fn note_exact(&mut self, before: &Task, outcome: &Outcome) {
        match outcome {
            Outcome::Updated { .. } => self.exact.clear(),
            Outcome::Judged { head, verdict: Verdict::Pass | Verdict::Skipped { .. }, .. } => {
                self.exact.push((before.at, head.clone()));
            }
            Outcome::Judged { head, verdict: Verdict::Inconclusive { .. }, .. }
                if matches!(
                    before.step(),
                    Some(Step::Gate { on_inconclusive: OnInconclusive::PassWithWarning, .. })
                ) =>
            {
                self.exact.push((before.at, head.clone()));
            }
            Outcome::Failed { .. }
                if matches!(
                    before.step(),
                    Some(Step::Gate { on_inconclusive: OnInconclusive::PassWithWarning, .. })
                ) =>
            {
                self.exact.extend(before.branch.head.clone().map(|head| (before.at, head)));
            }
            _ => {}
        }
    }

    /// What a merge job ends with is what was read back, but for a failure, and for one that was stopped before it looked.
    fn note_merge(&mut self, before: &Task, outcome: &Outcome) {
        if matches!(before.step(), Some(Step::Merge)) {
            self.unknown = match outcome {
                Outcome::Failed { .. } => true,
                Outcome::Cancelled => self.unknown && matches!(before.phase, Phase::Working { .. }),
                _ => false,
            };
        }
    }

    fn apply_lease(&mut self, op: LeaseOp) {
        match op {
            LeaseOp::Keep => {}
            LeaseOp::Take => {
                assert_eq!(self.lease.holder, None, "took a lease somebody holds");
                self.lease.epoch += 1;
                self.lease.holder = Some((self.task.id, self.task.work_item.clone()));
            }
            LeaseOp::Free => {
                assert!(self.holds_lease(), "freed a lease it does not hold");
                self.lease.holder = None;
            }
        }
    }

    fn check_jobs(&mut self, before: &Task, d: &Decision) {
        let mut seq = before.next_seq;
        for job in &d.jobs {
            assert_eq!(job.seq, seq, "job numbers must grow by one");
            seq += 1;
        }
        assert_eq!(d.task.next_seq, seq);
        if let Some(stop) = d.stop {
            assert_eq!(before.job(), Some(stop), "stops a job that is not under way");
        }
        let main: Vec<_> = d.jobs.iter().filter(|j| !j.effect.is_side()).collect();
        assert!(main.len() <= 1, "two jobs at a time: {main:?}");
        if let Some(job) = main.first() {
            assert_eq!(d.task.job(), Some(job.seq), "the phase must wait for the job it made");
            self.job = Some((*job).clone());
        } else if d.task.job().is_none() {
            self.job = None;
        }
        assert_eq!(self.job.as_ref().map(|j| j.seq), d.task.job(), "the phase waits for a job nobody made");
        if d.task.wait.on_hold.is_some() {
            let reads_back = |j: &NewJob| self.unknown && matches!(j.effect, Effect::Merge { .. });
            let ends = main.first().is_none_or(|j| matches!(j.effect, Effect::Rollback { .. }) || reads_back(j));
            assert!(ends || matches!(d.task.phase, Phase::Stopping { .. }), "{main:?} begins although it is held");
        }
        if let Some(NewJob { effect: Effect::Merge { intent, pull_request }, .. }) = main.first() {
            self.check_merge(&d.task, intent, *pull_request);
        }
        if let Some(NewJob { effect: Effect::Update { lease_epoch, .. }, .. }) = main.first() {
            assert!(self.holds_lease(), "the merge is prepared without the lease");
            assert_eq!(*lease_epoch, self.lease.epoch);
        }
    }

    /// What somebody else merged is taken as the merge only where a person who may approve has merged what was tested, or
    /// has said yes to exactly that; and nothing new begins before.
    fn check_landed(&self, before: &Task, event: &Event, d: &Decision) {
        use orch_core::task::{ApprovalKind, BlockReason, Landed};
        let landed = match event {
            Event::Landed { commit, tree, head, by, tested } => {
                let (commit, tree, head) = (commit.clone(), tree.clone(), head.clone());
                Some(Landed { commit, tree, head, by: by.clone(), tested: *tested })
            }
            _ => before.landing.landed.clone(),
        };
        if let (None, Some(landed), Some(merged)) = (&before.landing.merged, &landed, &d.task.landing.merged)
            && merged.commit == landed.commit
        {
            let said = d.task.approved(ApprovalKind::Landed, landed.commit.as_str()).is_some();
            assert!(landed.counts(&self.policy) || said, "{landed:?} was taken without a word");
        }
        if d.task.landing.landed.is_some() {
            assert!(d.jobs.iter().all(|j| j.effect.is_side()), "{:?} begins beside what landed", d.jobs);
            let stands = match &d.task.phase {
                Phase::Working { .. } | Phase::Stopping { .. } => true,
                Phase::Waiting { why: WaitReason::Approval { what, .. }, .. } => *what == ApprovalKind::Landed,
                Phase::Blocked { why: BlockReason::Rejected { what, .. }, .. } => *what == Some(ApprovalKind::Landed),
                _ => false,
            };
            assert!(stands, "{:?} with what landed", d.task.phase);
        }
    }

    fn check_merge(&mut self, task: &Task, intent: &orch_core::task::MergeIntent, pull_request: u64) {
        self.merges += 1;
        assert_eq!(Some(&intent.head), task.branch.head.as_ref());
        assert_eq!(Some(pull_request), task.branch.pull_request);
        assert_eq!(task.landing.merged, None, "merged twice");
        let merge = task.pipeline.merge_at().unwrap();
        let update = task.pipeline.update_step(merge.stage).unwrap();
        for step in update + 1..merge.step {
            let at = Cursor { stage: merge.stage, step };
            if !matches!(task.pipeline.step(at), Some(Step::Gate { .. })) {
                continue;
            }
            assert!(self.exact.contains(&(at, intent.head.clone())), "gate {at:?} has not passed on {:?}", intent.head);
            let warned = matches!(
                task.pipeline.step(at),
                Some(Step::Gate { on_inconclusive: OnInconclusive::PassWithWarning, .. })
            );
            assert!(warned || task.landing.passed.iter().any(|p| p.at == at && p.head == intent.head));
        }
    }

    fn check_standing(&self) {
        let task = &self.task;
        assert!(task.spent.rounds <= self.policy.max_developer_retries, "{} rounds", task.spent.rounds);
        assert!(task.spent.stage_rounds.values().all(|n| *n <= self.policy.max_developer_retries));
        assert!(task.step().is_some(), "the cursor left the pipeline");
        if let (Phase::Waiting { why, .. }, Some(_)) = (&task.phase, &task.wait.on_hold) {
            let looked_at = matches!(
                why,
                WaitReason::Report { .. }
                    | WaitReason::CannotTell { .. }
                    | WaitReason::Lease { .. }
                    | WaitReason::Held { .. }
            );
            assert!(!looked_at && !self.holds_lease(), "it is held, and looked at by itself: {why:?}");
        }
        if self.unknown {
            let looked_for = task.job().is_some() && matches!(task.step(), Some(Step::Merge)) || task.merge_unknown();
            assert!(looked_for && self.holds_lease(), "a merge nobody knows of is let go: {:?}", task.phase);
        }
        let told = explain(task);
        assert_eq!(told.is_none(), task.is_closed());
        if let Some(w) = &told {
            for text in [&w.reason, &w.ends_when] {
                assert!(!text.trim().is_empty() && !text.to_lowercase().contains("unknown"), "{w:?}");
            }
        }
        let person = matches!(
            task.phase,
            Phase::Idle
                | Phase::Blocked { .. }
                | Phase::Waiting {
                    why: WaitReason::Approval { .. }
                        | WaitReason::Answer { .. }
                        | WaitReason::Unable { .. }
                        | WaitReason::Production { .. }
                        | WaitReason::OnHold,
                    ..
                }
        );
        if person {
            assert!(told.unwrap().command.is_some(), "a person must act and is not told how");
            let frozen =
                matches!(task.phase, Phase::Blocked { why: orch_core::task::BlockReason::WrongTree { .. }, .. });
            assert!(
                !self.holds_lease() || frozen || task.merge_unknown(),
                "the lease is held while a person is awaited"
            );
        } else if matches!(task.phase, Phase::Waiting { .. }) {
            assert!(task.wake_at().is_some(), "nothing ends {:?}", task.phase);
        }
        if task.is_closed() {
            assert!(!self.holds_lease(), "a closed task holds the lease");
            let is_told = |j: &NewJob| matches!(j.effect, Effect::Notify { .. } | Effect::EditTicket { .. });
            assert!(self.jobs.iter().any(|j| j.effect == Effect::CleanUp) || self.jobs.iter().all(is_told));
        }
        if self.holds_lease() {
            assert!(task.pipeline.in_lease_span(task.at), "the lease is held at {:?}", task.at);
        }
    }

    /// Sends an event that must be taken.
    pub fn ok(&mut self, event: Event) {
        self.send(event.clone()).unwrap_or_else(|why| panic!("{event:?}: {why}"));
    }

    /// The job under way ends.
    pub fn end(&mut self, outcome: Outcome) {
        let job = self.task.job().unwrap_or_else(|| panic!("no job under way: {:?}", self.task.phase));
        self.ok(Event::JobEnded { job, outcome });
    }

    pub fn judge(&mut self, verdict: Verdict) {
        let Some(Effect::Judge { head, .. }) = self.job.as_ref().map(|j| j.effect.clone()) else {
            panic!("no gate is being judged: {:?}", self.job)
        };
        self.end(Outcome::Judged { head, verdict, notes: vec![], warning: None });
    }

    pub fn fail(&mut self, text: &str) {
        self.judge(Verdict::Fail { findings: vec![must(text)] });
    }
    pub fn cannot_tell(&mut self, text: &str) {
        self.judge(Verdict::Inconclusive { fault: fault(FaultKind::Transient, text) });
    }

    /// What a healthy outside answers.
    pub fn good(&mut self) -> Outcome {
        let effect = self.job.as_ref().map(|j| j.effect.clone()).expect("a job is under way");
        match effect {
            Effect::JudgeBase => Outcome::BaseGreen { text: "the base is green".into(), commit: Some(sha(1)) },
            Effect::OpenBranch => Outcome::Opened { head: self.fresh(), base: sha(1) },
            Effect::RunAgent { .. } => {
                Outcome::AgentFinished { question: None, resolved: orch_core::conflict::Resolution::default() }
            }
            Effect::Publish { .. } => Outcome::Published {
                head: self.fresh(),
                empty: false,
                discarded: vec![],
                unresolved: vec![],
                refused: vec![],
            },
            Effect::EnsurePullRequest => Outcome::PullRequestOpen { number: u64::from(self.task.branch.generation) },
            Effect::Judge { head, gate: GateId::AnalysisApproved, .. }
                if self.task.approved(orch_core::task::ApprovalKind::Analysis, "analysis-1").is_none() =>
            {
                Outcome::Judged { head, verdict: approval("analysis-1"), notes: vec![], warning: None }
            }
            Effect::Judge { head, .. } => {
                Outcome::Judged { head, verdict: Verdict::Pass, notes: vec![], warning: None }
            }
            Effect::Deploy { .. } => Outcome::Deployed { skipped: None, ended: 0 },
            Effect::Rollback { .. } => Outcome::RolledBack { ok: true, text: "production is back on v1".into() },
            Effect::Update { head, .. } => {
                Outcome::Updated { head, base: sha(1), tree: tree(self.shas), repatched: false, voids: false }
            }
            Effect::Merge { intent, .. } => Outcome::Merged { commit: intent.head, tree: intent.tree },
            Effect::Watch { .. } => Outcome::Watched { outcome: DoneOutcome::Healthy },
            side => panic!("{side:?} is not waited for"),
        }
    }

    /// One good step: the job ends well, or the person says yes.
    pub fn step(&mut self) {
        if let Phase::Waiting { why: WaitReason::Approval { .. }, .. } = self.task.phase {
            return self.ok(Event::Approved { by: anna(), gate: None, subject: None, comment: None });
        }
        let outcome = self.good();
        self.end(outcome);
    }

    /// Good steps until the job under way (by its short name) is this one.
    pub fn until(&mut self, name: &str) {
        for _ in 0..100 {
            if self.doing() == name {
                return;
            }
            self.step();
        }
        panic!("never came to {name}");
    }

    /// Good steps to the end.
    pub fn finish(&mut self) {
        for _ in 0..200 {
            if self.task.is_closed() {
                return;
            }
            self.step();
        }
        panic!("never ended: {:?}", self.task.phase);
    }

    /// Short name of the job under way.
    pub fn doing(&self) -> String {
        self.job.as_ref().map_or_else(String::new, |j| name(&j.effect))
    }

    /// Time passes.
    pub fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
    }

    /// Time passes up to what the task asked to be woken at, and the timer fires.
    pub fn wake(&mut self) {
        self.now = self.task.wake_at().expect("it wants to be woken").max(self.now);
        self.ok(Event::TimerFired);
    }
}

/// Nothing begins before every task it is to wait for was looked at and is over, or a person said that it does not.
fn check_start(before: &Task, event: &Event, d: &Decision) {
    if d.jobs.iter().any(|j| matches!(j.effect, Effect::OpenBranch | Effect::JudgeBase))
        && matches!(before.step(), Some(Step::Open))
    {
        let over = |item: &WorkItem| match event {
            Event::AfterSet { remove, .. } => remove.contains(item),
            Event::BlockersSeen { open, looked_at } => looked_at.contains(item) && open.iter().all(|b| b.item != *item),
            _ => false,
        };
        assert!(before.wait.after.iter().all(over), "{event:?} begins it before {:?} are over", before.wait.after);
    }
}

/// Agents work where the base was green, or where a person has said yes to what fails there.
fn check_base(before: &Task, policy: &Policy, event: &Event, d: &Decision) {
    use orch_core::task::ApprovalKind;
    let agents = before.pipeline.stages.iter().flat_map(|s| &s.steps).any(|s| matches!(s, Step::Agent { .. }));
    let first = matches!(before.step(), Some(Step::Open)) && d.task.branch.head.is_none() && agents;
    let asked = policy.base_first && before.branch.source.is_none() && before.production.reverting.is_none();
    if first && asked && d.jobs.iter().any(|j| j.effect == Effect::OpenBranch) {
        let good = match event {
            Event::JobEnded { outcome: Outcome::BaseGreen { .. }, .. } => true,
            Event::JobEnded { outcome: Outcome::BaseRed { subject, .. }, .. } => {
                before.approved(ApprovalKind::Base, subject).is_some()
            }
            _ => false,
        };
        assert!(good, "{event:?} opens the branch");
    }
}

pub fn approval(subject: &str) -> Verdict {
    let what = orch_core::task::ApprovalKind::Analysis;
    let why = WaitFor::Approval { what, subject: subject.into(), shown: Vec::new() };
    Verdict::Wait { why, until: None, recheck: None }
}

pub fn report(what: &str, until: Option<Time>) -> Verdict {
    Verdict::Wait { why: WaitFor::Report { what: what.into() }, until, recheck: None }
}

/// A short name for an effect: `run developer 0`, `judge check_ci_green exact`, `ticket`.
pub fn name(effect: &Effect) -> String {
    match effect {
        Effect::JudgeBase => "judge the base".into(),
        Effect::OpenBranch => "open".into(),
        Effect::RunAgent { role, round, .. } => format!("run {role} {round}"),
        Effect::Publish { role, .. } => format!("publish {role}"),
        Effect::EnsurePullRequest => "pull request".into(),
        Effect::Judge { gate, exact, .. } => format!("judge {gate}{}", if *exact { " exact" } else { "" }),
        Effect::Deploy { environment, .. } => format!("deploy {environment}"),
        Effect::Rollback { environment, .. } => format!("rollback {environment}"),
        Effect::Update { .. } => "update".into(),
        Effect::Merge { .. } => "merge".into(),
        Effect::Watch { .. } => "watch".into(),
        Effect::EnsureCi { .. } => "ci".into(),
        Effect::SyncTicket => "ticket".into(),
        Effect::Notify { .. } => "notify".into(),
        Effect::Comment { .. } => "comment".into(),
        Effect::EditTicket { .. } => "edit".into(),
        Effect::CleanUp => "clean up".into(),
        Effect::NoteFindings { findings, .. } => format!("note {}", findings.len()),
    }
}

pub fn names(jobs: &[NewJob]) -> String {
    jobs.iter().map(|j| name(&j.effect)).collect::<Vec<_>>().join(", ")
}
