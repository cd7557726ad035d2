//! A real `orch serve` to measure: started on a configuration, asked over HTTP, looked at through `/proc`, and killed.

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon that does not answer by then has failed.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) struct Daemon {
    child: Child,
    address: SocketAddr,
}

/// An address nobody listens on now.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The binary beside this one.
pub(super) fn orch() -> Result<PathBuf> {
    let orch = std::env::current_exe()?.with_file_name("orch");
    if !orch.exists() {
        bail!("there is no {}: build it with `cargo build --release -p orch`", orch.display());
    }
    Ok(orch)
}

/// Token and database of the instance in a directory.
pub(super) fn state(dir: &Path) -> Result<(String, Connection)> {
    let state = dir.join(".orch");
    let token = fs::read_to_string(state.join("token")).context("read the token")?;
    let database = Connection::open_with_flags(state.join("orch.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    database.busy_timeout(Duration::from_secs(10))?;
    Ok((token.trim().to_owned(), database))
}

impl Daemon {
    /// Starts it; its words go to `serve.log` beside the configuration.
    pub(super) fn start(config: &Path, address: SocketAddr) -> Result<Self> {
        let dir = config.parent().context("the configuration has no directory")?;
        let log = fs::File::options().create(true).append(true).open(dir.join("serve.log"))?;
        let child = Command::new(orch()?)
            .args(["serve", "--config"])
            .arg(config)
            .current_dir(dir)
            .env("ORCH_LOG", "warn")
            // What is measured is orch; what a sandbox adds is measured by itself.
            .env("ORCH_SANDBOX_LEVEL", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start orch")?;
        Ok(Self { child, address })
    }

    /// Waits for the first answer.
    pub(super) fn wait_live(&mut self) -> Result<()> {
        self.wait(|d| d.get("/livez").is_ok_and(|(status, _)| status == 200))
    }

    /// Waits for something, looking every millisecond.
    pub(super) fn wait(&mut self, until: impl Fn(&Self) -> bool) -> Result<()> {
        self.wait_for(PATIENCE, until)
    }

    /// The same, for what may take longer.
    pub(super) fn wait_for(&mut self, patience: Duration, until: impl Fn(&Self) -> bool) -> Result<()> {
        let began = Instant::now();
        while !until(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!("orch serve ended ({status}): see serve.log beside its configuration");
            }
            if patience < began.elapsed() {
                bail!("what was waited for did not come in {} s: see serve.log", patience.as_secs());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Ends it without asking.
    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Status and body.
    pub(super) fn get(&self, path: &str) -> Result<(u16, String)> {
        self.ask("GET", path, "", "")
    }

    /// Status and body; the connection is used once.
    pub(super) fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let authorization = if token.is_empty() {
            String::new()
        } else {
            format!("Authorization: Bearer {token}\r\nX-Orch-Actor: local:anna\r\n")
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{authorization}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no HTTP status")?;
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                bail!("the answer ends in its headers");
            }
        }
        let mut body = String::new();
        reader.read_to_string(&mut body)?;
        Ok((status, body))
    }

    /// Memory that is really there, bytes.
    pub(super) fn rss(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kb: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kb * 1024)
    }

    /// Time on the processor, its threads together.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let mut all = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // Nanoseconds on a processor are the first word.
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            all += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).context("no schedstat")?;
        }
        Ok(Duration::from_nanos(all))
    }
}
