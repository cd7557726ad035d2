//! Did the tester's run pass? Read from the front matter of `13-test-report.md` and from nothing else.

use super::gate::{Gate, Look, Meta, Subject};
use super::papers::{self, Paper};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::{Finding, Verdict};
use orch_ports::Fault;

pub(super) struct TestsPassed;

impl Gate for TestsPassed {
    const META: Meta = Meta { id: GateId::TestsPassed, asks: "did the tester's run pass?" };
    type Evidence = Paper;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::patch_key(look).await
    }

    async fn collect(look: &Look<'_>) -> Result<Paper, Fault> {
        Paper::find(look, "13-test-report.md").await
    }

    fn judge(paper: &Paper, _: &Subject, _: &Project) -> Verdict {
        paper.unable("result").unwrap_or_else(|| paper.judge("result", "PASS", "FAIL"))
    }

    /// What a tester saw that blocks nobody.
    fn notes(paper: &Paper) -> Vec<Finding> {
        paper.notes("result", "PASS", "FAIL")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{of, unreadable};
    use orch_core::ids::GateId;
    use orch_core::verdict::{Verdict, WaitFor};

    #[tokio::test]
    async fn a_tester_who_is_unable_waits_for_a_person_and_what_failed_is_a_failure() {
        let said = |text: &'static str| of(GateId::TestsPassed, vec![("13-test-report.md", text)]);
        let unable = said("---\nresult: UNABLE\nreason: no browser\n---\n").await.1.verdict;
        let why = WaitFor::Unable { reason: "no browser".into() };
        assert_eq!(unable, Verdict::Wait { why, until: None, recheck: None });
        let failed = said("---\nresult: UNABLE\nfailures: [test_total]\n---\n").await.1.verdict;
        assert!(unreadable(&failed)[0].contains("something failed"));
        assert_eq!(said("---\nresult: PASS\n---\n").await.1.verdict, Verdict::Pass);
    }
}
