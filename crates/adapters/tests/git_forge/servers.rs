//! Real git servers for stories: `git daemon`, and git's own `http-backend` behind a few lines of HTTP that know users and
//! passwords, write down who asked for what, and can be away, lose an answer, or let a colleague in just before a push.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "every test binary uses its own part of this")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A program of git's own directory; what is missing is said, and with `ORCH_NOTHING_SKIPPED` it is a failure.
pub fn program(name: &str) -> Option<PathBuf> {
    let out = Command::new("git").arg("--exec-path").output().unwrap();
    let path = Path::new(String::from_utf8_lossy(&out.stdout).trim()).join(name);
    if path.is_file() {
        return Some(path);
    }
    let words = format!("skipped: needs {name} (Debian: apt install git; Alpine: apk add git-daemon)\n");
    assert!(std::env::var_os("ORCH_NOTHING_SKIPPED").is_none(), "{words}");
    let _ = std::io::stdout().write_all(words.as_bytes());
    None
}

/// A `git daemon` that serves every repository of a directory, to whoever comes.
pub struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    /// Nothing if there is no git daemon.
    pub fn start(dir: &Path) -> Option<Self> {
        let program = program("git-daemon")?;
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let child = Command::new(&program)
                .args(["--reuseaddr", "--listen=127.0.0.1", "--export-all", "--enable=receive-pack"])
                .arg(format!("--port={port}"))
                .arg(format!("--base-path={}", dir.display()))
                .arg(dir)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut daemon = Self { child, port };
            let began = Instant::now();
            // One that ended has lost the port to somebody else meanwhile.
            while began.elapsed() < Duration::from_secs(30) && daemon.child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(daemon);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Address of a repository.
    pub fn url(&self, name: &str) -> String {
        format!("git://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It is answered.
    Fair,
    /// Nobody answers: every connection is closed.
    Away,
    /// Pushes are carried out, and nobody hears so.
    AnswersLost,
}

type Meanwhile = Box<dyn FnOnce() + Send>;

struct Shared {
    backend: PathBuf,
    root: PathBuf,
    users: BTreeMap<String, String>,
    weather: Mutex<Weather>,
    before_push: Mutex<Option<Meanwhile>>,
    before_look: Mutex<Option<Meanwhile>>,
    asked: Mutex<Vec<String>>,
}

/// An HTTP server of the repositories of a directory. Ends with the process.
pub struct Http {
    shared: Arc<Shared>,
    port: u16,
}

impl Http {
    /// Nothing if there is no `http-backend`. `users` are names and passwords; without any nobody is asked for one.
    pub fn start(root: &Path, users: &[(&str, &str)]) -> Option<Self> {
        let backend = program("git-http-backend")?;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let users = users.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect();
        let shared = Arc::new(Shared {
            backend,
            root: root.to_owned(),
            users,
            weather: Mutex::new(Weather::Fair),
            before_push: Mutex::default(),
            before_look: Mutex::default(),
            asked: Mutex::default(),
        });
        let for_all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&for_all);
                std::thread::spawn(move || {
                    let _ = shared.answer(stream);
                });
            }
        });
        Some(Self { shared, port })
    }

    /// Address of a repository, without credentials.
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
    /// The same for a colleague's git.
    pub fn url_of(&self, who: &str, name: &str) -> String {
        format!("http://{who}:{}@127.0.0.1:{}/{name}", self.shared.users[who], self.port)
    }
    /// From now on.
    pub fn weather(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
    }
    /// Once, after the next push has been sent and before it is carried out.
    pub fn before_push(&self, meanwhile: impl FnOnce() + Send + 'static) {
        *self.shared.before_push.lock().unwrap() = Some(Box::new(meanwhile));
    }
    /// Once, before the next push is told where the branches are.
    pub fn before_push_looks(&self, meanwhile: impl FnOnce() + Send + 'static) {
        *self.shared.before_look.lock().unwrap() = Some(Box::new(meanwhile));
    }
    /// What was asked so far, `user GET /x.git/info/refs?service=git-upload-pack`, and is forgotten.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
    /// How often a git has called since it was asked last: each begins with one question for references.
    pub fn calls(&self) -> usize {
        self.asked().iter().filter(|line| line.contains("/info/refs")).count()
    }
}

impl Shared {
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        if *self.weather.lock().unwrap() == Weather::Away {
            return Ok(());
        }
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or("/").to_owned());
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        if headers.contains_key("expect") {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = body(&mut reader, &headers)?;
        let user = headers.get("authorization").and_then(|given| self.user(given));
        self.asked.lock().unwrap().push(format!("{} {method} {target}", user.unwrap_or("nobody")));
        if user.is_none() && !self.users.is_empty() {
            return writer.write_all(
                b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let push = method == "POST" && path.ends_with("/git-receive-pack");
        if push && let Some(meanwhile) = self.before_push.lock().unwrap().take() {
            meanwhile();
        }
        if query == "service=git-receive-pack"
            && let Some(meanwhile) = self.before_look.lock().unwrap().take()
        {
            meanwhile();
        }
        let mut backend = Command::new(&self.backend);
        backend.env("GIT_PROJECT_ROOT", &self.root).env("GIT_HTTP_EXPORT_ALL", "1").env("REQUEST_METHOD", &method);
        backend.env("PATH_INFO", path).env("QUERY_STRING", query).env("CONTENT_LENGTH", body.len().to_string());
        backend.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        if let Some(user) = user {
            backend.env("REMOTE_USER", user);
        }
        for (header, variable) in [
            ("content-type", "CONTENT_TYPE"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
            ("git-protocol", "GIT_PROTOCOL"),
        ] {
            if let Some(value) = headers.get(header) {
                backend.env(variable, value);
            }
        }
        let mut child = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut input = child.stdin.take().unwrap();
        let feed = std::thread::spawn(move || {
            let _ = input.write_all(&body);
        });
        let done = child.wait_with_output()?;
        let _ = feed.join();
        if push && *self.weather.lock().unwrap() == Weather::AnswersLost {
            return Ok(());
        }
        let end = done.stdout.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(done.stdout.len());
        let head = String::from_utf8_lossy(&done.stdout[..end]).into_owned();
        let content = done.stdout.get(end + 4..).unwrap_or_default();
        let status = head.lines().find_map(|l| l.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
        let kept: Vec<&str> = head.lines().filter(|l| !l.starts_with("Status: ")).collect();
        let head = format!(
            "HTTP/1.1 {status}\r\n{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            kept.join("\r\n"),
            content.len()
        );
        writer.write_all(head.as_bytes())?;
        writer.write_all(content)
    }

    fn user(&self, given: &str) -> Option<&str> {
        let known = |(name, word): (&String, &String)| format!("Basic {}", base64(format!("{name}:{word}").as_bytes()));
        self.users.iter().find(|(name, word)| known((name, word)) == given).map(|(name, _)| name.as_str())
    }
}

fn body(reader: &mut impl BufRead, headers: &BTreeMap<String, String>) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|how| how == "chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk)?;
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    body.resize(length, 0);
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().chain([0, 0].iter()).take(3).fold(0_usize, |w, b| w << 8 | usize::from(*b));
        for place in 0..4 {
            let digit = DIGITS[word >> (18 - 6 * place) & 63];
            out.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}
