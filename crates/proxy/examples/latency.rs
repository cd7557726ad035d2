//! How much later a program gets each piece of a stream through the proxy than without it, and the first byte of its answer:
//! `cargo run --release -p orch-proxy --example latency`. Service, proxy and program are on this machine; the times are those of
//! this process's own clock.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use orch_proxy::credential::Credential;
use orch_proxy::server::{Address, Proxy, Start};
use orch_proxy::settings::{Place, Settings};
use orch_proxy::token::RunToken;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Answers, and pieces of each.
const ANSWERS: usize = 200;
const PIECES: usize = 50;
/// Between two pieces: a fast model gives some hundred tokens a second.
const APART: Duration = Duration::from_millis(2);

fn now() -> u64 {
    BEGUN.elapsed().as_nanos() as u64
}

/// Streams pieces that each say when they were sent.
async fn serve(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            stream.set_nodelay(true).unwrap();
            let mut got = Vec::new();
            while !got.ends_with(b"}") {
                if stream.read_buf(&mut got).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let start = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n";
            let _ = stream.write_all(format!("{head}{start}").as_bytes()).await;
            for _ in 0..PIECES {
                tokio::time::sleep(APART).await;
                let text = format!(
                    "data: {{\"type\":\"content_block_delta\",\"delta\":{{\"text\":\"\"}},\"sent\":<{}>}}\n\n",
                    now()
                );
                let _ = stream.write_all(text.as_bytes()).await;
            }
            let end = "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":9}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
            let _ = stream.write_all(end.as_bytes()).await;
        });
    }
}

/// Microseconds from request to first byte, of each piece, and from the last piece to the end.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, token: &str, pieces: &mut Vec<u64>) -> u64 {
    // A request as large as those of agents are.
    let body = format!("{{\"model\":\"claude-sonnet-5\",\"max_tokens\":9,\"x\":\"{}\"}}", "x".repeat(100_000));
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {token}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let asked = now();
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let (mut first, mut got) = (0, Vec::new());
    loop {
        let from = got.len().saturating_sub(200);
        if stream.read_buf(&mut got).await.unwrap_or(0) == 0 {
            return first;
        }
        let at = now();
        if first == 0 {
            first = (at - asked) / 1_000;
        }
        let text = String::from_utf8_lossy(&got[from..]).into_owned();
        if let Some((_, rest)) = text.rsplit_once('<')
            && let Some((sent, _)) = rest.split_once('>')
            && let Ok(sent) = sent.parse::<u64>()
        {
            pieces.push(at.saturating_sub(sent) / 1_000);
        }
    }
}

fn shown(name: &str, times: &mut [u64]) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100] as f64 / 1_000.0;
    println!("{name:<42} p50 {:>7.3} ms  p99 {:>7.3} ms  worst {:>7.3} ms  ({})", at(50), at(99), at(100), times.len());
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let _ = *BEGUN;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener));
    let dir = std::env::temp_dir().join(format!("orch-latency-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let token = RunToken::new().unwrap();
    let url = format!("http://{address}");
    let start = Start {
        dir: &dir,
        settings: &Settings::default(),
        credential: Credential::of(&BTreeMap::new(), Some(&url)).unwrap(),
        token: token.clone(),
        place: &Place::in_run(&dir),
        way: orch_proxy::server::Way::default(),
    };
    let proxy = Proxy::start(start, |_| {}).await.unwrap();
    let Address::Socket(socket) = proxy.address() else { panic!("the path is too long for a socket") };
    let [mut straight, mut through, mut first_straight, mut first_through] = [const { Vec::new() }; 4];
    // In turns, so that what else this machine does meets both.
    for _ in 0..ANSWERS {
        first_straight.push(ask(TcpStream::connect(address).await.unwrap(), token.expose(), &mut straight).await);
        first_through.push(ask(UnixStream::connect(socket).await.unwrap(), token.expose(), &mut through).await);
    }
    shown("piece of a stream, straight", &mut straight);
    shown("piece of a stream, through the proxy", &mut through);
    shown("first byte of an answer, straight", &mut first_straight);
    shown("first byte of an answer, through the proxy", &mut first_through);
    drop(proxy);
    let _ = std::fs::remove_dir_all(dir);
}
