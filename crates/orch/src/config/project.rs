//! `[[project]]`: a repository orch works for, who may decide about it, and the commands that test and ship it.

use super::budget::ProjectBudget;
use super::gates::ProjectGate;
use super::section::section;
use super::value::choices;
use super::vendors::GitAccess;
use orch_engine::parts::{self, Of, Run, Touched};
use std::collections::BTreeMap;
use std::path::PathBuf;

section! {
    /// A project. Repeat the table for each.
    Project {
        /// Prefix of its work items: 1 to 10 capital letters and digits, a letter first. Required.
        key: String = String::new();
        /// The repository: a path (relative to this file) or an address git understands. Several projects may name one; they
        /// share its merge queue, and must have the same `forge` and `default_branch`. Required.
        repo: String = String::new();
        /// The branch work is merged into.
        default_branch: String = "main".into();
        /// Where its tickets live.
        tracker: String = "local".into();
        /// Where its branches and pull requests live: `local` serves `repo` where it is if that is a bare repository, and
        /// else copies it once; `git` works with `repo` as a remote, and keeps pull requests beside the database.
        forge: String = "local".into();
        /// Its pipeline: `full`, `lite` or the name of a `[pipelines.NAME]` table.
        pipeline: String = "full".into();
        /// People who may approve: by their key in `[people]`, or by a name there (`gitea:anna.b`). Without `[people]` `local:anna`,
        /// or `anna` for that name wherever it comes from. Not set: the people with the role `approver`.
        approvers: Option<Vec<String>> = None;
        /// People who may start tasks. Not set: the people with the role `starter`.
        starters: Option<Vec<String>> = None;
        /// People who may land branches of their own (`orch land`). Not set: the people with the role `lander`. Empty, and where
        /// nobody has that role: those who may approve.
        landers: Option<Vec<String>> = None;
        /// The forge must show a person's approval of the pull request (`check_review_approved`).
        review_approval: bool = false;
        /// A person confirms that nothing has to be changed, where a developer declares that and the reviewer agrees. With
        /// `review_approval` one always does.
        no_change_approval: bool = false;
        /// This project is orch itself: it is never restarted or rolled back by itself.
        is_self: bool = false;
        /// Accept a project with neither `commands.test` nor `commands.ci`: nothing will check its code.
        allow_untested: bool = false;
        /// Fill its submodules in clones and checkouts. `false`: their directories stay empty.
        submodules: bool = true;
        /// Hosts its submodules may come from beside its own: `github.com`; `file` for directories of this machine that its
        /// default branch names.
        submodule_hosts: Vec<String> = Vec::new();
        /// How orch is let in at its remote, with `forge = "git"`.
        git: GitAccess = GitAccess::default();
        /// Its commands.
        commands: Commands = Commands::default();
        /// Its parts, if it holds several.
        parts: Vec<Part> = Vec::new();
        /// What its forge must report.
        ci: Ci = Ci::default();
        /// How it is shipped.
        deploy: Deploy = Deploy::default();
        /// What its agents may cost.
        budget: ProjectBudget = ProjectBudget::default();
        /// Role to agent program, where not the default: `developer = "mine"`.
        agents: BTreeMap<String, String> = BTreeMap::new();
        /// Switches of its gates: `[project.gates.check_security_gate]`.
        gates: BTreeMap<String, ProjectGate> = BTreeMap::new();
        /// Our ticket states to the tracker's own names: `Blocked = "Stuck"`.
        states: BTreeMap<String, String> = BTreeMap::new();
    }
}

section! {
    /// Shell lines run in a clean checkout, each in a shell of its own, with a HOME that is empty and theirs alone (Java
    /// takes its home from the machine, not from HOME).
    Commands {
        /// Makes the checkout ready for `test` and `ci`, before each of them, in the same checkout with the same HOME:
        /// `npm ci`. Counts towards their time. If it fails, that is what is reported. It runs in each agent's working
        /// directory, too, before the agent begins; what it makes there and git ignores stays for the agent.
        setup: Option<String> = None;
        /// Runs the tests; exit 0 is green.
        test: Option<String> = None;
        /// What continuous integration runs for each pushed commit (local forge).
        ci: Option<String> = None;
        /// Run `setup`, `test` and `ci` on the default branch as it is before a task's first agent, once per tree: what is
        /// red there costs nobody anything and waits for a person.
        base_first: bool = true;
        /// Variables added to the environment of every command of the project, its hooks and its agents, which is otherwise
        /// empty but for PATH, HOME, LANG, TERM and TMPDIR. No place for secrets: agents see it.
        env: BTreeMap<String, String> = BTreeMap::new();
        /// File with secrets of the commands and hooks, lines `NAME=value`, that nobody else may read (`chmod 600`). Agents
        /// and setups do not get it; what is tested does.
        env_file: Option<PathBuf> = None;
        /// The same for `setup` alone: the logins of package registries. The command behind it does not get them.
        setup_env_file: Option<PathBuf> = None;
        /// What a `setup` of the default branch leaves for all later runs, each of which gets a copy of its own: `~` is HOME,
        /// where package managers keep what they download, other entries are paths in the checkout that git ignores
        /// (`node_modules`, `target`). It is made anew when setup, environment, a lock file or the toolchain changes. Empty:
        /// every run begins with nothing.
        cache: Vec<String> = vec!["~".to_owned()];
    }
}

section! {
    /// A part of a repository that holds several, with commands of its own beside those in `[project.commands]`. A branch
    /// runs those of the parts it touches, and of all of them if it touches a path of none; in the merge, and on the
    /// default branch, all are run. Repeat the table for each.
    Part {
        /// Its name: letters, digits, `-` and `_`. Required.
        name: String = String::new();
        /// What belongs to it, in patterns of a `.gitignore`: `/web/`, `/shared/**`, `*.sql`. One that begins with `!` takes
        /// paths out again. Required.
        paths: Vec<String> = Vec::new();
        /// Runs its tests, from the top of the checkout.
        test: Option<String> = None;
        /// What continuous integration runs for it.
        ci: Option<String> = None;
    }
}

section! {
    /// Continuous integration.
    Ci {
        /// Checks that must be green. Empty: at least one is reported and all are green.
        required: Vec<String> = Vec::new();
        /// Seconds to wait for a report before a person is told.
        wait_s: u64 = 1800;
    }
}

choices! {
    /// Who ships.
    DeployMode {
        /// The commands below.
        Hook = "hook",
        /// The `deployer` role. Never the default: it must be asked for.
        Agent = "agent",
    }
}

choices! {
    /// What becomes of the default branch after a failed production deploy.
    OnFailure {
        /// It stays as it is; the next deploy waits for a repair.
        Keep = "keep",
        /// A pull request reverts the change, through the same merge gate.
        Revert = "revert",
    }
}

section! {
    /// Shell lines that ship a revision, given in `ORCH_REVISION`; exit 0 is success.
    Deploy {
        /// Who ships.
        mode: DeployMode = DeployMode::Hook;
        /// Brings a revision to staging.
        staging: Option<String> = None;
        /// Brings a revision to production.
        production: Option<String> = None;
        /// Takes production back to `ORCH_PREVIOUS_REVISION`.
        rollback: Option<String> = None;
        /// Run after staging and after production; exit 0 is healthy.
        check: Option<String> = None;
        /// Tells of the image that staging runs: prints the words `revision=` (what it was built from) and `digest=`.
        image: Option<String> = None;
        /// What a hook puts into a session of its own (`setsid`) goes on when the hook has ended. Else whatever a hook
        /// leaves running is ended with it.
        detach: bool = false;
        /// Address that answers 200 with the running revision.
        health_url: Option<String> = None;
        /// A person must approve before production.
        approval: bool = false;
        /// What becomes of the default branch if production fails.
        on_failure: OnFailure = OnFailure::Keep;
        /// Environment variables handed to the deployer role, by name, with `mode = "agent"`.
        env: Vec<String> = Vec::new();
    }
}

impl Project {
    /// Its parts, as the engine takes them.
    pub fn parts(&self) -> Vec<orch_engine::parts::Part> {
        let part = |p: &Part| orch_engine::parts::Part {
            name: p.name.clone(),
            paths: p.paths.clone(),
            test: p.test.clone(),
            ci: p.ci.clone(),
        };
        self.parts.iter().map(part).collect()
    }
    /// Everything that tests it, or that CI runs for it.
    pub fn whole(&self, of: Of) -> Option<Run> {
        let own = match of {
            Of::Test => self.commands.test.as_deref(),
            Of::Ci => self.commands.ci.as_deref(),
        };
        parts::run(own, &self.parts(), of, &Touched::All)
    }
}
