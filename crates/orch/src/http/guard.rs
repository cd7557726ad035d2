//! Who is let in. The server listens on this machine, but every web page the user has open can send requests to it: a
//! page of another site is turned away by its `Origin`, a name that was bent to point here (DNS rebinding) by its
//! `Host`, and everything that changes state needs the token besides. Reading needs no token: whoever reaches the
//! loopback address of this machine may look. Only what shows source code is for the holder of the token.

use super::{AppState, Problem};
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use orch_core::ids::Actor;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// Longest name of a person or key, bytes.
const NAME_MAX: usize = 200;

/// What tokens are compared with. Comparing digests takes the same time wherever two tokens differ first.
#[derive(Clone)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
    fn opens(&self, token: &str) -> bool {
        self.0 == Self::of(token).0
    }
}

/// Who changes something, and under which key.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The person, as the holder of the token names them.
    pub(super) actor: Actor,
    /// `Idempotency-Key`.
    pub(super) key: Option<String>,
}

/// Lets a request in, or says why not.
pub(super) async fn guard(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    match admit(&state, &request) {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {}
        Err(problem) => return problem.into_response(),
    }
    next.run(request).await
}

fn admit(state: &AppState, request: &Request) -> Result<Option<Caller>, Problem> {
    let headers = request.headers();
    // What opens a webhook is its signature, which no page and no name of another server can make.
    if super::inbound::is_webhook(request) {
        return Ok(None);
    }
    let host = match headers.get(header::HOST) {
        Some(value) => value.to_str().unwrap_or_default().to_owned(),
        None => request.uri().authority().map(ToString::to_string).unwrap_or_default(),
    };
    if !ours(state.listen.ip(), &host) {
        let message = format!("`{}` is not a name of this server", host.escape_debug());
        return Err(Problem::new(StatusCode::FORBIDDEN, "host", message).hint(format!(
            "use http://{}",
            crate::cli::client::local_url(state.listen).trim_start_matches("http://")
        )));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(None);
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if from.is_none_or(|from| !from.eq_ignore_ascii_case(&host)) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "origin", "pages of other sites may not change anything"));
        }
    }
    opened(state, headers)?;
    let actor = name(headers, "x-orch-actor")?.unwrap_or_else(|| "local:unknown".to_owned());
    Ok(Some(Caller { actor: Actor::new(actor), key: name(headers, "idempotency-key")? }))
}

/// In front of what shows source code: the token, also for reading.
pub(super) async fn token_needed(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match opened(&state, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Was the token sent along?
fn opened(state: &AppState, headers: &HeaderMap) -> Result<(), Problem> {
    let token = text(headers, "authorization")
        .and_then(|v| v.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let hint = "send `Authorization: Bearer TOKEN`; the token is in the file `token` beside the database";
    match token {
        None => Err(Problem::new(StatusCode::UNAUTHORIZED, "token", "this needs the API token").hint(hint)),
        Some((_, token)) if !state.token.opens(token.trim()) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "token", "that is not the API token").hint(hint))
        }
        Some(_) => Ok(()),
    }
}

/// May a page show source code to this browser? It asks its user for a name and a password, and sends them along with every
/// page from then on; the token is the password. This opens pages alone, never a change.
pub(crate) fn page_opened(state: &AppState, headers: &HeaderMap) -> bool {
    let password = || {
        let (scheme, given) = text(headers, "authorization")?.split_once(' ')?;
        let given = String::from_utf8(base64(given.trim()).filter(|_| scheme.eq_ignore_ascii_case("basic"))?).ok()?;
        Some(given.split_once(':')?.1.trim().to_owned())
    };
    opened(state, headers).is_ok() || password().is_some_and(|password| state.token.opens(&password))
}

/// What base64 stands for.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if 8 <= count {
            count -= 8;
            out.push(((bits >> count) & 0xff) as u8);
        }
    }
    Some(out)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// A header that names something: one short line, or nothing.
fn name(headers: &HeaderMap, header: &'static str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(header) else { return Ok(None) };
    let value = std::str::from_utf8(value.as_bytes()).unwrap_or_default().trim();
    if value.is_empty() || NAME_MAX < value.len() || value.chars().any(char::is_control) {
        return Err(Problem::bad(format!("the header {header} must be one line of 1 to {NAME_MAX} bytes")));
    }
    Ok(Some(value.to_owned()))
}

/// Is this a name of ours? The port does not matter: forwarded ports are ours too. Addresses cannot be bent as names
/// can, so where we listen on all of them, each of them will do.
fn ours(listen: IpAddr, host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || name.ends_with(".localhost") {
        return true;
    }
    name.trim_matches(['[', ']'])
        .parse::<IpAddr>()
        .is_ok_and(|ip| ip.is_loopback() || ip == listen || listen.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_out_of_what_a_browser_sends() {
        assert_eq!(base64("YW5uYTrDvF8/Pg==").unwrap(), "anna:ü_?>".as_bytes());
        assert_eq!(base64("").unwrap(), b"");
        assert_eq!(base64("a b"), None);
    }

    #[test]
    fn only_names_that_cannot_be_bent_are_ours() {
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        for host in ["localhost", "LOCALHOST:8500", "127.0.0.1:8500", "127.0.0.1:9", "[::1]:8500", "orch.localhost"] {
            assert!(ours(here, host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "192.168.1.5", "a@localhost", "127.0.0.1.nip.io", "[::2]"]
        {
            assert!(!ours(here, host), "{host}");
        }
        let all: IpAddr = "0.0.0.0".parse().unwrap();
        assert!(ours(all, "192.168.1.5:8500"));
        assert!(!ours(all, "evil.example:8500"));
    }
}
