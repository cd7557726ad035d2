//! W1 in short: deliveries of 8 KiB at a fixed rate against the real daemon, each timed from the moment it was to be sent. Then
//! the same once more, with the daemon killed in the middle: what it had acknowledged must be in the database.

use super::daemon::{Daemon, free_address, state};
use super::scale::instance;
use super::stats::{Line, Met, Times, ms};
use super::{Bench, say};
use anyhow::{Context, Result, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const SECRET: &str = "a-secret-of-the-benchmark";
/// Deliveries in a second.
const RATE: usize = 2_000;
/// Connections, each of one delivery at a time.
const CONNECTIONS: usize = 64;
/// Seconds of the first part, and of the one that is cut off.
const SECONDS: usize = 10;
const KILLED_AFTER: Duration = Duration::from_millis(1_500);
/// Bytes of a body.
const BODY: usize = 8 * 1024;
/// What p99 is to be.
const GOAL: Duration = Duration::from_millis(10);

/// A request, and the name of its delivery.
fn request(address: SocketAddr, name: &str) -> Vec<u8> {
    let mut body =
        format!(r#"{{"ref":"refs/heads/b","repository":{{"full_name":"acme/other"}},"mark":"{name}","text":""#);
    // Text that compresses no better than that of a real one.
    let mut dice = name.bytes().fold(7_u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)));
    while body.len() < BODY - 2 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        body.push(char::from(b'a' + u8::try_from(dice >> 59).unwrap_or(0) % 26));
    }
    body.push_str("\"}");
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).map(|m| m.chain_update(&body).finalize().into_bytes());
    let signature = mac.map(|m| m.iter().fold(String::new(), |text, b| format!("{text}{b:02x}"))).unwrap_or_default();
    let head = format!(
        "POST /webhook/gitea HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nX-Gitea-Event: push\r\n\
         X-Gitea-Delivery: {name}\r\nX-Gitea-Signature: {signature}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Sends deliveries at their times over one connection, until it is closed; what was acknowledged, and how long each took
/// from the moment it was due.
fn send(address: SocketAddr, began: Instant, mine: &[(usize, Vec<u8>)]) -> Result<Vec<(usize, Duration)>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut acknowledged = Vec::new();
    for (n, request) in mine {
        let due = began + Duration::from_secs(1) * u32::try_from(*n)? / u32::try_from(RATE)?;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let Ok(status) = exchange(&mut writer, &mut reader, request) else { break };
        ensure!(status == 202, "answered {status}");
        acknowledged.push((*n, due.elapsed()));
    }
    Ok(acknowledged)
}

fn exchange(writer: &mut TcpStream, reader: &mut BufReader<TcpStream>, request: &[u8]) -> Result<u16> {
    writer.write_all(request)?;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no HTTP status")?;
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        ensure!(reader.read_line(&mut line)? != 0, "the answer ends in its headers");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    Ok(status)
}

/// Sends so many, named from `mark`; what was acknowledged.
fn load(
    address: SocketAddr,
    mark: &str,
    count: usize,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<Vec<(usize, Duration)>> {
    let mut shares: Vec<Vec<(usize, Vec<u8>)>> = vec![Vec::new(); CONNECTIONS];
    for n in 0..count {
        shares[n % CONNECTIONS].push((n, request(address, &format!("{mark}-{n}"))));
    }
    let began = Instant::now() + Duration::from_millis(100);
    thread::scope(|scope| {
        let threads: Vec<_> = shares.iter().map(|mine| scope.spawn(move || send(address, began, mine))).collect();
        meanwhile()?;
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow::anyhow!("a sender broke down"))??);
        }
        Ok(all)
    })
}

pub(super) fn measure(bench: &Bench, lines: &mut Vec<Line>) -> Result<()> {
    let dir = bench.dir()?.join("w1");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    let address = free_address()?;
    let config = instance(&dir, address)?;
    let text = fs::read_to_string(&config)?;
    fs::write(&config, format!("{text}\n[gitea]\nwebhook_secret = \"{SECRET}\"\n"))?;
    let mut daemon = Daemon::start(&config, address)?;
    daemon.wait_live()?;
    say(&format!("W1: {RATE} deliveries a second of {BODY} bytes over {CONNECTIONS} connections, {SECONDS} s"))?;
    let cpu = daemon.cpu()?;
    let began = Instant::now();
    let sent = load(address, "first", RATE * SECONDS, || Ok(()))?;
    let (took, cpu) = (began.elapsed(), daemon.cpu()?.saturating_sub(cpu));
    ensure!(sent.len() == RATE * SECONDS, "{} of {} were acknowledged", sent.len(), RATE * SECONDS);
    let times = Times::of(sent.iter().map(|(_, time)| *time).collect())?;
    let rate = sent.len() as f64 / took.as_secs_f64();
    let shares = format!("p50 {}, p99 {}, worst {}", ms(times.at(0.5)), ms(times.at(0.99)), ms(times.worst()));
    let load_of = cpu.as_secs_f64() / took.as_secs_f64() * 100.0;
    lines.push(Line {
        what: format!("W1 {RATE} deliveries/s of 8 KiB, acknowledged on disk"),
        goal: format!("p99 <= {}", ms(GOAL)),
        measured: format!("{shares}; {rate:.0}/s, {load_of:.0} % of a processor, {} MB", daemon.rss()? / 1_000_000),
        ratio: format!("{:.2} of it", times.at(0.99).as_secs_f64() / GOAL.as_secs_f64()),
        met: Met::when(times.at(0.99) <= GOAL),
    });
    // All of them are of a repository that is no project here: nothing is left to look up.
    daemon.wait_for(Duration::from_mins(2), |d| {
        d.get("/metrics").is_ok_and(|(_, text)| text.contains("orch_inbound_unresolved{source=\"gitea\"} 0\n"))
    })?;
    let acknowledged = load(address, "second", RATE * SECONDS, || {
        thread::sleep(KILLED_AFTER);
        daemon.kill()
    })?;
    let mut daemon = Daemon::start(&config, address)?;
    daemon.wait_live()?;
    let (_, database) = state(&dir)?;
    let mut rows = database.prepare("SELECT sent_as FROM delivery WHERE sent_as LIKE 'second-%'")?;
    let kept: BTreeSet<String> = rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let lost = acknowledged.iter().filter(|(n, _)| !kept.contains(&format!("second-{n}"))).count();
    daemon.kill()?;
    lines.push(Line {
        what: "W1 kill -9 with deliveries coming in".into(),
        goal: "none lost".into(),
        measured: format!("{} acknowledged, {} kept, {lost} lost", acknowledged.len(), kept.len()),
        ratio: String::new(),
        met: Met::when(lost == 0 && !acknowledged.is_empty()),
    });
    Ok(())
}
