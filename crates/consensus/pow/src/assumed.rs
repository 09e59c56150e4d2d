//! The block whose ancestors' scripts may be taken as checked.

use chainwright_chain::{BlockId, Headers, Height, Ledger, U256, Weight};
use parking_lot::Mutex;

/// Work on top of a block before its checks may be skipped, as time at the best header's rate: two weeks.
const BURIED_SECONDS: u64 = 60 * 60 * 24 * 7 * 2;

/// Finds the assumed-valid block in a branch and remembers where.
///
/// A branch is asked by height, the block is known by id: the first search walks, later ones only the new end of the branch.
#[derive(Debug, Default)]
pub(crate) struct Finder(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    found: Option<Height>,
    /// The end of a branch that does not hold the block.
    searched: Option<(Height, BlockId)>,
}

impl Finder {
    /// The block `id`, if it lies on the branch.
    pub(crate) fn find<L: Ledger>(&self, id: BlockId, branch: &Headers<L>) -> Option<Headers<L>> {
        let mut memory = self.0.lock();
        if let Some(height) = memory.found {
            return branch.ancestor(height).filter(|block| block.id() == id);
        }
        let searched = memory.searched;
        let is_fresh = |block: &Headers<L>| searched != Some((block.height(), block.id()));
        let found = branch.down().take_while(is_fresh).find(|block| block.id() == id);
        match &found {
            Some(block) => memory.found = Some(block.height()),
            None => memory.searched = Some((branch.height(), branch.id())),
        }
        found
    }
}

/// Whether the work on top of `block` would take more than two weeks at the rate of the best header
/// (Bitcoin Core `GetBlockProofEquivalentTime`).
pub(crate) fn is_buried<L: Ledger>(
    block: &Headers<L>,
    best: &Headers<L>,
    best_work: Weight,
    spacing_seconds: u32,
) -> bool {
    let on_top = best.weight().0.saturating_sub(block.weight().0);
    let seconds = on_top.saturating_mul(U256::from(spacing_seconds)).checked_div(best_work.0);
    seconds.is_some_and(|seconds| seconds > U256::from(BURIED_SECONDS))
}
