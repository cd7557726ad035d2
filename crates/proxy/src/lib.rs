//! The model proxy of a run: it stands between an agent's program and the service of its model. The program has a token of
//! its run and a socket; the key of the account is put in here and is nowhere else. Every response is counted in a journal
//! before its end is passed on, so that what a run has cost is known however it ends, and a run that has used what was
//! reserved for it is cut.
//!
//! Pure, and tested without a network: [`routes`], [`token`], [`credential`], [`usage`], [`asked`], [`prices`], [`gate`], [`waits`]. The
//! world is touched by [`journal`] (a file), [`pause`] (files that are looked for), [`forward`] and [`server`] (connections).

pub mod asked;
pub mod credential;
pub mod forward;
pub mod gate;
pub mod journal;
pub mod pause;
pub mod prices;
pub mod routes;
pub mod server;
pub mod settings;
mod shared;
mod ticket;
pub mod token;
pub mod usage;
pub mod waits;
