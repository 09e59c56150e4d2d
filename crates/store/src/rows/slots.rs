//! Where the newest version of each row of a shard is: a hash table of slots by tag.
//!
//! Two keys with one tag have two slots.

use hashbrown::HashTable;

use super::place::{Packed, Slot};

/// A slot's place in the table; good until the table changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(usize);

#[derive(Default)]
pub(crate) struct Slots(HashTable<Slot>);

impl Slots {
    /// The first slot with this tag that is `wanted`.
    pub(crate) fn find(&self, tag: u64, mut wanted: impl FnMut(&Slot) -> bool) -> Option<At> {
        self.0.find_bucket_index(tag, |slot| slot.tag() == tag && wanted(slot)).map(At)
    }

    pub(crate) fn get(&self, at: At) -> Option<&Slot> {
        self.0.get_bucket(at.0)
    }

    pub(crate) fn set(&mut self, at: At, to: impl Into<Packed>) {
        if let Some(slot) = self.0.get_bucket_mut(at.0) {
            slot.set(to);
        }
    }

    pub(crate) fn remove(&mut self, at: At) {
        if let Ok(slot) = self.0.get_bucket_entry(at.0) {
            slot.remove();
        }
    }

    /// Adds a slot beside those with the same tag, if any.
    pub(crate) fn insert(&mut self, slot: Slot) {
        self.0.insert_unique(slot.tag(), slot, Slot::tag);
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.0.reserve(more, Slot::tag);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.0.allocation_size()
    }
}
