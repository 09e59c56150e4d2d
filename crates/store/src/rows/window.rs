//! Rows that changed between two flushes.
//!
//! Keys and values lie one behind the other in a single buffer: thousands of rows are a handful of allocations.

use chainwright_chain::{Change, TableId};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Below this, in bytes, nobody minds what removed rows leave behind.
const GARBAGE_BYTES_MIN: usize = 16 << 10;

/// A row that changed lately.
#[derive(Clone, Copy)]
pub(crate) struct WindowRow {
    pub(crate) tag: u64,
    /// Where the key begins in the buffer; the value follows it.
    at: u32,
    key_len: u32,
    value_len: u32,
    pub(crate) table: TableId,
    pub(crate) exists: bool,
    /// Whether an older layer holds a row of this key.
    pub(crate) covers: bool,
}

impl WindowRow {
    fn len(&self) -> usize {
        self.key_len as usize + self.value_len as usize
    }

    fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.at as usize..][..self.key_len as usize]
    }

    fn is(&self, tag: u64, change: (TableId, &[u8]), bytes: &[u8]) -> bool {
        self.tag == tag && self.table == change.0 && self.key(bytes) == change.1
    }
}

#[derive(Default)]
pub(crate) struct Window {
    rows: HashTable<WindowRow>,
    bytes: Vec<u8>,
    /// Bytes of the buffer that belong to no row any more.
    garbage: usize,
}

impl Window {
    /// An empty window with room for as much as `other` holds.
    pub(crate) fn like(other: &Self) -> Self {
        let (rows, bytes) = (other.rows.len(), other.bytes.len() - other.garbage);
        Self { rows: HashTable::with_capacity(rows), bytes: Vec::with_capacity(bytes), garbage: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// What is known of a row, also that it was removed.
    pub(crate) fn find(&self, tag: u64, table: TableId, key: &[u8]) -> Option<&WindowRow> {
        self.rows.find(tag, |row| row.is(tag, (table, key), &self.bytes))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &WindowRow> {
        self.rows.iter()
    }

    pub(crate) fn key(&self, row: &WindowRow) -> &[u8] {
        row.key(&self.bytes)
    }

    pub(crate) fn value(&self, row: &WindowRow) -> &[u8] {
        &self.bytes[row.at as usize + row.key_len as usize..][..row.value_len as usize]
    }

    /// Changes a row. One that no older layer knows is forgotten when it is removed.
    pub(crate) fn set(&mut self, tag: u64, change: Change<'_>) {
        let Self { rows, bytes, garbage } = self;
        let same = |row: &WindowRow| row.is(tag, (change.table, change.key), bytes);
        match rows.entry(tag, same, |row| row.tag) {
            Entry::Occupied(mut row) => {
                let (covers, len) = (row.get().covers, row.get().len());
                if change.new.is_none() && !covers {
                    row.remove();
                } else {
                    *row.get_mut() = store(bytes, tag, change, covers);
                }
                *garbage += len;
            }
            Entry::Vacant(row) => {
                row.insert(store(bytes, tag, change, change.old.is_some()));
            }
        }
        if self.garbage > GARBAGE_BYTES_MIN && self.garbage * 2 > self.bytes.len() {
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for row in &mut self.rows {
            let at = bytes.len() as u32;
            bytes.extend_from_slice(&self.bytes[row.at as usize..][..row.len()]);
            row.at = at;
        }
        (self.bytes, self.garbage) = (bytes, 0);
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len() + self.rows.len() * (size_of::<WindowRow>() + 8)
    }
}

fn store(bytes: &mut Vec<u8>, tag: u64, change: Change<'_>, covers: bool) -> WindowRow {
    let value = change.new.unwrap_or_default();
    let at = u32::try_from(bytes.len()).expect("a shard's part of the window is far smaller than 4 GiB");
    bytes.extend_from_slice(change.key);
    bytes.extend_from_slice(value);
    let (key_len, value_len) = (change.key.len() as u32, value.len() as u32);
    WindowRow { tag, at, key_len, value_len, table: change.table, exists: change.new.is_some(), covers }
}
