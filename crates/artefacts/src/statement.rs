//! What a paper with a machine verdict says as a whole: the verdict itself, and everything the next brief has to carry
//! word for word. It may never find a pass where the list below the verdict says otherwise, and never drop what the
//! author wrote because the list was malformed: a developer who gets "refused" and no reason spends the round in vain.

use crate::frontmatter::{self, Unreadable};
use orch_core::verdict::{Finding, Severity};

/// Longest text that is carried into a brief whole, in characters.
pub const MAX_CARRIED: usize = 20_000;
/// Of a longer text, this much of the beginning stays; the rest of the room goes to its end, where logs say what failed.
const HEAD: usize = 12_000;

/// A paper that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Is it a pass? Only if the verdict is exactly the positive one and nothing listed blocks.
    pub good: bool,
    /// Of a pass: what else was found. Of a refusal: what has to change, never empty.
    pub findings: Vec<Finding>,
    /// What the front matter itself lists; empty if it lists nothing or its list cannot be read.
    pub listed: Vec<Finding>,
    /// Findings of the last review that it says are fixed or withdrawn, by the names they have in the brief.
    pub settled: Vec<String>,
}

impl Statement {
    /// What it found and holds nothing up: people read it on the pull request, whatever becomes of the change.
    pub fn notes(&self) -> Vec<Finding> {
        if self.good { self.findings.clone() } else { self.listed.iter().filter(|f| !blocks(f)).cloned().collect() }
    }
}

/// Reads a paper: its verdict under `key`, `findings:` and `failures:`.
///
/// * The positive verdict beside a `P0`, a `P1` or a failure is a refusal; beside a list that cannot be read it is
///   `Unreadable`.
/// * The negative verdict is always a refusal. Without a list its whole body is carried; with a list of which nothing
///   blocks, the list and the body; with one that cannot be read, the whole paper.
pub fn read(bytes: &[u8], key: &str, positive: &str, negative: &str) -> Result<Statement, Unreadable> {
    let said = frontmatter::verdict(bytes, key, positive, negative)?;
    let refusal = |findings, listed, settled| Ok(Statement { good: false, findings, listed, settled });
    let document = match frontmatter::read(bytes) {
        Ok(document) => document,
        Err(unreadable) if said => return Err(unreadable),
        // Both words could be read: the negative one stands, with everything the paper says.
        Err(_) => return refusal(vec![carried(&String::from_utf8_lossy(bytes))], Vec::new(), Vec::new()),
    };
    let listed = document.findings().and_then(|mut all| {
        all.extend(document.failures()?);
        Ok(all)
    });
    match listed {
        Err(unreadable) if said => Err(unreadable),
        Err(_) => refusal(vec![carried(&String::from_utf8_lossy(bytes))], Vec::new(), Vec::new()),
        Ok(listed) if listed.iter().any(blocks) => refusal(listed.clone(), listed, document.settled()),
        Ok(listed) if said => {
            Ok(Statement { good: true, findings: listed.clone(), listed, settled: document.settled() })
        }
        Ok(listed) => {
            let findings = listed.iter().cloned().chain([carried(&document.body)]).collect();
            refusal(findings, listed, document.settled())
        }
    }
}

/// Reads `key: UNABLE`, with the reason under `reason:` or else in the body. `None`: the paper does not say that. Beside a finding
/// that blocks it cannot be meant: what was seen to fail is a refusal.
pub fn unable(bytes: &[u8], key: &str) -> Option<Result<String, Unreadable>> {
    let document = frontmatter::read(bytes).ok()?;
    document.token(key, &[("UNABLE", ())]).ok()?;
    let listed = document.findings().and_then(|mut all| {
        all.extend(document.failures()?);
        Ok(all)
    });
    Some(match listed {
        Err(unreadable) => Err(unreadable),
        Ok(listed) if listed.iter().any(blocks) => Err(Unreadable::Findings {
            key: "findings",
            why: format!("something failed, so that `{key}` is not `UNABLE`"),
        }),
        Ok(_) => {
            let said = document.text("reason").map(str::trim).filter(|r| !r.is_empty());
            Ok(both_ends(said.unwrap_or(&document.body)))
        }
    })
}

/// Does a finding refuse by itself?
pub(crate) fn blocks(finding: &Finding) -> bool {
    finding.severity <= Severity::P1
}

/// A text as a finding, cut in the middle if it is too long for a brief.
fn carried(text: &str) -> Finding {
    if text.trim().is_empty() {
        return Finding::must_fix("refused without a word");
    }
    Finding::must_fix(both_ends(text))
}

/// A text cut in the middle if it is longer than `MAX_CARRIED`.
pub(crate) fn both_ends(text: &str) -> String {
    let text = text.trim();
    let length = text.chars().count();
    if length <= MAX_CARRIED {
        return text.to_owned();
    }
    let head: String = text.chars().take(HEAD).collect();
    let tail: String = text.chars().skip(length - (MAX_CARRIED - HEAD)).collect();
    format!("{head}\n[... {} characters are left out here ...]\n{tail}", length - MAX_CARRIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(text: &str) -> Result<Statement, Unreadable> {
        read(text.as_bytes(), "verdict", "APPROVED", "REQUEST_CHANGES")
    }
    fn report(text: &str) -> Result<Statement, Unreadable> {
        read(text.as_bytes(), "result", "PASS", "FAIL")
    }
    fn refused(said: Result<Statement, Unreadable>) -> Vec<String> {
        let statement = said.unwrap();
        assert!(!statement.good, "{statement:?}");
        statement.findings.into_iter().map(|f| f.text).collect()
    }

    #[test]
    fn an_approval_passes_with_what_does_not_block_and_fails_with_what_does() {
        let with =
            |severity: &str| format!("---\nverdict: APPROVED\nfindings:\n- {{severity: {severity}, text: x}}\n---\n");
        for severity in ["P2", "P3"] {
            assert!(review(&with(severity)).unwrap().good, "{severity}");
        }
        for severity in ["P0", "P1", "p2", "minor", "''", "[P3]"] {
            assert!(!review(&with(severity)).is_ok_and(|s| s.good), "{severity}");
        }
        for second in ["Severity: P0", "' severity': P1", "SEVERITY: bad", "priority: p0", "level: P1"] {
            let twice = format!("---\nverdict: APPROVED\nfindings:\n- {{severity: P3, {second}, text: x}}\n---\n");
            assert!(!review(&twice).is_ok_and(|s| s.good), "{second}");
        }
        let words = "---\nverdict: APPROVED\nfindings:\n- {id: P1, severity: P3, text: not a P1, was: P1}\n---\n";
        assert!(review(words).unwrap().good);
        assert_eq!(refused(report("---\nresult: PASS\nfailures: [test_total]\n---\n")), ["test_total"]);
    }

    #[test]
    fn a_refusal_carries_its_list_and_without_one_that_blocks_its_body() {
        let listed = "---\nverdict: REQUEST_CHANGES\nfindings: [{severity: P1, text: off by one}]\n---\nMore.\n";
        assert_eq!(refused(review(listed)), ["off by one"]);
        let mild = "---\nverdict: REQUEST_CHANGES\nfindings: [{severity: P3, text: a nit}]\n---\nIt loses data.\n";
        assert_eq!(refused(review(mild)), ["a nit", "It loses data."]);
        assert_eq!(
            refused(review("---\nverdict: REQUEST_CHANGES\n---\nThe loop never ends.\n")),
            ["The loop never ends."]
        );
        assert_eq!(refused(review("---\nverdict: REQUEST_CHANGES\n---\n \n")), ["refused without a word"]);
    }

    #[test]
    fn a_refusal_whose_list_is_broken_is_carried_whole() {
        let paper = "---\nverdict: REQUEST_CHANGES\nfindings:\n- {severity: P0, text: drops the table}\n- {severity: P1}\n---\nSee above.\n";
        let texts = refused(review(paper));
        assert!(
            texts.len() == 1 && texts[0].contains("drops the table") && texts[0].contains("See above."),
            "{texts:?}"
        );
        let both = "---\nverdict: APPROVED\nverdict: REQUEST_CHANGES\nnote: hm\n---\nBody.\n";
        assert!(refused(review(both))[0].contains("note: hm"));
        let broken = paper.replace("REQUEST_CHANGES", "APPROVED");
        assert!(matches!(review(&broken), Err(Unreadable::Findings { .. })));
    }

    #[test]
    fn failing_tests_reach_the_brief_beside_the_findings() {
        let paper = "---\nresult: FAIL\nfindings:\n- {id: TC-03, severity: P1, text: an empty element}\nfailures:\n\
                     - {test: test_total, file: test_cart.py, line: 9, message: 'assert 3 == 4'}\n- test_empty\n---\nLog.\n";
        assert_eq!(refused(report(paper)), ["an empty element", "assert 3 == 4", "test_empty"]);
    }

    #[test]
    fn a_case_that_failed_under_a_pass_is_a_failure() {
        let paper = "---\nresult: PASS\ncases:\n- {id: TC-01, result: PASS}\n- {id: TC-02, result: FAIL}\n---\nTC-02: no total.\n";
        assert_eq!(refused(report(paper)), ["TC-02: no total."]);
        for said in ["FAILED", "fail", "'FAIL: no total'", "FAIL (twice)"] {
            assert!(!report(&paper.replace("result: FAIL", &format!("result: {said}"))).unwrap().good, "{said}");
        }
        for said in ["SKIPPED, would FAIL without a browser", "Failover works", "fails_over"] {
            let other = paper.replace("result: FAIL", &format!("result: {said}"));
            assert!(report(&other).unwrap().good, "{said}");
        }
    }

    #[test]
    fn unable_is_read_strictly_and_never_beside_what_failed() {
        let unable = |text: &str| super::unable(text.as_bytes(), "result");
        assert_eq!(unable("---\nresult: UNABLE\nreason: no network\n---\nMore.\n"), Some(Ok("no network".into())));
        assert_eq!(unable("---\nresult: UNABLE\n---\n\nNo browser.\n"), Some(Ok("No browser.".into())), "in the body");
        let mild = "---\nresult: UNABLE\nreason: x\nfindings: [{severity: P3, text: a nit}]\n---\n";
        assert_eq!(unable(mild), Some(Ok("x".into())));
        for failed in ["findings: [{severity: P1, text: wrong}]", "failures: [test_total]", "findings: none of them"] {
            let said = unable(&format!("---\nresult: UNABLE\n{failed}\n---\n"));
            assert!(matches!(said, Some(Err(_))), "{failed}: {said:?}");
        }
        for other in [
            "---\nresult: PASS\n---\nUNABLE\n",
            "---\nresult: unable\n---\n",
            "---\nresult: UNABLE\nresult: PASS\n---\n",
            "---\nresult: [UNABLE]\n---\n",
            "result: UNABLE\n",
        ] {
            assert_eq!(unable(other), None, "{other}");
        }
        let long = format!("---\nresult: UNABLE\n---\n{}", "x".repeat(1_000_000));
        assert!(unable(&long).unwrap().unwrap().len() < MAX_CARRIED + 100);
        // Whoever asks for a pass gets none.
        assert!(report("---\nresult: UNABLE\n---\n").is_err());
    }

    #[test]
    fn of_a_long_log_both_ends_are_carried() {
        let log = format!("first\n{}\nlast: assert 3 == 4", "x".repeat(MAX_CARRIED * 3));
        let text = &refused(report(&format!("---\nresult: FAIL\n---\n{log}")))[0];
        assert!(text.starts_with("first\n") && text.ends_with("last: assert 3 == 4") && text.contains("left out here"));
        assert!(text.chars().count() < MAX_CARRIED + 100);
    }
}
