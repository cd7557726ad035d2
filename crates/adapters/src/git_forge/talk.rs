//! Rows of what is said about commits and pull requests: statuses, reviews, comments. The newest word of a context or a
//! person counts, by order of arrival: the clock of whoever reports is not trusted to order anything.

use super::pulls::{self, Line};
use crate::local_db::DbError;
use orch_core::ids::{Actor, ProjectKey, Sha, Time};
use orch_core::people;
use orch_ports::Fault;
use orch_ports::forge::{CommitStatus, Review, StatusState};
use rusqlite::{OptionalExtension, Transaction, params};

const STATES: [StatusState; 5] =
    [StatusState::Pending, StatusState::Success, StatusState::Failure, StatusState::Error, StatusState::Skipped];

fn name_of(state: StatusState) -> &'static str {
    match state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failure",
        StatusState::Error => "error",
        StatusState::Skipped => "skipped",
    }
}

pub(super) fn set_status(
    t: &Transaction<'_>,
    project: &ProjectKey,
    commit: &Sha,
    status: &CommitStatus,
    at: Time,
) -> Result<(), DbError> {
    let name = name_of(status.state);
    t.execute(
        "INSERT INTO status (project, commit_id, context, state, description, url, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![project.as_str(), commit.as_str(), status.context, name, status.description, status.url, status.at.0],
    )?;
    let detail = format!("{}: {name}", status.context);
    pulls::log(t, project, &Line { effect: "status-set", detail: &detail, head: Some(commit), ..Line::default() }, at)
}

pub(super) fn statuses(t: &Transaction<'_>, project: &ProjectKey, commit: &Sha) -> Result<Vec<CommitStatus>, DbError> {
    let mut rows = t.prepare(
        "SELECT context, state, description, url, at FROM status WHERE seq IN
         (SELECT max(seq) FROM status WHERE project = ?1 AND commit_id = ?2 GROUP BY context) ORDER BY context",
    )?;
    let rows = rows.query_map(params![project.as_str(), commit.as_str()], |r| {
        let name: String = r.get(1)?;
        let state = STATES.into_iter().find(|state| name_of(*state) == name);
        let (context, description, url, at) = (r.get(0)?, r.get(2)?, r.get(3)?, Time(r.get(4)?));
        Ok(state.map(|state| CommitStatus { context, state, description, url, at }))
    })?;
    let known = |status: Option<CommitStatus>| {
        status.ok_or_else(|| Fault::bug(format!("a status of {commit} has an unknown state")).into())
    };
    rows.map(|row| known(row?)).collect()
}

pub(super) fn submit_review(
    t: &Transaction<'_>,
    project: &ProjectKey,
    number: u64,
    review: &Review,
    at: Time,
) -> Result<(), DbError> {
    pulls::read(t, project, number)?;
    t.execute(
        "INSERT INTO review (project, number, by, approved, commit_id, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            project.as_str(),
            number as i64,
            review.by.as_str(),
            review.approved,
            review.commit.as_str(),
            review.body,
            review.at.0
        ],
    )?;
    let detail = format!("{}: {}", review.by, if review.approved { "approved" } else { "changes requested" });
    let line = Line {
        number: Some(number),
        effect: "review-submitted",
        detail: &detail,
        head: Some(&review.commit),
        ..Line::default()
    };
    pulls::log(t, project, &line, at)
}

/// The newest of each person. `official` is decided now, by `members`: membership is configuration, not history.
pub(super) fn reviews(
    t: &Transaction<'_>,
    project: &ProjectKey,
    number: u64,
    members: &[Actor],
) -> Result<Vec<Review>, DbError> {
    pulls::read(t, project, number)?;
    let mut rows = t.prepare(
        "SELECT by, approved, commit_id, body, at FROM review WHERE seq IN
         (SELECT max(seq) FROM review WHERE project = ?1 AND number = ?2 GROUP BY by) ORDER BY seq",
    )?;
    let rows = rows.query_map(params![project.as_str(), number as i64], |r| {
        let by = Actor::new(r.get::<_, String>(0)?);
        Ok(Review {
            official: people::listed(&[], members, &by),
            by,
            approved: r.get(1)?,
            commit: Sha::new(r.get::<_, String>(2)?),
            body: r.get(3)?,
            at: Time(r.get(4)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn put_comment(
    t: &Transaction<'_>,
    project: &ProjectKey,
    number: u64,
    (key, body): (&str, &str),
    at: Time,
) -> Result<(), DbError> {
    pulls::read(t, project, number)?;
    let there: Option<String> = t
        .query_row(
            "SELECT body FROM comment WHERE project = ?1 AND number = ?2 AND key = ?3",
            params![project.as_str(), number as i64, key],
            |r| r.get(0),
        )
        .optional()?;
    let effect = match there {
        Some(text) if text == body => return Ok(()),
        Some(_) => "comment-replaced",
        None => "comment-written",
    };
    t.execute(
        "INSERT INTO comment (project, number, key, body, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (project, number, key) DO UPDATE SET body = excluded.body",
        params![project.as_str(), number as i64, key, body, at.0],
    )?;
    pulls::log(t, project, &Line { number: Some(number), effect, detail: key, ..Line::default() }, at)
}

/// Keys and texts, oldest first.
pub(super) fn comments(
    t: &Transaction<'_>,
    project: &ProjectKey,
    number: u64,
) -> Result<Vec<(String, String)>, DbError> {
    pulls::read(t, project, number)?;
    let mut rows = t.prepare("SELECT key, body FROM comment WHERE project = ?1 AND number = ?2 ORDER BY seq")?;
    let rows = rows.query_map(params![project.as_str(), number as i64], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
