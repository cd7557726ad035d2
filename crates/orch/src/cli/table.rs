//! Tables for people: columns that line up in any script, within 100 columns. The last column gives way.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Width of a page.
pub const WIDTH: usize = 100;

/// Lines of a table; control characters in cells become spaces, so that no title can move the cursor.
pub fn lines(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
    let all: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let count = head.len();
    let mut widths: Vec<usize> =
        (0..count).map(|i| all.iter().filter_map(|r| r.get(i)).map(|c| c.width()).max().unwrap_or(0)).collect();
    // What does not fit is taken from the widest columns first, but never below what a word needs.
    while widths.iter().sum::<usize>() + 2 * (count - 1) > WIDTH {
        let Some(widest) = widths.iter_mut().max().filter(|w| **w > 8) else { break };
        *widest -= 1;
    }
    all.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut out = String::new();
    for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
        if i > 0 {
            out.push_str("  ");
        }
        let cell = cut(cell, *width);
        out.push_str(&cell);
        out.push_str(&" ".repeat(width.saturating_sub(cell.width())));
    }
    out.trim_end().to_owned()
}

/// Cuts a text to a width, with `…` for what is gone.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let mut out = String::new();
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > width {
            break;
        }
        used += w;
        out.push(c);
    }
    out.push('…');
    out
}

/// A text from outside as one harmless line.
pub fn plain(text: &str) -> String {
    orch_core::plain::shown_line(text)
}

/// A text from outside with its lines, and nothing else that moves a cursor.
pub fn plain_lines(text: &str) -> String {
    orch_core::plain::shown(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_in_any_script_and_fit_the_page() {
        let rows = vec![
            vec!["DEMO-1".into(), "analysis".into(), "日本語の題名".repeat(20)],
            vec!["D-2".into(), "done".into(), "заголовок\x1b[31m\nкрасный".into()],
        ];
        let lines = lines(&["ID", "STAGE", "TITLE"], &rows);
        assert!(lines.iter().all(|l| l.width() <= WIDTH), "{lines:?}");
        assert_eq!(lines[0], "ID      STAGE     TITLE");
        assert!(lines[1].starts_with("DEMO-1  analysis  日本語") && lines[1].ends_with('…'));
        assert_eq!(lines[2], "D-2     done      заголовок красный");
    }
}
