//! Native drivers of agent programs, one process per run: `orch agent-driver RUN-DIR`, started by a supervisor and outliving
//! the daemon as it does. A driver starts its program, talks to it, answers its requests by rules, writes a log that people
//! can read, and says with one class how the run ended. It never claims success that the program did not.
//!
//! Pure, and tested without a process: [`lines`], [`stream`], [`classify`], [`rules`], [`session`], [`event`]. Only
//! [`process`] and [`proxied`] touch the world.

pub mod classify;
pub mod event;
pub mod lines;
pub mod process;
pub mod proxied;
pub mod rules;
pub mod session;
pub mod spec;
pub mod stream;
