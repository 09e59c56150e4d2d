//! What headers prove of a header and of a body (Bitcoin Core `ContextualCheckBlockHeader` and
//! `ContextualCheckBlock`). Time and target are the engine's.

use chainwright_chain::{Headers, Prepared, Reason, Reject};

use super::body::{invalid, mutated};
use super::locks::is_final;
use crate::block::{BlockHeader, WitnessCommitmentError};
use crate::check::BLOCK_WEIGHT_MAX;
use crate::ledger::Utxo;
use crate::params::Parameters;
use crate::script::instruction::put_number;

/// Refuses versions that say a miner does not know a rule which holds.
pub(crate) fn check_version(
    parameters: &Parameters,
    header: &BlockHeader,
    parent: &Headers<Utxo>,
) -> Result<(), Reject> {
    let height = parent.height().0 + 1;
    let buried = &parameters.buried;
    let outdated = |version, since| header.version < version && height >= since;
    if outdated(2, buried.bip34) || outdated(3, buried.bip66) || outdated(4, buried.bip65) {
        let version = header.version;
        return Err(Reject::Invalid(Reason::with(
            format!("bad-version(0x{version:08x})"),
            format!("rejected nVersion=0x{version:08x} block"),
        )));
    }
    Ok(())
}

/// Checks a body against the headers before it.
pub(crate) fn check_body(
    parameters: &Parameters,
    block: &Prepared<Utxo>,
    parent: &Headers<Utxo>,
) -> Result<(), Reject> {
    let height = parent.height().0 + 1;
    let buried = &parameters.buried;
    let cutoff =
        if height >= buried.csv { parent.median_time().0 } else { u64::from(block.block.header.time) };
    if !block.block.transactions.iter().all(|transaction| is_final(transaction, height, cutoff)) {
        return Err(invalid("bad-txns-nonfinal", "non-final transaction"));
    }
    if height >= buried.bip34 && !starts_with_height(block, height) {
        return Err(invalid("bad-cb-height", "block height mismatch in coinbase"));
    }
    check_witness(block, height >= buried.segwit)?;
    // Only now: stuffing the coinbase's witness changes the weight and not the id.
    if block.facts.weight > BLOCK_WEIGHT_MAX {
        return Err(invalid("bad-blk-weight", "ContextualCheckBlock : weight limit failed"));
    }
    Ok(())
}

/// What a coinbase's script begins with (BIP-0034).
pub(crate) fn height_script(height: u32) -> Vec<u8> {
    let mut script = Vec::new();
    put_number(&mut script, i64::from(height));
    script
}

fn starts_with_height(block: &Prepared<Utxo>, height: u32) -> bool {
    let coinbase = block.block.transactions.first().and_then(|coinbase| coinbase.inputs().first());
    coinbase.is_some_and(|input| input.script_sig.as_bytes().starts_with(&height_script(height)))
}

/// Bitcoin Core `CheckWitnessMalleation`.
fn check_witness(block: &Prepared<Utxo>, active: bool) -> Result<(), Reject> {
    let found = match (active, block.facts.has_witness) {
        (true, _) => block.facts.witness,
        (false, true) => Err(WitnessCommitmentError::Unexpected),
        (false, false) => Ok(()),
    };
    found.map_err(|error| match error {
        WitnessCommitmentError::NonceSize => {
            mutated("bad-witness-nonce-size", "CheckWitnessMalleation : invalid witness reserved value size")
        }
        WitnessCommitmentError::MerkleMatch => {
            mutated("bad-witness-merkle-match", "CheckWitnessMalleation : witness merkle commitment mismatch")
        }
        WitnessCommitmentError::Unexpected => {
            mutated("unexpected-witness", "CheckWitnessMalleation : unexpected witness data found")
        }
    })
}
