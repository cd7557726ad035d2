//! Agents under supervisors: they run, and leave code and papers; what they left is committed and pushed.

use super::{again, docs, fault, papers, transient};
use crate::outside;
use crate::repo::{BINARY, MARKERS, Tree, hash, is_code, mended, red, side};
use crate::sim::{Flight, Live, Sim};
use crate::site::{Left, Place, Plan, Run};
use orch_core::conflict::{self, Conflict, Resolution, Resolved, Take};
use orch_core::effect::Outcome;
use orch_core::ids::{Role, Seq, StageId, Time};
use orch_core::retry::{Charge, Tried};
use orch_core::verdict::{FaultKind, Finding};
use orch_core::word::Word;
use orch_store::{ArtefactRow, RunRow};

/// A run as it is written down when it begins.
fn row(f: &Flight, started: Time) -> RunRow {
    RunRow {
        task: f.task.id,
        job: f.job.id.seq,
        attempt: f.job.run_attempt,
        what: f.job.effect.describe().into(),
        program: "sim".into(),
        stage: f.task.stage().clone(),
        dir: format!("{}-{}", f.job.id, f.job.run_attempt),
        revision: None,
        started,
        ended: None,
        end: None,
        ok: None,
        usage: orch_ports::agent::Usage::default(),
        model: None,
        session: None,
        summary: None,
        class: None,
        version: None,
        sandbox: None,
    }
}

impl Sim {
    /// Starts a program under its supervisor, or finds it again. `None`: it still runs.
    pub(super) fn supervised(&mut self, f: &Flight, place: Place, plan: Plan) -> Live<Option<Result<Run, Tried>>> {
        let key = (f.job.id, f.job.run_attempt);
        let project = f.task.project.clone();
        if !self.site(&project)?.runs.contains_key(&key) {
            let row = row(f, self.now);
            let fence = f.job.fence();
            if !self.evidence("put_run", fence, async |s| s.put_run(fence, row).await)? {
                return Ok(Some(Err(transient("the claim is somebody else's by now"))));
            }
            let agent = matches!(place, Place::Worktree(_));
            let cost = if agent { self.choices.below("cost", 5) as u64 * 200_000 } else { 0 };
            let site = self.site(&project)?;
            outside::invariant_programs_run_alone(site, place, key)?;
            let revision = match &f.job.effect {
                orch_core::effect::Effect::Deploy { revision, .. } => Some(revision.clone()),
                _ => None,
            };
            if let (Place::Environment(environment), Some(revision)) = (place, &revision) {
                outside::invariant_a_hook_runs_once(self, f, environment, revision)?;
                outside::invariant_no_deploy_passes_a_failure(self, f, environment, revision)?;
            }
            if let Some(reserved) = self.ledger.reserved.get_mut(&key) {
                reserved.begun = true;
            }
            let site = self.site(&project)?;
            site.runs.insert(key, Run { plan, place, over: false, killed: false, cost, left: false, revision });
            self.say(|| format!("   {place:?}: run {}-{} starts", key.0, key.1));
        }
        let long = if matches!(place, Place::Environment(_)) { 500 } else { 300 };
        let goes_on = !f.stop && self.choices.chance("goes on", long);
        let site = self.site(&project)?;
        let Some(run) = site.runs.get_mut(&key) else { return Ok(None) };
        // Whoever comes late only reads what was the end of it before.
        let ends_now = !run.over;
        if ends_now {
            if goes_on {
                return Ok(None);
            }
            run.over = true;
            run.killed = f.stop;
        }
        let run = run.clone();
        if let (Place::Environment(environment), Some(revision), true) = (run.place, &run.revision, run.answered())
            && ends_now
        {
            self.ledger.hooked.insert((project, environment, revision.clone()), f.task.id);
        }
        Ok(Some(Ok(run)))
    }

    pub(super) fn run_agent(&mut self, f: &Flight, role: &Role, stage: &StageId) -> Live<Option<Tried>> {
        // What is to be stopped before it began does not begin.
        if f.stop && !self.site(&f.task.project)?.runs.contains_key(&(f.job.id, f.job.run_attempt)) {
            return Ok(Some(Tried::Outcome(Outcome::Cancelled)));
        }
        let plan = if self.stumbles(f, role) {
            Plan::Denied
        } else if self.hit("agent fails", 60) {
            Plan::Fails
        } else if self.hit("agent meets a limit", 40) {
            Plan::Transient
        } else if self.hit("agent is denied", 10) {
            Plan::Denied
        } else if self.hit("supervisor lost", 40) {
            Plan::Lost
        } else if self.hit("agent says a word", 60) {
            let reason = "because".to_owned();
            // Only a developer can mean the last one, so that it is said by them more often than the others.
            Plan::Says(match self.choices.below("word", if role.as_str() == "developer" { 6 } else { 4 }) {
                0 => Word::Unable { reason },
                1 | 2 => Word::Return { stage: "analysis".into(), reason },
                _ => Word::NoChange { reason },
            })
        } else if self.hit("agent asks", 60) {
            Plan::Asks("which colour?".into())
        } else {
            Plan::Well
        };
        let run = match self.supervised(f, Place::Worktree(f.task.id), plan)? {
            None => return Ok(None),
            Some(Err(ended)) => return Ok(Some(ended)),
            Some(Ok(run)) => run,
        };
        // What it cost is known before anybody is told that it is over.
        let (fence, key) = (f.job.fence(), (f.job.id, f.job.run_attempt));
        let mut row = row(f, self.now);
        row.ended = Some(self.now);
        row.usage.cost_usd = run.cost as f64 / 1e6;
        if !self.evidence("put_run", fence, async |s| s.put_run(fence, row).await)? {
            return Ok(Some(transient("the claim is somebody else's by now")));
        }
        self.ledger.costs.insert(key, run.cost);
        if run.killed {
            return Ok(Some(Tried::Outcome(Outcome::Cancelled)));
        }
        if !run.left {
            let key = (f.job.id, f.job.run_attempt);
            if let Some(run) = self.site(&f.task.project)?.runs.get_mut(&key) {
                run.left = true;
            }
            let idle = matches!(&run.plan, Plan::Says(Word::NoChange { .. }));
            self.leave(f, role, stage, idle)?;
        }
        let resolved = self.site(&f.task.project)?.left.get(&f.task.id).map(|l| l.said.clone()).unwrap_or_default();
        let again = |charge, kind, text: &str| again(charge, true, kind, text);
        Ok(Some(match run.plan {
            Plan::Well => Tried::Outcome(Outcome::AgentFinished { question: None, resolved }),
            Plan::Says(word) => Tried::Outcome(Outcome::AgentSaid { word, resolved }),
            Plan::Asks(question) => Tried::Outcome(Outcome::AgentFinished { question: Some(question), resolved }),
            Plan::Fails => again(Charge::Attempt, FaultKind::Permanent, "the run failed"),
            Plan::Transient => again(Charge::Transient, FaultKind::Transient, "a usage limit"),
            Plan::Lost => again(Charge::Transient, FaultKind::Transient, "the supervisor died with the run"),
            Plan::Denied => Tried::Outcome(Outcome::Failed { fault: fault(FaultKind::Denied, "no access") }),
        }))
    }

    /// What an agent leaves in its working directory: code by developers, papers by the others.
    fn leave(&mut self, f: &Flight, role: &Role, stage: &StageId, idle: bool) -> Live<()> {
        let task = &f.task;
        let (lazy, bad, missing) = (
            self.hit("developer does nothing", 40) || idle,
            self.hit("developer errs", 250),
            self.hit("paper missing", 120),
        );
        let (garbled, no, stray) =
            (self.hit("paper garbled", 120), self.hit("paper says no", 60), self.hit("agent strays", 40));
        let in_conflict = role.as_str() == "developer" && task.landing.conflict.is_some();
        let markers = self.hit("markers left", 150);
        let silent = in_conflict && self.hit("word missing", 250);
        let untrue = in_conflict && self.hit("word untrue", 150);
        let theirs = in_conflict && self.choices.chance("takes the other side", 400);
        let nit = stage.as_str() == "review" && self.choices.chance("paper has a nit", 300);
        let file = format!("f{}", (task.number + self.choices.below("file", 2) as u64) % 4);
        // What is written follows from one number.
        let written = self.choices.below("content", 10_000) as u64;
        let number = |n: u64| hash(&format!("{written} {n}"));
        let mut tries: Vec<u64> = (0..40).map(|n| (number(n) % 10_000) * 8 + 3 + number(n + 40) % 5).collect();
        if bad {
            let kind = self.choices.below("what is wrong", 3) as u64;
            tries = vec![written * 8 + kind];
        }
        let site = self.site(&task.project)?;
        let head = task.branch.head.clone().unwrap_or_else(|| site.main.clone());
        let mut code = site.repo.code(&head);
        if let Some(conflict) = &task.landing.conflict {
            code = site.repo.merged(&head, &conflict.onto).0;
            code.retain(|path, _| is_code(path));
        }
        let mut left = Left { strayed: stray, run: f.job.id.seq, ..Left::default() };
        if role.as_str() == "developer" {
            if !lazy {
                if let Some(conflict) =
                    task.landing.conflict.as_ref().filter(|c| theirs && c.files.iter().any(|f| f == BINARY))
                    && let Some(content) = site.repo.tree(&conflict.onto).get(BINARY)
                {
                    code.insert(BINARY.to_owned(), *content);
                }
                // Repairs whatever is wrong anywhere, then its own file until all of it goes together.
                for content in code.values_mut() {
                    if if *content == MARKERS { !markers } else { !bad } {
                        *content = mended(*content);
                    }
                }
                for content in tries {
                    code.insert(file.clone(), content);
                    if red(&code).is_none() {
                        break;
                    }
                }
            }
            if let Some(conflict) = &task.landing.conflict
                && !lazy
                && !silent
            {
                left.said = words(conflict, &code, untrue);
            }
            left.code = code;
        } else {
            let judged = site.repo.code(&head);
            for name in papers(stage.as_str()) {
                let refused = match stage.as_str() {
                    "review" => crate::repo::ugly(&judged).is_some(),
                    _ => false,
                };
                let says = if garbled {
                    3
                } else if no || refused {
                    2
                } else if nit {
                    4
                } else {
                    1
                };
                if !missing {
                    // What was asked for is in the paper: another title makes another paper.
                    left.papers.insert((*name).to_owned(), says + 10 * (hash(f.job.id.to_string().as_str()) % 1000));
                }
            }
        }
        // The directory shows only a part: what is absent in it was not deleted.
        left.hidden = self.hit("files are hidden", 40);
        self.site(&task.project)?.left.insert(task.id, left);
        Ok(())
    }

    pub(super) fn publish(&mut self, f: &Flight, role: &Role, stage: &StageId, run: Seq) -> Live<Tried> {
        let task = f.task.clone();
        let developer = role.as_str() == "developer";
        let now = self.now;
        let site = self.site(&task.project)?;
        let base = task.landing.conflict.as_ref().map(|c| c.onto.clone()).or_else(|| task.branch.base.clone());
        let base = base.unwrap_or_else(|| site.main.clone());
        let parent = task.branch.head.clone().unwrap_or_else(|| base.clone());
        let left = site.left.get(&task.id).cloned().unwrap_or_default();
        if developer && left.hidden {
            let findings = vec![Finding::must_fix("nothing is taken: files are absent that the clone did not show")];
            return Ok(Tried::Outcome(Outcome::NotTaken { findings }));
        }
        let mut tree = site.repo.tree(&parent);
        if developer && !left.code.is_empty() {
            tree.retain(|path, _| !is_code(path));
            tree.extend(left.code.clone());
        }
        for (name, says) in &left.papers {
            tree.insert(docs(&task, name), *says);
        }
        let mut parents = vec![parent.clone()];
        parents.extend(task.landing.conflict.as_ref().map(|c| c.onto.clone()));
        let head = if tree == site.repo.tree(&parent) && parents.len() == 1 {
            parent
        } else {
            site.repo.commit(&parents, tree.clone(), &format!("run {run}"))
        };
        let empty = site.repo.code_id(&head) == site.repo.code_id(&base);
        let refused = match &task.landing.conflict {
            Some(record) => {
                let shown = site.repo.shown(&head, record);
                if honest(record, &tree) {
                    site.honest.insert(head.clone());
                }
                conflict::refusals(record, &shown)
            }
            None => Vec::new(),
        };
        let unresolved: Vec<String> = refused.iter().filter_map(|f| f.file.clone()).collect();
        if let Err(now) = self.push(&task, &head)? {
            return Ok(Tried::Outcome(Outcome::BranchMoved { now }));
        }
        let rows: Vec<ArtefactRow> = left
            .papers
            .iter()
            .map(|(name, says)| ArtefactRow {
                task: task.id,
                stage: stage.clone(),
                run,
                name: name.clone(),
                sha256: format!("{says:064x}"),
                bytes: says.to_string().into_bytes(),
                subject: head.to_string(),
                at: now,
            })
            .collect();
        let fence = f.job.fence();
        if !self.evidence("put_artefacts", fence, async |s| s.put_artefacts(fence, rows).await)? {
            return Ok(transient("the claim is somebody else's by now"));
        }
        if let Some(left) = self.site(&task.project)?.left.get_mut(&task.id) {
            left.published = true;
        }
        let discarded = if left.strayed && !developer { vec!["ci.yml".to_owned()] } else { Vec::new() };
        Ok(Tried::Outcome(Outcome::Published { head, empty, discarded, unresolved, refused }))
    }
}

/// What a developer says of the file that is no text: the truth, or not.
fn words(conflict: &Conflict, code: &Tree, untrue: bool) -> Resolution {
    let mut said = Resolution::default();
    for path in conflict.paths.iter().filter(|p| !p.marked) {
        let there = code.get(&path.path).copied().map(side);
        let truth = match &there {
            None => Take::Deleted,
            entry if *entry == path.base => Take::Base,
            entry if *entry == path.branch => Take::Branch,
            Some(_) => Take::Edited,
        };
        let lie = if truth == Take::Deleted { Take::Edited } else { Take::Deleted };
        let take = if untrue { lie } else { truth };
        said.takes.push(Resolved { path: path.path.clone(), take, why: String::new() });
    }
    said
}

/// Is everything resolved, as this world sees it? It looks at the files and the words itself and asks the core nothing.
fn honest(record: &Conflict, tree: &Tree) -> bool {
    let told_truly = |file: &String| {
        let word = record.answer.takes.iter().rev().find(|t| t.path == *file).map(|t| t.take);
        let there = tree.get(file).copied().map(side);
        let of = record.paths.iter().find(|p| p.path == *file);
        match (word, of) {
            (Some(Take::Deleted), _) => there.is_none(),
            (Some(Take::Base), Some(path)) => there == path.base,
            (Some(Take::Branch), Some(path)) => there == path.branch,
            (Some(Take::Edited), Some(path)) => there.is_some() && there != path.base && there != path.branch,
            _ => false,
        }
    };
    !tree.values().any(|c| *c == MARKERS) && record.files.iter().filter(|f| *f == BINARY).all(told_truly)
}
