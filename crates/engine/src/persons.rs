//! What is kept of people beside the configuration: who was known by which names, and who was forgotten.

use crate::text::hex;
use hmac::{Hmac, KeyInit, Mac};
use orch_core::ids::Actor;
use orch_core::people::{self, Person};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;

/// What is kept of people beside the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Persons {
    /// Those who were configured with several names, so that all of them are known when they are not configured any more.
    pub(crate) known: Vec<Person>,
    /// Numbers of those who were forgotten, by what stands for each name: it can be recognised, and not be read.
    pub(crate) forgotten: BTreeMap<String, i64>,
    /// The key of these.
    #[serde(skip)]
    pub(crate) key: String,
}

impl Persons {
    /// What stands for a name.
    pub(crate) fn digest(&self, name: &Actor) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_bytes()).ok()?;
        mac.update(b"person\0");
        mac.update(people::folded(name).as_bytes());
        Some(hex(&mac.finalize().into_bytes()))
    }

    pub(crate) fn number(&self, name: &Actor) -> Option<i64> {
        self.forgotten.get(&self.digest(name)?).copied()
    }
}
