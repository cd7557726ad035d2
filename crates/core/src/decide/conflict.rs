//! What a conflict with the default branch means for the task: the developer resolves it, path by path, against the record
//! that was made of it. Neither the conflict nor a repair that does not count spends a repair round; two repairs that the
//! record refuses end with a person, and so does a branch whose main does not stand still.

use super::Cx;
use crate::conflict::{Conflict, Resolution};
use crate::ids::{Role, Sha};
use crate::origin::Origin;
use crate::pipeline::{Cursor, Step};
use crate::remark::Remark;
use crate::task::BlockReason;
use crate::verdict::{FaultKind, FaultNote, Finding};

/// Who says that a conflict is not resolved.
const FROM: Origin = Origin::Conflict;
/// Finished repairs of one conflict that may be refused before a person looks.
const MAX_REFUSED: u32 = 2;

impl Cx<'_> {
    /// What an agent says of the paths in conflict. What cannot be read is never passed over in silence.
    pub(super) fn hear(&mut self, role: &Role, resolved: &Resolution) {
        if let Some(conflict) = self.d.task.landing.conflict.as_mut() {
            conflict.answer.hear(resolved);
            return;
        }
        for why in &resolved.unreadable {
            let text = format!("`resolved` in the result file of the {role} could not be read: {why}");
            self.say(&text);
            self.d.task.findings.notes.push(Remark::Text(text));
        }
        // A later round may decide otherwise about a path that was resolved before; it says so in the same way.
        for said in &resolved.takes {
            let of_path = |c: &&mut Conflict| c.paths.iter().any(|p| p.path == said.path);
            if let Some(record) = self.d.task.landing.resolved.iter_mut().rev().find(of_path) {
                record.answer.hear(&Resolution { takes: vec![said.clone()], ..Resolution::default() });
                self.say(format!("{}: the {role} now says `{}`", said.path, said.take.as_str()));
            } else {
                self.say(format!("`resolved` names {}, which was not in conflict", said.path));
            }
        }
    }

    /// The branch conflicts with the default branch: back to the developer, at nobody's cost.
    pub(super) fn conflict(&mut self, onto: &Sha, files: &[String], record: Option<&Conflict>) {
        let record = record.cloned().unwrap_or_else(|| Conflict::of_files(onto.clone(), files.to_vec()));
        let findings: Vec<Finding> = files
            .iter()
            .map(|file| {
                let path = record.paths.iter().find(|p| p.path == *file);
                let text = match path {
                    Some(path) if !path.marked => format!(
                        "conflicts with the default branch and has no conflict markers: {}; decide and say in `resolved` \
                         what was taken",
                        path.kind.describe()
                    ),
                    _ => "conflicts with the default branch: resolve the conflict markers in this file".to_owned(),
                };
                Finding { file: Some(file.clone()), ..Finding::must_fix(text) }
            })
            .collect();
        if self.is_a_persons() {
            let text = "conflicts with the default branch: rebase the branch onto it, or merge it in";
            let of = |f: &String| Finding { file: Some(f.clone()), ..Finding::must_fix(text) };
            return self.returned(FROM, files.iter().map(of).collect());
        }
        let findings = super::flow::or_say_so(findings, &FROM);
        self.raise(&findings, &FROM, false);
        let count = findings.len();
        self.say(if count == 1 {
            format!("{FROM}: 1 path conflicts")
        } else {
            format!("{FROM}: {count} paths conflict")
        });
        self.say_findings(&findings);
        let task = &mut self.d.task;
        task.landing.conflict = Some(record);
        task.landing.conflicts += 1;
        task.landing.patch_changes = 0;
        let (times, max) = (task.landing.conflicts, self.policy.max_updates);
        if max < times {
            let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
            let text = format!("main conflicted with the branch {times}");
            let fault = FaultNote::new(FaultKind::Transient, text);
            let retry = Cursor { stage: self.developers_stage().unwrap_or(self.d.task.at.stage), step: 0 };
            return self.block(BlockReason::JobFailed { what: "prepare the merge".into(), fault }, retry);
        }
        self.resolve_conflict();
    }

    /// Back to the stage of the developer, for the conflict that is recorded.
    pub(super) fn resolve_conflict(&mut self) {
        if let Some(stage) = self.developers_stage() {
            return self.enter_stage(stage);
        }
        self.d.task.landing.conflict = None;
        let text = "the branch conflicts with the default branch, and the pipeline has no developer".to_owned();
        let fault = FaultNote::new(FaultKind::Permanent, text);
        let retry = self.start_of_merging();
        self.block(BlockReason::JobFailed { what: "prepare the merge".into(), fault }, retry);
    }

    pub(super) fn developers_stage(&self) -> Option<usize> {
        let develops = |s: &Step| matches!(s, Step::Agent { role: Role::Developer });
        let stages = &self.d.task.pipeline.stages;
        stages.iter().position(|s| s.steps.iter().any(develops))
    }

    /// A finished repair does not count. The record stays, and the developer goes on from what is there.
    pub(super) fn repair_refused(&mut self, unresolved: &[String], refused: &[Finding]) {
        let plain = unresolved.iter().map(|file| Finding {
            file: Some(file.clone()),
            ..Finding::must_fix("conflict markers are still in this file")
        });
        let findings = if refused.is_empty() { plain.collect() } else { refused.to_vec() };
        let spent = match self.d.task.landing.conflict.as_mut() {
            Some(conflict) => {
                conflict.refused += 1;
                conflict.refused
            }
            None => MAX_REFUSED,
        };
        let at = self.d.task.at;
        let steps = self.d.task.pipeline.stages.get(at.stage).map_or(&[][..], |s| &s.steps[..]);
        let agent = steps.iter().take(at.step + 1).rposition(|s| matches!(s, Step::Agent { .. }));
        let retry = Cursor { stage: at.stage, step: agent.unwrap_or(0) };
        self.raise_refused(&findings, &FROM);
        if MAX_REFUSED <= spent {
            self.say(format!("{FROM}: {spent} repairs of the conflict do not count"));
            self.say_findings(&findings);
            return self.block(BlockReason::ConflictLeft { findings }, retry);
        }
        self.say(format!("{FROM}: the conflict is not resolved; the developer tries again"));
        self.say_findings(&findings);
        self.move_to(retry);
    }
}
