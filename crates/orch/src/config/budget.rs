//! `[budget]` and `[project.budget]`: what agents may cost. What a run may cost is reserved before it begins, and what does not
//! fit waits. A budget that would be watched over without costs, or into which no run fits, is refused at load.

use super::agents::{AgentProgram, ProgramKind};
use super::load::{Loader, full_key};
use super::project::Project;
use super::section::section;
use super::{Config, Tables};
use orch_core::budget::micro_usd;

section! {
    /// Limits of money, US dollars. What a run may cost is reserved before it begins; a run that does not fit waits. Days and
    /// months begin by `[server] timezone`.
    Budget {
        /// What one run of an agent may cost; 0: whatever is left of the tightest budget, one run at a time. A program
        /// without a model proxy (`kind = "command"`, `proxy = false`) needs it where a budget is set: a run that does not say
        /// what it cost counts as this.
        run_usd: f64 = 0.0;
        /// What the agents of one task may cost together; 0: no limit. Then the task is Blocked until a person retries it,
        /// which grants as much again.
        task_usd: f64 = 0.0;
        /// What all agents may cost in a day; 0: no limit. What does not fit waits for the next day.
        day_usd: f64 = 0.0;
        /// What all agents may cost in a month; 0: no limit. What does not fit waits for the next month.
        month_usd: f64 = 0.0;
    }
}

section! {
    /// The same of one project, beside what holds for all of them.
    ProjectBudget {
        /// What one run may cost here; 0: as in `[budget]`.
        run_usd: f64 = 0.0;
        /// What the agents of one task may cost here; 0: as in `[budget]`.
        task_usd: f64 = 0.0;
        /// What the agents of the project may cost in a day; 0: no limit of its own.
        day_usd: f64 = 0.0;
        /// What they may cost in a month; 0: no limit of its own.
        month_usd: f64 = 0.0;
        /// What they may cost altogether; 0: no limit. What does not fit waits until this is raised.
        total_usd: f64 = 0.0;
    }
}

/// What a project's agents may cost, millionths of a US dollar; `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One run.
    pub run: Option<u64>,
    /// Those of one task.
    pub task: Option<u64>,
    /// Those of the project, in a day, in a month and altogether.
    pub own: [Option<u64>; 3],
    /// All of them, in a day and in a month.
    pub all: [Option<u64>; 2],
}

fn limit(usd: f64) -> Option<u64> {
    micro_usd(usd).filter(|micro_usd| 0 < *micro_usd)
}

fn limits(budget: &Budget, own: &ProjectBudget) -> Limits {
    Limits {
        run: limit(own.run_usd).or(limit(budget.run_usd)),
        task: limit(own.task_usd).or(limit(budget.task_usd)),
        own: [own.day_usd, own.month_usd, own.total_usd].map(limit),
        all: [budget.day_usd, budget.month_usd].map(limit),
    }
}

impl Config {
    /// What the agents of a project may cost.
    pub fn money(&self, project: &Project) -> Limits {
        limits(&self.budget, &project.budget)
    }
}

/// Refuses amounts that mean nothing, budgets no run fits into, and budgets of programs that do not say what they cost.
pub(super) fn check(loader: &mut Loader<'_>, tables: &Tables) {
    let Budget { run_usd, task_usd, day_usd, month_usd } = &tables.budget;
    let keys = [("run_usd", run_usd), ("task_usd", task_usd), ("day_usd", day_usd), ("month_usd", month_usd)];
    amounts(loader, "budget", &keys);
    for (i, project) in tables.projects.iter().enumerate() {
        let at = format!("project[{i}].budget");
        let ProjectBudget { run_usd, task_usd, day_usd, month_usd, total_usd } = &project.budget;
        let own = [("day_usd", day_usd), ("month_usd", month_usd), ("total_usd", total_usd)];
        let keys = [&[("run_usd", run_usd), ("task_usd", task_usd)][..], &own].concat();
        amounts(loader, &at, &keys);
        of_project(loader, tables, &at, project);
    }
}

fn amounts(loader: &mut Loader<'_>, at: &str, keys: &[(&str, &f64)]) {
    for (key, usd) in keys {
        if **usd != 0.0 && limit(**usd).is_none() {
            let here = format!("{at}.{key}");
            let text = format!("{} must be 0 or between 0.000001 and 1000000 US dollars", full_key(&here));
            loader.at_path(&here, text);
        }
    }
}

fn of_project(loader: &mut Loader<'_>, tables: &Tables, at: &str, project: &Project) {
    let Limits { run, task, own, all } = limits(&tables.budget, &project.budget);
    let place = |own: bool, key: &str| if own { format!("{at}.{key}") } else { format!("budget.{key}") };
    let set = [
        (place(limit(project.budget.task_usd).is_some(), "task_usd"), task),
        (place(true, "day_usd"), own[0]),
        (place(true, "month_usd"), own[1]),
        (place(true, "total_usd"), own[2]),
        (place(false, "day_usd"), all[0]),
        (place(false, "month_usd"), all[1]),
    ];
    let set: Vec<(String, u64)> = set.into_iter().filter_map(|(key, limit)| Some((key, limit?))).collect();
    let Some((first, _)) = set.first() else { return };
    if let Some(run) = run {
        let run_at = place(limit(project.budget.run_usd).is_some(), "run_usd");
        for (key, _) in set.iter().filter(|(_, limit)| *limit < run) {
            let text = format!("{} is more than {}: no run would ever begin", full_key(&run_at), full_key(key));
            loader.at_path(&run_at, text);
        }
        return;
    }
    let programs = &tables.agents.programs;
    let silent = |p: &AgentProgram| p.kind == ProgramKind::Command || (p.kind == ProgramKind::Claude && !p.proxy);
    let used = project.agents.values().chain(std::iter::once(&tables.agents.default));
    if let Some((name, program)) = used.filter_map(|name| Some((name, programs.get(name)?))).find(|(_, p)| silent(p)) {
        let how = if program.kind == ProgramKind::Command { "kind = \"command\"" } else { "proxy = false" };
        let text = format!(
            "{} limits {}, whose program `{name}` ({how}) need not say what a run cost: set [budget] `run_usd` to what \
             a run may cost; one that does not say counts as that",
            full_key(first),
            project.key
        );
        loader.at_path(first, text);
    }
}
