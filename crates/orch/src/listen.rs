//! Connections, before any request is read. Decides how many there may be and how long each may take to say what it wants,
//! so that whoever opens many and says nothing takes neither the daemon's file descriptors nor its memory, and keeps nobody
//! from being answered.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use futures::StreamExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::MapRequestLayer;

/// What a killed daemon held may live this much longer: a program it was just starting holds copies of its sockets and
/// locks until it has become that program.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// What one listener gives.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time from a connection, or from its last answer, to the end of the next request's header.
    pub header: Duration,
    /// Most bytes of a header.
    pub header_max: usize,
    /// Most connections at the same time. One more takes the place of the oldest that has nothing under way.
    pub connections: usize,
    /// What is under way at the end may take this long.
    pub last_orders: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        // The engine needs most of them: git, supervisors, databases.
        let share = usize::try_from(descriptors.unwrap_or(4096) / 4).unwrap_or(usize::MAX);
        Self {
            header: Duration::from_secs(10),
            header_max: 64 * 1024,
            connections: share.clamp(16, 512),
            last_orders: Duration::from_secs(1),
        }
    }
}

/// A connection as the others see it.
struct Seat {
    work: AtWork,
    leave: CancellationToken,
}

/// What is under way on a connection.
#[derive(Clone)]
pub(crate) struct AtWork {
    /// Requests and streams of events under way.
    busy: Arc<AtomicUsize>,
    /// Number of the newest thing that was: connections, and answers on them.
    last: Arc<AtomicU64>,
}

impl AtWork {
    /// Waits for something of the other side: while that lasts, the connection has nothing under way and may lose its place.
    pub(crate) async fn waiting<T>(&self, other: impl Future<Output = T>) -> T {
        struct Back<'b>(&'b AtomicUsize);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.busy.fetch_sub(1, Ordering::Relaxed);
        let _back = Back(&self.busy);
        other.await
    }
}

/// Numbers of what came last.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The connections there are, oldest first.
#[derive(Default)]
struct Seats {
    taken: BTreeMap<u64, Seat>,
    next: u64,
}

impl Seats {
    /// Takes a place; where there is none, from the one without anything under way that was answered, or came, the longest
    /// ago. `None`: all have something under way.
    fn take(&mut self, most: usize) -> Option<(u64, AtWork, CancellationToken)> {
        if most <= self.taken.len() {
            let idle = self.taken.iter().filter(|(_, seat)| seat.work.busy.load(Ordering::Relaxed) == 0);
            let idle = idle.min_by_key(|(_, seat)| seat.work.last.load(Ordering::Relaxed)).map(|(n, _)| *n)?;
            if let Some(seat) = self.taken.remove(&idle) {
                seat.leave.cancel();
            }
        }
        let (number, leave) = (self.next, CancellationToken::new());
        let work =
            AtWork { busy: Arc::default(), last: Arc::new(AtomicU64::new(NEXT.fetch_add(1, Ordering::Relaxed))) };
        self.next += 1;
        self.taken.insert(number, Seat { work: work.clone(), leave: leave.clone() });
        Some((number, work, leave))
    }
}

/// Something is under way until this is dropped.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers until `shutdown`; then what is under way has a moment to end.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, shutdown: CancellationToken) {
    let seats = Arc::new(Mutex::new(Seats::default()));
    let open = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Of a connection that was gone before it was taken nothing is to be said.
                    if !is_of_the_connection(&error) {
                        tracing::error!(%error, "cannot take a connection");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    continue;
                }
            },
            () = shutdown.cancelled() => break,
        };
        let place = seats.lock().unwrap_or_else(PoisonError::into_inner).take(limits.connections);
        // Closed unanswered: every place belongs to one that is being answered.
        let Some((number, work, leave)) = place else { continue };
        let (app, seats, shutdown) = (app.clone(), Arc::clone(&seats), shutdown.clone());
        open.spawn(async move {
            connection(stream, app, limits, work, &leave, &shutdown).await;
            seats.lock().unwrap_or_else(PoisonError::into_inner).taken.remove(&number);
        });
    }
    drop(listener);
    open.close();
    // Followers of logs and events never hang up by themselves: they get a moment, then the connection ends.
    if tokio::time::timeout(limits.last_orders, open.wait()).await.is_err() {
        for seat in seats.lock().unwrap_or_else(PoisonError::into_inner).taken.values() {
            seat.leave.cancel();
        }
        open.wait().await;
    }
}

async fn connection(
    stream: TcpStream,
    app: Router,
    limits: Limits,
    work: AtWork,
    leave: &CancellationToken,
    shutdown: &CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let app = tower::Layer::layer(&MapRequestLayer::new(|request: Request<Incoming>| request.map(Body::new)), app);
    let service = TowerToHyperService::new(tower::service_fn(move |mut request: Request<Incoming>| {
        let (app, at_work) = (app.clone(), Busy::new(&work.busy));
        let work = work.clone();
        request.extensions_mut().insert(work.clone());
        async move {
            let answer = tower::ServiceExt::oneshot(app, request).await;
            work.last.store(NEXT.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
            drop(at_work);
            answer.map(|answer| held(answer, &work.busy))
        }
    }));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(limits.header_max);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let mut ending = false;
    loop {
        tokio::select! {
            // How a connection ends is the other side's business: it hung up, was too slow, or spoke something else.
            _ = serving.as_mut() => return,
            () = leave.cancelled() => return,
            () = shutdown.cancelled(), if !ending => {
                ending = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

/// A stream of events is at work until it ends, and its connection keeps its place.
fn held(answer: Response, busy: &Arc<AtomicUsize>) -> Response {
    let events = HeaderValue::from_static("text/event-stream");
    if answer.headers().get(header::CONTENT_TYPE) != Some(&events) {
        return answer;
    }
    let at_work = Busy::new(busy);
    answer.map(|body| {
        Body::from_stream(body.into_data_stream().inspect(move |_| {
            let _ = &at_work;
        }))
    })
}

fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests;
