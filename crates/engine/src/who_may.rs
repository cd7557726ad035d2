//! Who may decide about the tasks of a project, kept for the day it is not in the configuration.

use orch_core::ids::{Actor, ProjectKey};
use orch_core::people::Person;
use orch_core::policy::Policy;
use orch_ports::Fault;
use orch_store::{Fact, Memory};
use serde::{Deserialize, Serialize};

/// The people of a project, kept for the day it is not in the configuration.
#[derive(Serialize, Deserialize)]
pub(crate) struct WhoMay {
    #[serde(default)]
    pub(crate) starters: Vec<Actor>,
    #[serde(default)]
    pub(crate) approvers: Vec<Actor>,
    #[serde(default)]
    pub(crate) landers: Vec<Actor>,
    /// Those who are known under several names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) people: Vec<Person>,
}

pub(crate) fn people_of(project: &ProjectKey) -> Fact {
    Fact::People(project.clone())
}

/// What is said of a project that is not configured.
pub(crate) fn not_configured(project: &ProjectKey) -> String {
    format!(
        "project {project} is not in the configuration: add a [[project]] with key = \"{project}\" again, or cancel"
    )
}

/// Who may decide about tasks of a project that left the configuration: those who might before.
pub(crate) async fn last_policy(store: &dyn Memory, project: &ProjectKey) -> Result<Policy, Fault> {
    let kept = store.recall(&people_of(project)).await?;
    let people: Option<WhoMay> = kept.and_then(|text| serde_json::from_str(&text).ok());
    Ok(people.map_or_else(Policy::default, |WhoMay { starters, approvers, landers, people }| Policy {
        people,
        starters,
        approvers,
        landers,
        ..Policy::default()
    }))
}
