//! Budgets: what is reserved with a claim, what takes its place, and what is given back, whenever a worker dies.

use super::evidence::run;
use super::world::{World, anna, fault};
use crate::{Charge, Job, Requeue, RunRow, SHELL, Whose};
use futures::executor::block_on;
use orch_core::budget::{Limit, RESERVED, Scope, Span, Sums, Terms};
use orch_core::effect::{Lane, Outcome};
use orch_core::event::Event;
use orch_core::ids::{TaskId, Time};
use orch_core::verdict::FaultKind;
use orch_ports::agent::Usage;

const USD: u64 = 1_000_000;

fn limit(scope: Scope, span: Span, usd: u64) -> Limit {
    let until = (span != Span::Whole).then_some(Time(90_000_000));
    Limit { scope, span, micro_usd: usd * USD, from: Time(0), until }
}

fn terms(w: &mut World, project: &str, run_usd: Option<u64>, limits: Vec<Limit>) {
    w.terms.insert(project.into(), Terms { run_micro_usd: run_usd.map(|usd| usd * USD), limits });
}

fn usage(cost_usd: f64) -> Usage {
    Usage { cost_usd, ..Usage::default() }
}

fn row(job: &Job, ended: Option<Usage>) -> RunRow {
    let begun = run(job.id.task, job.id.seq, job.run_attempt);
    let (usage, end) = (ended.clone().unwrap_or_default(), ended.map(|_| Time(9)));
    RunRow { ended: end, usage, ..begun }
}

/// The run begins; with what it used, it ends.
fn put(w: &World, job: &Job, ended: Option<Usage>) {
    assert!(block_on(w.store.put_run(job.fence(), row(job, ended))).unwrap());
}

fn again(w: &World, job: &Job, new_run: bool, parked: Option<&str>) {
    let (not_before, fault) = (w.now, fault(FaultKind::Transient));
    let parked = parked.map(ToOwned::to_owned);
    assert!(w.put_back(job, Requeue { charge: Charge::Transient, new_run, not_before, fault, parked }));
}

/// Spent and reserved, dollars.
fn sums(w: &World, whose: &Whose) -> (u64, u64) {
    let sums = whole(w, whose);
    (sums.spent_micro_usd / USD, sums.reserved_micro_usd / USD)
}

fn whole(w: &World, whose: &Whose) -> Sums {
    block_on(w.store.spending(whose.clone(), Time(0))).unwrap()
}

/// Tasks whose next job is an agent's.
fn at_their_agent(w: &mut World, count: u64) -> Vec<TaskId> {
    let ids: Vec<TaskId> = (1..=count).map(|n| w.started("DEMO", n)).collect();
    for id in &ids {
        let branch = w.claim_of(*id);
        w.end_well(&branch);
        assert_eq!(w.job_of(*id).lane, Lane::Agent);
    }
    ids
}

pub fn runs_beside_each_other_cannot_pass_a_days_budget(w: &mut World) {
    at_their_agent(w, 8);
    terms(w, "DEMO", Some(2), vec![limit(Scope::Instance, Span::Day, 5)]);
    let claims: Vec<Job> = std::iter::from_fn(|| w.claim(Lane::Agent)).collect();
    assert_eq!(claims.len(), 8, "a job that does not fit is claimed, and says so");
    let begun: Vec<&Job> = claims.iter().filter(|j| j.refused.is_none()).collect();
    assert_eq!(begun.len(), 2);
    assert!(begun.iter().all(|j| j.reserved_micro_usd == 2 * USD));
    assert_eq!(sums(w, &Whose::Everybody), (0, 4));
    let refusal = claims.iter().find_map(|j| j.refused.clone()).unwrap();
    assert!(refusal.by_others, "the two may come to less");
    assert_eq!(refusal.waits_for(), RESERVED);
    let waits: Vec<&Job> = claims.iter().filter(|j| j.refused.is_some()).collect();
    for job in &waits {
        again(w, job, false, Some(RESERVED));
    }
    // The first run was cheap: whoever waited for its end goes on at once, and is not let through for nothing.
    put(w, begun[0], None);
    put(w, begun[0], Some(usage(0.5)));
    w.end_well(begun[0]);
    assert_eq!(whole(w, &Whose::Everybody).spent_micro_usd, USD / 2);
    let next = w.claim(Lane::Agent).expect("somebody waited");
    assert_eq!((next.refused.clone(), next.reserved_micro_usd), (None, 2 * USD));
    let late = w.claim(Lane::Agent).expect("and others");
    assert_eq!(late.refused.map(|r| r.balance.sums.reserved_micro_usd), Some(4 * USD));
}

pub fn without_a_cap_a_run_takes_what_is_left_of_the_tightest_budget(w: &mut World) {
    let ids = at_their_agent(w, 2);
    let limits = vec![limit(Scope::Instance, Span::Month, 9), limit(Scope::Project("DEMO".into()), Span::Day, 3)];
    terms(w, "DEMO", None, limits);
    let job = w.claim(Lane::Agent).unwrap();
    assert_eq!((job.id.task, job.reserved_micro_usd), (ids[0], 3 * USD));
    let other = w.claim(Lane::Agent).unwrap();
    assert_eq!(other.refused.as_ref().map(|r| (r.by_others, r.balance.limit.name())), Some((true, "DEMO:day".into())));
    put(w, &job, None);
    put(w, &job, Some(usage(3.0)));
    again(w, &other, false, Some(RESERVED));
    w.end_well(&job);
    let other = w.claim(Lane::Agent).unwrap();
    assert_eq!(other.refused.map(|r| r.by_others), Some(false), "the day's is spent");
}

pub fn a_reservation_is_given_back_where_no_run_began(w: &mut World) {
    let id = at_their_agent(w, 1)[0];
    terms(w, "DEMO", Some(2), vec![limit(Scope::Task, Span::Whole, 5)]);
    let mine = Whose::Task(id);
    // The worker dies, hangs, ends in order, or puts the job back, each time before the run.
    let job = w.claim(Lane::Agent).unwrap();
    assert_eq!(sums(w, &mine), (0, 2));
    w.pass_ms(super::world::LEASE_MS + 1);
    assert_eq!(block_on(w.store.reap()).unwrap().len(), 1);
    assert_eq!(sums(w, &mine), (0, 0));
    let job = (w.claim(Lane::Agent).unwrap(), job.epoch);
    assert!(block_on(w.store.take_back(job.0.fence())).unwrap().is_some());
    assert_eq!(sums(w, &mine), (0, 0));
    w.claim(Lane::Agent).unwrap();
    assert_eq!(block_on(w.store.release(&w.worker)).unwrap(), 1);
    assert_eq!(sums(w, &mine), (0, 0));
    let job = w.claim(Lane::Agent).unwrap();
    again(w, &job, false, Some("agent:claude"));
    assert_eq!(sums(w, &mine), (0, 0), "what waits for a service reserves nothing");
    block_on(w.store.unpark("agent:claude", w.now)).unwrap();
    let job = w.claim(Lane::Agent).unwrap();
    assert_eq!(sums(w, &mine), (0, 2));
    w.end(&job, Outcome::Cancelled);
    assert_eq!(sums(w, &mine), (0, 0));
}

pub fn a_reservation_outlives_the_worker_of_a_run_that_began_and_its_cost_counts_once(w: &mut World) {
    let id = at_their_agent(w, 1)[0];
    terms(w, "DEMO", Some(2), vec![limit(Scope::Task, Span::Whole, 5)]);
    let mine = Whose::Task(id);
    let job = w.claim(Lane::Agent).unwrap();
    put(w, &job, None);
    // The daemon dies, and the next one finds the run; by now nothing more would fit.
    w.worker = "w2".into();
    block_on(w.store.recover("w2", super::world::TTL_MS)).unwrap();
    assert_eq!(sums(w, &mine), (0, 2));
    terms(w, "DEMO", Some(2), vec![limit(Scope::Task, Span::Whole, 1)]);
    let job = w.claim(Lane::Agent).unwrap();
    assert_eq!((job.refused.clone(), job.reserved_micro_usd), (None, 2 * USD), "it is under way");
    put(w, &job, Some(usage(3.0)));
    assert_eq!(sums(w, &mine), (3, 0));
    // It dies between the end of the run and the settling of its job.
    w.worker = "w3".into();
    block_on(w.store.recover("w3", super::world::TTL_MS)).unwrap();
    let job = w.claim(Lane::Agent).unwrap();
    assert_eq!(job.refused, None, "its end has only to be read");
    put(w, &job, Some(usage(3.0)));
    w.end_well(&job);
    assert_eq!(sums(w, &mine), (3, 0), "once, with what it was over its cap");
}

pub fn a_run_that_is_to_be_stopped_keeps_its_reservation(w: &mut World) {
    let id = at_their_agent(w, 1)[0];
    terms(w, "DEMO", Some(2), vec![limit(Scope::Task, Span::Whole, 5)]);
    let job = w.claim(Lane::Agent).unwrap();
    put(w, &job, None);
    // A person cancels, and the daemon dies before it has ended the run: the next one claims it to do that.
    w.tell(id, Event::CancelAsked { by: anna() });
    w.worker = "w2".into();
    block_on(w.store.recover("w2", super::world::TTL_MS)).unwrap();
    let job = w.claim(Lane::Agent).unwrap();
    assert_eq!((job.stop, job.reserved_micro_usd), (true, 2 * USD));
    put(w, &job, Some(Usage::default()));
    w.end(&job, Outcome::Cancelled);
    assert_eq!(sums(w, &Whose::Task(id)).1, 0, "nothing is left of it");
}

pub fn a_setup_before_an_agents_run_is_not_the_run(w: &mut World) {
    let id = at_their_agent(w, 1)[0];
    terms(w, "DEMO", Some(2), vec![limit(Scope::Task, Span::Whole, 5)]);
    let mine = Whose::Task(id);
    let job = w.claim(Lane::Agent).unwrap();
    let setup = |job: &Job, ended: Option<Time>| {
        let row = RunRow { program: SHELL.into(), dir: "setup".into(), ended, ..row(job, None) };
        assert!(block_on(w.store.put_run(job.fence(), row)).unwrap());
    };
    setup(&job, None);
    setup(&job, Some(Time(9)));
    assert_eq!(sums(w, &mine), (0, 2), "its end says nothing about what the agent costs");
    again(w, &job, false, None);
    assert_eq!(sums(w, &mine), (0, 0), "no agent has begun");
    let job = w.claim(Lane::Agent).unwrap();
    put(w, &job, None);
    put(w, &job, Some(usage(1.0)));
    w.end_well(&job);
    assert_eq!(sums(w, &mine), (1, 0));
}

pub fn a_cost_that_nobody_knows_counts_as_what_was_reserved(w: &mut World) {
    let id = at_their_agent(w, 1)[0];
    let mine = Whose::Task(id);
    let unread = Usage { cost_unread: Some("`cost_usd` is text and no number".into()), ..Usage::default() };
    // Without a budget nothing is reserved, and it is unknown.
    let job = w.claim(Lane::Agent).unwrap();
    put(w, &job, None);
    put(w, &job, Some(unread.clone()));
    assert_eq!(whole(w, &mine), Sums { unknown: 1, ..Sums::default() });
    again(w, &job, true, None);
    terms(w, "DEMO", Some(2), vec![limit(Scope::Task, Span::Whole, 5)]);
    let job = w.claim(Lane::Agent).unwrap();
    put(w, &job, None);
    put(w, &job, Some(unread.clone()));
    again(w, &job, true, None);
    // Of this one nobody even wrote down the end: its supervisor is gone.
    let job = w.claim(Lane::Agent).unwrap();
    put(w, &job, None);
    again(w, &job, true, None);
    assert_eq!(whole(w, &mine), Sums { spent_micro_usd: 4 * USD, at_most: 2, unknown: 1, ..Sums::default() });
    let job = w.claim(Lane::Agent).unwrap();
    assert_eq!(job.refused.map(|r| r.by_others), Some(false));
}

pub fn a_cost_that_was_measured_counts_as_the_most_it_can_have_been(w: &mut World) {
    let id = at_their_agent(w, 1)[0];
    let mine = Whose::Task(id);
    terms(w, "DEMO", Some(2), vec![limit(Scope::Task, Span::Whole, 5)]);
    let cut = Usage { cost_unread: Some("a response was cut".into()), measured: true, ..usage(0.5) };
    let job = w.claim(Lane::Agent).unwrap();
    put(w, &job, None);
    put(w, &job, Some(cut));
    again(w, &job, true, None);
    assert_eq!(whole(w, &mine), Sums { spent_micro_usd: USD / 2, at_most: 1, ..Sums::default() });
}

pub fn a_retry_grants_a_task_as_much_again(w: &mut World) {
    w.policy.task_budget_micro_usd = Some(5 * USD);
    let id = at_their_agent(w, 1)[0];
    terms(w, "DEMO", Some(2), vec![limit(Scope::Task, Span::Whole, 5)]);
    // "Try later", again and again: what it has cost does not vanish with the attempt.
    for _ in 0..2 {
        let job = w.claim(Lane::Agent).unwrap();
        assert_eq!(job.refused, None);
        put(w, &job, None);
        put(w, &job, Some(usage(2.0)));
        again(w, &job, true, None);
    }
    let job = w.claim(Lane::Agent).unwrap();
    let refusal = job.refused.clone().expect("4 of 5 are spent, and a run may cost 2");
    let (spent, limit) = (refusal.balance.sums.spent_micro_usd, refusal.balance.limit.micro_usd);
    assert_eq!((spent, limit), (4 * USD, 5 * USD));
    let over = Outcome::OverBudget {
        spent_micro_usd: spent,
        limit_micro_usd: limit,
        run_micro_usd: Some(2 * USD),
        at_most: false,
    };
    w.end(&job, over);
    assert_eq!(w.word(id), "blocked");
    w.tell(id, Event::RetryAsked { by: anna() });
    let job = w.claim(Lane::Agent).unwrap();
    assert_eq!((job.refused, job.reserved_micro_usd), (None, 2 * USD));
}

pub fn a_run_counts_for_the_day_it_was_reserved_on(w: &mut World) {
    let ids = at_their_agent(w, 2);
    let day =
        |from: i64| Limit { from: Time(from), until: Some(Time(from + 1_000)), ..limit(Scope::Instance, Span::Day, 2) };
    let now = w.now.0;
    terms(w, "DEMO", Some(2), vec![day(now - 10)]);
    let job = w.claim(Lane::Agent).unwrap();
    put(w, &job, None);
    // Midnight: the run goes on, and another one has the whole new day.
    w.pass_ms(100);
    terms(w, "DEMO", Some(2), vec![day(now + 50)]);
    let other = w.claim(Lane::Agent).unwrap();
    assert_eq!((other.id.task, other.refused.clone()), (ids[1], None));
    put(w, &job, Some(usage(2.0)));
    let of_day = |from: i64| block_on(w.store.spending(Whose::Everybody, Time(from))).unwrap();
    assert_eq!((of_day(now + 50).spent_micro_usd, of_day(now + 50).reserved_micro_usd), (0, 2 * USD));
    assert_eq!(of_day(now - 10).spent_micro_usd, 2 * USD);
    // The clock goes back: what was reserved in its future counts for today as well, so that nothing is spent twice.
    w.now = Time(now);
    again(w, &other, false, None);
    w.end_well(&job);
    let other = w.claim(Lane::Agent).unwrap();
    assert_eq!(other.refused, None, "nothing of it had begun");
}
