//! What other servers send by themselves: webhooks. A delivery is verified, stored and acknowledged; later it is turned
//! into signals, each of which says where there may be news. A signal decides nothing and is never believed: it only
//! makes orch look earlier than it would have looked anyway. Deliveries that are lost, repeated, delayed or out of order
//! therefore end in the same state.

use orch_core::ids::Sha;
use serde::{Deserialize, Serialize};

/// Headers of a request: the value of a name, which is asked for in lower case.
pub type Headers<'h> = &'h (dyn Fn(&str) -> Option<&'h str> + Sync);

/// What a delivery says of itself. This is what is stored, whether its body is kept or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The sender's word for what happened: `push`, `issue_comment`. Empty: it did not say.
    pub event: String,
    /// What was done: `created`, `closed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The sender's name for this delivery. Not every sender keeps it when it sends one again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_as: Option<String>,
    /// What it is about.
    #[serde(default)]
    pub about: About,
    /// Who did it, as the sender knows people. Proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Which field changed, where the sender says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// Names of what a delivery is about, each as the sender has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Owner and name of a repository: `acme/shop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Branches of it, without `refs/heads/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
    /// Commits of it, whole ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<String>,
    /// A project of a tracker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// A ticket of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// A comment on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Where there may be news.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// A ticket, or a comment on it, may have changed.
    Ticket {
        /// The project, as [`Tracker::delivered_as`] names it: `gitea:acme/shop`, `plane:<id>`.
        ///
        /// [`Tracker::delivered_as`]: crate::tracker::Tracker::delivered_as
        project: String,
        /// The ticket, as the sender names it.
        ticket: String,
        /// The comment, where it is about one.
        comment: Option<String>,
    },
    /// A branch was made, moved or removed. Where it is the default branch, main has moved.
    Branch {
        /// Owner and name of the repository.
        repository: String,
        /// The branch.
        branch: String,
    },
    /// A commit was judged: a status, a run of CI, a review.
    Commit {
        /// Owner and name of the repository.
        repository: String,
        /// The commit.
        commit: Sha,
    },
}

/// A sender of deliveries. No method panics, whatever bytes it is given.
pub trait Webhook: Send + Sync + 'static {
    /// Its name: the last part of the address it sends to, and the source of its stored deliveries.
    fn source(&self) -> &'static str;
    /// Is there a secret to verify with? Without one nothing is accepted.
    fn has_secret(&self) -> bool;
    /// Was exactly this body signed with one of the secrets? Several are valid at once while one replaces another. Takes the
    /// same time wherever two signatures differ.
    fn is_genuine(&self, headers: Headers<'_>, body: &[u8]) -> bool;
    /// What a delivery says of itself. What cannot be read is left out.
    fn read(&self, headers: Headers<'_>, body: &[u8]) -> Delivery;
    /// Where a stored delivery says that there may be news. Nothing: it is of an event that says so of nothing orch looks at.
    fn signals(&self, delivery: &Delivery) -> Vec<Signal>;
}

/// Owner and name of a repository in an address as git takes it: `https://forge.example:3000/acme/shop.git`,
/// `git@forge.example:acme/shop`. The host says nothing: the one server goes by many names.
pub fn repository_name(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        // `host:path`, but not a path with a colon in it.
        None => url.split_once(':').filter(|(host, _)| !host.contains('/')).map_or(url, |(_, path)| path),
    };
    let path = path.trim_end_matches('/');
    let mut parts = path.strip_suffix(".git").unwrap_or(path).rsplit('/').filter(|part| !part.is_empty());
    let (name, owner) = (parts.next()?, parts.next()?);
    Some(format!("{owner}/{name}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_one_name_however_git_reaches_it() {
        for url in [
            "https://forge.example/acme/shop.git",
            "http://127.0.0.1:3000/git/Acme/Shop",
            "ssh://git@forge.example:2222/acme/shop.git/",
            "git@forge.example:acme/shop.git",
            "/srv/git/acme/shop.git",
            "file:///srv/git/acme/shop",
        ] {
            assert_eq!(repository_name(url).as_deref(), Some("acme/shop"), "{url}");
        }
        for url in ["", "shop", "https://forge.example", "https://forge.example/shop", "/"] {
            assert_eq!(repository_name(url), None, "{url}");
        }
    }
}
