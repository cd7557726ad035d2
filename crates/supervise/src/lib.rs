//! Owns the processes orch starts, so that they outlive it and never outstay it.
//!
//! Two halves that only meet in the run directory: [`supervise_main`] is the small synchronous process that owns one
//! run, [`ProcessSupervisor`] starts such processes, finds them again and reads what they left. Neither trusts the
//! other to be alive, and neither ever takes a pid alone for an identity.
//!
//! Prevents: an agent that dies with orch, a daemon that survives its run, a run that is started twice.

mod cgroup;
mod files;
mod freeze;
mod output;
mod port;
mod proc;
mod run;
mod rungs;
mod standing;
mod sweep;
mod tree;

pub use cgroup::CGROUP_SWITCH;
pub use port::ProcessSupervisor;
pub use run::{exit_codes, supervise_main};
pub use rungs::{Rung, rungs};
pub use sweep::{MARKER, sweep};
