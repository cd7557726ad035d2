//! The way out of a sandbox: an HTTP proxy on a unix socket, outside, that knows the names a run may reach. It sees names and
//! ports, and passes bytes; it opens no encryption. What it refuses it says on the run's standard error, once each.

use crate::both_ways::both_ways;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The hidden subcommand of `orch` that is a door: `--socket PATH --allow NAME ... -- PROGRAM ...`.
pub const SUBCOMMAND: &str = "sandbox-door";
/// Longest head of a request, bytes.
const LONGEST: usize = 16 * 1024;
/// Longest wait for a head, and for a connection.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most hosts that are named on standard error.
const NAMED: usize = 200;
/// Most connections at once.
const MOST: usize = 256;
/// What the relay says first, and is answered: the sandbox stands. Without it nothing was run, and no exit code means anything.
pub(crate) const ENTERED: &[u8] = b"ENTERED\r\n\r\n";
/// Exit code where the program could not be started, as a shell has it.
pub(crate) const CANNOT: u8 = 126;
/// Exit code where there is no such program.
const NOT_FOUND: u8 = 127;

/// Hosts that may be reached.
#[derive(Clone, Debug, Default)]
pub struct Allowed(Vec<String>);

impl Allowed {
    /// `crates.io`, `*.crates.io` (every name below it), `example.com:8443`. Without a port: 443 and 80.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.trim().to_ascii_lowercase()).collect())
    }

    /// The entry that lets it through.
    fn entry(&self, host: &str, port: u16) -> Option<&str> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let fits = |entry: &&String| {
            let (name, own) = match entry.rsplit_once(':') {
                Some((name, own)) if !name.contains(':') || name.ends_with(']') => (name, own.parse().ok()),
                _ => (entry.as_str(), None),
            };
            let is_port = own.map_or_else(|| [443, 80].contains(&port), |own: u16| own == port);
            let name = name.trim_matches(['[', ']']);
            let is_name = match name.strip_prefix("*.") {
                Some(above) => host.strip_suffix(above).is_some_and(|rest| rest.ends_with('.')),
                None => host == name,
            };
            is_port && is_name
        };
        self.0.iter().find(fits).map(String::as_str)
    }
}

/// `orch sandbox-door`: opens the door, runs the program and ends as it ends.
pub fn door_main(socket: &Path, allowed: Vec<String>, program: &[OsString]) -> ExitCode {
    // What whoever started orch had open would lead out: a directory is a way to all that is below it.
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    let listener = match open(socket) {
        Ok(listener) => listener,
        Err(e) => return cannot(&format!("{SUBCOMMAND}: listen on {}: {e}", socket.display())),
    };
    let allowed = Allowed::new(allowed);
    let entered = Arc::new(AtomicBool::new(false));
    let inside = Arc::clone(&entered);
    std::thread::spawn(move || serve(&listener, &allowed, &inside));
    let Some((first, rest)) = program.split_first() else { return cannot("no program is named") };
    // In a group of its own: what asks this process to end is not to end bubblewrap, and with it all that it encloses.
    let code = run(Command::new(first).args(rest).process_group(0), innermost);
    let _ = std::fs::remove_file(socket);
    if entered.load(Ordering::Relaxed) {
        return code;
    }
    let why = "the sandbox could not be made: nothing was run";
    // Beside the socket, where nothing of the run can write: an exit code is what the run makes of it.
    let _ = std::fs::write(unmade(socket), why);
    cannot(why)
}

/// Where a door says that nothing was run behind it, and why.
pub fn unmade(socket: &Path) -> PathBuf {
    socket.with_extension("unmade")
}

/// Says on standard error why nothing was started.
pub(crate) fn cannot(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "orch: {why}");
    ExitCode::from(CANNOT)
}

/// Runs a program with everything that this process has, and passes on what asks it to end, to the process that `of` finds for
/// it. A signal that ended it is 128 and its number, as a shell has it.
pub(crate) fn run(command: &mut Command, of: impl Fn(i32) -> i32 + Send + 'static) -> ExitCode {
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => {
            let said = cannot(&format!("start {}: {e}", command.get_program().display()));
            return if e.kind() == io::ErrorKind::NotFound { ExitCode::from(NOT_FOUND) } else { said };
        }
    };
    let pid = child.id() as i32;
    if let Ok(mut signals) = signals {
        std::thread::spawn(move || {
            for signal in signals.forever() {
                let (pid, signal) = (Pid::from_raw(of(pid)), Signal::from_named_raw(signal));
                if let (Some(pid), Some(signal)) = (pid, signal) {
                    let _ = kill_process(pid, signal);
                }
            }
        });
    }
    match child.wait() {
        Ok(status) => ExitCode::from(code(status)),
        Err(e) => cannot(&format!("wait for it: {e}")),
    }
}

/// The relay in the sandbox that this bubblewrap has made: the only child of its only child. Itself, where it has none yet.
fn innermost(bwrap: i32) -> i32 {
    let child = |pid: i32| -> Option<i32> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    child(bwrap).and_then(child).unwrap_or(bwrap)
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// A socket by a path that is short enough for one (unix(7): 107 bytes), as long as the directory is held.
pub(crate) fn near(socket: &Path) -> io::Result<(File, PathBuf)> {
    let name = socket.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
    let dir = File::open(socket.parent().unwrap_or(Path::new("/")))?;
    let near = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
    Ok((dir, near))
}

/// Makes the socket, for this user alone.
///
/// # Errors
/// The place cannot be listened on.
pub fn open(socket: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let (_dir, near) = near(socket)?;
    let listener = UnixListener::bind(near)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until the process ends.
pub fn serve(listener: &UnixListener, allowed: &Allowed, entered: &Arc<AtomicBool>) {
    let refused = Arc::new(Mutex::new(BTreeSet::new()));
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        if MOST <= open.load(Ordering::Relaxed) {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (allowed, refused, open) = (allowed.clone(), Arc::clone(&refused), Arc::clone(&open));
        let entered = Arc::clone(entered);
        std::thread::spawn(move || {
            // One that breaks off is the program's matter.
            let _ = pass(stream, &allowed, &refused, &entered);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// What a request wants.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    host: String,
    port: u16,
    /// What goes to the host first; nothing for a tunnel.
    head: Vec<u8>,
}

/// Reads the head of a request.
fn wanted(head: &[u8]) -> Option<Wanted> {
    let text = std::str::from_utf8(head).ok()?;
    let (line, headers) = text.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") {
        return None;
    }
    if method == "CONNECT" {
        let (host, port) = target.rsplit_once(':')?;
        return Some(Wanted { host: plain(host)?, port: port.parse().ok()?, head: Vec::new() });
    }
    let (place, path) =
        target.strip_prefix("http://").map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())))?;
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (place, 80),
    };
    let path = if path.is_empty() { "/" } else { path };
    // One request a connection: the next one may be for another host.
    let mut sent = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    for header in headers.split("\r\n").take_while(|line| !line.is_empty()) {
        let name = header.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !["connection", "proxy-connection", "proxy-authorization", "keep-alive"].contains(&name.as_str()) {
            let _ = write!(sent, "{header}\r\n");
        }
    }
    sent.push_str("\r\n");
    Some(Wanted { host: plain(host)?, port, head: sent.into_bytes() })
}

/// A host's name or address without brackets; nothing that could be read in two ways.
fn plain(host: &str) -> Option<String> {
    let host = host.strip_prefix('[').map_or(Some(host), |rest| rest.strip_suffix(']'))?;
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    (!host.is_empty() && host.len() <= 255 && host.chars().all(fits)).then(|| host.to_owned())
}

fn pass(
    mut inside: UnixStream,
    allowed: &Allowed,
    refused: &Mutex<BTreeSet<String>>,
    entered: &AtomicBool,
) -> io::Result<()> {
    inside.set_read_timeout(Some(PATIENCE))?;
    let mut got = Vec::new();
    let end = loop {
        let mut piece = [0; 2048];
        let n = inside.read(&mut piece)?;
        got.extend_from_slice(&piece[..n]);
        if let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if n == 0 || LONGEST < got.len() {
            return answer(&mut inside, 400, "this is no request to a proxy");
        }
    };
    if got == ENTERED {
        entered.store(true, Ordering::Relaxed);
        return inside.write_all(ENTERED);
    }
    let Some(Wanted { host, port, head }) = wanted(&got[..end]) else {
        return answer(&mut inside, 400, "this is no request to a proxy");
    };
    let Some(entry) = allowed.entry(&host, port) else {
        let mut named = refused.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = named.len() < NAMED && named.insert(format!("{host}:{port}"));
        drop(named);
        if is_new {
            let _ = writeln!(io::stderr(), "orch: the sandbox refused {host}:{port}: it is not in [sandbox] `allow`");
        }
        return answer(&mut inside, 403, &format!("{host}:{port} is not in [sandbox] `allow`"));
    };
    let mut outside = match connect(&host, port, entry) {
        Ok(outside) => outside,
        Err(e) => return answer(&mut inside, 502, &format!("{host}:{port}: {e}")),
    };
    if head.is_empty() {
        inside.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    }
    outside.write_all(&head)?;
    outside.write_all(&got[end..])?;
    inside.set_read_timeout(None)?;
    both_ways(inside, outside)
}

/// A name that leads to this machine, or to what only this machine's neighbours have, is not what was allowed.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local(),
    }
}

fn connect(host: &str, port: u16, entry: &str) -> io::Result<TcpStream> {
    let is_named = !entry.starts_with('*') && (host == "localhost" || host.parse::<IpAddr>().is_ok());
    let mut last = io::Error::other("it has no address");
    for address in (host, port).to_socket_addrs()? {
        if is_near(address.ip()) && !is_named {
            last = io::Error::other(format!("it leads to {}, which is this machine's own", address.ip()));
            continue;
        }
        match TcpStream::connect_timeout(&SocketAddr::new(address.ip(), port), PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn answer(inside: &mut UnixStream, status: u16, why: &str) -> io::Result<()> {
    let word = match status {
        400 => "Bad Request",
        403 => "Forbidden",
        _ => "Bad Gateway",
    };
    let text = format!("orch: {why}\n");
    let head = format!(
        "HTTP/1.1 {status} {word}\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {}",
        text.len()
    );
    inside.write_all(format!("{head}\r\n\r\n{text}").as_bytes())?;
    inside.shutdown(Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn allowed(names: &[&str]) -> Allowed {
        Allowed::new(names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn a_name_lets_itself_through_and_no_name_that_looks_like_it() {
        let all = allowed(&["crates.io", "*.crates.io", "example.com:8443", "[::1]:9", "127.0.0.1:7"]);
        for (host, port, through) in [
            ("crates.io", 443, true),
            ("CRATES.IO.", 80, true),
            ("crates.io", 22, false),
            ("index.crates.io", 443, true),
            ("a.b.crates.io", 443, true),
            ("evilcrates.io", 443, false),
            ("crates.io.evil.com", 443, false),
            ("example.com", 8443, true),
            ("example.com", 443, false),
            ("::1", 9, true),
            ("127.0.0.1", 7, true),
            ("127.0.0.1", 443, false),
            ("", 443, false),
        ] {
            assert_eq!(all.entry(host, port).is_some(), through, "{host}:{port}");
        }
    }

    #[test]
    fn a_head_says_one_host_or_it_is_no_request() {
        let of = |head: &str| wanted(head.as_bytes()).map(|w| (w.host, w.port, String::from_utf8(w.head).unwrap()));
        assert_eq!(of("CONNECT a.b:443 HTTP/1.1\r\nhost: other\r\n\r\n"), Some(("a.b".into(), 443, String::new())));
        assert_eq!(of("CONNECT [::1]:9 HTTP/1.1\r\n\r\n").map(|w| w.0).as_deref(), Some("::1"));
        let (host, port, head) = of("GET http://a.b/x?y HTTP/1.1\r\nHost: a.b\r\nProxy-Connection: x\r\n\r\n").unwrap();
        assert_eq!(
            (host.as_str(), port, head.as_str()),
            ("a.b", 80, "GET /x?y HTTP/1.1\r\nconnection: close\r\nHost: a.b\r\n\r\n")
        );
        for none in [
            "CONNECT a.b HTTP/1.1\r\n\r\n",
            "CONNECT a b:1 HTTP/1.1\r\n\r\n",
            "CONNECT a@b:1 HTTP/1.1\r\n\r\n",
            "CONNECT a.b:99999 HTTP/1.1\r\n\r\n",
            "CONNECT :1 HTTP/1.1\r\n\r\n",
            "GET /x HTTP/1.1\r\n\r\n",
            "GET http://u@a.b/ HTTP/1.1\r\n\r\n",
            "GET https://a.b/ HTTP/1.1\r\n\r\n",
            "GET http://a.b/ HTTP/2\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    fn ask(socket: &Path, head: &str) -> String {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut got = String::new();
        let _ = stream.read_to_string(&mut got);
        got
    }

    #[test]
    fn what_is_allowed_is_passed_and_what_is_not_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("net.sock");
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in server.incoming().flatten() {
                let mut stream = stream;
                let mut got = [0; 4];
                let _ = stream.read_exact(&mut got);
                let _ = stream.write_all(b"pong");
            }
        });
        let listener = open(&socket).unwrap();
        let all = allowed(&[&format!("127.0.0.1:{port}"), &format!("*.localhost:{port}")]);
        std::thread::spawn(move || serve(&listener, &all, &Arc::default()));
        let got = ask(&socket, &format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nping"));
        assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("\r\n\r\npong"), "{got}");
        let got = ask(&socket, &format!("CONNECT localhost:{port} HTTP/1.1\r\n\r\n"));
        assert!(got.starts_with("HTTP/1.1 403 ") && got.contains("not in [sandbox] `allow`"), "{got}");
        let got = ask(&socket, &format!("CONNECT a.localhost:{port} HTTP/1.1\r\n\r\n"));
        assert!(got.starts_with("HTTP/1.1 502 "), "a name that leads to this machine: {got}");
        assert!(ask(&socket, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    }
}
