//! `[gates.NAME]` and `[project.gates.NAME]`: the switch of each gate, and the one function that says which switch
//! wins. Off is never silent: the reason is part of the answer.

use super::Config;
use super::project::Project;
use super::section::section;
use super::value::choices;
use orch_core::ids::GateId;

choices! {
    /// How much a gate's word counts.
    GateMode {
        /// Not judged; recorded as skipped.
        Off = "off",
        /// Judged and recorded, blocks nothing.
        Shadow = "shadow",
        /// Judged and obeyed.
        Enforce = "enforce",
    }
}

section! {
    /// Switch of a gate for every project; NAME is `check_ci_green` and the like.
    GlobalGate {
        /// How much its word counts. Not set: `enforce`.
        mode: Option<GateMode> = None;
        /// Repositories it is real for. Not set: all; empty: only projects marked `self`.
        repos: Option<Vec<String>> = None;
        /// Longest judgement in seconds; one that takes longer cannot tell. Not set: the gate's own limit, else 600.
        timeout_s: Option<u64> = None;
    }
}

section! {
    /// Switch of a gate for this project: wins over `[gates.NAME]`, loses to an `..._enabled = false`.
    ProjectGate {
        /// How much its word counts. Not set: as for every project.
        mode: Option<GateMode> = None;
        /// Longest judgement in seconds. Not set: as for every project.
        timeout_s: Option<u64> = None;
    }
}

/// Which switch won, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// How much the gate's word counts.
    pub mode: GateMode,
    /// What decided it, for evidence pages: `[merge] gate_enabled is false`.
    pub why: String,
    /// Longest judgement in seconds, where configured.
    pub timeout_s: Option<u64>,
}

impl Config {
    /// The switch of a gate for a project: `..._enabled = false` beats all, then the lists of repositories, then the
    /// project, then the global table, then `enforce`.
    pub fn gate_switch(&self, project: &Project, gate: GateId) -> Switch {
        let own = find(&project.gates, gate);
        let global = find(&self.gates, gate);
        let timeout_s = own.and_then(|g| g.timeout_s).or_else(|| global.and_then(|g| g.timeout_s));
        let switch = |mode, why: &str| Switch { mode, why: why.to_owned(), timeout_s };
        let (enabled, repos, section) = match gate {
            GateId::BranchMergeable => (self.merge.gate_enabled, self.merge.gate_repos.as_ref(), "[merge] gate"),
            GateId::SecurityGate => (self.security.gate_enabled, self.security.gate_repos.as_ref(), "[security] gate"),
            GateId::StagingImageFresh => {
                (self.image.freshness_enabled, self.image.freshness_repos.as_ref(), "[image] freshness")
            }
            _ => (true, None, ""),
        };
        if !enabled {
            return switch(GateMode::Off, &format!("{section}_enabled is false"));
        }
        let from_table = global.and_then(|g| g.repos.as_ref());
        for (list, name) in [(repos, format!("{section}_repos")), (from_table, format!("[gates.{gate}] repos"))] {
            if list.is_some_and(|list| !in_scope(list, project)) {
                return switch(GateMode::Off, &format!("{name} does not include this project"));
            }
        }
        if let Some(mode) = own.and_then(|g| g.mode) {
            return switch(mode, &format!("[project.gates.{gate}] mode"));
        }
        if let Some(mode) = global.and_then(|g| g.mode) {
            return switch(mode, &format!("[gates.{gate}] mode"));
        }
        switch(GateMode::Enforce, "default")
    }
}

fn find<T>(table: &std::collections::BTreeMap<String, T>, gate: GateId) -> Option<&T> {
    table.iter().find(|(name, _)| GateId::parse(name) == Some(gate)).map(|(_, g)| g)
}

/// Is a project on a list of repositories? An empty list means the projects marked `self`.
fn in_scope(list: &[String], project: &Project) -> bool {
    if list.is_empty() {
        return project.is_self;
    }
    let repo = project.repo.trim_end_matches('/');
    let name = repo.rsplit(['/', ':']).next().unwrap_or(repo);
    let short = name.strip_suffix(".git").unwrap_or(name);
    list.iter().any(|l| l.eq_ignore_ascii_case(&project.key) || l == repo || l == name || l == short)
}
