//! What the doctor has to say of one thing.

use crate::cli::context::Tone;

/// One finding.
pub(super) struct Check {
    pub(super) name: String,
    pub(super) tone: Tone,
    pub(super) detail: String,
    pub(super) fix: Option<String>,
}

/// One that needs no fix has none.
pub(super) fn check(name: &str, tone: Tone, detail: impl Into<String>, fix: Option<String>) -> Check {
    Check { name: name.into(), tone, detail: detail.into(), fix: if tone == Tone::Good { None } else { fix } }
}
