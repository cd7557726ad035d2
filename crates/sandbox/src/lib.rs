//! The sandbox around foreign programs: agents, setups, tests and CI of a branch. It says what a run may see, write and reach,
//! and nothing else of the machine is there for it. It may never widen what the configuration says.
//!
//! The work is done by bubblewrap (`bwrap`), a small program of most distributions. It gives a run namespaces of its own:
//! processes, users, network, interprocess communication. A run has no network. Names of hosts that it may reach go through a
//! [`door`] outside the sandbox, to which a [`relay`] inside leads.

mod both_ways;
pub mod door;
pub mod probe;
pub mod relay;
pub mod sandbox;

pub use sandbox::{Kind, Places, Sandbox};
