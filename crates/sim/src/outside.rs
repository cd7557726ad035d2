//! What must hold outside: on the forge, in production, in working directories. These look at the modelled world's own
//! record, never at the database, so that a wrong database cannot vouch for itself.

use crate::effects::lands_as_one;
use crate::gates::changes_protected;
use crate::invariants::{Change, ensure};
use crate::landers;
use crate::ledger::Ledger;
use crate::repo::red;
use crate::sim::{Flight, Live, Sim};
use crate::site::{CiState, Landed, Place, PullState, Site};
use crate::words;
use orch_core::effect::Outcome;
use orch_core::event::Event;
use orch_core::ids::{Actor, Environment, GateId, JobId, Seq, Sha};
use orch_core::pipeline::{OnInconclusive, Step};
use orch_core::task::{ApprovalKind, BlockReason, DoneOutcome, Phase, Task};

pub(crate) fn after_step(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let Some(site) = sim.sites.get(&change.after.project) else { return Ok(()) };
    invariant_one_merges_into_a_repository(sim, change)?;
    landers::invariant_a_persons_branch_is_the_persons(site)?;
    invariant_merged_means_merged(site, change.after)?;
    invariant_what_is_cancelled_is_not_merged(sim, site, change.after)?;
    invariant_nothing_to_change_is_judged(sim, site, change)?;
    invariant_what_somebody_else_merged_is_taken_by_right(sim, site, change)?;
    invariant_a_wrong_tree_freezes(site, change)
}

/// Everything that must hold once the forge has merged.
pub(crate) fn after_merge(sim: &Sim, task: &Task, landed: &Landed, epoch: u64) -> Live<()> {
    let Some(site) = sim.sites.get(&task.project) else { return Ok(()) };
    invariant_merged_at_most_once(site)?;
    invariant_only_tested_trees_land(sim, site, task, landed)?;
    invariant_the_tested_commit_lands(site, task, landed)?;
    invariant_a_dismissed_approval_is_asked_for_again(site, task, landed)?;
    invariant_main_stays_green(site, landed)?;
    invariant_what_conflicted_lands_resolved(sim, task, landed)?;
    invariant_what_lands_ran_on_staging(site, task, landed)?;
    landers::invariant_what_was_asked_for_lands(site, task, landed)?;
    invariant_a_merge_happens_under_its_lease(sim, task, landed, epoch)
}

/// What a worker merged that was paused behind its last look at the lease is the forge's word against everybody's: no
/// fence reaches there. The task may have gone on to another pull request of the same branch meanwhile. What people merge
/// by hand, twice if they like, is not orch's doing.
fn invariant_merged_at_most_once(site: &Site) -> Live<()> {
    for (n, landed) in site.landed.iter().enumerate().filter(|(_, l)| !site.strangers.contains(&l.commit)) {
        let again = site.landed[..n].iter().any(|l| l.branch == landed.branch && !l.blind);
        ensure(!again, "merged_at_most_once", || format!("{} was merged twice", landed.branch))?;
    }
    Ok(())
}

/// What landed is the head that every exact gate let through since its last `Update`, on the very tip it was tested on.
fn invariant_only_tested_trees_land(sim: &Sim, site: &Site, task: &Task, landed: &Landed) -> Live<()> {
    // A forge that does not do what it says is caught afterwards: `a_wrong_tree_freezes`.
    if landed.forge_lied {
        return Ok(());
    }
    let tested = landed.tree == site.repo.tree_id(&landed.asked) && site.repo.is_ancestor(&landed.onto, &landed.commit);
    ensure(tested, "only_tested_trees_land", || {
        format!("{} landed for {}", landed.commit.short(), landed.asked.short())
    })?;
    for at in Ledger::exact_gates(task) {
        let now = sim.ledger.passes.get(&task.id).and_then(|p| p.get(&at)) == Some(&landed.asked);
        let ever = sim.ledger.ever.contains(&(task.id, at, landed.asked.clone()));
        ensure(if landed.blind { ever } else { now }, "only_tested_trees_land", || {
            format!("{} landed without {:?}", landed.asked.short(), task.pipeline.step(at))
        })?;
    }
    let onto = sim.ledger.prepared.get(&task.id);
    let right = onto.is_some_and(|(head, tip)| *head == landed.asked && *tip == landed.onto);
    ensure(right || landed.blind, "only_tested_trees_land", || {
        format!("{} landed on {}, prepared was {onto:?}", landed.asked.short(), landed.onto.short())
    })
}

/// Label, tested head and what is on main are one commit, and where a task lands as one commit, it is one on the tip.
fn invariant_the_tested_commit_lands(site: &Site, task: &Task, landed: &Landed) -> Live<()> {
    if landed.forge_lied {
        return Ok(());
    }
    let alone = !lands_as_one(task) || site.repo.parents(&landed.commit) == [landed.onto.clone()];
    ensure(landed.commit == landed.asked && alone, "the_tested_commit_lands", || {
        let parents = site.repo.parents(&landed.commit);
        format!("{} landed for {}, with parents {parents:?}", landed.commit.short(), landed.asked.short())
    })
}

/// What the forge dismissed because main had changed the same files was approved again by a person.
fn invariant_a_dismissed_approval_is_asked_for_again(site: &Site, task: &Task, landed: &Landed) -> Live<()> {
    let gate = task.pipeline.approval_at().and_then(|at| task.pipeline.step(at));
    let lenient =
        matches!(gate, Some(Step::Gate { on_inconclusive, .. }) if *on_inconclusive == OnInconclusive::PassWithWarning);
    let missing = site.dismissed.contains(&task.id) && !landed.blind && !lenient;
    ensure(!missing, "a_dismissed_approval_is_asked_for_again", || {
        format!("{} landed without its approval", task.work_item)
    })
}

/// No lie of CI makes red green here, so nothing red can land: not even two changes that are red only together.
fn invariant_main_stays_green(site: &Site, landed: &Landed) -> Live<()> {
    let tree = site.repo.tree(&landed.commit);
    ensure(landed.forge_lied || red(&tree).is_none(), "main_stays_green", || {
        format!("{} made main red: {:?}", landed.branch, red(&tree))
    })
}

/// A branch that was in conflict lands only after a repair that left no marker and said the truth of every path without.
fn invariant_what_conflicted_lands_resolved(sim: &Sim, task: &Task, landed: &Landed) -> Live<()> {
    let open = sim.ledger.conflicts.get(&task.id);
    ensure(open.is_none() || landed.blind, "what_conflicted_lands_resolved", || {
        format!("{} landed, and nothing has resolved {open:?}", landed.branch)
    })
}

/// Whoever goes over staging lands code that came up there, also where main moved on the way.
fn invariant_what_lands_ran_on_staging(site: &Site, task: &Task, landed: &Landed) -> Live<()> {
    let over_staging = task.pipeline.stages.iter().flat_map(|s| &s.steps).any(|s| *s == Step::Restage);
    if !over_staging || !site.setup.staging_hook {
        return Ok(());
    }
    let code = site.repo.code_id(&landed.asked);
    let came_up = site.envs.get(&Environment::Staging).map_or(&[][..], |env| &env.came_up);
    ensure(came_up.iter().any(|c| site.repo.code_id(c) == code), "what_lands_ran_on_staging", || {
        format!("{} landed and never came up on staging", landed.asked.short())
    })
}

fn invariant_a_merge_happens_under_its_lease(sim: &Sim, task: &Task, landed: &Landed, epoch: u64) -> Live<()> {
    let lease = sim.lease(task.repository())?;
    let held = lease.task == Some(task.id) && lease.epoch == epoch;
    ensure(held || landed.blind, "a_merge_happens_under_its_lease", || {
        format!("{} merged under epoch {epoch}; {:?} holds epoch {}", task.work_item, lease.holder, lease.epoch)
    })
}

fn invariant_merged_means_merged(site: &Site, task: &Task) -> Live<()> {
    let Some(merged) = &task.landing.merged else {
        let unmerged = [DoneOutcome::Finished, DoneOutcome::NothingToChange];
        let done = matches!(task.phase, Phase::Done { outcome, .. } if !unmerged.contains(&outcome));
        return ensure(!done, "merged_means_merged", || format!("{} is done and never merged", task.work_item));
    };
    let real = site.landed.iter().any(|l| l.task == task.id && l.commit == merged.commit && l.tree == merged.tree);
    ensure(real && site.repo.is_ancestor(&merged.commit, &site.main), "merged_means_merged", || {
        format!("{} believes in {}", task.work_item, merged.commit.short())
    })
}

/// Nothing to change ends a task only where the branch has the code of the default branch it stands on, and somebody else
/// than the developer has said so of this very declaration: the reviewer, or a person, and a person wherever the project
/// asks for one.
fn invariant_nothing_to_change_is_judged(sim: &Sim, site: &Site, change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let ends = matches!(after.phase, Phase::Done { outcome: DoneOutcome::NothingToChange, .. });
    if before.is_closed() || !ends {
        return Ok(());
    }
    let code = |commit: &Option<Sha>| commit.as_ref().map(|c| site.repo.code_id(c));
    let same = code(&after.branch.head) == code(&after.branch.base);
    let run = after.findings.no_change.as_ref().map(|d| d.run);
    let yes = |a: &orch_core::task::Approval| {
        let of = |run: u32| a.subject.ends_with(&format!("-{run}"));
        a.what == ApprovalKind::NoChange && run.is_some_and(of) && a.by.as_str() == "local:anna"
    };
    let said = after.approvals.iter().any(yes);
    let judged = sim.ledger.reviewed.get(&after.id).is_some_and(|at| run.is_some_and(|run| run < *at));
    let right = same && (said || judged && !change.policy.confirm_no_change);
    ensure(right, "nothing_to_change_is_judged", || {
        format!(
            "{} ends without a change; same code: {same}, a person: {said}, the reviewer: {judged}",
            after.work_item
        )
    })
}

fn invariant_what_is_cancelled_is_not_merged(sim: &Sim, site: &Site, task: &Task) -> Live<()> {
    // Of any branch of this life: what is merged is never cancelled, its repair neither; nor is it said to be finished
    // without a merge.
    let cancelled = matches!(
        task.phase,
        Phase::Cancelled { .. } | Phase::Done { outcome: DoneOutcome::Finished | DoneOutcome::NothingToChange, .. }
    );
    let before = sim.ledger.before_life.get(&task.id);
    let of_this_life = |commit| before.is_none_or(|before: &Vec<_>| !before.contains(commit));
    let landed = site.landed.iter().any(|l| l.task == task.id && !l.blind && !l.by_hand && of_this_life(&l.commit));
    ensure(!cancelled || !landed, "what_is_cancelled_is_not_merged", || {
        format!("{} is cancelled, and a change of it has landed", task.work_item)
    })
}

/// What somebody else merged is the task's merge by itself only where a person who may approve has merged a code that CI has
/// passed; or it is exactly what was prepared, or a person has said so.
fn invariant_what_somebody_else_merged_is_taken_by_right(sim: &Sim, site: &Site, change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let (None, Some(merged)) = (&before.landing.merged, &after.landing.merged) else { return Ok(()) };
    // A repair or a revert that is given up goes back to what was merged before it.
    let known = before.production.failures.iter().any(|f| f.merged.commit == merged.commit)
        || before.lives.before_revert.as_ref().is_some_and(|b| b.merged.commit == merged.commit);
    let Some(landed) = site.landed.iter().find(|l| l.by_hand && l.commit == merged.commit).filter(|_| !known) else {
        return Ok(());
    };
    let by =
        site.pulls.values().find(|p| p.merge_commit.as_ref() == Some(&merged.commit)).and_then(|p| p.merged_by.clone());
    let code = site.repo.code_id(&merged.commit);
    let is_of_the_code =
        |gate: Option<&Step>| matches!(gate, Some(Step::Gate { gate: GateId::CiGreen | GateId::TestsLocal, .. }));
    let tested = sim.ledger.ever.iter().any(|(task, at, head)| {
        *task == after.id && is_of_the_code(after.pipeline.step(*at)) && site.repo.code_id(head) == code
    });
    let mapped = by.as_ref().is_some_and(|by| by.as_str() == "local:anna");
    let said = after.approved(ApprovalKind::Landed, merged.commit.as_str()).is_some();
    let read_back = matches!(change.event, Event::JobEnded { outcome: Outcome::Merged { .. }, .. });
    ensure(mapped && tested || said || read_back, "what_somebody_else_merged_is_taken_by_right", || {
        format!("{} takes {} by {by:?}, tested: {tested}", after.work_item, landed.commit.short())
    })
}

fn invariant_a_wrong_tree_freezes(site: &Site, change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let (None, Some(merged)) = (&before.landing.merged, &after.landing.merged) else { return Ok(()) };
    // A repair that is given up goes back to a merge that was looked at long ago.
    if !matches!(change.event, Event::JobEnded { outcome: Outcome::Merged { .. }, .. }) {
        return Ok(());
    }
    let lied = site.landed.iter().any(|l| l.commit == merged.commit && l.tree != site.repo.tree_id(&l.asked));
    let frozen = matches!(after.phase, Phase::Blocked { why: BlockReason::WrongTree { .. }, .. });
    ensure(lied == frozen, "a_wrong_tree_freezes", || {
        format!(
            "{}: {} landed {}, the phase is {:?}",
            after.work_item,
            merged.commit.short(),
            if lied { "wrongly" } else { "rightly" },
            after.phase
        )
    })
}

/// Two programs never have one working directory or one environment at the same time.
pub(crate) fn invariant_programs_run_alone(site: &Site, place: Place, job: (JobId, u32)) -> Live<()> {
    let other = site.runs.iter().find(|(id, run)| **id != job && run.place == place && !run.over).map(|(id, _)| id);
    ensure(other.is_none(), "programs_run_alone", || {
        format!("{}-{} starts in {place:?} beside {other:?}", job.0, job.1)
    })
}

/// A hook that came to an end for a revision of production is not run again for it without a person's word.
pub(crate) fn invariant_a_hook_runs_once(sim: &Sim, f: &Flight, environment: Environment, revision: &Sha) -> Live<()> {
    let done = sim.ledger.hooked.get(&(f.task.project.clone(), environment, revision.clone()));
    let again = environment == Environment::Production && done == Some(&f.task.id);
    ensure(!again, "a_hook_runs_once", || format!("{} runs its hook for {} again", f.task.work_item, revision.short()))
}

/// No deploy goes past a revision that failed in production and was neither repaired nor accepted.
pub(crate) fn invariant_no_deploy_passes_a_failure(
    sim: &Sim,
    f: &Flight,
    environment: Environment,
    revision: &Sha,
) -> Live<()> {
    let Some(site) = sim.sites.get(&f.task.project).filter(|_| environment == Environment::Production) else {
        return Ok(());
    };
    for (task, (failed, repaired)) in sim.ledger.broken.iter().filter(|(task, _)| **task != f.task.id) {
        let same = sim.tasks.get(task).is_some_and(|t| t.project == f.task.project && !t.is_closed());
        let past = same && site.repo.is_ancestor(failed, revision);
        let repaired = repaired.as_ref().is_some_and(|r| site.repo.is_ancestor(r, revision));
        ensure(!past || repaired, "no_deploy_passes_a_failure", || {
            format!("{} deploys {} past {}", f.task.work_item, revision.short(), failed.short())
        })?;
    }
    Ok(())
}

/// Production only ever gets what is on main.
pub(crate) fn invariant_production_runs_what_is_merged(
    site: &Site,
    environment: Environment,
    revision: &Sha,
) -> Live<()> {
    let fine = environment == Environment::Staging || site.repo.is_ancestor(revision, &site.main);
    ensure(fine, "production_runs_what_is_merged", || format!("{} is not on main", revision.short()))
}

/// What a branch changes of its staging hook has a person's yes before the hook runs.
pub(crate) fn invariant_no_hook_runs_before_its_approval(task: &Task, environment: Environment) -> Live<()> {
    let subject = changes_protected(task, GateId::SecurityGate).filter(|_| environment == Environment::Staging);
    let by_a_person = |subject: &String| {
        let mut yes = task.approvals.iter().filter(|a| a.what == ApprovalKind::Protected && a.subject == *subject);
        yes.any(|a| a.by.as_str() != "orch")
    };
    let fine = subject.as_ref().is_none_or(by_a_person);
    ensure(fine, "no_hook_runs_before_its_approval", || format!("{} runs what it changed itself", task.work_item))
}

pub(crate) fn invariant_one_pull_request_per_branch(site: &Site, branch: &str) -> Live<()> {
    let open = site.pulls.values().filter(|p| p.branch == branch && p.state == PullState::Open).count();
    ensure(open <= 1, "one_pull_request_per_branch", || format!("{branch} has {open} open pull requests"))
}

/// A notice has one text for ever: its key makes a second telling no second notice.
pub(crate) fn invariant_notices_are_keyed(site: &Site, key: &str, text: &str) -> Live<()> {
    let known = site.notices.get(key);
    ensure(known.is_none_or(|k| k == text), "notices_are_keyed", || format!("{key}: {known:?} and {text:?}"))
}

/// CI never says green of what is red.
pub(crate) fn invariant_green_is_green(site: &Site, commit: &Sha) -> Live<()> {
    let said = site.ci.get(commit).is_none_or(|c| c.state != CiState::Green || red(&site.repo.tree(commit)).is_none());
    ensure(said, "green_is_green", || format!("CI says {} is green", commit.short()))
}

/// Under which key it is kept that findings are on a pull request.
pub(crate) fn note_key(pull: u64, gate: GateId, run: Seq) -> String {
    format!("pull {pull}: {gate}-{run}")
}

/// In the end everything a gate found and did not hold up can be read on the pull request.
pub(crate) fn invariant_what_is_let_through_is_noted(sim: &Sim) -> Live<()> {
    for (task, key) in &sim.ledger.noted {
        let site = sim.tasks.get(task).and_then(|t| sim.sites.get(&t.project));
        let there = site.is_some_and(|s| s.notices.contains_key(key));
        ensure(there, "what_is_let_through_is_noted", || format!("nobody can read it: {key}"))?;
    }
    Ok(())
}

/// In the end every ticket shows where its task is, and what belongs to closed tasks is cleaned up.
pub(crate) fn invariant_the_outside_agrees(sim: &Sim) -> Live<()> {
    for site in sim.sites.values() {
        for task in sim.tasks.values().filter(|t| t.project == site.key) {
            let shown = site.comments.get(&task.id).map(String::as_str);
            let started = !matches!(task.phase, Phase::Idle) && task.next_seq != 1;
            ensure(!started || shown == Some(&comment(task)), "the_outside_agrees", || {
                format!("the ticket of {} shows {shown:?}, it is {}", task.work_item, comment(task))
            })?;
            let ticket = site.tickets.get(&task.number).filter(|t| t.state_by == Some(Actor::orch()));
            let state = ticket.map(|t| t.state.clone());
            ensure(
                state.is_none() || state == orch_core::ticket::state(task).map(Into::into),
                "the_outside_agrees",
                || format!("the ticket of {} is in {state:?}, it is {}", task.work_item, comment(task)),
            )?;
            if task.is_closed() {
                ensure(!site.left.contains_key(&task.id), "the_outside_agrees", || {
                    format!("the working directory of {} is still there", task.work_item)
                })?;
                let open = site.pulls.iter().any(|(number, p)| {
                    p.branch == task.branch.name
                        && p.state == PullState::Open
                        && sim.ledger.pulls.contains(&(task.id, *number))
                });
                ensure(!open, "the_outside_agrees", || {
                    format!("the pull request of {} is still open", task.work_item)
                })?;
            }
        }
        for ((job, attempt), run) in &site.runs {
            ensure(run.over, "the_outside_agrees", || format!("run {job}-{attempt} in {:?} was forgotten", run.place))?;
        }
        let production = site.envs.get(&Environment::Production).and_then(|e| e.running.clone());
        let on_main = production.is_none_or(|r| site.repo.is_ancestor(&r, &site.main));
        ensure(on_main, "production_runs_what_is_merged", || "production runs what is not on main".into())?;
    }
    let finished = sim.db(async |s| s.recent_jobs(3000).await)?;
    for job in finished {
        ensure(sim.ledger.ended.contains(&job.id), "the_outside_agrees", || format!("job {} ended by itself", job.id))?;
    }
    Ok(())
}

/// What a ticket shows of a task.
pub(crate) fn comment(task: &Task) -> String {
    let who = match &task.phase {
        Phase::Waiting { why, .. } => match words::wait(why) {
            "answer" => "needs input",
            "approval of analysis" | "approval of production" => "needs approval",
            "production" => "blocked",
            _ => "in progress",
        },
        Phase::Blocked { .. } => "blocked",
        Phase::Cancelled { .. } => "cancelled",
        Phase::Done { .. } => "done",
        Phase::Idle => "idle",
        Phase::Working { .. } | Phase::Stopping { .. } => "in progress",
    };
    format!("{} {who}", task.stage())
}

/// Is it on its way to a merge, with nobody having taken the lease from it?
fn merges(sim: &Sim, task: &Task) -> bool {
    matches!(task.phase, Phase::Working { .. } | Phase::Stopping { .. })
        && task.pipeline.in_lease_span(task.at)
        && !sim.ledger.reclaimed.contains(&task.id)
}

/// At most one task of a repository is between `Update` and the read-back of `Merge`, whichever project it is of.
fn invariant_one_merges_into_a_repository(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let after = change.after;
    if !merges(sim, after) {
        return Ok(());
    }
    let of = sim.repository_of(&after.project);
    let rival = sim.tasks.values().find(|t| t.id != after.id && sim.repository_of(&t.project) == of && merges(sim, t));
    ensure(rival.is_none(), "one_merges_into_a_repository", || {
        format!("{} and {:?} both prepare a merge into {of}", after.work_item, rival.map(|t| &t.work_item))
    })
}
