//! Stories of the whole engine: the real store, real git, the real local forge and tracker, and a world that fails where
//! a story says so. What happened is read from the forge's own log, never from what orch believes.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod absent;
mod arranged;
mod base;
mod blame;
mod budgets;
mod ci;
mod conflicts;
mod crashes;
mod dependencies;
mod documents;
mod faults;
mod flaky;
mod guarded;
mod history;
mod inbound;
mod landing;
mod leases;
mod logs;
mod main_moved;
mod merging;
mod movers;
mod parts;
mod pauses;
mod people;
mod production;
mod pulls;
mod quarantine;
mod reaping;
mod retention;
mod reviews;
mod runs;
mod said;
mod security;
mod services;
mod sessions;
mod set_up;
mod shared;
mod staging;
mod time;
mod world;
