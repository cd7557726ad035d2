//! A worker that was paused past its lease: somebody else has its job by now, and no verb lets it change anything.

use super::evidence::{artefact, deployment, judgement, run};
use super::world::{LEASE_MS, World, fault};
use crate::{Beat, Charge, Requeue, Stepped, StoreError};
use futures::executor::block_on;
use orch_core::effect::Outcome;
use orch_core::ids::{Environment, Time};
use orch_core::verdict::FaultKind;

/// All a story can see of a store.
fn everything(w: &World) -> String {
    let ids: Vec<_> = block_on(w.store.tasks(crate::TaskFilter { closed: true, ..Default::default() })).unwrap();
    let evidence: Vec<_> = ids
        .iter()
        .map(|t| {
            let runs = block_on(w.store.runs(t.id)).unwrap();
            let artefacts = block_on(w.store.artefacts(t.id)).unwrap();
            let judgements = block_on(w.store.judgements(t.id)).unwrap();
            (runs, artefacts, judgements)
        })
        .collect();
    let deployed = block_on(w.store.deployments(&"DEMO".into(), Environment::Production, 10)).unwrap();
    let journal = block_on(w.store.journal(None, 0, 1000)).unwrap();
    let counts = block_on(w.store.counts(w.now)).unwrap();
    let leases = block_on(w.store.leases()).unwrap();
    format!("{ids:?} {evidence:?} {deployed:?} {journal:?} {counts:?} {leases:?} {:?}", w.open_jobs())
}

pub fn a_worker_paused_past_its_lease_changes_nothing(w: &mut World) {
    let id = w.started("DEMO", 1);
    w.go_to(id, "running");
    let paused = w.claim_of(id);
    w.pass_ms(LEASE_MS + 1);
    block_on(w.store.reap()).unwrap();
    // Whether the job is queued again, or running with another worker, or over: the old claim is worth nothing.
    for moment in 0..3 {
        match moment {
            1 => drop(w.claim_of(id)),
            2 => drop(w.end_well(&block_on(w.store.job(paused.id)).unwrap().unwrap())),
            _ => {}
        }
        let before = everything(w);
        let fence = paused.fence();
        assert_eq!(w.beat(fence), Beat::Lost);
        assert!(matches!(
            w.end(
                &paused,
                Outcome::AgentFinished { question: None, resolved: orch_core::conflict::Resolution::default() }
            ),
            Stepped::Fenced
        ));
        let back = Requeue {
            charge: Charge::Attempt,
            new_run: true,
            not_before: Time(0),
            fault: fault(FaultKind::Transient),
            parked: None,
        };
        assert!(!w.put_back(&paused, back));
        assert!(!block_on(w.store.put_judgement(fence, judgement(id, "k", w.now))).unwrap());
        assert!(!block_on(w.store.put_artefacts(fence, vec![artefact(id, 2, "12-review.md", "x")])).unwrap());
        assert!(!block_on(w.store.put_artefacts(fence, Vec::new())).unwrap());
        assert!(!block_on(w.store.put_run(fence, run(id, fence.job.seq, 1))).unwrap());
        assert!(!block_on(w.store.put_deployment(fence, deployment(id, "r1"))).unwrap());
        assert_eq!(everything(w), before, "moment {moment}");
    }
    assert_eq!(w.word(id), "publishing", "the second worker's result is the one that counts");
}

pub fn evidence_is_for_its_own_task_only(w: &mut World) {
    let (a, b) = (w.started("DEMO", 1), w.started("DEMO", 2));
    let fence = w.claim_of(a).fence();
    let before = everything(w);
    let refused = |r: Result<bool, StoreError>| assert!(matches!(r, Err(StoreError::Bug(_))));
    refused(block_on(w.store.put_judgement(fence, judgement(b, "k", w.now))));
    // The first of the two is right; neither is kept.
    refused(block_on(w.store.put_artefacts(fence, vec![artefact(a, 1, "a", "x"), artefact(b, 1, "b", "x")])));
    refused(block_on(w.store.put_run(fence, run(b, 1, 1))));
    refused(block_on(w.store.put_deployment(fence, deployment(b, "r1"))));
    assert_eq!(everything(w), before);
}
