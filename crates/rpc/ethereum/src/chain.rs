//! Which block a caller means, and what is known of it.

use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256};
use chainwright_chain::{ChainHandle, Codec, Fault, Headers, Height, Published, Status, View};
use chainwright_evm::Evm;
use chainwright_evm::types::{EvmBlock, EvmReceipts};
use chainwright_indexes::IndexError;
use chainwright_rpc::RpcError;

use crate::lookup::{self, Place, RECENT_MAX, Recent};
use crate::past::Library;

/// geth's code for most things that fail on the server's side.
pub(crate) const SERVER_ERROR: i32 = -32000;

/// geth's code for blocks whose bodies were dropped (`core/history`, `PrunedHistoryError`).
const PRUNED: i32 = 4444;

/// The chain as the methods read it.
pub(crate) struct Reader {
    pub(crate) handle: ChainHandle<Evm>,
    recent: Recent,
    pub(crate) library: Library,
}

/// An error of our own disk.
pub(crate) fn fault(fault: Fault) -> RpcError {
    RpcError::new(SERVER_ERROR, format!("internal error: {fault}"))
}

pub(crate) fn server_error(message: impl Into<String>) -> RpcError {
    RpcError::new(SERVER_ERROR, message.into())
}

/// What geth says of a block that is asked for and not there.
pub(crate) fn not_found(block: BlockId) -> RpcError {
    server_error(match block {
        BlockId::Hash(_) => "header for hash not found",
        BlockId::Number(_) => "header not found",
    })
}

impl Reader {
    pub(crate) fn new(handle: ChainHandle<Evm>, library: Library) -> Self {
        Self { handle, recent: Recent::default(), library }
    }

    pub(crate) fn published(&self) -> &Arc<Published<Evm>> {
        self.handle.published()
    }

    pub(crate) fn ledger(&self) -> &Arc<Evm> {
        self.published().ledger()
    }

    /// The block a caller means; `None` if the chain has no such block. What is pending is answered with the head.
    pub(crate) fn headers(&self, block: BlockId) -> Result<Option<Headers<Evm>>, RpcError> {
        let published = self.published();
        let head = || published.head().headers;
        match block {
            BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending) => Ok(Some(head())),
            BlockId::Number(BlockNumberOrTag::Earliest) => Ok(head().ancestor(Height::GENESIS)),
            BlockId::Number(BlockNumberOrTag::Safe) => {
                published.safe().map(Some).ok_or_else(|| server_error("safe block not found"))
            }
            BlockId::Number(BlockNumberOrTag::Finalized) => {
                published.finalized().map(Some).ok_or_else(|| server_error("finalized block not found"))
            }
            BlockId::Number(BlockNumberOrTag::Number(number)) => {
                let Ok(height) = u32::try_from(number) else { return Ok(None) };
                Ok(head().ancestor(Height(height)).filter(|found| found.height() == Height(height)))
            }
            BlockId::Hash(wanted) => {
                let found = self.by_hash(&wanted.block_hash);
                match found {
                    Some(found) if wanted.require_canonical == Some(true) && !published.is_active(&found) => {
                        Err(server_error("hash is not currently canonical"))
                    }
                    // A development chain that went back has no other blocks than its own.
                    Some(found) if self.ledger().config().development && !published.is_active(&found) => {
                        Ok(None)
                    }
                    found => Ok(found),
                }
            }
        }
    }

    /// A block by its hash: one whose body is there, and of which no rule is known to be broken.
    fn by_hash(&self, hash: &B256) -> Option<Headers<Evm>> {
        let known = self.published().block(&chainwright_chain::BlockId(hash.0))?;
        (!matches!(known.status, Status::Header | Status::Invalid(_))).then_some(known.headers)
    }

    /// The chain as it stood after the block a caller means.
    pub(crate) fn view(&self, block: BlockId) -> Result<View<Evm>, RpcError> {
        if matches!(block, BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending)) {
            return Ok(self.published().head());
        }
        let headers = self.headers(block)?.ok_or_else(|| not_found(block))?;
        self.view_at(&headers)
    }

    pub(crate) fn view_at(&self, headers: &Headers<Evm>) -> Result<View<Evm>, RpcError> {
        self.library.view(&self.handle, headers)
    }

    /// Whether nothing but its header is known of a block, since the chain here begins with a later state. Of the block it
    /// begins with there is a body and no receipts.
    fn check_not_pruned(&self, block: &Headers<Evm>, lacks_first: bool) -> Result<(), RpcError> {
        let base = self.published().base();
        if base.height() == Height::GENESIS
            || block.height() > base.height()
            || !lacks_first && block.height() == base.height()
            || !lacks_first && block.height() == Height::GENESIS
        {
            return Ok(());
        }
        let first = if lacks_first { base.height().next() } else { base.height() };
        Err(RpcError::new(
            PRUNED,
            format!("pruned history unavailable: this node knows blocks from {first} on"),
        ))
    }

    /// The body of a block.
    pub(crate) fn body(&self, block: &Headers<Evm>) -> Result<EvmBlock, RpcError> {
        self.check_not_pruned(block, false)?;
        lookup::read(self.published(), block).map_err(fault)
    }

    /// What executing a block gave; `None` if it was never executed here.
    pub(crate) fn receipts(&self, block: &Headers<Evm>) -> Result<Option<EvmReceipts>, RpcError> {
        self.check_not_pruned(block, true)?;
        let Some(bytes) = self.published().bodies().receipts(&block.id()).map_err(fault)? else {
            return Ok(None);
        };
        let receipts = EvmReceipts::decode(&bytes);
        receipts.map(Some).map_err(|error| fault(Fault::new(error.to_string())))
    }

    /// The nonce of an account's next transaction, after those that wait. Pool and head are read as one, or the pool would
    /// have let go of what the head does not count yet.
    pub(crate) fn next_nonce(&self, address: &Address) -> Result<u64, RpcError> {
        let (waiting, head) = {
            let pool = self.published().pool();
            (pool.pending_nonce(address), self.published().head())
        };
        if let Some(nonce) = waiting {
            return Ok(nonce);
        }
        let row = self.ledger().overlay(&head).account(*address).map_err(fault)?;
        Ok(row.map_or(0, |row| row.nonce))
    }

    /// Where a transaction stands in the chain: asked of the index, and of the newest blocks, which it may not know yet.
    pub(crate) fn place(&self, hash: &B256) -> Result<Option<Place>, RpcError> {
        let head = self.published().head().headers;
        let newest = (head.height().0 + 1).saturating_sub(RECENT_MAX);
        // Of blocks below an imported state there are headers alone.
        let newest = newest.max(self.published().base().height().0);
        let (first, is_known) = match self.library.find(&hash.0, &head) {
            Ok((Some((height, index)), _)) => {
                let block = head.ancestor(height);
                return Ok(block.map(|block| Place { block, index: index as usize }));
            }
            Ok((None, unknown)) => (unknown.max(newest), unknown >= newest),
            // What lies further back is not found, as where geth keeps no index of it.
            Err(IndexError::Off(_)) => (newest, true),
            Err(_) => (newest, newest == 0),
        };
        let found = self.recent.find(self.published(), (first, &head), hash).map_err(fault)?;
        if found.is_none() && !is_known {
            return Err(server_error("transaction indexing is in progress"));
        }
        Ok(found)
    }
}
