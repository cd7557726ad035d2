//! What several gates need of artefacts: digests that verdicts belong to, and findings out of a verdict's paper.

use super::gate::Look;
use crate::text::hex;
use orch_artefacts::frontmatter::Unreadable;
use orch_artefacts::statement::{self, Statement};
use orch_core::verdict::{Finding, Verdict, WaitFor};
use orch_ports::Fault;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A paper with a machine verdict, as it was found.
#[derive(Serialize)]
pub(super) struct Paper {
    /// Name.
    pub(super) name: &'static str,
    /// SHA-256 of its bytes; `None` if this run did not write it.
    pub(super) sha256: Option<String>,
    /// Its text, for people.
    pub(super) text: Option<String>,
    /// What the verdict is read from.
    #[serde(skip)]
    pub(super) bytes: Option<Vec<u8>>,
}

impl Paper {
    pub(super) async fn find(look: &Look<'_>, name: &'static str) -> Result<Self, Fault> {
        let bytes = look.bench.paper(name).await?;
        Ok(Self {
            name,
            sha256: bytes.as_ref().map(|b| hex(&Sha256::digest(b))),
            text: bytes.as_ref().map(|b| String::from_utf8_lossy(b).into_owned()),
            bytes,
        })
    }

    /// Reads its verdict: pass, fail with findings, or unreadable.
    pub(super) fn judge(&self, key: &str, positive: &str, negative: &str) -> Verdict {
        self.judge_by(|bytes| statement::read(bytes, key, positive, negative))
    }

    /// Its author could not do the work: that is no verdict on the change, and waits for a person.
    pub(super) fn unable(&self, key: &str) -> Option<Verdict> {
        let said = statement::unable(self.bytes.as_deref()?, key)?;
        Some(match said {
            Ok(reason) => Verdict::Wait { why: WaitFor::Unable { reason }, until: None, recheck: None },
            Err(unreadable) => Verdict::Unreadable { findings: vec![unreadable.finding(self.name)] },
        })
    }

    /// What it found that holds nothing up.
    pub(super) fn notes(&self, key: &str, positive: &str, negative: &str) -> Vec<Finding> {
        let said = self.bytes.as_deref().and_then(|bytes| statement::read(bytes, key, positive, negative).ok());
        said.map(|said| said.notes()).unwrap_or_default()
    }

    /// The same as [`Paper::judge`], by what `read` makes of it.
    pub(super) fn judge_by(&self, read: impl FnOnce(&[u8]) -> Result<Statement, Unreadable>) -> Verdict {
        let Some(bytes) = &self.bytes else {
            let what =
                format!("`{}` was not written by this run (one from an earlier round does not count)", self.name);
            return Verdict::Unreadable { findings: vec![Finding::must_fix(what)] };
        };
        match read(bytes) {
            Err(unreadable) => Verdict::Unreadable { findings: vec![unreadable.finding(self.name)] },
            Ok(statement) if statement.good => Verdict::Pass,
            Ok(statement) => Verdict::Fail { findings: statement.findings },
        }
    }
}

/// Digest over the artefacts a run left.
pub(super) async fn digest(look: &Look<'_>, names: &[&str]) -> Result<String, Fault> {
    let mut sum = Sha256::new();
    let mut all = look.bench.papers().await?;
    all.sort();
    for name in all.iter().filter(|n| names.iter().any(|w| n.as_str() == *w || (w.ends_with('/') && n.starts_with(w))))
    {
        let bytes = look.bench.paper(name).await?.unwrap_or_default();
        sum.update((name.len() as u64).to_be_bytes());
        sum.update(name.as_bytes());
        sum.update((bytes.len() as u64).to_be_bytes());
        sum.update(&bytes);
    }
    Ok(hex(&sum.finalize()))
}

/// Key of verdicts on what the branch changes: survives a conflict-free update, not a new run of the role.
pub(super) async fn patch_key(look: &Look<'_>) -> Result<String, Fault> {
    let s = &look.subject;
    let patch = look.git.patch_id(&look.project.key, &s.base, &s.head, &s.artefact_dir).await?;
    let run = s.task.as_ref().and_then(|t| t.run).unwrap_or(0);
    Ok(format!("patch {patch} run {run}"))
}

/// Key of verdicts on code: the code digest, or inside the merge the whole tree.
pub(super) async fn code_key(look: &Look<'_>) -> Result<String, Fault> {
    let s = &look.subject;
    if s.exact {
        return Ok(format!("tree {}", look.git.tree(&look.project.key, &s.head).await?));
    }
    Ok(format!("code {}", look.git.code_digest(&look.project.key, &s.head, &s.artefact_dir).await?))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fails, of, unreadable};
    use super::*;
    use orch_core::ids::GateId;

    fn judge(text: Option<&str>) -> Verdict {
        let bytes = text.map(|t| t.as_bytes().to_vec());
        let paper = Paper { name: "12-review.md", sha256: None, text: None, bytes };
        paper.judge("verdict", "APPROVED", "REQUEST_CHANGES")
    }

    #[test]
    fn only_a_clean_approval_passes() {
        let good = "---\nverdict: APPROVED\n---\nREQUEST_CHANGES is a word in this text.\n";
        assert_eq!(judge(Some(good)), Verdict::Pass);
        let small = "---\nverdict: APPROVED\nfindings:\n- {id: R1, severity: P2, text: a nit}\n---\n";
        assert_eq!(judge(Some(small)), Verdict::Pass);
    }

    #[test]
    fn what_cannot_be_read_is_never_a_pass() {
        let cases = [
            None,
            Some(""),
            Some("All good, APPROVED!\n"),
            Some("verdict: APPROVED\n"),
            Some("# Review\n\n---\nverdict: APPROVED\n---\n"),
            Some("---\nverdict: APPROVED\n"),
            Some("---\nverdict: [APPROVED\n---\n"),
            Some("---\nresult: APPROVED\n---\n"),
            Some("---\nverdict: LGTM\n---\n"),
            Some("---\nverdict: approved-ish\n---\n"),
            Some("---\nverdict:\n---\n"),
            Some("---\nverdict: APPROVED\nfindings: none of them\n---\n"),
        ];
        for case in cases {
            unreadable(&judge(case));
        }
        assert!(unreadable(&judge(None))[0].contains("earlier round does not count"));
    }

    #[test]
    fn a_refusal_carries_its_findings_or_else_its_whole_body() {
        let listed = "---\nverdict: REQUEST_CHANGES\nfindings:\n- {id: R1, severity: P1, file: a.rs, line: 3, text: off by one}\n---\nMore.\n";
        assert_eq!(fails(&judge(Some(listed))), ["off by one"]);
        let body = "---\nverdict: REQUEST_CHANGES\n---\n\nThe loop never ends.\n";
        assert_eq!(fails(&judge(Some(body))), ["The loop never ends."]);
        let silent = "---\nverdict: REQUEST_CHANGES\n---\n";
        assert_eq!(fails(&judge(Some(silent))), ["refused without a word"]);
        let broken_list = "---\nverdict: REQUEST_CHANGES\nfindings: 7\n---\nThe loop never ends.\n";
        assert_eq!(fails(&judge(Some(broken_list))), [broken_list.trim_end()], "with the list nobody could read");
    }

    #[test]
    fn an_approval_with_a_must_fix_finding_is_a_refusal() {
        for severity in ["P0", "P1", "a severity nobody knows"] {
            let text = format!(
                "---\nverdict: APPROVED\nfindings:\n- {{id: R1, severity: {severity}, text: loses data}}\n---\n"
            );
            assert_eq!(fails(&judge(Some(&text))), ["loses data"]);
        }
    }

    #[test]
    fn where_both_words_can_be_read_the_negative_one_wins() {
        let both = "---\nverdict: APPROVED\nverdict: REQUEST_CHANGES\n---\nHm.\n";
        assert!(!matches!(judge(Some(both)), Verdict::Pass));
        let other_way = "---\nverdict: REQUEST_CHANGES\nverdict: APPROVED\n---\nHm.\n";
        assert!(!matches!(judge(Some(other_way)), Verdict::Pass));
        assert!(matches!(judge(Some("---\nverdict: [APPROVED, REQUEST_CHANGES]\n---\nHm.\n")), Verdict::Fail { .. }));
    }

    #[test]
    fn a_long_refusal_is_cut_for_the_brief() {
        let text =
            format!("---\nverdict: REQUEST_CHANGES\n---\n{}", "x".repeat(statement::MAX_CARRIED) + &"y".repeat(500));
        let carried = fails(&judge(Some(&text))).remove(0);
        assert!(carried.ends_with("yyy") && carried.contains("500 characters are left out"), "both ends are kept");
    }

    #[tokio::test]
    async fn every_paper_gate_reads_its_own_paper_and_key() {
        let cases = [
            (GateId::ReviewerVerdict, "12-review.md", "verdict: APPROVED", "verdict: REQUEST_CHANGES"),
            (GateId::TestsPassed, "13-test-report.md", "result: PASS", "result: FAIL"),
            (GateId::StagingStatus, "15-staging-log.md", "staging_status: SUCCESS", "staging_status: FAILED"),
        ];
        for (gate, name, good, bad) in cases {
            let paper = |line: &str| -> Vec<(&'static str, &'static str)> {
                vec![(name, Box::leak(format!("---\n{line}\n---\nwhy\n").into_boxed_str()))]
            };
            assert_eq!(of(gate, paper(good)).await.1.verdict, Verdict::Pass, "{gate}");
            assert_eq!(fails(&of(gate, paper(bad)).await.1.verdict), ["why"], "{gate}");
            assert!(unreadable(&of(gate, Vec::new()).await.1.verdict)[0].contains(name), "{gate}");
            let elsewhere = vec![("00-business-request.md", paper(good)[0].1)];
            unreadable(&of(gate, elsewhere).await.1.verdict);
        }
    }

    #[tokio::test]
    async fn the_digest_of_an_analysis_is_its_four_papers_and_nothing_else() {
        let four = |first: &'static str, brd: &'static str| {
            vec![(first, brd), ("02-trz.md", "b"), ("03-acceptance-criteria.md", "c"), ("04-test-plan.yaml", "d")]
        };
        let key = async |papers| of(GateId::AnalysisComplete, papers).await.0.unwrap();
        let whole = key(four("01-brd.md", "a")).await;
        assert_eq!(whole, key(four("01-brd.md", "a").into_iter().rev().collect()).await, "order does not matter");
        let mut more = four("01-brd.md", "a");
        more.push(("12-review.md", "x"));
        assert_eq!(whole, key(more).await, "other papers do not matter");
        assert_ne!(whole, key(four("01-brd.md", "a ")).await, "a byte does");
        assert_ne!(whole, key(four("01-brd.md", "a")[1..].to_vec()).await, "a missing one does");
        let moved = vec![
            ("01-brd.md", "ab"),
            ("02-trz.md", ""),
            ("03-acceptance-criteria.md", "c"),
            ("04-test-plan.yaml", "d"),
        ];
        assert_ne!(whole, key(moved).await, "text that moves from one to the next does");
        assert_eq!(whole, of(GateId::AnalysisApproved, four("01-brd.md", "a")).await.0.unwrap(), "one digest for both");
    }
}
