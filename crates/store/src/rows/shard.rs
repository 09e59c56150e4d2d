//! A part of the point tables, behind one lock.
//!
//! ```text
//! slots    tag → where the newest version of a row is: in a window, or on disk
//! active   rows that changed lately                      ← the writer
//! frozen   rows on their way to disk; never changes
//! ```
//!
//! A row of a window knows where the version below it is: for an active row on disk or in the frozen window, for a
//! frozen one on disk. So the slots and the windows together also say what is on disk, which is what compactions and
//! checkpoints ask for.
//!
//! Keys are compared in memory and by whoever reads a row from disk. Two keys with one tag have two slots; only then a
//! window may not know which of several places on disk is below its row ([`Whereabouts::Unclear`]), and has a slot of
//! its own beside them.

use std::sync::Arc;

use chainwright_chain::{Change, TableId, Value};

use super::place::{Move, Packed, Place, Side, Slot, Spot, Whereabouts};
use super::slots::Slots;
use super::window::{Window, WindowRow};

/// Where a row may be found.
pub(crate) enum Sought {
    /// In memory; the answer, `None` if there is no such row.
    Known(Option<Value>),
    /// On disk at this place, or, if that is another key with the same tag, at another place with this tag.
    OnDisk(Place),
}

#[derive(Default)]
pub(crate) struct Shard {
    slots: Slots,
    active: Window,
    /// Which side the active window is; the frozen one is the other.
    side: Side,
    frozen: Option<Arc<Window>>,
    /// The memory of the window that was flushed last.
    spare: Option<Window>,
}

/// The windows, borrowed apart from the slots.
#[derive(Clone, Copy)]
struct Windows<'s> {
    active: &'s Window,
    side: Side,
    frozen: Option<&'s Window>,
}

impl<'s> Windows<'s> {
    fn row(self, spot: Spot) -> WindowRow<'s> {
        let frozen = || self.frozen.expect("rows of the frozen window are known while there is one");
        if spot.side == self.side { self.active.row(spot.at) } else { frozen().row(spot.at) }
    }

    /// The row a slot stands for, if its newest version is in memory.
    fn newest(self, slot: &Slot) -> Option<WindowRow<'s>> {
        if let Whereabouts::Memory(spot) = slot.whereabouts() { Some(self.row(spot)) } else { None }
    }

    /// The version on disk of a row whose newest version, or one below it, is there.
    fn on_disk(self, at: Whereabouts) -> Option<Place> {
        match at {
            Whereabouts::Disk(place) => Some(place),
            Whereabouts::Memory(spot) => self.on_disk(self.row(spot).below.whereabouts()),
            Whereabouts::Unclear | Whereabouts::Nowhere => None,
        }
    }

    fn is_unclear(self, at: Whereabouts) -> bool {
        match at {
            Whereabouts::Memory(spot) => self.is_unclear(self.row(spot).below.whereabouts()),
            at => at == Whereabouts::Unclear,
        }
    }
}

impl Shard {
    fn windows(&self) -> Windows<'_> {
        Windows { active: &self.active, side: self.side, frozen: self.frozen.as_deref() }
    }

    pub(crate) fn seek(&self, tag: u64, table: TableId, key: &[u8]) -> Sought {
        let (mut place, mut known) = (None, None);
        self.slots.find(tag, |slot| {
            match self.windows().newest(slot) {
                Some(row) if row.is(table, key) => known = Some(row.value().map(Value::from_slice)),
                Some(_) => {}
                None => place = slot.place(),
            }
            known.is_some()
        });
        known.map_or_else(|| place.map_or(Sought::Known(None), Sought::OnDisk), Sought::Known)
    }

    /// All places on disk of newest versions whose key has this tag: one, save for collisions.
    pub(crate) fn places(&self, tag: u64) -> Vec<Place> {
        let mut places = Vec::new();
        self.slots.find(tag, |slot| {
            places.extend(slot.place());
            false
        });
        places
    }

    /// Changes rows and returns by how many bytes the window grew.
    pub(crate) fn set<'a>(&mut self, changes: impl Iterator<Item = (u64, Change<'a>)>) -> isize {
        let before = self.active.memory();
        for (tag, change) in changes {
            self.set_one(tag, change);
        }
        if self.active.is_untidy() {
            let Self { slots, active, side, .. } = self;
            active.tidy(|tag, old, new| {
                let [old, new] = [old, new].map(|at| Spot { side: *side, at });
                let slot = slots.find(tag, |slot| slot.is(tag, old));
                slots.set(slot.expect("every row of the active window is the newest version"), new);
            });
        }
        self.active.memory() as isize - before as isize
    }

    fn set_one(&mut self, tag: u64, change: Change<'_>) {
        let Self { slots, active, side, frozen, .. } = self;
        let windows = Windows { active, side: *side, frozen: frozen.as_deref() };
        let mut on_disk = 0;
        let found = slots.find(tag, |slot| {
            let row = windows.newest(slot);
            on_disk += usize::from(row.is_none());
            row.is_some_and(|row| row.is(change.table, change.key))
        });
        if let Some(slot) = found {
            let Some(Whereabouts::Memory(spot)) = slots.get(slot).map(Slot::whereabouts) else { return };
            let below = if spot.side == *side {
                let below = active.row(spot.at).below;
                active.kill(spot.at);
                below
            } else {
                spot.into()
            };
            if change.new.is_none() && below == Packed::NOWHERE {
                slots.remove(slot);
            } else {
                slots.set(slot, Spot { side: *side, at: active.push(tag, below, change) });
            }
            return;
        }
        let mut push = |below| Spot { side: *side, at: active.push(tag, below, change) };
        match (if change.old.is_some() { on_disk } else { 0 }, change.new) {
            (0, None) => {}
            (0, Some(_)) => slots.insert(Slot::new(tag, push(Packed::NOWHERE))),
            (1, _) => {
                let slot = slots.find(tag, |slot| slot.place().is_some()).expect("one was just seen");
                let below = Packed::from(slots.get(slot).and_then(Slot::place));
                slots.set(slot, push(below));
            }
            _ => slots.insert(Slot::new(tag, push(Packed::UNCLEAR))),
        }
    }

    /// Starts a new window. The frozen one must have been retired.
    pub(crate) fn freeze(&mut self) {
        let fresh = self.spare.take().unwrap_or_default();
        self.frozen = Some(Arc::new(std::mem::replace(&mut self.active, fresh)));
        self.side = self.side.other();
    }

    /// Every row whose newest version is in memory, and whether a slot of an older version may be left on disk.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = (WindowRow<'_>, bool)> {
        let windows = self.windows();
        self.slots.iter().filter_map(move |slot| {
            let row = windows.newest(slot)?;
            Some((row, windows.is_unclear(row.below.whereabouts())))
        })
    }

    pub(crate) fn frozen(&self) -> Option<Arc<Window>> {
        self.frozen.clone()
    }

    /// Lets the places on disk take over from the frozen window: one move per row of it, in the same order. The window
    /// is returned to be dropped outside the lock.
    pub(crate) fn retire(&mut self, mut moves: impl Iterator<Item = Move>) -> Option<Arc<Window>> {
        let frozen = self.frozen.take()?;
        let old_side = self.side.other();
        for ((at, row), change) in frozen.iter().zip(&mut moves) {
            debug_assert_eq!(row.tag, change.tag, "there is one move per row");
            let slots = &mut self.slots;
            if row.below == Packed::UNCLEAR
                && let Some(old) = change.old
                && let Some(slot) = slots.find(row.tag, |slot| slot.is(row.tag, old))
            {
                slots.remove(slot);
            }
            let spot = Spot { side: old_side, at };
            match (slots.find(row.tag, |slot| slot.is(row.tag, spot)), change.new) {
                (Some(slot), Some(new)) => slots.set(slot, new),
                (Some(slot), None) => slots.remove(slot),
                (None, new) => self.replace_below(row.tag, spot.into(), new.into()),
            }
        }
        Some(frozen)
    }

    /// The version below an active row has moved, or gone.
    fn replace_below(&mut self, tag: u64, old: Packed, new: Packed) {
        let Self { slots, active, side, .. } = self;
        let row = |slot: &Slot| match slot.whereabouts() {
            Whereabouts::Memory(spot) if spot.side == *side => Some((spot.at, active.row(spot.at))),
            _ => None,
        };
        let covers = |slot: &Slot| row(slot).is_some_and(|(_, row)| row.below == old);
        let Some(slot) = slots.find(tag, covers) else { return };
        let Some(Whereabouts::Memory(Spot { at, .. })) = slots.get(slot).map(Slot::whereabouts) else {
            return;
        };
        if new == Packed::NOWHERE && active.row(at).value().is_none() {
            slots.remove(slot);
            active.kill(at);
        } else {
            active.set_below(at, new);
        }
    }

    /// A row on disk has moved.
    pub(crate) fn relocate(&mut self, change: Move) {
        let Move { tag, old, new } = change;
        match self.slots.find(tag, |slot| slot.is(tag, old)) {
            Some(slot) => self.slots.set(slot, new),
            None => self.replace_below(tag, old.into(), new.into()),
        }
    }

    /// Takes what a commit says into a shard without windows. Returns whether there was what it expects.
    pub(crate) fn load(&mut self, change: Move) -> bool {
        let Move { tag, old, new } = change;
        let found = old.map(|old| self.slots.find(tag, |slot| slot.is(tag, old)));
        match (found, new) {
            (Some(None), _) => return false,
            (Some(Some(slot)), Some(new)) => self.slots.set(slot, new),
            (Some(Some(slot)), None) => self.slots.remove(slot),
            (None, Some(new)) => self.slots.insert(Slot::new(tag, new)),
            (None, None) => {}
        }
        true
    }

    pub(crate) fn add_slot(&mut self, slot: Slot) {
        self.slots.insert(slot);
    }

    pub(crate) fn reserve_slots(&mut self, count: usize) {
        self.slots.reserve(count);
    }

    /// Everything on disk, whether or not a newer version is in memory.
    pub(crate) fn on_disk(&self) -> impl Iterator<Item = Slot> {
        let place = |slot: &Slot| self.windows().on_disk(slot.whereabouts());
        self.slots.iter().filter_map(move |slot| Some(Slot::new(slot.tag(), place(slot)?)))
    }

    /// Where rows are whose newest version is on disk.
    pub(crate) fn newest_on_disk(&self) -> impl Iterator<Item = Place> {
        self.slots.iter().filter_map(Slot::place)
    }

    pub(crate) fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// Keeps the memory of a flushed window for the one after the next.
    pub(crate) fn keep(&mut self, flushed: Window) {
        self.spare = Some(flushed);
    }

    /// Bytes of memory: windows, slots.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let frozen = self.frozen.as_deref().map_or(0, Window::memory);
        (self.active.memory() + frozen, self.slots.memory())
    }
}
