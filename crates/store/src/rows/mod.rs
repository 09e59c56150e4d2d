//! The newest version of every row.
//!
//! ```text
//! point tables     256 shards: slots (14 bytes per row) ──▶ active window, frozen window, value log
//! ordered tables   one map in memory
//! on disk          values-*  rows;  index-*  what is where, after which step
//! ```
//!
//! Invariants:
//! - `index-*` is the truth of what is on disk: a checkpoint, then one record per flush or compaction; it names the step
//!   after which the rows stood so, and that step was synced in the journal before;
//! - a slot says where the newest version of a row is; a row of a window says where the one below it is.
//!
//! Start reading at [`Table`], then [`shard`], then [`index`].

#[cfg(test)]
mod collisions;
mod compact;
mod flush;
mod index;
mod moves;
mod ordered;
mod place;
mod scan;
mod shard;
mod slots;
mod values;
mod window;

use std::hash::Hasher;
use std::sync::Arc;

use chainwright_chain::{Fault, Row, Rows, Step, TableId, TableSpec, Value, Visit};
use parking_lot::RwLock;
use siphasher::sip::SipHasher13;

use crate::disk::Disk;
use crate::format::HashKey;
use crate::library::is_ordered;
pub(crate) use flush::Frozen;
pub(crate) use index::Index;
use moves::Moves;
use ordered::Ordered;
pub(crate) use ordered::OrderedChange;
pub(crate) use place::SEGMENT_BYTES_MAX;
use shard::{Shard, Sought};
use values::{Found, Values};
use window::Window;

/// Power of two; a flush holds one of them for well under a millisecond.
const SHARDS: usize = 256;

pub(crate) struct Table {
    tables: &'static [TableSpec],
    hash_key: HashKey,
    shards: Box<[RwLock<Shard>]>,
    ordered: RwLock<Ordered>,
    values: Values,
}

impl Table {
    pub(crate) fn new(
        tables: &'static [TableSpec],
        hash_key: HashKey,
        disk: Arc<dyn Disk>,
        segment_bytes: u64,
    ) -> Self {
        Self {
            tables,
            hash_key,
            shards: (0..SHARDS).map(|_| RwLock::new(Shard::default())).collect(),
            ordered: RwLock::new(Ordered::new(tables.len())),
            values: Values::new(disk, segment_bytes),
        }
    }

    fn tag(&self, table: TableId, key: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1 ^ u64::from(table.0));
        hasher.write(key);
        hasher.finish()
    }

    /// Bits that neither choose the bucket nor fill the control byte of a hash table.
    fn shard_of(tag: u64) -> usize {
        (tag >> 40) as usize % SHARDS
    }

    fn shard(&self, tag: u64) -> &RwLock<Shard> {
        &self.shards[Self::shard_of(tag)]
    }

    /// Moves the rows and returns by how many bytes the window grew. Each shard is locked once.
    pub(crate) fn apply(&self, step: &Step) -> isize {
        let mut grown = 0;
        let mut changes = Vec::new();
        let mut ends = [0_u32; SHARDS];
        for change in step.delta.iter() {
            if is_ordered(self.tables, change.table) {
                grown += self.ordered.write().set(change.table, change.key, change.new);
            } else {
                let tag = self.tag(change.table, change.key);
                ends[Self::shard_of(tag)] += 1;
                changes.push((tag, change));
            }
        }
        let mut sum = 0;
        for end in &mut ends {
            (sum, *end) = (sum + *end, sum);
        }
        let mut order = vec![0_u32; changes.len()];
        for (at, (tag, _)) in changes.iter().enumerate() {
            let end = &mut ends[Self::shard_of(*tag)];
            order[*end as usize] = at as u32;
            *end += 1;
        }
        let mut start = 0;
        for (shard, end) in self.shards.iter().zip(ends) {
            let part = &order[start..end as usize];
            if !part.is_empty() {
                grown += shard.write().set(part.iter().map(|&at| changes[at as usize]));
            }
            start = end as usize;
        }
        grown
    }

    /// Starts a new window; the ordered rows of the old one are returned.
    pub(crate) fn freeze(&self) -> Vec<OrderedChange> {
        for shard in &self.shards {
            shard.write().freeze();
        }
        self.ordered.write().freeze()
    }

    fn frozen(&self, shard: usize) -> Option<Arc<Window>> {
        self.shards[shard].read().frozen()
    }

    /// Lets the places on disk take over from the frozen window.
    fn retire(&self, moves: &Moves) {
        for (shard, moves) in self.shards.iter().zip(moves.by_shard()) {
            let retired = shard.write().retire(moves);
            // Freed outside the lock, if it is not kept.
            let kept = retired.and_then(Arc::into_inner).map(Window::cleared);
            if let Some(kept) = kept {
                shard.write().keep(kept);
            }
        }
    }

    /// Tells where rows on disk have gone.
    fn relocate(&self, moves: &Moves) {
        for (shard, moves) in self.shards.iter().zip(moves.by_shard()) {
            let mut shard = shard.write();
            moves.for_each(|change| shard.relocate(change));
        }
    }

    /// As [`Rows::get`], when tags collide or compaction moves the row away.
    fn get_slowly(&self, tag: u64, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        let mut moved = None;
        'again: loop {
            let places = {
                let shard = self.shard(tag).read();
                match shard.seek(tag, table, key) {
                    Sought::Known(value) => return Ok(value),
                    Sought::OnDisk(_) => shard.places(tag),
                }
            };
            for place in places {
                match self.values.read(place, table, key)? {
                    Found::Value(value) => return Ok(Some(value)),
                    Found::OtherKey => {}
                    Found::Moved if moved != Some(place) => {
                        moved = Some(place);
                        continue 'again;
                    }
                    Found::Moved => return Err(self.values.fault(place, "is gone")),
                }
            }
            return Ok(None);
        }
    }

    /// Bytes of memory of the window and of the index of the point tables.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let sum = |(window, index), shard: &RwLock<Shard>| {
            let more = shard.read().memory();
            (window + more.0, index + more.1)
        };
        self.shards.iter().fold((0, 0), sum)
    }
}

impl Rows for Table {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        if is_ordered(self.tables, table) {
            return Ok(self.ordered.read().get(table, key));
        }
        let tag = self.tag(table, key);
        let sought = self.shard(tag).read().seek(tag, table, key);
        let place = match sought {
            Sought::Known(value) => return Ok(value),
            Sought::OnDisk(place) => place,
        };
        match self.values.read(place, table, key)? {
            Found::Value(value) => Ok(Some(value)),
            Found::OtherKey | Found::Moved => self.get_slowly(tag, table, key),
        }
    }

    fn range(&self, table: TableId, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        Ok(self.ordered.read().range(table, from, to, limit))
    }

    fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        if is_ordered(self.tables, table) {
            self.scan_ordered(table, visit)
        } else {
            self.scan_points(table, visit)
        }
    }
}
