//! What other servers send by webhooks. `receive` verifies a delivery and keeps it: what is acknowledged is on disk. The
//! watcher `inbox` resolves it later, which means that the code that polls looks now: the tracker is read, the repository
//! is fetched, tasks that wait for that commit or branch are judged again. A delivery decides nothing, so that none, each
//! ten times, and any order end in the same state.

use crate::engine::Engine;
use crate::inbound::{InboundView, Received};
use crate::project::Project;
use crate::text::rfc3339;
use crate::watchers::report::Report;
use crate::watchers::tracker;
use crate::{main_moved, polls};
use orch_core::event::Event;
use orch_core::ids::{ProjectKey, Time};
use orch_core::phase::PhaseKind;
use orch_ports::Fault;
use orch_ports::inbound::{Headers, Signal, Webhook, repository_name};
use orch_store::{Cause, NewDelivery, TaskFilter};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

/// Longest body that is kept, bytes.
const BODY_KEPT: usize = 64 * 1024;
/// Deliveries that are resolved at once.
const BATCH: u32 = 500;
/// What arrives within this is looked at once, milliseconds.
const GATHER_MS: u64 = 200;
/// A delivery whose place cannot be looked at is tried again for this long, milliseconds. By then polling has looked.
const TRIED_MS: i64 = 300_000;

impl Engine {
    /// From now on these webhooks are taken in, with the secrets they have.
    pub fn set_webhooks(&self, hooks: Vec<Arc<dyn Webhook>>) {
        *self.inbound.hooks.write().unwrap_or_else(PoisonError::into_inner) = hooks;
    }

    /// Takes in a delivery. It is on disk when this returns `Kept`.
    ///
    /// # Errors
    /// The store's: it was not kept.
    pub async fn receive(&self, source: &str, headers: Headers<'_>, body: &[u8]) -> Result<Received, Fault> {
        let inbound = &self.inbound;
        let Some(hook) = inbound.hook(source) else { return Ok(Received::Unknown) };
        let source = hook.source();
        if !hook.has_secret() {
            if inbound.count(source, |c| &mut c.not_set_up) == 1 {
                tracing::warn!("a webhook of {source} was not taken in: set [{source}] `webhook_secret` to its secret");
            }
            return Ok(Received::NotSetUp);
        }
        if !hook.is_genuine(headers, body) {
            if inbound.count(source, |c| &mut c.refused) == 1 {
                tracing::warn!(
                    "a webhook of {source} was refused: its signature fits none of the secrets in [{source}]; is the same secret \
                     set there, and the content type JSON?"
                );
            }
            return Ok(Received::Refused);
        }
        inbound.count(source, |c| &mut c.received);
        let new = NewDelivery {
            source: source.to_owned(),
            digest: Sha256::digest(body).to_vec(),
            delivery: hook.read(headers, body),
            body: (body.len() <= BODY_KEPT).then(|| body.to_vec()),
            at: self.ports.clock.now(),
        };
        match self.ports.store.put_delivery(new).await {
            Ok(Some(_)) => {
                inbound.wake.notify_one();
                Ok(Received::Kept)
            }
            Ok(None) => {
                inbound.count(source, |c| &mut c.duplicate);
                Ok(Received::Again)
            }
            Err(error) => {
                inbound.count(source, |c| &mut c.not_kept);
                Err(error.into())
            }
        }
    }

    /// A delivery was too large to be read.
    pub fn too_large(&self, source: &str) {
        if self.inbound.hook(source).is_some() {
            self.inbound.count(source, |c| &mut c.too_large);
        }
    }

    /// How each source stands.
    ///
    /// # Errors
    /// The store's.
    pub async fn inbound(&self) -> Result<Vec<InboundView>, Fault> {
        let hooks = self.inbound.hooks();
        let sources = hooks.iter().map(|hook| hook.source().to_owned()).collect();
        let stand = self.ports.store.delivery_sources(sources).await?;
        let counts = self.inbound.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let view = |(hook, stands): (&Arc<dyn Webhook>, orch_store::DeliverySource)| InboundView {
            source: stands.source,
            set_up: hook.has_secret(),
            counts: counts.get(hook.source()).copied().unwrap_or_default(),
            unresolved: stands.open,
            oldest_unresolved: stands.oldest_open.map(rfc3339),
            last: stands.last.map(rfc3339),
        };
        Ok(hooks.iter().zip(stand).map(view).collect())
    }

    /// Fetches from other machines since this process began.
    pub fn fetches(&self) -> u64 {
        self.freshness.total()
    }
}

/// Where a look is to be taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A repository, by the key of the first project that has it.
    Repository(ProjectKey),
    /// The tracker of a project.
    Tracker(ProjectKey),
}

/// What is to be looked at there. Of a tracker the whole list is read: it is one call, whatever changed.
#[derive(Default)]
struct News {
    branches: BTreeSet<String>,
    commits: BTreeSet<String>,
}

/// By which names the projects are sent deliveries.
struct Names {
    repositories: BTreeMap<String, BTreeSet<ProjectKey>>,
    trackers: BTreeMap<String, Vec<ProjectKey>>,
}

impl Names {
    async fn of(engine: &Engine) -> Self {
        let mut names = Self { repositories: BTreeMap::new(), trackers: BTreeMap::new() };
        for project in engine.projects().values() {
            for name in project.tracker.delivered_as(&project.key) {
                names.trackers.entry(name).or_default().push(project.key.clone());
            }
            // What is out of service says no address, and nothing of it waits.
            let Ok(remote) = project.forge.remote(&project.key).await else { continue };
            if let Some(name) = repository_name(&remote.url) {
                names.repositories.entry(name).or_default().insert(project.repository.clone());
            }
        }
        names
    }

    /// Where a signal is to be looked up.
    fn places(&self, signal: &Signal, looks: &mut BTreeMap<Place, News>) -> BTreeSet<Place> {
        let repository = |name: &str| {
            let found = self.repositories.get(name).into_iter().flatten();
            found.cloned().map(Place::Repository).collect::<BTreeSet<_>>()
        };
        let places = match signal {
            Signal::Branch { repository: name, .. } | Signal::Commit { repository: name, .. } => repository(name),
            Signal::Ticket { project, .. } => {
                self.trackers.get(project).into_iter().flatten().cloned().map(Place::Tracker).collect()
            }
        };
        for place in &places {
            let news = looks.entry(place.clone()).or_default();
            match signal {
                Signal::Branch { branch, .. } => news.branches.insert(branch.clone()),
                Signal::Commit { commit, .. } => news.commits.insert(commit.to_string()),
                Signal::Ticket { .. } => false,
            };
        }
        places
    }
}

/// Looks where deliveries say that there may be news, and ticks them off.
pub(crate) async fn resolve(engine: &Engine, report: &mut Report) -> Result<(), Fault> {
    let store = &engine.ports.store;
    if store.open_deliveries(1).await?.is_empty() {
        return Ok(());
    }
    engine.ports.clock.sleep_ms(GATHER_MS).await;
    let rows = store.open_deliveries(BATCH).await?;
    let names = Names::of(engine).await;
    let (mut looks, mut ended) = (BTreeMap::new(), Vec::new());
    let mut wanted: Vec<(i64, Time, BTreeSet<Place>)> = Vec::new();
    for row in &rows {
        let signals = engine.inbound.hook(&row.source).map(|hook| hook.signals(&row.delivery)).unwrap_or_default();
        let mut places = BTreeSet::new();
        for signal in &signals {
            places.extend(names.places(signal, &mut looks));
        }
        if signals.is_empty() {
            engine.inbound.count(&row.source, |c| &mut c.silent);
            ended.push((row.id, Some("it is about nothing that is looked at".to_owned())));
        } else if places.is_empty() {
            engine.inbound.count(&row.source, |c| &mut c.unknown);
            ended.push((row.id, Some("no project here has what it is about".to_owned())));
        } else {
            engine.inbound.count(&row.source, |c| &mut c.looks);
            wanted.push((row.id, row.at, places));
        }
    }
    report.found += rows.len() as u64;
    let mut failed: BTreeMap<Place, Fault> = BTreeMap::new();
    for (place, news) in looks {
        if let Err(fault) = look(engine, &place, &news, report).await {
            failed.insert(place, fault);
        }
    }
    let now = engine.ports.clock.now();
    for (id, at, places) in wanted {
        let fault = places.iter().find_map(|place| failed.get(place));
        match fault {
            Some(_) if now < at.plus_ms(TRIED_MS) => {}
            fault => ended.push((id, fault.map(ToString::to_string))),
        }
    }
    let more = rows.len() == BATCH as usize && !ended.is_empty();
    store.end_deliveries(ended, now).await?;
    if more {
        engine.inbound.wake.notify_one();
    }
    failed.into_values().next().map_or(Ok(()), |fault| Err(fault.context("a delivery could not be looked up")))
}

async fn look(engine: &Engine, place: &Place, news: &News, report: &mut Report) -> Result<(), Fault> {
    match place {
        Place::Tracker(key) => {
            let Some(project) = engine.projects().get(key).cloned() else { return Ok(()) };
            if engine.options.reconcile.enabled && polls::may_hurry(engine, &project) {
                tracker::poll(engine, &project, report).await?;
            }
            Ok(())
        }
        Place::Repository(repository) => {
            let sharing = engine.sharing(repository);
            let mut in_service = sharing.iter().filter(|p| p.forge.out_of_service(&p.key).is_none());
            let Some(project) = in_service.next() else { return Ok(()) };
            if !news.branches.is_empty() {
                engine.freshness.forget(repository).await;
                engine.tip(project).await?;
                let main = project.forge.default_branch(&project.key).await?;
                if news.branches.contains(&main) {
                    report.last = main_moved::watch(engine, project).await?.or_else(|| report.last.take());
                }
            }
            for project in &sharing {
                judge_again(engine, project, news, report).await?;
            }
            Ok(())
        }
    }
}

/// Tasks that wait for something on this branch or commit are judged again.
async fn judge_again(engine: &Engine, project: &Project, news: &News, report: &mut Report) -> Result<(), Fault> {
    let phases = &[PhaseKind::Waiting, PhaseKind::Holding];
    let filter = TaskFilter { project: Some(project.key.clone()), phases, ..TaskFilter::default() };
    for task in engine.ports.store.tasks(filter).await? {
        let concerned = news.branches.contains(&task.branch.name)
            || task.branch.head.as_ref().is_some_and(|head| news.commits.contains(head.as_str()));
        if concerned {
            let what = format!("a webhook says that there is news of {}", task.branch.name);
            engine.step(task.id, Cause::Engine, Event::Nudged { what }).await?;
            report.acted += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::ids::Sha;

    /// What a set of signals comes to: where is looked, and for what.
    fn looks(names: &Names, signals: &[&Signal]) -> Vec<(Place, BTreeSet<String>, BTreeSet<String>)> {
        let mut looks = BTreeMap::new();
        for signal in signals {
            names.places(signal, &mut looks);
        }
        looks.into_iter().map(|(place, news)| (place, news.branches, news.commits)).collect()
    }

    #[test]
    fn any_order_and_any_number_of_the_same_signals_is_one_look() {
        let names = Names {
            repositories: BTreeMap::from([("acme/shop".into(), BTreeSet::from(["SHOP".into(), "SIDE".into()]))]),
            trackers: BTreeMap::from([("plane:1".into(), vec!["SHOP".into()])]),
        };
        let branch =
            |repository: &str, branch: &str| Signal::Branch { repository: repository.into(), branch: branch.into() };
        let commit =
            |n: char| Signal::Commit { repository: "acme/shop".into(), commit: Sha::new(n.to_string().repeat(40)) };
        let ticket = |n: u32| Signal::Ticket { project: "plane:1".into(), ticket: n.to_string(), comment: None };
        let all = [
            branch("acme/shop", "main"),
            branch("acme/shop", "feature/SHOP-1-x"),
            branch("acme/other", "main"),
            commit('a'),
            commit('b'),
            ticket(1),
            ticket(2),
        ];
        let once: Vec<&Signal> = all.iter().collect();
        let want = looks(&names, &once);
        assert_eq!(want.len(), 3, "two repositories by that name, and a tracker: {want:?}");
        let mut dice: u64 = 5;
        let mut roll = |below: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(dice >> 33).unwrap() % below
        };
        for _ in 0..10_000 {
            let mut some: Vec<&Signal> = once.iter().flat_map(|one| vec![*one; 1 + roll(3)]).collect();
            for at in (1..some.len()).rev() {
                some.swap(at, roll(at + 1));
            }
            assert_eq!(looks(&names, &some), want);
        }
    }
}
