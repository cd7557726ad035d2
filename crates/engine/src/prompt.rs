//! A role's brief: a template and what is known of the task make the prompt an agent gets. It decides how text that
//! strangers wrote is shown: always inside a fence that it cannot close. It may never leave a variable empty in silence:
//! a misspelt name in a project's own template is an error with file and line, not an agent without instructions.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use orch_artefacts::frontmatter;
use orch_core::ids::Sha;
use orch_core::verdict::{Finding, Severity};
use orch_ports::git::ChangedLines;
use serde::Serialize;

macro_rules! role {
    ($name:literal) => {
        ($name, include_str!(concat!("../roles/", $name, ".md")))
    };
}

/// The built-in roles.
const ROLES: &[(&str, &str)] =
    &[role!("analyst"), role!("architect"), role!("developer"), role!("reviewer"), role!("tester"), role!("deployer")];
/// What every role's prompt has in common; a project's own template may include them too.
const PARTS: &[(&str, &str)] = &[
    role!("parts/task"),
    role!("parts/findings"),
    role!("parts/again"),
    role!("parts/conflicts"),
    role!("parts/merged"),
    role!("parts/said"),
    role!("parts/rules"),
    role!("parts/question"),
];

/// Longest text that is shown on one line, in characters.
const MAX_INLINE: usize = 300;

/// Everything a template may use. Every field is always there; "nothing" is an empty list, an empty text or `none`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PromptContext {
    /// `DEMO-1`.
    pub work_item: String,
    /// Project key.
    pub project: String,
    /// Ticket title; untrusted.
    pub title: String,
    /// Ticket text; untrusted.
    pub body: String,
    /// Role to play.
    pub role: String,
    /// Stage it is played in.
    pub stage: String,
    /// Attempt of this job, from 1.
    pub attempt: u32,
    /// Developer repairs so far.
    pub round: u32,
    /// Repairs there may be.
    pub max_rounds: u32,
    /// Branch that is checked out.
    pub branch: String,
    /// Commit of the default branch the work starts from.
    pub base: String,
    /// Name of the default branch.
    pub default_branch: String,
    /// The task's artefact directory, relative, without a trailing slash.
    pub artefact_dir: String,
    /// Where a result may be written.
    pub result_file: String,
    /// Artefacts the role reads or writes.
    pub artefacts: Vec<ArtefactNote>,
    /// What sent the task back here, word for word.
    pub findings: Vec<FindingNote>,
    /// Who found it: a gate's name.
    pub findings_from: String,
    /// What the developer said of the findings since the last review, for whoever judges the work; untrusted.
    pub developer_says: Vec<String>,
    /// Why nothing has to be changed, where the developer declares that; empty if it does not. Untrusted.
    pub no_change: String,
    /// The review before this one, for the role that reviews again; else `none`.
    pub last_review: Option<ReviewNote>,
    /// Questions this role asked, with their answers.
    pub answers: Vec<AnswerNote>,
    /// One-line notes: discarded changes, an edited ticket.
    pub notes: Vec<String>,
    /// Files that conflict with the default branch.
    pub conflicts: Vec<String>,
    /// The same, each with its kind, both sides, and what to do.
    pub conflict_paths: Vec<ConflictNote>,
    /// What was in conflict on this branch and was resolved, with both sides.
    pub was_in_conflict: Vec<ConflictNote>,
    /// The project's commands.
    pub commands: Commands,
    /// What happened in the attempt before; empty if nothing did.
    pub previous: String,
}

/// An artefact as the prompt shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ArtefactNote {
    /// File name below the artefact directory.
    pub name: String,
    /// Is it there?
    pub present: bool,
}

/// A path in conflict as the prompt shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConflictNote {
    /// Its path.
    pub file: String,
    /// What kind of conflict it is, in words.
    pub kind: String,
    /// Does (did) it hold conflict markers?
    pub marked: bool,
    /// What the task's branch has (had) there.
    pub branch: String,
    /// What the default branch has (had) there.
    pub base: String,
    /// What to do; what was taken.
    pub what: String,
    /// The developer's reason, if one was given; untrusted.
    pub why: String,
    /// Both sides as git wrote them between its markers; untrusted, empty if it is no text.
    pub text: String,
}

/// A finding as the prompt shows it: like `Finding`, with every key always there.
#[derive(Clone, Debug, Serialize)]
pub struct FindingNote {
    /// Its id, if its source gave one.
    pub id: Option<String>,
    /// How bad.
    pub severity: Severity,
    /// File.
    pub file: Option<String>,
    /// Line.
    pub line: Option<u32>,
    /// What is wrong.
    pub text: String,
}

impl From<&Finding> for FindingNote {
    fn from(f: &Finding) -> Self {
        Self { id: f.id.clone(), severity: f.severity, file: f.file.clone(), line: f.line, text: f.text.clone() }
    }
}

/// The last review as the prompt shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ReviewNote {
    /// Commit it was about.
    pub head: String,
    /// What it asked for, word for word.
    pub open: Vec<FindingNote>,
    /// Findings of others that are still open.
    pub others: Vec<FindingNote>,
    /// Is it known what changed since?
    pub known: bool,
    /// What changed since.
    pub changed: Vec<ChangeNote>,
    /// Changed files that are not listed, because they are too many.
    pub more: usize,
}

/// A changed file as the prompt shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeNote {
    /// Its path.
    pub file: String,
    /// `A`, `M`, `D` or `T`.
    pub how: char,
    /// Its changed lines: `3-7, 12`.
    pub lines: String,
}

/// Most changed files that are listed in a brief, and most ranges of each.
const MAX_CHANGES: (usize, usize) = (200, 40);

impl ReviewNote {
    /// What is shown of the last review: the commit, what it left open, what is open besides, and what changed since.
    pub fn new(head: &Sha, open: &[Finding], all: &[Finding], changed: Option<&[ChangedLines]>) -> Self {
        let (files, ranges) = MAX_CHANGES;
        let note = |c: &ChangedLines| {
            let shown = c.lines.iter().take(ranges);
            let mut lines: Vec<String> = shown
                .map(|c| if c.first == c.last { c.first.to_string() } else { format!("{}-{}", c.first, c.last) })
                .collect();
            if ranges < c.lines.len() {
                lines.push(format!("and {} more", c.lines.len() - ranges));
            }
            ChangeNote { file: c.path.clone(), how: c.how, lines: lines.join(", ") }
        };
        let listed = changed.unwrap_or_default();
        Self {
            head: head.to_string(),
            open: open.iter().map(FindingNote::from).collect(),
            others: all.iter().filter(|f| !open.contains(f)).map(FindingNote::from).collect(),
            known: changed.is_some(),
            changed: listed.iter().take(files).map(note).collect(),
            more: listed.len().saturating_sub(files),
        }
    }
}

/// A question and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerNote {
    /// What the agent asked.
    pub question: String,
    /// What it was told.
    pub answer: String,
    /// By whom.
    pub by: String,
}

/// Commands of the project.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Commands {
    /// Makes a clean checkout ready for the others.
    pub setup: Option<String>,
    /// Runs the tests.
    pub test: Option<String>,
    /// Runs what CI runs.
    pub ci: Option<String>,
}

/// Why a template cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("role prompt {file}{}: {why}", .line.map(|l| format!(" line {l}")).unwrap_or_default())]
pub struct PromptError {
    /// `developer.md`, or the part it includes.
    pub file: String,
    /// Line of that file, from 1, if known.
    pub line: Option<usize>,
    /// What is wrong.
    pub why: String,
}

/// The built-in template of a role.
pub fn builtin(role: &str) -> Option<&'static str> {
    ROLES.iter().find(|(name, _)| *name == role).map(|(_, text)| *text)
}

/// Names of the built-in roles.
pub fn roles() -> impl Iterator<Item = &'static str> {
    ROLES.iter().map(|(name, _)| *name)
}

/// Renders a role's template. Its front matter, if it has one, must be readable and is not part of the prompt.
pub fn render(template: &str, ctx: &PromptContext) -> Result<String, PromptError> {
    let file = format!("{}.md", ctx.role);
    let (body, skipped) = without_front(template).map_err(|why| PromptError {
        file: file.clone(),
        line: Some(1),
        why: why.to_string(),
    })?;
    let explain = |error: minijinja::Error| {
        let name = error.name().unwrap_or(&file).to_owned();
        let line = error.line().map(|l| if name == file { l + skipped } else { l });
        let why = error.detail().map_or_else(|| error.kind().to_string(), |d| format!("{}: {d}", error.kind()));
        PromptError { file: name, line, why }
    };
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    env.set_syntax(syntax.map_err(explain)?);
    env.add_filter("fence", |text: &str, label: Option<&str>| fence(text, label.unwrap_or("text")));
    env.add_filter("inline", |text: &str| inline(text));
    for (name, text) in PARTS {
        env.add_template_owned(format!("{name}.md"), *text).map_err(explain)?;
    }
    env.add_template_owned(file.clone(), body).map_err(explain)?;
    let text = env.get_template(&file).and_then(|t| t.render(Serde(ctx))).map_err(explain)?;
    Ok(squeeze(&text))
}

/// The template without its front matter, and how many lines that took.
fn without_front(template: &str) -> Result<(String, usize), frontmatter::Unreadable> {
    let template = template.strip_prefix('\u{feff}').unwrap_or(template);
    if template.lines().next() != Some("---") {
        return Ok((template.to_owned(), 0));
    }
    let document = frontmatter::read(template.as_bytes())?;
    let skipped = template.lines().count() - document.body.lines().count();
    Ok((document.body, skipped))
}

/// Puts text that is not ours between two lines of backticks. The lines are longer than any run of backticks in the
/// text, so no line of the text can end the block; what could look like a line break to one reader and not to another
/// is made one, and characters that hide or reorder text are made visible.
fn fence(text: &str, label: &str) -> String {
    let clean: String = text.replace("\r\n", "\n").chars().map(plain).collect();
    let longest = clean.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let bar = "`".repeat((longest + 1).max(4));
    let label: String = label.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{bar}{label}\n{}\n{bar}", clean.trim_end_matches('\n'))
}

/// One line for a list or a heading: no line breaks, no backticks that could end a code span, cut if it is long.
fn inline(text: &str) -> String {
    let mut line: String =
        text.chars().map(plain).map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).take(MAX_INLINE).collect();
    if line.contains('`') {
        line = line.replace('`', "'");
    }
    if text.chars().nth(MAX_INLINE).is_some() {
        line.push('…');
    }
    line.trim().to_owned()
}

fn plain(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
        // Bidirectional overrides, zero-width characters and the invisible "tag" copy of ASCII.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
            char::REPLACEMENT_CHARACTER
        }
        '\u{e0000}'..='\u{e0fff}' => char::REPLACEMENT_CHARACTER,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// No more than one empty line in a row outside fences: templates are written for reading, and conditions leave holes.
fn squeeze(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut bar: Option<&str> = None;
    let mut empty = true;
    for line in text.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match bar {
            None if ticks.len() >= 3 => bar = Some(ticks),
            Some(open) if line == open => bar = None,
            _ => {}
        }
        let is_empty = line.trim().is_empty();
        if bar.is_none() && is_empty && empty {
            continue;
        }
        empty = is_empty && bar.is_none();
        out.push_str(if bar.is_none() { line.trim_end() } else { line });
        out.push('\n');
    }
    out
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
