//! The library behind the binary `orch`: configuration, command line and what wires the rooms together.

mod by_hand;
pub mod cli;
pub mod config;
pub mod demo;
pub mod demo_files;
pub mod gate_cli;
mod gate_config;
pub mod http;
mod hunks;
pub mod instance;
pub mod keep;
pub mod listen;
mod logging;
pub mod lost;
mod odd;
pub mod outward;
pub mod paused;
mod recorded;
pub mod reload;
pub mod serve;
mod shared;
pub mod sites;
mod stop;
pub mod token;
pub mod vendors;
pub mod web;
pub mod wire;
