//! The state root after each transaction, which receipts held before Byzantium (EIP-658 took it away).

use alloy_primitives::B256;
use chainwright_chain::{Delta, Fault, Index, StateView};

use crate::state::Overlay;
use crate::trie::StateTrie;

/// A trie that walks along with a block.
///
/// It is loaded from the rows for each block. That is slow for a large state, and exact; public chains left these rules
/// behind in 2017.
pub(super) struct RunningRoot {
    trie: StateTrie,
    delta: Delta,
}

impl RunningRoot {
    /// The state before the first transaction.
    pub(super) fn load(view: &StateView) -> Result<Self, Fault> {
        Ok(Self { trie: StateTrie::load(view)?, delta: Delta::empty() })
    }

    /// The root of the state as it stands now.
    pub(super) fn after(&mut self, overlay: &Overlay) -> Result<B256, Fault> {
        let delta = overlay.delta()?;
        self.trie.follow(&self.delta.inverse());
        self.trie.follow(&delta);
        self.delta = delta;
        let root = self.trie.root()?.ok_or_else(|| Fault::new("the state trie has no root"))?;
        Ok(B256::from(root.0))
    }
}
