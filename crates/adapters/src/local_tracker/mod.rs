//! A tracker in a file of its own: the product's default and at the same time the double that tests run on. It shares
//! nothing with orch's store, so that what orch believes and what happened can differ and be compared. Numbers have no
//! gaps, a change is never hidden by a clock that went back, and nothing happens without a line in the log.

mod again;
mod files;
mod schema;
#[cfg(test)]
mod tests;

use crate::local_db::{DbError, LocalDb};
use orch_core::ids::{Actor, ProjectKey, Time};
use orch_ports::Fault;
use orch_ports::attachment::Attachment;
use orch_ports::clock::Clock;
use orch_ports::tracker::{Comment, Shown, StateGroup, Ticket, TicketState, Tracker};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use std::path::Path;
use std::sync::Arc;

pub use again::TicketAgain;

/// Longest text of a ticket or a comment, in bytes.
const TEXT_CAP: usize = 1024 * 1024;

const TICKET: &str =
    "SELECT number, title, body, state, state_by, updated_at, created_at, key FROM ticket WHERE project = ?1";

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place in the log.
    pub seq: i64,
    /// The ticket it is about.
    pub number: u64,
    /// `ticket-created`, `ticket-made-again`, `text-edited`, `state-set`, `file-attached`, `comment-written` or `comment-replaced`.
    pub effect: String,
    /// The title, the state or the comment's key.
    pub detail: String,
    /// Who did it.
    pub by: Actor,
    /// When.
    pub at: Time,
}

/// The local tracker.
pub struct LocalTracker {
    db: LocalDb,
    clock: Arc<dyn Clock>,
}

impl LocalTracker {
    /// Opens or makes the file. A damaged file, another program's or a newer version's is refused by name.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        Ok(Self { db: LocalDb::open(path, &schema::SCHEMA)?, clock })
    }

    /// What was done in a project, in order.
    pub async fn log(&self, project: &ProjectKey) -> Result<Vec<LogEntry>, Fault> {
        let project = project.clone();
        self.db
            .read("read the tracker's log", move |t| {
                let mut lines =
                    t.prepare("SELECT seq, number, effect, detail, by, at FROM log WHERE project = ?1 ORDER BY seq")?;
                let lines = lines.query_map([project.as_str()], |r| {
                    Ok(LogEntry {
                        seq: r.get(0)?,
                        number: r.get::<_, i64>(1)? as u64,
                        effect: r.get(2)?,
                        detail: r.get(3)?,
                        by: Actor::new(r.get::<_, String>(4)?),
                        at: Time(r.get(5)?),
                    })
                })?;
                Ok(lines.collect::<Result<_, _>>()?)
            })
            .await
    }
}

#[async_trait::async_trait]
impl Tracker for LocalTracker {
    async fn create(
        &self,
        project: &ProjectKey,
        title: &str,
        body: &str,
        by: &Actor,
        key: &str,
        above: u64,
    ) -> Result<Ticket, Fault> {
        let (title, body) = (title_of(title)?, text_of("body", body)?);
        let above = i64::try_from(above).map_err(|_| Fault::bug(format!("no ticket has a number above {above}")))?;
        let (project, by, key, now) = (project.clone(), by.clone(), key.to_owned(), self.clock.now());
        self.db
            .write("create a ticket", move |t| {
                let there: Option<i64> = t
                    .query_row(
                        "SELECT number FROM ticket WHERE project = ?1 AND key = ?2",
                        params![project.as_str(), key],
                        |r| r.get(0),
                    )
                    .optional()?;
                if let Some(number) = there {
                    return read(t, &project, number as u64);
                }
                // Tickets are never deleted, so the highest number plus one leaves no gap. Where orch knows higher ones this
                // file is older than what it knows of, or new.
                let number: i64 = t.query_row(
                    "SELECT max(coalesce(max(number), 0), ?2) + 1 FROM ticket WHERE project = ?1",
                    params![project.as_str(), above],
                    |r| r.get(0),
                )?;
                t.execute(
                    "INSERT INTO ticket (project, number, key, title, body, state, state_by, created_by, created_at,
                     updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9)",
                    params![
                        project.as_str(),
                        number,
                        key,
                        title,
                        body,
                        TicketState::Backlog.as_str(),
                        by.as_str(),
                        now.0,
                        next_time(t, &project, now)?
                    ],
                )?;
                log(t, &project, number as u64, "ticket-created", &title, &by, now)?;
                read(t, &project, number as u64)
            })
            .await
    }

    async fn ticket(&self, project: &ProjectKey, number: u64) -> Result<Ticket, Fault> {
        let project = project.clone();
        self.db.read("read a ticket", move |t| read(t, &project, number)).await
    }

    async fn edit(&self, project: &ProjectKey, number: u64, title: &str, body: &str, by: &Actor) -> Result<(), Fault> {
        let (title, body) = (title_of(title)?, text_of("body", body)?);
        let (project, by, now) = (project.clone(), by.clone(), self.clock.now());
        self.db
            .write("edit a ticket", move |t| {
                let ticket = read(t, &project, number)?;
                if ticket.title != title || ticket.body != body {
                    t.execute(
                        "UPDATE ticket SET title = ?3, body = ?4, updated_at = ?5 WHERE project = ?1 AND number = ?2",
                        params![project.as_str(), number as i64, title, body, next_time(t, &project, now)?],
                    )?;
                    log(t, &project, number, "text-edited", &title, &by, now)?;
                }
                Ok(())
            })
            .await
    }

    async fn changed_since(&self, project: &ProjectKey, since: Time) -> Result<Vec<Ticket>, Fault> {
        let project = project.clone();
        self.db
            .read("poll tickets", move |t| {
                let mut tickets = t.prepare(&format!("{TICKET} AND updated_at >= ?2 ORDER BY updated_at"))?;
                let rows = tickets.query_map(params![project.as_str(), since.0], |r| Ok(ticket(r, &project)))?;
                rows.map(|row| row.map_err(DbError::from)?).collect()
            })
            .await
    }

    async fn set_state(&self, project: &ProjectKey, number: u64, state: TicketState, by: &Actor) -> Result<(), Fault> {
        let (project, by, now) = (project.clone(), by.clone(), self.clock.now());
        self.db
            .write("set a ticket's state", move |t| {
                if read(t, &project, number)?.state == state {
                    return Ok(());
                }
                t.execute(
                    "UPDATE ticket SET state = ?3, state_by = ?4, updated_at = ?5 WHERE project = ?1 AND number = ?2",
                    params![project.as_str(), number as i64, state.as_str(), by.as_str(), next_time(t, &project, now)?],
                )?;
                log(t, &project, number, "state-set", state.as_str(), &by, now)
            })
            .await
    }

    async fn put_comment(&self, project: &ProjectKey, number: u64, key: &str, body: &str) -> Result<(), Fault> {
        let body = text_of("comment", body)?;
        let (project, key, now) = (project.clone(), key.to_owned(), self.clock.now());
        self.db
            .write("comment on a ticket", move |t| {
                read(t, &project, number)?;
                let place = params![project.as_str(), number as i64, key];
                let there: Option<String> = t
                    .query_row("SELECT body FROM comment WHERE project = ?1 AND number = ?2 AND key = ?3", place, |r| {
                        r.get(0)
                    })
                    .optional()?;
                // `updated_at` stays: a comment is no field of the ticket, and orch must not wake itself by it.
                let effect = match there {
                    Some(text) if text == body => return Ok(()),
                    Some(_) => {
                        t.execute(
                            "UPDATE comment SET body = ?4 WHERE project = ?1 AND number = ?2 AND key = ?3",
                            params![project.as_str(), number as i64, key, body],
                        )?;
                        "comment-replaced"
                    }
                    None => {
                        t.execute(
                            "INSERT INTO comment (project, number, key, by, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                            params![project.as_str(), number as i64, key, Actor::orch().as_str(), body, now.0],
                        )?;
                        "comment-written"
                    }
                };
                log(t, &project, number, effect, &key, &Actor::orch(), now)
            })
            .await
    }

    async fn attach(
        &self,
        project: &ProjectKey,
        number: u64,
        name: &str,
        content: &[u8],
        by: &Actor,
    ) -> Result<Attachment, Fault> {
        self.put_file(project, number, name, content, by).await
    }

    async fn attachments(&self, project: &ProjectKey, number: u64) -> Result<Vec<Attachment>, Fault> {
        self.list_files(project, number).await
    }

    async fn attachment(&self, project: &ProjectKey, number: u64, name: &str) -> Result<Vec<u8>, Fault> {
        self.read_file(project, number, name).await
    }

    async fn comments(&self, project: &ProjectKey, number: u64) -> Result<Vec<Comment>, Fault> {
        let project = project.clone();
        self.db
            .read("read comments", move |t| {
                read(t, &project, number)?;
                let mut comments =
                    t.prepare("SELECT key, by, body, at FROM comment WHERE project = ?1 AND number = ?2 ORDER BY seq")?;
                let rows = comments.query_map(params![project.as_str(), number as i64], |r| {
                    Ok(Comment {
                        key: Some(r.get(0)?),
                        by: Actor::new(r.get::<_, String>(1)?),
                        body: r.get(2)?,
                        at: Time(r.get(3)?),
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }
}

fn read(t: &Transaction<'_>, project: &ProjectKey, number: u64) -> Result<Ticket, DbError> {
    // A number beyond what the file can hold is a ticket that is not there.
    let key = i64::try_from(number).unwrap_or(-1);
    t.query_row(&format!("{TICKET} AND number = ?2"), params![project.as_str(), key], |r| Ok(ticket(r, project)))
        .optional()?
        .unwrap_or_else(|| Err(Fault::gone(format!("no ticket {project}-{number}")).into()))
}

fn ticket(row: &Row<'_>, project: &ProjectKey) -> Result<Ticket, DbError> {
    let number = row.get::<_, i64>(0)? as u64;
    let state: String = row.get(3)?;
    let created_at = Time(row.get(6)?);
    Ok(Ticket {
        project: project.clone(),
        number,
        title: row.get(1)?,
        body: row.get(2)?,
        // A state of a later version's is a column that this one does not know.
        state: Shown::of(&state, StateGroup::Started),
        state_by: Some(Actor::new(row.get::<_, String>(4)?)).filter(|by| *by != Actor::unknown()),
        updated_at: Time(row.get(5)?),
        id: id_of(&row.get::<_, String>(7)?, created_at),
        created_at,
    })
}

/// What no other ticket has: numbers begin again with a new file, times and keys do not.
fn id_of(key: &str, created_at: Time) -> String {
    format!("{}/{key}", created_at.0)
}

/// A time later than every change of the project so far. A poller that asks "since the last one I saw" then misses
/// nothing, even if the wall clock was set back.
fn next_time(t: &Transaction<'_>, project: &ProjectKey, now: Time) -> Result<i64, DbError> {
    let last: Option<i64> =
        t.query_row("SELECT max(updated_at) FROM ticket WHERE project = ?1", [project.as_str()], |r| r.get(0))?;
    Ok(last.map_or(now.0, |last| now.0.max(last.saturating_add(1))))
}

fn log(
    t: &Transaction<'_>,
    project: &ProjectKey,
    number: u64,
    effect: &str,
    detail: &str,
    by: &Actor,
    at: Time,
) -> Result<(), DbError> {
    t.execute(
        "INSERT INTO log (project, number, effect, detail, by, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![project.as_str(), number as i64, effect, detail, by.as_str(), at.0],
    )?;
    Ok(())
}

fn title_of(title: &str) -> Result<String, Fault> {
    let title = title.trim();
    if title.is_empty() {
        return Err(Fault::permanent("a ticket needs a title; this one is empty"));
    }
    if title.contains(['\n', '\r']) {
        return Err(Fault::permanent("a ticket's title is one line; put the rest into the body"));
    }
    Ok(title.to_owned())
}

fn text_of(what: &str, text: &str) -> Result<String, Fault> {
    if text.len() > TEXT_CAP {
        return Err(Fault::permanent(format!("a {what} has at most {TEXT_CAP} bytes; this one has {}", text.len())));
    }
    Ok(text.to_owned())
}
