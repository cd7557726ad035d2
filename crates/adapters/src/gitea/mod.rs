//! Gitea: what its webhooks say. As a forge it is worked with as a git remote.

pub mod hook;
