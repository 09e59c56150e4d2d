//! What one block did to the state: key → (old, new).
//!
//! One byte buffer holds all keys and values, so that a delta of thousands of rows is a handful of
//! allocations. Rows that were created and removed again within the delta stay in the buffer as
//! no-ops, are skipped by [`Delta::iter`] and never reach the disk.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use hashbrown::HashTable;

use super::{TableId, Value};
use crate::DecodeError;

/// One hash of (table, key) serves every delta of the process; seeded at random, never persisted.
pub(super) fn key_hash(table: TableId, key: &[u8]) -> u64 {
    static STATE: OnceLock<foldhash::fast::RandomState> = OnceLock::new();
    STATE.get_or_init(foldhash::fast::RandomState::default).hash_one((table.0, key))
}

/// One row that differs between before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The table of the row.
    pub table: TableId,
    /// The key of the row.
    pub key: &'a [u8],
    /// The value before; `None` if the row did not exist.
    pub old: Option<&'a [u8]>,
    /// The value after; `None` if the row does not exist any more.
    pub new: Option<&'a [u8]>,
}

/// The changes of one block (or of its undoing). Cheap to clone; never changes.
#[derive(Clone)]
pub struct Delta {
    changes: Arc<Changes>,
    inverted: bool,
}

/// A half-open range of the buffer, or nothing.
#[derive(Clone, Copy)]
struct Slice {
    start: u32,
    len: u32,
}

impl Slice {
    const NONE: Self = Self { start: 0, len: u32::MAX };

    fn of(self, bytes: &[u8]) -> Option<&[u8]> {
        (self.len != u32::MAX).then(|| &bytes[self.start as usize..][..self.len as usize])
    }
}

struct Entry {
    table: TableId,
    key: Slice,
    old: Slice,
    new: Slice,
}

/// The growing form of a delta, owned by a [`super::Draft`].
#[derive(Default)]
pub(super) struct Changes {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    index: HashTable<u32>,
    /// Keys of ordered tables, in order, for ranges.
    ordered: BTreeMap<(TableId, Value), u32>,
}

impl Changes {
    fn key(&self, entry: &Entry) -> &[u8] {
        entry.key.of(&self.bytes).expect("every entry has a key")
    }

    pub(super) fn find(&self, table: TableId, key: &[u8]) -> Option<u32> {
        let same = |&at: &u32| {
            let entry = &self.entries[at as usize];
            entry.table == table && self.key(entry) == key
        };
        self.index.find(key_hash(table, key), same).copied()
    }

    fn store(&mut self, bytes: Option<&[u8]>) -> Slice {
        let Some(bytes) = bytes else { return Slice::NONE };
        let start = u32::try_from(self.bytes.len()).expect("a delta is far smaller than 4 GiB");
        self.bytes.extend_from_slice(bytes);
        Slice { start, len: bytes.len() as u32 }
    }

    /// Adds a row that is not there yet.
    pub(super) fn add(&mut self, change: Change<'_>, ordered: bool) -> u32 {
        let at = self.entries.len() as u32;
        let (key, old, new) = (self.store(Some(change.key)), self.store(change.old), self.store(change.new));
        self.entries.push(Entry { table: change.table, key, old, new });
        let Self { bytes, entries, index, .. } = self;
        index.insert_unique(key_hash(change.table, change.key), at, |&other| {
            let entry = &entries[other as usize];
            key_hash(entry.table, entry.key.of(bytes).expect("every entry has a key"))
        });
        if ordered {
            self.ordered.insert((change.table, Value::from_slice(change.key)), at);
        }
        at
    }

    pub(super) fn set_new(&mut self, at: u32, new: Option<&[u8]>) {
        self.entries[at as usize].new = self.store(new);
    }

    pub(super) fn change(&self, at: u32) -> Change<'_> {
        let entry = &self.entries[at as usize];
        Change {
            table: entry.table,
            key: self.key(entry),
            old: entry.old.of(&self.bytes),
            new: entry.new.of(&self.bytes),
        }
    }

    pub(super) fn range(&self, table: TableId, from: &[u8]) -> impl Iterator<Item = Change<'_>> {
        self.ordered
            .range((table, Value::from_slice(from))..)
            .take_while(move |((at, _), _)| *at == table)
            .map(|(_, &at)| self.change(at))
    }

    pub(super) fn finish(self) -> Delta {
        Delta { changes: Arc::new(self), inverted: false }
    }
}

impl Delta {
    /// A delta that changes nothing.
    pub fn empty() -> Self {
        Changes::default().finish()
    }

    /// A delta from a list of changes whose keys are all different, as genesis needs it.
    pub fn from_changes<'a>(changes: impl IntoIterator<Item = Change<'a>>) -> Self {
        let mut built = Changes::default();
        for change in changes {
            built.add(change, true);
        }
        built.finish()
    }

    /// The changes that lead back. Costs nothing.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self { changes: Arc::clone(&self.changes), inverted: !self.inverted }
    }

    /// Whether both are the same object, which is far cheaper to see than that both are equal.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.changes, &other.changes) && self.inverted == other.inverted
    }

    fn view<'a>(&self, change: Change<'a>) -> Change<'a> {
        if self.inverted { Change { old: change.new, new: change.old, ..change } } else { change }
    }

    /// One delta that does what these do one after another.
    pub fn merged<'a>(
        deltas: impl IntoIterator<Item = &'a Self>,
        is_ordered: impl Fn(TableId) -> bool,
    ) -> Self {
        let mut merged = Changes::default();
        for change in deltas.into_iter().flat_map(Self::iter) {
            match merged.find(change.table, change.key) {
                Some(at) => merged.set_new(at, change.new),
                None => drop(merged.add(change, is_ordered(change.table))),
            }
        }
        merged.finish()
    }

    /// The change of one row, if it was touched.
    pub fn get(&self, table: TableId, key: &[u8]) -> Option<Change<'_>> {
        let at = self.changes.find(table, key)?;
        Some(self.view(self.changes.change(at)))
    }

    /// All rows that really differ, in the order they were first touched.
    pub fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        let count = self.changes.entries.len() as u32;
        (0..count).map(|at| self.view(self.changes.change(at))).filter(|change| change.old != change.new)
    }

    /// Touched rows of an ordered table from `from` on, in key order; no-ops included.
    pub fn range(&self, table: TableId, from: &[u8]) -> impl Iterator<Item = Change<'_>> {
        self.changes.range(table, from).map(|change| self.view(change))
    }

    /// Bytes of memory this delta holds, approximately.
    pub fn memory(&self) -> usize {
        self.changes.bytes.len() + self.changes.entries.len() * (size_of::<Entry>() + 8)
    }

    /// Appends the canonical encoding: per row table `u8`, key, old and new, each with a `u32`
    /// little-endian length (`u32::MAX` for none).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let put = |out: &mut Vec<u8>, part: Option<&[u8]>| {
            out.extend_from_slice(&part.map_or(u32::MAX, |bytes| bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(part.unwrap_or_default());
        };
        for change in self.iter() {
            out.push(change.table.0);
            put(out, Some(change.key));
            put(out, change.old);
            put(out, change.new);
        }
    }

    /// Reads what [`Delta::encode`] wrote; `is_ordered` tells which tables answer ranges.
    ///
    /// # Errors
    /// When the bytes end within a row or a key is missing or repeated.
    pub fn decode(mut input: &[u8], is_ordered: impl Fn(TableId) -> bool) -> Result<Self, DecodeError> {
        let mut changes = Changes::default();
        while let Some((&table, rest)) = input.split_first() {
            input = rest;
            let table = TableId(table);
            let key = take(&mut input)?.ok_or_else(|| DecodeError::new("delta row without a key"))?;
            let (old, new) = (take(&mut input)?, take(&mut input)?);
            if changes.find(table, key).is_some() {
                return Err(DecodeError::new("delta holds a key twice"));
            }
            changes.add(Change { table, key, old, new }, is_ordered(table));
        }
        Ok(changes.finish())
    }
}

fn take<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DecodeError> {
    let short = || DecodeError::new("delta ends within a row");
    let (len, rest) = input.split_first_chunk::<4>().ok_or_else(short)?;
    let len = u32::from_le_bytes(*len);
    if len == u32::MAX {
        *input = rest;
        return Ok(None);
    }
    let (part, rest) = rest.split_at_checked(len as usize).ok_or_else(short)?;
    *input = rest;
    Ok(Some(part))
}

impl core::fmt::Debug for Delta {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Equal when they change the same rows in the same way, in whatever order.
impl PartialEq for Delta {
    fn eq(&self, other: &Self) -> bool {
        self.iter().count() == other.iter().count()
            && self.iter().all(|change| other.get(change.table, change.key) == Some(change))
    }
}

impl Eq for Delta {}
