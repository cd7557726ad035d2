//! `[sites.NAME]`: plain files served over HTTP, for projects that are nothing else. A site reports the revision that is
//! live, so that a deploy of it can be checked and watched like that of any service.

use super::section::section;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

section! {
    /// A directory served over HTTP: its files, and the text of its file `revision` in the header `X-Orch-Revision`.
    Site {
        /// Address and port to listen on. Required.
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        /// The directory; may be a link that deploys replace. Required.
        dir: PathBuf = PathBuf::new();
    }
}
