//! The daemon as a child process: started, asked over HTTP, ended, killed, and never left behind.

use super::{DECOY, LOOK_EVERY, ORCH, PATIENCE, Ran, World, processes};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

impl World {
    /// `orch serve` that is expected to refuse: its exit code and words. One that runs is a failure.
    pub fn serve_refuses(&self, env: &[(&str, &str)]) -> Ran {
        let mut command = self.command(ORCH, &self.repo);
        command.arg("serve").envs(env.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if PATIENCE / 3 < began.elapsed() {
                let _ = child.kill();
                panic!("serve runs although it should refuse: {:?}", Ran::of(&child.wait_with_output().unwrap()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ran::of(&child.wait_with_output().unwrap())
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&mut self) {
        for _ in 0..3 {
            if self.try_start() {
                return;
            }
            // Another program took the port between our look and the daemon's.
            let port = free_port();
            self.edit_config(&format!("127.0.0.1:{}", self.port), &format!("127.0.0.1:{port}"));
            self.port = port;
        }
        panic!("no port stays free");
    }

    fn try_start(&mut self) -> bool {
        let log = fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = self.command(ORCH, &self.repo);
        command.arg("serve").env("DECOY_TOKEN", DECOY).env("ORCH_LOG", "debug,hyper=info,reqwest=info");
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.serve = Some(command.spawn().unwrap());
        let began = Instant::now();
        loop {
            if self.http("GET", "/readyz", None, "").is_some_and(|(status, _)| status == 200) {
                return true;
            }
            if let Some(status) = self.serve.as_mut().unwrap().try_wait().unwrap() {
                self.serve = None;
                if self.log().contains("is in use by another program") {
                    return false;
                }
                panic!("serve ended with {status}:\n{}", self.log());
            }
            assert!(began.elapsed() < PATIENCE, "serve is not ready:\n{}", self.log());
            std::thread::sleep(LOOK_EVERY / 2);
        }
    }

    fn log_file(&self) -> PathBuf {
        self.root.join("serve.log")
    }
    /// What the daemon said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }
    /// Where the daemon listens.
    pub fn port(&self) -> u16 {
        self.port
    }
    /// The daemon's pid.
    pub fn pid(&self) -> u32 {
        self.serve.as_ref().unwrap().id()
    }

    /// SIGTERM; waits for the end and says how it was and how long it took.
    pub fn terminate(&mut self) -> (ExitStatus, Duration) {
        let mut child = self.serve.take().unwrap();
        let began = Instant::now();
        processes::terminate(child.id());
        while began.elapsed() < PATIENCE {
            if let Some(status) = child.try_wait().unwrap() {
                return (status, began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.serve = Some(child);
        panic!("serve does not end:\n{}", self.log());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.serve.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// One HTTP request by hand, as the given actor; `None` if nobody answers.
    pub fn http(&self, method: &str, path: &str, actor: Option<&str>, body: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let token = fs::read_to_string(self.data().join("token")).unwrap_or_default();
        let actor = actor.map(|a| format!("X-Orch-Actor: {a}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\n{actor}Content-Type: \
             application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            token.trim(),
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n").map(|(_, b)| b.to_owned()).unwrap_or_default()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.serve.take() {
            processes::terminate(child.id());
            let began = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        // Agents outlive their daemon by design, not their test.
        processes::end_all_below(&self.root);
    }
}

/// A port nobody listens on now.
pub(super) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).unwrap().port()
}
