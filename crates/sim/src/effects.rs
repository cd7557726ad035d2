//! Executors against the modelled outside, of the same shape as the real ones: look first, act, report the truth. What
//! they know of their task is what it was when they began, which for a worker that was paused is the past.

use crate::outside;
use crate::repo::{Brought, MARKERS, hash, is_code, red};
use crate::sim::{Ended, Flight, Live, Sim};
use crate::site::{Ci, CiState, Left, MergeAnswer, Place, Plan, PullState, Run};
use orch_core::effect::{Effect, NotMerged, Outcome};
use orch_core::ids::{Environment, Role, Seq, Sha, StageId};
use orch_core::task::{DoneOutcome, MergeIntent, Phase, Task};
use orch_core::verdict::{FaultKind, FaultNote};
use orch_store::{ArtefactRow, Deployment, RunRow, Store};

pub(crate) fn fault(kind: FaultKind, text: &str) -> FaultNote {
    FaultNote { kind, text: text.into() }
}

fn transient(text: &str) -> Ended {
    Ended::Again { spend: false, new_run: false, fault: fault(FaultKind::Transient, text) }
}

fn docs(task: &Task, name: &str) -> String {
    format!("{}/{name}", task.artefact_dir())
}

/// Papers a stage leaves behind.
pub(crate) fn papers(stage: &str) -> &'static [&'static str] {
    match stage {
        "analysis" => &["01-brd.md", "04-test-plan.yaml"],
        "architecture" => &["06-adr/ADR-001.md"],
        "review" => &["12-review.md"],
        "testing" => &["13-test-report.md"],
        _ => &[],
    }
}

impl Sim {
    /// `None`: it is still going on.
    pub(crate) fn ensure(&mut self, f: &Flight) -> Live<Option<Ended>> {
        let done = |o: Outcome| Ok(Some(Ended::Outcome(o)));
        match &f.job.effect {
            Effect::OpenBranch => done(self.open_branch(f)?),
            Effect::RunAgent { role, stage, .. } => self.run_agent(f, role, stage),
            Effect::Publish { role, stage, run } => self.publish(f, role, stage, *run).map(Some),
            Effect::EnsurePullRequest => {
                let site = self.site(&f.task.project)?;
                let known =
                    f.task.pull_request.filter(|n| site.pulls.get(n).is_some_and(|p| p.state == PullState::Open));
                let number = known.unwrap_or_else(|| site.ensure_pull(&f.task.branch));
                outside::invariant_one_pull_request_per_branch(site, &f.task.branch)?;
                done(Outcome::PullRequestOpen { number })
            }
            Effect::Judge { gate, stage, head, run, since, .. } => {
                self.judge(f, *gate, stage, head, *run, *since).map(Some)
            }
            Effect::Deploy { environment, revision, stage } => self.deploy(f, *environment, revision, stage),
            Effect::Rollback { environment, failed } => self.roll_back(f, *environment, failed),
            Effect::Update { head, lease_epoch } => self.update(f, head, *lease_epoch).map(Some),
            Effect::Merge { pull_request, intent } => self.merge(f, *pull_request, intent).map(Some),
            Effect::Watch { revision, .. } => self.watch(f, revision),
            Effect::EnsureCi { commit } => self.ensure_ci(f, commit).map(Some),
            Effect::SyncTicket => {
                // It shows the task as it is now, not as it was when the job was made or claimed.
                let task = self.tasks.get(&f.task.id).unwrap_or(&f.task);
                let shown = outside::ticket(task);
                self.site(&f.task.project)?.tickets.insert(f.task.id, shown);
                done(Outcome::Sent)
            }
            Effect::Notify { key, text } => {
                let site = self.site(&f.task.project)?;
                outside::invariant_notices_are_keyed(site, key, text)?;
                site.notices.insert(key.clone(), text.clone());
                done(Outcome::Sent)
            }
            Effect::CleanUp => {
                let task = &f.task;
                if task.is_closed() {
                    let site = self.site(&task.project)?;
                    if matches!(task.phase, Phase::Cancelled { .. })
                        && task.merged.is_none()
                        && let Some(pull) = task.pull_request.and_then(|n| site.pulls.get_mut(&n))
                        && pull.state == PullState::Open
                    {
                        pull.state = PullState::Closed;
                    }
                    // A cancelled job may have left a program behind that nobody waits for any more.
                    for run in site.runs.values_mut().filter(|r| r.place == Place::Worktree(task.id) && !r.over) {
                        run.over = true;
                        run.killed = true;
                    }
                    site.left.remove(&task.id);
                }
                done(Outcome::Sent)
            }
        }
    }

    fn open_branch(&mut self, f: &Flight) -> Live<Outcome> {
        let task = &f.task;
        let path = docs(task, "00-business-request.md");
        let request = hash(&format!("{}{}", task.title, task.body));
        let site = self.site(&task.project)?;
        if let Some(head) = site.branches.get(&task.branch).cloned() {
            let ours = site.repo.tree(&head).get(&path) == Some(&request);
            let base = site.repo.parents(&head).first().cloned().unwrap_or_else(|| site.main.clone());
            return Ok(if ours { Outcome::Opened { head, base } } else { Outcome::BranchMoved { now: Some(head) } });
        }
        let base = site.main.clone();
        let mut tree = site.repo.tree(&base);
        tree.insert(path, request);
        let head = site.repo.commit(std::slice::from_ref(&base), tree, "open");
        Ok(match self.push(task, &head)? {
            Ok(()) => Outcome::Opened { head, base },
            Err(now) => Outcome::BranchMoved { now },
        })
    }

    /// Pushes as the engine does: what is about to be pushed is written down first, so that it is recognised later.
    fn push(&mut self, task: &Task, commit: &Sha) -> Live<Result<(), Option<Sha>>> {
        let key = format!("pushed/{}/{}", task.id.0, task.branch);
        let before = self.db(async |s| s.setting(&key).await)?.unwrap_or_default();
        let mut ours: Vec<&str> = before.split_whitespace().collect();
        if ours.last() != Some(&commit.as_str()) {
            let from = ours.len().saturating_sub(3);
            let mut next = ours[from..].to_vec();
            next.push(commit.as_str());
            self.db(async |s| s.set_setting(&key, &next.join(" ")).await)?;
        }
        ours.truncate(ours.len());
        let site = self.site(&task.project)?;
        let answer = match site.push(&task.branch, commit, task.head.as_ref()) {
            Err(Some(now)) if ours.contains(&now.as_str()) => site.push(&task.branch, commit, Some(&now)),
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

    fn ensure_ci(&mut self, f: &Flight, commit: &Sha) -> Live<Ended> {
        let known = self.site(&f.task.project)?.ci.get(commit).is_some_and(|c| c.state != CiState::Broken);
        if !known {
            self.run_ci(&f.task, commit, 0)?;
        }
        Ok(Ended::Outcome(Outcome::Sent))
    }

    /// Starts a program under its supervisor, or finds it again. `None`: it still runs.
    fn supervised(&mut self, f: &Flight, place: Place, plan: Plan) -> Live<Option<Result<Run, Ended>>> {
        let key = (f.job.id, f.job.run_attempt);
        let project = f.task.project.clone();
        if !self.site(&project)?.runs.contains_key(&key) {
            let row = RunRow {
                task: f.task.id,
                job: f.job.id.seq,
                attempt: f.job.run_attempt,
                what: f.job.effect.describe(),
                program: "sim".into(),
                stage: f.task.stage().clone(),
                dir: format!("{}-{}", f.job.id, f.job.run_attempt),
                started: self.now,
                ended: None,
                end: None,
                ok: None,
                usage: orch_ports::agent::Usage::default(),
                model: None,
                session: None,
                summary: None,
            };
            let fence = f.job.fence();
            if !self.evidence("put_run", fence, async |s| s.put_run(fence, row).await)? {
                return Ok(Some(Err(transient("the claim is somebody else's by now"))));
            }
            let site = self.site(&project)?;
            outside::invariant_programs_run_alone(site, place, key)?;
            site.runs.insert(key, Run { plan, place, over: false, killed: false, left: false });
            self.say(|| format!("   {place:?}: run {}-{} starts", key.0, key.1));
        }
        let goes_on = !f.stop && self.rng.chance(300);
        let site = self.site(&project)?;
        let Some(run) = site.runs.get_mut(&key) else { return Ok(None) };
        if !run.over {
            if goes_on {
                return Ok(None);
            }
            run.over = true;
            run.killed = f.stop;
        }
        Ok(Some(Ok(run.clone())))
    }

    fn run_agent(&mut self, f: &Flight, role: &Role, stage: &StageId) -> Live<Option<Ended>> {
        let plan = if self.hit("agent fails", 60) {
            Plan::Fails
        } else if self.hit("agent meets a limit", 40) {
            Plan::Transient
        } else if self.hit("agent is denied", 10) {
            Plan::Denied
        } else if self.hit("supervisor lost", 40) {
            Plan::Lost
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
        if run.killed {
            return Ok(Some(Ended::Outcome(Outcome::Cancelled)));
        }
        if !run.left {
            let key = (f.job.id, f.job.run_attempt);
            if let Some(run) = self.site(&f.task.project)?.runs.get_mut(&key) {
                run.left = true;
            }
            self.leave(f, role, stage)?;
        }
        let again = |spend, kind, text: &str| Ended::Again { spend, new_run: true, fault: fault(kind, text) };
        Ok(Some(match run.plan {
            Plan::Well => Ended::Outcome(Outcome::AgentFinished { question: None }),
            Plan::Asks(question) => Ended::Outcome(Outcome::AgentFinished { question: Some(question) }),
            Plan::Fails => again(true, FaultKind::Permanent, "the run failed"),
            Plan::Transient => again(false, FaultKind::Transient, "a usage limit"),
            Plan::Lost => again(false, FaultKind::Transient, "the supervisor died with the run"),
            Plan::Denied => Ended::Outcome(Outcome::Failed { fault: fault(FaultKind::Denied, "no access") }),
        }))
    }

    /// What an agent leaves in its working directory: code by developers, papers by the others.
    fn leave(&mut self, f: &Flight, role: &Role, stage: &StageId) -> Live<()> {
        let task = &f.task;
        let (lazy, bad, missing) =
            (self.hit("developer does nothing", 40), self.hit("developer errs", 250), self.hit("paper missing", 120));
        let (garbled, no, stray) =
            (self.hit("paper garbled", 120), self.hit("paper says no", 60), self.hit("agent strays", 40));
        let markers = self.hit("markers left", 150);
        let file = format!("f{}", (task.number + self.rng.next() % 2) % 4);
        let mut tries: Vec<u64> = (0..40).map(|_| (self.rng.next() % 10_000) * 8 + 3 + self.rng.next() % 5).collect();
        if bad {
            let kind = self.rng.next() % 3;
            tries = vec![(self.rng.next() % 10_000) * 8 + kind];
        }
        let site = self.site(&task.project)?;
        let head = task.head.clone().unwrap_or_else(|| site.main.clone());
        let mut code = site.repo.code(&head);
        if let Some(conflict) = &task.conflict {
            code = site.repo.merged(&head, &conflict.onto).0;
            code.retain(|path, _| is_code(path));
        }
        let mut left = Left { strayed: stray, ..Left::default() };
        if role.as_str() == "developer" {
            if !lazy {
                // Repairs whatever is wrong anywhere, then its own file until all of it goes together.
                for content in code.values_mut() {
                    if *content == MARKERS && !markers || *content % 8 < 3 && *content != MARKERS && !bad {
                        *content = *content / 8 * 8 + 3;
                    }
                }
                for content in tries {
                    code.insert(file.clone(), content);
                    if red(&code).is_none() {
                        break;
                    }
                }
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
                } else {
                    1
                };
                if !missing {
                    // What was asked for is in the paper: another title makes another paper.
                    left.papers.insert((*name).to_owned(), says + 10 * (hash(f.job.id.to_string().as_str()) % 1000));
                }
            }
        }
        site.left.insert(task.id, left);
        Ok(())
    }

    fn publish(&mut self, f: &Flight, role: &Role, stage: &StageId, run: Seq) -> Live<Ended> {
        let task = f.task.clone();
        let developer = role.as_str() == "developer";
        let now = self.now;
        let site = self.site(&task.project)?;
        let base = task.conflict.as_ref().map(|c| c.onto.clone()).or_else(|| task.base.clone());
        let base = base.unwrap_or_else(|| site.main.clone());
        let parent = task.head.clone().unwrap_or_else(|| base.clone());
        let left = site.left.get(&task.id).cloned().unwrap_or_default();
        let mut tree = site.repo.tree(&parent);
        if developer && !left.code.is_empty() {
            tree.retain(|path, _| !is_code(path));
            tree.extend(left.code.clone());
        }
        for (name, says) in &left.papers {
            tree.insert(docs(&task, name), *says);
        }
        let mut parents = vec![parent.clone()];
        parents.extend(task.conflict.as_ref().map(|c| c.onto.clone()));
        let head = if tree == site.repo.tree(&parent) && parents.len() == 1 {
            parent
        } else {
            site.repo.commit(&parents, tree.clone(), &format!("run {run}"))
        };
        let empty = site.repo.code_id(&head) == site.repo.code_id(&base);
        let unresolved: Vec<String> = tree.iter().filter(|(_, c)| **c == MARKERS).map(|(p, _)| p.clone()).collect();
        if let Err(now) = self.push(&task, &head)? {
            return Ok(Ended::Outcome(Outcome::BranchMoved { now }));
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
        let discarded = if left.strayed && !developer { vec!["ci.yml".to_owned()] } else { Vec::new() };
        Ok(Ended::Outcome(Outcome::Published { head, empty, discarded, unresolved }))
    }

    fn hook_log(&mut self, f: &Flight, name: &str, stage: &StageId, revision: &Sha, ok: bool) -> Live<bool> {
        let row = ArtefactRow {
            task: f.task.id,
            stage: stage.clone(),
            run: f.job.id.seq,
            name: name.into(),
            sha256: "0".repeat(64),
            bytes: if ok { b"1".to_vec() } else { b"2".to_vec() },
            subject: revision.to_string(),
            at: self.now,
        };
        let fence = f.job.fence();
        self.evidence("put_artefacts", fence, async |s| s.put_artefacts(fence, vec![row]).await)
    }

    fn bring(&mut self, f: &Flight, environment: Environment, revision: &Sha, ok: bool, rollback: bool) -> Live<bool> {
        let site = self.site(&f.task.project)?;
        outside::invariant_production_runs_what_is_merged(site, environment, revision)?;
        if let Some(env) = site.envs.get_mut(&environment) {
            env.running = Some(revision.clone());
            env.brought.push(revision.clone());
        }
        let deployment = Deployment {
            project: f.task.project.clone(),
            environment,
            revision: revision.clone(),
            task: f.task.id,
            ok,
            rollback,
            at: self.now,
        };
        let fence = f.job.fence();
        self.evidence("put_deployment", fence, async |s| s.put_deployment(fence, deployment).await)
    }

    fn deploy(&mut self, f: &Flight, environment: Environment, revision: &Sha, stage: &StageId) -> Live<Option<Ended>> {
        let setup = &self.site(&f.task.project)?.setup;
        let (hook, name) = match environment {
            Environment::Staging => (setup.staging_hook, "15-staging-log.md"),
            Environment::Production => (setup.production_hook, "14-deploy-log.md"),
        };
        if !hook {
            return Ok(Some(Ended::Outcome(Outcome::Deployed { skipped: Some("nothing to deploy".into()) })));
        }
        let plan = if self.hit("deploy fails", 400) { Plan::Fails } else { Plan::Well };
        let plan = if self.hit("hook lost", 100) { Plan::Lost } else { plan };
        let run = match self.supervised(f, Place::Environment(environment), plan)? {
            None => return Ok(None),
            Some(Err(ended)) => return Ok(Some(ended)),
            Some(Ok(run)) => run,
        };
        if run.killed && f.stop {
            return Ok(Some(Ended::Outcome(Outcome::Cancelled)));
        }
        if run.killed || run.plan == Plan::Lost {
            let fault = fault(FaultKind::Transient, "the hook was stopped");
            return Ok(Some(Ended::Again { spend: false, new_run: true, fault }));
        }
        let ok = run.plan == Plan::Well;
        let kept = self.hook_log(f, name, stage, revision, ok)? && self.bring(f, environment, revision, ok, false)?;
        Ok(Some(if kept { Ended::Outcome(Outcome::Deployed { skipped: None }) } else { transient("fenced") }))
    }

    fn roll_back(&mut self, f: &Flight, environment: Environment, failed: &Sha) -> Live<Option<Ended>> {
        let project = f.task.project.clone();
        let known = self.db(async |s| s.deployments(&project, environment, 50).await)?;
        let Some(previous) = known.into_iter().find(|d| d.ok && d.revision != *failed).map(|d| d.revision) else {
            let text = "nothing else ever ran there".to_owned();
            return Ok(Some(Ended::Outcome(Outcome::RolledBack { ok: true, text })));
        };
        let plan = if self.hit("rollback fails", 600) { Plan::Fails } else { Plan::Well };
        let run = match self.supervised(f, Place::Environment(environment), plan)? {
            None => return Ok(None),
            Some(Err(ended)) => return Ok(Some(ended)),
            Some(Ok(run)) => run,
        };
        let ok = run.plan == Plan::Well && !run.killed;
        let kept = self.bring(f, environment, &previous, ok, true)?;
        let text = format!("back on {}: {ok}", previous.short());
        Ok(Some(if kept { Ended::Outcome(Outcome::RolledBack { ok, text }) } else { transient("fenced") }))
    }

    fn update(&mut self, f: &Flight, head: &Sha, lease_epoch: u64) -> Live<Ended> {
        let task = &f.task;
        if !self.db(async |s| s.holds_lease(task.id, lease_epoch).await)? {
            self.seen.count("answer", "update: lease lost");
            return Ok(Ended::Outcome(Outcome::LeaseLost));
        }
        let site = self.site(&task.project)?;
        let tip = site.main.clone();
        let ready = match site.repo.bring(head, &tip) {
            Brought::UpToDate => head.clone(),
            Brought::Moved(head) => head,
            Brought::Conflict(files) => {
                self.seen.count("answer", "update: conflict");
                return Ok(Ended::Outcome(Outcome::Conflict { onto: tip, files }));
            }
        };
        Ok(Ended::Outcome(match self.push(task, &ready)? {
            Err(now) => Outcome::BranchMoved { now },
            Ok(()) => Outcome::Updated { tree: self.site(&task.project)?.repo.tree_id(&ready), head: ready, base: tip },
        }))
    }

    fn merge(&mut self, f: &Flight, number: u64, intent: &MergeIntent) -> Live<Ended> {
        let task = &f.task;
        if let Some(outcome) = self.landed(task, number, intent)? {
            return Ok(Ended::Outcome(outcome));
        }
        let refused =
            |text: &str| Ok(Ended::Outcome(Outcome::NotMerged { why: NotMerged::Refused { text: text.into() } }));
        if self.hit("merge given up", 220) {
            return Ok(Ended::Outcome(Outcome::Failed { fault: fault(FaultKind::Denied, "nobody may look") }));
        }
        let site = self.site(&task.project)?;
        let pull = site.pulls.get(&number).cloned();
        match &pull {
            Some(pull) if pull.state == PullState::Open => {
                if site.pull_head(pull).as_ref() != Some(&intent.head) {
                    return Ok(Ended::Outcome(Outcome::NotMerged { why: NotMerged::HeadMoved }));
                }
            }
            _ => return refused("the pull request was closed by somebody"),
        }
        // Last look before the act. A blind worker was paused right behind it.
        let holds = self.db(async |s| s.holds_lease(task.id, intent.lease_epoch).await)?;
        if !holds && !f.blind {
            self.seen.count("answer", "merge: lease lost");
            return Ok(Ended::Outcome(Outcome::LeaseLost));
        }
        if self.hit("forge refuses", 180) {
            return refused("protected by a rule");
        }
        if self.hit("main moves before the merge", 180) {
            self.outsider_pushes(&task.project.clone())?;
        }
        let lies = self.hit("forge merges another tree", 130);
        let answer = self.site(&task.project)?.merge(number, &intent.head, task.id, f.blind && !holds, lies);
        if matches!(answer, MergeAnswer::Merged) {
            let landed = self.site(&task.project)?.landed.last().cloned();
            self.say(|| format!("   forge: merged {} of {}", intent.head.short(), task.work_item));
            if let Some(landed) = landed {
                outside::after_merge(self, task, &landed, intent.lease_epoch)?;
            }
            if self.hit("forge hides its merge", 220) {
                return Ok(transient("the forge does not answer"));
            }
        }
        if let Some(outcome) = self.landed(task, number, intent)? {
            return Ok(Ended::Outcome(outcome));
        }
        match answer {
            MergeAnswer::Merged => Ok(transient("merged, not shown yet")),
            MergeAnswer::HeadMoved => Ok(Ended::Outcome(Outcome::NotMerged { why: NotMerged::HeadMoved })),
            MergeAnswer::BaseMoved => Ok(Ended::Outcome(Outcome::NotMerged { why: NotMerged::BaseMoved })),
            MergeAnswer::Refused(text) => refused(&text),
        }
    }

    fn landed(&mut self, task: &Task, number: u64, intent: &MergeIntent) -> Live<Option<Outcome>> {
        let site = self.site(&task.project)?;
        let commit = match site.pulls.get(&number) {
            Some(pull) if pull.state == PullState::Merged => pull.merge_commit.clone(),
            _ => site.repo.is_ancestor(&intent.head, &site.main).then(|| intent.head.clone()),
        };
        Ok(commit.map(|commit| Outcome::Merged { tree: site.repo.tree_id(&commit), commit }))
    }

    fn watch(&mut self, f: &Flight, revision: &Sha) -> Live<Option<Ended>> {
        if !f.stop && self.rng.chance(300) {
            return Ok(None);
        }
        let (sick, blind) = (self.hit("production sick", 550), self.hit("probe blind", 500));
        let hook = self.site(&f.task.project)?.setup.production_hook;
        let outcome = match (hook, sick, blind) {
            (false, ..) => DoneOutcome::NotWatched,
            (_, true, _) => DoneOutcome::Degraded,
            (_, _, true) => DoneOutcome::Inconclusive,
            _ => DoneOutcome::Healthy,
        };
        let kept = self.hook_log(f, "16-post-deploy-log.md", &"done".into(), revision, !sick)?;
        Ok(Some(if kept { Ended::Outcome(Outcome::Watched { outcome }) } else { transient("fenced") }))
    }
}
