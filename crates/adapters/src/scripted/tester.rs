//! The tester: runs the project's test command for real and reports what came out.

use super::desk::{Desk, Report};
use super::document;
use orch_artefacts::testplan;
use orch_core::verdict::Finding;

pub(super) fn work(desk: &Desk) -> Result<Report, String> {
    let head = desk.head()?;
    let before = desk.git(&["status", "--porcelain"])?;
    let command = test_command(desk);
    let (findings, ran) = match &command {
        None => {
            (vec![Finding::must_fix("there is no test command: configure one or add test.sh or `make test`")], None)
        }
        Some(command) => {
            let ran = desk.shell(command, &[])?;
            let text = format!("`{command}` failed ({}); the end of its output:\n{}", ran.describe(), ran.tail(40));
            (
                if ran.ok() { vec![] } else { vec![Finding { id: Some("T1".into()), ..Finding::must_fix(text) }] },
                Some(ran),
            )
        }
    };
    let result = if findings.is_empty() { "PASS" } else { "FAIL" };
    let shown = command.as_deref().unwrap_or("none");
    let how = ran.as_ref().map_or("nothing was run".into(), super::desk::Ran::describe);
    let left = if desk.git(&["status", "--porcelain"])? == before { "no" } else { "yes" };
    let body = format!(
        "# Test report of {}\n\n| what | result |\n|---|---|\n| commit | {head} |\n| command | `{shown}` |\n| end | {how} |\n| files changed by the \
         tests | {left} |\n\n## End of the output\n\n{}\n## Not tested\n\n{}",
        desk.work_item(),
        document::indented(&ran.as_ref().map(|r| r.tail(40)).unwrap_or_default()),
        not_tested(desk),
    );
    let keys = [("result", result), ("revision", &document::quoted(&head)), ("command", &document::quoted(shown))];
    desk.write_artefact("13-test-report.md", &document::with_front(&keys, &findings, &body))?;
    Ok(Report::done(format!("{result}: `{shown}`, {how}")))
}

/// The project's test command: what the brief says before anything in it is fenced (no ticket can name one), else what
/// projects usually have.
fn test_command(desk: &Desk) -> Option<String> {
    let prompt = desk.prompt();
    let told = prompt.lines().take_while(|l| !l.starts_with("```")).find_map(|l| l.strip_prefix("Test command: "));
    if let Some(command) = told.filter(|c| !c.starts_with("none is configured")) {
        return Some(command.trim().to_owned());
    }
    let has = |name: &str| desk.worktree().join(name).is_file();
    let makefile = std::fs::read_to_string(desk.worktree().join("Makefile")).unwrap_or_default();
    let usual = [
        (has("test.sh"), "sh test.sh"),
        (makefile.lines().any(|l| l.starts_with("test:")), "make test"),
        (has("Cargo.toml"), "cargo test"),
        (has("go.mod"), "go test ./..."),
        (has("package.json"), "npm test"),
    ];
    usual.into_iter().find(|(there, _)| *there).map(|(_, command)| command.to_owned())
}

fn not_tested(desk: &Desk) -> String {
    let Some(plan) = desk.artefact(testplan::FILE) else {
        return "There is no test plan; nothing was done by hand.\n".into();
    };
    match testplan::parse(plan.as_bytes()) {
        Ok(cases) => {
            document::lines(cases.iter().map(|c| {
                format!("- {}: not carried out one by one; covered only as far as the command covers it", c.id)
            }))
        }
        Err(_) => "The test plan cannot be read; none of its cases was carried out.\n".into(),
    }
}
