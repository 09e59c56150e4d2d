//! Which block a caller means, and what is known of it.

use std::sync::Arc;

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::B256;
use chainwright_chain::{ChainHandle, Codec, Fault, Headers, Height, PastError, Published, View};
use chainwright_evm::Evm;
use chainwright_evm::types::{EvmBlock, EvmReceipts};
use chainwright_rpc::RpcError;

use crate::lookup::{self, Lookup, Place};

/// geth's code for most things that fail on the server's side.
pub(crate) const SERVER_ERROR: i32 = -32000;

/// How far below the head states are answered for.
pub(crate) const HISTORY_BLOCKS: u32 = 1_024;

/// The chain as the methods read it.
pub(crate) struct Reader {
    pub(crate) handle: ChainHandle<Evm>,
    lookup: Lookup,
}

/// An error of our own disk.
pub(crate) fn fault(fault: Fault) -> RpcError {
    RpcError::new(SERVER_ERROR, format!("internal error: {fault}"))
}

pub(crate) fn server_error(message: impl Into<String>) -> RpcError {
    RpcError::new(SERVER_ERROR, message.into())
}

impl Reader {
    pub(crate) fn new(handle: ChainHandle<Evm>) -> Self {
        Self { handle, lookup: Lookup::default() }
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
                let found = published.headers(&chainwright_chain::BlockId(wanted.block_hash.0));
                match found {
                    Some(found) if wanted.require_canonical == Some(true) && !published.is_active(&found) => {
                        Err(server_error("hash is not currently canonical"))
                    }
                    found => Ok(found),
                }
            }
        }
    }

    /// The chain as it stood after the block a caller means.
    pub(crate) fn view(&self, block: BlockId) -> Result<View<Evm>, RpcError> {
        if matches!(block, BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending)) {
            return Ok(self.published().head());
        }
        let headers = self.headers(block)?.ok_or_else(|| server_error("header not found"))?;
        self.view_at(&headers)
    }

    pub(crate) fn view_at(&self, headers: &Headers<Evm>) -> Result<View<Evm>, RpcError> {
        self.published().view(headers, HISTORY_BLOCKS).map_err(|error| match error {
            PastError::NotInChain => server_error("header not found"),
            PastError::TooOld { .. } => server_error(format!("historical state not available: {error}")),
            PastError::Fault(error) => fault(error),
        })
    }

    /// The body of a block.
    pub(crate) fn body(&self, block: &Headers<Evm>) -> Result<EvmBlock, RpcError> {
        lookup::read(self.published(), block).map_err(fault)
    }

    /// What executing a block gave; `None` if it was never executed here.
    pub(crate) fn receipts(&self, block: &Headers<Evm>) -> Result<Option<EvmReceipts>, RpcError> {
        let Some(connected) = self.published().bodies().connected(&block.id()).map_err(fault)? else {
            return Ok(None);
        };
        let receipts = EvmReceipts::decode(&connected.receipts);
        receipts.map(Some).map_err(|error| fault(Fault::new(error.to_string())))
    }

    /// Where a transaction stands in the chain.
    pub(crate) fn place(&self, hash: &B256) -> Result<Option<Place>, RpcError> {
        self.lookup.find(self.published(), hash).map_err(fault)
    }
}
