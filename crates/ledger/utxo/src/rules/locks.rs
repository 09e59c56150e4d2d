//! Lock times: absolute (BIP-0113) and relative (BIP-0068).

use chainwright_chain::{Headers, Height};

use crate::ledger::Utxo;
use crate::tx::{Transaction, TxIn};

/// From here on a lock time is Unix time, below it is a height.
const LOCK_TIME_THRESHOLD: u32 = 500_000_000;
/// A sequence with this bit has no relative lock time.
const DISABLE_FLAG: u32 = 1 << 31;
/// A relative lock time with this bit counts time, not blocks.
const TIME_FLAG: u32 = 1 << 22;
/// The bits of a relative lock time that count.
const VALUE_MASK: u32 = 0xffff;
/// A unit of relative time is 2⁹ = 512 seconds.
const GRANULARITY: u32 = 9;

/// Whether a transaction may be in a block of this height; `time` is what its lock time is compared with (Bitcoin
/// Core `IsFinalTx`).
pub fn is_final(transaction: &Transaction, height: u32, time: u64) -> bool {
    let lock_time = transaction.lock_time();
    let reached =
        if lock_time < LOCK_TIME_THRESHOLD { lock_time < height } else { u64::from(lock_time) < time };
    lock_time == 0 || reached || transaction.inputs().iter().all(|input| input.sequence == u32::MAX)
}

/// The last height and the last median time at which a transaction may *not* yet be in a block; nothing restricts it
/// where there is none (Bitcoin Core `LockPoints`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockPoints {
    /// The last height that is too early.
    pub height: Option<u32>,
    /// The last median time past, of the block before, that is too early.
    pub time: Option<u64>,
}

impl LockPoints {
    /// Whether relative lock times bind this transaction at all.
    pub fn apply_to(transaction: &Transaction) -> bool {
        transaction.version() >= 2
    }

    /// Takes one input into account, whose coin was created at `coin_height` (Bitcoin Core
    /// `CalculateSequenceLocks`). `parent` is the block before the one that shall hold the transaction.
    pub fn add(&mut self, input: &TxIn, coin_height: u32, parent: &Headers<Utxo>) {
        let sequence = input.sequence;
        if sequence & DISABLE_FLAG != 0 {
            return;
        }
        let value = sequence & VALUE_MASK;
        if sequence & TIME_FLAG == 0 {
            // Zero blocks is no lock, even for a coin of the same block.
            let last = (coin_height + value).checked_sub(1);
            self.height = self.height.max(last);
            return;
        }
        // Coins of the same block, or of the next for the pool, count from the parent.
        let before = Height(coin_height.saturating_sub(1)).min(parent.height());
        let created = parent.ancestor(before).map_or(0, |block| block.median_time().0);
        let last = (created + u64::from(value << GRANULARITY)).checked_sub(1);
        self.time = self.time.max(last);
    }

    /// Whether a child of a block of this height and median time past may hold the transaction (Bitcoin Core
    /// `EvaluateSequenceLocks`).
    pub fn are_passed(&self, child_height: u32, parent_median_time: u64) -> bool {
        self.height.is_none_or(|last| last < child_height)
            && self.time.is_none_or(|last| last < parent_median_time)
    }
}
