//! Budgets of this instance: which ones hold for the runs of a project now, what became of them, and what people hear.
//! Whether a run fits is decided in `orch_core::budget`, in the claim's transaction; here is the calendar it is asked with.

use crate::engine::Engine;
use crate::project::Project;
use crate::text::rfc3339;
use jiff::tz::TimeZone;
use orch_core::budget::{Balance, Limit, RESERVED, Scope, Span, Terms, usd};
use orch_core::effect::Lane;
use orch_core::ids::{ProjectKey, Time};
use orch_core::retry::Next;
use orch_ports::Fault;
use orch_store::{Job, Whose};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A span of the calendar: its begin and the next one's.
type Between = (Time, Option<Time>);

/// The day and the month that a time is in. A day begins at midnight, or at its first moment where the clocks leave midnight
/// out. A time that no calendar has begins nothing new: everything counts.
fn spans(now: Time, zone: Option<&TimeZone>) -> (Between, Between) {
    let zone = zone.cloned().unwrap_or(TimeZone::UTC);
    let found = || -> Result<(Between, Between), jiff::Error> {
        let begin = |date: jiff::civil::Date| {
            let midnight = date.to_datetime(jiff::civil::Time::midnight());
            zone.to_timestamp(midnight).map(|at| Time(at.as_millisecond()))
        };
        let today = zone.to_datetime(jiff::Timestamp::from_millisecond(now.0)?).date();
        let (first, next) = (today.first_of_month(), today.last_of_month().tomorrow()?);
        let (day, month) = ((begin(today)?, begin(today.tomorrow()?)?), (begin(first)?, begin(next)?));
        Ok(((day.0, Some(day.1)), (month.0, Some(month.1))))
    };
    found().unwrap_or(((Time(i64::MIN), None), (Time(i64::MIN), None)))
}

fn limits(project: &Project, now: Time) -> Vec<Limit> {
    let money = &project.money;
    let ever = (Time(i64::MIN), None);
    let (day, month) = spans(now, money.zone.as_ref());
    let of = || Scope::Project(project.key.clone());
    let all = [
        (Scope::Task, Span::Whole, project.policy.task_budget_micro_usd, ever),
        (of(), Span::Whole, money.total_micro_usd, ever),
        (of(), Span::Day, money.day_micro_usd, day),
        (of(), Span::Month, money.month_micro_usd, month),
        (Scope::Instance, Span::Day, money.all_day_micro_usd, day),
        (Scope::Instance, Span::Month, money.all_month_micro_usd, month),
    ];
    let set = all.into_iter().filter_map(|(scope, span, micro_usd, (from, until))| {
        Some(Limit { scope, span, micro_usd: micro_usd?, from, until })
    });
    set.collect()
}

/// What an agent's run of each project has to fit into now; nothing for lanes that begin no agent.
pub(crate) fn terms(engine: &Engine, lane: Lane, now: Time) -> BTreeMap<ProjectKey, Terms> {
    if lane != Lane::Agent {
        return BTreeMap::new();
    }
    let projects = engine.projects();
    let of = |project: &Project| Terms { run_micro_usd: project.money.run_micro_usd, limits: limits(project, now) };
    projects.values().map(|project| (project.key.clone(), of(project))).collect()
}

/// Does the job's run not fit into a budget? What becomes of it then; people hear of it once.
pub(crate) async fn refuse(engine: &Engine, job: &Job) -> Option<Next> {
    let refusal = job.refused.as_ref()?;
    let next = refusal.next(engine.ports.clock.now());
    if matches!(next, Next::Requeue(_)) && !refusal.by_others {
        let limit = &refusal.balance.limit;
        let name = engine.task(job.id.task).await.map_or_else(|_| job.id.to_string(), |t| t.work_item.to_string());
        let end = limit.until.map_or_else(
            || format!("it goes on when `{}` is raised in orch.toml{RELOAD}", limit.place()),
            |until| format!("it goes on by itself at {}", rfc3339(until)),
        );
        let text = format!("{name} waits for {}; {end}", refusal.why());
        engine.notice(job.id.task, format!("{}-waits", key(limit)), text).await;
    }
    Some(next)
}

/// A run has ended: people hear once of each budget of a project, a day or a month of which four fifths are spent.
pub(crate) async fn tell(engine: &Engine, job: &Job) {
    if job.lane != Lane::Agent {
        return;
    }
    let Some(project) = engine.projects().get(&job.project).cloned() else { return };
    for limit in limits(&project, engine.ports.clock.now()).into_iter().filter(|l| l.scope != Scope::Task) {
        // The next run that ends looks again.
        let Ok(balance) = balance(engine, limit).await else { continue };
        if balance.is_nearly_spent() {
            let (limit, amounts) = (&balance.limit, balance.amounts());
            let text = format!("{limit} ({}) is nearly spent: {amounts}", limit.key());
            engine.notice(job.id.task, format!("{}-80", key(limit)), text).await;
        }
    }
}

/// Limits may have been raised: what waits for one is tried again at once. What this cannot tell looks by itself in a minute.
pub(crate) async fn look_again(engine: &Engine) {
    let store = &engine.ports.store;
    let open = store.open_jobs(None).await.unwrap_or_default();
    let parked: BTreeSet<String> = open.into_iter().filter_map(|job| job.parked).collect();
    for budget in parked.iter().filter(|parked| parked.starts_with("budget:")) {
        if let Err(error) = store.unpark(budget, engine.ports.clock.now()).await {
            tracing::warn!(budget, %error, "what waits for it could not be told that it may have been raised");
        }
    }
}

/// Names this budget, as high as it is now, in this span.
fn key(limit: &Limit) -> String {
    let from = limit.until.map_or(0, |_| limit.from.0);
    format!("budget-{}-{}-{from}", limit.name(), limit.micro_usd)
}

/// What is spent and reserved of a budget that is no task's.
async fn balance(engine: &Engine, limit: Limit) -> Result<Balance, Fault> {
    let whose = match &limit.scope {
        Scope::Project(key) => Whose::Project(key.clone()),
        Scope::Task | Scope::Instance => Whose::Everybody,
    };
    let sums = engine.ports.store.spending(whose, limit.from).await?;
    Ok(Balance { limit, sums })
}

/// What ends the wait of a job that is parked for money, and when, if that is known.
pub(crate) fn ends(engine: &Engine, job: &Job) -> Option<(String, Option<Time>)> {
    let parked = job.parked.as_deref()?;
    if parked == RESERVED {
        let end = "the runs that have reserved what is left end and leave enough, or the limit is raised";
        return Some((format!("{end} in orch.toml{RELOAD}"), None));
    }
    let name = parked.strip_prefix("budget:")?;
    let project = engine.projects().get(&job.project).cloned()?;
    let all = limits(&project, engine.ports.clock.now());
    let Some(limit) = all.into_iter().find(|limit| limit.name() == name) else {
        return Some(("the limit is gone, which is looked at again within a minute".to_owned(), None));
    };
    let zone = project.money.zone.as_ref().and_then(TimeZone::iana_name).unwrap_or("UTC");
    let next = match limit.span {
        Span::Day => format!("the next day begins ([server] timezone: {zone}), or "),
        Span::Month => format!("the next month begins ([server] timezone: {zone}), or "),
        Span::Whole => String::new(),
    };
    Some((format!("{next}`{}` is raised in orch.toml{RELOAD}", limit.place()), limit.until))
}

/// How a raised limit is taken up.
const RELOAD: &str = " (`orch reload`)";

/// A budget, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetView {
    /// `day`, `SHOP:month`.
    pub name: String,
    /// For people: `the day's budget of SHOP`.
    pub what: String,
    /// The key that sets it: `day_usd`.
    pub key: String,
    /// Its project; nothing: it holds for all.
    pub project: Option<String>,
    /// What it allows, US dollars.
    pub limit_usd: f64,
    /// What is spent, US dollars; the most it can be where costs are not known.
    pub spent_usd: f64,
    /// The same for people: `4.00`, `<= 4.00`, `4.00 and 1 unknown`.
    pub spent: String,
    /// What is reserved for runs that are under way, US dollars.
    pub reserved_usd: f64,
    /// What is left, US dollars.
    pub left_usd: f64,
    /// All of it in one line.
    pub line: String,
    /// Since when it counts; nothing: since ever.
    pub from: Option<String>,
    /// When it begins anew; nothing: never.
    pub until: Option<String>,
}

impl BudgetView {
    fn of(balance: &Balance) -> Self {
        let Balance { limit, sums } = balance;
        let dollars = |micro_usd: u64| micro_usd as f64 / 1e6;
        let project = match &limit.scope {
            Scope::Project(key) => Some(key.to_string()),
            Scope::Task | Scope::Instance => None,
        };
        Self {
            name: limit.name(),
            what: limit.to_string(),
            key: limit.key().to_owned(),
            project,
            limit_usd: dollars(limit.micro_usd),
            spent_usd: dollars(sums.spent_micro_usd),
            spent: sums.spent(),
            reserved_usd: dollars(sums.reserved_micro_usd),
            left_usd: dollars(balance.left()),
            line: format!("{}, {} USD left", balance.amounts(), usd(balance.left())),
            from: limit.until.map(|_| rfc3339(limit.from)),
            until: limit.until.map(rfc3339),
        }
    }
}

impl Engine {
    /// The budgets of days, months and projects, those of the whole instance first.
    pub async fn budgets(&self) -> Result<Vec<BudgetView>, Fault> {
        let now = self.ports.clock.now();
        let mut all: Vec<Limit> = Vec::new();
        for project in self.projects().values() {
            for limit in limits(project, now).into_iter().filter(|l| l.scope != Scope::Task) {
                if !all.contains(&limit) {
                    all.push(limit);
                }
            }
        }
        all.sort_by(|a, b| {
            (a.scope != Scope::Instance, &a.scope, a.span).cmp(&(b.scope != Scope::Instance, &b.scope, b.span))
        });
        let mut views = Vec::new();
        for limit in all {
            views.push(BudgetView::of(&balance(self, limit).await?));
        }
        Ok(views)
    }

    /// The budget of a task of this project that has been granted `from` before, if there is one: its limit, millionths.
    pub(crate) fn task_limit(&self, project: &ProjectKey, from_micro_usd: u64) -> Option<u64> {
        let limit = self.projects().get(project)?.policy.task_budget_micro_usd?;
        Some(limit.saturating_add(from_micro_usd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn between(now: &str, zone: &str) -> ((String, String), (String, String)) {
        let zone = TimeZone::get(zone).unwrap();
        let (day, month) = spans(at(now), Some(&zone));
        let text = |(from, until): Between| (rfc3339(from), rfc3339(until.unwrap()));
        (text(day), text(month))
    }

    #[test]
    fn days_and_months_begin_where_the_people_are() {
        let (day, month) = between("2026-12-31T23:30:00Z", "UTC");
        assert_eq!(day, ("2026-12-31T00:00:00.000Z".into(), "2027-01-01T00:00:00.000Z".into()));
        assert_eq!(month, ("2026-12-01T00:00:00.000Z".into(), "2027-01-01T00:00:00.000Z".into()));
        // In Berlin the new year has begun.
        let (day, month) = between("2026-12-31T23:30:00Z", "Europe/Berlin");
        assert_eq!(day, ("2026-12-31T23:00:00.000Z".into(), "2027-01-01T23:00:00.000Z".into()));
        assert_eq!(month, ("2026-12-31T23:00:00.000Z".into(), "2027-01-31T23:00:00.000Z".into()));
    }

    #[test]
    fn a_day_is_as_long_as_the_clocks_make_it() {
        let hours = |now: &str, zone: &str| {
            let (from, until) = spans(at(now), Some(&TimeZone::get(zone).unwrap())).0;
            until.unwrap().since_ms(from) / 3_600_000
        };
        assert_eq!(hours("2026-03-29T12:00:00Z", "Europe/Berlin"), 23);
        assert_eq!(hours("2026-10-25T12:00:00Z", "Europe/Berlin"), 25);
        // Here the clocks leave midnight out: the day begins at one.
        let (day, _) = between("2026-09-06T12:00:00Z", "America/Santiago");
        assert_eq!(day, ("2026-09-06T04:00:00.000Z".into(), "2026-09-07T03:00:00.000Z".into()));
        let (_, month) = between("2026-03-15T00:00:00Z", "Europe/Berlin");
        assert_eq!(month, ("2026-02-28T23:00:00.000Z".into(), "2026-03-31T22:00:00.000Z".into()));
    }

    #[test]
    fn every_moment_is_in_its_day_and_its_month() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let mut now = at("2026-01-01T00:00:00Z");
        let end = at("2027-01-02T00:00:00Z");
        while now < end {
            for (from, until) in <[Between; 2]>::from(spans(now, Some(&zone))) {
                let until = until.unwrap();
                assert!(from <= now && now < until, "{} is not in {}..{}", rfc3339(now), rfc3339(from), rfc3339(until));
            }
            now = now.plus_ms(17 * 60_000);
        }
    }

    #[test]
    fn a_time_that_no_calendar_has_opens_no_new_day() {
        assert_eq!(spans(Time(i64::MAX), None), ((Time(i64::MIN), None), (Time(i64::MIN), None)));
    }
}
