//! Executors against the modelled outside, of the same shape as the real ones: look first, act, report the truth. What
//! they know of their task is what it was when they began, which for a worker that was paused is the past.

mod agents;
mod deploys;
mod forge;

pub(crate) use forge::lands_as_one;

use crate::outside;
use crate::sim::{Flight, Live, Sim};
use crate::site::PullState;
use orch_core::effect::{Effect, Outcome};
use orch_core::retry::{Charge, Failure, Tried};
use orch_core::task::{Phase, Task};
use orch_core::verdict::{FaultKind, FaultNote};

pub(crate) fn fault(kind: FaultKind, text: &str) -> FaultNote {
    FaultNote::new(kind, text)
}

/// The world fails what is being done.
pub(crate) fn transient(text: &str) -> Tried {
    again(Charge::Transient, false, FaultKind::Transient, text)
}

/// It has to be done again.
pub(crate) fn again(charge: Charge, new_run: bool, kind: FaultKind, text: &str) -> Tried {
    Tried::Again { charge, new_run, not_before: None, failure: Failure::new(kind, text) }
}

fn docs(task: &Task, name: &str) -> String {
    format!("{}/{name}", task.artefact_dir())
}

/// Papers a stage leaves behind.
pub(crate) fn papers(stage: &str) -> &'static [&'static str] {
    match stage {
        "analysis" => &["01-brd.md", "04-test-plan.yaml"],
        "architecture" => &["06-adr/ADR-001.md"],
        "review" => &["12-review.md"],
        "testing" => &["13-test-report.md"],
        _ => &[],
    }
}

impl Sim {
    /// `None`: it is still going on.
    pub(crate) fn ensure(&mut self, f: &Flight) -> Live<Option<Tried>> {
        let done = |o: Outcome| Ok(Some(Tried::Outcome(o)));
        match &f.job.effect {
            Effect::OpenBranch if self.is_cleaned_up_after(f)? => {
                Ok(Some(again(Charge::Nothing, false, FaultKind::Transient, "the life before is cleaned up first")))
            }
            Effect::OpenBranch => done(self.open_branch(f)?),
            Effect::JudgeBase if f.stop => done(Outcome::Cancelled),
            Effect::JudgeBase if self.hit("base is red", 40) => {
                let subject = format!("red {}", self.choices.below("what fails on main", 3));
                let commit = Some(self.site(&f.task.project)?.main.clone());
                done(Outcome::BaseRed { subject, shown: vec!["`test` on main: exit 1".to_owned()], commit })
            }
            Effect::JudgeBase if self.hit("the machine cannot judge the base", 30) => {
                done(Outcome::BaseUnclear { fault: fault(FaultKind::Permanent, "12 bytes are free") })
            }
            Effect::JudgeBase => {
                let commit = Some(self.site(&f.task.project)?.main.clone());
                done(Outcome::BaseGreen { text: "the base is green".to_owned(), commit })
            }
            Effect::RunAgent { role, stage, .. } => self.run_agent(f, role, stage),
            Effect::Publish { role, stage, run } => self.publish(f, role, stage, *run).map(Some),
            Effect::EnsurePullRequest => {
                let known = self.tell_landed(&f.task, &format!("-{}", f.job.id)).map(|()| self.tasks.get(&f.task.id));
                if known?.is_some_and(|t| t.landing.landed.is_some()) {
                    return Ok(Some(Tried::Outcome(Outcome::Cancelled)));
                }
                let site = self.site(&f.task.project)?;
                let known = f
                    .task
                    .branch
                    .pull_request
                    .filter(|n| site.pulls.get(n).is_some_and(|p| p.state == PullState::Open));
                let number = known.unwrap_or_else(|| site.ensure_pull(&f.task.branch.name));
                outside::invariant_one_pull_request_per_branch(site, &f.task.branch.name)?;
                done(Outcome::PullRequestOpen { number })
            }
            Effect::Judge { gate, stage, head, run, since, .. } => {
                self.judge(f, *gate, stage, head, *run, *since).map(Some)
            }
            Effect::Deploy { environment, revision, stage, again, since } => {
                self.deploy(f, *environment, revision, stage, *again, *since)
            }
            Effect::Rollback { environment, failed } => self.roll_back(f, *environment, failed),
            Effect::Update { head, lease_epoch } => self.update(f, head, *lease_epoch).map(Some),
            Effect::Merge { pull_request, intent } => self.merge(f, *pull_request, intent).map(Some),
            Effect::Watch { revision, .. } => self.watch(f, revision),
            Effect::EnsureCi { commit } => self.ensure_ci(f, commit).map(Some),
            Effect::SyncTicket => self.sync_ticket(f).map(Some),
            Effect::Notify { key, text } | Effect::Comment { key, text } => {
                let site = self.site(&f.task.project)?;
                outside::invariant_notices_are_keyed(site, key, text)?;
                site.notices.insert(key.clone(), text.clone());
                done(Outcome::Sent)
            }
            Effect::NoteFindings { pull_request, gate, run, findings } => {
                let site = self.site(&f.task.project)?;
                let (key, text) = (outside::note_key(*pull_request, *gate, *run), format!("{findings:?}"));
                outside::invariant_notices_are_keyed(site, &key, &text)?;
                site.notices.insert(key, text);
                done(Outcome::Sent)
            }
            Effect::EditTicket { title, body, by } => {
                self.make_edit(f, title.as_deref(), body.as_deref(), by).map(Some)
            }
            Effect::CleanUp => {
                let Some(task) = f.task.as_of(f.job.id.seq) else { return done(Outcome::Sent) };
                // What follows touches what every life of the task uses: whoever lost its claim lets go.
                let ours = self.ledger.holds(f.job.fence());
                if task.is_closed() && ours {
                    let site = self.site(&task.project)?;
                    // Of what is merged and was cancelled since, the pull request is left as it is.
                    if (matches!(task.phase, Phase::Done { .. }) || task.landing.merged.is_none())
                        && let Some(pull) = task.branch.pull_request.and_then(|n| site.pulls.get_mut(&n))
                        && pull.state == PullState::Open
                    {
                        pull.state = PullState::Closed;
                    }
                    // A cancelled job may have left a program behind that nobody waits for any more.
                    let mine = site
                        .runs
                        .iter_mut()
                        .filter(|((job, _), r)| job.task == task.id && job.seq < f.job.id.seq && !r.over);
                    for (_, run) in mine {
                        run.over = true;
                        run.killed = true;
                    }
                    site.left.remove(&task.id);
                }
                done(Outcome::Sent)
            }
        }
    }
}
