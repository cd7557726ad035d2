//! Lists on the pull request what a gate found and holds nothing up. One comment per run that said so, under a key of its own,
//! so that writing it twice is writing it once and a later review takes nothing away from an earlier one.

use crate::cx::{Cx, Ended};
use orch_artefacts::review;
use orch_core::effect::Outcome;
use orch_core::ids::{GateId, Seq};
use orch_core::verdict::{FaultKind, Finding};
use orch_ports::Fault;

pub(super) async fn ensure(
    cx: &Cx,
    pull_request: u64,
    gate: GateId,
    run: Seq,
    findings: &[Finding],
) -> Result<Ended, Fault> {
    let key = format!("{gate}-{run}");
    cx.still_ours().await?;
    let body = review::comment(gate, findings);
    match cx.project.forge.put_comment(&cx.project.key, pull_request, &key, &body).await {
        // Nobody reads a pull request that is not there.
        Err(fault) if fault.kind == FaultKind::Gone => Ok(Outcome::Sent.into()),
        other => other.map(|()| Outcome::Sent.into()),
    }
}
