//! Is there at least one decision record with Context, Decision, Alternatives and Consequences, each with a text?

use super::{Gate, Look, Meta, Subject, papers};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::{Finding, Verdict};
use orch_ports::Fault;
use serde::Serialize;

const PARTS: &[&str] = &["context", "decision", "alternatives", "consequences"];

pub(super) struct ArchitectureDone;

#[derive(Serialize)]
pub(super) struct Evidence {
    /// Name of each record and the parts it lacks.
    records: Vec<(String, Vec<&'static str>)>,
}

impl Gate for ArchitectureDone {
    const META: Meta = Meta { id: GateId::ArchitectureDone, asks: "is there a complete decision record?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::digest(look, &["06-adr/"]).await
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let mut records = Vec::new();
        for name in look.bench.papers().await?.into_iter().filter(|n| n.starts_with("06-adr/")) {
            let bytes = look.bench.paper(&name).await?.unwrap_or_default();
            records.push((name, lacking(&String::from_utf8_lossy(&bytes))));
        }
        Ok(Evidence { records })
    }

    fn judge(evidence: &Evidence, _: &Subject, _: &Project) -> Verdict {
        if evidence.records.iter().any(|(_, lacks)| lacks.is_empty()) {
            return Verdict::Pass;
        }
        if evidence.records.is_empty() {
            let text = "there is no decision record: write `06-adr/ADR-001-<slug>.md`";
            return Verdict::Unreadable { findings: vec![Finding::must_fix(text)] };
        }
        let findings = evidence.records.iter().map(|(name, lacks)| Finding {
            file: Some(name.clone()),
            ..Finding::must_fix(format!("this record has no text under: {}", lacks.join(", ")))
        });
        Verdict::Fail { findings: findings.collect() }
    }
}

/// The parts that have no heading or nothing below it.
fn lacking(text: &str) -> Vec<&'static str> {
    let mut filled: Vec<&str> = Vec::new();
    let mut current: Option<&str> = None;
    for line in text.lines() {
        if line.starts_with('#') {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            current = PARTS.iter().copied().find(|p| title.starts_with(p) || title.ends_with(p));
        } else if !line.trim().is_empty()
            && let Some(part) = current
        {
            filled.push(part);
        }
    }
    PARTS.iter().copied().filter(|p| !filled.contains(p)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fails, of, unreadable};
    use super::*;

    const WHOLE: &str = "# ADR-001\n## Context\nx\n## Decision\nx\n## Alternatives\nx\n## Consequences\nx\n";

    #[tokio::test]
    async fn one_whole_record_is_enough_and_none_is_the_architects_business() {
        let judge = async |papers| of(GateId::ArchitectureDone, papers).await.1.verdict;
        assert_eq!(judge(vec![("06-adr/ADR-001-a.md", "draft"), ("06-adr/ADR-002-b.md", WHOLE)]).await, Verdict::Pass);
        assert!(
            fails(&judge(vec![("06-adr/ADR-001-a.md", "## Context\nx\n")]).await)[0].contains("decision, alternatives")
        );
        unreadable(&judge(Vec::new()).await);
        unreadable(&judge(vec![("10-tech-risks.md", WHOLE)]).await);
    }

    #[test]
    fn every_part_needs_a_heading_and_a_text() {
        let whole = "# ADR-001\n## Context\nx\n## Decision\nx\n## Alternatives considered\nx\n## Consequences\nx\n";
        assert_eq!(lacking(whole), Vec::<&str>::new());
        assert_eq!(lacking("## Context\n\n## Decision\nyes\n"), ["context", "alternatives", "consequences"]);
    }
}
