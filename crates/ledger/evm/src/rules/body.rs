//! A body against its header, and against the headers before it.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, Transaction as _, proofs};
use alloy_eips::Typed2718 as _;
use alloy_eips::eip4844::{DATA_GAS_PER_BLOB, VERSIONED_HASH_VERSION_KZG};
use alloy_primitives::Address;
use alloy_trie::root::ordered_trie_root_encoded;
use chainwright_chain::{Headers, Ledger, Reject};

use super::{invalid, ommers, recover};
use crate::config::{ChainConfig, Fork};
use crate::senders::SenderCache;
use crate::types::{EvmBlock, EvmHeader, EvmTx, TxEnvelope};

/// EIP-7934: ten mebibytes less two for what the consensus layer adds, since Osaka.
pub(crate) const BLOCK_SIZE_MAX: usize = 10 * 1024 * 1024 - 2 * 1024 * 1024;

/// What a block's bytes proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmFacts {
    /// The rules that hold for the block.
    pub fork: Fork,
    /// Who signed each transaction, in the block's order.
    pub senders: Vec<Address>,
}

/// What a block's bytes alone prove: that the header commits to this body, that the types of transactions exist, and who
/// signed them.
///
/// # Errors
/// [`Reject::Mutated`] when the header commits to another body, else [`Reject::Invalid`]; words begin with `body-`.
pub fn prepare(config: &ChainConfig, senders: &SenderCache, block: &EvmBlock) -> Result<EvmFacts, Reject> {
    check_roots(block)?;
    let fork = config.fork(&block.header);
    if fork >= Fork::Osaka {
        let size = block.encoded_length();
        if size > BLOCK_SIZE_MAX {
            let detail = format!("block RLP-encoded size exceeds maximum: {size} > {BLOCK_SIZE_MAX}");
            return Err(invalid("body-size", detail));
        }
    }
    for (position, tx) in block.transactions.iter().enumerate() {
        check_transaction(config, fork, tx)
            .map_err(|(code, detail)| invalid(code, format!("tx {position} [{}]: {detail}", tx.hash())))?;
    }
    check_blobs(config, fork, block)?;
    recover::assume_impersonated(config, &block.transactions);
    let senders = recover::recover_all(senders, &block.transactions).map_err(|position| {
        invalid("body-signature", format!("tx {position}: invalid transaction v, r, s values"))
    })?;
    Ok(EvmFacts { fork, senders })
}

/// Whether the header commits to this very body.
fn check_roots(block: &EvmBlock) -> Result<(), Reject> {
    let header: &Header = &block.header;
    let mutated = |code, detail: String| Reject::Mutated(chainwright_chain::Reason::with(code, detail));
    let raw: Vec<&[u8]> = block.transactions.iter().map(|tx| tx.raw().as_ref()).collect();
    let root = ordered_trie_root_encoded(&raw);
    if root != header.transactions_root {
        let detail =
            format!("transaction root hash mismatch: have {root}, want {}", header.transactions_root);
        return Err(mutated("body-transactions-root", detail));
    }
    let hash = if block.ommers.is_empty() {
        EMPTY_OMMER_ROOT_HASH
    } else {
        proofs::calculate_ommers_root(&block.ommers)
    };
    if hash != header.ommers_hash {
        let detail = format!("uncle root hash mismatch: have {hash}, want {}", header.ommers_hash);
        return Err(mutated("body-ommers", detail));
    }
    match (&block.withdrawals, header.withdrawals_root) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(mutated("body-withdrawals", "missing withdrawals in block body".into())),
        (Some(_), None) => Err(mutated("body-withdrawals", "withdrawals present in block body".into())),
        (Some(withdrawals), Some(want)) => {
            let have = proofs::calculate_withdrawals_root(withdrawals);
            if have == want {
                return Ok(());
            }
            let detail = format!("withdrawals root hash mismatch: have {have}, want {want}");
            Err(mutated("body-withdrawals-root", detail))
        }
    }
}

/// What a transaction's own bytes and the fork decide; a word and geth's for it.
pub(crate) fn check_transaction(
    config: &ChainConfig,
    fork: Fork,
    tx: &EvmTx,
) -> Result<(), (&'static str, String)> {
    let first = match tx.ty() {
        0 => Fork::Frontier,
        1 => Fork::Berlin,
        2 => Fork::London,
        3 => Fork::Cancun,
        _ => Fork::Prague,
    };
    if fork < first {
        return Err(("body-transaction-type", "transaction type not supported".into()));
    }
    if let Some(chain_id) = tx.chain_id() {
        // EIP-155.
        if fork < Fork::SpuriousDragon || chain_id != config.chain_id {
            let detail = format!("invalid chain id for signer: have {chain_id} want {}", config.chain_id);
            return Err(("body-chain-id", detail));
        }
    }
    if fork >= Fork::Homestead && !tx.has_low_s() {
        return Err(("body-signature", "invalid transaction v, r, s values".into()));
    }
    match tx.envelope() {
        TxEnvelope::Eip4844(signed) => check_blob_hashes(config, fork, &signed.tx().blob_versioned_hashes),
        TxEnvelope::Eip7702(signed) if signed.tx().authorization_list.is_empty() => {
            Err(("body-authorizations", "EIP-7702 transaction with empty auth list".into()))
        }
        _ => Ok(()),
    }
}

/// EIP-4844 § Execution layer validation.
fn check_blob_hashes(
    config: &ChainConfig,
    fork: Fork,
    hashes: &[alloy_primitives::B256],
) -> Result<(), (&'static str, String)> {
    if hashes.is_empty() {
        return Err(("body-blobs", "blob transaction missing blob hashes".into()));
    }
    let max = config.blob_params(fork).map_or(0, |params| params.max_blobs_per_tx);
    if hashes.len() as u64 > max {
        let detail = format!("blob transaction has too many blobs (have {}, max {max})", hashes.len());
        return Err(("body-blobs", detail));
    }
    match hashes.iter().position(|hash| hash[0] != VERSIONED_HASH_VERSION_KZG) {
        Some(position) => Err(("body-blobs", format!("blob {position} has invalid hash version"))),
        None => Ok(()),
    }
}

/// The header's blob gas is what the transactions' blobs make.
fn check_blobs(config: &ChainConfig, fork: Fork, block: &EvmBlock) -> Result<(), Reject> {
    if config.blob_params(fork).is_none() {
        return Ok(());
    }
    let blobs: usize =
        block.transactions.iter().filter_map(|tx| tx.blob_versioned_hashes()).map(<[_]>::len).sum();
    let have = (blobs as u64).saturating_mul(DATA_GAS_PER_BLOB);
    let want = block.header.blob_gas_used.unwrap_or(0);
    if have != want {
        let detail = format!("blob gas used mismatch (header {want}, calculated {have})");
        return Err(invalid("body-blob-gas", detail));
    }
    Ok(())
}

/// What a body and the headers before it prove: that its ommers are stale children of recent ancestors.
///
/// # Errors
/// [`Reject::Invalid`] with a word that begins with `body-`.
pub fn check_body<L: Ledger<Header = EvmHeader>>(
    config: &ChainConfig,
    block: &EvmBlock,
    parent: &Headers<L>,
) -> Result<(), Reject> {
    if block.ommers.is_empty() {
        return Ok(());
    }
    ommers::check(config, block, parent)
}
