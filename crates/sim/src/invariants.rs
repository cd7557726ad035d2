//! What must hold, by name. A failing seed prints the name; a mutant names the one that is to catch it. Those in this file
//! are about tasks and their steps; those about jobs and about ends are in `promises.rs`, those about the outside in
//! `outside.rs`.

use crate::ledger::{Ledger, main_jobs, notices};
pub(crate) use crate::promises::*;
use crate::report::Violation;
use crate::sim::{Live, Sim};
use orch_core::effect::{Effect, Outcome};
use orch_core::event::Event;
use orch_core::explain::explain;
use orch_core::ids::JobId;
use orch_core::pipeline::Step;
use orch_core::policy::Policy;
use orch_core::task::{ApprovalKind, BlockReason, Phase, Task, WaitReason};
use orch_core::verdict::FaultKind;
use orch_store::{Fence, Job, JobState, LeaseRow, Stepped, StoreError};

/// A branch for agents is opened where the base was green, or where a person has said yes to what fails there.
fn invariant_nobody_works_on_a_red_base(change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let green = match change.event {
        Event::JobEnded { outcome: Outcome::BaseGreen { .. }, .. } => true,
        Event::JobEnded { outcome: Outcome::BaseRed { subject, .. }, .. } => {
            after.approvals.iter().any(|a| a.what == ApprovalKind::Base && a.subject == *subject)
        }
        _ => false,
    };
    let opens = |job: &Job| job.id.seq >= before.next_seq && job.effect == Effect::OpenBranch;
    let agents = after.pipeline.stages.iter().flat_map(|s| &s.steps).any(|s| matches!(s, Step::Agent { .. }));
    let first = matches!(before.step(), Some(Step::Open)) && after.branch.head.is_none();
    let is_asked = change.policy.base_first && first && agents && after.branch.source.is_none();
    let reverts = after.production.reverting.is_some();
    ensure(green || reverts || !is_asked || !change.open.iter().any(opens), "nobody_works_on_a_red_base", || {
        format!("{} opens its branch at {:?}", after.work_item, change.event)
    })?;
    let new = !after.findings.base.is_empty() && before.findings.base.is_empty();
    ensure(green || !new, "nobody_works_on_a_red_base", || {
        format!("{} is to repair what nobody approved", after.work_item)
    })
}

/// A step that was applied.
pub(crate) struct Change<'a> {
    pub(crate) before: &'a Task,
    pub(crate) after: &'a Task,
    pub(crate) event: &'a Event,
    pub(crate) policy: &'a Policy,
    pub(crate) lease_before: &'a LeaseRow,
    pub(crate) lease: &'a LeaseRow,
    pub(crate) queued_before: &'a [Job],
    pub(crate) open: &'a [Job],
}

pub(crate) fn ensure(holds: bool, invariant: &'static str, what: impl FnOnce() -> String) -> Live<()> {
    if holds { Ok(()) } else { Err(Violation::new(invariant, what())) }
}

/// Everything that must hold after a step.
pub(crate) fn after_step(sim: &mut Sim, change: &Change<'_>) -> Live<()> {
    invariant_closed_is_closed(change)?;
    invariant_phase_has_its_job(change)?;
    invariant_no_job_is_lost(change)?;
    invariant_rounds_are_bounded(sim, change)?;
    invariant_what_is_not_taken_moves_nothing(change)?;
    invariant_a_refused_repair_goes_no_further(change)?;
    invariant_gates_stand_before_the_next_stage(sim, change)?;
    invariant_passed_is_of_the_prepared_head(sim, change)?;
    invariant_the_intent_is_what_was_prepared(sim, change)?;
    invariant_only_people_who_may(change)?;
    invariant_approvals_are_for_what_was_shown(change)?;
    invariant_told_once(sim, change)?;
    invariant_a_failed_deploy_is_nobodys_round(change)?;
    invariant_a_task_explains_itself(change)?;
    invariant_every_wait_ends(change)?;
    invariant_nothing_is_impossible(change)?;
    invariant_lease_is_held_while_merging(sim, change)?;
    invariant_lease_is_never_held_for_nothing(change)?;
    invariant_nobody_works_on_a_red_base(change)?;
    crate::arranged::invariant_a_start_waits_for_others(sim, change)?;
    crate::arranged::invariant_a_held_task_begins_nothing(sim, change)?;
    invariant_journal_is_complete(sim, change)?;
    invariant_unable_costs_nothing(change)?;
    invariant_a_return_voids_the_approval(change)?;
    invariant_red_code_is_not_judged_again(sim, change)?;
    crate::outside::after_step(sim, change)
}

pub(crate) fn store_never_fails(error: &StoreError) -> Violation {
    Violation::new("store_never_fails", error.to_string())
}

/// What an old claim writes changes nothing, and what a valid one writes is taken.
pub(crate) fn invariant_fences_hold(verb: &str, fence: Fence, valid: bool, taken: bool) -> Live<()> {
    ensure(valid == taken, "fences_hold", || {
        let claim = if valid { "valid" } else { "old" };
        format!(
            "{verb} of job {} with the {claim} epoch {} was {}taken",
            fence.job,
            fence.epoch,
            if taken { "" } else { "not " }
        )
    })
}

pub(crate) fn invariant_inbox_is_stepped_once(row: i64, fresh: bool, stepped: &Stepped) -> Live<()> {
    ensure(fresh != matches!(stepped, Stepped::Fenced), "inbox_is_stepped_once", || {
        format!("inbox row {row}, {}, came to {stepped:?}", if fresh { "new" } else { "stepped before" })
    })
}

pub(crate) fn invariant_what_is_not_applied_changes_nothing(
    sim: &Sim,
    before: &Task,
    lease_before: &LeaseRow,
    lease: &LeaseRow,
) -> Live<()> {
    let stored = sim.db(async |s| s.task(before.id).await)?;
    let same = stored.as_ref() == Some(before) && lease.task == lease_before.task && lease.epoch == lease_before.epoch;
    ensure(same, "what_is_not_applied_changes_nothing", || format!("{} changed", before.work_item))
}

fn invariant_closed_is_closed(change: &Change<'_>) -> Live<()> {
    // What people should know of it still reaches them, and changes nothing else.
    let told = matches!(change.event, Event::Noticed { .. })
        && Task { next_seq: change.before.next_seq, ..change.after.clone() } == *change.before;
    let edited = matches!(change.event, Event::EditAsked { .. })
        && Task { next_seq: change.before.next_seq, ..change.after.clone() } == *change.before;
    // A person begins it again, or takes back what it merged.
    let again = matches!(change.event, Event::BegunAgain { .. })
        || matches!(change.event, Event::RevertAsked { .. }) && change.before.landing.merged.is_some();
    ensure(!change.before.is_closed() || told || edited || again, "closed_is_closed", || {
        format!("{} was closed and took {}", change.before.work_item, change.event.name())
    })
}

fn invariant_phase_has_its_job(change: &Change<'_>) -> Live<()> {
    let mine: Vec<u32> = main_jobs(change.open).map(|j| j.id.seq).collect();
    let wants: Vec<u32> = change.after.job().into_iter().collect();
    ensure(mine == wants, "phase_has_its_job", || {
        format!("{} waits for job {wants:?}; open are {mine:?}", change.after.work_item)
    })
}

fn invariant_no_job_is_lost(change: &Change<'_>) -> Live<()> {
    let is_sync = |j: &&Job| j.effect.coalesce().is_some() && j.state == JobState::Queued;
    let may_coalesce = change.queued_before.iter().chain(change.open).any(|j| is_sync(&j));
    let lost: Vec<u32> = (change.before.next_seq..change.after.next_seq)
        .filter(|seq| !change.open.iter().any(|j| j.id.seq == *seq))
        .collect();
    // One ticket update per decision, and a step is two decisions at most.
    ensure(lost.is_empty() || may_coalesce && lost.len() <= 2, "no_job_is_lost", || {
        format!("{}: jobs {lost:?} were asked for and are not there", change.after.work_item)
    })?;
    let ended = |j: &&Job| !change.open.iter().any(|o| o.id == j.id);
    let dropped: Vec<JobId> =
        change.queued_before.iter().filter(ended).filter(|j| j.effect.is_side()).map(|j| j.id).collect();
    ensure(dropped.is_empty(), "no_job_is_lost", || format!("side jobs {dropped:?} vanished"))
}

fn invariant_rounds_are_bounded(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let max = change.policy.max_developer_retries;
    for ((task, stage), n) in &sim.ledger.bounces {
        let max = if stage == "a conflict" { change.policy.max_updates } else { max };
        ensure(*task != change.after.id || *n <= max, "rounds_are_bounded", || {
            format!("{} was sent back to {stage} {n} times, {max} are allowed", change.after.work_item)
        })?;
    }
    ensure(change.after.spent.rounds <= max, "rounds_are_bounded", || {
        format!("{} rounds are written down", change.after.spent.rounds)
    })
}

/// What is on main by another hand, and what a person has cancelled, is not decided by its job any more: the task is closed,
/// or a repair of production that was given up is a question again.
fn goes_its_own_way(before: &Task) -> bool {
    before.landing.landed.is_some() || matches!(before.phase, Phase::Stopping { .. })
}

/// A run of which nothing was taken leaves the branch where it is, and no step behind it is entered.
fn invariant_what_is_not_taken_moves_nothing(change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let Event::JobEnded { job, outcome: Outcome::NotTaken { .. } } = change.event else { return Ok(()) };
    if before.job() != Some(*job) || goes_its_own_way(before) {
        return Ok(());
    }
    let waits = matches!(
        after.phase,
        Phase::Waiting { why: WaitReason::Answer { .. } | WaitReason::Unable { .. }, .. } | Phase::Stopping { .. }
    );
    let again = (after.at.stage, after.at.step) < (before.at.stage, before.at.step);
    let over = after.is_closed() || matches!(after.phase, Phase::Blocked { .. });
    ensure(
        after.branch.head == before.branch.head && (again || waits || over),
        "what_is_not_taken_moves_nothing",
        || {
            format!(
                "{} went on to step {} of {} with what was not taken",
                after.work_item,
                after.at.step,
                after.stage()
            )
        },
    )
}

/// A repair of a conflict that does not count leaves the conflict as it is, and no step behind the developer's is entered.
fn invariant_a_refused_repair_goes_no_further(change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let Event::JobEnded { job, outcome: Outcome::Published { unresolved, refused, .. } } = change.event else {
        return Ok(());
    };
    if before.job() != Some(*job) || before.landing.conflict.is_none() || unresolved.is_empty() && refused.is_empty() {
        return Ok(());
    }
    if goes_its_own_way(before) {
        return Ok(());
    }
    let waits = matches!(
        after.phase,
        Phase::Waiting { why: WaitReason::Answer { .. } | WaitReason::Unable { .. }, .. } | Phase::Stopping { .. }
    );
    let again = (after.at.stage, after.at.step) < (before.at.stage, before.at.step);
    let over = after.is_closed() || matches!(after.phase, Phase::Blocked { .. });
    let stays = after.is_closed() || after.landing.conflict.is_some();
    ensure(stays && (again || waits || over), "a_refused_repair_goes_no_further", || {
        format!("{} went on to step {} of {} unresolved", after.work_item, after.at.step, after.stage())
    })
}

/// A stage is left forward only with every gate of it let through, and a merge is asked for only with every exact gate let
/// through on exactly that head, and every gate of the patch since an update last made another one of it.
fn invariant_gates_stand_before_the_next_stage(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let none = std::collections::BTreeMap::new();
    let passes = sim.ledger.passes.get(&after.id).unwrap_or(&none);
    // What somebody else merged is on main, whatever was to come before.
    let by_hand = before.landing.landed.is_some() || matches!(change.event, Event::Landed { .. });
    if by_hand && after.landing.merged.is_some() {
        return Ok(());
    }
    // A repair that is given up goes back to the question what becomes of production.
    let asks = matches!(after.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. });
    // A revert that is given up leaves the task where it was when it was done.
    let asks = asks || before.lives.before_revert.is_some() && after.is_closed() && after.landing.merged.is_some();
    // What is declared to be no change at all has nothing to test; who judges the declaration is another invariant's matter.
    let declared = after.findings.no_change.is_some() && after.landing.merged.is_none();
    if before.at.stage < after.at.stage && !asks && !declared {
        for (step, s) in before.pipeline.stages[before.at.stage].steps.iter().enumerate() {
            let at = orch_core::pipeline::Cursor { stage: before.at.stage, step };
            let is_gate = matches!(s, Step::Gate { .. });
            ensure(!is_gate || passes.contains_key(&at), "gates_stand_before_the_next_stage", || {
                format!("{} left {} without {s:?}", after.work_item, before.stage())
            })?;
        }
        // The approval of what an update made of the branch is asked for again from the update, which goes on from there.
        let returns = before.landing.approval_again == Some(after.at);
        let one =
            before.at.stage + 1 == after.at.stage || after.branch.generation != before.branch.generation || returns;
        ensure(one, "gates_stand_before_the_next_stage", || format!("{} skipped a stage", after.work_item))?;
    }
    let new = main_jobs(change.open).find(|j| before.next_seq <= j.id.seq);
    if let Some(Job { effect: orch_core::effect::Effect::Merge { intent, .. }, .. }) = new {
        for at in Ledger::exact_gates(after) {
            ensure(passes.get(&at) == Some(&intent.head), "gates_stand_before_the_next_stage", || {
                format!("{} merges {} without {:?}", after.work_item, intent.head.short(), after.pipeline.step(at))
            })?;
        }
        for at in Ledger::patch_gates(after) {
            ensure(passes.contains_key(&at), "gates_stand_before_the_next_stage", || {
                format!("{} merges another patch than {:?} judged", after.work_item, after.pipeline.step(at))
            })?;
        }
        let prepared = sim.ledger.prepared.get(&after.id).map(|p| &p.0);
        ensure(prepared == Some(&intent.head), "gates_stand_before_the_next_stage", || {
            format!("{} merges {}, which was not prepared", after.work_item, intent.head.short())
        })?;
    }
    Ok(())
}

/// What the task itself says was passed behind `Update` was passed since, on the prepared head.
fn invariant_passed_is_of_the_prepared_head(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let after = change.after;
    let exact = Ledger::exact_gates(after);
    let passes = sim.ledger.passes.get(&after.id);
    // Between going back to `Update` and its end the old words are still written down; nothing reads them there.
    let behind = exact.first().is_some_and(|first| first <= &after.at);
    for passed in
        after.landing.passed.iter().filter(|p| behind && after.landing.merged.is_none() && exact.contains(&p.at))
    {
        let known = passes.and_then(|p| p.get(&passed.at)) == Some(&passed.head);
        ensure(known, "passed_is_of_the_prepared_head", || {
            format!("{}: {:?} on {} is from before the last update", after.work_item, passed.at, passed.head.short())
        })?;
    }
    Ok(())
}

/// The durable intent names the head and the tip of the last `Update`, from the moment it is written.
fn invariant_the_intent_is_what_was_prepared(sim: &Sim, change: &Change<'_>) -> Live<()> {
    let after = change.after;
    let Some(intent) = &after.landing.intent else { return Ok(()) };
    let prepared = sim.ledger.prepared.get(&after.id);
    let same = prepared.is_some_and(|(head, tip)| *head == intent.head && *tip == intent.base);
    ensure(same, "the_intent_is_what_was_prepared", || {
        format!(
            "{} intends {} on {}, prepared was {prepared:?}",
            after.work_item,
            intent.head.short(),
            intent.base.short()
        )
    })
}

fn invariant_only_people_who_may(change: &Change<'_>) -> Live<()> {
    // Who may merge on the forge is the forge's business.
    let Some(by) = change.event.actor().filter(|_| !matches!(change.event, Event::Landed { .. })) else {
        return Ok(());
    };
    let approves = matches!(change.event, Event::Approved { .. } | Event::Rejected { .. });
    let may = by.as_str() == "local:anna" || !approves && by.as_str() == "local:sam";
    ensure(may, "only_people_who_may", || format!("{by} did {}", change.event.name()))
}

fn invariant_approvals_are_for_what_was_shown(change: &Change<'_>) -> Live<()> {
    let new = change.after.approvals.get(change.before.approvals.len()..).unwrap_or_default();
    for approval in new {
        let shown = change.before.asked().map(|asked| (asked.what, asked.subject.to_owned()));
        let seen = match change.event {
            Event::Approved { subject, .. } => subject.as_ref().is_none_or(|s| *s == approval.subject),
            _ => false,
        };
        let right = seen && shown == Some((approval.what, approval.subject.clone()));
        ensure(right, "approvals_are_for_what_was_shown", || {
            format!(
                "{}: {} was shown, {:?} approves {}",
                change.after.work_item,
                shown.map_or("nothing".into(), |s| s.1),
                change.event,
                approval.subject
            )
        })?;
    }
    Ok(())
}

/// A block is told exactly once; a wait that takes too long, and a wish to a person, at most once.
fn invariant_told_once(sim: &mut Sim, change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let blocks = matches!(after.phase, Phase::Blocked { .. }) && before.phase != after.phase;
    let told = notices(change).filter(|t| t.contains("is blocked")).count();
    ensure(told == usize::from(blocks), "told_once", || {
        format!(
            "{} {} and people were told {told} times",
            after.work_item,
            if blocks { "is blocked" } else { "is not blocked" }
        )
    })?;
    for (kind, words) in [("too long", "waiting too long"), ("wish", "needs you")] {
        if notices(change).any(|t| t.contains(words)) {
            let since = after.wait.hold.or(before.wait.hold).map_or(after.updated_at, |h| h.since);
            let fresh = sim.ledger.told.insert((after.id, since, kind));
            ensure(fresh, "told_once", || format!("{}: `{words}` is said again for the same wait", after.work_item))?;
        }
    }
    Ok(())
}

/// What production did not take costs no developer a round and starts no agent: a new branch is begun by a person's word
/// only, and a person is told once.
fn invariant_a_failed_deploy_is_nobodys_round(change: &Change<'_>) -> Live<()> {
    let (before, after) = (change.before, change.after);
    let chosen = matches!(change.event, Event::WayChosen { .. } | Event::RevertAsked { .. } | Event::BegunAgain { .. });
    ensure(after.branch.generation == before.branch.generation || chosen, "a_failed_deploy_is_nobodys_round", || {
        format!("{} begins generation {} without a person's word", after.work_item, after.branch.generation)
    })?;
    let failed = before.landing.merged.is_some() && before.production.rolling_back && !after.production.rolling_back;
    ensure(!failed || after.spent.rounds == before.spent.rounds, "a_failed_deploy_is_nobodys_round", || {
        format!("{} spent a round on production", after.work_item)
    })?;
    let waits = |t: &Task| matches!(t.phase, Phase::Waiting { why: WaitReason::Production { .. }, .. });
    let asks = waits(after) && before.phase != after.phase;
    let told = notices(change).filter(|t| t.contains("production failed on")).count();
    ensure(told == usize::from(asks), "a_failed_deploy_is_nobodys_round", || {
        format!("{}: people were told {told} times that production failed", after.work_item)
    })
}

fn invariant_a_task_explains_itself(change: &Change<'_>) -> Live<()> {
    let told = explain(change.after);
    let text = told.as_ref().map(|w| format!("{} {}", w.reason, w.ends_when)).unwrap_or_default();
    let well = told.is_none() == change.after.is_closed()
        && !text.contains("unknown")
        && told.is_none_or(|w| !w.reason.is_empty() && !w.ends_when.is_empty());
    ensure(well, "a_task_explains_itself", || format!("{:?}: {text}", change.after.phase))
}

/// A job, a timer or a person's command ends every state but the last.
fn invariant_every_wait_ends(change: &Change<'_>) -> Live<()> {
    let after = change.after;
    let ends = match &after.phase {
        Phase::Working { .. } | Phase::Stopping { .. } => !change.open.is_empty(),
        Phase::Waiting {
            why:
                WaitReason::Approval { .. }
                | WaitReason::Answer { .. }
                | WaitReason::Unable { .. }
                | WaitReason::Production { .. }
                | WaitReason::OnHold,
            ..
        }
        | Phase::Blocked { .. }
        | Phase::Idle => explain(after).is_some_and(|w| w.command.is_some()),
        Phase::Waiting { recheck, .. } => recheck.is_some() && after.wake_at().is_some(),
        Phase::Cancelled { .. } | Phase::Done { .. } => true,
    };
    ensure(ends, "every_wait_ends", || format!("nothing ends {:?}", after.phase))
}

/// The core's own "this cannot be" never happens.
fn invariant_nothing_is_impossible(change: &Change<'_>) -> Live<()> {
    let bug = match &change.after.phase {
        Phase::Blocked { why: BlockReason::JobFailed { fault, .. }, .. } => fault.kind == FaultKind::Bug,
        _ => false,
    };
    ensure(!bug, "nothing_is_impossible", || format!("{:?}", change.after.phase))
}

/// From `Update` to the read-back the lease is the task's, unless it was reclaimed because nobody renewed it.
fn invariant_lease_is_held_while_merging(sim: &mut Sim, change: &Change<'_>) -> Live<()> {
    let after = change.after;
    // What is said of a task is no sign of life of it.
    if change.lease.task == Some(after.id) && !change.event.is_said() {
        sim.ledger.lease_until.insert(after.id, sim.ms() + crate::sim::TTL_MS);
    }
    let busy = matches!(after.phase, Phase::Working { .. } | Phase::Stopping { .. })
        || matches!(after.phase, Phase::Blocked { why: BlockReason::WrongTree { .. }, .. })
        || after.merge_unknown();
    let wants = busy && after.pipeline.in_lease_span(after.at) && !sim.ledger.reclaimed.contains(&after.id);
    ensure(!wants || change.lease.task == Some(after.id), "lease_is_held_while_merging", || {
        format!("{} merges; the lease is held by {:?}", after.work_item, change.lease.holder)
    })?;
    ensure(change.lease_before.epoch <= change.lease.epoch, "lease_is_held_while_merging", || {
        "the epoch went back".into()
    })?;
    let changed_hands = change.lease.task.is_some() && change.lease.task != change.lease_before.task;
    let taken = change.lease.epoch == change.lease_before.epoch + 1;
    ensure(!changed_hands || taken, "lease_is_held_while_merging", || "the lease changed hands within an epoch".into())
}

/// Nobody keeps the lease while nothing with an end is under way: not for a person, not at other steps.
fn invariant_lease_is_never_held_for_nothing(change: &Change<'_>) -> Live<()> {
    let after = change.after;
    if change.lease.task != Some(after.id) {
        return Ok(());
    }
    let span = after.pipeline.in_lease_span(after.at);
    let good = match &after.phase {
        Phase::Working { .. } | Phase::Stopping { .. } => span,
        Phase::Waiting { why: WaitReason::Report { .. }, until, .. } => span && until.is_some(),
        Phase::Blocked { why, .. } => matches!(why, BlockReason::WrongTree { .. }) || after.merge_unknown(),
        Phase::Waiting { .. } | Phase::Idle | Phase::Cancelled { .. } | Phase::Done { .. } => false,
    };
    ensure(good, "lease_is_never_held_for_nothing", || {
        format!("{} holds the lease at {:?} in {:?}", after.work_item, after.at, after.phase)
    })
}

fn invariant_journal_is_complete(sim: &mut Sim, change: &Change<'_>) -> Live<()> {
    let last = sim.ledger.journal;
    let rows = sim.db(async |s| s.journal(None, last, 50).await)?;
    sim.ledger.journal = rows.last().map_or(last, |r| r.id);
    let mine: Vec<_> = rows.iter().filter(|r| r.task == change.after.id && r.ignored.is_none()).collect();
    let begun = mine.iter().any(|r| r.event == change.event.name());
    let ends = mine.last().is_some_and(|r| r.phase == change.after.phase_word() && r.stage == *change.after.stage());
    ensure(begun && ends, "journal_is_complete", || {
        format!("{}: {} is not in the journal as it happened", change.after.work_item, change.event.name())
    })
}

/// A reclaimed lease had run out, and its holder's merge was not under way.
pub(crate) fn invariant_a_merge_keeps_its_lease(sim: &Sim, task: &Task) -> Live<()> {
    let merging = matches!(task.phase, Phase::Working { .. } | Phase::Stopping { .. })
        && matches!(task.step(), Some(Step::Merge));
    let frozen = matches!(task.phase, Phase::Blocked { why: BlockReason::WrongTree { .. }, .. });
    ensure(!merging && !frozen && !task.merge_unknown(), "a_merge_keeps_its_lease", || {
        format!("the lease of {} was reclaimed in {:?}", task.work_item, task.phase)
    })?;
    let live = sim.ledger.lease_until.get(&task.id).is_some_and(|until| sim.ms() <= *until);
    ensure(!live, "a_merge_keeps_its_lease", || {
        format!("the lease of {} was reclaimed before it ran out", task.work_item)
    })
}

/// A claim whose worker renews it is taken from it by nobody who only looks at the clock, on whichever engine.
pub(crate) fn invariant_a_renewed_claim_stays(sim: &Sim, job: JobId, worker: &str) -> Live<()> {
    let claim = sim.ledger.claim_of(job);
    let late = claim.is_some_and(|c| c.until_ms < sim.ms() && crate::node::worker(c.process) == worker);
    ensure(late, "a_renewed_claim_stays", || format!("{job} was taken from {worker} in its time: {claim:?}"))
}
