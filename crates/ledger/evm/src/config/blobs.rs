//! How many blobs a block may hold, and how fast their price moves (EIP-4844, EIP-7691, EIP-7840, EIP-7892).

use alloy_eips::eip7840::BlobParams;

use super::{Fork, ForkSchedule};

/// EIP-7594: blobs per transaction since Osaka.
const BLOBS_PER_TRANSACTION_OSAKA: u64 = 6;

/// EIP-7918: execution gas that a blob costs at least since Osaka.
const BLOB_BASE_COST: u64 = 1 << 13;

/// The forks that may change blob counts.
pub(super) const BLOB_FORKS: [Fork; 8] =
    [Fork::Cancun, Fork::Prague, Fork::Osaka, Fork::Bpo1, Fork::Bpo2, Fork::Bpo3, Fork::Bpo4, Fork::Bpo5];

/// What one fork says of blobs; the names are the genesis file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobCounts {
    /// Blobs per block at which the price stays.
    pub target: u64,
    /// Blobs a block may hold.
    pub max: u64,
    /// How slowly the price moves.
    pub base_fee_update_fraction: u64,
}

/// Blob counts by the fork that brings them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlobSchedule([Option<BlobCounts>; BLOB_FORKS.len()]);

impl BlobSchedule {
    /// Mainnet's: 3/6 blobs since Cancun, 6/9 since Prague, 10/15 since BPO1, 14/21 since BPO2.
    pub fn ethereum() -> Self {
        let counts = |target, max, base_fee_update_fraction| {
            Some(BlobCounts { target, max, base_fee_update_fraction })
        };
        let mut schedule = Self::default();
        schedule.set(Fork::Cancun, counts(3, 6, 3_338_477));
        schedule.set(Fork::Prague, counts(6, 9, 5_007_716));
        schedule.set(Fork::Osaka, counts(6, 9, 5_007_716));
        schedule.set(Fork::Bpo1, counts(10, 15, 8_346_193));
        schedule.set(Fork::Bpo2, counts(14, 21, 11_684_671));
        schedule
    }

    /// Sets what a fork says of blobs; forks before Cancun say nothing.
    pub fn set(&mut self, fork: Fork, counts: Option<BlobCounts>) {
        if let Some(position) = BLOB_FORKS.iter().position(|other| *other == fork) {
            self.0[position] = counts;
        }
    }

    /// What a fork itself says of blobs.
    pub fn get(&self, fork: Fork) -> Option<BlobCounts> {
        let position = BLOB_FORKS.iter().position(|other| *other == fork)?;
        self.0[position]
    }

    /// What holds under the rules of `fork`: the latest scheduled fork that says anything.
    pub(super) fn at(&self, fork: Fork, forks: &ForkSchedule) -> Option<BlobParams> {
        let counts = BLOB_FORKS
            .into_iter()
            .rev()
            .filter(|other| *other <= fork && forks.get(*other).is_some())
            .find_map(|other| self.get(other))?;
        let osaka = fork >= Fork::Osaka;
        Some(BlobParams {
            target_blob_count: counts.target,
            max_blob_count: counts.max,
            update_fraction: u128::from(counts.base_fee_update_fraction),
            min_blob_fee: 1,
            max_blobs_per_tx: if osaka { BLOBS_PER_TRANSACTION_OSAKA.min(counts.max) } else { counts.max },
            blob_base_cost: if osaka { BLOB_BASE_COST } else { 0 },
        })
    }
}
