//! Commits as people tell them from one another. Decides how what anybody may have written into a commit is shown: on one
//! line, cut, and with nothing in it that controls a terminal or turns text around.

use super::tree::{Repo, checked};
use orch_core::ids::Sha;
use orch_core::plain::is_odd;
use orch_ports::Fault;
use orch_ports::git::{Author, CommitLine, Written};

/// Longest name or subject, characters.
const LONGEST: usize = 120;

impl Repo {
    pub(super) async fn commits(&self, to: &Sha, without: &[Sha], limit: usize) -> Result<Vec<CommitLine>, Fault> {
        let listed = self.log("%H%n%an%n%s", &[], to, without, limit).await?;
        Ok(listed.iter().filter_map(|one| line(one)).collect())
    }

    pub(super) async fn written(&self, to: &Sha, without: &[Sha], limit: usize) -> Result<Vec<Written>, Fault> {
        let listed = self.log("%H%n%an%n%ae%n%B", &["--no-merges"], to, without, limit).await?;
        let read = |one: &String| {
            let mut parts = one.splitn(4, '\n');
            let (id, name, email) = (parts.next()?, parts.next()?, parts.next()?);
            let author = Author { name: name.to_owned(), email: email.to_owned() };
            Some(Written { id: Sha::new(id), author, message: parts.next().unwrap_or_default().to_owned() })
        };
        Ok(listed.iter().filter_map(read).collect())
    }

    /// What `format` shows of each commit of `to` that none of `without` contains, newest first.
    async fn log(
        &self,
        format: &str,
        options: &[&str],
        to: &Sha,
        without: &[Sha],
        limit: usize,
    ) -> Result<Vec<String>, Fault> {
        let format = format!("--format={format}");
        let mut call = self.call("log").args(["-z", &format, "--no-show-signature", "--no-notes"]).args(options);
        call = call.args(["--encoding=UTF-8", &format!("--max-count={limit}"), checked(to)?]);
        for known in without {
            call = call.arg(format!("^{}", checked(known)?));
        }
        let listed = call.arg("--").ok().await?;
        let each = listed.split(|b| *b == 0).filter(|one| !one.is_empty());
        Ok(each.map(|one| String::from_utf8_lossy(one).into_owned()).collect())
    }
}

fn line(text: &str) -> Option<CommitLine> {
    let mut parts = text.splitn(3, '\n');
    let (id, author) = (parts.next()?, parts.next()?);
    Some(CommitLine { id: Sha::new(id), author: plain(author), subject: plain(parts.next().unwrap_or_default()) })
}

/// One line in which nothing hides and nothing turns.
fn plain(text: &str) -> String {
    let mut line: String = text.chars().take(LONGEST).map(|c| if is_odd(c) { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_may_write_into_a_commit_is_one_plain_line() {
        let read = line("1a2b\n\u{1b}]0;title\u{7}Eve\n\u{202e}live\u{9b}2J\n").unwrap();
        assert_eq!((read.author.as_str(), read.subject.as_str()), ("]0;title Eve", "live 2J"));
        assert_eq!(line("1a2b\nEve\n").unwrap().subject, "");
        assert_eq!(plain(&"x".repeat(LONGEST + 1)).chars().count(), LONGEST + 1);
    }
}
