//! The deployer: runs the project's own deploy script, then its check, and logs both. It never invents a way to deploy.

use super::desk::{Desk, Ran, Report};
use super::document;
use orch_core::verdict::Finding;

pub(super) fn work(desk: &Desk) -> Result<Report, String> {
    let staging = desk.stage() == "deploy-staging";
    let (environment, file, key) = if staging {
        ("staging", "15-staging-log.md", "staging_status")
    } else {
        ("production", "14-deploy-log.md", "deploy_status")
    };
    let head = desk.head()?;
    let more = [("ORCH_ENVIRONMENT", environment), ("ORCH_REVISION", head.as_str())];
    let mut ran: Vec<(&str, Ran)> = Vec::new();
    let mut findings = Vec::new();
    for (script, needed) in [("deploy.sh", true), ("check.sh", false)] {
        if !desk.worktree().join(script).is_file() {
            if needed {
                findings.push(Finding::must_fix(format!(
                    "there is no {script}: nothing says how this project is deployed"
                )));
                break;
            }
            continue;
        }
        let end = desk.shell(&format!("sh {script}"), &more)?;
        if !end.ok() {
            findings.push(Finding::must_fix(format!("`sh {script}` failed ({}):\n{}", end.describe(), end.tail(40))));
        }
        let failed = !end.ok();
        ran.push((script, end));
        if failed {
            break;
        }
    }
    let status = if findings.is_empty() { "SUCCESS" } else { "FAILED" };
    let steps =
        document::lines(ran.iter().map(|(script, end)| {
            format!("## `sh {script}`: {}\n\n{}", end.describe(), document::indented(&end.tail(40)))
        }));
    let unchecked =
        if ran.iter().any(|(s, _)| *s == "check.sh") { "" } else { "Not checked: there is no check.sh that ran.\n" };
    let body = format!("# Deploy of {} to {environment}\n\nRevision {head}.\n\n{steps}{unchecked}", desk.work_item());
    let keys = [(key, status), ("revision", &document::quoted(&head)), ("environment", environment)];
    desk.write_artefact(file, &document::with_front(&keys, &findings, &body))?;
    Ok(Report::done(format!("{environment}: {status}")))
}
