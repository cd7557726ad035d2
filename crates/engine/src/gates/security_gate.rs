//! Does this branch bring in a secret or a vulnerable dependency? This gate is not built yet: it says so, is recorded as skipped, and counts as a pass nowhere.

use super::{Gate, Look, Meta, Subject};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::Verdict;
use orch_ports::Fault;

pub(super) struct SecurityGate;

impl Gate for SecurityGate {
    const META: Meta =
        Meta { id: GateId::SecurityGate, asks: "does the branch bring in a secret or a vulnerable dependency?" };
    type Evidence = ();

    async fn key(look: &Look<'_>) -> Result<String, Fault> {
        Ok(format!("{}..{}", look.subject.base, look.subject.head))
    }

    async fn collect(_: &Look<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn judge((): &(), _: &Subject, _: &Project) -> Verdict {
        Verdict::Skipped { why: "not built yet".into() }
    }
}
