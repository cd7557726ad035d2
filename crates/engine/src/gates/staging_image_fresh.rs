//! Is the image that will ship the one that was tested on staging? This gate is not built yet: it says so, is recorded as skipped, and counts as a pass nowhere.

use super::{Gate, Look, Meta, Subject};
use crate::project::Project;
use orch_core::ids::GateId;
use orch_core::verdict::Verdict;
use orch_ports::Fault;

pub(super) struct StagingImageFresh;

impl Gate for StagingImageFresh {
    const META: Meta =
        Meta { id: GateId::StagingImageFresh, asks: "is the image that will ship the one that ran on staging?" };
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
