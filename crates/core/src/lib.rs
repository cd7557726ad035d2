//! The decision core. PURE: no clock, no randomness, no I/O, no async. What happens to a task is decided here and
//! nowhere else; everything that touches the world is a row this crate asks for and another crate carries out.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod agent_end;
pub mod approval;
pub mod artefact;
pub mod blame;
pub mod blocker;
mod branch;
pub mod budget;
pub mod circuit;
pub mod conflict;
pub mod cost;
pub mod decide;
pub mod effect;
pub mod end_class;
pub mod event;
pub mod explain;
pub mod fault_code;
mod findings;
mod held;
pub mod ids;
pub mod landed;
pub mod landing;
pub mod lease;
mod lives;
pub mod message;
mod new_task;

pub mod origin;
pub mod pauses;
pub mod people;
pub mod phase;
pub mod pipeline;
pub mod plain;
pub mod policy;
mod production;
pub mod reap;
pub mod refusals;
pub mod remark;
pub mod retry;
pub mod run_of;
pub mod slug;
pub mod source;
mod stored;
pub mod task;
pub mod ticket;
pub mod verdict;
mod wait;
pub mod word;

pub use decide::{Decided, Decision, LeaseOp, LeaseView, NewJob, Snapshot, decide};
