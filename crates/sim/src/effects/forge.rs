//! The branch, its pushes, CI, and the way onto the default branch.

use super::{docs, fault, transient};
use crate::outside;
use crate::repo::{Brought, hash};
use crate::sim::{Flight, Live, Sim};
use crate::site::{Ci, CiState, MergeAnswer, PullState};
use orch_core::effect::{NotMerged, Outcome};
use orch_core::ids::{Actor, Sha};
use orch_core::landing::History;
use orch_core::retry::Tried;
use orch_core::task::{MergeIntent, Phase, Task};
use orch_core::verdict::{FaultKind, Finding};
use orch_store::Fact;

/// Does a task land as one commit on the tip of main?
pub(crate) fn lands_as_one(task: &Task) -> bool {
    task.landing.plan.is_some_and(|l| l.history == History::OneCommit)
}

impl Sim {
    pub(super) fn open_branch(&mut self, f: &Flight) -> Live<Outcome> {
        let task = &f.task;
        let takes_back = task.production.reverting.as_ref().is_some_and(|r| !r.by_hand);
        if let Some(source) = task.branch.source.as_ref().filter(|_| !takes_back) {
            return self.take(f, source);
        }
        let path = docs(task, "00-business-request.md");
        let request = hash(&format!("{}{}", task.title, task.body));
        let site = self.site(&task.project)?;
        if let Some(head) = site.branches.get(&task.branch.name).cloned() {
            let ours = site.repo.tree(&head).get(&path) == Some(&request);
            let base = site.repo.parents(&head).first().cloned().unwrap_or_else(|| site.main.clone());
            return Ok(if ours { Outcome::Opened { head, base } } else { Outcome::BranchMoved { now: Some(head) } });
        }
        let main = site.main.clone();
        let base = match &task.branch.judged {
            Some(judged) if !site.repo.is_ancestor(judged, &main) => return Ok(Outcome::BaseGone),
            Some(judged) => judged.clone(),
            None => main,
        };
        let mut tree = match task.production.reverting.as_ref().filter(|r| !r.by_hand) {
            None => site.repo.tree(&base),
            Some(reverting) => {
                let before = reverting.base.clone().or_else(|| site.repo.parents(&reverting.commit).first().cloned());
                let before = before.unwrap_or_else(|| base.clone());
                match site.repo.taken_back(&base, &reverting.commit, &before) {
                    Ok(tree) => tree,
                    Err(files) => return Ok(Outcome::Conflict { onto: base, files, record: None }),
                }
            }
        };
        tree.insert(path, request);
        let head = site.repo.commit(std::slice::from_ref(&base), tree, "open");
        Ok(match self.push(task, &head)? {
            Ok(()) => Outcome::Opened { head, base },
            Err(now) => Outcome::BranchMoved { now },
        })
    }

    /// Pushes as the engine does: what is about to be pushed is written down first, so that it is recognised later.
    pub(crate) fn push(&mut self, task: &Task, commit: &Sha) -> Live<Result<(), Option<Sha>>> {
        let (fact, now) = (Fact::Pushed(task.id, task.branch.name.clone()), self.now);
        let before = self.db(async |s| s.recall(&fact).await)?.unwrap_or_default();
        let mut ours: Vec<&str> = before.split_whitespace().collect();
        if ours.last() != Some(&commit.as_str()) {
            let from = ours.len().saturating_sub(3);
            let mut next = ours[from..].to_vec();
            next.push(commit.as_str());
            self.db(async |s| s.remember(&fact, &next.join(" "), now).await)?;
        }
        ours.truncate(ours.len());
        let site = self.site(&task.project)?;
        let answer = match site.push(&task.branch.name, commit, task.branch.head.as_ref()) {
            Err(Some(now)) if ours.contains(&now.as_str()) => site.push(&task.branch.name, commit, Some(&now)),
            answer => answer,
        };
        if answer.is_ok() {
            self.reported(task, commit)?;
        }
        Ok(answer)
    }

    /// The forge's own CI sees a push; it may be slow, and it may forget.
    fn reported(&mut self, task: &Task, commit: &Sha) -> Live<()> {
        let (own, known) = {
            let site = self.site(&task.project)?;
            (site.setup.policy.own_ci, site.ci.contains_key(commit))
        };
        if own || known || self.hit("CI report lost", 60) {
            return Ok(());
        }
        let delay = if self.hit("CI report late", 200) { 400_000 } else { 5_000 };
        self.run_ci(task, commit, delay)
    }

    /// A run of CI, true unless it is broken or red by mistake; never green by mistake.
    fn run_ci(&mut self, task: &Task, commit: &Sha, delay_ms: i64) -> Live<()> {
        let broken = self.hit("CI broken", 30);
        let flaky = self.hit("CI flaky red", 40);
        let from = self.now.plus_ms(delay_ms);
        let site = self.site(&task.project)?;
        let state = match site.truth(commit) {
            _ if broken => CiState::Broken,
            CiState::Green if flaky => CiState::Red,
            truth => truth,
        };
        site.ci.insert(commit.clone(), Ci { state, from });
        outside::invariant_green_is_green(site, commit)
    }

    pub(super) fn ensure_ci(&mut self, f: &Flight, commit: &Sha) -> Live<Tried> {
        let known = self.site(&f.task.project)?.ci.get(commit).is_some_and(|c| c.state != CiState::Broken);
        if !known {
            self.run_ci(&f.task, commit, 0)?;
        }
        Ok(Tried::Outcome(Outcome::Sent))
    }

    pub(super) fn update(&mut self, f: &Flight, head: &Sha, lease_epoch: u64) -> Live<Tried> {
        let task = &f.task;
        if self.db(async |s| s.holds_lease(task.id, lease_epoch).await)?.is_none() {
            self.seen.count("answer", "update: lease lost");
            return Ok(Tried::Outcome(Outcome::LeaseLost));
        }
        if self.landed_meanwhile(task, &format!("-{}", f.job.id))? {
            self.seen.count("answer", "update: merged by somebody else");
            return Ok(Tried::Outcome(Outcome::Cancelled));
        }
        let site = self.site(&task.project)?;
        let tip = site.main.clone();
        let pull = task.branch.pull_request.and_then(|n| site.pulls.get(&n));
        if pull.is_some_and(|p| p.state == PullState::Merged && site.pull_head(p).as_ref() == Some(head)) {
            let tree = site.repo.tree_id(head);
            self.seen.count("answer", "update: merged already");
            return Ok(Tried::Outcome(Outcome::Updated {
                head: head.clone(),
                base: tip,
                tree,
                repatched: false,
                voids: false,
            }));
        }
        let mut ready = match site.repo.bring(head, &tip) {
            Brought::UpToDate => head.clone(),
            Brought::Moved(head) => head,
            Brought::Conflict(files) => {
                let record = Some(site.repo.record(head, &tip, &files));
                self.seen.count("answer", "update: conflict");
                return Ok(Tried::Outcome(Outcome::Conflict { onto: tip, files, record }));
            }
        };
        if ready != *head && self.hit("a number is taken twice", 100) {
            self.seen.count("answer", "update: not taken");
            let findings = vec![Finding::must_fix("the number 0007 is given out twice")];
            return Ok(Tried::Outcome(Outcome::NotTaken { findings }));
        }
        let site = self.site(&task.project)?;
        if lands_as_one(task) {
            ready = site.one_commit(&ready, &tip);
        }
        if task.branch.source.is_some() && ready == tip {
            self.seen.count("answer", "update: nothing to land");
            return Ok(Tried::Outcome(Outcome::NotTaken {
                findings: vec![Finding::must_fix("main has all of it already")],
            }));
        }
        // Whether main has changed files of the branch is a matter of the two alone: whoever prepares it sees the same.
        let asked = site.setup.dismisses && site.setup.review_on_forge && task.pipeline.approval_at().is_some();
        let voids = asked && !site.repo.is_ancestor(&tip, head) && hash(head.as_str()).is_multiple_of(2);
        let first = site.branches.get(&task.branch.name) == Some(head);
        // Main has changed what is around the branch's changes.
        let repatched = ready != *head && self.hit("update: another patch", 150);
        if let Err(now) = self.push(task, &ready)? {
            return Ok(Tried::Outcome(Outcome::BranchMoved { now }));
        }
        // A late worker that pushes once more finds nothing to dismiss.
        if voids && first {
            self.seen.count("answer", "update: approval dismissed");
            self.site(&task.project)?.dismissed.insert(task.id);
        }
        let tree = self.site(&task.project)?.repo.tree_id(&ready);
        Ok(Tried::Outcome(Outcome::Updated { head: ready, base: tip, tree, repatched, voids }))
    }

    pub(super) fn merge(&mut self, f: &Flight, number: u64, intent: &MergeIntent) -> Live<Tried> {
        let task = &f.task;
        if matches!(task.phase, Phase::Stopping { .. }) {
            if let Some(pull) = self.site(&task.project)?.pulls.get_mut(&number).filter(|p| p.state == PullState::Open)
            {
                pull.state = PullState::Closed;
            }
            self.seen.count("answer", "merge: withdrawn");
            let landed = self.landed(task, number, intent)?;
            return Ok(Tried::Outcome(landed.unwrap_or(Outcome::Cancelled)));
        }
        if let Some(outcome) = self.landed(task, number, intent)? {
            return Ok(Tried::Outcome(outcome));
        }
        let refused =
            |text: &str| Ok(Tried::Outcome(Outcome::NotMerged { why: NotMerged::Refused { text: text.into() } }));
        if self.hit("merge given up", 220) {
            return Ok(Tried::Outcome(Outcome::Failed { fault: fault(FaultKind::Denied, "nobody may look") }));
        }
        let site = self.site(&task.project)?;
        let pull = site.pulls.get(&number).cloned();
        match &pull {
            Some(pull) if pull.state == PullState::Open => {
                if site.pull_head(pull).as_ref() != Some(&intent.head) {
                    return Ok(Tried::Outcome(Outcome::NotMerged { why: NotMerged::HeadMoved }));
                }
            }
            _ => return refused("the pull request was closed by somebody"),
        }
        if self.is_on_hold(f) && !f.blind {
            self.seen.count("answer", "merge: on hold");
            return Ok(Tried::Outcome(Outcome::NotMerged { why: NotMerged::OnHold }));
        }
        // Last look before the act. A blind worker was paused right behind it.
        let holds = self.db(async |s| s.holds_lease(task.id, intent.lease_epoch).await)?.is_some();
        if !holds && !f.blind {
            self.seen.count("answer", "merge: lease lost");
            return Ok(Tried::Outcome(Outcome::LeaseLost));
        }
        let ours = self.ledger.holds(f.job.fence());
        if !ours && !f.blind {
            return Ok(transient("the claim is somebody else's by now"));
        }
        // Somebody else was paused in the middle of this very merge: what does it do when it wakes?
        let again = self.flights.iter().any(|g| g.job.id == f.job.id && g.job.epoch < f.job.epoch);
        if self.hit("forge refuses", if again { 950 } else { 180 }) {
            return refused("protected by a rule");
        }
        if self.hit("main moves before the merge", 180) {
            self.outsider_pushes(&task.project.clone())?;
        }
        let lies = self.hit("forge merges another tree", 130);
        let answer = self.site(&task.project)?.merge(number, &intent.head, task.id, f.blind && !(holds && ours), lies);
        if matches!(answer, MergeAnswer::Merged) {
            let landed = self.site(&task.project)?.landed.last().cloned();
            self.say(|| format!("   forge: merged {} of {}", intent.head.short(), task.work_item));
            if let Some(landed) = landed {
                outside::after_merge(self, task, &landed, intent.lease_epoch)?;
            }
            self.others_see_main_move(&task.project)?;
            if self.hit("forge hides its merge", 220) {
                return Ok(transient("the forge does not answer"));
            }
        }
        if let Some(outcome) = self.landed(task, number, intent)? {
            return Ok(Tried::Outcome(outcome));
        }
        match answer {
            MergeAnswer::Merged => Ok(transient("merged, not shown yet")),
            MergeAnswer::HeadMoved => Ok(Tried::Outcome(Outcome::NotMerged { why: NotMerged::HeadMoved })),
            MergeAnswer::BaseMoved => Ok(Tried::Outcome(Outcome::NotMerged { why: NotMerged::BaseMoved })),
            MergeAnswer::Refused(text) => refused(&text),
        }
    }

    fn landed(&mut self, task: &Task, number: u64, intent: &MergeIntent) -> Live<Option<Outcome>> {
        let site = self.site(&task.project)?;
        let pull = site.pulls.get(&number).filter(|p| p.state == PullState::Merged).cloned();
        let commit = match &pull {
            Some(pull) => pull.merge_commit.clone(),
            None => site.repo.is_ancestor(&intent.head, &site.main).then(|| intent.head.clone()),
        };
        let Some(commit) = commit else { return Ok(None) };
        let tree = site.repo.tree_id(&commit);
        let by = pull.as_ref().and_then(|p| p.merged_by.clone());
        let stranger = by.as_ref().is_some_and(|by| *by != Actor::orch())
            || pull.as_ref().is_some_and(|p| p.head.as_ref() != Some(&intent.head));
        if stranger && tree != intent.tree {
            self.seen.count("answer", "merge: landed otherwise");
            return Ok(Some(Outcome::LandedOtherwise { commit, tree, by }));
        }
        Ok(Some(Outcome::Merged { commit, tree }))
    }
}
