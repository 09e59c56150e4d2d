//! The newest version of every row.

mod ordered;
mod shard;

use chainwright_chain::{Change, Fault, Row, Rows, Step, TableId, TableSpec, Value};
use parking_lot::RwLock;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

use crate::format::HashKey;
use crate::library::is_ordered;
use ordered::Ordered;
use shard::{Shard, WindowRow};

/// Power of two; a flush holds one of them for well under a millisecond.
const SHARDS: usize = 256;

pub(crate) struct Table {
    tables: &'static [TableSpec],
    hash_key: HashKey,
    shards: Box<[RwLock<Shard>]>,
    ordered: RwLock<Ordered>,
}

impl Table {
    pub(crate) fn new(tables: &'static [TableSpec], hash_key: HashKey) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::new(Shard::default())).collect();
        Self { tables, hash_key, shards, ordered: RwLock::new(Ordered::new(tables.len())) }
    }

    fn tag(&self, table: TableId, key: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1 ^ u64::from(table.0));
        hasher.write(key);
        hasher.finish()
    }

    /// Bits that neither choose the bucket nor fill the control byte of a hash table.
    fn shard(&self, tag: u64) -> &RwLock<Shard> {
        &self.shards[(tag >> 40) as usize % SHARDS]
    }

    pub(crate) fn apply(&self, step: &Step) {
        for change in step.delta.iter() {
            if is_ordered(self.tables, change.table) {
                self.ordered.write().set(change.table, change.key, change.new);
            } else {
                self.apply_point(change);
            }
        }
    }

    fn apply_point(&self, change: Change<'_>) {
        let tag = self.tag(change.table, change.key);
        self.shard(tag).write().set(tag, change);
    }
}

impl Rows for Table {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        if is_ordered(self.tables, table) {
            return Ok(self.ordered.read().get(table, key));
        }
        let tag = self.tag(table, key);
        Ok(self.shard(tag).read().window(tag, table, key).and_then(WindowRow::value))
    }

    fn range(&self, table: TableId, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        Ok(self.ordered.read().range(table, from, to, limit))
    }
}
