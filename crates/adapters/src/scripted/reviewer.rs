//! The reviewer: the rules over the branch's diff, written down as a verdict.

use super::desk::{Desk, Report};
use super::{diff, document, rules};

pub(super) fn work(desk: &Desk) -> Result<Report, String> {
    let files = diff::of_branch(desk)?;
    let findings = rules::judge(&files);
    let blocking = findings.iter().filter(|f| rules::blocks(f)).count();
    let verdict = if blocking == 0 { "APPROVED" } else { "REQUEST_CHANGES" };
    let head = desk.head()?;
    let changed = document::lines(
        files.iter().map(|f| format!("- `{}`: {} lines added, {} removed", f.path, f.added.len(), f.removed)),
    );
    let rules = document::lines(rules::CHECKED.iter().map(|rule| format!("- {rule}")));
    let body = format!(
        "# Review of {}\n\nRound {}, commit {head}, compared with its merge base with `{}`.\n\n## Changed\n\n{changed}\n## Findings\n\n{}\n\
         ## Looked for\n\n{rules}\n## Not checked\n\nWhether the change does what the ticket asks: these are rules over added lines, no \
         understanding.\n",
        desk.work_item(),
        desk.round(),
        desk.base(),
        document::list(&findings),
    );
    let keys = [("verdict", verdict), ("reviewed", &document::quoted(&head))];
    desk.write_artefact("12-review.md", &document::with_front(&keys, &findings, &body))?;
    Ok(Report::done(format!(
        "{verdict}: {} files, {} findings, {blocking} of them must be fixed",
        files.len(),
        findings.len()
    )))
}
