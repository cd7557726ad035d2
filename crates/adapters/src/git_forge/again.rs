//! Pull requests that are made again after the forge's file was lost, as orch knows them from its tasks. Whether a merge
//! that was under way has landed is read from the repository, never assumed. What is there is left as it is.

use super::GitForge;
use super::pulls::{self, Line};
use super::talk;
use crate::git_cli::names::is_object_id;
use crate::local_db;
use orch_core::ids::{ProjectKey, Sha};
use orch_ports::Fault;
use orch_ports::forge::CommitStatus;
use rusqlite::params;
use std::path::Path;

/// A pull request as its task knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullAgain {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its branch.
    pub branch: String,
    /// Where it goes.
    pub base: String,
    /// Where orch last pushed its branch.
    pub head: Option<Sha>,
    /// The commit it was merged as.
    pub merged: Option<Sha>,
    /// Base and tree of a merge that was under way.
    pub begun: Option<(Sha, String)>,
    /// Was it given up?
    pub closed: bool,
    /// What is known of its head's checks.
    pub statuses: Vec<CommitStatus>,
}

impl GitForge {
    /// Is no pull request known in a forge's directory? Looking changes nothing.
    pub fn is_empty(dir: &Path) -> bool {
        local_db::is_empty(&dir.join("forge.db"), "pull_request")
    }

    /// Makes pull requests again, all or none.
    pub async fn make_again(&self, project: &ProjectKey, pulls: Vec<PullAgain>) -> Result<(), Fault> {
        let mut rows = Vec::new();
        for pull in pulls {
            let merged = match &pull.merged {
                Some(commit) => Some(commit.clone()),
                None => self.landed_meanwhile(project, &pull).await?,
            };
            let head = pull.head.clone().or_else(|| merged.clone()).unwrap_or_else(|| Sha::new("0".repeat(40)));
            rows.push((pull, merged, head));
        }
        let (project, at) = (project.clone(), self.state.clock.now());
        self.state
            .db
            .write("make pull requests again", move |t| {
                for (pull, merged, head) in &rows {
                    let number = i64::try_from(pull.number).map_err(|e| Fault::bug(e.to_string()))?;
                    let state = match merged {
                        Some(_) => "merged",
                        None if pull.closed => "closed",
                        None => "open",
                    };
                    let made = t.execute(
                        "INSERT INTO pull_request (project, number, title, body, head_branch, base_branch, state, last_head,
                         merge_commit, opened_at) VALUES (?1, ?2, ?3, '', ?4, ?5, ?6, ?7, ?8, ?9)
                         ON CONFLICT (project, number) DO NOTHING",
                        params![
                            project.as_str(),
                            number,
                            pull.title,
                            pull.branch,
                            pull.base,
                            state,
                            head.as_str(),
                            merged.as_ref().map(Sha::as_str),
                            at.0
                        ],
                    )?;
                    if made == 0 {
                        continue;
                    }
                    let number = Some(pull.number);
                    let opened =
                        Line { number, effect: "pull-opened", detail: &pull.branch, head: Some(head), ..Line::default() };
                    pulls::log(t, &project, &opened, at)?;
                    if let Some(commit) = merged {
                        let done = Line {
                            number,
                            effect: "merge-done",
                            detail: "made again from its task",
                            head: Some(head),
                            new_base: Some(commit),
                            ..Line::default()
                        };
                        pulls::log(t, &project, &done, at)?;
                    }
                    for status in &pull.statuses {
                        talk::set_status(t, &project, head, status, at)?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// The commit by which a merge that was under way has landed: the first on the base behind where it began that has the
    /// tested tree.
    async fn landed_meanwhile(&self, project: &ProjectKey, pull: &PullAgain) -> Result<Option<Sha>, Fault> {
        let Some((base, tree)) = &pull.begun else { return Ok(None) };
        if !is_object_id(base.as_str()) {
            return Ok(None);
        }
        let served = self.served(project)?;
        let Some(branch) = served.reference(&pull.base).await? else { return Ok(None) };
        let range = format!("{base}..{branch}");
        let call = served.repo.call("rev-list").args(["--first-parent", "--reverse", "--no-commit-header"]);
        let out = call.args(["--format=%H %T", "--end-of-options", &range]).ok().await?;
        let text = String::from_utf8_lossy(&out);
        Ok(text
            .lines()
            .next()
            .and_then(|line| line.split_once(' '))
            .filter(|(_, t)| t == tree)
            .map(|(c, _)| Sha::new(c)))
    }
}
