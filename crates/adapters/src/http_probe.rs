//! Looking at a running service over HTTP. It decides only who is to blame when there is no answer: a service that
//! refuses, hangs or talks garbage is `Gone`; when we ourselves have no name resolution or no network it is `Transient`
//! and says nothing about the service. It never follows a redirect (a login page must not pass for health), never uses
//! a proxy (a proxy's 502 must not pass for the service's), and never reads more than 64 KiB.

use orch_core::fault_code::FaultCode;
use orch_ports::Fault;
use orch_ports::probe::{Probe, ProbeAnswer};
use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

/// The header a service reports its revision in; the JSON body's `revision` comes second.
const REVISION_HEADER: &str = "x-orch-revision";
/// A body is cut here, in bytes.
const BODY_CAP: usize = 64 * 1024;

/// A probe over HTTP and HTTPS.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    client: reqwest::Client,
}

impl HttpProbe {
    /// Builds the client. Fails (`Permanent`) only if TLS cannot be set up on this machine.
    pub fn new() -> Result<Self, Fault> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // A kept connection would make a restarted service look refused, or an old process look alive.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("orch-probe/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Fault::permanent(format!("set up the http client: {}", chain(&e))))?;
        Ok(Self { client })
    }

    async fn look(&self, url: reqwest::Url) -> Result<ProbeAnswer, Fault> {
        let mut response = self.client.get(url).send().await.map_err(|e| blame(&e))?;
        let status = response.status().as_u16();
        let header = response
            .headers()
            .get(REVISION_HEADER)
            .and_then(|v| v.to_str().ok())
            .map(str::trim)
            .filter(|v| !v.is_empty())
            .map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| blame(&e))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() >= BODY_CAP {
                bytes.truncate(BODY_CAP);
                break;
            }
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let revision = header.or_else(|| revision_in(&body));
        Ok(ProbeAnswer { status, revision, body })
    }
}

#[async_trait::async_trait]
impl Probe for HttpProbe {
    async fn get(&self, url: &str, timeout_ms: u64) -> Result<ProbeAnswer, Fault> {
        let doing = format!("probe {url}");
        let parsed = reqwest::Url::parse(url).map_err(|e| Fault::permanent(format!("{doing}: not a url: {e}")))?;
        let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
            return Err(Fault::permanent(format!("{doing}: the url names no host")));
        };
        let whole = Duration::from_millis(timeout_ms);
        // Resolved on its own first, so that a resolver that hangs is not taken for a service that hangs.
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let resolved = tokio::time::timeout(whole, tokio::net::lookup_host((bare, port))).await;
        match resolved.map(|found| found.map(Iterator::count)) {
            Ok(Ok(1..)) => {}
            Ok(Ok(0)) => return Err(no_address(format!("{doing}: the name {host} has no address"))),
            Ok(Err(e)) => return Err(no_address(format!("{doing}: resolve {host}: {e}"))),
            Err(_) => return Err(no_address(format!("{doing}: resolve {host}: no answer in {timeout_ms} ms"))),
        }
        let slow = || Fault::gone(format!("{doing}: no whole answer in {timeout_ms} ms")).coded(FaultCode::TimedOut);
        let answer = tokio::time::timeout(whole, self.look(parsed)).await.map_err(|_| slow())?;
        answer.map_err(|fault| fault.context(doing))
    }
}

/// This machine does not get to the service: that says nothing about the service.
fn no_address(text: String) -> Fault {
    Fault::transient(text).coded(FaultCode::Unreachable)
}

/// Whose fault a failed request is, by the error at the bottom of the chain.
fn blame(error: &reqwest::Error) -> Fault {
    let text = chain(error);
    if error.is_builder() {
        return Fault::permanent(text);
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut io = None;
    while let Some(e) = cause {
        if let Some(e) = e.downcast_ref::<std::io::Error>() {
            io = Some(e.kind());
        }
        cause = e.source();
    }
    match io {
        Some(
            ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable,
        ) => no_address(text),
        Some(
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof
            | ErrorKind::BrokenPipe
            | ErrorKind::TimedOut,
        ) => Fault::gone(text).coded(FaultCode::Unreachable),
        // rustls reports what it does not like of a certificate this way; looking again shows the same certificate.
        Some(ErrorKind::InvalidData) if error.is_connect() => Fault::permanent(text),
        // Connecting failed for a reason we do not know: that is no knowledge about the service.
        _ if error.is_connect() => Fault::transient(text),
        // There was a connection, and no proper answer came over it.
        _ => Fault::gone(text),
    }
}

/// An error with its causes in one line. `reqwest` alone says "error sending request", which helps nobody.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}

fn revision_in(body: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(body).ok()?;
    let revision = json.get("revision")?.as_str()?.trim();
    (!revision.is_empty()).then(|| revision.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::verdict::FaultKind;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A service that answers every connection with these bytes and closes it; `None` never answers.
    async fn service(answer: impl Into<Option<Vec<u8>>>) -> String {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                match &answer {
                    Some(bytes) => {
                        let _ = socket.write_all(bytes).await;
                        let _ = socket.shutdown().await;
                    }
                    None => held.push(socket),
                }
            }
        });
        url
    }

    fn http(head: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    async fn look(url: &str) -> Result<ProbeAnswer, Fault> {
        HttpProbe::new().unwrap().get(url, 2_000).await
    }

    #[tokio::test]
    async fn the_revision_is_read_from_the_header_before_the_body() {
        let body = r#"{"status":"ok","revision":"from-body"}"#;
        let both = service(http("200 OK\r\nX-Orch-Revision: from-header", body)).await;
        assert_eq!(look(&both).await.unwrap().revision.as_deref(), Some("from-header"));
        let json = service(http("200 OK", body)).await;
        let answer = look(&json).await.unwrap();
        assert_eq!((answer.status, answer.revision.as_deref(), answer.body.as_str()), (200, Some("from-body"), body));
        let bare = service(http("200 OK", "ok")).await;
        assert_eq!(look(&bare).await.unwrap().revision, None, "a bare 200 reports no revision");
    }

    #[tokio::test]
    async fn an_error_page_and_a_redirect_are_answers_and_are_not_followed() {
        let broken = service(http("503 Service Unavailable", "down")).await;
        assert_eq!(look(&broken).await.unwrap().status, 503);
        let fine = service(http("200 OK", "fine")).await;
        let login = service(http(&format!("302 Found\r\nlocation: {fine}"), "")).await;
        assert_eq!(look(&login).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn a_body_is_cut_at_64_kib() {
        let url = service(http("200 OK", &"x".repeat(300_000))).await;
        assert_eq!(look(&url).await.unwrap().body.len(), BODY_CAP);
    }

    #[tokio::test]
    async fn a_refused_port_is_the_service_being_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let fault = look(&url).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Gone, "{fault}");
        assert!(fault.text.contains(&url), "{fault}");
    }

    #[tokio::test]
    async fn a_service_that_hangs_is_gone_whether_before_or_inside_its_answer() {
        let probe = HttpProbe::new().unwrap();
        let silent = service(None).await;
        assert_eq!(probe.get(&silent, 150).await.unwrap_err().kind, FaultKind::Gone);
        let short = service(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf".to_vec())).await;
        assert_eq!(probe.get(&short, 2_000).await.unwrap_err().kind, FaultKind::Gone);
        let garbage = service(Some(b"SSH-2.0-OpenSSH\r\n".to_vec())).await;
        assert_eq!(probe.get(&garbage, 2_000).await.unwrap_err().kind, FaultKind::Gone);
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_says_nothing_about_the_service() {
        // `.invalid` never resolves (RFC 6761).
        let fault = look("http://service.invalid/health").await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Transient, "{fault}");
    }

    #[tokio::test]
    async fn what_is_no_url_is_a_configuration_mistake() {
        for url in ["localhost:8500/health", "not a url", "unix:/run/x"] {
            assert_eq!(look(url).await.unwrap_err().kind, FaultKind::Permanent, "{url}");
        }
    }
}
