//! Listens for one run, on a socket of its directory or on the loopback interface, and holds what its requests share.

use crate::credential::Credential;
use crate::forward::{self, Body};
use crate::gate::Gate;
use crate::journal::{self, Journal, Record, Totals};
use crate::pause::Pause;
use crate::prices;
use crate::settings::{Place, Settings, files};
pub use crate::shared::Heard;
use crate::shared::{Counts, Shared, now};
use crate::token::RunToken;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use orch_ports::Secret;
use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Longest until a connection to the service stands.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// A proxy that listens. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: Address,
    task: JoinHandle<()>,
}

/// Where the program reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// By this socket; the host in a URL may be any.
    Socket(PathBuf),
    /// `http://127.0.0.1:40123`
    Url(String),
}

/// What a proxy begins with.
#[derive(Debug)]
pub struct Start<'a> {
    /// The run directory.
    pub dir: &'a Path,
    /// What it is told of the run.
    pub settings: &'a Settings,
    /// Whose account pays.
    pub credential: Credential,
    /// The token by which the program is known.
    pub token: RunToken,
    /// Where it listens.
    pub place: &'a Place,
    /// The way to the service.
    pub way: Way,
}

/// The way to the service from here.
#[derive(Debug, Default)]
pub struct Way {
    /// An HTTP proxy for addresses with `https`, as in HTTPS_PROXY.
    pub https: Option<Secret>,
    /// One for every address, as in ALL_PROXY.
    pub all: Option<Secret>,
    /// What is reached without them, as in NO_PROXY.
    pub not_for: Option<String>,
    /// Certificates that are trusted beside the system's, PEM, as NODE_EXTRA_CA_CERTS names a file of them.
    pub trusted: Option<Vec<u8>>,
}

/// What is here is reached without a proxy.
const HERE: &str = "127.0.0.1,localhost,::1";

impl Way {
    fn client(&self) -> io::Result<reqwest::Client> {
        // No redirects: they would carry the key elsewhere. No limit in time: a model may think for long.
        let mut client = reqwest::Client::builder().no_proxy();
        let not_for = self.not_for.as_ref().map_or_else(|| HERE.to_owned(), |hosts| format!("{HERE},{hosts}"));
        for (via, https) in [(&self.https, true), (&self.all, false)] {
            let Some(via) = via else { continue };
            let of = if https { reqwest::Proxy::https } else { reqwest::Proxy::all };
            // Its error would show a password.
            let via = of(via.expose()).map_err(|_| io::Error::other("the HTTP proxy is no address"))?;
            client = client.proxy(via.no_proxy(reqwest::NoProxy::from_string(&not_for)));
        }
        if let Some(pem) = &self.trusted {
            let all = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|e| io::Error::other(format!("NODE_EXTRA_CA_CERTS holds no certificates: {e}")))?;
            client = all.into_iter().fold(client, reqwest::ClientBuilder::add_root_certificate);
        }
        client
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .referer(false)
            .build()
            .map_err(io::Error::other)
    }
}

impl Proxy {
    /// Begins to listen for a run. What the run's journal says already was used. Has to be called in a runtime.
    ///
    /// # Errors
    /// The place cannot be listened on, or the journal not be opened: then no program may be started.
    pub async fn start(start: Start<'_>, heard: impl Fn(Heard) + Send + Sync + 'static) -> io::Result<Self> {
        let Start { dir, settings, credential, token, place, way } = start;
        let path = dir.join(files::JOURNAL);
        let before: Totals = journal::read(&path)?;
        let bodies = settings.log_bodies.then(|| dir.join(files::BODIES));
        if let Some(bodies) = &bodies {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(bodies)?;
        }
        let client = way.client()?;
        let journal = Journal::open(&path)?;
        let included = credential.is_included();
        journal.write(&Record::Begun { at: now(), included, prices: prices::DATE.to_owned() })?;
        let shared = Arc::new(Shared {
            credential,
            token,
            pause: Pause::new(settings.pause.clone()),
            journal,
            client,
            changed: Notify::new(),
            gate: Mutex::new(Gate::new(settings.limits, before.spent, before.requests)),
            // Numbers of an earlier proxy are not given again.
            ids: AtomicU64::new(before.requests),
            bodies,
            heard: Box::new(heard),
            counts: Counts::default(),
        });
        match place {
            Place::Socket(socket) => {
                // Left by a proxy that was killed.
                if let Err(e) = std::fs::remove_file(socket)
                    && e.kind() != io::ErrorKind::NotFound
                {
                    return Err(e);
                }
                let listener = UnixListener::bind(socket)?;
                std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
                let task = tokio::spawn(async move {
                    loop {
                        match listener.accept().await {
                            Ok((stream, _)) => connection(&shared, stream),
                            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                        }
                    }
                });
                Ok(Self { address: Address::Socket(socket.clone()), task })
            }
            Place::Loopback => {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                let url = format!("http://{}", listener.local_addr()?);
                let task = tokio::spawn(async move {
                    loop {
                        match listener.accept().await {
                            Ok((stream, _)) => {
                                let _ = stream.set_nodelay(true);
                                connection(&shared, stream);
                            }
                            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                        }
                    }
                });
                Ok(Self { address: Address::Url(url), task })
            }
        }
    }

    /// Where the program reaches it.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        if let Address::Socket(socket) = &self.address {
            let _ = std::fs::remove_file(socket);
        }
    }
}

fn connection(shared: &Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let service = service_fn(move |request: Request<Incoming>| {
            let shared = Arc::clone(&shared);
            async move { Ok::<Response<Body>, Infallible>(forward::handle(shared, request).await) }
        });
        let server = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        // A connection that breaks is the program's matter; what was under way on it is written down.
        let _ = server.await;
    });
}
