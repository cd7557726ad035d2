//! The only thing that moves a default branch. A merge writes down what it is about to do, moves the branch by
//! compare-and-swap (of a remote by a push with the expected commit), reads it back whatever the answer was, and writes
//! down that it moved; a crash at any point leaves a state that the next look resolves by asking the repository whether the
//! intended commit landed. It never retries by itself and never merges anything but the head it was told.

use super::State;
use super::pulls::{self, Intent, Life, Line, PullRow};
use super::repo::MergedTree;
use super::served::Served;
use super::there::Pushed;
use orch_core::ids::Sha;
use orch_core::verdict::FaultKind;
use orch_ports::Fault;
use orch_ports::forge::{MergeAnswer, MergeMethod};

impl State {
    /// Reads a pull request; if a merge of it was cut off, first finds out whether it happened.
    pub(super) async fn load(&self, served: &Served, number: u64) -> Result<PullRow, Fault> {
        let project = served.key.clone();
        let row = self.db.read("read a pull request", move |t| pulls::read(t, &project, number)).await?;
        let Life::Merging(intent) = &row.life else { return Ok(row) };
        let tip = served.head(&row.base_branch).await?;
        if !contains(served, &row.base_branch, tip.as_ref(), intent).await? {
            return Ok(row);
        }
        self.finish(served, (number, &row.base_branch), intent, "found by a later look").await?;
        let project = served.key.clone();
        self.db.read("read a pull request", move |t| pulls::read(t, &project, number)).await
    }

    /// Ends every merge that was begun before this process: it landed, or it never will.
    pub(super) async fn settle_begun_merges(&self, served: &Served) -> Result<(), Fault> {
        let project = served.key.clone();
        for row in self.db.read("find begun merges", move |t| pulls::merging(t, &project)).await? {
            let Life::Merging(begun) = &row.life else { continue };
            let ended = async {
                served.quiet(begun).await?;
                if let Life::Merging(intent) = self.load(served, row.number).await?.life {
                    self.abandon(served, row.number, intent, "cut off before the branch moved").await?;
                }
                Ok(())
            };
            match ended.await {
                // A remote that does not answer now: the next look at the pull request asks again.
                Err(Fault { kind: FaultKind::Transient, .. }) if served.there.is_some() => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Compare-and-merge. Runs to its end even if the caller stops waiting.
    pub(super) async fn merge(
        &self,
        served: &Served,
        number: u64,
        (expect_head, expect_base): (&Sha, Option<&Sha>),
        method: MergeMethod,
        message: &str,
    ) -> Result<MergeAnswer, Fault> {
        let _turn = served.shared.merging.lock().await;
        let row = self.load(served, number).await?;
        match &row.life {
            Life::Merged(commit) if row.last_head == *expect_head => {
                return Ok(MergeAnswer::Merged { commit: commit.clone() });
            }
            Life::Merged(commit) => {
                let why = format!("already merged as {commit}, with head {} instead", row.last_head);
                return Ok(MergeAnswer::Refused { why });
            }
            Life::Closed => return Ok(MergeAnswer::Refused { why: "the pull request is closed".into() }),
            Life::Merging(begun) => served.quiet(begun).await?,
            Life::Open => {}
        }
        let tips = served.heads(&[&row.head_branch, &row.base_branch]).await?;
        let intent = match (tips.first().cloned().flatten(), tips.get(1).cloned().flatten()) {
            (head, _) if head.as_ref() != Some(expect_head) => Err(MergeAnswer::HeadMoved),
            (_, None) => Err(MergeAnswer::Refused { why: format!("there is no branch {}", row.base_branch) }),
            (_, Some(base)) if expect_base.is_some_and(|expected| *expected != base) => Err(MergeAnswer::BaseMoved),
            (_, Some(old_base)) => plan(served, &row, expect_head, old_base, method, message).await?,
        };
        let intent = match intent {
            Ok(intent) => intent,
            Err(answer) => {
                self.log_refusal(served, number, expect_head, &answer).await?;
                return Ok(answer);
            }
        };

        let (project, at, stored) = (served.key.clone(), self.clock.now(), intent.clone());
        let name = method_name(method);
        self.db.write("begin a merge", move |t| pulls::intend(t, &project, number, &stored, name, at)).await?;

        let why = format!("orch: merge pull request #{number}");
        let moved = served.compare_and_move(&row.base_branch, &intent, &why).await;
        // Whatever git said, the branch tells what happened.
        let tip = served.head(&row.base_branch).await?;
        if !contains(served, &row.base_branch, tip.as_ref(), &intent).await? {
            if tip.as_ref() != Some(&intent.old_base) {
                self.abandon(served, number, intent, "the base branch moved").await?;
                return Ok(MergeAnswer::BaseMoved);
            }
            let doing = format!("move branch {}", row.base_branch);
            return match moved {
                Ok(Pushed::Refused(why)) => {
                    self.abandon(served, number, intent, "the remote refused it").await?;
                    Ok(MergeAnswer::Refused { why })
                }
                // Done or not, it does not show: the intent stays, and the next look asks again.
                Ok(Pushed::Look) => Err(Fault::transient(format!("{doing}: the branch is where it was"))),
                Err(fault) => Err(fault.context(doing)),
            };
        }
        self.finish(served, (number, &row.base_branch), &intent, name).await?;
        Ok(MergeAnswer::Merged { commit: intent.intended })
    }

    /// Records that a merge landed. What it says is on disk is on disk.
    async fn finish(
        &self,
        served: &Served,
        (number, base): (u64, &str),
        intent: &Intent,
        how: &'static str,
    ) -> Result<(), Fault> {
        served.keep(base, intent).await?;
        let (project, at, intent) = (served.key.clone(), self.clock.now(), intent.clone());
        self.db.write("record a merge", move |t| pulls::finish(t, &project, number, &intent, how, at)).await
    }

    async fn abandon(&self, served: &Served, number: u64, intent: Intent, why: &'static str) -> Result<(), Fault> {
        let (project, at) = (served.key.clone(), self.clock.now());
        self.db.write("abandon a merge", move |t| pulls::abandon(t, &project, number, &intent, why, at)).await
    }

    async fn log_refusal(&self, served: &Served, number: u64, head: &Sha, answer: &MergeAnswer) -> Result<(), Fault> {
        let detail = match answer {
            MergeAnswer::HeadMoved => "the head moved".to_owned(),
            MergeAnswer::BaseMoved => "the base branch moved".to_owned(),
            MergeAnswer::Refused { why } => why.clone(),
            MergeAnswer::Merged { .. } => return Ok(()),
        };
        let (project, at, head) = (served.key.clone(), self.clock.now(), head.clone());
        self.db
            .write("log a refused merge", move |t| {
                let line = Line {
                    number: Some(number),
                    effect: "merge-refused",
                    detail: &detail,
                    head: Some(&head),
                    ..Line::default()
                };
                pulls::log(t, &project, &line, at)
            })
            .await
    }
}

/// What the merge would do, or why it will not.
async fn plan(
    served: &Served,
    row: &PullRow,
    head: &Sha,
    old_base: Sha,
    method: MergeMethod,
    message: &str,
) -> Result<Result<Intent, MergeAnswer>, Fault> {
    let repo = &served.repo;
    served.bring(&[(&row.head_branch, head), (&row.base_branch, &old_base)]).await?;
    if *head == old_base {
        let why = format!("nothing to merge: {} is at {} already", row.base_branch, head.short());
        return Ok(Err(MergeAnswer::Refused { why }));
    }
    let intended = match method {
        MergeMethod::FastForwardOnly => {
            if !repo.is_ancestor(&old_base, head).await? {
                return Ok(Err(MergeAnswer::BaseMoved));
            }
            head.clone()
        }
        MergeMethod::Merge | MergeMethod::Squash => {
            if repo.is_ancestor(head, &old_base).await? {
                let why = format!("nothing to merge: {} contains {} already", row.base_branch, head.short());
                return Ok(Err(MergeAnswer::Refused { why }));
            }
            let tree = match repo.merge_tree(&old_base, head).await? {
                MergedTree::Clean(tree) => tree,
                MergedTree::Conflict(files) => {
                    let why = format!("conflict with {} in {}", row.base_branch, files.join(", "));
                    return Ok(Err(MergeAnswer::Refused { why }));
                }
            };
            let both = [&old_base, head];
            let parents = if method == MergeMethod::Merge { &both[..] } else { &both[..1] };
            let message = if message.trim().is_empty() { row.title.as_str() } else { message };
            repo.commit(&tree, parents, head, &format!("{}\n", message.trim_end())).await?
        }
    };
    Ok(Ok(Intent { expect_head: head.clone(), old_base, intended }))
}

/// Did a merge land in this branch, which is at `tip`?
async fn contains(served: &Served, branch: &str, tip: Option<&Sha>, intent: &Intent) -> Result<bool, Fault> {
    match tip {
        Some(tip) if *tip == intent.intended => Ok(true),
        Some(tip) if *tip == intent.old_base => Ok(false),
        Some(tip) => {
            served.bring(&[(branch, tip)]).await?;
            // A commit whose objects did not survive a crash cannot be in any branch.
            let commit = &intent.intended;
            Ok(served.repo.has_commit(commit).await? && served.repo.is_ancestor(commit, tip).await?)
        }
        None => Ok(false),
    }
}

fn method_name(method: MergeMethod) -> &'static str {
    match method {
        MergeMethod::FastForwardOnly => "fast-forward-only",
        MergeMethod::Merge => "merge",
        MergeMethod::Squash => "squash",
    }
}
