//! Runs of real programs under real supervisor processes. Children are `sh`; nothing here may outlive its test.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod adoption;
mod ends;
mod groups;
mod keys;
mod limits;
mod pauses;
mod place;
mod strays;
mod upgrades;
