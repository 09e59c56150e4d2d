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

use super::place::{Move, Place, Slot};
use super::window::Window;

/// Where a row may be found.
pub(crate) enum Sought {
    /// In memory; the answer, `None` if there is no such row.
    Known(Option<Value>),
    /// On disk at this place, or, if that is another key with the same tag, at another place with this tag.
    OnDisk(Place),
}

#[derive(Default)]
pub(crate) struct Shard {
    active: Window,
    frozen: Option<Arc<Window>>,
    index: HashTable<Slot>,
}

impl Shard {
    pub(crate) fn seek(&self, tag: u64, table: TableId, key: &[u8]) -> Sought {
        for window in [Some(&self.active), self.frozen.as_deref()].into_iter().flatten() {
            if let Some(row) = window.find(tag, table, key) {
                return Sought::Known(row.exists.then(|| Value::from_slice(window.value(row))));
            }
        }
        match self.index.find(tag, |slot| slot.tag() == tag) {
            Some(slot) => Sought::OnDisk(slot.place()),
            None => Sought::Known(None),
        }
    }

    /// All places whose key has this tag: one, save for collisions.
    pub(crate) fn places(&self, tag: u64) -> Vec<Place> {
        self.index.iter_hash(tag).filter(|slot| slot.tag() == tag).map(Slot::place).collect()
    }

    /// Whether the index holds exactly this.
    pub(crate) fn holds(&self, tag: u64, place: Place) -> bool {
        self.index.find(tag, |slot| slot.is(tag, place)).is_some()
    }

    /// The only place with this tag; `Err` if there are several.
    pub(crate) fn only_place(&self, tag: u64) -> Result<Option<Place>, ()> {
        let mut places = self.index.iter_hash(tag).filter(|slot| slot.tag() == tag).map(Slot::place);
        let first = places.next();
        if places.next().is_some() { Err(()) } else { Ok(first) }
    }

    /// Changes rows and returns by how many bytes the window grew.
    pub(crate) fn set<'a>(&mut self, changes: impl Iterator<Item = (u64, Change<'a>)>) -> isize {
        let before = self.active.memory();
        for (tag, change) in changes {
            self.active.set(tag, change);
        }
        self.active.memory() as isize - before as isize
    }

    /// Starts a new window. The frozen one must have been retired.
    pub(crate) fn freeze(&mut self) {
        let fresh = Window::like(&self.active);
        self.frozen = Some(Arc::new(std::mem::replace(&mut self.active, fresh)));
    }

    pub(crate) fn active(&self) -> &Window {
        &self.active
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

    /// Bytes of memory: windows, index.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let frozen = self.frozen.as_deref().map_or(0, Window::memory);
        (self.active.memory() + frozen, self.index.allocation_size())
    }
}
