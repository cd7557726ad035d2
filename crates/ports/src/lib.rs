//! Traits to the outside world and the one fault type every implementation reports. No implementation lives here, and
//! no vendor's word may appear: a plain git remote and Gitea, `local_tracker` and Plane must both fit.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod advisory;
pub mod agent;
pub mod attachment;
pub mod clock;
pub mod contract;
pub mod diff;
pub mod fault;
pub mod forge;
pub mod git;
pub mod inbound;
pub mod masks;
pub mod notifier;
pub mod probe;
pub mod remote;
pub mod repositories;
pub mod security;
pub mod supervisor;
pub mod tracker;

pub use fault::Fault;
pub use remote::{Remote, Secret};
pub use repositories::Repositories;
