//! What a repository depends on, and which of it is known to be vulnerable. Decides what a manifest names, what an
//! advisory covers and what blocks; it may never run a program, reach the network, or take "could not be read" for
//! "clean": whatever was not understood is handed to the caller in words. It prevents an audit that is green because it
//! saw nothing. The only I/O is reading and importing a mirror of advisories below one directory.

pub mod audit;
pub mod auditors;
pub mod manifests;
pub mod mirror;
pub mod osv;
pub mod policy;
mod text;

pub use audit::{Audit, audit, unite};
pub use manifests::{Kind, Manifest, is_manifest, unlocked};
pub use mirror::{Mirror, Records};
pub use orch_ports::advisory::{Advisory, Dependency, Ecosystem, Severity, Unknown};
pub use policy::{Classified, classify};
