//! Does the reviewer approve what this branch changes? Read from the front matter of `12-review.md` and from nothing else.
//! What of a later review's refusal blocks depends on the review before it and on the lines that changed since.

use super::gate::{Gate, Look, Meta, Subject};
use super::papers::{self, Paper};
use crate::project::Project;
use crate::review;
use orch_artefacts::review::{FileSince, Previous};
use orch_artefacts::statement::{self, Statement};
use orch_core::ids::{GateId, Sha};
use orch_core::verdict::{FaultKind, Finding, Verdict};
use orch_ports::Fault;
use orch_ports::git::ChangedLines;
use serde::Serialize;
use std::collections::BTreeMap;

const NAME: &str = "12-review.md";

pub(super) struct ReviewerVerdict;

#[derive(Serialize)]
pub(super) struct Evidence {
    #[serde(flatten)]
    paper: Paper,
    /// The review before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Since>,
}

/// The last review, and what became of the files this one has findings in.
#[derive(Serialize)]
struct Since {
    /// Commit the last review was about.
    reviewed: Sha,
    #[serde(flatten)]
    previous: Previous,
}

impl Gate for ReviewerVerdict {
    const META: Meta = Meta { id: GateId::ReviewerVerdict, asks: "does the reviewer approve?" };
    type Evidence = Evidence;

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        papers::patch_key(look).await
    }

    async fn collect(look: &Look<'_>) -> Result<Evidence, Fault> {
        let paper = Paper::find(look, NAME).await?;
        let last = match paper.bytes.as_deref().and_then(|bytes| read(bytes).ok()) {
            Some(said) if !said.good => since(look, &said.listed).await?,
            _ => None,
        };
        Ok(Evidence { paper, last })
    }

    fn judge(evidence: &Evidence, _: &Subject, _: &Project) -> Verdict {
        evidence.paper.judge_by(|bytes| ruling(bytes, evidence))
    }

    fn notes(evidence: &Evidence) -> Vec<Finding> {
        let said = evidence.paper.bytes.as_deref().and_then(|bytes| ruling(bytes, evidence).ok());
        said.map(|said| said.notes()).unwrap_or_default()
    }
}

fn read(bytes: &[u8]) -> Result<Statement, orch_artefacts::frontmatter::Unreadable> {
    statement::read(bytes, "verdict", "APPROVED", "REQUEST_CHANGES")
}

fn ruling(bytes: &[u8], evidence: &Evidence) -> Result<Statement, orch_artefacts::frontmatter::Unreadable> {
    let previous = evidence.last.as_ref().map(|last| &last.previous);
    Ok(orch_artefacts::review::judge(read(bytes)?, previous))
}

/// What is known of the last review, as far as these findings ask for it.
async fn since(look: &Look<'_>, findings: &[Finding]) -> Result<Option<Since>, Fault> {
    let Some(last) = look.bench.last_review().await? else { return Ok(None) };
    let (subject, project) = (&look.subject, &look.project.key);
    let Some(changed) = review::changed_since(look.git, project, &last, &subject.head).await? else { return Ok(None) };
    let mut files = BTreeMap::new();
    for name in findings.iter().filter_map(|f| f.file.as_deref()) {
        if files.contains_key(name) || !is_plain(name) {
            continue;
        }
        match look.git.read_file(project, &subject.head, name).await {
            Ok(Some(bytes)) => {
                files.insert(name.to_owned(), now(name, &bytes, &changed));
            }
            Ok(None) => {}
            // Too large to be read: nobody can say which of its lines are there.
            Err(fault) if fault.kind == FaultKind::Permanent => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(Some(Since { reviewed: last.head, previous: Previous { open: last.open, files } }))
}

/// A path within the repository; whatever else a reviewer may name is no file of it.
fn is_plain(name: &str) -> bool {
    !name.contains('\0') && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn now(name: &str, bytes: &[u8], changed: &[ChangedLines]) -> FileSince {
    let lines = bytes.split_inclusive(|b| *b == b'\n').count();
    // Two names that are shown alike are looked at as one.
    let changed = changed.iter().filter(|c| c.path == name).flat_map(|c| c.lines.iter().copied()).collect();
    FileSince { lines: u32::try_from(lines).unwrap_or(u32::MAX), changed }
}

#[cfg(test)]
mod tests {
    use super::super::gate::{Judged, notes};
    use super::super::testing::of;
    use super::*;

    /// After a crash between the judgement and its being settled, the same gate takes its own verdict over.
    #[tokio::test]
    async fn a_verdict_that_is_taken_over_keeps_what_it_let_through() {
        let nit = "---\nverdict: APPROVED\nfindings: [{id: R1, severity: P3, text: a nit}]\n---\n";
        let judged = of(GateId::ReviewerVerdict, vec![(NAME, nit)]).await.1;
        let noted = notes(&judged);
        assert_eq!((judged.verdict.word(), noted.len(), noted[0].text.as_str()), ("pass", 1, "a nit"));
        let again = Judged { verdict: Verdict::Pass, evidence: judged.evidence, warns: None };
        assert_eq!(notes(&again), noted);
        let both = "{id: R1, severity: P3, text: a nit}, {id: R2, severity: P1, text: a bug}";
        let bug = format!("---\nverdict: REQUEST_CHANGES\nfindings: [{both}]\n---\n");
        let refused = of(GateId::ReviewerVerdict, vec![(NAME, bug.leak())]).await.1;
        assert_eq!(
            (refused.verdict.word(), notes(&refused)),
            ("fail", noted),
            "a refusal notes what is no reason for it"
        );
    }

    #[test]
    fn only_a_path_within_the_repository_is_looked_up() {
        for name in ["", "/home/x/a.rs", "../a.rs", "src/../../a.rs", "./a.rs", "src//a.rs", "src/", "a\0.rs"] {
            assert!(!is_plain(name), "{name:?}");
        }
        for name in ["a.rs", "src/a.rs", ".gitignore", "a..b"] {
            assert!(is_plain(name), "{name:?}");
        }
    }

    #[test]
    fn the_last_line_counts_with_and_without_its_end() {
        let lines = |text: &str| now("a", text.as_bytes(), &[]).lines;
        assert_eq!((lines(""), lines("a"), lines("a\n"), lines("a\nb"), lines("\n\n")), (0, 1, 1, 2, 2));
    }
}
