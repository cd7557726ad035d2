//! The daemon. It takes what it needs in an order in which nothing is half-created: the configuration, the addresses,
//! the database, then the rest; and it lets go in the reverse order: no more requests, no more claims, short work done,
//! agents left to their supervisors.

use crate::cli::client::local_url;
use crate::cli::{Context, Exit, Failure, Outcome, serve::ServeArgs};
use crate::config::Config;
use crate::enclosed::{self, Means};
use crate::http::{AppState, router};
use crate::keep::compare;
use crate::listen::{self, LINGER, Limits};
use crate::logging::Log;
use crate::paused;
use crate::reload::Reload;
use crate::stop::stop_signal;
use crate::wire::{self, Process};
use crate::{instance, lost, sites, token};
use orch_adapters::system_clock::SystemClock;
use orch_ports::Fault;
use orch_ports::clock::Clock;
use orch_sandbox::Kind;
use orch_store::sqlite::OpenOptions;
use orch_store::{SqliteStore, StoreClock, StoreError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Longest wait for open requests and short work at the end.
const LAST_ORDERS: Duration = Duration::from_secs(15);

/// Runs the daemon until SIGTERM or SIGINT.
pub fn run(args: &ServeArgs, context: &mut Context<'_>) -> Outcome {
    let config = context.config(args.config.as_deref())?;
    instance::allow(&config)?;
    lost::refuse(&config)?;
    // It reads keys: agents run as the same user, and shall not read its memory.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    logging(context);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot start: {e}")))?;
    let path = context.env.get("PATH").cloned().unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let done = runtime.block_on(serve(&config, path, context));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done.map(|()| Exit::Done)
}

/// Diagnostics go to stderr; `ORCH_LOG` says how much (`info`, `orch=debug`), `ORCH_LOG_FORMAT=json` how.
fn logging(context: &Context<'_>) {
    let wanted = context.env.get("ORCH_LOG").map_or("info", String::as_str);
    let filter =
        tracing_subscriber::EnvFilter::try_new(wanted).unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let json = context.env.get("ORCH_LOG_FORMAT").is_some_and(|f| f == "json");
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Log::stderr(json)).with_ansi(false);
    // Set already: a test runs several daemons in one process.
    let _ = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}

async fn serve(config: &Config, path: String, context: &mut Context<'_>) -> Result<(), Failure> {
    // Whoever has the address may be the one who has the database: then that is what is said.
    let first = |failure: Failure| match SqliteStore::holder(&config.db.path) {
        Some(holder) => store_failure(StoreError::Held { path: config.db.path.clone(), holder }),
        None => failure,
    };
    let listener = bind(config.server.listen, "[server] listen").await.map_err(first)?;
    let mut site_listeners = Vec::new();
    for (name, site) in &config.sites {
        let listener = bind(site.listen, &format!("[sites.{name}] listen")).await.map_err(first)?;
        site_listeners.push((listener, site.dir.clone()));
    }
    let first_start = !config.data_dir().exists();
    let missing: Vec<PathBuf> =
        config.data_dir().ancestors().skip(1).take_while(|dir| !dir.exists()).map(PathBuf::from).collect();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new().map_err(failure)?);
    let since = orch_engine::view::rfc3339(clock.now());
    let here = local_url(listener.local_addr().unwrap_or(config.server.listen));
    let ticks = Arc::clone(&clock);
    let options = OpenOptions {
        holder: format!("orch serve at {here}, since {since}"),
        clock: StoreClock::new(move || ticks.boot().ms),
        ..OpenOptions::default()
    };
    instance::private::close(config)?;
    let store = Arc::new(open_store(config, options).await.map_err(store_failure)?);
    instance::claim(config)?;
    let token = token::ensure(&config.token_file())
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot write {}: {e}", config.token_file().display())))?;
    // An agent runs as this user and can read that file, too.
    orch_ports::masks::know([token.as_str()]);
    let exe = std::env::current_exe()
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot find this program's own file: {e}")))?;
    let scratch_dir = empty_scratch_dir(config)
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot empty {}: {e}", config.scratch_dir().display())))?;
    let found = enclosed::found(config, &path).map_err(failure)?;
    let means = Means { kind: found.kind.clone(), clones: config.worktrees_dir(), exe: exe.clone() };
    let process = Process { exe, path, scratch_dir, clock: Arc::clone(&clock), means };
    let (engine, parts) = match wire::engine(config, store, &process).await {
        Ok(built) => built,
        Err(fault) => {
            if first_start {
                // Nothing of a first start that came to nothing is left; the store above is closed by now.
                let _ = std::fs::remove_dir_all(config.data_dir());
                for dir in &missing {
                    let _ = std::fs::remove_dir(dir);
                }
            }
            return Err(failure(fault));
        }
    };
    // Once more: what a first start has made, git and SQLite made under whatever mask orch was started with.
    instance::private::close(config)?;
    compare::compare(&engine, config).await.map_err(failure)?;
    let own: Vec<&str> = config.projects.iter().map(|p| p.key.as_str()).collect();
    // Nobody is answered before: a store that fails for a moment is waited for, and no reason to end.
    let known = || async {
        engine.know_what_is_halted().await?;
        engine.know_people().await?;
        paused::take_over(&engine, config.data_dir(), &own).await
    };
    engine.until_answered(&CancellationToken::new(), known).await.map_err(failure)?;

    let address = listener.local_addr().unwrap_or(config.server.listen);
    let keys: Vec<&str> = config.projects.iter().map(|p| p.key.as_str()).collect();
    context.say(format!("orch {} serves {}", env!("CARGO_PKG_VERSION"), keys.join(", ")));
    context.say(format!("dashboard {}", local_url(address)));
    context.say(format!("database  {}", config.db.path.display()));
    if let Some(top) = instance::place::working_tree_above(config.data_dir()) {
        tracing::warn!(
            "the state lies in the working tree {}: `git clean` there removes it; drain, stop, and run `orch instance move`",
            top.display()
        );
    }
    if found.kind == Kind::Off {
        let fix = found.fix.map(|fix| format!(": {fix}")).unwrap_or_default();
        tracing::warn!("no sandbox: agents, setups and tests run as the user of orch ({}){fix}", found.detail);
    } else {
        tracing::info!("sandbox: {}", found.detail);
    }
    context.flush();

    let shutdown = CancellationToken::new();
    let stop = stop_signal().map_err(|e| Failure::new(Exit::CannotTell, format!("cannot listen for signals: {e}")))?;
    // Before anybody is answered: who sees that the daemon is there may send it a signal.
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|e| Failure::new(Exit::CannotTell, format!("cannot listen for signals: {e}")))?;
    let mut servers = JoinSet::new();
    let reload = Reload::new(config, context.env.clone(), Arc::clone(&engine), parts);
    let state = AppState::new(Arc::clone(&engine), token, config.db.path.clone(), address);
    let data = config.data_dir().to_owned();
    let state = state.with_left(move |project| paused::end(&data, project));
    let app = router(state.with_reload(Arc::clone(&reload)));
    servers.spawn(listen::serve(listener, app, Limits::default(), shutdown.clone()));
    servers.spawn(Arc::clone(&reload).watch(shutdown.clone()));
    servers.spawn({
        let shutdown = shutdown.clone();
        async move {
            loop {
                tokio::select! {
                    Some(()) = hangup.recv() => {}
                    () = shutdown.cancelled() => return,
                }
                // What came of it is in the log, for whoever sent the signal.
                if let Err(refused) = reload.apply().await {
                    tracing::error!("SIGHUP: {refused}");
                }
            }
        }
    });
    for (listener, dir) in site_listeners {
        servers.spawn(listen::serve(listener, sites::router(dir), Limits::default(), shutdown.clone()));
    }
    let mut work = tokio::spawn({
        let (engine, shutdown) = (Arc::clone(&engine), shutdown.clone());
        async move { engine.run(shutdown).await }
    });
    let ended = tokio::select! {
        why = stop => { tracing::info!("{why}: ending; agents go on under their supervisors"); None }
        ended = &mut work => Some(ended),
    };
    shutdown.cancel();
    let result = match ended {
        Some(Ok(Err(fault))) => Err(failure(fault)),
        Some(Err(error)) => Err(Failure::new(Exit::CannotTell, format!("the engine broke down: {error}"))),
        Some(Ok(Ok(()))) => Err(Failure::new(Exit::CannotTell, "the engine ended by itself")),
        None => {
            if tokio::time::timeout(LAST_ORDERS, &mut work).await.is_err() {
                tracing::warn!("short work did not end in time; the next start takes it up");
                work.abort();
            }
            Ok(())
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), async { while servers.join_next().await.is_some() {} }).await;
    result
}

/// Removes what scanners were working on when a daemon was killed, and nothing that somebody else put there. The store is
/// ours by now, so no other daemon has a scanner at work.
fn empty_scratch_dir(config: &Config) -> std::io::Result<PathBuf> {
    let dir = std::path::absolute(config.scratch_dir())?;
    std::fs::create_dir_all(&dir)?;
    for entry in std::fs::read_dir(&dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("orch-") && entry.file_type()?.is_dir() {
            // A scanner that outlived its daemon may still be writing there; the next start finds what it leaves.
            if let Err(error) = std::fs::remove_dir_all(entry.path()) {
                tracing::warn!("cannot remove {}: {error}", entry.path().display());
            }
        }
    }
    Ok(dir)
}

async fn open_store(config: &Config, options: OpenOptions) -> Result<SqliteStore, StoreError> {
    let began = std::time::Instant::now();
    loop {
        match SqliteStore::open(&config.db.path, options.clone()) {
            Err(StoreError::Held { .. }) if began.elapsed() < LINGER => tokio::time::sleep(LINGER / 20).await,
            opened => return opened,
        }
    }
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    let mut bound = TcpListener::bind(address).await;
    let began = std::time::Instant::now();
    while began.elapsed() < LINGER && bound.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::AddrInUse) {
        tokio::time::sleep(LINGER / 20).await;
        bound = TcpListener::bind(address).await;
    }
    bound.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => {
            Failure::new(Exit::CannotTell, format!("{address} is in use by another program"))
                .hint(format!("stop that program, or set {key} to another address"))
        }
        _ => Failure::new(Exit::CannotTell, format!("cannot listen on {address}: {e}"))
            .hint(format!("set {key} to an address of this machine")),
    })
}

fn store_failure(error: StoreError) -> Failure {
    Failure::new(Exit::CannotTell, error.to_string())
}

fn failure(fault: Fault) -> Failure {
    Failure::new(Exit::CannotTell, fault.text)
}
