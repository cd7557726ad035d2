//! Rows of pull requests and lines of the log. Every function works inside a transaction of its caller, so that a
//! change and its line in the log are on disk together or not at all.

use crate::local_db::DbError;
use orch_core::ids::{ProjectKey, Sha, Time};
use orch_ports::Fault;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, params};
use std::path::Path;

/// Where a pull request is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Open, nobody is merging it.
    Open,
    /// A merge was begun: it is open until the base branch contains `intended`.
    Merging(Intent),
    /// Merged as this commit.
    Merged(Sha),
    /// Closed without a merge.
    Closed,
}

/// What a merge is about to do. On disk before the branch moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) expect_head: Sha,
    pub(super) old_base: Sha,
    pub(super) intended: Sha,
}

/// A pull request as it is stored.
#[derive(Clone, Debug)]
pub(super) struct PullRow {
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) head_branch: String,
    pub(super) base_branch: String,
    pub(super) life: Life,
    /// Tip of the branch when a row was last written: what is shown once the branch is gone.
    pub(super) last_head: Sha,
}

/// A line to be logged.
#[derive(Default)]
pub(super) struct Line<'a> {
    pub(super) number: Option<u64>,
    pub(super) effect: &'static str,
    pub(super) detail: &'a str,
    pub(super) head: Option<&'a Sha>,
    pub(super) old_base: Option<&'a Sha>,
    pub(super) new_base: Option<&'a Sha>,
}

const COLUMNS: &str = "number, title, head_branch, base_branch, state, last_head, expect_head, old_base, intended, \
                       merge_commit FROM pull_request WHERE project = ?1";

pub(super) fn read(t: &Transaction<'_>, project: &ProjectKey, number: u64) -> Result<PullRow, DbError> {
    // A number beyond what the file can hold is a pull request that is not there.
    let key = i64::try_from(number).unwrap_or(-1);
    t.query_row(&format!("SELECT {COLUMNS} AND number = ?2"), params![project.as_str(), key], |r| Ok(pull(r)))
        .optional()?
        .unwrap_or_else(|| Err(Fault::gone(format!("no pull request #{number} in project {project}")).into()))
}

/// The open pull request from a branch.
pub(super) fn open_from(t: &Transaction<'_>, project: &ProjectKey, branch: &str) -> Result<Option<PullRow>, DbError> {
    let sql = format!("SELECT {COLUMNS} AND head_branch = ?2 AND state IN ('open', 'merging')");
    t.query_row(&sql, params![project.as_str(), branch], |r| Ok(pull(r))).optional()?.transpose()
}

/// The open ones, newest first.
pub(super) fn open_ones(t: &Transaction<'_>, project: &ProjectKey, most: usize) -> Result<Vec<PullRow>, DbError> {
    let newest = "AND state IN ('open', 'merging') ORDER BY number DESC LIMIT ?2";
    let mut rows = t.prepare(&format!("SELECT {COLUMNS} {newest}"))?;
    let rows = rows.query_map(params![project.as_str(), most as i64], |r| Ok(pull(r)))?;
    rows.map(|row| row.map_err(DbError::from)?).collect()
}

/// Those with a merge begun and not known to have ended.
pub(super) fn merging(t: &Transaction<'_>, project: &ProjectKey) -> Result<Vec<PullRow>, DbError> {
    let mut rows = t.prepare(&format!("SELECT {COLUMNS} AND state = 'merging'"))?;
    let rows = rows.query_map([project.as_str()], |r| Ok(pull(r)))?;
    rows.map(|row| row.map_err(DbError::from)?).collect()
}

/// Number and commit of every merge.
pub(super) fn merged(t: &Transaction<'_>, project: &ProjectKey) -> Result<Vec<(u64, Sha)>, DbError> {
    let mut rows = t.prepare(
        "SELECT number, merge_commit FROM pull_request WHERE project = ?1 AND state = 'merged' ORDER BY number",
    )?;
    let rows =
        rows.query_map([project.as_str()], |r| Ok((r.get::<_, i64>(0)? as u64, Sha::new(r.get::<_, String>(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const LAST_MERGE: &str = "SELECT log.new_base FROM log JOIN pull_request p USING (project, number)
     WHERE log.project IN (SELECT value FROM json_each(?1)) AND p.base_branch = ?2
       AND log.effect = 'merge-done' AND log.new_base IS NOT NULL
     ORDER BY log.seq DESC LIMIT 1";

/// These keys as a query takes a list.
fn list(projects: &[ProjectKey]) -> String {
    serde_json::to_string(projects).unwrap_or_default()
}

/// The newest merge into a branch by any of these projects.
pub(super) fn last_merge(t: &Transaction<'_>, projects: &[ProjectKey], branch: &str) -> Result<Option<Sha>, DbError> {
    let last = t.query_row(LAST_MERGE, params![list(projects), branch], |r| r.get::<_, String>(0)).optional()?;
    Ok(last.map(Sha::new))
}

/// The same out of a file that is only looked at; nothing if it cannot be.
pub(super) fn last_merge_in(file: &Path, projects: &[ProjectKey], branch: &str) -> Option<Sha> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).ok()?;
    let last = connection.query_row(LAST_MERGE, params![list(projects), branch], |r| r.get::<_, String>(0));
    last.ok().map(Sha::new)
}

fn pull(row: &Row<'_>) -> Result<PullRow, DbError> {
    let sha = |column| -> Result<Sha, rusqlite::Error> { Ok(Sha::new(row.get::<_, String>(column)?)) };
    let state: String = row.get(4)?;
    let life = match state.as_str() {
        "open" => Life::Open,
        "merging" => Life::Merging(Intent { expect_head: sha(6)?, old_base: sha(7)?, intended: sha(8)? }),
        "merged" => Life::Merged(sha(9)?),
        "closed" => Life::Closed,
        _ => return Err(Fault::bug(format!("a pull request is in the unknown state {state:?}")).into()),
    };
    Ok(PullRow {
        number: row.get::<_, i64>(0)? as u64,
        title: row.get(1)?,
        head_branch: row.get(2)?,
        base_branch: row.get(3)?,
        life,
        last_head: sha(5)?,
    })
}

/// Opens a pull request and returns its number, which no pull request of the projects on its repository has. The unique
/// index keeps a second one from the same branch out.
pub(super) fn insert(
    t: &Transaction<'_>,
    (project, sharing): (&ProjectKey, &[ProjectKey]),
    (title, body): (&str, &str),
    (head_branch, base_branch): (&str, &str),
    head: &Sha,
    at: Time,
) -> Result<u64, DbError> {
    let number: i64 = t.query_row(
        "SELECT coalesce(max(number), 0) + 1 FROM pull_request WHERE project IN (SELECT value FROM json_each(?1))",
        [list(sharing)],
        |r| r.get(0),
    )?;
    t.execute(
        "INSERT INTO pull_request (project, number, title, body, head_branch, base_branch, state, last_head, opened_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open', ?7, ?8)",
        params![project.as_str(), number, title, body, head_branch, base_branch, head.as_str(), at.0],
    )?;
    let number = number as u64;
    let line =
        Line { number: Some(number), effect: "pull-opened", detail: head_branch, head: Some(head), ..Line::default() };
    log(t, project, &line, at)?;
    Ok(number)
}

/// Closes an open one; a merge that was begun and is known not to have happened is forgotten.
pub(super) fn close(
    t: &Transaction<'_>,
    project: &ProjectKey,
    number: u64,
    head: &Sha,
    at: Time,
) -> Result<(), DbError> {
    let changed = t.execute(
        "UPDATE pull_request SET state = 'closed', last_head = ?3, expect_head = NULL, old_base = NULL, intended = NULL
         WHERE project = ?1 AND number = ?2 AND state IN ('open', 'merging')",
        params![project.as_str(), number as i64, head.as_str()],
    )?;
    if changed == 1 {
        let line = Line { number: Some(number), effect: "pull-closed", head: Some(head), ..Line::default() };
        log(t, project, &line, at)?;
    }
    Ok(())
}

/// Writes what a merge is about to do.
pub(super) fn intend(
    t: &Transaction<'_>,
    project: &ProjectKey,
    number: u64,
    intent: &Intent,
    method: &str,
    at: Time,
) -> Result<(), DbError> {
    let changed = t.execute(
        "UPDATE pull_request SET state = 'merging', last_head = ?3, expect_head = ?3, old_base = ?4, intended = ?5
         WHERE project = ?1 AND number = ?2 AND state IN ('open', 'merging')",
        params![
            project.as_str(),
            number as i64,
            intent.expect_head.as_str(),
            intent.old_base.as_str(),
            intent.intended.as_str()
        ],
    )?;
    if changed != 1 {
        return Err(Fault::bug(format!("pull request #{number} of {project} was not open when its merge began")).into());
    }
    log(t, project, &merge_line(number, "merge-attempted", method, intent), at)
}

/// The merge happened, whatever the row says of it by now. Told once, whoever finds out first: the merge itself or a
/// later read.
pub(super) fn finish(
    t: &Transaction<'_>,
    project: &ProjectKey,
    number: u64,
    intent: &Intent,
    how: &str,
    at: Time,
) -> Result<(), DbError> {
    let changed = t.execute(
        "UPDATE pull_request SET state = 'merged', merge_commit = ?4, last_head = ?3
         WHERE project = ?1 AND number = ?2 AND state IN ('open', 'merging')",
        params![project.as_str(), number as i64, intent.expect_head.as_str(), intent.intended.as_str()],
    )?;
    if changed == 1 {
        log(t, project, &merge_line(number, "merge-done", how, intent), at)?;
    }
    Ok(())
}

/// The merge did not happen and will not: back to open.
pub(super) fn abandon(
    t: &Transaction<'_>,
    project: &ProjectKey,
    number: u64,
    intent: &Intent,
    why: &str,
    at: Time,
) -> Result<(), DbError> {
    let changed = t.execute(
        "UPDATE pull_request SET state = 'open', expect_head = NULL, old_base = NULL, intended = NULL
         WHERE project = ?1 AND number = ?2 AND state = 'merging' AND intended = ?3",
        params![project.as_str(), number as i64, intent.intended.as_str()],
    )?;
    if changed == 1 {
        log(t, project, &merge_line(number, "merge-abandoned", why, intent), at)?;
    }
    Ok(())
}

fn merge_line<'a>(number: u64, effect: &'static str, detail: &'a str, intent: &'a Intent) -> Line<'a> {
    Line {
        number: Some(number),
        effect,
        detail,
        head: Some(&intent.expect_head),
        old_base: Some(&intent.old_base),
        new_base: Some(&intent.intended),
    }
}

/// Appends to the log.
pub(super) fn log(t: &Transaction<'_>, project: &ProjectKey, line: &Line<'_>, at: Time) -> Result<(), DbError> {
    t.execute(
        "INSERT INTO log (project, number, effect, detail, head, old_base, new_base, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            project.as_str(),
            line.number.map(|n| n as i64),
            line.effect,
            line.detail,
            line.head.map(Sha::as_str),
            line.old_base.map(Sha::as_str),
            line.new_base.map(Sha::as_str),
            at.0
        ],
    )?;
    Ok(())
}
