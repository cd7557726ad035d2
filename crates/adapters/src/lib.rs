//! One folder per vendor behind the ports.

pub mod audit;
pub mod claude;
pub mod command;
mod durable;
pub mod git_cli;
pub mod git_forge;
pub mod gitea;
pub mod gitleaks;
pub mod http_probe;
mod local_db;
pub mod local_tracker;
mod locks;
pub mod log_notifier;
mod owner;
mod payload;
pub mod plane;
pub mod scripted;
mod signed;
pub mod system_clock;
#[cfg(test)]
mod test_clock;
#[cfg(test)]
mod test_program;
mod tool;
