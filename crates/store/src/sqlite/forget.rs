//! A person's names leave the database. Every column of text of every table is looked through, so that a table that is
//! added later is not forgotten; only those that are keys, or name something outside, stay as they are.

use super::memory;
use super::sql::{Db, all, one, run};
use crate::forget::{Forget, Forgotten, Redactor};
use crate::memory::Fact;
use orch_core::ids::Actor;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::time::Duration;

/// Columns of text that name no person: work items, places, keys that tell rows apart, other programs' words.
const NOT_NAMES: &[(&str, &str)] = &[
    ("run", "dir"),
    ("task", "item"),
    ("journal", "item"),
    ("inbox", "key"),
    ("job", "exclusive"),
    ("job", "coalesce"),
];

/// How long a reader of an older state is waited for.
const READER_WITHIN: Duration = Duration::from_millis(300);

/// Who did something, or has a number.
pub(super) fn named(c: &Connection) -> Db<Vec<Actor>> {
    let sql = "SELECT DISTINCT actor FROM journal WHERE actor IS NOT NULL UNION SELECT name FROM person WHERE name IS NOT NULL \
               ORDER BY 1";
    all(c, sql, [], |row| Ok(Actor::new(row.get::<_, String>(0)?)))
}

/// Columns of text, by table.
fn columns(c: &Connection) -> Db<Vec<(String, String)>> {
    let sql = "SELECT t.name, p.name FROM pragma_table_list t JOIN pragma_table_info(t.name) p \
               WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND p.type = 'TEXT' AND p.pk = 0 \
               ORDER BY t.name, p.cid";
    let found: Vec<(String, String)> = all(c, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let names = |(table, column): &(String, String)| {
        (table, column) != (&"person".to_owned(), &"name".to_owned())
            && !NOT_NAMES.contains(&(table.as_str(), column.as_str()))
    };
    Ok(found.into_iter().filter(names).collect())
}

/// Makes the redactor a function of SQL for as long as this lives.
struct Functions<'c>(&'c Connection);

impl<'c> Functions<'c> {
    fn of(c: &'c Connection, redactor: &Redactor) -> Db<Self> {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
        let (without, mentioned) = (redactor.clone(), redactor.clone());
        c.create_scalar_function("without_name", 1, flags, move |call| {
            let text = call.get::<Option<String>>(0)?;
            Ok(text.and_then(|text| without.column(&text)))
        })?;
        let (deeds, actors) = (redactor.clone(), redactor.clone());
        c.create_scalar_function("without_actor", 1, flags, move |call| {
            let text = call.get::<Option<String>>(0)?;
            Ok(text.and_then(|text| actors.who(&text)))
        })?;
        c.create_scalar_function("without_deed", 2, flags, move |call| {
            let (text, under) = (call.get::<Option<String>>(0)?, call.get::<Option<String>>(1)?);
            Ok(text.and_then(|text| deeds.deed(&text, &under?)))
        })?;
        c.create_scalar_function("mentions_name", 1, flags, move |call| {
            Ok(call.get::<Option<String>>(0)?.is_some_and(|text| mentioned.mentioned(&text)))
        })?;
        Ok(Self(c))
    }
}

impl Drop for Functions<'_> {
    fn drop(&mut self) {
        for (name, arguments) in [("without_name", 1), ("without_actor", 1), ("without_deed", 2), ("mentions_name", 1)]
        {
            let _ = self.0.remove_function(name, arguments);
        }
    }
}

pub(super) fn forget(c: &Connection, forget: &Forget) -> Db<Forgotten> {
    let redactor = Redactor::new(forget);
    let columns = columns(c)?;
    let mut done = Forgotten::default();
    for name in &forget.names {
        run(c, "UPDATE person SET name = NULL WHERE name = ?1", [name.as_str()])?;
    }
    let functions = Functions::of(c, &redactor)?;
    for column in ["story", "ignored"] {
        let sql = format!(
            "UPDATE journal SET {column} = without_deed({column}, actor) \
             WHERE instr(actor, ':') = 0 AND without_deed({column}, actor) IS NOT NULL"
        );
        c.execute(&sql, [])?;
    }
    for (table, column) in &columns {
        // Not prepared for keeps: nobody may meet the functions later.
        let without = if Redactor::is_who(column) { "without_actor" } else { "without_name" };
        let sql = format!(
            "UPDATE \"{table}\" SET \"{column}\" = {without}(\"{column}\") WHERE {without}(\"{column}\") IS NOT NULL"
        );
        let changed = c.execute(&sql, [])? as u64;
        if 0 < changed {
            *done.rows.entry(table.clone()).or_default() += changed;
        }
    }
    documents(c, &redactor, &mut done)?;
    for (fact, value) in &forget.facts {
        memory::remember(c, fact, value, forget.now)?;
    }
    memory::remember(c, &Fact::ScrubDue, "true", forget.now)?;
    for (table, column) in &columns {
        let sql = format!("SELECT count(*) FROM \"{table}\" WHERE mentions_name(\"{column}\")");
        let left: i64 = c.query_row(&sql, [], |row| row.get(0))?;
        if 0 < left {
            *done.mentions.entry(table.clone()).or_default() += left.unsigned_abs();
        }
    }
    drop(functions);
    Ok(done)
}

/// Documents of tasks that are over. Of an open one, approvals and verdicts rest on what they are byte by byte.
fn documents(c: &Connection, redactor: &Redactor, done: &mut Forgotten) -> Db<()> {
    let mut after = 0_i64;
    loop {
        let sql = "SELECT a.id, a.bytes, t.open FROM artefact a JOIN task t ON t.id = a.task WHERE a.id > ?1 ORDER BY a.id LIMIT 1";
        let next =
            one(c, sql, [after], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, bool>(2)?)))?;
        let Some((id, bytes, open)) = next else { return Ok(()) };
        after = id;
        let Some(text) = std::str::from_utf8(&bytes).ok().and_then(|text| redactor.sentence(text)) else { continue };
        if open {
            done.documents += 1;
            continue;
        }
        let digest = Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        run(c, "UPDATE artefact SET bytes = ?2, sha256 = ?3 WHERE id = ?1", params![id, text.as_bytes(), digest])?;
        *done.rows.entry("artefact".into()).or_default() += 1;
    }
}

/// Writes the file anew, so that what was deleted is not in it, and empties the log beside it. `false`: somebody reads an
/// older state still, and it is due.
pub(super) fn scrub(c: &Connection) -> Db<bool> {
    // What it sorts can be as large as the database.
    c.execute_batch("PRAGMA temp_store = DEFAULT")?;
    let before: i64 = c.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
    c.busy_timeout(READER_WITHIN)?;
    let scrubbed = c
        .execute_batch("VACUUM")
        .and_then(|()| c.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0)));
    c.busy_timeout(Duration::from_millis(before.unsigned_abs()))?;
    c.execute_batch("PRAGMA temp_store = MEMORY")?;
    let scrubbed = scrubbed?;
    if scrubbed {
        memory::forget(c, &Fact::ScrubDue)?;
    }
    Ok(scrubbed)
}

/// Finishes at the start what a process before this one began.
pub(super) fn scrub_if_due(c: &Connection) -> Db<()> {
    if memory::recall(c, &Fact::ScrubDue)?.is_some() {
        scrub(c)?;
    }
    Ok(())
}
