//! What knows of vulnerable dependencies: a mirror of the OSV database (and of RustSec) that needs no network, and
//! pip-audit and npm audit where they are installed. A program gets a directory with one file in it that is of our own
//! making, so that no option, index, plugin or setting of the scanned repository can redirect it or make it build
//! anything. Crates are the mirror's alone: cargo audit knows what RustSec knows, and that is one of its sources.

mod mirror;
mod npm_audit;
mod pip_audit;

pub use mirror::AdvisoryMirror;
pub use npm_audit::NpmAudit;
pub use pip_audit::PipAudit;

use orch_advisories::manifests::{self, Kind};
use orch_advisories::{Dependency, is_manifest};
use orch_ports::security::ManifestFile;
use std::collections::BTreeMap;
use std::fmt;

/// What a program is told of orch's own environment, and nothing else: how the network is reached, and whose
/// certificates count there.
const NETWORK: &[&str] = &[
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];

/// How this machine reaches the network.
#[derive(Clone, Default)]
pub struct Network(Vec<(String, String)>);

impl Network {
    /// What of an environment says so.
    pub fn of(env: &BTreeMap<String, String>) -> Self {
        let known = |name: &&str| env.get(*name).map(|value| ((*name).to_owned(), value.clone()));
        Self(NETWORK.iter().filter_map(known).collect())
    }

    fn vars(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Network {
    /// The address of a proxy may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Whatever a requirements file includes is one, whatever it is called.
fn kind(file: &ManifestFile) -> Kind {
    is_manifest(&file.path).unwrap_or(Kind::Requirements)
}

/// Dependencies of all manifests.
fn dependencies(files: &[ManifestFile]) -> Vec<Dependency> {
    files.iter().flat_map(|f| manifests::read(kind(f), &f.path, &f.bytes).dependencies).collect()
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
