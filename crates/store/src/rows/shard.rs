//! A part of the point tables, behind one lock.
//!
//! ```text
//! active   rows that changed lately                      ← the writer
//! frozen   rows on their way to disk; never changes
//! index    where the other rows lie in the value log     ← maintenance
//! ```
//!
//! A reader asks them in this order. A row goes from `frozen` to `index` under the lock, so nobody sees it in neither.

use std::sync::Arc;

use chainwright_chain::{Change, TableId, Value};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use smallvec::SmallVec;

use super::place::{Move, Place, Slot};

/// Bytes a row of the window costs beside its key and value.
const ROW_BYTES: usize = size_of::<WindowRow>() + 24;

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

    pub(crate) fn value(&self) -> &[u8] {
        &self.bytes[self.key_len as usize..]
    }

    fn is(&self, tag: u64, table: TableId, key: &[u8]) -> bool {
        self.tag == tag && self.table == table && self.key() == key
    }

    fn memory(&self) -> usize {
        self.bytes.len() + ROW_BYTES
    }
}

/// Rows that changed between two flushes.
pub(crate) type Window = HashTable<WindowRow>;

/// Where a row may be found.
pub(crate) enum Sought {
    /// In memory; the answer, `None` if it was removed.
    Known(Option<Value>),
    /// On disk, in one of these places if anywhere.
    OnDisk(SmallVec<[Place; 2]>),
}

#[derive(Default)]
pub(crate) struct Shard {
    active: Window,
    frozen: Option<Arc<Window>>,
    index: HashTable<Slot>,
}

impl Shard {
    pub(crate) fn seek(&self, tag: u64, table: TableId, key: &[u8]) -> Sought {
        let in_window = |window: &Window| {
            let row = window.find(tag, |row| row.is(tag, table, key))?;
            Some(row.exists.then(|| Value::from_slice(row.value())))
        };
        let known = in_window(&self.active).or_else(|| in_window(self.frozen.as_deref()?));
        known.map_or_else(|| Sought::OnDisk(self.places(tag)), Sought::Known)
    }

    /// All places whose key has this tag: one, save for collisions.
    pub(crate) fn places(&self, tag: u64) -> SmallVec<[Place; 2]> {
        self.index.iter_hash(tag).filter(|slot| slot.tag() == tag).map(Slot::place).collect()
    }

    /// Whether the index holds exactly this.
    pub(crate) fn holds(&self, tag: u64, place: Place) -> bool {
        self.index.find(tag, |slot| slot.is(tag, place)).is_some()
    }

    /// Changes a row and returns by how many bytes the window grew.
    pub(crate) fn set(&mut self, tag: u64, change: Change<'_>) -> isize {
        let same = |row: &WindowRow| row.is(tag, change.table, change.key);
        match self.active.entry(tag, same, |row| row.tag) {
            Entry::Occupied(mut row) => {
                let (covers, before) = (row.get().covers, row.get().memory());
                if change.new.is_none() && !covers {
                    row.remove();
                    return -(before as isize);
                }
                *row.get_mut() = WindowRow::new(tag, change, covers);
                row.get().memory() as isize - before as isize
            }
            Entry::Vacant(row) => {
                row.insert(WindowRow::new(tag, change, change.old.is_some())).get().memory() as isize
            }
        }
    }

    /// Starts a new window. The frozen one must have been retired.
    pub(crate) fn freeze(&mut self) {
        let fresh = Window::with_capacity(self.active.len());
        self.frozen = Some(Arc::new(std::mem::replace(&mut self.active, fresh)));
    }

    pub(crate) fn frozen(&self) -> Option<Arc<Window>> {
        self.frozen.clone()
    }

    /// Lets the index take over from the frozen window, which is returned to be dropped outside the lock.
    pub(crate) fn retire(&mut self, moves: &[Move]) -> Option<Arc<Window>> {
        for change in moves {
            self.change_index(*change);
        }
        self.frozen.take()
    }

    /// Whether the index held what it was expected to hold.
    pub(crate) fn change_index(&mut self, change: Move) -> bool {
        let Move { tag, old, new } = change;
        let found = old.map(|old| self.index.find_entry(tag, |slot| slot.is(tag, old)));
        match (found, new) {
            (Some(Err(_)), _) => return false,
            (Some(Ok(mut slot)), Some(new)) => *slot.get_mut() = Slot::new(tag, new),
            (Some(Ok(slot)), None) => drop(slot.remove()),
            (None, Some(new)) => self.add_slot(Slot::new(tag, new)),
            (None, None) => {}
        }
        true
    }

    pub(crate) fn add_slot(&mut self, slot: Slot) {
        self.index.insert_unique(slot.tag(), slot, Slot::tag);
    }

    pub(crate) fn reserve_slots(&mut self, count: usize) {
        self.index.reserve(count, Slot::tag);
    }

    pub(crate) fn slots(&self) -> impl ExactSizeIterator<Item = &Slot> {
        self.index.iter()
    }

    /// Bytes of memory: window, index.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let window = |window: &Window| {
            window.allocation_size() + window.iter().map(|row| row.bytes.len() + 16).sum::<usize>()
        };
        let frozen = self.frozen.as_deref().map_or(0, window);
        (window(&self.active) + frozen, self.index.allocation_size())
    }
}
