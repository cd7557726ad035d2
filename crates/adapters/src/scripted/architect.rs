//! The architect: one decision record that keeps to the existing structure, with the facts it was taken on.

use super::desk::{Desk, Report};
use super::document;
use orch_core::slug::slug;

pub(super) fn work(desk: &Desk) -> Result<Report, String> {
    let request = desk.artefact("00-business-request.md").unwrap_or_default();
    let title = request.lines().find_map(|l| l.strip_prefix("# ")).unwrap_or("the ticket").trim().to_owned();
    let criteria = desk.artefact("03-acceptance-criteria.md").unwrap_or_default();
    let criteria = document::lines(criteria.lines().filter(|l| l.starts_with("- ")).map(str::to_owned));
    let technical = desk.artefact("02-trz.md").unwrap_or_default();
    let files: Vec<&str> =
        technical.lines().filter_map(|l| l.strip_prefix("- `").and_then(|rest| rest.strip_suffix('`'))).collect();
    let (place, forces) = if files.is_empty() {
        ("the files that do the same work today".to_owned(), "The requirements name no file.".to_owned())
    } else {
        (
            files.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", "),
            format!("{} files are named.", files.len()),
        )
    };
    let text = format!(
        "# ADR-001: Extend what is there\n\n## Context\n\n{} asks for: {title}. {forces} The criteria to meet:\n\n{criteria}\n## Decision\n\n\
         The change is made in {place}, in their present structure, with a test beside the existing ones. No component, service or dependency is \
         added.\n\n## Alternatives\n\n- A new component for it: more to deploy and to watch than the criteria ask for.\n- Doing nothing: the criteria \
         stay unmet.\n\n## Consequences\n\n- Small and easy to undo: one revert.\n- The files concerned grow; a second change of this kind should look \
         at this record again.\n",
        desk.work_item()
    );
    let name = format!("06-adr/ADR-001-{}.md", slug(&title));
    desk.write_artefact(&name, &text)?;
    Ok(Report::done(format!("one decision record: {name}")))
}
