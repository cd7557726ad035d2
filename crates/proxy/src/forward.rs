//! One request: through the checks, to the service, and its response back as it comes. Nothing of a body is held back but the
//! piece with which a response ends, until that end is written down.

use crate::asked::{Asked, with_usage};
use crate::journal::Record;
use crate::routes::{Api, Service, model_in_path, route};
use crate::shared::{Shared, now};
use crate::ticket::{Refusal, Ticket, admit};
use crate::usage::{Reader, Tokens};
use crate::waits;
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use std::io;
use std::sync::Arc;

/// Largest request, bytes. Anthropic takes 32 MB, Google Cloud 30 MB, Bedrock 20 MB.
const LARGEST: usize = 64 * 1024 * 1024;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Headers of one connection, and those that the proxy says itself.
const OWN: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
    // What is compressed cannot be counted.
    "accept-encoding",
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "cookie",
];

/// Answers one request.
pub(crate) async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let service = shared.credential.service;
    let path = request.uri().path();
    let is_ours =
        |api: &Api| *api == Api::Probe || shared.credential.below.as_ref().is_none_or(|b| path.starts_with(b));
    let api = route(service, request.method().as_str(), path).filter(is_ours);
    match tokens(&shared, request.headers()) {
        Given::Own => {}
        Given::Nothing if api == Some(Api::Probe) => {}
        Given::Nothing => return refuse(service, 401, "authentication_error", "orch: the token of the run is missing"),
        Given::Other => {
            shared.alarm(&format!(
                "a request to {} came with a token that is not this run's: somebody's key was sent here",
                path_shown(request.uri().path())
            ));
            return refuse(service, 401, "authentication_error", "orch: this is not the token of the run");
        }
    }
    match api {
        Some(Api::Probe) => Response::new(Full::new(Bytes::new()).map_err(|e| match e {}).boxed_unsync()),
        Some(api) => forward(shared, request, api).await,
        None => {
            shared.note(&format!(
                "{} {} was refused: no route of a model",
                request.method(),
                path_shown(request.uri().path())
            ));
            refuse(service, 403, "permission_error", "orch: only the routes of the model are open")
        }
    }
}

/// A path in a text for people: whatever it holds, it is short.
fn path_shown(path: &str) -> String {
    path.chars().filter(char::is_ascii_graphic).take(100).collect()
}

enum Given {
    Own,
    Nothing,
    Other,
}

/// Every token of a request has to be the run's.
fn tokens(shared: &Shared, headers: &HeaderMap) -> Given {
    let mut found = Given::Nothing;
    for name in ["x-api-key", "authorization", "x-goog-api-key", "proxy-authorization"] {
        for value in headers.get_all(name) {
            let text = value.to_str().unwrap_or_default();
            let is_bearer = text.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("bearer "));
            let token = if is_bearer { text[7..].trim() } else { text.trim() };
            if !shared.token.is(token) {
                return Given::Other;
            }
            found = Given::Own;
        }
    }
    found
}

/// An error in the words of the service's own protocol.
fn refuse(service: Service, status: u16, kind: &str, text: &str) -> Response<Body> {
    let body = match service {
        Service::OpenAi => json!({"error": {"message": text, "type": kind, "param": null, "code": kind}}),
        Service::Anthropic | Service::Vertex => json!({"type": "error", "error": {"type": kind, "message": text}}),
        Service::Bedrock => json!({"message": text}),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).map_err(|e| match e {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn forward(shared: Arc<Shared>, request: Request<Incoming>, api: Api) -> Response<Body> {
    let service = shared.credential.service;
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST).collect().await else {
        return refuse(service, 413, "request_too_large", "orch: the request is too large, or broke off");
    };
    let body = with_usage(api, body.to_bytes().into());
    let path = head.uri.path();
    let regional = shared.credential.regional && !path.contains("/global.");
    let ticket = if api.is_counted() {
        let asked = match Asked::read(&body, model_in_path(service, path), regional) {
            Ok(asked) => asked,
            Err(why) => return refuse(service, 400, "invalid_request_error", &format!("orch: {why}")),
        };
        match admit(&shared, asked).await {
            Ok(ticket) => Some(ticket),
            Err(Refusal::Spent(why)) => return refuse(service, 402, "billing_error", &format!("orch: {why}")),
            Err(Refusal::Unwritten(e)) => {
                shared.note(&format!("a request was refused, because it could not be written down: {e}"));
                return refuse(service, 500, "api_error", "orch: what is used cannot be written down");
            }
        }
    } else {
        shared.pause.is_over().await;
        None
    };
    shared.keep_body(ticket.as_ref().map(|t| t.id), "request", &body);
    let target = head.uri.path_and_query().map_or(path, |both| both.as_str());
    let url = format!("{}{target}", shared.credential.base);
    let mut headers = passed(&head.headers);
    let beta = head.headers.get("anthropic-beta").and_then(|v| v.to_str().ok());
    for (name, value) in shared.credential.headers(beta) {
        let Ok(mut value) = HeaderValue::from_str(&value) else { continue };
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static(name), value);
    }
    // What was asked is on disk before anything of the answer is passed on; both take their time at once.
    let sent = shared.client.post(url).headers(headers).body(body).send();
    let synced = async { if ticket.is_some() { shared.journal.sync().await } else { Ok(()) } };
    let (sent, synced) = tokio::join!(sent, synced);
    if let Err(e) = synced {
        shared.note(&format!("the journal of the run cannot be brought to disk: {e}"));
    }
    match sent {
        Ok(response) => answer(shared, response, api, ticket),
        Err(e) => {
            let reached = !e.is_connect() && !e.is_builder();
            let why = e.without_url().to_string();
            if let Some(mut ticket) = ticket {
                ticket.over(0, reached.then(|| format!("no answer: {why}")), Tokens::default());
            }
            refuse(service, 502, "api_error", &format!("orch: the service could not be reached: {why}"))
        }
    }
}

/// Headers that are passed on.
fn passed(from: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = from
        .get_all("connection")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let goes_on = |name: &HeaderName| !OWN.contains(&name.as_str()) && !named.iter().any(|n| n == name.as_str());
    from.iter().filter(|(name, _)| goes_on(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The response as it comes.
fn answer(shared: Arc<Shared>, response: reqwest::Response, api: Api, mut ticket: Option<Ticket>) -> Response<Body> {
    let status = response.status();
    if !status.is_success()
        && let Some(mut ticket) = ticket.take()
    {
        // A refusal costs nothing.
        ticket.over(status.as_u16(), None, Tokens::default());
    }
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(ToOwned::to_owned);
    if let Some(until) = waits::until(status.as_u16(), now(), header) {
        let all = response.headers().iter().filter_map(|(n, v)| Some((n.as_str(), v.to_str().ok()?)));
        let record = Record::Wait { at: now(), until, status: status.as_u16(), quota: waits::quota(all) };
        let _ = shared.journal.write(&record);
    }
    let kind = header("content-type").unwrap_or_default();
    let mut down = Response::new(());
    *down.status_mut() = status;
    *down.headers_mut() = passed(response.headers());
    // Only where every byte passes as it is.
    if let Some(length) = response.headers().get("content-length") {
        down.headers_mut().insert("content-length", length.clone());
    }
    let id = ticket.as_ref().map(|t| t.id);
    let pieces = Pieces {
        reader: Reader::new(api, &kind),
        status: status.as_u16(),
        shared,
        id,
        ticket,
        left: response.content_length(),
        from: response.bytes_stream().boxed(),
        is_over: false,
    };
    let pieces = futures::stream::unfold(pieces, |mut pieces| async move {
        let next = pieces.next().await?;
        Some((next.map(Frame::data), pieces))
    });
    down.map(|()| StreamBody::new(pieces).boxed_unsync())
}

struct Pieces {
    shared: Arc<Shared>,
    reader: Reader,
    status: u16,
    id: Option<u64>,
    ticket: Option<Ticket>,
    /// Bytes to come, if that was said. Behind the last one nobody asks for more.
    left: Option<u64>,
    from: futures::stream::BoxStream<'static, reqwest::Result<Bytes>>,
    is_over: bool,
}

impl Pieces {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.is_over {
            return None;
        }
        match self.from.next().await {
            Some(Ok(piece)) => {
                self.shared.keep_body(self.id, "response", &piece);
                if self.ticket.is_some() {
                    self.reader.feed(&piece);
                    self.look().await;
                }
                self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                if self.left == Some(0) {
                    self.end().await;
                }
                Some(Ok(piece))
            }
            Some(Err(e)) => {
                self.is_over = true;
                let why = e.without_url().to_string();
                if let Some(mut ticket) = self.ticket.take() {
                    ticket.over(self.status, Some(format!("the answer broke off: {why}")), Tokens::default());
                }
                sync(&self.shared).await;
                Some(Err(io::Error::other(why)))
            }
            None => {
                self.is_over = true;
                self.end().await;
                None
            }
        }
    }

    /// All of it has come.
    async fn end(&mut self) {
        self.reader.finish();
        self.look().await;
        if let Some(mut ticket) = self.ticket.take() {
            ticket.over(self.status, Some("the answer does not say what it used".into()), Tokens::default());
            sync(&self.shared).await;
        }
    }

    /// Once the response has said all that it used, that is on disk before its end is passed on.
    async fn look(&mut self) {
        let seen = self.reader.seen();
        let Some(ticket) = &mut self.ticket else { return };
        ticket.hear(seen);
        if seen.whole {
            let tokens = seen.tokens;
            ticket.over(self.status, None, tokens);
            self.ticket = None;
            sync(&self.shared).await;
        }
    }
}

async fn sync(shared: &Shared) {
    if let Err(e) = shared.journal.sync().await {
        shared.note(&format!("the journal of the run cannot be brought to disk: {e}"));
    }
}
