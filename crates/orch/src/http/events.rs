//! The journal as it grows, as server-sent events. The journal is the truth: what happens in this process only makes the
//! next look come sooner, so that nobody misses a line that came another way, and whoever lost the connection goes on
//! after the last line they have.

use super::tasks::{find, number};
use super::views::JournalView;
use super::{AppState, Problem};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::stream::{self, Stream};
use orch_core::ids::TaskId;
use orch_engine::StoryLine;
use orch_store::JournalRow;
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How often the journal is looked at when nothing is heard.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often a silent connection shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Rows per look.
const ROWS: u32 = 200;

/// What is wanted.
#[derive(Deserialize)]
pub(super) struct EventsQuery {
    after: Option<String>,
    task: Option<String>,
}

/// A connection.
struct Follower {
    state: AppState,
    task: Option<TaskId>,
    after: i64,
    rows: VecDeque<JournalRow>,
    heard: Receiver<StoryLine>,
    /// Gives the place back when the connection ends.
    _place: OwnedSemaphorePermit,
}

pub(super) async fn events(
    State(state): State<AppState>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Arc::clone(&state.streams).try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", "too many event streams are open")
    })?;
    let task = match &query.task {
        Some(id) => Some(find(&state, id).await?.id),
        None => None,
    };
    // Before the first look: what happens in between is then heard or read, never missed.
    let heard = state.engine.story();
    // A browser that reconnects keeps its first address: the header is newer than the query.
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let after = match (last, number(query.after.as_deref(), "after")?) {
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => state.engine.store().journal_head().await?,
    };
    let follower = Follower { state, task, after, rows: VecDeque::new(), heard, _place: place };
    let lines = stream::unfold(follower, |mut follower| async move {
        let row = follower.next().await;
        Some((Ok(line(&row)), follower))
    });
    Ok(Sse::new(lines).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl Follower {
    async fn next(&mut self) -> JournalRow {
        loop {
            if let Some(row) = self.rows.pop_front() {
                self.after = row.id;
                return row;
            }
            match self.state.engine.store().journal(self.task, self.after, ROWS).await {
                Ok(rows) => self.rows.extend(rows),
                Err(error) => tracing::debug!(%error, "the journal cannot be read now"),
            }
            if self.rows.is_empty() {
                self.listen().await;
            }
        }
    }

    /// Until something is heard, or it is time to look anyway.
    async fn listen(&mut self) {
        let heard = tokio::time::timeout(LOOK_EVERY, self.heard.recv()).await;
        if let Ok(Err(RecvError::Closed)) = heard {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // One look answers all that was heard by now.
        while self.heard.try_recv().is_ok() {}
    }
}

fn line(row: &JournalRow) -> Event {
    let data = serde_json::to_string(&JournalView::from(row)).unwrap_or_else(|_| "{}".into());
    Event::default().event("journal").id(row.id.to_string()).data(data)
}
