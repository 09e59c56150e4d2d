//! Where a transaction stands: an index in memory that follows the published chain, pulled up to the head at each query.

use std::collections::HashMap;

use alloy_primitives::B256;
use chainwright_chain::{Fault, Headers, Published};
use chainwright_evm::Evm;
use parking_lot::Mutex;

/// Where a transaction stands in the chain.
#[derive(Clone)]
pub(crate) struct Place {
    /// Its block.
    pub(crate) block: Headers<Evm>,
    /// Its position in the block.
    pub(crate) index: usize,
}

/// The index.
#[derive(Default)]
pub(crate) struct Lookup(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    at: Option<Headers<Evm>>,
    places: HashMap<B256, (u32, u32)>,
}

impl Lookup {
    /// Where a transaction stands in the chain as it is now.
    ///
    /// # Errors
    /// A [`Fault`] when a block on the way cannot be read.
    pub(crate) fn find(&self, published: &Published<Evm>, hash: &B256) -> Result<Option<Place>, Fault> {
        let mut inner = self.0.lock();
        let head = published.head().headers;
        inner.follow(published, &head)?;
        let Some((height, index)) = inner.places.get(hash) else { return Ok(None) };
        let block = head.ancestor(chainwright_chain::Height(*height));
        Ok(block.map(|block| Place { block, index: *index as usize }))
    }
}

impl Inner {
    fn follow(&mut self, published: &Published<Evm>, head: &Headers<Evm>) -> Result<(), Fault> {
        if let Some(at) = self.at.clone() {
            let fork = at.fork_point(head);
            for left in at.down().take_while(|block| block.height() > fork.height()) {
                for tx in read(published, &left)?.transactions {
                    self.places.remove(&tx.hash());
                }
                self.at = left.parent();
            }
        }
        let from = self.at.as_ref().map_or(0, |at| at.height().0 + 1);
        for height in from..=head.height().0 {
            let Some(block) = head.ancestor(chainwright_chain::Height(height)) else { break };
            for (index, tx) in read(published, &block)?.transactions.iter().enumerate() {
                self.places.insert(tx.hash(), (height, index as u32));
            }
            self.at = Some(block);
        }
        Ok(())
    }
}

/// The body of a block of the chain.
pub(crate) fn read(
    published: &Published<Evm>,
    block: &Headers<Evm>,
) -> Result<chainwright_evm::types::EvmBlock, Fault> {
    let missing = || Fault::new(format!("the body of block {} is not stored", block.header().hash()));
    published.read_block(&block.id())?.ok_or_else(missing)
}
