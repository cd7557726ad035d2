//! Are the four analysis artefacts there, filled in, and does the test plan parse?

use super::{Gate, Look, Meta, Subject, papers};
use crate::project::Project;
use orch_core::artefact::ANALYSIS;
use orch_core::ids::GateId;
use orch_core::testplan;
use orch_core::verdict::{Finding, Verdict};
use orch_ports::Fault;
use serde::Serialize;

/// Shortest text that can be called a document, in characters without white space.
const MIN_CHARS: usize = 40;

pub(super) struct AnalysisComplete;

#[derive(Serialize)]
pub(super) struct Evidence {
    papers: Vec<(String, Option<String>)>,
}

impl Gate for AnalysisComplete {
    const META: Meta = Meta { id: GateId::AnalysisComplete, asks: "are the four analysis artefacts there and whole?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::digest(look, ANALYSIS).await
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let mut papers = Vec::new();
        for name in ANALYSIS {
            let bytes = look.bench.paper(name).await?;
            papers.push(((*name).to_owned(), bytes.map(|b| String::from_utf8_lossy(&b).into_owned())));
        }
        Ok(Evidence { papers })
    }

    fn judge(evidence: &Evidence, _: &Subject, _: &Project) -> Verdict {
        let finding = |name: &str, text: String| Finding { file: Some(name.to_owned()), ..Finding::must_fix(text) };
        let missing: Vec<_> = evidence.papers.iter().filter(|(_, text)| text.is_none()).collect();
        if !missing.is_empty() {
            let findings = missing.iter().map(|(name, _)| finding(name, format!("`{name}` is missing")));
            return Verdict::Unreadable { findings: findings.collect() };
        }
        let mut findings = Vec::new();
        for (name, text) in &evidence.papers {
            let text = text.as_deref().unwrap_or_default();
            if name == "04-test-plan.yaml" {
                if let Err(problems) = testplan::parse(text.as_bytes()) {
                    findings.extend(problems.into_iter().map(|p| Finding { file: Some(name.clone()), ..p }));
                }
            } else if text.chars().filter(|c| !c.is_whitespace()).count() < MIN_CHARS || testplan::is_placeholder(text)
            {
                findings.push(finding(name, format!("`{name}` is empty or a placeholder")));
            }
        }
        if findings.is_empty() { Verdict::Pass } else { Verdict::Fail { findings } }
    }
}
