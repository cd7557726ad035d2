//! `[people]`: who works with orch, by which name each system knows them, and what they may do. One account belongs to one
//! person: a name that could be two people's is refused, because whoever has it would decide for the other.

use super::Tables;
use super::load::Loader;
use super::problem::did_you_mean;
use super::project::Project;
use super::section::section;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use orch_core::ids::{Actor, GateId};
use orch_core::people;
use orch_core::pipeline::Step;
use orch_core::plain::is_odd;
use orch_core::policy::Policy;
use std::collections::BTreeMap;

section! {
    /// A person, under the name orch uses: `anna = { local = "anna", gitea = "anna.b", roles = ["approver"] }`. Whichever of
    /// the names acts, it is this person. Where there is a person here, the lists of projects name people of this table.
    Person {
        /// User name on this machine.
        local: Option<String> = None;
        /// Name with which the person logs in to the dashboard.
        login: Option<String> = None;
        /// Id of the person's account at Plane.
        plane: Option<String> = None;
        /// User name at Gitea.
        gitea: Option<String> = None;
        /// Number of the person's account at Telegram.
        telegram: Option<u64> = None;
        /// What the person may do in every project that does not name its own people for it: `approver` (approve; start, too),
        /// `starter` (start, answer, cancel, retry), `lander` (land branches of their own).
        roles: Vec<String> = Vec::new();
    }
}

/// Roles a person can have.
pub const ROLES: &[&str] = &["approver", "starter", "lander"];
/// Longest name of a person, bytes.
const NAME_MAX: usize = 200;

/// Who may do what in a project, as the configuration names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Who may approve.
    pub approvers: Vec<String>,
    /// Who may start, beside them.
    pub starters: Vec<String>,
    /// Who may land; none: who may approve.
    pub landers: Vec<String>,
}

impl Person {
    /// Every name, with the key it stands under.
    fn names(&self) -> Vec<(&'static str, String)> {
        let texts = [("local", &self.local), ("login", &self.login), ("plane", &self.plane), ("gitea", &self.gitea)];
        let texts = texts.into_iter().filter_map(|(key, name)| Some((key, name.clone()?)));
        texts.chain(self.telegram.map(|number| ("telegram", number.to_string()))).collect()
    }
}

impl Tables {
    /// The people, as the core knows them.
    pub fn persons(&self) -> Vec<people::Person> {
        let names = |p: &Person| p.names().iter().map(|(key, name)| Actor::new(format!("{key}:{name}"))).collect();
        self.people.iter().map(|(name, p)| people::Person { name: name.clone(), names: names(p) }).collect()
    }

    /// Who may do what in a project: whom it names itself, else the people with the role.
    pub fn lists(&self, project: &Project) -> Lists {
        let of = |own: &Option<Vec<String>>, role: &str| {
            let everywhere = self.people.iter().filter(|(_, p)| p.roles.iter().any(|r| r == role));
            own.clone().unwrap_or_else(|| everywhere.map(|(name, _)| name.clone()).collect())
        };
        Lists {
            approvers: of(&project.approvers, "approver"),
            starters: of(&project.starters, "starter"),
            landers: of(&project.landers, "lander"),
        }
    }

    /// Who may do what in a project, as the core asks it; everything else is as it is by default.
    pub fn people_of(&self, project: &Project) -> Policy {
        let Lists { approvers, starters, landers } = self.lists(project);
        let actors = |names: Vec<String>| names.into_iter().map(Actor::new).collect();
        Policy {
            people: self.persons(),
            approvers: actors(approvers),
            starters: actors(starters),
            landers: actors(landers),
            ..Policy::default()
        }
    }

    /// What every task of a project, or some of them, would wait for without end, because there is nobody to approve it.
    pub fn waits_for_nobody(&self, project: &Project) -> Vec<&'static str> {
        if !self.lists(project).approvers.is_empty() {
            return Vec::new();
        }
        let pipeline = orch_core::pipeline::Pipeline::built_in(&project.pipeline);
        let pipeline = pipeline.or_else(|| self.pipelines.get(&project.pipeline).map(|p| p.0.clone()));
        let steps: Vec<Step> = pipeline.into_iter().flat_map(|p| p.stages).flat_map(|s| s.steps).collect();
        let has = |wanted: GateId| steps.iter().any(|s| matches!(s, Step::Gate { gate, .. } if *gate == wanted));
        let production = steps.iter().any(|s| matches!(s, Step::ApproveProduction));
        let all = [
            (has(GateId::AnalysisApproved), "an approval of its analysis"),
            (has(GateId::ReviewApproved) && project.review_approval, "an approval on the forge"),
            (production && project.deploy.approval && project.deploy.production.is_some(), "an approval of production"),
            (project.no_change_approval, "a person's word that nothing has to be changed"),
        ];
        all.into_iter().filter_map(|(waits, what)| waits.then_some(what)).collect()
    }
}

/// Checks the table and every list that names people.
pub(crate) fn check(loader: &mut Loader<'_>, tables: &Tables) {
    let mut accounts: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut keys: BTreeMap<String, &String> = BTreeMap::new();
    for (key, person) in &tables.people {
        let at = format!("people.{key}");
        if let Some(why) = wrong_key(key) {
            loader.at_path(&at, format!("[people] `{}` {why}", key.escape_debug()));
        }
        if let Some(other) = keys.insert(alike(key), key) {
            let text = format!(
                "[people] `{}` and `{}` look like one name: give one of them another key",
                other.escape_debug(),
                key.escape_debug()
            );
            loader.at_path(&at, text);
        }
        let names = person.names();
        if names.is_empty() && !has_problem(loader, key) {
            let text = format!(
                "[people] `{key}` has no name that a system knows: write one of local, login, plane, gitea or telegram, \
                 like `local = \"{key}\"`"
            );
            loader.at_path(&at, text);
        }
        for (system, name) in names {
            let here = format!("{at}.{system}");
            if let Some(why) = wrong_name(system, &name) {
                loader.at_path(&here, format!("[people.{key}] `{system}` {why}"));
                continue;
            }
            let folded = if system == "local" { name.clone() } else { alike(&name) };
            match accounts.get(&format!("{system}:{folded}")) {
                Some((other, as_written)) => {
                    let text = format!(
                        "[people.{key}] `{system}` is `{name}`, and `{other}` has the same account there (`{as_written}`): an \
                         account is one person's; remove it from one of them"
                    );
                    loader.at_path(&here, text);
                }
                None => drop(accounts.insert(format!("{system}:{folded}"), (key.clone(), name))),
            }
        }
        for role in person.roles.iter().filter(|role| !ROLES.contains(&role.as_str())) {
            let hint = did_you_mean(role, ROLES.iter().copied());
            let hint = if hint.is_empty() { format!(": roles are {}", ROLES.join(", ")) } else { hint };
            loader.at_path(&format!("{at}.roles"), format!("[people.{key}] `roles` has no role `{role}`{hint}"));
        }
    }
    let persons = tables.persons();
    for (i, project) in tables.projects.iter().enumerate() {
        let lists = [("approvers", &project.approvers), ("starters", &project.starters), ("landers", &project.landers)];
        for (list, name) in lists.into_iter().flat_map(|(list, names)| names.iter().flatten().map(move |n| (list, n))) {
            if let Some(why) = wrong_entry(&persons, name) {
                let text = format!("[[project]] {} `{list}` {why}", project.key);
                loader.at_path(&format!("project[{i}].{list}"), text);
            }
        }
    }
}

/// Was something of this person's table refused while it was read? Then what is missing is said already.
fn has_problem(loader: &Loader<'_>, key: &str) -> bool {
    let keys = ["local", "login", "plane", "gitea", "telegram"];
    keys.iter().any(|k| loader.sources.contains_key(&format!("people.{key}.{k}")))
}

/// How a name looks: two that are the same here cannot be told apart by who reads them.
fn alike(name: &str) -> String {
    let nfkd = DecomposingNormalizerBorrowed::new_nfkd();
    let plain = nfkd.normalize(name).to_lowercase();
    nfkd.normalize(&plain).into_owned()
}

/// What no name may hold, whoever gives it.
fn unreadable(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("is empty".into());
    }
    if NAME_MAX < name.len() {
        return Some(format!("is {} bytes long, and {NAME_MAX} are the most", name.len()));
    }
    if let Some(c) = name.chars().find(|c| c.is_whitespace() || is_odd(*c) || [':', ','].contains(c)) {
        return Some(format!("holds `{}`, which no name may", c.escape_debug()));
    }
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(name);
    (composed != name).then(|| format!("is written with combining characters: write it as `{composed}`"))
}

fn wrong_key(key: &str) -> Option<String> {
    let who = Actor::new(key);
    if people::is_nobody(&who) || people::is_numbered(&who) {
        return Some("is what orch calls somebody else: choose another key".into());
    }
    unreadable(key)
}

fn wrong_name(system: &str, name: &str) -> Option<String> {
    if let Some(alone) = name.strip_prefix(system).and_then(|rest| rest.strip_prefix(':')) {
        return Some(format!("says its system twice: write `{alone}`"));
    }
    let who = Actor::new(format!("{system}:{name}"));
    if people::is_nobody(&who) {
        return Some(format!("is `{name}`, which stands for a request that names nobody"));
    }
    if system == "telegram" && name == "0" {
        return Some("is 0, which is no account".into());
    }
    unreadable(name)
}

fn wrong_entry(persons: &[people::Person], name: &str) -> Option<String> {
    let who = Actor::new(name);
    if name.trim().is_empty() {
        return Some("has an empty name".into());
    }
    if people::is_nobody(&who) {
        return Some(format!("has `{name}`, which stands for no person"));
    }
    if persons.is_empty() || people::person_of(persons, &who).is_some() {
        return None;
    }
    let known = persons.iter().flat_map(|p| std::iter::once(p.name.as_str()).chain(p.names.iter().map(Actor::as_str)));
    let hint = did_you_mean(name, known);
    let hint = if hint.is_empty() { ": add the person to [people]".to_owned() } else { hint };
    Some(format!("has `{}`, who is not in [people]{hint}", name.escape_debug()))
}
