//! Durable state behind transaction-shaped verbs: what belongs together is written together, and nobody outside can
//! write half of it. A task changes through [`Tasks::step`] and through nothing else.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod clock;
pub mod contract;
pub mod error;
pub mod forget;
pub mod lease;
pub mod memory;
pub mod money;
pub mod queue;
pub mod rows;
mod run_row;
pub mod sqlite;
pub mod step;
pub mod tx;
mod used;
mod verbs;

pub use clock::StoreClock;
pub use error::StoreError;
pub use forget::{Forget, Forgotten};
pub use memory::Fact;
pub use rows::*;
pub use run_row::{RunRow, SHELL};
pub use sqlite::SqliteStore;
pub use used::{QUARTER_MS, Used};
pub use verbs::{Deliveries, Evidence, Journal, Memory, Queue, Store, Tasks};
