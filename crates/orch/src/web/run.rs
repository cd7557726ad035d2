//! A run's page: its output as it is written. Without a script it is the end of the log as of now.

use super::words::{Moment, span};
use super::{Wanted, refused, render};
use crate::http::logs::{From, PART_MAX, Stream, find_run, read};
use crate::http::tasks::find;
use crate::http::{AppState, Problem};
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    id: String,
    title: String,
    number: usize,
    count: usize,
    what: String,
    program: String,
    model: String,
    tone: &'static str,
    end: String,
    started: Moment,
    took: String,
    running: bool,
    log: String,
    next: u64,
    done: bool,
    cut: bool,
    errors: String,
    part_kib: u64,
}

pub(super) async fn page(
    State(state): State<AppState>,
    Path((id, n)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Response {
    match build(&state, &id, &n).await {
        Ok(page) => {
            let title = format!("{} run {} · {}", page.id, page.number, page.what);
            render(&state, &wanted, &title, "", &page)
        }
        Err(problem) => refused(&state, &problem),
    }
}

async fn build(state: &AppState, id: &str, n: &str) -> Result<RunPage, Problem> {
    let now = state.engine.clock().now();
    let task = find(state, id).await?;
    let (number, run) = find_run(state, &task, n).await?;
    let count = state.engine.store().runs(task.id).await?.len();
    let mut out = read(state, &task, &run, Stream::Stdout, From::End).await?;
    // A character that is not whole yet comes again, whole, with the next piece.
    let whole = whole(&out.bytes);
    out.next -= (out.bytes.len() - whole) as u64;
    out.bytes.truncate(whole);
    let err = read(state, &task, &run, Stream::Stderr, From::End).await?;
    let (tone, end) = match (run.ended.is_some(), run.ok) {
        (false, _) if out.done => ("bad", "lost".to_owned()),
        (false, _) => ("busy", "running".to_owned()),
        (true, Some(true)) => ("good", run.end.clone().unwrap_or_default()),
        (true, _) => ("bad", run.end.clone().unwrap_or_else(|| "ended badly".into())),
    };
    Ok(RunPage {
        id: task.work_item.to_string(),
        title: task.title.clone(),
        number,
        count,
        what: run.what.clone(),
        program: run.program.clone(),
        model: run.model.clone().unwrap_or_default(),
        tone,
        end,
        started: Moment::new(run.started, now),
        took: span(run.ended.unwrap_or(now).since_ms(run.started).max(0)),
        running: !out.done,
        log: plain(&String::from_utf8_lossy(&out.bytes)),
        next: out.next,
        done: out.done,
        cut: 0 < out.from,
        errors: plain(&String::from_utf8_lossy(&err.bytes)),
        part_kib: PART_MAX / 1024,
    })
}

/// Length without a character that is cut at the end.
fn whole(bytes: &[u8]) -> usize {
    (1..=3.min(bytes.len()))
        .map(|back| bytes.len() - back)
        .find(|at| 0xC0 <= bytes[*at])
        .filter(|at| std::str::from_utf8(&bytes[*at..]).is_err_and(|e| e.error_len().is_none()))
        .unwrap_or(bytes.len())
}

/// A log without what a terminal would obey: escape sequences, carriage returns that overwrite, other control
/// characters.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {}
            c => out.push(c),
        }
    }
    out
}

/// Reads over one escape sequence: CSI up to its final byte, OSC and its kin up to BEL or ST, others one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            while let Some(c) = chars.peek().copied() {
                if c == '\n' {
                    return;
                }
                chars.next();
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    return;
                }
            }
        }
        Some(']' | 'P' | '^' | '_' | 'X') => {
            while let Some(c) = chars.peek().copied() {
                if c == '\n' {
                    return;
                }
                chars.next();
                if c == '\u{7}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        Some('(' | ')' | '*' | '+' | '#' | '%') => {
            chars.next();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_is_cut_at_the_end_waits_for_the_rest() {
        for (bytes, len) in
            [(&b"ab"[..], 2), ("aé".as_bytes(), 3), (&"aé".as_bytes()[..2], 1), (&"a€".as_bytes()[..3], 1)]
        {
            assert_eq!(whole(bytes), len, "{bytes:?}");
        }
        assert_eq!(whole(b"\xff"), 1);
        assert_eq!(whole(b""), 0);
    }

    #[test]
    fn a_log_obeys_nothing_a_terminal_would() {
        assert_eq!(plain("\u{1b}[1;31mred\u{1b}[0m\r\nnext"), "red\nnext");
        assert_eq!(plain("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\b"), "ab");
        assert_eq!(plain("10%\r20%\u{8}\u{202e}x"), "10%\n20%x");
        assert_eq!(plain("\u{1b}(Bok \u{1b}["), "ok ");
        assert_eq!(plain("a\u{1b}]never ends\nb"), "a\nb");
    }
}
