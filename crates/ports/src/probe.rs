//! Looking at a running service, without believing a bare 200.

use crate::fault::Fault;

/// What a service said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// HTTP status.
    pub status: u16,
    /// The revision it reports: the header `X-Orch-Revision`, else the JSON body's `revision`.
    pub revision: Option<String>,
    /// The body, cut to 64 KiB.
    pub body: String,
}

/// Looks at services.
#[async_trait::async_trait]
pub trait Probe: Send + Sync + 'static {
    /// GETs a URL. A refused connection or a timeout *of the service* is a fault of kind `Gone`; not being able to look
    /// at all (no name resolution, no network of our own) is `Transient`: it says nothing about the service.
    async fn get(&self, url: &str, timeout_ms: u64) -> Result<ProbeAnswer, Fault>;
}
