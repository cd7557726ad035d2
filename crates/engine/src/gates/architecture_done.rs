//! Is there at least one decision record with Context, Decision, Alternatives and Consequences, each with a text? A record
//! is `06-adr/ADR-NNN-slug.md`; a form with headings and placeholders is none.

use super::gate::{Gate, Look, Meta, Subject};
use super::outline::{self, Line};
use super::papers;
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
        for name in look.bench.papers().await?.into_iter().filter(|n| is_record(n)) {
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

/// `06-adr/ADR-001-one-store.md`; other files in that directory decide nothing.
fn is_record(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("06-adr/ADR-") else { return false };
    let slug = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    slug.len() < rest.len() && (slug == ".md" || slug.starts_with('-'))
}

/// The parts that have no heading or nothing below it.
fn lacking(text: &str) -> Vec<&'static str> {
    let mut filled: Vec<&str> = Vec::new();
    let mut current: Option<(usize, &str)> = None;
    for line in outline::lines(text) {
        match line {
            // What is below a part's heading belongs to it, however it is divided.
            Line::Heading { level, title } => {
                let named = part(level, &title).map(|part| (level, part));
                current = named.or(current.filter(|(above, _)| *above < level));
            }
            Line::Text(_) => filled.extend(current.map(|(_, part)| part)),
        }
    }
    PARTS.iter().copied().filter(|p| !filled.contains(p)).collect()
}

/// The part a heading names. The title of the whole record may have any of the words in it.
fn part(level: usize, title: &str) -> Option<&'static str> {
    let title = title.to_lowercase();
    let title = title.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ')' | ' '));
    let title = title.trim_end_matches([':', ' ']);
    if title == "decision drivers" {
        return None;
    }
    PARTS.iter().copied().find(|p| title == *p || 1 < level && (title.starts_with(p) || title.ends_with(p)))
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

    #[tokio::test]
    async fn only_a_file_with_a_records_name_is_one() {
        let judge = async |name| of(GateId::ArchitectureDone, vec![(name, WHOLE)]).await.1.verdict;
        for name in ["06-adr/README.md", "06-adr/ADR-template.md", "06-adr/ADR-.md", "06-adr/notes-ADR-001.md"] {
            unreadable(&judge(name).await);
        }
        for name in ["06-adr/ADR-001.md", "06-adr/ADR-014-one-store.md"] {
            assert_eq!(judge(name).await, Verdict::Pass, "{name}");
        }
    }

    #[test]
    fn what_is_below_a_part_belongs_to_it_and_the_title_is_no_part() {
        let nested = "# Decision\n\n## 1. Context:\nx\n## Decision outcome\nx\n## Alternatives\n\n### A queue\nSlow.\n\
                      ## Consequences\nx\n";
        assert_eq!(lacking(nested), Vec::<&str>::new());
        let title = "# ADR-001: our caching decision\nx\n## Context\nx\n## Alternatives\nx\n## Consequences\nx\n";
        assert_eq!(lacking(title), ["decision"], "the name of the record decides nothing");
        let fenced = "## Context\nx\n## Decision\n```sh\n# Alternatives\nx\n# Consequences\nx\n```\n";
        assert_eq!(lacking(fenced), ["alternatives", "consequences"], "a comment in a listing is no heading");
        let other = "## Context\nx\n## Decision drivers\nx\n## Notes\nx\n## Alternatives\nx\n## Consequences\nx\n";
        assert_eq!(lacking(other), ["decision"]);
        assert_eq!(lacking(&WHOLE.replace("## Context\n", "# Context\n")), Vec::<&str>::new());
    }

    #[test]
    fn a_part_that_holds_a_placeholder_is_empty() {
        for nothing in
            ["TODO", "- TBD", "<why this and not another>", "...", "<!-- say why -->", "<!--\nsay why\n-->", "* * *"]
        {
            let text = WHOLE.replacen("## Decision\nx\n", &format!("## Decision\n{nothing}\n"), 1);
            assert_eq!(lacking(&text), ["decision"], "{nothing}");
        }
    }

    #[test]
    fn every_part_needs_a_heading_and_a_text() {
        let whole = "# ADR-001\n## Context\nx\n## Decision\nx\n## Alternatives considered\nx\n## Consequences\nx\n";
        assert_eq!(lacking(whole), Vec::<&str>::new());
        assert_eq!(lacking("## Context\n\n## Decision\nyes\n"), ["context", "alternatives", "consequences"]);
    }
}
