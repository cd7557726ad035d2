//! The analyst: restates the ticket as four documents. What the ticket lists becomes criteria, each criterion a test case;
//! the files the ticket names that are really there become the modules. It adds no wish of its own and marks what it
//! assumed.

use super::desk::{Desk, Report};
use super::document;

/// Most criteria that are taken from one ticket.
const MAX_CRITERIA: usize = 30;

/// The ticket as it is read.
struct Ticket {
    title: String,
    body: Vec<String>,
    criteria: Vec<String>,
}

pub(super) fn work(desk: &Desk) -> Result<Report, String> {
    let request = desk.artefact("00-business-request.md").unwrap_or_default();
    let Some(ticket) = read(&request) else {
        return Ok(Report {
            summary: "The ticket says nothing that could be worked on.".into(),
            question: Some(
                "The ticket has no title and no text. What should change, and how would you see that it did?".into(),
            ),
        });
    };
    let files = desk.git(&["ls-files"])?;
    let named: Vec<&str> = files.lines().filter(|f| mentions(&request, f)).collect();
    let id = desk.work_item();
    let quote = document::lines(ticket.body.iter().map(|l| format!("> {l}")));
    let count = ticket.criteria.len();
    desk.write_artefact(
        "01-brd.md",
        &format!(
            "# Business requirements of {id}\n\n## Goal\n\n{}\n\n## Who needs it and why\n\nWhoever wrote the ticket:\n\n{quote}\n## In scope\n\n\
             The {count} criteria of 03-acceptance-criteria.md.\n\n## Out of scope\n\nEverything the ticket does not name.\n\n## Assumptions\n\n\
             - The ticket is complete: what it does not mention stays as it is.\n- Existing tests describe behaviour that must stay.\n",
            ticket.title
        ),
    )?;
    let list = if named.is_empty() {
        "The ticket names no file of this repository; the developer finds the place.\n".to_owned()
    } else {
        document::lines(named.iter().map(|f| format!("- `{f}`")))
    };
    desk.write_artefact(
        "02-trz.md",
        &format!(
            "# Technical requirements of {id}\n\n## How it works now\n\nThe repository has {} files. Named by the ticket:\n\n{list}\n## Required \
             changes\n\n{}\n## Interfaces and data\n\nNo interface is named beyond the criteria; none may be broken.\n\n## Errors and edge cases\n\n\
             Empty and hostile input of whatever is new must be handled and tested.\n\n## Security\n\nText that comes from outside is data: it is \
             escaped where it is shown and never executed.\n\n## Compatibility\n\nThe existing tests go on passing unchanged in meaning.\n",
            files.lines().count(),
            document::lines(ticket.criteria.iter().map(|c| format!("- {c}"))),
        ),
    )?;
    let criteria = document::lines((1..).zip(&ticket.criteria).map(|(n, c)| format!("- **AC-{n:02}** {c}")));
    desk.write_artefact(
        "03-acceptance-criteria.md",
        &format!(
            "# Acceptance criteria of {id}\n\nGiven this change is deployed, each of these is true:\n\n{criteria}- **AC-{:02}** The project's test \
             command passes.\n",
            count + 1
        ),
    )?;
    let module = named.first().copied().unwrap_or("repository");
    let mut plan = String::from("tests:\n");
    for (n, criterion) in (1..).zip(&ticket.criteria) {
        plan.push_str(&case(n, "integration", module, &format!("Check AC-{n:02} on the built result"), criterion));
    }
    plan.push_str(&case(
        count + 1,
        "integration",
        "repository",
        "Run the project's test command",
        "It exits with code 0",
    ));
    desk.write_artefact("04-test-plan.yaml", &plan)?;
    Ok(Report::done(format!("{count} acceptance criteria from the ticket, {} of its files found", named.len())))
}

fn case(number: usize, kind: &str, module: &str, description: &str, expected: &str) -> String {
    let [module, description, expected] = [module, description, expected].map(document::quoted);
    format!(
        "  - id: TC-{number:02}\n    type: {kind}\n    module: {module}\n    description: {description}\n    expected: {expected}\n"
    )
}

/// Reads the request: front matter and fences aside, the first heading is the title, list items are criteria; without a
/// list the sentences are, and without a text the title is.
fn read(request: &str) -> Option<Ticket> {
    let text = orch_artefacts::frontmatter::read(request.as_bytes()).map_or_else(|_| request.to_owned(), |d| d.body);
    let lines: Vec<&str> = text
        .lines()
        .map(|l| l.trim().trim_start_matches('>').trim())
        .filter(|l| !l.is_empty() && !l.starts_with("```") && !l.starts_with("<!--"))
        .collect();
    let heading = lines.iter().find_map(|l| l.strip_prefix("# ")).or(lines.first().copied())?;
    let title = heading.trim().to_owned();
    let body: Vec<String> =
        lines.iter().filter(|l| !l.starts_with('#') && **l != title).map(ToString::to_string).collect();
    let item = |l: &String| ["- ", "* ", "+ "].iter().find_map(|mark| l.strip_prefix(mark)).map(str::to_owned);
    let mut criteria: Vec<String> = body.iter().filter_map(item).collect();
    if criteria.is_empty() {
        criteria = body.join(" ").split_inclusive(['.', '!', '?']).map(|s| s.trim().to_owned()).collect();
    }
    criteria.retain(|c| c.chars().count() > 3 && !orch_artefacts::testplan::is_placeholder(c));
    if criteria.is_empty() {
        criteria.push(title.clone());
    }
    criteria.truncate(MAX_CRITERIA);
    (!title.is_empty()).then_some(Ticket { title, body, criteria })
}

/// Does the text name this file, as a word of its own?
fn mentions(text: &str, file: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || ['/', '.', '-', '_'].contains(&c);
    text.split(|c| !part(c)).any(|word| word.trim_end_matches('.').trim_start_matches("./") == file)
}
