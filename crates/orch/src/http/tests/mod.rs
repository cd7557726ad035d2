//! The API as programs meet it.

mod flaky;
mod guard;
mod inbound;
mod outlet;
mod pauses;
mod people;
mod pulls;
mod reading;
mod streams;
pub(crate) mod world;
mod writing;
