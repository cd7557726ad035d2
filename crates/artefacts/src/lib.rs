//! The readers of what agents and runners write, and the writers of what is read back. PURE: bytes in, statements and
//! findings out. What is cut off, double or ambiguous never passes; what a statement means for a task is for `core`.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod failing;
pub mod frontmatter;
pub mod markdown;
pub mod named;
pub mod numbered;
pub mod review;
pub mod security_report;
pub mod statement;
pub mod testplan;
mod yaml;
