//! The guard of a project's tests. PURE: it reads the text of files before and after a change and runs nothing. It says
//! which tests a change takes away and what the configured commands run; a person decides what becomes of it.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod guard;
pub mod tamper;
