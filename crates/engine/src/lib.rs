//! The imperative shell over the ports and the store. It carries out what the core decided and reports back what came
//! of it; it decides nothing itself and knows no vendor.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod attachments;
pub mod base;
mod base_known;
mod blockers;
pub mod budgets;
pub mod commands;
mod conflicts;
mod copy;
mod cx;
mod deliveries;
mod driver;
mod effects;
mod engine;
mod files;
pub mod flaky;
mod freshness;
pub mod gates;
pub mod halt;
pub mod inbound;
pub mod land;
mod layer;
mod layers;
mod lives;
mod main_moved;
pub mod pace;
pub mod parts;
pub mod pause;
pub mod people;
mod persons;
mod polls;
pub mod prepare;
mod programs;
pub mod project;
pub mod prompt;
pub mod pulls;
pub mod quarantine;
pub mod restored;
pub mod review;
mod run;
mod runner;
mod services;
mod shell;
pub mod standing;
mod step;
mod text;
pub mod tickets;
mod toolchain;
mod trial;
pub mod view;
mod watchers;
mod who_may;

pub use engine::{Engine, Options, Ports, ReaperOptions, ReconcileOptions, Retention, StoryLine};
pub use main_moved::{DocumentsAsked, MainMove, MainRecord};
pub use project::{Deploy, GateMode, Project, Projects};
pub use runner::at_work;
