//! A local mirror of advisories as an auditor. Decides which ecosystems it has answered for: those it has a feed of; a
//! feed that is old, broken or not there is a problem in words, because it would find nothing and look clean.

use super::dependencies;
use orch_advisories::{Dependency, Ecosystem, Mirror, audit};
use orch_ports::Fault;
use orch_ports::security::{AuditAnswer, Audited, Auditor, Sides};
use std::path::PathBuf;

/// A local mirror of advisories.
#[derive(Clone, Debug)]
pub struct AdvisoryMirror {
    osv: Option<PathBuf>,
    rustsec: Option<PathBuf>,
    max_age_s: i64,
}

impl AdvisoryMirror {
    /// Directories of `<ECOSYSTEM>/all.zip` and of a RustSec checkout; what is older than `max_age_s` is stale.
    pub fn new(osv: Option<PathBuf>, rustsec: Option<PathBuf>, max_age_s: i64) -> Self {
        Self { osv, rustsec, max_age_s }
    }

    fn open(&self) -> Result<Option<Mirror>, Fault> {
        let opened = match (&self.osv, &self.rustsec) {
            (None, None) => return Ok(None),
            (Some(osv), None) => Mirror::open(osv),
            (None, Some(rustsec)) => Mirror::of_rustsec(rustsec),
            (Some(osv), Some(rustsec)) => Mirror::open(osv).and_then(|m| m.with_rustsec(rustsec)),
        };
        opened.map(Some).map_err(|e| Fault::permanent(e.to_string()))
    }
}

#[async_trait::async_trait]
impl Auditor for AdvisoryMirror {
    fn name(&self) -> &'static str {
        "advisory mirror"
    }

    async fn audit(&self, sides: &Sides<'_>) -> Result<AuditAnswer, Fault> {
        let Some(mirror) = self.open()? else {
            let why = "no advisory mirror is configured: set [security] osv_dir and run `orch audit import`";
            return Ok(AuditAnswer::Missing { why: why.into() });
        };
        let (head, base) = (dependencies(sides.head), dependencies(sides.base));
        let (max_age_s, now_s) = (self.max_age_s, sides.now_s);
        let look = move || {
            let wanted: Vec<Dependency> = head.iter().chain(&base).cloned().collect();
            let records = mirror.read(&wanted);
            let there: Vec<Ecosystem> = records.feeds.iter().map(|f| f.ecosystem).collect();
            let known = |all: &[Dependency]| -> Vec<Dependency> {
                all.iter().filter(|d| there.contains(&d.ecosystem)).cloned().collect()
            };
            let (head, base) = (audit(&known(&head), &records), audit(&known(&base), &records));
            let mut problems = head.problems;
            let (mut covered, mut feeds) = (Vec::new(), Vec::new());
            for feed in &records.feeds {
                covered.push(feed.ecosystem);
                let age = feed.as_of.seconds().map(|at| now_s.saturating_sub(at) / 86_400);
                let age = age.map_or_else(|| "of unknown age".to_owned(), |days| format!("{days} days old"));
                feeds.push(format!("{} {} {age}", feed.source, feed.ecosystem));
                if feed.as_of.is_older_than(max_age_s, now_s) {
                    problems.push(format!("the advisories of {} for {} are {age}", feed.source, feed.ecosystem));
                }
            }
            Audited {
                by: format!("advisory mirror ({})", feeds.join(", ")),
                covered,
                head: head.advisories,
                base: base.advisories,
                unknown: head.unknown,
                problems,
            }
        };
        let audited = tokio::task::spawn_blocking(look).await;
        Ok(AuditAnswer::Done(audited.map_err(|e| Fault::bug(format!("the advisory mirror: {e}")))?))
    }
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
