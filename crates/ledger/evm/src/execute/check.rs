//! Executing a whole block and comparing what came of it with what its header claims.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256};
use alloy_trie::root::ordered_trie_root_with_encoder;
use chainwright_chain::{Delta, Jobs, Reason, Reject};

use super::block::{Executor, Finished};
use super::requests::requests_hash;
use crate::config::{ChainConfig, Fork};
use crate::state::Overlay;
use crate::types::{EvmBlock, EvmReceipt, EvmReceipts};

/// Executes a block on its parent's state, given who signed its transactions. Bloom and root of the receipts are compared
/// in a deferred check.
///
/// # Errors
/// [`Reject::Invalid`] with a code that begins with `execution-`, or [`Reject::Fault`].
pub fn execute_block(
    config: &ChainConfig,
    overlay: Overlay,
    block: &EvmBlock,
    senders: &[Address],
    jobs: &mut Jobs,
) -> Result<(Delta, Arc<EvmReceipts>), Reject> {
    let header = &block.header;
    let mut executor = Executor::new(config, header, overlay)?;
    executor.begin()?;
    for (index, (tx, sender)) in block.transactions.iter().zip(senders).enumerate() {
        executor.transact(tx, *sender).map_err(|error| {
            let detail = |why: &_| format!("could not apply tx {index} [{}]: {why}", tx.hash());
            error.reject("execution-transaction", detail)
        })?;
    }
    let finished = executor.finish(&block.ommers, block.withdrawals.as_deref())?;
    check_sums(config, header, &finished)?;
    let receipts = Arc::new(finished.receipts);
    if jobs.wanted() {
        let (header, receipts) = (block.header.clone(), Arc::clone(&receipts));
        jobs.push(move || check_receipts(&header, &receipts));
    }
    Ok((finished.overlay.delta()?, receipts))
}

/// What is cheap to compare: gas and requests.
fn check_sums(config: &ChainConfig, header: &Header, finished: &Finished) -> Result<(), Reject> {
    let Finished { gas_used, receipts, .. } = finished;
    if *gas_used != header.gas_used {
        let detail = format!("invalid gas used (remote: {} local: {gas_used})", header.gas_used);
        return Err(Reject::Invalid(Reason::with("execution-gas-used", detail)));
    }
    if config.fork(header) >= Fork::Prague {
        let hash = requests_hash(&receipts.requests);
        if header.requests_hash != Some(hash) {
            let claimed = header.requests_hash.unwrap_or_default();
            let detail = format!("invalid requests hash (remote: {claimed:x} local: {hash:x})");
            return Err(Reject::Invalid(Reason::with("execution-requests-hash", detail)));
        }
    }
    Ok(())
}

/// What takes hashing: the bloom filter and the root of the receipts.
fn check_receipts(header: &Header, receipts: &EvmReceipts) -> Result<(), Reason> {
    let bloom = receipts.bloom();
    if bloom != header.logs_bloom {
        let detail = format!("invalid bloom (remote: {:x}  local: {bloom:x})", header.logs_bloom);
        return Err(Reason::with("execution-bloom", detail));
    }
    let root = receipts_root(&receipts.receipts);
    if root != header.receipts_root {
        let detail =
            format!("invalid receipt root hash (remote: {:x} local: {root:x})", header.receipts_root);
        return Err(Reason::with("execution-receipts-root", detail));
    }
    Ok(())
}

/// The root of the trie of receipts (yellow paper, § 4.4.2).
pub fn receipts_root(receipts: &[EvmReceipt]) -> B256 {
    ordered_trie_root_with_encoder(receipts, |receipt, out| receipt.encode_consensus(out))
}
