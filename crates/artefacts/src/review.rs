//! Reviews that converge: what of a refusal blocks when the change was reviewed before. It decides from the paper, from
//! what the last review left open and from the lines that changed since; it may never let through a finding of weight, one
//! that was open already, or one whose place cannot be checked. Without it a reviewer who finds another matter of taste in
//! code it has let pass can send a task back for ever.

use crate::markdown::{code, prose};
use crate::statement::{Statement, blocks};
use orch_core::ids::GateId;
use orch_core::verdict::{ChangedRange, Finding, Severity};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Longest list on a pull request, in bytes; what is left out is counted.
const MAX_LIST: usize = 40_000;

/// What is known of the review before this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Previous {
    /// What it asked for, word for word; empty if it approved.
    pub open: Vec<Finding>,
    /// The files that findings name and that are there now. Whatever is missing here may have changed.
    pub files: BTreeMap<String, FileSince>,
}

/// A file as it is now, compared with what was reviewed last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileSince {
    /// How many lines it has.
    pub lines: u32,
    /// Those that changed, in order.
    pub changed: Vec<ChangedRange>,
}

impl FileSince {
    /// Which line of the reviewed file a line is now; `None` if it changed or is not there.
    fn reviewed_as(&self, line: u32) -> Option<u32> {
        let touched = self.changed.iter().any(|c| (c.first..=c.last).contains(&line));
        if touched || !(1..=self.lines).contains(&line) {
            return None;
        }
        let grown: i64 = self.changed.iter().filter(|c| c.last < line).map(|c| c.grown).sum();
        u32::try_from(i64::from(line) - grown).ok()
    }
}

/// What a review's paper means for the task. A first review means what it says. A later one that refuses for new findings
/// alone, all of them below `P1` and on lines nobody has touched since, lets the change pass with those findings and with
/// its words. What was open and of weight is open until a paper says by name that it is settled: a refusal that is silent
/// about it carries it on.
pub fn judge(mut said: Statement, previous: Option<&Previous>) -> Statement {
    let Some(previous) = previous else { return said };
    if said.good {
        return said;
    }
    let names: Vec<String> = previous.open.iter().enumerate().map(|(at, f)| name(f, at)).collect();
    // A name that fits two of them says of neither that it is settled.
    let settled = |name: &String| said.settled.contains(name) && names.iter().filter(|n| *n == name).count() == 1;
    let open = previous.open.iter().zip(&names).filter(|(f, name)| blocks(f) && !settled(name));
    let open: Vec<Finding> = open.map(|(f, _)| f.clone()).collect();
    let harmless =
        |f: &Finding| !blocks(f) && reviewed_as(f, previous).is_some_and(|line| !was_open(f, line, &previous.open));
    if said.listed.is_empty() || !open.is_empty() || !said.listed.iter().all(harmless) {
        let again = |old: &Finding| said.findings.iter().any(|f| f == old || f.id.is_some() && f.id == old.id);
        let silent: Vec<Finding> = open.into_iter().filter(|old| !again(old)).collect();
        said.findings.extend(silent);
        return said;
    }
    said.findings.iter_mut().filter(|f| blocks(f)).for_each(|f| f.severity = Severity::P3);
    Statement { good: true, ..said }
}

/// What a finding of the last review is called in the brief: its id; one that has none by its place in the list, from 0.
pub fn name(finding: &Finding, at: usize) -> String {
    finding.id.clone().unwrap_or_else(|| format!("O{}", at + 1))
}

/// Is this one of the findings the last review left? By its id, its words, its place, or its words within a text that
/// was carried whole. `line` is where it stood in the file as it was reviewed: other changes may have moved it since. A new
/// finding under an old id counts as the old one: it blocks.
fn was_open(finding: &Finding, line: u32, open: &[Finding]) -> bool {
    let text = finding.text.trim();
    open.iter().any(|old| {
        let same_id = finding.id.is_some() && finding.id == old.id;
        let same_place = finding.file == old.file && old.line == Some(line);
        let whole = old.id.is_none() && old.file.is_none();
        same_id || same_place || old.text.trim() == text || whole && old.text.contains(text)
    })
}

/// The line a finding is about in the file as it was reviewed last; `None` if it was not reviewed or has no place.
fn reviewed_as(finding: &Finding, previous: &Previous) -> Option<u32> {
    previous.files.get(finding.file.as_ref()?)?.reviewed_as(finding.line?)
}

/// Findings that block nobody, as a comment on the pull request.
pub fn comment(gate: GateId, findings: &[Finding]) -> String {
    let mut out =
        format!("**{gate}** also found what follows. None of it blocks by itself, and nobody has to act on it.\n\n");
    for (listed, finding) in findings.iter().enumerate() {
        let line = item(finding);
        if MAX_LIST < out.len() + line.len() {
            let _ = writeln!(out, "- and {} more; the evidence of the task has them all", findings.len() - listed);
            break;
        }
        out.push_str(&line);
    }
    out
}

fn item(finding: &Finding) -> String {
    let mut out = format!("- {:?}", finding.severity);
    if let Some(id) = &finding.id {
        let _ = write!(out, " {}", code(id));
    }
    if let Some(file) = &finding.file {
        let place = finding.line.map(|n| format!(" line {n}")).unwrap_or_default();
        let _ = write!(out, " in {}{place}", code(file));
    }
    let text: Vec<&str> = finding.text.split_whitespace().collect();
    let _ = writeln!(out, ": {}", prose(&text.join(" ")));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement;

    fn paper(verdict: &str, findings: &str) -> Statement {
        settles(verdict, findings, "R1, O2, O3")
    }

    fn settles(verdict: &str, findings: &str, settled: &str) -> Statement {
        let text = format!(
            "---\nverdict: {verdict}\nsettled: [{settled}]\nfindings: [{findings}]\n---\nAll of it in words.\n"
        );
        statement::read(text.as_bytes(), "verdict", "APPROVED", "REQUEST_CHANGES").unwrap()
    }

    /// The last review asked for two things and some text; `a.rs` has 20 lines, of which 5 to 7 were one line then, and 12
    /// changed.
    fn previous() -> Previous {
        let open = |id: Option<&str>, line: Option<u32>, text: &str| Finding {
            id: id.map(Into::into),
            file: line.map(|_| "a.rs".into()),
            line,
            ..Finding::must_fix(text)
        };
        let range = |first, last, grown| ChangedRange { first, last, grown };
        let a = FileSince { lines: 20, changed: vec![range(5, 7, 2), range(12, 12, 0)] };
        Previous {
            open: vec![
                open(Some("R1"), Some(5), "off by one"),
                open(None, Some(13), "no test"),
                open(None, None, "Also: the name is odd.\nAnd the loop is slow.\n"),
            ],
            files: BTreeMap::from([("a.rs".into(), a)]),
        }
    }

    #[test]
    fn a_nit_on_unchanged_lines_does_not_block_a_second_time_and_everything_else_does() {
        let table = [
            // New, below P1, on lines nobody touched.
            ("{id: R9, severity: P2, file: a.rs, line: 4, text: x}", true),
            ("{severity: P3, file: a.rs, line: 8, text: x}", true),
            // Where an open finding was before the lines above it grew.
            ("{id: R9, severity: P3, file: a.rs, line: 13, text: x}", true),
            (
                "{id: R9, severity: P3, file: a.rs, line: 20, text: x}, {severity: P2, file: a.rs, line: 1, text: y}",
                true,
            ),
            // Of weight.
            ("{severity: P1, file: a.rs, line: 4, text: x}", false),
            ("{severity: P0, file: a.rs, line: 4, text: x}", false),
            // On lines that changed.
            ("{severity: P3, file: a.rs, line: 5, text: x}", false),
            ("{severity: P3, file: a.rs, line: 7, text: x}", false),
            ("{severity: P3, file: a.rs, line: 12, text: x}", false),
            // Nowhere that can be checked.
            ("{severity: P3, text: x}", false),
            ("{severity: P3, file: a.rs, text: x}", false),
            ("{severity: P3, file: gone.rs, line: 4, text: x}", false),
            ("{severity: P3, file: a.rs, line: 21, text: x}", false),
            // Open already: by its id, its place, its words, its words within the text.
            ("{id: R1, severity: P3, file: a.rs, line: 4, text: x}", false),
            ("{id: R9, severity: P3, file: a.rs, line: 15, text: x}", false),
            ("{severity: P3, file: a.rs, line: 4, text: off by one}", false),
            ("{severity: P3, file: a.rs, line: 4, text: the loop is slow}", false),
            // One that blocks among others.
            ("{severity: P3, file: a.rs, line: 4, text: x}, {severity: P3, file: a.rs, line: 5, text: y}", false),
            // No list.
            ("", false),
        ];
        for (findings, passes) in table {
            let said = paper("REQUEST_CHANGES", findings);
            let ruled = judge(said.clone(), Some(&previous()));
            assert_eq!(ruled.good, passes, "{findings}");
            if passes {
                let told: Vec<&str> = ruled.findings.iter().map(|f| f.text.as_str()).collect();
                let listed: Vec<&str> = said.listed.iter().map(|f| f.text.as_str()).collect();
                assert_eq!(told, [&listed[..], &["All of it in words."]].concat(), "all of it is told: {findings}");
                assert!(ruled.findings.iter().all(|f| !blocks(f)), "{findings}");
            } else {
                assert_eq!(ruled, said, "a refusal keeps every word: {findings}");
            }
            assert!(!judge(said, None).good, "a first refusal blocks: {findings}");
        }
    }

    /// A reviewer who says in words alone that something is still broken has not let it pass.
    #[test]
    fn what_was_open_is_open_until_it_is_named_as_settled() {
        let nit = "{id: R9, severity: P2, file: a.rs, line: 4, text: x}";
        for (settled, passes) in [
            ("R1, O2, O3", true),
            ("O3, 'R1', O2, R7", true),
            ("R1, O2", false),
            ("O2, O3", false),
            ("R1, O2, O3, [x]", false),
            ("", false),
        ] {
            let ruled = judge(settles("REQUEST_CHANGES", nit, settled), Some(&previous()));
            assert_eq!(ruled.good, passes, "{settled}");
        }
        let mut mild = previous();
        mild.open.iter_mut().for_each(|f| f.severity = Severity::P2);
        assert!(judge(settles("REQUEST_CHANGES", nit, ""), Some(&mild)).good, "of no weight before either");
        let twice =
            format!("---\nverdict: REQUEST_CHANGES\nsettled: [R1, O2, O3]\nSettled: []\nfindings: [{nit}]\n---\n");
        let twice = statement::read(twice.as_bytes(), "verdict", "APPROVED", "REQUEST_CHANGES").unwrap();
        assert!(!judge(twice, Some(&previous())).good, "said twice is not said");
        assert!(
            !judge(settles("REQUEST_CHANGES", "", "R1, O2, O3"), Some(&previous())).good,
            "refused for no reason given"
        );
    }

    /// One that is fixed is forgotten; one that a refusal does not mention is not.
    #[test]
    fn what_a_refusal_is_silent_about_stays_open_for_the_next_review() {
        let bug = "{id: R2, severity: P1, file: a.rs, line: 8, text: another bug}";
        let texts = |said: &Statement| said.findings.iter().map(|f| f.text.clone()).collect::<Vec<_>>();
        let second = judge(settles("REQUEST_CHANGES", bug, "O2"), Some(&previous()));
        assert_eq!(
            texts(&second),
            ["another bug", "off by one", "Also: the name is odd.\nAnd the loop is slow.\n"],
            "{second:?}"
        );
        let then = Previous { open: second.findings, ..previous() };
        let nit = "{id: R9, severity: P2, file: a.rs, line: 4, text: x}";
        assert!(!judge(settles("REQUEST_CHANGES", nit, "R2, O3"), Some(&then)).good, "R1 was never said to be settled");
        assert!(judge(settles("REQUEST_CHANGES", nit, "R2, R1, O3"), Some(&then)).good);
        // Said again under its id, it is there once.
        let again = judge(settles("REQUEST_CHANGES", &bug.replace("R2", "R1"), "O2, O3"), Some(&previous()));
        assert_eq!(texts(&again), ["another bug"]);
        // Two of one name are settled by neither.
        let mut two = previous();
        two.open[1].id = Some("R1".into());
        assert!(!judge(settles("REQUEST_CHANGES", nit, "R1, O3"), Some(&two)).good);
    }

    /// Decision by weight: what does not block reaches people beside a refusal too.
    #[test]
    fn what_holds_nothing_up_is_noted_beside_an_approval_and_a_refusal() {
        let both = "{severity: P1, text: a bug}, {severity: P3, text: a nit}";
        let texts = |said: &Statement| said.notes().into_iter().map(|f| f.text).collect::<Vec<_>>();
        assert_eq!(texts(&paper("REQUEST_CHANGES", both)), ["a nit"]);
        assert_eq!(texts(&paper("APPROVED", both)), ["a nit"]);
        assert_eq!(texts(&paper("APPROVED", "{severity: P2, text: a nit}")), ["a nit"]);
        assert!(texts(&paper("REQUEST_CHANGES", "")).is_empty());
    }

    #[test]
    fn an_approval_means_what_it_says_whatever_was_before() {
        let nit = "{severity: P2, file: a.rs, line: 5, text: x}";
        for previous in [None, Some(previous())] {
            let ruled = judge(paper("APPROVED", nit), previous.as_ref());
            assert_eq!((ruled.good, ruled.findings.len()), (true, 1));
            assert!(!judge(paper("APPROVED", "{severity: P1, text: x}"), previous.as_ref()).good);
        }
    }

    #[test]
    fn a_list_nobody_can_read_blocks() {
        let text = b"---\nverdict: REQUEST_CHANGES\nfindings: [{severity: P9, file: a.rs, line: 4, text: x}, 7]\n---\n";
        let said = statement::read(text, "verdict", "APPROVED", "REQUEST_CHANGES").unwrap();
        let ruled = judge(said.clone(), Some(&previous()));
        assert!(!ruled.good && ruled.findings.starts_with(&said.findings), "{ruled:?}");
        assert_eq!(ruled.findings.len(), 1 + previous().open.len(), "nothing of it is settled");
    }

    #[test]
    fn a_comment_lists_every_finding_on_a_line_of_its_own_and_lends_its_form_to_none() {
        let finding = |id: &str, text: &str| Finding {
            id: Some(id.into()),
            severity: Severity::P3,
            file: Some("a`b.rs".into()),
            line: Some(7),
            text: text.into(),
        };
        let text = comment(GateId::ReviewerVerdict, &[finding("R1", "a *name*\n\n# Big\n- @anna"), finding("R2", "b")]);
        let items: Vec<&str> = text.lines().filter(|l| l.starts_with("- ")).collect();
        assert_eq!(
            items,
            [r"- P3 `R1` in `` a`b.rs `` line 7: a \*name\* \# Big - \@anna", "- P3 `R2` in `` a`b.rs `` line 7: b"]
        );
        let many = vec![finding("R1", &"x ".repeat(500)); 200];
        let text = comment(GateId::ReviewerVerdict, &many);
        let shown = text.lines().filter(|l| l.starts_with("- P3")).count();
        assert!(text.len() < MAX_LIST + 200 && text.contains(&format!("- and {} more", 200 - shown)), "{shown}");
    }
}
