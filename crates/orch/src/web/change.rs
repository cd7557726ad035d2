//! The change of a task on its page, where a person is asked to approve something. Its files anybody may see who reaches the
//! page; its text is source code, and is shown to browsers that send the token alone. Whatever goes wrong with it, the page
//! is there.

use crate::http::guard::page_opened;
use crate::http::pulls::{given, how, kind};
use crate::http::{AppState, Problem};
use crate::hunks::{self, Kind};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use orch_core::plain::{marked, marked_line};
use orch_core::task::{Phase, Task, WaitReason};
use orch_engine::pulls::Change;
use orch_ports::diff::{DiffFile, DiffLimits};

/// Most that a page shows; `orch diff` shows more.
const LIMITS: DiffLimits = DiffLimits { text: 60_000, file: 20_000, files: 200, line: 500 };

/// The section.
pub(super) struct ChangeShown {
    /// How much it is, and from where to where; or why it cannot be shown.
    pub(super) summary: String,
    pub(super) files: Vec<FileRow>,
    pub(super) more_files: u64,
    /// Nothing where the browser did not send the token.
    pub(super) lines: Option<Vec<Line>>,
    pub(super) cut: bool,
    /// The same, for a terminal.
    pub(super) command: String,
}

pub(super) struct FileRow {
    pub(super) path: String,
    pub(super) how: String,
    pub(super) lines: String,
}

pub(super) struct Line {
    /// `add`, `del`, `head` or nothing.
    pub(super) class: &'static str,
    pub(super) text: String,
}

impl Line {
    fn of(kind: Kind, text: &str) -> Self {
        let class = match kind {
            Kind::Added => "add",
            Kind::Removed => "del",
            Kind::Head => "head",
            Kind::Same => "",
        };
        Self { class, text: text.to_owned() }
    }
}

/// Of a task that waits for an approval and has a branch.
pub(super) async fn shown(state: &AppState, task: &Task, headers: &HeaderMap) -> Option<ChangeShown> {
    let asked = matches!(&task.phase, Phase::Waiting { why: WaitReason::Approval { .. }, .. });
    if !asked || task.branch.head.is_none() {
        return None;
    }
    let open = page_opened(state, headers);
    let limits = if open { LIMITS } else { DiffLimits { text: 0, ..LIMITS } };
    let change = match state.engine.change_of(task, limits).await {
        Ok(reply) => given(reply),
        Err(fault) => Err(Problem::from(fault)),
    };
    let command = format!("orch diff {}", task.work_item);
    Some(match change {
        Ok(change) => section(&change, open, command),
        Err(problem) => ChangeShown {
            summary: format!("cannot be shown now: {}", marked_line(&problem.message)),
            files: Vec::new(),
            more_files: 0,
            lines: Some(Vec::new()),
            cut: false,
            command,
        },
    })
}

/// The browser asks its user for the token.
pub(super) fn ask_for_token(state: &AppState) -> Response {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "token", "the text of a change needs the API token")
        .hint("give any name, and as the password the text of the file `token` beside the database");
    let mut response = super::refused(state, &problem);
    let ask = HeaderValue::from_static("Basic realm=\"orch: any name, the API token as password\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
    response
}

fn section(change: &Change, open: bool, command: String) -> ChangeShown {
    let diff = &change.diff;
    let files = if diff.total == 1 { "1 file".to_owned() } else { format!("{} files", diff.total) };
    let lines: Vec<(u64, u64)> = diff.files.iter().filter_map(|f| f.lines).collect();
    let (added, removed) = lines.iter().fold((0, 0), |sum, l| (sum.0 + l.0, sum.1 + l.1));
    let least = if (diff.files.len() as u64) < diff.total { "at least " } else { "" };
    ChangeShown {
        summary: format!("{files}, {least}+{added} −{removed} lines, {} to {}", change.from.short(), change.to.short()),
        files: diff.files.iter().map(row).collect(),
        more_files: diff.total.saturating_sub(diff.files.len() as u64),
        lines: open.then(|| hunks::lines(&marked(&diff.text)).map(|(kind, line)| Line::of(kind, line)).collect()),
        cut: diff.text_cut || 0 < diff.lines_cut + diff.files_cut,
        command,
    }
}

fn row(file: &DiffFile) -> FileRow {
    FileRow {
        path: marked_line(&file.path),
        how: if kind(file) == "file" { how(file).to_owned() } else { format!("{} {}", kind(file), how(file)) },
        lines: match file.lines {
            Some((added, removed)) => format!("+{added} −{removed}"),
            None if file.binary => "binary".to_owned(),
            None => String::new(),
        },
    }
}
