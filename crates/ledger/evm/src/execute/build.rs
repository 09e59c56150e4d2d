//! Making a block: candidates are tried in their order, and what does not fit is left out.

use std::sync::Arc;

use alloy_consensus::{Header, Transaction};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::Address;
use alloy_trie::root::ordered_trie_root_encoded;
use chainwright_chain::{Delta, Fault, Reject};
use revm::context::result::InvalidTransaction;

use super::block::{Executor, Finished};
use super::check::receipts_root;
use super::error::TransactionError;
use super::requests::requests_hash;
use crate::config::{ChainConfig, Fork};
use crate::pool::Best;
use crate::rules::{BLOCK_SIZE_MAX, check_transaction};
use crate::state::Overlay;
use crate::types::{EvmBlock, EvmHeader, EvmReceipts, EvmTx};

/// No transaction asks for less (yellow paper, § 6.2).
const GAS_MIN: u64 = 21_000;

/// Bytes of a block that are not transactions: its header, and room for lengths.
const FRAME_BYTES: usize = 4096;

/// Bytes of the longest block that is built under rules without EIP-7934, where only gas limits blocks: peers take messages of
/// a mebibyte more.
pub const BUILT_BYTES_MAX: usize = 31 << 20;

/// Bytes of transactions that a block has room for.
fn room(fork: Fork, bytes_taken: usize) -> usize {
    let size_max = if fork >= Fork::Osaka { BLOCK_SIZE_MAX } else { BUILT_BYTES_MAX };
    size_max.saturating_sub(FRAME_BYTES + bytes_taken)
}

/// Transactions that want into a block, the best first.
pub trait Candidates {
    /// The next one, and who signed it.
    fn next(&mut self) -> Option<(Arc<EvmTx>, Address)>;

    /// The last one does not fit: nothing of its sender that comes later can.
    fn skip_sender(&mut self);
}

impl Candidates for Best<'_> {
    fn next(&mut self) -> Option<(Arc<EvmTx>, Address)> {
        Iterator::next(self).map(|candidate| (Arc::clone(candidate.tx), candidate.sender))
    }

    fn skip_sender(&mut self) {
        Best::skip_sender(self);
    }
}

/// A plain list, in its own order; whatever does not fit is passed over.
impl Candidates for std::vec::IntoIter<(Arc<EvmTx>, Address)> {
    fn next(&mut self) -> Option<(Arc<EvmTx>, Address)> {
        Iterator::next(self)
    }

    fn skip_sender(&mut self) {}
}

/// A block that was made, not sealed, without its state root.
pub struct Built {
    /// The block.
    pub block: EvmBlock,
    /// What it does to the state.
    pub delta: Delta,
    /// What it reports.
    pub receipts: Arc<EvmReceipts>,
}

/// Fills a block. `header` is what is known before execution ([`child_header`](crate::rules::child_header)); what follows
/// from the transactions is set here, but for the state root.
///
/// # Errors
/// [`Reject::Invalid`] when a system contract forbids any block here, or [`Reject::Fault`].
pub fn build_block(
    config: &ChainConfig,
    overlay: Overlay,
    header: Header,
    withdrawals: Option<Vec<Withdrawal>>,
    candidates: &mut impl Candidates,
) -> Result<Built, Reject> {
    let mut executor = Executor::new(config, &header, overlay)?;
    executor.begin()?;
    let bytes_taken = withdrawals.as_ref().map_or(0, alloy_rlp::Encodable::length);
    let transactions = fill(&mut executor, bytes_taken, candidates)?;
    let finished = executor.finish(&[], withdrawals.as_deref())?;
    let delta = finished.overlay.delta()?;
    let header = EvmHeader::new(complete_header(config, header, &transactions, &finished));
    let block = EvmBlock { header, transactions, ommers: Vec::new(), withdrawals };
    Ok(Built { block, delta, receipts: Arc::new(finished.receipts) })
}

fn fill(
    executor: &mut Executor<'_>,
    bytes_taken: usize,
    candidates: &mut impl Candidates,
) -> Result<Vec<EvmTx>, Fault> {
    let mut bytes_left = room(executor.fork, bytes_taken);
    let mut transactions = Vec::new();
    while executor.gas_left() >= GAS_MIN {
        let Some((tx, sender)) = candidates.next() else { break };
        let bytes = tx.raw().len() + alloy_rlp::length_of_length(tx.raw().len());
        if bytes > bytes_left || !executor.admits(&tx) {
            candidates.skip_sender();
            continue;
        }
        let tx = tx.without_sidecar();
        match executor.transact(&tx, sender) {
            Ok(_) => {
                bytes_left -= bytes;
                transactions.push(tx);
            }
            Err(TransactionError::Fault(fault)) => return Err(fault),
            // It is in the chain already; the next of this sender may be new.
            Err(TransactionError::Invalid { why: InvalidTransaction::NonceTooLow { .. }, .. }) => {}
            Err(_) => candidates.skip_sender(),
        }
    }
    Ok(transactions)
}

impl<I> Executor<'_, I> {
    /// The most blob gas the block may hold (EIP-4844, EIP-7892); none before Cancun.
    pub fn blob_gas_max(&self) -> u64 {
        let blobs = self.config.blob_params(self.fork).map_or(0, |params| params.max_blob_count);
        blobs.saturating_mul(DATA_GAS_PER_BLOB)
    }

    /// Whether the block has room for the transaction's blobs and its fork knows such transactions.
    fn admits(&self, tx: &EvmTx) -> bool {
        let blob_gas = self.blob_gas_used().saturating_add(tx.blob_gas_used().unwrap_or_default());
        blob_gas <= self.blob_gas_max() && check_transaction(self.config, self.fork, tx).is_ok()
    }
}

/// Sets in a header what follows from execution, but for the state root.
pub fn complete_header(
    config: &ChainConfig,
    mut header: Header,
    transactions: &[EvmTx],
    finished: &Finished,
) -> Header {
    let fork = config.fork(&header);
    let raw: Vec<&[u8]> = transactions.iter().map(|tx| tx.raw().as_ref()).collect();
    header.transactions_root = ordered_trie_root_encoded(&raw);
    header.receipts_root = receipts_root(&finished.receipts.receipts);
    header.logs_bloom = finished.receipts.bloom();
    header.gas_used = finished.gas_used;
    header.blob_gas_used = (fork >= Fork::Cancun).then_some(finished.blob_gas_used);
    header.requests_hash = (fork >= Fork::Prague).then(|| requests_hash(&finished.receipts.requests));
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_limited_in_bytes_under_every_fork() {
        for fork in Fork::ALL {
            let size_max = if fork < Fork::Osaka { BUILT_BYTES_MAX } else { BLOCK_SIZE_MAX };
            assert_eq!(room(fork, 1000), size_max - FRAME_BYTES - 1000, "{fork:?}");
        }
        assert_eq!(room(Fork::Cancun, usize::MAX - FRAME_BYTES), 0);
    }
}
