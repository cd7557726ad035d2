//! Outside services: before a job is tried its service's circuit is asked, and afterwards it hears how it went. What a
//! circuit decides is in `orch_core::circuit`; here it is looked up, kept over restarts, and told to people.

use crate::engine::Engine;
use crate::text::rfc3339;
use orch_core::circuit::{self, After, Circuit, Heard};
use orch_core::effect::Effect;
use orch_core::retry::Tried;
use orch_ports::Fault;
use orch_store::Fact;
use orch_store::{Job, Requeue};
use std::sync::PoisonError;

/// Does this job have to wait for its service? It goes back to the queue then, and pays nothing.
pub(crate) fn park(engine: &Engine, job: &Job) -> Option<Requeue> {
    let service = service(engine, job)?;
    let admit = {
        let running = engine.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut circuits = engine.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let circuit = circuits.get_mut(&service)?;
        circuit.admit(job.id, engine.ports.clock.now(), |other| running.contains_key(&other))
    };
    admit.requeue(&service, rfc3339)
}

fn service(engine: &Engine, job: &Job) -> Option<String> {
    let project = engine.projects().get(&job.project)?.clone();
    circuit::service(&job.project, &job.effect, |role| project.program(role).name().to_owned())
}

/// Lets the circuit of the job's outside service know how it went.
pub(crate) async fn hear(engine: &Engine, job: &Job, tried: &Tried) {
    let Some(service) = service(engine, job) else { return };
    let now = engine.ports.clock.now();
    let (back_at, why, refused) = match circuit::heard(&job.effect, tried, now) {
        Heard::Nothing => return,
        Heard::Answered => return answered(engine, job, &service).await,
        Heard::Failed { back_at, why } => (back_at, why, false),
        Heard::Refused { why } => (None, why, true),
    };
    let (after, kept) = {
        let mut circuits = engine.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        let circuit = circuits.entry(service.clone()).or_default();
        let pauses = engine.options.pauses();
        let after = if refused {
            circuit.refused(job.id, now, &why, pauses)
        } else {
            circuit.failed(job.id, now, back_at, &why, pauses)
        };
        (after, circuit.clone())
    };
    if after == After::Nothing {
        return;
    }
    keep(engine, &service, &kept).await;
    let Some(open) = &kept.open else { return };
    let text = format!("{service} is not asked before {}: {}", rfc3339(open.until), open.why);
    tracing::warn!("{text}");
    // Once per opening: how long it stays so is seen in the queue.
    // That notices cannot be sent is in the log and on the pages: no notice would say it.
    if after == After::Opened && !matches!(job.effect, Effect::Notify { .. }) {
        engine.notice(job.id.task, format!("circuit-{service}-{}", open.since.0), text).await;
    }
}

async fn answered(engine: &Engine, job: &Job, service: &str) {
    let closed = {
        let mut circuits = engine.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        circuits.get_mut(service).is_some_and(|c| c.answered(job.id))
    };
    if closed {
        answers_again(engine, service).await;
    }
}

/// A service is known to answer: whoever waits for it goes on.
pub(crate) async fn answers_again(engine: &Engine, service: &str) {
    engine.circuits.lock().unwrap_or_else(PoisonError::into_inner).remove(service);
    tracing::info!("{service} answers again; the jobs that wait for it go on");
    keep(engine, service, &Circuit::default()).await;
    match engine.ports.store.unpark(service, engine.ports.clock.now()).await {
        Ok(lanes) => lanes.iter().filter_map(|lane| engine.wake.get(lane)).for_each(tokio::sync::Notify::notify_one),
        // They look again by themselves at the time they were put off to.
        Err(error) => tracing::warn!(%error, "could not let the jobs go on that wait for {service}"),
    }
}

/// Is the circuit of the job's outside service open?
pub(crate) fn is_open(engine: &Engine, job: &Job) -> bool {
    let service = service(engine, job);
    let circuits = engine.circuits.lock().unwrap_or_else(PoisonError::into_inner);
    service.and_then(|s| circuits.get(&s).map(|c| c.open.is_some())).unwrap_or(false)
}

/// Moves the times of all open circuits: the clock they were read from was wrong.
pub(crate) fn shift(engine: &Engine, by_ms: i64) {
    let mut circuits = engine.circuits.lock().unwrap_or_else(PoisonError::into_inner);
    for open in circuits.values_mut().filter_map(|c| c.open.as_mut()) {
        open.until = open.until.plus_ms(by_ms);
    }
}

/// Keeps a circuit over restarts, as long as it is not closed. Not being able to costs a probe, nothing else.
async fn keep(engine: &Engine, service: &str, circuit: &Circuit) {
    let (store, fact) = (&engine.ports.store, Fact::Circuit(service.to_owned()));
    let Ok(text) = serde_json::to_string(circuit) else { return };
    let kept = if *circuit == Circuit::default() {
        store.forget(&fact).await
    } else {
        store.remember(&fact, &text, engine.ports.clock.now()).await
    };
    if let Err(error) = kept {
        tracing::warn!(%error, "could not keep the circuit of {service}");
    }
}

impl Engine {
    /// Takes up the circuits the process before left open.
    pub(crate) async fn load_circuits(&self) -> Result<(), Fault> {
        let mut services = vec!["notifier".to_owned()];
        for project in self.projects().values() {
            services.extend([format!("forge:{}", project.key), format!("tracker:{}", project.key)]);
            services.extend(project.programs.values().map(|p| format!("agent:{}", p.name())));
            services.push(format!("agent:{}", project.default_program.name()));
        }
        for service in services {
            let Some(text) = self.ports.store.recall(&Fact::Circuit(service.clone())).await? else { continue };
            // One that cannot be read is closed: the worst that follows is a call too many.
            if let Ok(circuit) = serde_json::from_str(&text) {
                self.circuits.lock().unwrap_or_else(PoisonError::into_inner).insert(service, circuit);
            }
        }
        Ok(())
    }
}
