//! What a pool may hold, by geth's names and defaults (`legacypool.Config`, `blobpool.Config`).

/// Bytes of one slot: what a transaction takes of a pool is counted in these (geth `txSlotSize`).
pub(super) const SLOT_BYTES: usize = 32 * 1024;
/// Bytes a transaction without blobs may have (geth `legacypool` `txMaxSize`).
pub(super) const TX_BYTES_MAX: usize = 4 * SLOT_BYTES;
/// Bytes a transaction with its blobs may have (geth `blobpool` `txMaxSize`).
pub(super) const BLOB_TX_BYTES_MAX: usize = 1024 * 1024;
/// Transactions with blobs that one account may have waiting (geth `blobpool` `maxTxsPerAccount`).
pub(super) const BLOB_ACCOUNT_SLOTS: usize = 16;

/// What a pool may hold and asks for. Policy of one node, not a rule of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPolicy {
    /// The least tip a transaction must offer, in wei per gas.
    pub tip_min: u128,
    /// How many per cent more a replacement must offer, of tip and of fee cap.
    pub price_bump_percent: u64,
    /// The same for transactions with blobs, of blob fee cap too.
    pub blob_price_bump_percent: u64,
    /// Executable transactions an account may have even when all accounts together have too many.
    pub account_slots: usize,
    /// Executable transactions of all accounts.
    pub global_slots: usize,
    /// Transactions of an account that wait for an earlier nonce.
    pub account_queue: usize,
    /// Transactions of all accounts that wait for an earlier nonce.
    pub global_queue: usize,
    /// Encoded bytes of all transactions, blobs included.
    pub bytes_max: usize,
    /// Seconds an account's transactions may wait for an earlier nonce without anything happening.
    pub lifetime_seconds: u64,
}

impl Default for PoolPolicy {
    fn default() -> Self {
        Self {
            tip_min: 1,
            price_bump_percent: 10,
            blob_price_bump_percent: 100,
            account_slots: 16,
            global_slots: 4096 + 1024,
            account_queue: 64,
            global_queue: 1024,
            bytes_max: 256 << 20,
            lifetime_seconds: 3 * 60 * 60,
        }
    }
}

impl PoolPolicy {
    /// For development chains: any tip, and room for whatever one machine sends.
    pub const fn development() -> Self {
        Self {
            tip_min: 0,
            price_bump_percent: 10,
            blob_price_bump_percent: 100,
            account_slots: 250_000,
            global_slots: 250_000,
            account_queue: 250_000,
            global_queue: 250_000,
            bytes_max: 1 << 30,
            lifetime_seconds: 3 * 60 * 60,
        }
    }
}
