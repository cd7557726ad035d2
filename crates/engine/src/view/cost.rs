//! What agents have cost: the same sums for command line, API and pages.

use crate::engine::Engine;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use orch_core::budget;
use orch_core::ids::{ProjectKey, Time};
use orch_ports::Fault;
use orch_store::Used;
use serde::Serialize;
use std::collections::BTreeMap;

/// By what costs are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostBy {
    /// Work item.
    Task,
    /// Project.
    Project,
    /// Role.
    Role,
    /// Model; `unknown` where the program did not say it.
    Model,
    /// Day, by `[server] timezone`.
    Day,
}

impl CostBy {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Task, Self::Project, Self::Role, Self::Model, Self::Day];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Project => "project",
            Self::Role => "role",
            Self::Model => "model",
            Self::Day => "day",
        }
    }

    fn key(self, used: &Used, zone: &TimeZone) -> String {
        match self {
            Self::Task => used.item.clone(),
            Self::Project => used.project.clone(),
            Self::Role => used.what.clone(),
            Self::Model => used.model.clone().unwrap_or_else(|| "unknown".into()),
            Self::Day => Timestamp::from_millisecond(used.at.0)
                .map(|at| zone.to_datetime(at).date().to_string())
                .unwrap_or_default(),
        }
    }
}

/// A sum of runs of agents.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostView {
    /// Task, project, role, model or day.
    pub key: String,
    /// Runs that ended.
    pub runs: u64,
    /// What they count as, US dollars.
    pub cost_usd: f64,
    /// The same for people: `1.50`, `<= 2.00`, `included`.
    pub cost: String,
    /// Runs whose cost is not known exactly.
    pub at_most: u64,
    /// Runs that a subscription paid.
    pub included: u64,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
}

fn view(key: String, used: &Used) -> CostView {
    let micro_usd = budget::micro_usd(used.cost_usd).unwrap_or(0);
    let cost = match (used.at_most, micro_usd) {
        (0, 0) if 0 < used.included => "included".to_owned(),
        (0, _) => budget::usd(micro_usd),
        _ => format!("<= {}", budget::usd(micro_usd)),
    };
    let Used { runs, cost_usd, at_most, included, input_tokens, output_tokens, .. } = *used;
    CostView { key, runs, cost_usd, cost, at_most, included, input_tokens, output_tokens }
}

/// Sums by a key, and all of them: days in their order, the others with the dearest first.
fn sums(rows: &[Used], by: CostBy, zone: &TimeZone) -> (Vec<CostView>, CostView) {
    let (mut all, mut total) = (BTreeMap::<String, Used>::new(), Used::default());
    for used in rows {
        all.entry(by.key(used, zone)).or_default().add(used);
        total.add(used);
    }
    let mut views: Vec<CostView> = all.iter().map(|(key, used)| view(key.clone(), used)).collect();
    if by != CostBy::Day {
        views.sort_by(|a, b| b.cost_usd.total_cmp(&a.cost_usd).then_with(|| b.output_tokens.cmp(&a.output_tokens)));
    }
    (views, view("all".into(), &total))
}

impl Engine {
    /// What runs of agents have cost that began from `from` on, of one project or of all: the sums and what they come to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn cost(
        &self,
        by: CostBy,
        project: Option<&ProjectKey>,
        from: Time,
    ) -> Result<(Vec<CostView>, CostView), Fault> {
        let until = self.clock().now().plus_ms(1);
        let mut rows = self.store().used(from, until).await?;
        rows.retain(|used| project.is_none_or(|key| key.as_str() == used.project));
        let zone = self.projects().values().find_map(|project| project.money.zone.clone()).unwrap_or(TimeZone::UTC);
        Ok(sums(&rows, by, &zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(item: &str, what: &str, at: &str, cost_usd: f64) -> Used {
        let at = at.parse::<Timestamp>().unwrap().as_millisecond();
        Used {
            project: item.split('-').next().unwrap().into(),
            item: item.into(),
            what: what.into(),
            at: Time(at),
            runs: 1,
            cost_usd,
            input_tokens: 10,
            output_tokens: 1,
            ..Used::default()
        }
    }

    #[test]
    fn costs_are_added_up_by_what_is_asked_and_a_cost_that_is_not_known_shows() {
        let mut rows = vec![
            used("SHOP-1", "developer", "2026-03-01T22:45:00Z", 0.5),
            used("SHOP-1", "reviewer", "2026-03-01T23:15:00Z", 0.25),
            used("BLOG-7", "developer", "2026-03-02T10:00:00Z", 2.0),
        ];
        rows[2].at_most = 1;
        rows[0].model = Some("large".into());
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let of = |by| {
            let (views, total) = sums(&rows, by, &berlin);
            assert_eq!((total.runs, total.cost.as_str(), total.input_tokens), (3, "<= 2.75", 30));
            views.into_iter().map(|view| (view.key, view.cost)).collect::<Vec<_>>()
        };
        let said =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(k, c)| ((*k).to_owned(), (*c).to_owned())).collect::<Vec<_>>();
        assert_eq!(of(CostBy::Task), said(&[("BLOG-7", "<= 2.00"), ("SHOP-1", "0.75")]));
        assert_eq!(of(CostBy::Project), said(&[("BLOG", "<= 2.00"), ("SHOP", "0.75")]));
        assert_eq!(of(CostBy::Role), said(&[("developer", "<= 2.50"), ("reviewer", "0.25")]));
        assert_eq!(of(CostBy::Model), said(&[("unknown", "<= 2.25"), ("large", "0.50")]));
        assert_eq!(of(CostBy::Day), said(&[("2026-03-01", "0.50"), ("2026-03-02", "<= 2.25")]), "a day of Berlin");
        rows = vec![Used { included: 1, ..used("SHOP-1", "developer", "2026-03-01T22:45:00Z", 0.0) }];
        assert_eq!(sums(&rows, CostBy::Role, &berlin).1.cost, "included");
    }
}
