//! Blobs: what is checked of them (EIP-4844, EIP-7594), and where they wait while their transaction is in a block.
//!
//! Blocks hold no blobs, and a transaction without them cannot go into another block. So when a block takes one, its blobs
//! go to the [`Limbo`], from where a reorganisation brings them back.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_eips::eip4844::env_settings::EnvKzgSettings;
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

/// Judges the blobs of a transaction: counts, hashes, and proofs by KZG, which takes milliseconds (geth `validateBlobTx`).
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
    let verified = sidecar.validate(hashes, EnvKzgSettings::Default.get());
    verified.map_err(|error| invalid_with("KZG verification error", error.to_string()))
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
/// How many transactions' blobs are kept: blocks hold few.
const LIMBO_MAX: usize = 1024;

/// Blobs of transactions that blocks have taken.
#[derive(Debug, Default)]
pub(super) struct Limbo {
    blobs: HashMap<B256, (u64, Arc<Sidecar>)>,
    by_height: BTreeSet<(u64, B256)>,
}

impl Limbo {
    /// Keeps the blobs of a transaction that the block at `height` took.
    pub(super) fn keep(&mut self, hash: B256, sidecar: Arc<Sidecar>, height: u64) {
        self.take(&hash);
        self.blobs.insert(hash, (height, sidecar));
        self.by_height.insert((height, hash));
        while self.blobs.len() > LIMBO_MAX
            && let Some((_, oldest)) = self.by_height.first().copied()
        {
            self.take(&oldest);
        }
    }

    /// Gives back what was kept.
    pub(super) fn take(&mut self, hash: &B256) -> Option<Arc<Sidecar>> {
        let (height, sidecar) = self.blobs.remove(hash)?;
        self.by_height.remove(&(height, *hash));
        Some(sidecar)
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
        assert_eq!(self.blobs.len(), self.by_height.len());
        self.blobs.len()
    }
}
