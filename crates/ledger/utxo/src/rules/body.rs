//! What a block's bytes alone prove (Bitcoin Core `CheckBlock` and `IsBlockMutated`).

use chainwright_chain::{Reason, Reject};

use super::{SIGOP_COST_MAX, signet};
use crate::block::{Block, WitnessCommitmentError};
use crate::check::{BLOCK_WEIGHT_MAX, check_transaction_up_to};
use crate::params::Parameters;
use crate::script::legacy_sigops;
use crate::tx::{Transaction, WITNESS_SCALE_FACTOR};

/// What [`crate::Utxo`] finds out about a block before it knows its parent.
#[derive(Debug)]
pub struct BlockFacts {
    /// Signature operations outside witnesses and redeemed scripts, per transaction.
    pub(crate) legacy_sigops: Vec<u32>,
    /// Whether the witnesses are those committed to, if witnesses are allowed at all.
    pub(crate) witness: Result<(), WitnessCommitmentError>,
    /// Whether any transaction has a witness.
    pub(crate) has_witness: bool,
    /// Weight units of the whole block.
    pub weight: usize,
    /// Bytes on the wire.
    pub total_size: usize,
    /// Bytes without witnesses.
    pub stripped_size: usize,
}

/// Checks a block without context.
pub(crate) fn check_body(parameters: &Parameters, block: &Block) -> Result<BlockFacts, Reject> {
    check_merkle_root(block)?;
    check_64_bytes(block)?;
    signet::check_solution(parameters, block)?;
    check_unsigned(parameters, block)
}

/// The same for a block just built, whose Merkle root is right and whose solution is still to come.
pub(crate) fn check_unsigned(parameters: &Parameters, block: &Block) -> Result<BlockFacts, Reject> {
    let stripped_size = block.stripped_size();
    check_shape(block, stripped_size)?;
    check_transactions(parameters, block)?;
    let legacy_sigops: Vec<u32> = block.transactions.iter().map(count_legacy_sigops).collect();
    if legacy_sigops.iter().map(|&count| count as usize).sum::<usize>() * WITNESS_SCALE_FACTOR
        > SIGOP_COST_MAX
    {
        return Err(invalid("bad-blk-sigops", "out-of-bounds SigOpCount"));
    }
    let total_size = block.total_size();
    Ok(BlockFacts {
        legacy_sigops,
        witness: block.check_witness_commitment(true),
        has_witness: block.transactions.iter().any(Transaction::has_witness),
        weight: stripped_size * (WITNESS_SCALE_FACTOR - 1) + total_size,
        total_size,
        stripped_size,
    })
}

pub(crate) fn invalid(code: &'static str, detail: impl Into<String>) -> Reject {
    Reject::Invalid(Reason::with(code, detail))
}

pub(crate) fn mutated(code: &'static str, detail: impl Into<String>) -> Reject {
    Reject::Mutated(Reason::with(code, detail))
}

fn check_merkle_root(block: &Block) -> Result<(), Reject> {
    let computed = block.merkle_root();
    if computed.root != block.header.merkle_root {
        return Err(mutated("bad-txnmrklroot", "hashMerkleRoot mismatch"));
    }
    if computed.mutated {
        return Err(mutated("bad-txns-duplicate", "duplicate transaction"));
    }
    Ok(())
}

/// A transaction of 64 bytes can be an inner node of the Merkle tree of an honest block with the same id. With a
/// coinbase in front that would take 224 bits of work.
fn check_64_bytes(block: &Block) -> Result<(), Reject> {
    let starts_with_coinbase = block.transactions.first().is_some_and(Transaction::is_coinbase);
    let is_node = |transaction: &Transaction| transaction.stripped_size() == 64;
    if !starts_with_coinbase && block.transactions.iter().any(is_node) {
        return Err(mutated("bad-cb-missing", "first tx is not coinbase and one has 64 bytes"));
    }
    Ok(())
}

fn check_shape(block: &Block, stripped_size: usize) -> Result<(), Reject> {
    let count = block.transactions.len();
    if count == 0
        || count * WITNESS_SCALE_FACTOR > BLOCK_WEIGHT_MAX
        || stripped_size * WITNESS_SCALE_FACTOR > BLOCK_WEIGHT_MAX
    {
        return Err(invalid("bad-blk-length", "size limits failed"));
    }
    if !block.transactions[0].is_coinbase() {
        return Err(invalid("bad-cb-missing", "first tx is not coinbase"));
    }
    if block.transactions[1..].iter().any(Transaction::is_coinbase) {
        return Err(invalid("bad-cb-multiple", "more than one coinbase"));
    }
    Ok(())
}

fn check_transactions(parameters: &Parameters, block: &Block) -> Result<(), Reject> {
    for transaction in &block.transactions {
        check_transaction_up_to(transaction, parameters.money_max).map_err(|error| {
            let detail = format!("Transaction check failed (tx hash {})", transaction.txid());
            Reject::Invalid(Reason::with(error.to_string(), detail))
        })?;
    }
    Ok(())
}

/// Bitcoin Core `GetLegacySigOpCount`.
pub(crate) fn count_legacy_sigops(transaction: &Transaction) -> u32 {
    let inputs = transaction.inputs().iter().map(|input| input.script_sig.as_bytes());
    let outputs = transaction.outputs().iter().map(|output| output.script_pubkey.as_bytes());
    inputs.chain(outputs).map(|script| legacy_sigops(script, false) as u32).sum()
}
