//! Gates against the modelled outside. Each judges what is really there: the tree of the head, the paper of the run, the
//! report of CI. They can be unable to tell; they never say yes to what is not so.

use crate::effects::{fault, papers, transient};
use crate::repo::{hash, red, secret};
use crate::sim::{Flight, Live, Sim};
use crate::site::{CiState, PullState};
use orch_core::effect::Outcome;
use orch_core::ids::{GateId, Seq, Sha, StageId, Time};
use orch_core::retry::Tried;
use orch_core::task::{ApprovalKind, Task};
use orch_core::verdict::{FaultKind, Finding, Severity, Verdict, WaitFor};
use orch_store::Judgement;

/// How long a report of CI is waited for.
const CI_WAIT_MS: i64 = 300_000;

fn approval(what: ApprovalKind, subject: String) -> Verdict {
    Verdict::Wait { why: WaitFor::Approval { what, subject, shown: Vec::new() }, until: None, recheck: None }
}
/// Every fourth task changes what a person has to approve. In half of them it is seen late, when the merge is prepared.
/// Digest of what changes, where this gate sees it.
pub(crate) fn changes_protected(task: &Task, gate: GateId) -> Option<String> {
    let asks = match task.number % 8 {
        3 => true,
        7 => gate == GateId::BranchMergeable,
        _ => false,
    };
    asks.then(|| format!("protected-{}", task.number))
}
fn protected(task: &Task, gate: GateId) -> Option<Verdict> {
    let subject = changes_protected(task, gate)?;
    let approved = task.approved(ApprovalKind::Protected, &subject).is_some();
    (!approved).then(|| approval(ApprovalKind::Protected, subject))
}
fn fail(text: impl Into<String>) -> Verdict {
    Verdict::Fail { findings: vec![Finding::must_fix(text)] }
}
fn cannot(text: &str) -> Verdict {
    Verdict::Inconclusive { fault: fault(FaultKind::Transient, text) }
}
fn skipped(why: &str) -> Verdict {
    Verdict::Skipped { why: why.into() }
}

impl Sim {
    pub(crate) fn judge(
        &mut self,
        f: &Flight,
        gate: GateId,
        stage: &StageId,
        head: &Sha,
        run: Option<Seq>,
        since: Time,
    ) -> Live<Tried> {
        if f.stop {
            return Ok(Tried::Outcome(Outcome::Cancelled));
        }
        if self.hit("gate gives up", 4) {
            return Ok(Tried::Outcome(Outcome::Failed {
                fault: fault(FaultKind::Denied, "no access to what is judged"),
            }));
        }
        let key = match gate {
            GateId::CiGreen => format!("commit {head}"),
            GateId::TestsLocal => self.site(&f.task.project)?.repo.code_id(head),
            _ => format!("{head} {run:?}"),
        };
        let task = f.task.id;
        let earlier = match gate {
            GateId::CiGreen | GateId::TestsLocal => self.db(async |s| s.judgement(task, gate, &key).await)?,
            _ => None,
        };
        let reused = earlier.is_some_and(|e| e.verdict == Verdict::Pass);
        let verdict = if reused {
            Verdict::Pass
        } else if self.hit("gate cannot tell", 40) {
            cannot("the network is down")
        } else {
            self.observe(f, gate, stage, head, run, since)?
        };
        self.seen.count("verdict", verdict.word());
        let row = Judgement {
            task,
            gate,
            stage: stage.clone(),
            job: f.job.id.seq,
            head: head.clone(),
            key,
            verdict: verdict.clone(),
            mode: "enforce".into(),
            evidence: serde_json::Value::Null,
            reused,
            at: self.now,
            took_ms: 0,
        };
        let fence = f.job.fence();
        if !self.evidence("put_judgement", fence, async |s| s.put_judgement(fence, row).await)? {
            return Ok(transient("the claim is somebody else's by now"));
        }
        let notes = match gate {
            GateId::ReviewerVerdict if matches!(verdict, Verdict::Pass | Verdict::Fail { .. }) => self.noted(f, run)?,
            _ => Vec::new(),
        };
        Ok(Tried::Outcome(Outcome::Judged { head: head.clone(), verdict, notes, warning: None }))
    }

    /// What a paper says besides its verdict.
    fn noted(&mut self, f: &Flight, run: Option<Seq>) -> Live<Vec<Finding>> {
        let says = self.says(f, papers("review")[0], run)?;
        let nit = |says| Finding { severity: Severity::P3, ..Finding::must_fix(format!("a nit of {says}")) };
        Ok(says.filter(|says| says % 10 == 4 || says % 20 == 12).map(nit).into_iter().collect())
    }

    /// The number in the paper of exactly this run.
    fn says(&mut self, f: &Flight, name: &str, run: Option<Seq>) -> Live<Option<u64>> {
        let Some(run) = run else { return Ok(None) };
        let task = f.task.id;
        let row = self.db(async |s| s.artefact(task, run, name).await)?;
        Ok(row.and_then(|r| String::from_utf8(r.bytes).ok()).and_then(|t| t.parse().ok()))
    }

    fn observe(
        &mut self,
        f: &Flight,
        gate: GateId,
        stage: &StageId,
        head: &Sha,
        run: Option<Seq>,
        since: Time,
    ) -> Live<Verdict> {
        let task = &f.task;
        Ok(match gate {
            GateId::AnalysisComplete | GateId::ArchitectureDone | GateId::ReviewerVerdict | GateId::TestsPassed => {
                self.paper(f, papers(stage.as_str()).first().copied().unwrap_or_default(), run)?
            }
            GateId::AnalysisApproved => {
                let subject = self.shown(f)?;
                match task.approved(ApprovalKind::Analysis, &subject) {
                    Some(_) => Verdict::Pass,
                    None => approval(ApprovalKind::Analysis, subject),
                }
            }
            GateId::CiGreen => self.ci(f, head, since)?,
            GateId::TestsLocal => {
                let site = self.site(&task.project)?;
                match red(&site.repo.tree(head)) {
                    _ if !site.setup.local_tests => skipped("no test command"),
                    Some(file) => fail(format!("{file} is red")),
                    None => Verdict::Pass,
                }
            }
            GateId::ReviewApproved => {
                let (asked, has, closed) = {
                    let site = self.site(&task.project)?;
                    let code = Sha::new(site.repo.code_id(head));
                    let has = site.reviewed.contains(&code) && !site.dismissed.contains(&task.id);
                    (site.setup.review_on_forge, has, code)
                };
                if !asked {
                    skipped("not asked for")
                } else if has || !self.faults_on || self.choices.chance("reviewed", 300) {
                    let site = self.site(&task.project)?;
                    site.reviewed.insert(closed);
                    site.dismissed.remove(&task.id);
                    Verdict::Pass
                } else {
                    let what = "an approval on the forge".into();
                    Verdict::Wait {
                        why: WaitFor::Report { what },
                        until: Some(since.plus_ms(CI_WAIT_MS)),
                        recheck: None,
                    }
                }
            }
            GateId::SecurityGate => {
                let site = self.site(&task.project)?;
                match secret(&site.repo.tree(head)) {
                    Some(file) if site.setup.shadow_security => Verdict::Skipped { why: format!("shadow: {file}") },
                    Some(file) => fail(format!("{file} holds a secret")),
                    None => protected(task, GateId::SecurityGate).unwrap_or(Verdict::Pass),
                }
            }
            GateId::BranchMergeable => {
                let site = self.site(&task.project)?;
                let pull = task.branch.pull_request.and_then(|n| site.pulls.get(&n)).cloned();
                let shows = pull.as_ref().and_then(|p| site.pull_head(p));
                let open = pull.as_ref().is_some_and(|p| p.state == PullState::Open);
                let merged = pull.as_ref().is_some_and(|p| p.state == PullState::Merged);
                let prepared = task.landing.intent.as_ref().map(|i| &i.head) == Some(head);
                if merged && prepared && shows.as_ref() == Some(head) {
                    Verdict::Pass
                } else if !site.repo.is_ancestor(&site.main, head) {
                    cannot("the default branch moved while the merge was prepared")
                } else if task.landing.intent.as_ref().map(|i| &i.head) != Some(head) {
                    cannot("another head was prepared")
                } else if !open || shows.as_ref() != Some(head) {
                    cannot("the pull request does not show the prepared head")
                } else {
                    protected(task, GateId::BranchMergeable).unwrap_or(Verdict::Pass)
                }
            }
            GateId::StagingStatus => {
                let hook = self.site(&task.project)?.setup.staging_hook;
                if hook { self.paper(f, "15-staging-log.md", run)? } else { skipped("nothing to deploy") }
            }
            GateId::StagingImageFresh => {
                if !self.site(&task.project)?.setup.staging_hook {
                    skipped("nothing to deploy")
                } else if self.is_staged(f, head)? {
                    Verdict::Pass
                } else {
                    fail("what will land has not come up on staging")
                }
            }
            GateId::DeployStatus => {
                let (hook, on_main) = {
                    let site = self.site(&task.project)?;
                    (site.setup.production_hook, site.repo.is_ancestor(head, &site.main))
                };
                match (on_main, hook) {
                    (false, _) => cannot("it is not on the default branch"),
                    (_, false) => skipped("nothing to deploy"),
                    _ => self.paper(f, "14-deploy-log.md", run)?,
                }
            }
        })
    }

    /// Reads the paper of exactly this run.
    fn paper(&mut self, f: &Flight, name: &str, run: Option<Seq>) -> Live<Verdict> {
        Ok(match self.says(f, name, run)?.map(|s| s % 10) {
            Some(1 | 4) => Verdict::Pass,
            Some(2) => fail(format!("{name} says no")),
            Some(_) => Verdict::Unreadable { findings: vec![Finding::must_fix(format!("{name} is garbled"))] },
            None => Verdict::Unreadable { findings: vec![Finding::must_fix(format!("{name} is missing"))] },
        })
    }

    /// What a person is shown of the analysis, in one word.
    fn shown(&mut self, f: &Flight) -> Live<String> {
        let task = f.task.id;
        let rows = self.db(async |s| s.artefacts(task).await)?;
        let of = papers("analysis");
        let text: Vec<String> =
            rows.iter().filter(|r| of.contains(&r.name.as_str())).map(|r| format!("{}{}", r.name, r.sha256)).collect();
        Ok(format!("{:016x}", hash(&text.join(","))))
    }

    fn ci(&mut self, f: &Flight, head: &Sha, since: Time) -> Live<Verdict> {
        let now = self.now;
        let site = self.site(&f.task.project)?;
        let known = site.ci.get(head).filter(|c| c.from <= now).copied();
        Ok(match known.map(|c| c.state) {
            Some(CiState::Green) => Verdict::Pass,
            Some(CiState::Red) => fail("the check `build` is red"),
            Some(CiState::Broken) => cannot("the check `build` could not run"),
            None if since.plus_ms(CI_WAIT_MS) <= now => cannot("CI was not reported in time"),
            None => Verdict::Wait {
                why: WaitFor::Report { what: "CI".into() },
                until: Some(since.plus_ms(CI_WAIT_MS)),
                recheck: Some(now.plus_ms(5_000)),
            },
        })
    }
}
