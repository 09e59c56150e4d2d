//! Where the transactions of the newest blocks stand, in memory: of those that no index on disk knows yet.

use std::collections::{HashMap, VecDeque};

use alloy_primitives::B256;
use chainwright_chain::{Fault, Headers, Height, Published};
use chainwright_evm::Evm;
use chainwright_evm::rules::assume_impersonated;
use chainwright_evm::types::{EvmBlock, EvmTx};
use parking_lot::Mutex;

/// How many blocks are looked through, at most.
pub(crate) const RECENT_MAX: u32 = 1_024;

/// Where a transaction stands in the chain.
#[derive(Clone)]
pub(crate) struct Place {
    /// Its block.
    pub(crate) block: Headers<Evm>,
    /// Its position in the block.
    pub(crate) index: usize,
}

/// The newest blocks' transactions, pulled up to the head at each query.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Without gaps, lowest first.
    blocks: VecDeque<(Headers<Evm>, Vec<B256>)>,
    places: HashMap<B256, (u32, u32)>,
}

impl Recent {
    /// Where a transaction stands in the blocks from `first` up to `head`.
    ///
    /// # Errors
    /// A [`Fault`] when a block on the way cannot be read.
    pub(crate) fn find(
        &self,
        published: &Published<Evm>,
        (first, head): (u32, &Headers<Evm>),
        hash: &B256,
    ) -> Result<Option<Place>, Fault> {
        let mut inner = self.0.lock();
        inner.follow(published, (first, head))?;
        let Some((height, index)) = inner.places.get(hash) else { return Ok(None) };
        Ok(head.ancestor(Height(*height)).map(|block| Place { block, index: *index as usize }))
    }
}

impl Inner {
    fn follow(
        &mut self,
        published: &Published<Evm>,
        (first, head): (u32, &Headers<Evm>),
    ) -> Result<(), Fault> {
        while let Some((_, left)) = self.blocks.pop_back_if(|(block, _)| !head.contains(block)) {
            self.forget(&left);
        }
        while let Some((_, old)) = self.blocks.pop_front_if(|(block, _)| block.height().0 < first) {
            self.forget(&old);
        }
        if self.blocks.front().is_some_and(|(block, _)| block.height().0 > first) {
            *self = Self::default();
        }
        let next = self.blocks.back().map_or(first, |(block, _)| block.height().0 + 1);
        for height in next..=head.height().0 {
            let Some(block) = head.ancestor(Height(height)) else { break };
            let hashes: Vec<_> = read(published, &block)?.transactions.iter().map(EvmTx::hash).collect();
            let places = hashes.iter().enumerate().map(|(index, hash)| (*hash, (height, index as u32)));
            self.places.extend(places);
            self.blocks.push_back((block, hashes));
        }
        Ok(())
    }

    fn forget(&mut self, hashes: &[B256]) {
        for hash in hashes {
            self.places.remove(hash);
        }
    }
}

/// The body of a block of the chain.
pub(crate) fn read(published: &Published<Evm>, block: &Headers<Evm>) -> Result<EvmBlock, Fault> {
    let missing = || Fault::new(format!("the body of block {} is not stored", block.header().hash()));
    let found = published.read_block(&block.id())?.ok_or_else(missing)?;
    assume_impersonated(published.ledger().config(), &found.transactions);
    Ok(found)
}
