//! Plane: what its webhooks say. Its tickets are not read yet.

pub mod hook;
