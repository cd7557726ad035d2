//! What is kept of a default branch: where it was seen last, and each move of somebody else's, for good.

use crate::engine::Engine;
use crate::project::Project;
use orch_core::ids::{ProjectKey, Sha, Time, WorkItem};
use orch_ports::Fault;
use orch_ports::git::CommitLine;
use orch_store::Fact;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError};

/// Where the default branch is, as far as orch has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainRecord {
    /// Its tip.
    pub tip: Sha,
    /// When that was seen.
    pub seen_at: Time,
    /// How often somebody else has moved it; each is kept under its number.
    pub moves: u64,
    /// Up to which of them everybody who must hear of it has been told.
    pub told: u64,
    /// The first of them that nobody has approved, where only orch may move it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// Pull requests of documents that orch has asked the forge to merge, and has not read back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentsAsked>,
}

impl MainRecord {
    /// What is kept at the first look.
    pub(super) fn first(tip: &Sha, seen_at: Time) -> Self {
        Self { tip: tip.clone(), seen_at, moves: 0, told: 0, pending: None, documents: Vec::new() }
    }
}

/// A pull request of a task's documents that orch has asked the forge to merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentsAsked {
    /// Whose documents.
    pub work_item: WorkItem,
    /// Its number.
    pub pull_request: u64,
    /// What was asked for.
    pub head: Sha,
}

/// That somebody else has moved the default branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainMove {
    /// Which one, from 1.
    pub n: u64,
    /// Where orch had seen it.
    pub from: Sha,
    /// Where it was then.
    pub to: Sha,
    /// When orch saw it.
    pub seen_at: Time,
    /// Was it taken back, or put elsewhere, instead of moved on?
    pub rewound: bool,
    /// What came in, newest first.
    pub commits: Vec<CommitLine>,
    /// What is gone, where it was rewound.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<CommitLine>,
    /// Is there more of either?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// What of it a person would have had to approve, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protected: Vec<String>,
    /// Tasks whose own pull requests came in with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<WorkItem>,
}

impl MainMove {
    /// Must a person hear of it?
    pub(super) fn is_news(&self) -> bool {
        self.rewound || !self.protected.is_empty()
    }

    /// In lines, for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.rewound {
            lines.push(format!("it was rewound: it was {}", self.from.short()));
        }
        let line = |c: &CommitLine| format!("{} {}: {}", c.id.short(), c.author, c.subject);
        lines.extend(self.commits.iter().map(line));
        lines.extend(self.gone.iter().map(|c| format!("gone: {}", line(c))));
        if self.more {
            lines.push("and more".into());
        }
        lines.extend(self.tasks.iter().map(|item| format!("the pull request of {item} came in with it")));
        lines.extend(self.protected.iter().cloned());
        lines
    }
}

/// A merge of a pull request.
pub(super) struct Merge {
    /// What was merged.
    pub(super) head: Sha,
    /// As what.
    pub(super) commit: Sha,
}

/// One at a time looks at the default branch of a repository.
pub(super) fn turn(engine: &Engine, project: &Project) -> Arc<tokio::sync::Mutex<()>> {
    let mut all = engine.looking.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(all.entry(project.repository.clone()).or_default())
}

pub(super) fn key(repository: &ProjectKey) -> Fact {
    Fact::Main(repository.clone())
}

pub(super) async fn read(engine: &Engine, project: &ProjectKey) -> Result<Option<MainRecord>, Fault> {
    let text = engine.ports.store.recall(&key(project)).await?;
    let read = text.map(|text| serde_json::from_str(&text)).transpose();
    read.map_err(|e| Fault::bug(format!("the record of main of {project} cannot be read: {e}")))
}

pub(super) async fn read_move(engine: &Engine, project: &ProjectKey, n: u64) -> Result<Option<MainMove>, Fault> {
    let text = engine.ports.store.recall(&Fact::MainMove(project.clone(), n)).await?;
    let read = text.map(|text| serde_json::from_str(&text)).transpose();
    read.map_err(|e| Fault::bug(format!("move {n} of main of {project} cannot be read: {e}")))
}

pub(super) async fn write<T: Serialize>(engine: &Engine, fact: &Fact, value: &T) -> Result<(), Fault> {
    let text = serde_json::to_string(value).map_err(|e| Fault::bug(e.to_string()))?;
    Ok(engine.ports.store.remember(fact, &text, engine.ports.clock.now()).await?)
}

impl Engine {
    /// Where the default branch of a project is, as far as orch has seen, and what came in otherwise, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn main_of(
        &self,
        project: &ProjectKey,
        limit: usize,
    ) -> Result<Option<(MainRecord, Vec<MainMove>)>, Fault> {
        let repository = self.projects().get(project).map_or_else(|| project.clone(), |p| p.repository.clone());
        let Some(record) = read(self, &repository).await? else { return Ok(None) };
        let mut moves = Vec::new();
        for n in (1..=record.moves).rev().take(limit) {
            moves.extend(read_move(self, &repository, n).await?);
        }
        Ok(Some((record, moves)))
    }
}
