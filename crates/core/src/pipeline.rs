//! The pipeline is a table: every stage is a list of steps in visible order, and every gate stands in that list with
//! its policy beside it. The two built-in profiles are written down here, and nowhere else.

use crate::ids::{Environment, GateId, Role, StageId};
use serde::{Deserialize, Serialize};

/// What happens when a gate cannot find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInconclusive {
    /// Wait, say so, look again. The default.
    Hold,
    /// Treat as a fail.
    Fail,
    /// Go on, loudly.
    PassWithWarning,
}

/// One thing a task does. Exactly one step is under way at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Make the branch and write `00-business-request.md` from the ticket.
    Open,
    /// Let an agent play a role in the task's worktree.
    Agent {
        /// The role.
        role: Role,
    },
    /// Commit what the agent left and push it to the task's branch.
    Publish,
    /// See to it that a pull request is open.
    PullRequest,
    /// Ask a quality gate.
    Gate {
        /// Which.
        gate: GateId,
        /// Where a fail goes back to.
        on_fail: StageId,
        /// What to do when the gate cannot tell.
        on_inconclusive: OnInconclusive,
        /// Judge the exact prepared commit instead of its code: used between `Update` and `Merge`.
        #[serde(default)]
        exact: bool,
    },
    /// Bring the revision to an environment.
    Deploy {
        /// Which.
        environment: Environment,
    },
    /// Bring the prepared commit to staging again, unless its code is what ran there: used between `Update` and `Merge`.
    Restage,
    /// Take the merge lease and bring the branch to the tip of the default branch.
    Update,
    /// Let the forge merge exactly the head the gates judged, read back, free the lease.
    Merge,
    /// Wait for a person where the project asks for one before production.
    ApproveProduction,
    /// Probe production for a while.
    Watch,
}

/// A stage and what has to happen in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub id: StageId,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// A pipeline. A task stores the one it started with and finishes on it. The empty one is nobody's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its name: `full`, `lite` or the project's own.
    pub name: String,
    /// Its stages, in order.
    pub stages: Vec<Stage>,
}

fn stage(id: &str, steps: Vec<Step>) -> Stage {
    Stage { id: id.into(), steps }
}
fn agent(role: &str) -> Step {
    Step::Agent { role: role.into() }
}
fn gate(gate: GateId, on_fail: &str) -> Step {
    Step::Gate { gate, on_fail: on_fail.into(), on_inconclusive: OnInconclusive::Hold, exact: false }
}
fn exact(gate: GateId, on_fail: &str) -> Step {
    Step::Gate { gate, on_fail: on_fail.into(), on_inconclusive: OnInconclusive::Hold, exact: true }
}

const DEV: &str = "development";

/// Development as both profiles have it.
fn development() -> Stage {
    stage(
        DEV,
        vec![
            agent("developer"),
            Step::Publish,
            Step::PullRequest,
            gate(GateId::CiGreen, DEV),
            gate(GateId::TestsLocal, DEV),
        ],
    )
}

/// From a judged branch to a merged one: lease, tip of main, everything again on exactly that, merge, read back. What is
/// slow stands before `check_branch_mergeable`, which sees whether main has moved meanwhile.
fn merging(staged: bool) -> Vec<Step> {
    let mut steps = vec![
        gate(GateId::SecurityGate, DEV),
        Step::Update,
        exact(GateId::CiGreen, DEV),
        exact(GateId::TestsLocal, DEV),
        exact(GateId::SecurityGate, DEV),
    ];
    if staged {
        steps.push(Step::Restage);
    }
    steps.push(exact(GateId::BranchMergeable, DEV));
    if staged {
        steps.push(exact(GateId::StagingImageFresh, DEV));
    }
    steps.push(Step::Merge);
    steps
}

fn production() -> [Stage; 2] {
    let deploy = vec![
        Step::ApproveProduction,
        Step::Deploy { environment: Environment::Production },
        gate(GateId::DeployStatus, DEV),
    ];
    [stage("deploy", deploy), stage("done", vec![Step::Watch])]
}

impl Pipeline {
    /// `created -> analysis -> architecture -> development -> review -> testing -> deploy-staging -> deploy -> done`.
    pub fn full() -> Self {
        let mut staging = vec![Step::Deploy { environment: Environment::Staging }, gate(GateId::StagingStatus, DEV)];
        staging.extend(merging(true));
        let [deploy, done] = production();
        Self {
            name: "full".into(),
            stages: vec![
                stage("created", vec![Step::Open]),
                stage(
                    "analysis",
                    vec![
                        agent("analyst"),
                        Step::Publish,
                        gate(GateId::AnalysisComplete, "analysis"),
                        gate(GateId::AnalysisApproved, "analysis"),
                    ],
                ),
                stage(
                    "architecture",
                    vec![agent("architect"), Step::Publish, gate(GateId::ArchitectureDone, "architecture")],
                ),
                development(),
                stage(
                    "review",
                    vec![
                        agent("reviewer"),
                        Step::Publish,
                        gate(GateId::ReviewerVerdict, DEV),
                        gate(GateId::ReviewApproved, DEV),
                    ],
                ),
                stage("testing", vec![agent("tester"), Step::Publish, gate(GateId::TestsPassed, DEV)]),
                stage("deploy-staging", staging),
                deploy,
                done,
            ],
        }
    }

    /// `created -> development -> review -> deploy -> done`, for small repositories.
    pub fn lite() -> Self {
        let mut review = vec![agent("reviewer"), Step::Publish, gate(GateId::ReviewerVerdict, DEV)];
        review.extend(merging(false));
        let [deploy, done] = production();
        Self {
            name: "lite".into(),
            stages: vec![stage("created", vec![Step::Open]), development(), stage("review", review), deploy, done],
        }
    }

    /// A built-in profile by name.
    pub fn built_in(name: &str) -> Option<Self> {
        match name {
            "full" => Some(Self::full()),
            "lite" => Some(Self::lite()),
            _ => None,
        }
    }

    /// Position of a stage.
    pub fn position(&self, id: &StageId) -> Option<usize> {
        self.stages.iter().position(|s| s.id == *id)
    }

    /// A step by its place.
    pub fn step(&self, at: Cursor) -> Option<&Step> {
        self.stages.get(at.stage)?.steps.get(at.step)
    }

    /// The role at work in a stage, if an agent works there.
    pub fn role(&self, stage: usize) -> Option<&Role> {
        self.stages.get(stage)?.steps.iter().find_map(|s| if let Step::Agent { role } = s { Some(role) } else { None })
    }

    /// Where the `Update` step stands in a stage.
    pub fn update_step(&self, stage: usize) -> Option<usize> {
        self.stages.get(stage)?.steps.iter().position(|s| matches!(s, Step::Update))
    }

    /// Where the only `Merge` stands.
    pub fn merge_at(&self) -> Option<Cursor> {
        self.stages.iter().enumerate().find_map(|(stage, s)| {
            s.steps.iter().position(|x| matches!(x, Step::Merge)).map(|step| Cursor { stage, step })
        })
    }

    /// Where the first gate is judged whose verdict belongs to the patch, from the step of the agent on whose word it rests;
    /// `None` if none stands before `update`: those behind it are judged after every update.
    pub fn patch_judged_at(&self) -> Option<Cursor> {
        let of_patch = |s: &Step| matches!(s, Step::Gate { gate, .. } if gate.is_of_the_patch());
        let (stage, step) = self
            .stages
            .iter()
            .enumerate()
            .find_map(|(stage, s)| s.steps.iter().position(of_patch).map(|step| (stage, step)))?;
        let steps = self.stages.get(stage)?.steps.get(..=step)?;
        // What a person says on the forge is asked for again; the developer's work is not.
        let on_a_paper = !matches!(steps.last(), Some(Step::Gate { gate: GateId::ReviewApproved, .. }));
        let speaks = |s: &Step| matches!(s, Step::Agent { role } if on_a_paper || *role != Role::Developer);
        let at = Cursor { stage, step: steps.iter().rposition(speaks).unwrap_or(step) };
        (!self.in_lease_span(at)).then_some(at)
    }

    /// Where the forge's approval is asked for, before `update`.
    pub fn approval_at(&self) -> Option<Cursor> {
        let asks = |s: &Step| matches!(s, Step::Gate { gate: GateId::ReviewApproved, exact: false, .. });
        let mut places = self
            .stages
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(stage, s)| s.steps.iter().rposition(asks).map(|step| Cursor { stage, step }));
        let merge = self.merge_at()?;
        places.find(|at| *at < merge && !self.in_lease_span(*at))
    }

    /// Does this gate stand between `update` and `merge`, so that what it lets through before is judged again there?
    pub fn judges_again(&self, gate: GateId) -> bool {
        let is_it = |s: &Step| matches!(s, Step::Gate { gate: of, exact: true, .. } if *of == gate);
        self.stages.iter().flat_map(|s| &s.steps).any(is_it)
    }

    /// Is the merge lease held while the task is at this step?
    pub fn in_lease_span(&self, at: Cursor) -> bool {
        self.merge_at().is_some_and(|merge| {
            merge.stage == at.stage
                && self.update_step(at.stage).is_some_and(|update| (update..=merge.step).contains(&at.step))
        })
    }

    /// What makes this pipeline impossible to run; empty if nothing does. Each sentence names the stage and the reason.
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.stages.first().is_none_or(|s| s.steps.first() != Some(&Step::Open)) {
            found.push("the first stage must begin with the step `open`".into());
        }
        if self.stages.last().is_none_or(|s| s.id.as_str() != "done") {
            found.push("the last stage must be `done`: otherwise no task can ever finish".into());
        }
        let merge_at = self.merge_at();
        let count = |want: fn(&Step) -> bool| self.stages.iter().flat_map(|s| &s.steps).filter(|s| want(s)).count();
        if count(|s| matches!(s, Step::Merge)) != 1 {
            found.push("exactly one stage must have the step `merge`".into());
        }
        for (i, stage) in self.stages.iter().enumerate() {
            if self.position(&stage.id) != Some(i) {
                found.push(format!("stage `{}` is declared twice", stage.id));
            }
            if stage.steps.is_empty() {
                found.push(format!("stage `{}` has no steps", stage.id));
            }
            if 1 < stage.steps.iter().filter(|s| matches!(s, Step::Agent { .. })).count() {
                found.push(format!("stage `{}` has two agents: whose work `publish` takes would be a guess", stage.id));
            }
            for (j, step) in stage.steps.iter().enumerate() {
                let merged = merge_at.is_some_and(|merge| merge < Cursor { stage: i, step: j });
                let earlier = |want: fn(&Step) -> bool| stage.steps[..j].iter().any(want);
                match step {
                    Step::Gate { gate, on_fail, .. } => {
                        match self.position(on_fail) {
                            None => found
                                .push(format!("stage `{}`: {gate} goes back to unknown stage `{on_fail}`", stage.id)),
                            Some(back) if back > i => {
                                found.push(format!("stage `{}`: {gate} would go forward to `{on_fail}`", stage.id));
                            }
                            Some(back) if merged && merge_at.is_none_or(|merge| merge.stage < back) => {
                                found.push(format!(
                                    "stage `{}`: {gate} goes back to `{on_fail}`, which cannot repair what is merged",
                                    stage.id
                                ));
                            }
                            Some(_) => {}
                        }
                        if merged != (*gate == GateId::DeployStatus) {
                            found.push(format!(
                                "stage `{}`: {gate} stands {} the merge",
                                stage.id,
                                if merged { "behind" } else { "before" }
                            ));
                        }
                        if *gate == GateId::BranchMergeable && !earlier(|s| matches!(s, Step::Update)) {
                            found.push(format!(
                                "stage `{}`: {gate} needs the merge lease: put `update` before it",
                                stage.id
                            ));
                        }
                    }
                    Step::Merge => {
                        let all = self.stages[..i].iter().flat_map(|s| &s.steps).chain(&stage.steps[..j]);
                        if !all.into_iter().any(|s| matches!(s, Step::PullRequest)) {
                            found.push(format!("stage `{}`: `merge` needs `pull-request` before it", stage.id));
                        }
                        let update = self.update_step(i).unwrap_or(j);
                        let between = stage.steps.get(update + 1..j).unwrap_or_default();
                        if between.iter().any(|s| !matches!(s, Step::Gate { exact: true, .. } | Step::Restage)) {
                            found.push(format!(
                                "stage `{}`: only gates with `exact`, and `restage`, can stand between `update` and `merge`",
                                stage.id
                            ));
                        }
                        if !stage.steps[..j]
                            .iter()
                            .any(|s| matches!(s, Step::Gate { gate: GateId::BranchMergeable, .. }))
                        {
                            found.push(format!(
                                "stage `{}`: `merge` needs `update` and check_branch_mergeable before it",
                                stage.id
                            ));
                        }
                    }
                    Step::Publish if !earlier(|s| matches!(s, Step::Agent { .. })) => {
                        found.push(format!("stage `{}`: `publish` has no agent before it", stage.id));
                    }
                    Step::Update if merge_at.is_none_or(|merge| merge.stage != i || merge.step < j) => {
                        found.push(format!(
                            "stage `{}`: `update` must stand before `merge`, in the same stage",
                            stage.id
                        ));
                    }
                    Step::Deploy { environment: Environment::Production } | Step::ApproveProduction | Step::Watch
                        if !merged =>
                    {
                        found.push(format!("stage `{}`: production comes after `merge`", stage.id));
                    }
                    Step::Agent { .. } | Step::Publish | Step::Deploy { environment: Environment::Staging }
                        if merged =>
                    {
                        found.push(format!("stage `{}`: nothing can be made or rehearsed behind `merge`", stage.id));
                    }
                    Step::Restage if !self.in_lease_span(Cursor { stage: i, step: j }) => {
                        found.push(format!("stage `{}`: `restage` must stand between `update` and `merge`", stage.id));
                    }
                    Step::Open if (i, j) != (0, 0) => {
                        found.push(format!("stage `{}`: `open` can only be the first step of all", stage.id));
                    }
                    Step::Open
                    | Step::Agent { .. }
                    | Step::Publish
                    | Step::PullRequest
                    | Step::Deploy { .. }
                    | Step::Restage
                    | Step::Update
                    | Step::ApproveProduction
                    | Step::Watch => {}
                }
            }
        }
        found
    }
}

/// A place in a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Index of the stage.
    pub stage: usize,
    /// Index of the step in it.
    pub step: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// People have scripts and habits built on these names.
    #[test]
    fn the_built_in_pipelines_have_the_stages_and_gates_of_the_contract() {
        let gates = |pipeline: Pipeline| -> Vec<String> {
            let of = |s: &Stage| {
                let gates = s.steps.iter().filter_map(|step| match step {
                    Step::Gate { gate, .. } => Some(gate.to_string()),
                    _ => None,
                });
                let mut gates: Vec<String> = gates.collect();
                gates.dedup();
                format!("{}: {}", s.id, gates.join(" "))
            };
            pipeline.stages.iter().map(of).collect()
        };
        assert_eq!(
            gates(Pipeline::full()),
            [
                "created: ",
                "analysis: check_analysis_complete check_analysis_approved",
                "architecture: check_architecture_done",
                "development: check_ci_green check_tests_local",
                "review: check_reviewer_verdict check_review_approved",
                "testing: check_tests_passed",
                "deploy-staging: check_staging_status check_security_gate check_ci_green check_tests_local \
                 check_security_gate check_branch_mergeable check_staging_image_fresh",
                "deploy: check_deploy_status",
                "done: ",
            ]
        );
        assert_eq!(
            gates(Pipeline::lite()),
            [
                "created: ",
                "development: check_ci_green check_tests_local",
                "review: check_reviewer_verdict check_security_gate check_ci_green check_tests_local \
                 check_security_gate check_branch_mergeable",
                "deploy: check_deploy_status",
                "done: ",
            ]
        );
    }

    #[test]
    fn the_built_in_profiles_can_run() {
        for name in ["full", "lite"] {
            let pipeline = Pipeline::built_in(name).unwrap();
            assert_eq!(pipeline.problems(), Vec::<String>::new(), "{name}");
            let merge = pipeline.merge_at().unwrap();
            assert!(pipeline.in_lease_span(merge));
        }
        let names: Vec<_> = Pipeline::full().stages.iter().map(|s| s.id.as_str().to_owned()).collect();
        assert_eq!(
            names.join(" -> "),
            "created -> analysis -> architecture -> development -> review -> testing -> deploy-staging -> deploy -> done"
        );
    }

    #[test]
    fn a_pipeline_that_cannot_work_says_why() {
        let mut merge_unprepared = Pipeline::lite();
        merge_unprepared.stages[2].steps.retain(|s| !matches!(s, Step::Update));
        assert!(merge_unprepared.problems().iter().any(|p| p.contains("needs the merge lease")));

        let mut no_end = Pipeline::lite();
        no_end.stages.pop();
        assert!(no_end.problems().iter().any(|p| p.contains("`done`")));

        let broken = |change: fn(&mut Pipeline), says: &str| {
            let mut pipeline = Pipeline::lite();
            change(&mut pipeline);
            let problems = pipeline.problems();
            assert!(problems.iter().any(|p| p.contains(says)), "{says}: {problems:?}");
        };
        broken(|p| p.stages[0].steps.push(Step::Update), "`update` must stand before `merge`");
        broken(|p| p.stages[0].steps.push(Step::Open), "`open` can only be");
        broken(|p| p.stages[1].steps.clear(), "has no steps");
        broken(|p| p.stages[1].steps.push(agent("tester")), "two agents");
        broken(|p| p.stages[1].steps.retain(|s| *s != Step::PullRequest), "needs `pull-request`");
        broken(|p| p.stages[1].steps.push(Step::ApproveProduction), "production comes after");
        broken(|p| p.stages[1].steps.push(gate(GateId::DeployStatus, DEV)), "stands before the merge");
        broken(|p| p.stages[3].steps.push(gate(GateId::CiGreen, DEV)), "stands behind the merge");
        broken(|p| p.stages[3].steps.push(gate(GateId::DeployStatus, "deploy")), "cannot repair what is merged");
        broken(|p| p.stages[3].steps.push(agent("deployer")), "behind `merge`");
        broken(
            |p| {
                p.stages[2].steps.iter_mut().for_each(|s| {
                    if let Step::Gate { exact, .. } = s {
                        *exact = false;
                    }
                });
            },
            "only gates with `exact`",
        );

        let mut lost = Pipeline::lite();
        lost.stages[1].steps.push(gate(GateId::TestsPassed, "nowhere"));
        assert!(lost.problems().iter().any(|p| p.contains("unknown stage `nowhere`")));
    }
}
