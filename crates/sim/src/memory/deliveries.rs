//! Deliveries of webhooks in memory. No life of the simulation has any: they are here so that the contract holds.

use super::MemoryStore;
use super::state::Result;
use orch_core::ids::Time;
use orch_store::{Deliveries, DeliveryRow, DeliverySource, NewDelivery};

/// One, and whether it is open.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    id: i64,
    new: NewDelivery,
    open: bool,
}

#[async_trait::async_trait]
impl Deliveries for MemoryStore {
    async fn put_delivery(&self, new: NewDelivery) -> Result<Option<i64>> {
        self.write(|s| {
            let sent_as = &new.delivery.sent_as;
            let same = |k: &Kept| {
                k.new.source == new.source
                    && (k.new.digest == new.digest || (sent_as.is_some() && k.new.delivery.sent_as == *sent_as))
            };
            if s.deliveries.iter().any(same) {
                return Ok(None);
            }
            s.delivered += 1;
            let id = s.delivered;
            s.deliveries.push(Kept { id, new, open: true });
            Ok(Some(id))
        })
    }
    async fn open_deliveries(&self, limit: u32) -> Result<Vec<DeliveryRow>> {
        Ok(self.read(|s| {
            let open = s.deliveries.iter().filter(|k| k.open).take(limit as usize);
            let row = |k: &Kept| DeliveryRow {
                id: k.id,
                source: k.new.source.clone(),
                delivery: k.new.delivery.clone(),
                at: k.new.at,
            };
            open.map(row).collect()
        }))
    }
    async fn end_deliveries(&self, ended: Vec<(i64, Option<String>)>, _: Time) -> Result<()> {
        self.write(|s| {
            for kept in s.deliveries.iter_mut().filter(|k| ended.iter().any(|(id, _)| *id == k.id)) {
                kept.open = false;
            }
            Ok(())
        })
    }
    async fn delivery_sources(&self, sources: Vec<String>) -> Result<Vec<DeliverySource>> {
        Ok(self.read(|s| {
            let of = |source: String| {
                let mut mine = s.deliveries.iter().filter(|k| k.new.source == source);
                let open: Vec<Time> = mine.clone().filter(|k| k.open).map(|k| k.new.at).collect();
                let last = mine.next_back().map(|k| k.new.at);
                let (count, oldest_open) = (open.len() as u64, open.into_iter().min());
                DeliverySource { source, open: count, oldest_open, last }
            };
            sources.into_iter().map(of).collect()
        }))
    }
    async fn drop_deliveries(&self, bodies: Time, rows: Time, limit: u32) -> Result<u64> {
        self.write(|s| {
            let mut dropped = 0;
            let old = s.deliveries.iter_mut().filter(|k| k.new.at <= bodies && k.new.body.is_some());
            for kept in old.take(limit as usize) {
                kept.new.body = None;
                dropped += 1;
            }
            let mut left = limit;
            s.deliveries.retain(|k| {
                let goes = !k.open && k.new.at <= rows && 0 < left;
                left -= u32::from(goes);
                dropped += u64::from(goes);
                !goes
            });
            Ok(dropped)
        })
    }
}
