//! What a gate's verdict means for the task: on, back with findings, wait, or to a person.

use super::Cx;
use crate::effect::Effect;
use crate::ids::{GateId, Sha, Time};
use crate::origin::Origin;
use crate::pipeline::OnInconclusive;
use crate::task::{Hold, Passed, WaitReason};
use crate::verdict::{FaultKind, FaultNote, Finding, Verdict, WaitFor};

impl Cx<'_> {
    pub(super) fn judged(
        &mut self,
        gate: GateId,
        on_fail: &crate::ids::StageId,
        on_inconclusive: OnInconclusive,
        exact: bool,
        head: &Sha,
        verdict: &Verdict,
    ) {
        match verdict {
            Verdict::Pass | Verdict::Skipped { .. } => {
                if let Verdict::Skipped { why } = verdict {
                    self.say(format!("{gate}: skipped: {why}"));
                }
                self.d.task.landing.passed.push(Passed { at: self.d.task.at, head: head.clone() });
                self.settled();
                if let (GateId::ReviewerVerdict, Verdict::Pass, Some(declared)) =
                    (gate, verdict, self.d.task.findings.no_change.as_mut())
                {
                    declared.judged = true;
                }
                self.after_gate(gate);
            }
            Verdict::Wait { why, until, recheck } => {
                let reason = match why {
                    WaitFor::Unable { reason } => {
                        let role = self.role_here();
                        return self.unable(role, reason);
                    }
                    WaitFor::Report { what } => WaitReason::Report { what: what.clone() },
                    WaitFor::Approval { what, subject, shown } => {
                        WaitReason::Approval { what: *what, subject: subject.clone(), shown: shown.clone() }
                    }
                };
                if self.d.task.wait.hold.is_none() {
                    self.say(match &reason {
                        WaitReason::Approval { .. } => format!("{gate}: waits for a person"),
                        _ => format!("{gate}: waits"),
                    });
                }
                // Webhooks are hints: whatever is reported is also looked for.
                let recheck = match reason {
                    WaitReason::Report { .. } => {
                        let soon = self.now.plus_ms(self.policy.recheck_ms);
                        Some(recheck.filter(|at| self.now < *at).unwrap_or(soon))
                    }
                    _ => *recheck,
                };
                // A lease is never held while a person is awaited: the merge is prepared again afterwards.
                if matches!(reason, WaitReason::Approval { .. }) && self.d.task.pipeline.in_lease_span(self.d.task.at) {
                    self.d.task.wait.hold = None;
                    self.d.task.at = self.start_of_merging();
                }
                self.wait(reason, *until, recheck);
            }
            Verdict::Inconclusive { fault } => self.cannot_tell(gate, on_fail, on_inconclusive, fault),
            Verdict::Unreadable { findings } => self.role_again(findings.clone(), gate.into()),
            Verdict::Fail { findings } => {
                self.back(on_fail, findings.clone(), Origin::Gate { gate, prepared: exact });
            }
        }
    }

    /// What a gate found and holds nothing up reaches people on the pull request, and costs nobody anything.
    pub(super) fn note(&mut self, gate: GateId, notes: &[Finding]) {
        let (Some(pull_request), Some(run), false) =
            (self.d.task.branch.pull_request, self.d.task.run, notes.is_empty())
        else {
            return;
        };
        let things = if notes.len() == 1 { "1 finding".to_owned() } else { format!("{} findings", notes.len()) };
        self.say(format!("{gate}: {things} of little weight, listed on the pull request"));
        self.say_findings(notes);
        self.emit(Effect::NoteFindings { pull_request, gate, run, findings: notes.to_vec() });
    }

    pub(super) fn cannot_tell(
        &mut self,
        gate: GateId,
        on_fail: &crate::ids::StageId,
        policy: OnInconclusive,
        fault: &FaultNote,
    ) {
        if gate == GateId::BranchMergeable && fault.kind == FaultKind::Gone {
            // What was prepared is out of date: nothing is to be waited for, it is prepared again.
            self.say(format!("{gate}: {}; the merge is prepared again", fault.text));
            return self.update_again();
        }
        // That the base fails, or that the machine lacks something, is known: no pipeline makes a pass or a round of it.
        let policy = if Self::runs_tests(gate, fault) { OnInconclusive::Hold } else { policy };
        match policy {
            OnInconclusive::Fail => {
                self.back(
                    on_fail,
                    vec![Finding::must_fix(format!("{gate} could not tell: {}", fault.text))],
                    gate.into(),
                );
                // It has said nothing of the code, and may be able to the next time.
                self.d.task.findings.refused = None;
            }
            OnInconclusive::PassWithWarning => {
                self.say(format!("{gate}: cannot tell ({}); goes on with a warning", fault.text));
                let key = format!("{}-{gate}-warning-{}", self.d.task.work_item, self.d.task.next_seq);
                let text = format!(
                    "{}: {gate} could not tell and was passed with a warning: {}",
                    self.d.task.work_item, fault.text
                );
                self.emit(Effect::Notify { key, text });
                self.settled();
                self.after_gate(gate);
            }
            OnInconclusive::Hold => {
                let since = self.waited_here().map_or(self.now, |h| h.since);
                if self.waited_here().is_none() {
                    self.say(format!("{gate}: cannot tell: {}", fault.text));
                }
                // A lease is never held for something without a deadline: the merge is prepared again afterwards.
                if self.d.task.pipeline.in_lease_span(self.d.task.at) {
                    let hold = self.waited_here().unwrap_or(Hold { since, told: false, asked: false });
                    self.d.task.wait.hold = Some(hold);
                    self.prepare_again();
                    self.d.task.wait.hold = Some(hold);
                }
                let recheck = self.now.plus_ms(self.look_again_ms(gate, fault, since));
                let until = since.plus_ms(self.policy.tell_after_ms);
                self.wait(WaitReason::CannotTell { fault: fault.clone() }, Some(until), Some(recheck));
            }
        }
    }

    /// How soon a gate that could not tell looks again: what runs a command of the project waits longer the longer it has.
    fn look_again_ms(&self, gate: GateId, fault: &FaultNote, since: Time) -> i64 {
        if Self::runs_tests(gate, fault) {
            self.policy.later_ms(self.now.since_ms(since))
        } else {
            self.policy.recheck_ms
        }
    }

    /// Did tests or CI that orch itself ran tell nothing about the code?
    fn runs_tests(gate: GateId, fault: &FaultNote) -> bool {
        matches!(gate, GateId::TestsLocal | GateId::CiGreen) && fault.kind == FaultKind::Permanent
    }
}
