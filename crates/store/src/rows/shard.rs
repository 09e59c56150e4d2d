//! A part of the point tables, behind one lock.

use chainwright_chain::{Change, TableId, Value};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// A row that changed lately.
pub(crate) struct WindowRow {
    pub(crate) tag: u64,
    /// The key, and the value if the row exists.
    bytes: Box<[u8]>,
    key_len: u32,
    pub(crate) table: TableId,
    pub(crate) exists: bool,
    /// Whether an older layer holds a row of this key.
    pub(crate) covers: bool,
}

impl WindowRow {
    fn new(tag: u64, change: Change<'_>, covers: bool) -> Self {
        let (key, value) = (change.key, change.new.unwrap_or_default());
        let mut bytes = Vec::with_capacity(key.len() + value.len());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        Self {
            tag,
            bytes: bytes.into_boxed_slice(),
            key_len: key.len() as u32,
            table: change.table,
            exists: change.new.is_some(),
            covers,
        }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    pub(crate) fn value(&self) -> Option<Value> {
        self.exists.then(|| Value::from_slice(&self.bytes[self.key_len as usize..]))
    }

    fn is(&self, tag: u64, table: TableId, key: &[u8]) -> bool {
        self.tag == tag && self.table == table && self.key() == key
    }
}

#[derive(Default)]
pub(crate) struct Shard {
    active: HashTable<WindowRow>,
}

impl Shard {
    pub(crate) fn window(&self, tag: u64, table: TableId, key: &[u8]) -> Option<&WindowRow> {
        self.active.find(tag, |row| row.is(tag, table, key))
    }

    pub(crate) fn set(&mut self, tag: u64, change: Change<'_>) {
        let same = |row: &WindowRow| row.is(tag, change.table, change.key);
        match self.active.entry(tag, same, |row| row.tag) {
            Entry::Occupied(mut row) => {
                let covers = row.get().covers;
                if change.new.is_none() && !covers {
                    row.remove();
                } else {
                    *row.get_mut() = WindowRow::new(tag, change, covers);
                }
            }
            Entry::Vacant(row) => {
                row.insert(WindowRow::new(tag, change, change.old.is_some()));
            }
        }
    }
}
