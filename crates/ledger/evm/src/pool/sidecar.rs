//! Blobs: what is checked of them (EIP-4844, EIP-7594), and where they wait while their transaction is in a block.
//!
//! Blocks hold no blobs, and a transaction without them cannot go into another block. So when a block takes one, its blobs
//! go to the [`Limbo`], from where a reorganisation brings them back.
//!
//! Proofs take milliseconds, so they come last, after what the account can pay; geth looks at them first.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_eips::eip4844::kzg_to_versioned_hash;
use alloy_primitives::B256;
use chainwright_chain::Refusal;

use super::terms::Terms;
use super::words::{TIP_TOO_LOW, invalid, invalid_with, policy, policy_with};
use crate::config::Fork;
use crate::types::{EvmTx, Sidecar};

/// The least a blob's gas can cost, in wei (EIP-4844 `MIN_BASE_FEE_PER_BLOB_GAS`).
const BLOB_FEE_MIN: u128 = 1;
/// Proofs of one blob since Osaka (EIP-7594 `CELLS_PER_EXT_BLOB`).
const CELLS_PER_BLOB: usize = 128;

/// Judges the blobs of a transaction but for their proofs: counts and hashes (geth `validateBlobTx`).
pub(super) fn check(tx: &EvmTx, terms: &Terms) -> Result<(), Refusal> {
    let Some(sidecar) = tx.sidecar() else {
        return Err(policy("missing sidecar in blob transaction"));
    };
    let fee_cap = tx.max_fee_per_blob_gas().unwrap_or_default();
    if fee_cap < BLOB_FEE_MIN {
        let detail = format!("blob fee cap {fee_cap}, minimum needed {BLOB_FEE_MIN}");
        return Err(policy_with(TIP_TOO_LOW, detail));
    }
    let hashes = tx.blob_versioned_hashes().unwrap_or_default();
    if hashes.is_empty() {
        return Err(invalid("blobless blob transaction"));
    }
    check_counts(sidecar, hashes)?;
    match (&**sidecar, terms.fork >= Fork::Osaka) {
        (Sidecar::Eip4844(_), true) => return Err(policy("legacy blob tx is not supported")),
        (Sidecar::Eip7594(_), false) => return Err(policy("cell proof is not supported yet")),
        _ => {}
    }
    Ok(())
}

/// Judges the proofs of what [`check`] let through, by KZG: milliseconds, unless whoever handed it in has done so.
pub(super) fn check_proofs(tx: &EvmTx) -> Result<(), Refusal> {
    tx.verify_blobs().map_err(|error| invalid_with("KZG verification error", error))
}

fn check_counts(sidecar: &Sidecar, hashes: &[B256]) -> Result<(), Refusal> {
    let wrong = |detail: String| Refusal::Invalid(chainwright_chain::Reason::with(detail, ""));
    let (blobs, commitments) = (sidecar.blobs().len(), sidecar.commitments().len());
    if blobs != hashes.len() {
        return Err(wrong(format!(
            "invalid number of {blobs} blobs compared to {} blob hashes",
            hashes.len()
        )));
    }
    if commitments != hashes.len() {
        let hashes = hashes.len();
        return Err(wrong(format!(
            "invalid number of {commitments} blob commitments compared to {hashes} blob hashes"
        )));
    }
    for (at, (commitment, expected)) in sidecar.commitments().iter().zip(hashes).enumerate() {
        let computed = kzg_to_versioned_hash(commitment.as_slice());
        if computed != *expected {
            return Err(wrong(format!(
                "blob {at}: computed hash {computed} mismatches transaction one {expected}"
            )));
        }
    }
    let (proofs, expected) = match sidecar {
        Sidecar::Eip4844(sidecar) => (sidecar.proofs.len(), hashes.len()),
        Sidecar::Eip7594(sidecar) => (sidecar.cell_proofs.len(), hashes.len() * CELLS_PER_BLOB),
    };
    if proofs != expected {
        return Err(wrong(format!("invalid number of {proofs} blob proofs expected {expected}")));
    }
    Ok(())
}

/// Encoded bytes of a transaction with its blobs.
pub(super) fn bytes_of(tx: &EvmTx) -> usize {
    tx.raw().len() + tx.sidecar().map_or(0, |sidecar| sidecar.rlp_encoded_fields_length())
}

/// How many blocks ago a transaction may have been taken for its blobs to be kept.
const LIMBO_BLOCKS: u64 = 64;
/// How many transactions with blobs are kept: blocks hold few.
const LIMBO_MAX: usize = 1024;
/// Encoded bytes of what is kept: the blobs of about as many blocks, at six of 128 KiB in each.
const LIMBO_BYTES_MAX: usize = 128 << 20;

/// Transactions with their blobs that blocks have taken without. The lowest blocks' are the first to go.
#[derive(Debug, Default)]
pub(super) struct Limbo {
    kept: HashMap<B256, (u64, Arc<EvmTx>)>,
    by_height: BTreeSet<(u64, B256)>,
    bytes: usize,
}

impl Limbo {
    /// Keeps a transaction with its blobs that the block at `height` took.
    pub(super) fn keep(&mut self, tx: Arc<EvmTx>, height: u64) {
        let hash = tx.hash();
        self.take(&hash);
        self.bytes += bytes_of(&tx);
        self.kept.insert(hash, (height, tx));
        self.by_height.insert((height, hash));
        while (self.kept.len() > LIMBO_MAX || self.bytes > LIMBO_BYTES_MAX)
            && let Some((_, oldest)) = self.by_height.first().copied()
        {
            self.take(&oldest);
        }
    }

    /// Gives back what was kept.
    pub(super) fn take(&mut self, hash: &B256) -> Option<Arc<EvmTx>> {
        let (height, tx) = self.kept.remove(hash)?;
        self.by_height.remove(&(height, *hash));
        self.bytes -= bytes_of(&tx);
        Some(tx)
    }

    /// Lets go of what is too deep for a reorganisation.
    pub(super) fn prune(&mut self, head: u64) {
        while let Some((height, hash)) = self.by_height.first().copied()
            && height.saturating_add(LIMBO_BLOCKS) < head
        {
            self.take(&hash);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.kept.len(), self.by_height.len());
        assert_eq!(self.bytes, self.kept.values().map(|(_, tx)| bytes_of(tx)).sum::<usize>());
        self.kept.len()
    }
}
