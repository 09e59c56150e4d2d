//! State: one version of every row, the newest; history is the list of deltas.
//!
//! ```text
//!            rows (newest, in the store)         layers (candidates, in memory)
//!                    │                                     │
//!   View = Rows ── Pin ─ step ─ step ─ …        +  delta ─ delta ─ …
//!                    └ steps that were taken after this view was made; the first that
//!                      holds the key has the value the view must see
//! ```
//!
//! Invariants:
//! - a step is published in the [`Timeline`] *before* the rows move, so a reader that reads the row
//!   first and the steps after its pin second is right wherever the row lives;
//! - a [`View`](crate::View) never changes and never blocks the writer;
//! - [`Delta`] is changes, undo and journal record in one; [`Delta::inverse`] swaps old and new.
//!
//! Start reading at [`Delta`], then [`StateView`].

mod delta;
mod draft;
mod timeline;
mod view;

pub use delta::{Change, Delta};
pub use draft::Draft;
pub use timeline::{Pin, Timeline};
pub use view::{Rows, StateView, Visit};

/// Bytes of a row's key or value; short ones live without allocation.
pub type Value = smallvec::SmallVec<[u8; 64]>;

/// A key and its value, as `range` returns them.
pub type Row = (Value, Value);

/// Position of a table in [`crate::Ledger::tables`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u8);

/// Whether a table answers ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Looked up by whole key; may be far larger than memory.
    Point,
    /// Iterated in key order; held in memory.
    Ordered,
}

/// One table of a ledger's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSpec {
    /// Written to disk and refused on mismatch.
    pub name: &'static str,
    /// How it is read.
    pub kind: TableKind,
}

/// A table of the given kind for [`crate::Ledger::tables`].
pub const fn table(name: &'static str, kind: TableKind) -> TableSpec {
    TableSpec { name, kind }
}
