//! A second trie, for proofs at blocks other than the one the import stands at.
//!
//! The trie that checks blocks is never moved for a reader's sake. Whoever serves `eth_getProof` keeps this one, moves it
//! to the block asked for by the deltas of the journal, and proves there. Moving costs time by the block, so there is a
//! bound on it.

use alloy_primitives::{Address, B256, U256};
use chainwright_chain::{Bodies, Delta, Fault, Headers, Height, Index, Ledger, View};

use super::StateTrie;
use super::proof::AccountProof;

/// Why there is no proof at a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Too many blocks lie between where the trie stands and the block asked for.
    #[error("block is {distance} blocks away, proofs reach {distance_max} (ask nearer to block {at})")]
    TooFar {
        /// Blocks to undo and blocks to follow, together.
        distance: u32,
        /// How many are allowed.
        distance_max: u32,
        /// Where the trie stands.
        at: Height,
    },
    /// A block on the way was never executed, or the journal no longer holds what it did.
    #[error("the journal does not hold what block {0} did")]
    NotInJournal(Height),
    /// Our own failure.
    #[error("internal fault: {0}")]
    Fault(#[from] Fault),
}

/// A trie that stands at any executed block within reach, and proves there.
pub struct ProofTrie<L: Ledger> {
    trie: StateTrie,
    at: Headers<L>,
    distance_max: u32,
}

impl<L: Ledger> ProofTrie<L> {
    /// A trie at the block of a view, whose rows it is loaded from. It will move up to `distance_max` blocks at once.
    ///
    /// # Errors
    /// A [`Fault`] when the rows cannot be read or mean nothing.
    pub fn load(view: &View<L>, distance_max: u32) -> Result<Self, Fault> {
        Ok(Self { trie: StateTrie::load(&view.state)?, at: view.headers.clone(), distance_max })
    }

    /// The block stood at.
    pub const fn at(&self) -> &Headers<L> {
        &self.at
    }

    /// Bytes of memory the trie holds.
    pub fn memory(&self) -> usize {
        self.trie.memory()
    }

    /// Moves to a block: down to the fork by inverse deltas, up by deltas.
    ///
    /// # Errors
    /// [`ProofError::TooFar`], before anything moves; the others wherever they are met: the trie then stands at a block
    /// on the way, and can be asked again.
    pub fn move_to(&mut self, to: &Headers<L>, bodies: &dyn Bodies) -> Result<(), ProofError> {
        let fork = self.at.fork_point(to);
        let distance = self.at.height().above(fork.height()).saturating_add(to.height().above(fork.height()));
        if distance > self.distance_max {
            let (distance_max, at) = (self.distance_max, self.at.height());
            return Err(ProofError::TooFar { distance, distance_max, at });
        }
        while self.at.height() > fork.height() {
            let Some(parent) = self.at.parent() else { break };
            let delta = delta_of(&self.at, bodies)?;
            self.trie.follow(&delta.inverse());
            self.at = parent;
        }
        let mut way: Vec<_> = to.down().take_while(|block| block.height() > fork.height()).collect();
        while let Some(block) = way.pop() {
            self.trie.follow(&delta_of(&block, bodies)?);
            self.at = block;
        }
        Ok(())
    }

    /// Moves to a block and gives the root its state would have after `delta`.
    ///
    /// # Errors
    /// As [`ProofTrie::move_to`].
    pub fn root_after(
        &mut self,
        at: &Headers<L>,
        bodies: &dyn Bodies,
        delta: &Delta,
    ) -> Result<B256, ProofError> {
        self.move_to(at, bodies)?;
        self.trie.follow(delta);
        let root = self.trie.root();
        self.trie.follow(&delta.inverse());
        let root = root?.ok_or_else(|| Fault::new("the state trie has no root"))?;
        Ok(B256::from(root.0))
    }

    /// Moves to a block and proves an account and slots of it there (EIP-1186).
    ///
    /// # Errors
    /// As [`ProofTrie::move_to`].
    pub fn prove(
        &mut self,
        at: &Headers<L>,
        bodies: &dyn Bodies,
        address: Address,
        slots: &[U256],
    ) -> Result<AccountProof, ProofError> {
        self.move_to(at, bodies)?;
        Ok(self.trie.prove(address, slots)?)
    }
}

fn delta_of<L: Ledger>(block: &Headers<L>, bodies: &dyn Bodies) -> Result<Delta, ProofError> {
    let connected = bodies.connected(&block.id())?;
    Ok(connected.ok_or_else(|| ProofError::NotInJournal(block.height()))?.delta)
}
