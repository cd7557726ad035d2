//! The one recovery mechanism: claims whose lease has run out go back to the queue, and merge leases nobody renews are
//! freed. What a claim was for is found out by whoever claims it next, because every executor looks before it acts.

use super::Report;
use crate::engine::Engine;
use orch_core::event::Event;
use orch_ports::Fault;
use orch_ports::notifier::Notice;
use orch_store::Cause;

pub(super) async fn sweep(engine: &Engine) -> Result<Report, Fault> {
    let mut report = Report::default();
    let store = &engine.ports.store;
    store.renew_leases(engine.ports.clock.boot(), engine.options.merge_lease_ms).await?;
    for reaped in store.reap(engine.ports.clock.boot()).await? {
        report.found += 1;
        report.acted += 1;
        let text = format!("job {} of worker {} was not renewed and goes back to the queue", reaped.job, reaped.worker);
        tracing::warn!("{text}");
        tell(engine, format!("reaped-{}", reaped.job), text.clone()).await;
        report.last = Some(text);
    }
    if 0 < report.acted {
        for notify in engine.wake.values() {
            notify.notify_one();
        }
    }
    for (project, holder, waiting) in store.reclaim_leases(engine.ports.clock.boot()).await? {
        report.found += 1;
        report.leases += 1;
        let holder = holder.map_or_else(|| "nobody known".to_owned(), |h| h.to_string());
        let text = format!("the merge lease of {project}, held by {holder}, was not renewed and is free");
        tracing::warn!("{text}");
        tell(engine, format!("lease-{project}-{}", engine.ports.clock.now().0), text.clone()).await;
        report.last = Some(text);
        for task in waiting {
            engine.step(task, Cause::Engine, Event::LeaseFreed).await?;
        }
    }
    Ok(report)
}

async fn tell(engine: &Engine, key: String, text: String) {
    if let Err(fault) = engine.ports.notifier.tell(&Notice { work_item: None, text, key }).await {
        tracing::warn!(%fault, "could not tell a person");
    }
}
