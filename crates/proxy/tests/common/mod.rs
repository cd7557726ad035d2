//! A service on the loopback interface that does what the test says, and a program that speaks through the proxy.

#![allow(dead_code)]

use orch_ports::Secret;
use orch_proxy::credential::Credential;
use orch_proxy::gate::Limits;
use orch_proxy::journal::{self, Totals};
use orch_proxy::server::{Address, Heard, Proxy, Start};
use orch_proxy::settings::{Place, Settings, files};
use orch_proxy::token::RunToken;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;

pub(crate) const KEY: &str = "sk-ant-api03-canary-of-the-account";
/// Longest that a test waits for what has to come.
const SOON: Duration = Duration::from_secs(20);

pub(crate) const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-sonnet-5\",\"usage\":{\"input_tokens\":1000,\"output_tokens\":1}}}\n\n";
pub(crate) const TEXT: &str =
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"hello\"}}\n\n";
pub(crate) const DELTA: &str =
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":500}}\n\n";
pub(crate) const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
pub(crate) const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_1\r\nconnection: close\r\n\r\n";
/// What such a response costs: 1,000 tokens in and 500 out.
pub(crate) const COST: u64 = 7_000;

/// A connection to the service, once its request has come.
pub(crate) struct Call {
    pub(crate) head: String,
    pub(crate) body: String,
    stream: TcpStream,
}

impl Call {
    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }
    /// All of a good answer.
    pub(crate) async fn answer(mut self) {
        self.say(&[STREAM, START, TEXT, DELTA, STOP].concat()).await;
    }
}

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) token: RunToken,
    pub(crate) heard: Arc<Mutex<Vec<Heard>>>,
    pub(crate) calls: mpsc::UnboundedReceiver<Call>,
    pub(crate) proxy: Proxy,
}

impl World {
    pub(crate) async fn new(limits: Limits) -> Self {
        Self::with(&[("ANTHROPIC_API_KEY", KEY)], Settings { limits, ..Settings::default() }).await
    }

    pub(crate) async fn with(keys: &[(&str, &str)], settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, calls) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Some(call) = request(stream).await {
                        let _ = sender.send(call);
                    }
                });
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings;
        settings.pause.push(dir.path().join("pause"));
        let keys: BTreeMap<String, Secret> = keys.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect();
        let (token, heard) = (RunToken::new().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let start = Start {
            dir: dir.path(),
            settings: &settings,
            credential: Credential::of(&keys, Some(&url)).unwrap(),
            token: token.clone(),
            place: &Place::in_run(dir.path()),
            way: orch_proxy::server::Way::default(),
        };
        let sink = Arc::clone(&heard);
        let proxy = Proxy::start(start, move |said| sink.lock().unwrap().push(said)).await.unwrap();
        Self { dir, token, heard, calls, proxy }
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.path().join(files::JOURNAL)
    }
    pub(crate) fn totals(&self) -> Totals {
        journal::read(&self.journal()).unwrap()
    }
    /// Returns when the journal says so.
    pub(crate) async fn until(&self, is: impl Fn(&Totals) -> bool) -> Totals {
        let look = async {
            loop {
                let totals = self.totals();
                if is(&totals) {
                    return totals;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, look).await.expect("the journal says nothing of it")
    }
    pub(crate) async fn call(&mut self) -> Call {
        tokio::time::timeout(SOON, self.calls.recv()).await.expect("no request came").unwrap()
    }
    pub(crate) async fn connect(&self) -> Client {
        let Address::Socket(socket) = self.proxy.address() else { panic!("no socket") };
        Client { stream: UnixStream::connect(socket).await.unwrap(), got: String::new() }
    }
    /// A program that has sent this request with its token.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Client {
        let mut client = self.connect().await;
        client.send("POST", path, &[("x-api-key", self.token.expose())], body).await;
        client
    }
    pub(crate) async fn ask(&self) -> Client {
        self.post("/v1/messages?beta=true", ASK).await
    }
}

pub(crate) const ASK: &str = r#"{"model":"claude-sonnet-5","max_tokens":2000,"stream":true,"messages":[]}"#;

/// Reads one request.
async fn request(mut stream: TcpStream) -> Option<Call> {
    let (mut got, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let n = stream.read(&mut piece).await.ok()?;
        got.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&got).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if length.unwrap_or(0) <= body.len() {
                return Some(Call { head: head.to_owned(), body: body.to_owned(), stream });
            }
        }
        if n == 0 {
            return None;
        }
    }
}

pub(crate) struct Client {
    stream: UnixStream,
    pub(crate) got: String,
}

impl Client {
    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let mut text = format!(
            "{method} {path} HTTP/1.1\r\nhost: model.orch\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text += "\r\n";
        text += body;
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }
    /// Reads until this has come.
    pub(crate) async fn until(&mut self, text: &str) {
        let read = async {
            let mut piece = [0; 4096];
            while !self.got.contains(text) {
                let n = self.stream.read(&mut piece).await.unwrap_or(0);
                assert!(0 < n, "it ended without {text:?}: {}", self.got);
                self.got += &String::from_utf8_lossy(&piece[..n]);
            }
        };
        tokio::time::timeout(SOON, read).await.expect("it did not come");
    }
    /// Reads to the end.
    pub(crate) async fn all(mut self) -> String {
        let read = async {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = self.stream.read(&mut piece).await {
                self.got += &String::from_utf8_lossy(&piece[..n]);
            }
        };
        tokio::time::timeout(SOON, read).await.expect("it did not end");
        self.got
    }
}
