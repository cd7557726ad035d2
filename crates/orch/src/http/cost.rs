//! What agents have cost, added up.

use super::queue::known;
use super::tasks::number;
use super::{AppState, Problem};
use axum::Json;
use axum::extract::{Query, State};
use orch_engine::view::{CostBy, rfc3339};
use serde::Deserialize;
use serde_json::{Value, json};

/// Days that are added up where nothing else is asked for.
const DAYS: i64 = 30;
/// Most days that can be asked for.
const DAYS_MAX: i64 = 36_500;
const DAY_MS: i64 = 86_400_000;

/// What is asked for.
#[derive(Deserialize)]
pub(super) struct CostQuery {
    by: Option<String>,
    project: Option<String>,
    days: Option<String>,
}

pub(super) async fn cost(
    State(state): State<AppState>,
    Query(query): Query<CostQuery>,
) -> Result<Json<Value>, Problem> {
    let by = query.by.as_deref().unwrap_or("task");
    let words = || CostBy::ALL.iter().map(|by| by.as_str()).collect::<Vec<_>>().join(", ");
    let by = CostBy::ALL.iter().copied().find(|known| known.as_str() == by);
    let by = by.ok_or_else(|| Problem::bad(format!("`by` is one of {}", words())))?;
    let project = query.project.map(|key| known(&state, &key)).transpose()?;
    let days = number(query.days.as_deref(), "days")?.unwrap_or(DAYS).clamp(1, DAYS_MAX);
    let from = state.engine.clock().now().plus_ms(-days * DAY_MS);
    let (rows, total) = state.engine.cost(by, project.as_ref(), from).await?;
    Ok(Json(json!({ "by": by.as_str(), "from": rfc3339(from), "project": project, "rows": rows, "total": total })))
}
