//! Conflicts as briefs show them: to the developer what is to be resolved and how, to whoever reviews both sides of what
//! was resolved. It decides nothing; it reads the record and the text git wrote, never the files of today.

use crate::cx::Cx;
use crate::prompt::ConflictNote;
use orch_core::conflict::{self, Conflict, ConflictKind, ConflictPath, Side};
use orch_core::task::Task;
use orch_ports::Fault;

/// Most text of conflicts that is shown in one brief, bytes.
const MAX_TEXT: usize = 40_000;
/// Most files whose conflicts are shown with their text.
const MAX_FILES: usize = 50;

/// What the developer resolves, path by path.
pub(crate) fn to_resolve(task: &Task) -> Vec<ConflictNote> {
    let Some(record) = &task.landing.conflict else { return Vec::new() };
    conflict::paths(record).iter().map(|path| ConflictNote { what: what_to_do(path), ..note(path) }).collect()
}

/// What was in conflict, what was taken, and both sides.
pub(crate) async fn resolved(cx: &Cx) -> Result<Vec<ConflictNote>, Fault> {
    let mut notes = Vec::new();
    let mut room = MAX_TEXT;
    for record in &cx.task.landing.resolved {
        for path in conflict::paths(record) {
            let said = record.answer.takes.iter().find(|t| t.path == path.path);
            let what = match said {
                Some(said) => format!("the developer says `{}`", said.take.as_str()),
                None if path.marked => "resolved by hand, every marker is gone".to_owned(),
                None => "gone on both sides".to_owned(),
            };
            let text = if path.marked && 0 < room && notes.len() < MAX_FILES {
                text(cx, record, &path).await
            } else {
                String::new()
            };
            let text: String = text.chars().take(room).collect();
            room = room.saturating_sub(text.len());
            let why = said.map(|s| s.why.clone()).unwrap_or_default();
            notes.push(ConflictNote { what, why, text, ..note(&path) });
        }
    }
    Ok(notes)
}

/// The conflicts of a file as git wrote them. What is not there any more is no reason to hold a review up.
async fn text(cx: &Cx, record: &Conflict, path: &ConflictPath) -> String {
    let Some(written) = path.written.as_ref().filter(|w| w.is_file()) else { return String::new() };
    match cx.engine.ports.git.read_objects(&cx.task.project, std::slice::from_ref(&written.oid)).await {
        Ok(texts) => {
            let text = texts.into_iter().next().unwrap_or_default();
            conflict::excerpt(&String::from_utf8_lossy(&text), &record.labels)
        }
        Err(fault) => {
            tracing::warn!(work_item = %cx.task.work_item, %fault, "the text of a conflict cannot be shown");
            String::new()
        }
    }
}

fn note(path: &ConflictPath) -> ConflictNote {
    let side = |side: Option<&Side>| match side {
        Some(side) => format!("{} ({})", side.what(), side.oid.chars().take(12).collect::<String>()),
        None => "not there".to_owned(),
    };
    ConflictNote {
        file: path.path.clone(),
        kind: path.kind.describe().to_owned(),
        marked: path.marked,
        branch: side(path.branch.as_ref()),
        base: side(path.base.as_ref()),
        ..ConflictNote::default()
    }
}

fn what_to_do(path: &ConflictPath) -> String {
    if path.marked {
        return "it holds conflict markers: put both sides together and remove every marker".to_owned();
    }
    let decide = match path.kind {
        ConflictKind::Binary => {
            "it is not text, so there are no markers in it and it now holds the branch's version: keep one side whole, or \
             make it anew from both"
        }
        ConflictKind::DeleteModify => {
            "there are no markers: decide whether it stays deleted (carry its change elsewhere if it is still needed) or is \
             kept"
        }
        ConflictKind::FileDirectory => {
            "git moved the file aside as a helper file with `~` in its name: put its content where it belongs and remove the \
             helper file"
        }
        ConflictKind::Types => {
            "it is not the same type of file on both sides: decide what it is, and remove a helper file with `~` in its name"
        }
        ConflictKind::Symlink => "decide where the link leads",
        ConflictKind::Mode => "decide whether it is executable",
        ConflictKind::Rename => {
            "a rename is involved: decide under which name it stays, with the changes of both sides"
        }
        ConflictKind::Submodule => "decide which commit of the submodule stays",
        ConflictKind::Content | ConflictKind::AddAdd | ConflictKind::Other => "decide what it holds",
    };
    format!("{decide}; then say in `resolved` what was taken")
}
