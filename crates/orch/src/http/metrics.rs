//! `/metrics`, in the text format of Prometheus. Counters begin at 0 when the daemon starts.

use super::{AppState, Problem};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use orch_engine::inbound::InboundView;
use std::fmt::Write as _;

/// The version of the format.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A family: its name, its type, what it counts, and what of a source it shows.
type Family = (&'static str, &'static str, &'static str, fn(&InboundView) -> u64);

const INBOUND: &[Family] = &[
    ("orch_inbound_received_total", "counter", "Verified deliveries of webhooks.", |v| v.counts.received),
    ("orch_inbound_refused_total", "counter", "Requests that no secret fits.", |v| v.counts.refused),
    ("orch_inbound_not_set_up_total", "counter", "Requests while there was no secret.", |v| v.counts.not_set_up),
    ("orch_inbound_too_large_total", "counter", "Requests with a body that was too large.", |v| v.counts.too_large),
    ("orch_inbound_duplicate_total", "counter", "Deliveries that were there before.", |v| v.counts.duplicate),
    ("orch_inbound_not_kept_total", "counter", "Deliveries that could not be kept.", |v| v.counts.not_kept),
    ("orch_inbound_silent_total", "counter", "Deliveries about nothing that is looked at.", |v| v.counts.silent),
    ("orch_inbound_unknown_total", "counter", "Deliveries about projects that are not here.", |v| v.counts.unknown),
    ("orch_inbound_looks_total", "counter", "Deliveries that led to a look.", |v| v.counts.looks),
    ("orch_inbound_unresolved", "gauge", "Deliveries that were not resolved yet.", |v| v.unresolved),
];

pub(super) async fn metrics(State(state): State<AppState>) -> Result<impl IntoResponse, Problem> {
    let engine = &state.engine;
    let inbound = engine.inbound().await?;
    let mut text = String::new();
    for (name, kind, help, value) in INBOUND {
        head(&mut text, name, kind, help);
        for view in &inbound {
            let _ = writeln!(text, "{name}{{source=\"{}\"}} {}", view.source, value(view));
        }
    }
    head(&mut text, "orch_fetches_total", "counter", "Fetches of repositories on other machines.");
    let _ = writeln!(text, "orch_fetches_total {}", engine.fetches());
    head(&mut text, "orch_tracker_poll_interval_seconds", "gauge", "How often the tickets of a project are read.");
    for (project, pace) in engine.paces() {
        let _ = writeln!(text, "orch_tracker_poll_interval_seconds{{project=\"{project}\"}} {}", pace.every_ms / 1_000);
    }
    Ok(([(header::CONTENT_TYPE, FORMAT)], text))
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
