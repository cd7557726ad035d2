//! The people of an instance: who is configured, who else is named in what is kept, and how one of them is forgotten. Decides
//! when a name may go (never while the configuration has it), and that somebody who was forgotten is named by a number from
//! then on. Who may do what is not decided here: see [`orch_core::policy::Policy::may`].

use crate::engine::Engine;
use crate::persons::Persons;
use orch_core::ids::{Actor, ProjectKey};
use orch_core::people::{self, Person, bare, is_nobody, is_numbered, person_of, same_name, system};
use orch_core::policy::Policy;
use orch_ports::Fault;
use orch_store::{Fact, Forget, Forgotten};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

/// A person, or somebody on a project's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersonView {
    /// What orch calls them.
    pub name: String,
    /// Their names, with the system in front; none: that name on every system.
    pub names: Vec<Actor>,
    /// What they may do, by project: `approver`, `starter`, `lander`.
    pub roles: BTreeMap<ProjectKey, Vec<&'static str>>,
}

/// Everybody orch knows of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PeopleView {
    /// Those in the configuration.
    pub people: Vec<PersonView>,
    /// Names in what is kept that are nobody's of the configuration.
    pub others: Vec<Actor>,
}

/// What became of the wish to forget somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is done; was it before?
    Done {
        /// What the person is called from now on.
        called: Actor,
        /// What was changed this time.
        forgotten: Forgotten,
        /// Was the person forgotten before?
        before: bool,
    },
    /// The configuration has the person: a sentence, with the key to remove.
    Configured(String),
    /// Nobody has this name; the names there are.
    Unknown(Vec<String>),
}

/// The lists of a project, with their keys.
fn lists(policy: &Policy) -> [(&'static str, &'static str, &[Actor]); 3] {
    [
        ("approvers", "approver", &policy.approvers),
        ("starters", "starter", &policy.starters),
        ("landers", "lander", &policy.landers),
    ]
}

/// Reads what is kept, and takes up who is configured now.
pub(crate) async fn take_up(engine: &Engine) -> Result<(), Fault> {
    let store = &engine.ports.store;
    let kept = store.recall(&Fact::Persons).await?;
    let mut persons: Persons = match &kept {
        None => Persons::default(),
        Some(text) => serde_json::from_str(text).map_err(|e| Fault::bug(format!("read the people: {e}")))?,
    };
    persons.key = store.recall(&Fact::FingerprintKey).await?.unwrap_or_default();
    for project in engine.projects().values() {
        let policy = &project.policy;
        let on_lists = lists(policy).into_iter().flat_map(|(_, _, list)| list);
        for name in policy.people.iter().flat_map(|p| &p.names).chain(on_lists) {
            // Somebody who is configured again is known again.
            if let Some(digest) = persons.digest(name) {
                persons.forgotten.remove(&digest);
            }
        }
        for person in &policy.people {
            match persons.known.iter_mut().find(|known| known.name == person.name) {
                Some(known) => {
                    let new = person.names.iter().filter(|name| !known.names.contains(name));
                    let new: Vec<Actor> = new.cloned().collect();
                    known.names.extend(new);
                }
                None => persons.known.push(person.clone()),
            }
        }
    }
    let text = serde_json::to_string(&persons).map_err(|e| Fault::bug(e.to_string()))?;
    let nothing = persons.known.is_empty() && persons.forgotten.is_empty();
    if kept.as_ref() != Some(&text) && !(nothing && kept.is_none()) {
        store.remember(&Fact::Persons, &text, engine.ports.clock.now()).await?;
    }
    *engine.persons.lock().unwrap_or_else(PoisonError::into_inner) = persons;
    Ok(())
}

impl Engine {
    fn persons(&self) -> Persons {
        self.persons.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads who is known and who was forgotten. To be asked before anybody is heard: until then somebody who was forgotten
    /// would be named.
    ///
    /// # Errors
    /// A store that cannot be read or written.
    pub async fn know_people(&self) -> Result<(), Fault> {
        take_up(self).await
    }

    /// Who did something, as it is written down: somebody who was forgotten by a number.
    pub(crate) fn written(&self, by: &Actor) -> Actor {
        let persons = self.persons.lock().unwrap_or_else(PoisonError::into_inner);
        persons.number(by).map_or_else(|| by.clone(), people::numbered)
    }

    /// Everybody in the configuration, and everybody who is named in what is kept.
    pub async fn people(&self) -> Result<PeopleView, Fault> {
        let mut all: BTreeMap<String, PersonView> = BTreeMap::new();
        for project in self.projects().values() {
            let policy = &project.policy;
            let view =
                |name: &str, names: Vec<Actor>| PersonView { name: name.to_owned(), names, roles: BTreeMap::new() };
            for person in &policy.people {
                all.entry(person.name.clone()).or_insert_with(|| view(&person.name, person.names.clone()));
            }
            for (_, role, list) in lists(policy) {
                for entry in list {
                    let name = person_of(&policy.people, entry).map_or(entry.as_str(), |person| &person.name);
                    let named = system(entry).map(|_| entry.clone()).into_iter().collect();
                    let person = all.entry(name.to_owned()).or_insert_with(|| view(name, named));
                    let roles = person.roles.entry(project.key.clone()).or_default();
                    if !roles.contains(&role) {
                        roles.push(role);
                    }
                }
            }
        }
        let mut others: BTreeSet<Actor> = self.ports.store.named().await?.into_iter().collect();
        others.extend(self.persons().known.into_iter().flat_map(|person| person.names));
        let is = |person: &PersonView, who: &Actor| {
            let anywhere = person.names.is_empty() && person.name == bare(who);
            anywhere || person.name == who.as_str() || person.names.iter().any(|name| same_name(name, who))
        };
        others.retain(|who| !is_nobody(who) && !is_numbered(who) && !all.values().any(|person| is(person, who)));
        Ok(PeopleView { people: all.into_values().collect(), others: others.into_iter().collect() })
    }

    /// Takes a person's names out of everything that is kept; the person's number stands in their place, and for what the
    /// person does from then on. Asked again it finds what was written meanwhile. With `mentions` also where a text only
    /// mentions a name without its system.
    ///
    /// # Errors
    /// A store that cannot be read or written; nothing is changed then, or all of it.
    pub async fn forget_person(&self, name: &str, mentions: bool) -> Result<Asked, Fault> {
        // Whoever reads, changes and writes something with names in it comes before or after.
        let _pauses = self.halting.changing.lock().await;
        let _quarantine = self.flaky.lock().await;
        let asked = Actor::new(name.trim());
        take_up(self).await?;
        let store = &self.ports.store;
        let persons = self.persons();
        let recorded = store.named().await?;
        let names = self.names_of(&asked, &persons, &recorded);
        if let Some(key) = self.configured(&asked, &names) {
            return Ok(Asked::Configured(key));
        }
        let before = persons.number(&asked);
        if names.is_empty() && before.is_none() {
            return Ok(Asked::Unknown(self.all_names(&persons, &recorded)));
        }
        let mut names = names;
        if !names.contains(&asked) {
            names.push(asked.clone());
        }
        let id = if let Some(id) = before {
            id
        } else {
            let texts = names.iter().map(|name| name.as_str().to_owned()).collect();
            let ids = store.person_ids(texts).await?;
            ids.iter().map(|(_, id)| *id).min().ok_or_else(|| Fault::bug("a person has no number"))?
        };
        let mut after = persons.clone();
        after.known.retain(|person| !names.iter().any(|name| person.is(name)));
        for name in &names {
            if let Some(digest) = after.digest(name) {
                after.forgotten.insert(digest, id);
            }
        }
        let text = serde_json::to_string(&after).map_err(|e| Fault::bug(e.to_string()))?;
        let (facts, now) = (vec![(Fact::Persons, text)], self.ports.clock.now());
        // From here on nothing new is written under a name, were it while the rows are changed.
        *self.persons.lock().unwrap_or_else(PoisonError::into_inner) = after;
        let forgotten = match store.forget_person(Forget { id, names, mentions, facts, now }).await {
            Ok(forgotten) => forgotten,
            Err(error) => {
                // What is kept decides which of the two it is.
                take_up(self).await.unwrap_or_else(|fault| tracing::warn!(%fault, "the people are not known"));
                return Err(error.into());
            }
        };
        self.read_what_is_halted().await?;
        let called = people::numbered(id);
        tracing::info!(%called, "a person is forgotten: {} rows", forgotten.rows.values().sum::<u64>());
        Ok(Asked::Done { called, forgotten, before: before.is_some() })
    }

    /// Every name of whoever has this one; none: nobody has it.
    fn names_of(&self, asked: &Actor, persons: &Persons, recorded: &[Actor]) -> Vec<Actor> {
        let projects = self.projects();
        let configured: Vec<Person> = projects.values().flat_map(|p| p.policy.people.clone()).collect();
        let all: Vec<Person> = configured.iter().chain(&persons.known).cloned().collect();
        if let Some(person) = person_of(&all, asked) {
            let mut names: Vec<Actor> =
                all.iter().filter(|p| p.name == person.name).flat_map(|p| p.names.clone()).collect();
            names.sort();
            names.dedup();
            names.push(Actor::new(person.name.clone()));
            return names;
        }
        let on_lists = projects.values().flat_map(|p| lists(&p.policy).map(|(_, _, list)| list.to_vec()).concat());
        let is = |who: &Actor| match system(asked) {
            Some(_) => same_name(who, asked),
            None => bare(who) == asked.as_str(),
        };
        let free = |who: &Actor| !is_nobody(who) && !is_numbered(who) && person_of(&all, who).is_none();
        let mut names: BTreeSet<Actor> =
            recorded.iter().cloned().chain(on_lists).filter(|who| is(who) && free(who)).collect();
        if !names.is_empty() && free(asked) {
            names.insert(asked.clone());
        }
        names.into_iter().collect()
    }

    /// The key to remove, if the configuration has the person.
    fn configured(&self, asked: &Actor, names: &[Actor]) -> Option<String> {
        let is = |who: &Actor| {
            names
                .iter()
                .chain([asked])
                .any(|name| same_name(name, who) || (system(who).is_none() && who.as_str() == bare(name)))
        };
        let projects = self.projects();
        // The table first: without the person in it, a list that names them is refused with its line.
        if let Some(person) = projects.values().find_map(|p| person_of(&p.policy.people, asked)) {
            return Some(format!("`{}` in [people]", person.name));
        }
        let mut keys: Vec<String> = Vec::new();
        for project in projects.values() {
            for (key, _, list) in lists(&project.policy) {
                let entry = list.iter().find(|entry| is(entry) && person_of(&project.policy.people, entry).is_none());
                keys.extend(entry.map(|entry| format!("`{entry}` in `{key}` of [[project]] {}", project.key)));
            }
        }
        (!keys.is_empty()).then(|| keys.join(", "))
    }

    fn all_names(&self, persons: &Persons, recorded: &[Actor]) -> Vec<String> {
        let projects = self.projects();
        let people: Vec<Person> =
            projects.values().flat_map(|p| p.policy.people.clone()).chain(persons.known.clone()).collect();
        let mut names: BTreeSet<String> = people.iter().map(|person| person.name.clone()).collect();
        names.extend(people.iter().flat_map(|p| &p.names).chain(recorded).map(ToString::to_string));
        names.extend(recorded.iter().filter(|who| person_of(&people, who).is_none()).map(|who| bare(who).to_owned()));
        let stands_for_nobody =
            |name: &String| is_nobody(&Actor::new(name.clone())) || is_numbered(&Actor::new(name.clone()));
        names.into_iter().filter(|name| !stands_for_nobody(name)).collect()
    }

    /// Everybody's names, with one number for all of a person's.
    pub(crate) async fn numbers(&self, named: BTreeSet<Actor>) -> Result<Vec<(i64, Vec<Actor>)>, Fault> {
        let projects = self.projects();
        let people: Vec<Person> =
            self.persons().known.into_iter().chain(projects.values().flat_map(|p| p.policy.people.clone())).collect();
        let mut groups: BTreeMap<String, BTreeSet<Actor>> = BTreeMap::new();
        for who in named.into_iter().filter(|who| !is_nobody(who) && !is_numbered(who)) {
            match person_of(&people, &who) {
                Some(person) => {
                    let group = groups.entry(format!("[people] {}", person.name)).or_default();
                    group.extend(people.iter().filter(|p| p.name == person.name).flat_map(|p| p.names.clone()));
                    group.insert(Actor::new(person.name.clone()));
                    group.insert(who);
                }
                None => drop(groups.entry(who.to_string()).or_default().insert(who)),
            }
        }
        let mut numbers = Vec::new();
        for group in groups.into_values() {
            let texts = group.iter().map(ToString::to_string).collect();
            let ids = self.ports.store.person_ids(texts).await?;
            if let Some(id) = ids.iter().map(|(_, id)| *id).min() {
                numbers.push((id, group.into_iter().collect()));
            }
        }
        Ok(numbers)
    }
}
