//! Webhooks of Plane. Facts as measured on Community Edition 1.3.1: `X-Plane-Signature` is the HMAC-SHA256 of the raw body
//! as lower-case hexadecimal digits; `X-Plane-Delivery` is another one at each try, so that only the body tells a repeated
//! delivery; one change is one delivery per field, in any order; an answer of any kind is final, also 500; deleting and
//! archiving send nothing; what orch writes itself comes back.

use crate::payload::{at, header, json};
use crate::signed::is_signed;
use orch_ports::Secret;
use orch_ports::inbound::{About, Delivery, Headers, Signal, Webhook};
use serde_json::Value;

/// Its name as a source.
pub const SOURCE: &str = "plane";

/// Webhooks of Plane, verified with any of these secrets.
#[derive(Debug, Default)]
pub struct PlaneHook {
    secrets: Vec<Secret>,
}

impl PlaneHook {
    /// With the secrets that are valid now.
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self { secrets }
    }
}

impl Webhook for PlaneHook {
    fn source(&self) -> &'static str {
        SOURCE
    }
    fn has_secret(&self) -> bool {
        !self.secrets.is_empty()
    }
    fn is_genuine(&self, headers: Headers<'_>, body: &[u8]) -> bool {
        is_signed(&self.secrets, body, headers("x-plane-signature"))
    }

    fn read(&self, headers: Headers<'_>, body: &[u8]) -> Delivery {
        let said = json(body);
        let event = header(headers, "x-plane-event").or_else(|| at(&said, &["event"])).unwrap_or_default();
        Delivery {
            about: about(&event, &said),
            action: at(&said, &["action"]),
            // It is another one at each try of the same delivery.
            sent_as: header(headers, "x-plane-delivery"),
            actor: at(&said, &["activity", "actor", "id"]),
            field: at(&said, &["activity", "field"]),
            event,
        }
    }

    fn signals(&self, delivery: &Delivery) -> Vec<Signal> {
        let About { project, ticket, comment, .. } = &delivery.about;
        let (Some(project), Some(ticket)) = (project, ticket) else { return Vec::new() };
        let project = format!("{SOURCE}:{project}");
        vec![Signal::Ticket { project, ticket: ticket.clone(), comment: comment.clone() }]
    }
}

/// What an event is about. A hook is the whole workspace's: which project is meant stands in the data alone.
fn about(event: &str, said: &Value) -> About {
    let data = said.get("data").unwrap_or(&Value::Null);
    let mut about = About { project: at(data, &["project"]), ..About::default() };
    match event {
        "issue" => about.ticket = at(data, &["id"]),
        "issue_comment" => {
            about.ticket = at(data, &["issue"]);
            about.comment = at(data, &["id"]);
        }
        "project" => about.project = at(data, &["id"]),
        _ => {}
    }
    about
}
