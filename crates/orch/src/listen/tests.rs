use super::*;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures::stream;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Socket};
use std::time::Instant;

/// A server on this machine with small limits; its clock is the kernel's, so they are short.
struct Server {
    at: SocketAddr,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

const SMALL: Limits = Limits {
    header: Duration::from_millis(150),
    header_max: 16 * 1024,
    connections: 4,
    last_orders: Duration::from_millis(100),
};

impl Server {
    async fn start(limits: Limits) -> Self {
        let endless = || async {
            let first = stream::once(async { Ok::<_, std::convert::Infallible>(Event::default().data("first")) });
            Sse::new(first.chain(stream::pending())).keep_alive(KeepAlive::new())
        };
        let app = Router::new()
            .route("/livez", get(|| async { "well" }))
            .route("/signed", post(signed))
            .route("/take", post(|body: axum::body::Bytes| async move { body.len().to_string() }))
            .route("/events", get(endless))
            .layer(axum::extract::DefaultBodyLimit::max(2 * 1024 * 1024));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let ended = tokio::spawn(serve(listener, app, limits, shutdown.clone()));
        Self { at, shutdown, ended }
    }

    async fn ask<T: Send + 'static>(&self, ask: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
        let at = self.at;
        tokio::task::spawn_blocking(move || ask(at)).await.unwrap()
    }
}

/// A body that is waited for before anything is known of its sender.
async fn signed(request: axum::extract::Request) -> String {
    let work = request.extensions().get::<AtWork>().cloned().unwrap();
    work.waiting(axum::body::to_bytes(request.into_body(), 1_000)).await.unwrap().len().to_string()
}

fn connect(at: SocketAddr) -> Socket {
    let socket = Socket::connect(at).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1_500))).unwrap();
    socket
}

/// Everything that is said until the other side hangs up; `None`: it does not.
fn rest(socket: &mut Socket) -> Option<String> {
    let mut all = Vec::new();
    match socket.read_to_end(&mut all) {
        Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => None,
        Ok(_) | Err(_) => Some(String::from_utf8_lossy(&all).into_owned()),
    }
}

fn is_well(at: SocketAddr) -> bool {
    let mut socket = connect(at);
    socket.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    rest(&mut socket).is_some_and(|said| said.starts_with("HTTP/1.1 200") && said.ends_with("well"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_a_byte_at_a_time_is_hung_up_on() {
    let server = Server::start(SMALL).await;
    let took = server.ask(|at| {
        let began = Instant::now();
        let silent = std::thread::spawn(move || rest(&mut connect(at)));
        let slow = std::thread::spawn(move || {
            let mut socket = connect(at);
            for byte in b"GET /livez HTTP/1.1\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
                if socket.write_all(&[*byte]).is_err() || Duration::from_secs(1) < began.elapsed() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            rest(&mut socket)
        });
        let idle = std::thread::spawn(move || {
            let mut socket = connect(at);
            socket.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            rest(&mut socket)
        });
        let silent = silent.join().unwrap();
        assert!(silent.is_some() && slow.join().unwrap().is_some());
        assert!(
            idle.join().unwrap().unwrap().starts_with("HTTP/1.1 200"),
            "answered, and then left when it asked no more"
        );
        began.elapsed()
    });
    assert!(took.await < Duration::from_millis(1_400));
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_idle_connections_keeps_nobody_from_being_answered() {
    let limits = Limits { header: Duration::from_mins(1), ..SMALL };
    let server = Server::start(limits).await;
    server
        .ask(|at| {
            let idle: Vec<Socket> = (0..60).map(|_| connect(at)).collect();
            assert!(is_well(at) && is_well(at));
            let mut gone = 0;
            for mut socket in idle {
                socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                gone += usize::from(rest(&mut socket).is_some());
            }
            assert!(55 < gone, "{gone} of 60 had to leave");
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_being_answered_keeps_its_place_and_one_more_is_refused() {
    let server = Server::start(Limits { header: Duration::from_mins(1), ..SMALL }).await;
    let mut followers = server
        .ask(|at| {
            let mut followers: Vec<Socket> = (0..4).map(|_| connect(at)).collect();
            for socket in &mut followers {
                socket.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
                let mut seen = Vec::new();
                while !String::from_utf8_lossy(&seen).contains("first") {
                    let mut piece = [0; 1024];
                    let n = socket.read(&mut piece).unwrap();
                    assert!(0 < n, "it was hung up on");
                    seen.extend_from_slice(&piece[..n]);
                }
            }
            assert_eq!(rest(&mut connect(at)).as_deref(), Some(""), "closed at once");
            followers.pop();
            // The place is free as soon as the server has seen it.
            let began = Instant::now();
            while !is_well(at) {
                assert!(began.elapsed() < Duration::from_secs(1));
            }
            followers
        })
        .await;
    server.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(1), server.ended)
        .await
        .expect("an endless stream holds no end up")
        .unwrap();
    assert!(followers.iter_mut().all(|socket| rest(socket).is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_without_being_read() {
    let server = Server::start(SMALL).await;
    server
        .ask(|at| {
            let mut socket = connect(at);
            let head = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx-large: {}", "a".repeat(1024 * 1024));
            // It is hung up on before all of it was sent.
            let _ = socket.write_all(head.as_bytes());
            let said = rest(&mut socket).unwrap();
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
            let mut socket = connect(at);
            let head = format!("POST /take HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", 1_u64 << 30);
            socket.write_all(head.as_bytes()).unwrap();
            let mut sent = 0;
            let piece = vec![b'x'; 64 * 1024];
            while sent < 1 << 30 && socket.write_all(&piece).is_ok() {
                sent += piece.len();
            }
            assert!(sent < 64 << 20, "{sent} bytes were taken");
            assert!(is_well(at));
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_of_webhooks_lose_their_places_and_keep_nobody_from_being_answered() {
    let server = Server::start(Limits { header: Duration::from_mins(1), ..SMALL }).await;
    server
        .ask(|at| {
            const HEAD: &[u8] = b"POST /signed HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n";
            let deliver = |socket: &mut Socket| {
                socket.write_all(&[HEAD, b"123456789"].concat()).unwrap();
                let mut piece = [0; 1_024];
                let n = socket.read(&mut piece).unwrap();
                let said = String::from_utf8_lossy(&piece[..n]).into_owned();
                assert!(said.starts_with("HTTP/1.1 200") && said.ends_with('9'), "{said}");
            };
            // One who delivers now and then over a connection of its own, and many who never come to their end.
            let mut good = connect(at);
            deliver(&mut good);
            let mut slow = Vec::new();
            for _ in 0..40 {
                let mut socket = connect(at);
                // Whoever was answered has its place: the server is not behind with those who come.
                socket.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
                let n = socket.read(&mut [0; 1_024]).unwrap();
                assert!(0 < n, "it was not answered");
                socket.write_all(&[HEAD, b"1"].concat()).unwrap();
                slow.push(socket);
                deliver(&mut good);
            }
            assert!(is_well(at));
            let mut gone = 0;
            for socket in &mut slow {
                socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                gone += usize::from(rest(socket).is_some());
            }
            assert!(35 < gone, "{gone} of 40 had to leave");
        })
        .await;
}
