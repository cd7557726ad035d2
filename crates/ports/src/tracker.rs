//! Where tickets live. Shaped for Plane: no delivery of a change is ever trusted to arrive, so everything can be polled;
//! comments carry a key of ours, so that a comment is never written twice.

use crate::attachment::Attachment;
use crate::fault::Fault;
use orch_core::ids::{Actor, ProjectKey, Time};
use serde::{Deserialize, Serialize};

pub use orch_core::ticket::{Shown, StateGroup, TicketState};

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Project it belongs to.
    pub project: ProjectKey,
    /// Number in the project: the 7 of `DEMO-7`.
    pub number: u64,
    /// What tells it from any other ticket, also from one that was given the same number in another tracker.
    pub id: String,
    /// One line, any script.
    pub title: String,
    /// Text; untrusted.
    pub body: String,
    /// State.
    pub state: Shown,
    /// Who set the state last; `None`: the tracker does not say. A list of Plane names nobody, and its activity may be
    /// missing.
    pub state_by: Option<Actor>,
    /// When it was made.
    pub created_at: Time,
    /// When anything of it changed last.
    pub updated_at: Time,
}

/// A comment on a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Our key, if orch wrote it.
    pub key: Option<String>,
    /// Who wrote it.
    pub by: Actor,
    /// Markdown.
    pub body: String,
    /// When.
    pub at: Time,
}

/// What may be asked of a server that counts calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallBudget {
    /// Whose calls are counted together: a token, by a name that may be shown.
    pub of: String,
    /// Calls in a minute, all together.
    pub per_minute: u32,
    /// How many of them are left in the minute up to now.
    pub left: u32,
}

/// A tracker.
#[async_trait::async_trait]
pub trait Tracker: Send + Sync + 'static {
    /// How many calls are left to this project's server. `None`: nobody counts.
    fn calls_left(&self, _project: &ProjectKey) -> Option<CallBudget> {
        None
    }
    /// By which names deliveries of webhooks call this project's place here, each with the source in front
    /// (`gitea:acme/shop`). Nothing: no server sends any.
    fn delivered_as(&self, _project: &ProjectKey) -> Vec<String> {
        Vec::new()
    }
    /// Makes a ticket; the same `key` makes it once and returns the same ticket afterwards. Numbers up to `above` are given
    /// out already, whatever the tracker knows of them: a new ticket gets a higher one, where orch has a say in it.
    async fn create(
        &self,
        project: &ProjectKey,
        title: &str,
        body: &str,
        by: &Actor,
        key: &str,
        above: u64,
    ) -> Result<Ticket, Fault>;
    /// Reads a ticket; a missing one is `Fault::gone`.
    async fn ticket(&self, project: &ProjectKey, number: u64) -> Result<Ticket, Fault>;
    /// Sees to it that the ticket says this. What it says already is success and leaves `updated_at` alone.
    async fn edit(&self, project: &ProjectKey, number: u64, title: &str, body: &str, by: &Actor) -> Result<(), Fault>;
    /// Tickets changed at or after a time, oldest change first. Seeing one twice is normal, missing one is not.
    async fn changed_since(&self, project: &ProjectKey, since: Time) -> Result<Vec<Ticket>, Fault>;
    /// Sees to it that the ticket is in this state. Already there is success and leaves `updated_at` alone.
    async fn set_state(&self, project: &ProjectKey, number: u64, state: TicketState, by: &Actor) -> Result<(), Fault>;
    /// Writes the comment with this key, or replaces its text if it is there with another one.
    async fn put_comment(&self, project: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault>;
    /// Puts a file to a ticket, in place of one of the same name. The limits are those of [`crate::attachment`].
    async fn attach(
        &self,
        project: &ProjectKey,
        number: u64,
        name: &str,
        content: &[u8],
        by: &Actor,
    ) -> Result<Attachment, Fault>;
    /// Files of a ticket, by name.
    async fn attachments(&self, project: &ProjectKey, number: u64) -> Result<Vec<Attachment>, Fault>;
    /// A file of a ticket; a missing one is `Fault::gone`.
    async fn attachment(&self, project: &ProjectKey, number: u64, name: &str) -> Result<Vec<u8>, Fault>;
    /// Comments of a ticket, oldest first.
    async fn comments(&self, project: &ProjectKey, number: u64) -> Result<Vec<Comment>, Fault>;
}
