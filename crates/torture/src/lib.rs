//! Torture: the real daemon, real git, real SQLite and scripted agents in worlds full of faults, and an oracle that asks
//! the world, not the daemon, what happened. For development only; `cargo xtask torture` is its command line.

#![allow(clippy::disallowed_methods, reason = "real processes are timed and killed by the real clock")]

pub mod api;
pub mod fault_points;
pub mod killer;
pub mod modes;
pub mod oracle;
pub mod outcome;
pub mod people;
pub mod plan;
pub mod processes;
mod repo;
pub mod rng;
mod scripts;
pub mod session;
pub mod world;

pub use killer::PHASES;
pub use outcome::Outcome;
pub use world::{Place, World};
