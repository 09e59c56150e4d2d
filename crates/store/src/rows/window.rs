//! Rows that changed between two flushes: one buffer, rows one behind the other in the order they changed.
//!
//! ```text
//! row   tag 8 │ below 6 │ table 1 │ state 1 │ key length 4 │ value length 4 │ key │ value │ up to the next unit
//! ```
//!
//! Thousands of rows are one allocation, which the shard keeps for the window after next. Which row is where, the
//! shard's slots say.

use chainwright_chain::{Change, TableId};

use super::place::{Packed, SEGMENT_BYTES_MAX, Slot};

/// Rows begin at multiples of this many bytes.
pub(crate) const UNIT: usize = 8;
const HEADER_BYTES: usize = 24;
const BELOW: usize = 8;
const STATE: usize = 15;
/// Below this, in bytes, nobody minds what replaced rows leave behind.
const GARBAGE_BYTES_MIN: usize = 16 << 10;

/// The row was replaced or forgotten.
const DEAD: u8 = 0;
const REMOVED: u8 = 1;
const EXISTS: u8 = 2;

/// A row that changed lately.
#[derive(Clone, Copy)]
pub(crate) struct WindowRow<'w> {
    pub(crate) tag: u64,
    /// Where the version before is: on disk, or in the window that is on its way there.
    pub(crate) below: Packed,
    pub(crate) table: TableId,
    pub(crate) key: &'w [u8],
    value: &'w [u8],
    state: u8,
}

impl<'w> WindowRow<'w> {
    fn parse(bytes: &'w [u8]) -> Self {
        let (head, rest) = bytes.split_first_chunk::<HEADER_BYTES>().expect("rows are written whole");
        let [t0, t1, t2, t3, t4, t5, t6, t7, rest_of_head @ ..] = *head;
        let [b0, b1, b2, b3, b4, b5, table, state, k0, k1, k2, k3, v0, v1, v2, v3] = rest_of_head;
        let (key, rest) = rest.split_at(u32::from_le_bytes([k0, k1, k2, k3]) as usize);
        Self {
            tag: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            below: Packed([b0, b1, b2, b3, b4, b5]),
            table: TableId(table),
            key,
            value: &rest[..u32::from_le_bytes([v0, v1, v2, v3]) as usize],
            state,
        }
    }

    /// `None` if the row was removed.
    pub(crate) fn value(&self) -> Option<&'w [u8]> {
        (self.state == EXISTS).then_some(self.value)
    }

    pub(crate) fn is(&self, table: TableId, key: &[u8]) -> bool {
        self.table == table && self.key == key
    }

    fn units(&self) -> usize {
        (HEADER_BYTES + self.key.len() + self.value.len()).div_ceil(UNIT)
    }
}

#[derive(Default)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    /// Rows that are not dead.
    count: usize,
    /// Bytes of the buffer that belong to dead rows.
    garbage: usize,
}

impl Window {
    /// An empty window in the same memory.
    pub(crate) fn cleared(mut self) -> Self {
        if self.bytes.capacity() > 2 * self.bytes.len() {
            return Self::default();
        }
        self.bytes.clear();
        Self { bytes: self.bytes, count: 0, garbage: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The row at a place, in units.
    pub(crate) fn row(&self, at: u32) -> WindowRow<'_> {
        WindowRow::parse(&self.bytes[at as usize * UNIT..])
    }

    /// Every row that is not dead, and where it is.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, WindowRow<'_>)> {
        let mut at = 0;
        let rows = std::iter::from_fn(move || {
            let row = WindowRow::parse(self.bytes.get(at * UNIT..).filter(|rest| !rest.is_empty())?);
            let found = (at as u32, row);
            at += row.units();
            Some(found)
        });
        rows.filter(|(_, row)| row.state != DEAD)
    }

    /// Adds what a change makes of a row, and returns where it is.
    pub(crate) fn push(&mut self, tag: u64, below: Packed, change: Change<'_>) -> u32 {
        let at = self.bytes.len() / UNIT;
        assert!(at < SEGMENT_BYTES_MAX as usize, "a shard's part of the window is far smaller than 2 GiB");
        let value = change.new.unwrap_or_default();
        let mut head = [0; HEADER_BYTES];
        head[..BELOW].copy_from_slice(&tag.to_le_bytes());
        head[BELOW..BELOW + 6].copy_from_slice(&below.0);
        head[BELOW + 6] = change.table.0;
        head[STATE] = if change.new.is_some() { EXISTS } else { REMOVED };
        head[16..20].copy_from_slice(&(change.key.len() as u32).to_le_bytes());
        head[20..].copy_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&head);
        self.bytes.extend_from_slice(change.key);
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(UNIT), 0);
        self.count += 1;
        at as u32
    }

    /// The version before this one has gone to another place.
    pub(crate) fn set_below(&mut self, at: u32, below: Packed) {
        self.bytes[at as usize * UNIT + BELOW..][..6].copy_from_slice(&below.0);
    }

    /// Forgets a row.
    pub(crate) fn kill(&mut self, at: u32) {
        self.garbage += self.row(at).units() * UNIT;
        self.count -= 1;
        self.bytes[at as usize * UNIT + STATE] = DEAD;
    }

    pub(crate) fn is_untidy(&self) -> bool {
        self.garbage > GARBAGE_BYTES_MIN && self.garbage * 2 > self.bytes.len()
    }

    /// Closes the gaps that dead rows left. `moved` hears of each row: its tag, where it was, where it is.
    pub(crate) fn tidy(&mut self, mut moved: impl FnMut(u64, u32, u32)) {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.garbage);
        for (at, row) in self.iter() {
            moved(row.tag, at, (bytes.len() / UNIT) as u32);
            bytes.extend_from_slice(&self.bytes[at as usize * UNIT..][..row.units() * UNIT]);
        }
        (self.bytes, self.garbage) = (bytes, 0);
    }

    /// Bytes of memory of the rows, their slots included. Room that was never used is not counted: the system gives
    /// memory when it is first written to.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len() + self.count * 2 * Slot::BYTES
    }
}
