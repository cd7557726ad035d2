//! Are the four analysis artefacts there, filled in, and does the test plan parse?

use super::gate::{Gate, Look, Meta, Subject};
use super::outline::{self, Line};
use super::papers;
use crate::project::Project;
use orch_artefacts::testplan;
use orch_core::artefact::ANALYSIS;
use orch_core::ids::GateId;
use orch_core::verdict::{Finding, Verdict};
use orch_ports::Fault;
use serde::Serialize;

/// Shortest text that can be called a document, in characters without white space. Headings and placeholders are none.
const MIN_CHARS: usize = 40;

pub(super) struct AnalysisComplete;

#[derive(Serialize)]
pub(super) struct Evidence {
    papers: Vec<(String, Option<String>)>,
    /// Those whose bytes are no text; above they are shown as far as they can be.
    no_text: Vec<String>,
}

impl Evidence {
    fn new(papers: Vec<(String, Option<Vec<u8>>)>) -> Self {
        let broken = |bytes: &Option<Vec<u8>>| bytes.as_ref().is_some_and(|b| std::str::from_utf8(b).is_err());
        let no_text = papers.iter().filter(|(_, bytes)| broken(bytes)).map(|(name, _)| name.clone()).collect();
        let shown = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { papers: papers.into_iter().map(|(name, bytes)| (name, bytes.map(shown))).collect(), no_text }
    }
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
            papers.push(((*name).to_owned(), look.bench.paper(name).await?));
        }
        Ok(Evidence::new(papers))
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
            if evidence.no_text.contains(name) {
                findings.push(finding(name, format!("`{name}` is not UTF-8 text")));
            } else if name == testplan::FILE {
                if let Err(problems) = testplan::parse(text.as_bytes()) {
                    findings.extend(problems.into_iter().map(|p| Finding { file: Some(name.clone()), ..p }));
                }
            } else if written(text) < MIN_CHARS {
                findings.push(finding(name, format!("`{name}` is empty or a placeholder")));
            }
        }
        if findings.is_empty() { Verdict::Pass } else { Verdict::Fail { findings } }
    }
}

/// Characters of what a document says.
fn written(text: &str) -> usize {
    let lines = outline::lines(text).into_iter();
    let texts = lines.filter_map(|line| if let Line::Text(text) = line { Some(text) } else { None });
    texts.map(|text| text.chars().filter(|c| !c.is_whitespace()).count()).sum()
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
        let papers = named.map(|(name, text)| (name, text.map(String::into_bytes)));
        AnalysisComplete::judge(&Evidence::new(papers.collect()), &subject(), &project())
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
    fn a_form_that_nobody_filled_in_is_a_placeholder() {
        let forms = [
            "# Business requirements\n\n## Goals of the change\n\n## Users and their needs\n\n## Out of scope\n",
            "# Business requirements\n\n## Goals\n\nTODO\n\n## Users\n\n- TBD\n- <who uses it>\n\n## Scope\n\n...\n",
            "# Goals\n\n<!-- Describe here in a few sentences what the users need and why they need it. -->\n",
            "---\ntitle: the business requirements of this work item\nstatus: draft, to be written\n---\n# Goals\nTODO\n",
        ];
        for form in forms {
            let said = fails(&judge([Some(TEXT), Some(form), Some(TEXT), Some(PLAN)]));
            assert_eq!(said, ["`02-trz.md` is empty or a placeholder"], "{form}");
        }
        let filled = format!("# Goals\n\n{TEXT}\n\n## Later\n\nTODO\n");
        assert_eq!(
            judge([Some(TEXT), Some(&filled), Some(TEXT), Some(PLAN)]),
            Verdict::Pass,
            "a part may be left open"
        );
        let list = "1. A user asks for a link by mail.\n2. The link works once, within an hour.\n";
        assert_eq!(judge([Some(list), Some(TEXT), Some(TEXT), Some(PLAN)]), Verdict::Pass);
    }

    #[test]
    fn what_is_no_text_is_told_by_name() {
        let evidence = |name: &str, bytes: &[u8]| {
            let papers = ANALYSIS.iter().map(|n| {
                let text = if *n == "04-test-plan.yaml" { PLAN } else { TEXT };
                ((*n).to_owned(), Some(if *n == name { bytes.to_vec() } else { text.as_bytes().to_vec() }))
            });
            Evidence::new(papers.collect())
        };
        let judge = |evidence: &Evidence| AnalysisComplete::judge(evidence, &subject(), &project());
        let broken = [TEXT.as_bytes(), b"\xff\xfe"].concat();
        assert_eq!(fails(&judge(&evidence("01-brd.md", &broken))), ["`01-brd.md` is not UTF-8 text"]);
        let plan = [PLAN.as_bytes(), b"# \xff\n"].concat();
        assert_eq!(fails(&judge(&evidence("04-test-plan.yaml", &plan))), ["`04-test-plan.yaml` is not UTF-8 text"]);
        assert_eq!(judge(&evidence("none", b"")), Verdict::Pass);
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
