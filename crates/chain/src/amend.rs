//! Changes an operator makes to the state by hand, on development chains.
//!
//! ```text
//!   rows, journal, roots, events        block B ──────────────────────────────► block C: amendments of B, then what C does
//!   what readers and execution see      block B + amendments of B ─ execute C ─► block C + amendments of C
//! ```
//!
//! An amendment belongs to the block it was made on and lies above it as a layer: the block's own rows, its delta and its
//! state root stay what they were. What the next block did to the rows is the amendment and its own execution together, so that
//! undoing, journal, indexes and whoever follows events know nothing of amendments.

use std::collections::HashMap;

use crate::{BlockId, Delta, Fault, Headers, Ledger, TableId, View};

/// Makes a change of the state out of what the head looks like. Runs on the driver's thread.
pub type Amendment<L> = Box<dyn FnOnce(&View<L>) -> Result<Delta, Fault> + Send>;

/// All amendments, by the block they were made on. Empty on every chain but those of developers.
#[derive(Default)]
pub(crate) struct Amendments(HashMap<BlockId, Delta>);

impl Amendments {
    pub(crate) fn of(&self, id: &BlockId) -> Option<&Delta> {
        self.0.get(id)
    }

    /// Adds to what was changed at a block before.
    pub(crate) fn add(&mut self, id: BlockId, delta: &Delta, is_ordered: impl Fn(TableId) -> bool) {
        let merged = match self.0.get(&id) {
            Some(before) => Delta::merged([before, delta], is_ordered),
            None => delta.clone(),
        };
        self.0.insert(id, merged);
    }

    /// Goes back to a block: what was changed at it is `delta` again, and nothing was ever changed above it.
    pub(crate) fn rewind(&mut self, to: BlockId, delta: Delta, is_below: impl Fn(&BlockId) -> bool) {
        self.0.retain(|id, _| is_below(id));
        self.0.insert(to, delta);
    }

    /// The view as readers and execution see it.
    pub(crate) fn on<L: Ledger>(&self, view: View<L>) -> View<L> {
        match self.0.get(&view.headers.id()) {
            Some(delta) => View { state: view.state.with_layer(delta.clone()), ..view },
            None => view,
        }
    }

    /// What a child of `parent` does to the rows, given what its execution did to the amended state.
    pub(crate) fn under<L: Ledger>(&self, parent: &View<L>, delta: Delta) -> Delta {
        match self.0.get(&parent.headers.id()) {
            Some(before) => Delta::merged([before, &delta], |table| parent.state.is_ordered(table)),
            None => delta,
        }
    }
}

/// Whether a block lies on a branch, for [`Amendments::rewind`].
pub(crate) fn is_on<L: Ledger>(branch: &Headers<L>, block: Option<Headers<L>>) -> bool {
    block.is_some_and(|block| branch.contains(&block))
}
