//! Deliveries of webhooks: what arrived, once each, until it was resolved. A delivery belongs to no task; which tasks it
//! concerns is found out later.

use super::sql::{Db, all, json, one, parse, run};
use crate::rows::{DeliveryRow, DeliverySource, NewDelivery};
use orch_core::ids::Time;
use rusqlite::{Connection, params};

/// Deliveries that were not resolved.
pub(super) const OPEN: &str = "SELECT id, source, about, at FROM delivery WHERE done_at IS NULL ORDER BY id LIMIT ?1";

/// `None`: the same body, or one that was sent under the same name, was there before.
pub(super) fn put(c: &Connection, new: &NewDelivery) -> Db<Option<i64>> {
    let NewDelivery { source, digest, delivery, body, at } = new;
    let sql = "INSERT INTO delivery (source, digest, sent_as, event, about, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT DO NOTHING RETURNING id";
    let values = params![source, digest, delivery.sent_as, delivery.event, json(delivery)?, at.0];
    let id: Option<i64> = one(c, sql, values, |row| Ok(row.get(0)?))?;
    if let (Some(id), Some(body)) = (id, body) {
        run(c, "INSERT INTO delivery_body (id, at, body) VALUES (?1, ?2, ?3)", params![id, at.0, body])?;
    }
    Ok(id)
}

pub(super) fn open(c: &Connection, limit: u32) -> Db<Vec<DeliveryRow>> {
    all(c, OPEN, [limit], |row| {
        Ok(DeliveryRow {
            id: row.get(0)?,
            source: row.get(1)?,
            delivery: parse("delivery", &row.get::<_, String>(2)?)?,
            at: Time(row.get(3)?),
        })
    })
}

/// Ticks off what is open, each with what became of it.
pub(super) fn end(c: &Connection, ended: &[(i64, Option<String>)], now: Time) -> Db<()> {
    let sql = "UPDATE delivery SET done_at = ?2, note = ?3 WHERE id = ?1 AND done_at IS NULL";
    for (id, note) in ended {
        run(c, sql, params![id, now.0, note])?;
    }
    Ok(())
}

/// How each of these sources stands.
pub(super) fn sources(c: &Connection, sources: &[String]) -> Db<Vec<DeliverySource>> {
    let mut found = Vec::new();
    for source in sources {
        let open = "SELECT count(*), min(at) FROM delivery WHERE done_at IS NULL AND source = ?1";
        let counted = one(c, open, [source], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        let (open, oldest) = counted.unwrap_or_default();
        // Numbers grow with the time of arrival.
        let last = "SELECT at FROM delivery WHERE source = ?1 ORDER BY id DESC LIMIT 1";
        let last = one(c, last, [source], |row| Ok(row.get::<_, i64>(0)?))?.map(Time);
        let (open, oldest_open) = (open.unsigned_abs(), oldest.map(Time));
        found.push(DeliverySource { source: source.clone(), open, oldest_open, last });
    }
    Ok(found)
}

/// Drops bodies that arrived up to `bodies`, and deliveries that were resolved and arrived up to `rows`; how many, together.
pub(super) fn drop_old(c: &Connection, bodies: Time, rows: Time, limit: u32) -> Db<u64> {
    // Numbers grow with the time of arrival, so that the oldest are the first.
    let sql =
        "DELETE FROM delivery_body WHERE id IN (SELECT id FROM delivery_body WHERE at <= ?1 ORDER BY id LIMIT ?2)";
    let mut dropped = run(c, sql, params![bodies.0, limit])?;
    let sql = "DELETE FROM delivery WHERE id IN \
               (SELECT id FROM delivery WHERE at <= ?1 AND done_at IS NOT NULL ORDER BY id LIMIT ?2)";
    dropped += run(c, sql, params![rows.0, limit])?;
    Ok(dropped as u64)
}
