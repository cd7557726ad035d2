//! The inner side of the way out: a port of the sandbox's own loopback interface that leads to the door, because programs know
//! proxies by address and port. It is told to the program as they know it, by `HTTPS_PROXY` and its like.

use crate::both_ways::both_ways;
use crate::door::{CANNOT, ENTERED, cannot, near, run};
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The hidden subcommand of `orch` that is a relay: `SOCKET -- PROGRAM ...`.
pub const SUBCOMMAND: &str = "sandbox-relay";
/// Proxies as programs know them.
const NAMES: &[&str] = &["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];
/// Options of tools of Java, which know them by properties.
const JVMS: &[&str] = &["MAVEN_OPTS", "GRADLE_OPTS"];
/// What is inside is reached without it.
const DIRECT: &[&str] = &["NO_PROXY", "no_proxy"];
const INSIDE: &str = "localhost,127.0.0.1,::1,model.orch";

/// `orch sandbox-relay`: runs the program and ends as it ends.
pub fn relay_main(socket: PathBuf, program: &[OsString]) -> ExitCode {
    let listener = match TcpListener::bind("127.0.0.1:0") {
        Ok(listener) => listener,
        Err(e) => return cannot(&format!("sandbox-relay: listen on the loopback interface: {e}")),
    };
    let Ok(address) = listener.local_addr() else { return ExitCode::from(CANNOT) };
    if let Err(e) = enter(&socket) {
        return cannot(&format!("sandbox-relay: reach {}: {e}", socket.display()));
    }
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let socket = socket.clone();
            std::thread::spawn(move || pass(stream, &socket));
        }
    });
    let (port, address) = (address.port(), format!("http://{address}"));
    let Some((first, rest)) = program.split_first() else { return cannot("no program is named") };
    let mut command = Command::new(first);
    command.args(rest);
    command.envs(NAMES.iter().map(|name| (*name, address.as_str())));
    for name in JVMS {
        let before = std::env::var(name).map(|own| own + " ").unwrap_or_default();
        command.env(name, format!("{before}{}", jvm(port)));
    }
    command.envs(DIRECT.iter().map(|name| (*name, INSIDE)));
    run(&mut command, |pid| pid)
}

/// Says to the door that the sandbox stands, and hears that it is known.
fn enter(socket: &Path) -> io::Result<()> {
    let (_dir, near) = near(socket)?;
    let mut door = UnixStream::connect(near)?;
    door.write_all(ENTERED)?;
    let mut said = [0; ENTERED.len()];
    door.read_exact(&mut said)
}

/// As the JVM and the resolver of Maven 3.9 read them.
fn jvm(port: u16) -> String {
    let of = |scheme: &str| format!("-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={port}");
    format!("{} {} -Daether.connector.http.useSystemProperties=true", of("http"), of("https"))
}

fn pass(inside: TcpStream, socket: &Path) -> io::Result<()> {
    let (_dir, near) = near(socket)?;
    let door = UnixStream::connect(near)?;
    both_ways(inside, door)
}
