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

#[cfg(test)]
mod tests {
    use super::super::testing::{fails, project, subject, unreadable};
    use super::*;

    const TEXT: &str = "Users can reset their password by mail, within an hour, once per link.";
    const PLAN: &str =
        "tests:\n- id: TC-01\n  type: unit\n  description: adds two numbers\n  module: calc\n  expected: the sum\n";

    fn judge(papers: [Option<&str>; 4]) -> Verdict {
        let named = ANALYSIS.iter().zip(papers).map(|(n, t)| ((*n).to_owned(), t.map(ToOwned::to_owned)));
        AnalysisComplete::judge(&Evidence { papers: named.collect() }, &subject(), &project())
    }

    #[test]
    fn four_whole_papers_pass() {
        let plans = [
            PLAN,
            "test_cases:\n- id: TC-01\n  type: unit\n  description: adds two numbers\n  module: calc\n  expected: the sum\n",
        ];
        let passes = plans.iter().filter(|p| judge([Some(TEXT), Some(TEXT), Some(TEXT), Some(p)]) == Verdict::Pass);
        assert!(0 < passes.count());
    }

    #[test]
    fn a_missing_paper_is_the_analysts_business_and_named() {
        assert_eq!(unreadable(&judge([Some(TEXT), None, Some(TEXT), Some(PLAN)])), ["`02-trz.md` is missing"]);
        assert_eq!(unreadable(&judge([None; 4])).len(), 4);
    }

    #[test]
    fn empty_papers_and_placeholders_fail_by_name() {
        for text in ["", "   \n\n", "TODO", "tbd"] {
            assert!(
                fails(&judge([Some(TEXT), Some(text), Some(TEXT), Some(PLAN)]))[0].contains("02-trz.md"),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_plan_that_does_not_parse_fails() {
        for plan in
            ["", "tests: [", "tests: []", &PLAN.replace("TC-01", "one"), &PLAN.replace("  expected: the sum\n", "")]
        {
            fails(&judge([Some(TEXT), Some(TEXT), Some(TEXT), Some(plan)]));
        }
    }
}
