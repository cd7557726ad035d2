//! Opening, showing and closing pull requests: the row, and what git says now. Whether a merge that was cut off landed is
//! found out first (`merge`).

use super::State;
use super::pulls::{self, Life, PullRow};
use super::repo::MergedTree;
use super::served::Served;
use orch_core::fault_code::FaultCode;
use orch_core::ids::{Actor, Sha};
use orch_ports::Fault;
use orch_ports::forge::{PULLS_LISTED, PullRequest, PullState};

impl State {
    /// The pull request as the port shows it: the row, and what git says now.
    pub(super) async fn show(&self, served: &Served, row: PullRow) -> Result<PullRequest, Fault> {
        let tip = match row.life {
            Life::Open | Life::Merging(_) => served.head(&row.head_branch).await?,
            Life::Merged(_) | Life::Closed => None,
        };
        self.show_at(served, row, tip).await
    }

    /// The same where the tip of its branch has just been read.
    async fn show_at(&self, served: &Served, row: PullRow, tip: Option<Sha>) -> Result<PullRequest, Fault> {
        // Elsewhere it would cost two questions and a fetch at every look, and nobody decides on it.
        let base = match &served.there {
            None => served.repo.branch(&row.base_branch).await?,
            Some(_) => None,
        };
        let mergeable = match (&tip, base) {
            (Some(head), Some(base)) => match served.repo.merge_tree(&base, head).await {
                Ok(MergedTree::Clean(_)) => Some(true),
                Ok(MergedTree::Conflict(_)) => Some(false),
                // Nobody decides on this field, so not knowing it must not hide the rest.
                Err(_) => None,
            },
            _ => None,
        };
        Ok(told(served, row, tip, mergeable))
    }

    /// The open ones, newest first. The tips of all their branches are one question; whether they merge is not asked.
    pub(super) async fn open_ones(&self, served: &Served) -> Result<Vec<PullRequest>, Fault> {
        let project = served.key.clone();
        let find = move |t: &rusqlite::Transaction<'_>| pulls::open_ones(t, &project, PULLS_LISTED);
        let mut rows = self.db.read("list open pull requests", find).await?;
        for row in rows.iter_mut().filter(|row| matches!(row.life, Life::Merging(_))) {
            *row = self.load(served, row.number).await?;
        }
        rows.retain(|row| matches!(row.life, Life::Open | Life::Merging(_)));
        let branches: Vec<&str> = rows.iter().map(|row| row.head_branch.as_str()).collect();
        let tips = served.heads(&branches).await?;
        let there = rows.into_iter().zip(tips).filter(|(_, tip)| tip.is_some());
        Ok(there.map(|(row, tip)| told(served, row, tip, None)).collect())
    }

    pub(super) async fn ensure(
        &self,
        served: &Served,
        (head_branch, base_branch): (&str, &str),
        (title, body): (&str, &str),
    ) -> Result<PullRequest, Fault> {
        let title = title.trim().to_owned();
        if title.is_empty() {
            return Err(Fault::permanent("a pull request needs a title; this one is empty"));
        }
        if head_branch == base_branch {
            return Err(Fault::permanent(format!("a pull request from {head_branch} into itself")));
        }
        // A merge that was cut off may have landed: then the row below is not open any more, and a new one is due.
        let (project, branch) = (served.key.clone(), head_branch.to_owned());
        let open = self.db.read("find an open pull request", move |t| pulls::open_from(t, &project, &branch)).await?;
        if let Some(row) = open {
            self.load(served, row.number).await?;
        }
        let tips = served.heads(&[head_branch, base_branch]).await?;
        let [Some(head), base] = &tips[..] else {
            return Err(no_branch(format!("there is no branch {head_branch} to open a pull request from")));
        };
        let head = head.clone();
        if base.is_none() {
            return Err(no_branch(format!("there is no branch {base_branch} to open a pull request into")));
        }
        let (project, at, body) = (served.key.clone(), self.clock.now(), body.to_owned());
        let (head_branch, base_branch, tip) = (head_branch.to_owned(), base_branch.to_owned(), head.clone());
        let sharing = self.repositories.sharing(&project);
        let row = self
            .db
            .write("open a pull request", move |t| {
                if let Some(row) = pulls::open_from(t, &project, &head_branch)? {
                    return Ok(row);
                }
                let number =
                    pulls::insert(t, (&project, &sharing), (&title, &body), (&head_branch, &base_branch), &head, at)?;
                pulls::read(t, &project, number)
            })
            .await?;
        self.show_at(served, row, Some(tip)).await
    }

    pub(super) async fn close(&self, served: &Served, number: u64) -> Result<(), Fault> {
        // Not while it is being merged: the answer to "closed or merged?" must not depend on who wrote last.
        let _turn = served.shared.merging.lock().await;
        let row = self.load(served, number).await?;
        if matches!(row.life, Life::Merged(_) | Life::Closed) {
            return Ok(());
        }
        if let Life::Merging(intent) = &row.life {
            served.quiet(intent).await?;
        }
        let head = served.head(&row.head_branch).await?.unwrap_or(row.last_head);
        let (project, at) = (served.key.clone(), self.clock.now());
        self.db.write("close a pull request", move |t| pulls::close(t, &project, number, &head, at)).await
    }
}

/// A row as the port shows it, its branch being at `tip`.
fn told(served: &Served, row: PullRow, tip: Option<Sha>, mergeable: Option<bool>) -> PullRequest {
    let (state, merge_commit) = match row.life {
        Life::Merged(commit) => (PullState::Merged, Some(commit)),
        // A pull request whose branch was deleted is closed for as long as the branch is away.
        Life::Open | Life::Merging(_) if tip.is_some() => (PullState::Open, None),
        Life::Open | Life::Merging(_) | Life::Closed => (PullState::Closed, None),
    };
    PullRequest {
        number: row.number,
        title: row.title,
        head_branch: row.head_branch,
        head: tip.unwrap_or(row.last_head),
        base_branch: row.base_branch,
        state,
        // Nobody else can merge here: who pushes to the default branch has merged no pull request.
        merged_by: merge_commit.is_some().then(Actor::orch),
        merge_commit,
        mergeable,
        url: url_of(&served.remote.url, row.number),
    }
}

/// Something a terminal or a browser can open, and a person can tell the number from.
pub(super) fn url_of(remote: &str, number: u64) -> String {
    if !remote.starts_with('/') {
        return format!("{remote}#{number}");
    }
    let mut path = String::with_capacity(remote.len());
    for c in remote.chars() {
        match c {
            '%' => path.push_str("%25"),
            '#' => path.push_str("%23"),
            '?' => path.push_str("%3F"),
            ' ' => path.push_str("%20"),
            _ => path.push(c),
        }
    }
    format!("file://{path}#{number}")
}

fn no_branch(text: String) -> Fault {
    Fault::gone(text).coded(FaultCode::NoSuchBranch)
}
