//! Long runs that try to break the real binary. Each prints what was tried and found, and fails if anything was.

pub(crate) mod trees;

use clap::Subcommand;

/// What is tortured.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Torture {
    /// Hostile process trees under the real supervisor: nothing may survive, nobody else may be hit
    Trees(trees::Options),
}

pub(crate) fn run(what: &Torture) -> anyhow::Result<()> {
    match what {
        Torture::Trees(options) => trees::command(options),
    }
}
