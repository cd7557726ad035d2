//! Telling people. Quiet on success.

use crate::fault::Fault;

/// Something worth interrupting a person for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which task, as people name it.
    pub work_item: Option<String>,
    /// One line.
    pub text: String,
    /// The same key is told once.
    pub key: String,
}

/// A way to tell people.
#[async_trait::async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Tells it. Telling the same key again must not bother anybody twice.
    async fn tell(&self, notice: &Notice) -> Result<(), Fault>;
}
