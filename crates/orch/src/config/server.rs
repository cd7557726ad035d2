//! `[server]`: where the daemon is reached. Loopback unless somebody decides otherwise.

use super::section::section;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Default port.
const PORT: u16 = 8500;

section! {
    /// The HTTP server: API and dashboard.
    Server {
        /// Address and port to listen on. Anything but loopback is reachable from other machines.
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT);
        /// Where the days and months of budgets begin: a name of the IANA time zone database, like `Europe/Berlin`.
        timezone: String = "UTC".into();
    }
}
