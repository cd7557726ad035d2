//! What the engine knows of a project. Made from the configuration by the binary; read by everything here.

use crate::parts::{self, Of, Part, Run, Touched};
use crate::prepare::Preparation;
use jiff::tz::TimeZone;
use orch_core::ids::{GateId, ProjectKey, Role, Sha, Time};
use orch_core::landing::LandingPlan;
use orch_core::message::Subject;
use orch_core::pipeline::Pipeline;
use orch_core::policy::Policy;
use orch_ports::agent::AgentProgram;
use orch_ports::forge::{Forge, MergeMethod};
use orch_ports::git::{Author, Git};
use orch_ports::tracker::Tracker;
use orch_security::{Range, Security};
use orch_testguard::guard::Configured;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A gate's switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateMode {
    /// Not asked; recorded as skipped.
    Off,
    /// Asked and recorded, without consequences.
    Shadow,
    /// Asked and obeyed.
    Enforce,
}

impl GateMode {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Enforce => "enforce",
        }
    }
}

/// Deploy hooks of a project; every one is a shell command of the project.
#[derive(Clone, Debug, Default)]
pub struct Deploy {
    /// Brings a revision to staging.
    pub staging: Option<String>,
    /// Brings a revision to production.
    pub production: Option<String>,
    /// Brings production back to `ORCH_PREVIOUS_REVISION`.
    pub rollback: Option<String>,
    /// Is the environment healthy?
    pub check: Option<String>,
    /// Tells of the image that staging runs: `revision=…` and `digest=…`.
    pub image: Option<String>,
    /// Failed checks on staging that are named as sandbox infrastructure are waived where every other one is green.
    pub infra_tolerance: bool,
    /// Where production reports its revision.
    pub health_url: Option<String>,
    /// What a hook puts into a session of its own goes on when the hook has ended.
    pub detach: bool,
    /// Longest run of a hook, milliseconds.
    pub timeout_ms: u64,
}

/// Watching production after a deploy.
#[derive(Clone, Debug)]
pub struct WatchPlan {
    /// How long, milliseconds.
    pub window_ms: i64,
    /// How often, milliseconds.
    pub interval_ms: i64,
    /// Failed probes in a row that make it degraded.
    pub fails: u32,
}

/// What the commit that lands says of itself.
#[derive(Clone, Debug)]
pub struct Merging {
    /// Template of its subject.
    pub subject: Subject,
    /// Author.
    pub author: Author,
    /// Committer.
    pub committer: Author,
    /// Sign it as the operator's git would.
    pub sign: bool,
    /// Add a `Signed-off-by` of the committer.
    pub sign_off: bool,
    /// Publish the branch's own commits beside the branches, once the security gate has passed them.
    pub history_ref: bool,
    /// Nobody but orch may move the default branch: nothing is prepared on what came in otherwise before a person says yes.
    pub only_orch: bool,
}

impl Default for Merging {
    fn default() -> Self {
        let (author, committer) = (Author::orch(), Author::orch());
        Self {
            subject: Subject::default(),
            author,
            committer,
            sign: false,
            sign_off: false,
            history_ref: false,
            only_orch: false,
        }
    }
}

/// What runs of a project may cost, millionths of a US dollar; `None`: no limit. What a task may cost is in its policy.
#[derive(Clone, Debug, Default)]
pub struct Money {
    /// One run.
    pub run_micro_usd: Option<u64>,
    /// Those of the project in a day.
    pub day_micro_usd: Option<u64>,
    /// Those of the project in a month.
    pub month_micro_usd: Option<u64>,
    /// Those of the project, ever.
    pub total_micro_usd: Option<u64>,
    /// Those of all projects in a day.
    pub all_day_micro_usd: Option<u64>,
    /// Those of all projects in a month.
    pub all_month_micro_usd: Option<u64>,
    /// Where days and months begin; `None`: UTC.
    pub zone: Option<TimeZone>,
}

/// A project.
pub struct Project {
    /// Key.
    pub key: ProjectKey,
    /// Its repository, by the key of the first project that has it: one lease, one private repository, one record of main.
    pub repository: ProjectKey,
    /// Pipeline new tasks start with.
    pub pipeline: Pipeline,
    /// What the core needs to know.
    pub policy: Policy,
    /// What its runs may cost.
    pub money: Money,
    /// Where its code is.
    pub forge: Arc<dyn Forge>,
    /// Where its tickets are.
    pub tracker: Arc<dyn Tracker>,
    /// The agent program of every role without one of its own.
    pub default_program: Arc<dyn AgentProgram>,
    /// Programs of roles that do not use the default.
    pub programs: BTreeMap<Role, Arc<dyn AgentProgram>>,
    /// Runs the project's tests in a clean checkout.
    pub test: Option<String>,
    /// How a checkout is made ready for them, and the environment of every command.
    pub preparation: Preparation,
    /// CI command, where the forge leaves CI to orch.
    pub ci: Option<String>,
    /// Parts with tests and CI of their own.
    pub parts: Vec<Part>,
    /// Names of the checks that must be green; empty: all that are reported, and at least one.
    pub ci_required: Vec<String>,
    /// How long to wait for CI before a person is told, milliseconds.
    pub ci_wait_ms: i64,
    /// Longest test or CI run, milliseconds.
    pub test_timeout_ms: u64,
    /// Deploy hooks.
    pub deploy: Deploy,
    /// The watch.
    pub watch: WatchPlan,
    /// Switches that are not `enforce`, and what decided them.
    pub gates: BTreeMap<GateId, (GateMode, String)>,
    /// How long the judgements of gates may take, milliseconds; of one that is missing here, as long as it takes.
    pub gate_limits: BTreeMap<GateId, u64>,
    /// Does the forge have to show an approval (`check_review_approved`)?
    pub review_approval: bool,
    /// How merges are made.
    pub merge_method: MergeMethod,
    /// How new tasks land; each keeps what it began with.
    pub landing: LandingPlan,
    /// What the one commit says of itself.
    pub merging: Merging,
    /// What the security gate works with.
    pub security: Arc<Security>,
}

impl Project {
    /// What is run of it for a change.
    pub(crate) fn run(&self, of: Of, touched: &Touched) -> Option<Run> {
        let own = match of {
            Of::Test => self.test.as_deref(),
            Of::Ci => self.ci.as_deref(),
        };
        parts::run(own, &self.parts, of, touched)
    }
    /// What is run of it in the merge, on the default branch and by hand: everything.
    pub fn whole(&self, of: Of) -> Option<Run> {
        self.run(of, &Touched::All)
    }
    /// The program that plays a role.
    pub fn program(&self, role: &Role) -> &Arc<dyn AgentProgram> {
        self.programs.get(role).unwrap_or(&self.default_program)
    }
    /// A gate's switch.
    pub fn mode(&self, gate: GateId) -> (GateMode, &str) {
        self.gates.get(&gate).map_or((GateMode::Enforce, "default"), |(mode, why)| (*mode, why.as_str()))
    }
    /// What `head` brings in over `base`, for the security room; no task's approvals count.
    pub(crate) fn range<'a>(&'a self, git: &'a dyn Git, base: &'a Sha, head: &'a Sha, now: Time) -> Range<'a> {
        let (project, security, commands) = (&self.key, &*self.security, self.commands());
        Range { git, project, base, head, security, commands, task: None, now }
    }
    /// The commands that run what stands in its repository.
    fn commands(&self) -> Vec<Configured> {
        let deploy = &self.deploy;
        let all = [
            ("commands.setup", &self.preparation.setup),
            ("commands.test", &self.test),
            ("commands.ci", &self.ci),
            ("deploy.staging", &deploy.staging),
            ("deploy.check", &deploy.check),
            ("deploy.image", &deploy.image),
            ("deploy.production", &deploy.production),
            ("deploy.rollback", &deploy.rollback),
        ];
        let said = all.into_iter().filter_map(|(key, line)| Some((key, line.as_ref()?)));
        let of_parts = self.parts.iter().flat_map(|part| {
            let lines = [("test", &part.test), ("ci", &part.ci)];
            lines.into_iter().filter_map(|(key, line)| Some((format!("parts.{}.{key}", part.name), line.as_ref()?)))
        });
        let all = said.map(|(key, line)| (key.to_owned(), line)).chain(of_parts);
        all.map(|(key, line)| Configured { key, line: line.clone() }).collect()
    }
}

/// All projects of an instance.
pub type Projects = BTreeMap<ProjectKey, Arc<Project>>;
