//! A difference as people read it. Git is read as it writes, and is killed when there is enough: a difference of gigabytes
//! takes no more memory here than a small one. What a branch says of its files (attributes, drivers, binary flags) is not
//! asked; whether a file is text its content tells. A file's name cannot make a line of its own: git quotes it in the text,
//! and the list is read by zero bytes.

use super::pieces::End;
use super::run::Call;
use super::tree::{Entry, Repo, shown};
use orch_core::ids::Sha;
use orch_ports::Fault;
use orch_ports::diff::{Diff, DiffFile, DiffLimits};
use orch_ports::git::EntryKind;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

/// Longest look at which files are different, and longest counting and reading of them, which go on at the same time.
/// Together they are less than a client waits.
const LIST_WITHIN: Duration = Duration::from_secs(10);
const READ_WITHIN: Duration = Duration::from_secs(12);
/// Longest name of a file that is kept, bytes.
const NAME: usize = 4096;
/// A larger file counts as binary: git holds both sides of one that it compares line by line.
const LARGE: &str = "32m";
/// The tree without any file, by the name it has in most repositories. Where it has another one, git takes an empty one too.
const EMPTY: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

impl Repo {
    /// What the port calls the same.
    pub(super) async fn diff(&self, from: &Sha, to: &Sha, limits: DiffLimits) -> Result<Diff, Fault> {
        let (from, to) = (self.tree_of(from).await?, self.tree_of(to).await?);
        let mut diff = Diff::default();
        if from == to {
            return Ok(diff);
        }
        let names = self.list_of(&from, &to, limits.files, &mut diff).await?;
        let (counted, text) = tokio::join!(self.counts(&from, &to, &names), self.text(&from, &to, limits));
        let (counts, all) = counted?;
        for (file, name) in diff.files.iter_mut().zip(&names) {
            match counts.get(name) {
                Some(lines) => (file.lines, file.binary) = (*lines, lines.is_none()),
                // Only its mode changed, as git counts no such file.
                None if all => file.lines = Some((0, 0)),
                None => {}
            }
        }
        Ok(Diff { files: diff.files, total: diff.total, ..text? })
    }

    fn comparing(&self, how: &[&str], from: &str, to: &str) -> Call<'_> {
        let call = self.call("diff-tree").config("core.bigFileThreshold", LARGE);
        // Some gits read the attributes of a bare repository out of its HEAD, if nobody names another tree.
        let call = call.config("attr.tree", EMPTY).args(["-r", "--no-renames", "--no-ext-diff", "--no-textconv"]);
        call.args(how).args(["--end-of-options", from, to, "--"])
    }

    /// Fills in the files; returns their names, byte by byte.
    async fn list_of(&self, from: &str, to: &str, most: usize, diff: &mut Diff) -> Result<Vec<Vec<u8>>, Fault> {
        let mut names = Vec::new();
        let mut fields = Parts::new(0, NAME);
        let mut head: Option<String> = None;
        let mut odd = false;
        let take = |piece: &[u8]| {
            fields.each(piece, |field, _| {
                let Some(modes) = head.take() else {
                    head = Some(shown(field));
                    return ControlFlow::Continue(());
                };
                diff.total += 1;
                if names.len() < most {
                    let Some(file) = listed(&modes, field) else {
                        odd = true;
                        return ControlFlow::Break(());
                    };
                    diff.files.push(file);
                    names.push(field.to_vec());
                }
                ControlFlow::Continue(())
            })
        };
        let end = self.comparing(&["-z", "--raw", "--no-abbrev"], from, to).within(LIST_WITHIN).pieces(take).await?;
        if odd {
            return Err(Fault::bug("git diff-tree without its five words"));
        }
        if end == End::Late {
            let within = LIST_WITHIN.as_secs();
            return Err(Fault::transient(format!("git diff-tree: the files could not be listed within {within} s")));
        }
        Ok(names)
    }

    /// Lines that came and went, for each of these files; nothing for one that is not text. True: it is all there is.
    #[allow(clippy::type_complexity)]
    async fn counts(
        &self,
        from: &str,
        to: &str,
        names: &[Vec<u8>],
    ) -> Result<(HashMap<Vec<u8>, Option<(u64, u64)>>, bool), Fault> {
        let wanted: std::collections::HashSet<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let mut counts = HashMap::new();
        let mut records = Parts::new(0, NAME + 64);
        let take = |piece: &[u8]| {
            records.each(piece, |record, _| {
                let mut words = record.splitn(3, |b| *b == b'\t');
                let (Some(added), Some(removed), Some(name)) = (words.next(), words.next(), words.next()) else {
                    return ControlFlow::Continue(());
                };
                let name = &name[..name.len().min(NAME)];
                // They come in the order of the list, so that this is behind its end.
                if !wanted.contains(name) {
                    return ControlFlow::Break(());
                }
                let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse().ok();
                counts.insert(name.to_vec(), number(added).zip(number(removed)));
                if counts.len() == wanted.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        };
        let end = self.comparing(&["-z", "--numstat"], from, to).within(READ_WITHIN).pieces(take).await?;
        Ok((counts, end != End::Late))
    }

    async fn text(&self, from: &str, to: &str, limits: DiffLimits) -> Result<Diff, Fault> {
        let mut diff = Diff::default();
        if limits.text == 0 {
            return Ok(diff);
        }
        let mut lines = Parts::new(b'\n', limits.line);
        // Bytes of the file under way, and lines of it that are left out.
        let (mut taken, mut left) = (0, 0_u64);
        let take = |piece: &[u8]| {
            lines.each(piece, |line, more| {
                // A line of a file begins with its sign, never with a letter.
                if line.starts_with(b"diff --git ") {
                    close(&mut diff, &mut left);
                    taken = 0;
                }
                if 0 < left || limits.file < taken + line.len() + 1 {
                    left += 1;
                    return ControlFlow::Continue(());
                }
                let line =
                    if more == 0 { shown(line) } else { format!("{} … ({more} bytes more)", shown(whole(line))) };
                if limits.text < diff.text.len() + line.len() + 1 {
                    diff.text_cut = true;
                    return ControlFlow::Break(());
                }
                taken += line.len() + 1;
                diff.text.push_str(&line);
                diff.text.push('\n');
                diff.lines_cut += u64::from(more != 0);
                ControlFlow::Continue(())
            })
        };
        let how = ["-p", "--unified=3", "--inter-hunk-context=0", "--no-color", "--submodule=short"];
        let how = [&how[..], &["--diff-algorithm=myers", "--indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/"]];
        let end = self.comparing(&how.concat(), from, to).within(READ_WITHIN).pieces(take).await?;
        diff.text_cut |= end == End::Late;
        close(&mut diff, &mut left);
        Ok(diff)
    }
}

/// Says of the file that ends here how many lines of it are left out.
fn close(diff: &mut Diff, left: &mut u64) {
    if 0 < *left {
        diff.files_cut += 1;
        let _ = writeln!(diff.text, "… ({left} lines more of this file)");
        *left = 0;
    }
}

/// A file of the list, of `:100644 120000 <id> <id> T` and its name.
fn listed(modes: &str, name: &[u8]) -> Option<DiffFile> {
    let words: Vec<&str> = modes.strip_prefix(':')?.split(' ').collect();
    let [old, new, _, _, how] = words[..] else { return None };
    let entry = |mode: &str| Entry { mode: mode.into(), oid: String::new(), path: Vec::new() };
    let kind = entry(new).kind().or_else(|| entry(old).kind()).unwrap_or(EntryKind::File);
    Some(DiffFile { path: shown(name), how: how.chars().next()?, kind, lines: None, binary: false })
}

/// What is left of a line that was cut, without half a character at its end.
fn whole(line: &[u8]) -> &[u8] {
    let begin = line.len().saturating_sub(3);
    let lead = line[begin..].iter().rposition(|b| 0xc0 <= *b).map(|at| begin + at);
    match lead {
        Some(at) if std::str::from_utf8(&line[at..]).is_err() => &line[..at],
        _ => line,
    }
}

/// What comes in pieces, cut at one byte. Of a part only so much is kept; how much more it was is counted.
struct Parts {
    end: u8,
    most: usize,
    kept: Vec<u8>,
    more: u64,
}

impl Parts {
    fn new(end: u8, most: usize) -> Self {
        Self { end, most, kept: Vec::new(), more: 0 }
    }

    /// Every part that ends in this piece: what is kept of it, and how many bytes more it had.
    fn each(&mut self, piece: &[u8], mut part: impl FnMut(&[u8], u64) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|b| *b == self.end) {
            self.keep(&rest[..at]);
            part(&self.kept, self.more)?;
            self.kept.clear();
            self.more = 0;
            rest = &rest[at + 1..];
        }
        self.keep(rest);
        ControlFlow::Continue(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.most.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.more += (bytes.len() - room) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_same_however_they_come() {
        let text = b"one\n\ntwenty-one bytes long\nlast\n";
        for size in 1..text.len() {
            let mut parts = Parts::new(b'\n', 8);
            let mut seen = Vec::new();
            for piece in text.chunks(size) {
                let _ = parts.each(piece, |part, more| {
                    seen.push((String::from_utf8(part.to_vec()).unwrap(), more));
                    ControlFlow::Continue(())
                });
            }
            let expected = [("one", 0), ("", 0), ("twenty-o", 13), ("last", 0)];
            assert_eq!(seen.iter().map(|(part, more)| (part.as_str(), *more)).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_line_is_not_cut_in_the_middle_of_a_character() {
        let text = "aé€😀";
        for end in 0..=text.len() {
            let kept = whole(&text.as_bytes()[..end]);
            assert!(std::str::from_utf8(kept).is_ok() && end - kept.len() < 4, "{end}");
        }
        assert_eq!(whole(b"a\xff"), b"a", "what is no text anyway may lose its end");
        assert_eq!(whole(b"caf\xe9 au lait"), b"caf\xe9 au lait");
    }
}
