//! The client of a running server: where it is, who asks, and what its answers mean for the exit code. It never touches
//! the database: whatever a command shows is what the server says.

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::config::{Config, FILE_NAME};
use clap::Args;
use orch_store::SqliteStore;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for an answer; every endpoint answers at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How often a request with an idempotency key is sent when its answer gets lost.
const SENDS: u32 = 3;

/// Where the server is.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArgs {
    /// Address of the server (default: ORCH_URL, else from the configuration)
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Configuration file that says where the server listens (default: the nearest orch.toml from here upwards)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A connection to be.
pub struct Client {
    base: Url,
    headers: HeaderMap,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// A piece of a log.
#[derive(Debug)]
pub struct LogPart {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Offset of the byte after it.
    pub next: u64,
    /// Will there be no more?
    pub done: bool,
}

impl Client {
    /// Finds server and token; sends nothing yet.
    pub fn find(context: &mut Context<'_>, args: &ServerArgs) -> Result<Self, Failure> {
        let set = |name: &str| context.env.get(name).filter(|v| !v.trim().is_empty()).cloned();
        let (named_url, named_token) = (args.url.clone().or_else(|| set("ORCH_URL")), set("ORCH_TOKEN"));
        let config = match (&named_url, &named_token, context.find_config(args.config.as_deref())) {
            (Some(_), Some(_), _) | (_, _, None) => None,
            (_, _, Some(file)) => Some(context.load(&file)?.0),
        };
        let config = match config {
            // Nothing is configured here: the server of this user would run on the defaults.
            None if named_url.is_none() || named_token.is_none() => {
                match Config::parse(&context.cwd.join(FILE_NAME), "", &context.env) {
                    Ok((config, _)) => Some(config),
                    Err(_) if named_url.is_some() => None,
                    Err(errors) => return Err(Failure::usage(errors.seen_from(&context.cwd).to_string())),
                }
            }
            other => other,
        };
        let daemon = config.as_ref().and_then(|config| daemon_of(&config.db.path));
        let listen =
            config.as_ref().map_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8500), |c| c.server.listen);
        let named = named_url.is_some();
        let text = named_url.unwrap_or_else(|| daemon.clone().map_or_else(|| local_url(listen), String::from));
        let base =
            Url::parse(&text).ok().filter(|u| ["http", "https"].contains(&u.scheme()) && u.has_host()).ok_or_else(
                || Failure::usage(format!("`{text}` is not an address of a server, like http://127.0.0.1:8500")),
            )?;
        // Whoever wrote the nearest orch.toml may name any address in it, and anybody may listen where nobody does. The
        // token file opens one daemon, the one that holds the lock beside it; a token of the environment goes there, or
        // where this user says.
        let daemon = daemon.filter(|daemon| is_same(&base, daemon));
        let base = daemon.clone().unwrap_or(base);
        let ours = daemon.is_some();
        let from_file = || config.filter(|_| ours).and_then(|c| std::fs::read_to_string(c.token_file()).ok());
        let token = named_token.filter(|_| named || ours).or_else(from_file).map(|t| t.trim().to_owned());
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| Failure::usage("the API token has characters no token has: look at ORCH_TOKEN"))?;
            value.set_sensitive(true);
            headers.insert("authorization", value);
        }
        if let Ok(actor) = HeaderValue::from_bytes(context.actor().as_bytes()) {
            headers.insert("x-orch-actor", actor);
        }
        let built = |e: &dyn std::fmt::Display| Failure::new(Exit::CannotTell, format!("cannot set up HTTP: {e}"));
        let http = reqwest::Client::builder()
            .timeout(ANSWER_WITHIN)
            .connect_timeout(CONNECT_WITHIN)
            .no_proxy()
            // An answer that sends us elsewhere is none of ours.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| built(&e))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| built(&e))?;
        Ok(Self { base, headers, http, runtime })
    }

    /// `GET` of JSON. Each part of the path is one segment, so that no identifier can leave its place.
    pub fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.runtime.block_on(async {
            let response = self.send(|| self.request(Method::GET, path, query), SENDS).await?;
            self.json(response).await
        })
    }

    /// `POST` of JSON, sent once: what it asks for may not be wanted twice.
    pub fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.post_times(path, body, 1)
    }

    /// `POST` of bytes as they are.
    pub fn post_bytes(&self, path: &[&str], bytes: &[u8]) -> Result<Value, Failure> {
        self.runtime.block_on(async {
            let response = self.send(|| self.request(Method::POST, path, &[]).body(bytes.to_vec()), 1).await?;
            self.json(response).await
        })
    }

    /// `POST` of JSON that carries a key of its own: sent again if the answer got lost.
    pub fn post_keyed(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.post_times(path, body, SENDS)
    }

    fn post_times(&self, path: &[&str], body: &Value, sends: u32) -> Result<Value, Failure> {
        self.runtime.block_on(async {
            let response = self.send(|| self.request(Method::POST, path, &[]).json(body), sends).await?;
            self.json(response).await
        })
    }

    /// A run's output from an offset on.
    pub fn log(&self, path: &[&str], offset: u64) -> Result<LogPart, Failure> {
        self.runtime.block_on(async {
            let offset_text = offset.to_string();
            let query = [("offset", offset_text.as_str())];
            let response = self.send(|| self.request(Method::GET, path, &query), SENDS).await?;
            if !response.status().is_success() {
                return Err(refusal(response).await);
            }
            let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
            let (next, done) = (header("x-log-next"), header("x-log-done"));
            let bytes = response.bytes().await.map_err(|e| self.unreachable(&e))?.to_vec();
            let next = next.and_then(|n| n.parse().ok()).unwrap_or(offset + bytes.len() as u64);
            Ok(LogPart { bytes, next, done: done.is_none_or(|d| d != "false") })
        })
    }

    /// What any address answers, as a browser would see it; nothing of ours is sent along.
    pub fn page(&self, url: &str) -> Result<String, Failure> {
        self.runtime.block_on(async {
            let trouble = |e: reqwest::Error| Failure::new(Exit::CannotTell, format!("{url} cannot be read: {e}"));
            let response = self.http.get(url).send().await.map_err(trouble)?;
            response.error_for_status().map_err(trouble)?.text().await.map_err(trouble)
        })
    }

    /// Waits between two looks.
    pub fn pause(&self, wait: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(wait).await });
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.http.request(method, url).headers(self.headers.clone())
    }

    /// Sends; only a lost connection is tried again, never an answer, and never a server that is not there.
    async fn send(&self, build: impl Fn() -> RequestBuilder, sends: u32) -> Result<Response, Failure> {
        let mut left = sends;
        loop {
            left -= 1;
            match build().send().await {
                Ok(response) => return Ok(response),
                Err(e) if left == 0 || e.is_connect() || e.is_builder() => return Err(self.unreachable(&e)),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn json(&self, response: Response) -> Result<Value, Failure> {
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let text = response.text().await.map_err(|e| self.unreachable(&e))?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|_| {
            Failure::new(Exit::CannotTell, format!("what answers at {} is not orch", self.base))
                .hint("check --url and ORCH_URL")
        })
    }

    fn unreachable(&self, e: &reqwest::Error) -> Failure {
        let why = if e.is_timeout() { "no answer in time" } else { "cannot be reached" };
        Failure::new(Exit::CannotTell, format!("server at {}: {why}", self.base)).hint("start it with `orch serve`")
    }
}

/// What a refusal means: 4xx is a wrong question (2), 409 says that the thing asked for failed (1), the rest is the
/// server's trouble (3).
async fn refusal(response: Response) -> Failure {
    let status = response.status();
    let body: Value = response.json().await.unwrap_or(Value::Null);
    let part = |name: &str| body.pointer(&format!("/error/{name}")).and_then(Value::as_str).map(str::to_owned);
    let exit = match status {
        StatusCode::CONFLICT => Exit::Failed,
        s if s.is_client_error() && s != StatusCode::TOO_MANY_REQUESTS => Exit::Usage,
        _ => Exit::CannotTell,
    };
    let message = part("message").unwrap_or_else(|| format!("the server answered {status}"));
    let unauthorized =
        "set ORCH_URL to its address, and ORCH_TOKEN to the text of the file `token` beside its database";
    let hint = part("hint").or_else(|| (status == StatusCode::UNAUTHORIZED).then(|| unauthorized.to_owned()));
    Failure { exit, message, hint }
}

/// How to reach a server that listens here.
pub fn local_url(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// Where the daemon that owns this database says it listens, in the lock that only it holds.
pub(super) fn daemon_of(db: &Path) -> Option<Url> {
    let holder = SqliteStore::holder(db)?;
    let (_, from) = holder.split_once("orch serve at ")?;
    Url::parse(from.split(',').next()?).ok().filter(Url::has_host)
}

/// Is this the daemon's address? `localhost` is where it listens on a loopback address, and nothing else is.
fn is_same(asked: &Url, daemon: &Url) -> bool {
    let host = |url: &Url| url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let loopback = host(daemon).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    asked.scheme() == daemon.scheme()
        && asked.port_or_known_default() == daemon.port_or_known_default()
        && (host(asked) == host(daemon) || (host(asked) == "localhost" && loopback))
}
