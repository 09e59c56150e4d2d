//! Keeping the pool small: the worst chunks go first, and what comes has to pay more than what went.

use chainwright_chain::Timestamp;

use super::{Entry, FeePerKvb, Policy, TransactionPool};

/// Seconds in which the minimum halves when the pool is nearly full.
const HALF_LIFE_SECONDS: f64 = 12.0 * 60.0 * 60.0;

/// The fee rate that space cost lately (Bitcoin Core `rollingMinimumFeeRate`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RollingMinimum {
    /// Satoshi per 1,000 virtual bytes at `since`.
    rate: f64,
    since: Timestamp,
    /// It falls only once a block has come since it rose.
    falls: bool,
}

impl RollingMinimum {
    fn raise(&mut self, rate: FeePerKvb) {
        if rate.0 as f64 > self.rate {
            self.rate = rate.0 as f64;
            self.falls = false;
        }
    }

    /// A block came: from now on the minimum falls.
    pub(super) fn block_came(&mut self, now: Timestamp, fullness: f64) {
        self.rate = self.at(now, fullness);
        self.since = now;
        self.falls = true;
    }

    /// The minimum, without the floor. `fullness` is the share of its memory that the pool takes.
    fn at(&self, now: Timestamp, fullness: f64) -> f64 {
        if !self.falls {
            return self.rate;
        }
        let speed = match fullness {
            share if share < 0.25 => 4.0,
            share if share < 0.5 => 2.0,
            _ => 1.0,
        };
        let seconds = now.0.saturating_sub(self.since.0) as f64;
        self.rate / f64::powf(2.0, seconds * speed / HALF_LIFE_SECONDS)
    }
}

impl TransactionPool {
    fn fullness(&self, policy: &Policy) -> f64 {
        self.memory as f64 / policy.memory_max.max(1) as f64
    }

    /// The fee rate below which nothing is taken because space is short; zero while there is space (Bitcoin Core
    /// `GetMinFee`).
    pub fn fee_min(&self, policy: &Policy, now: Timestamp) -> FeePerKvb {
        let rate = self.minimum.at(now, self.fullness(policy));
        if rate == 0.0 || (self.minimum.falls && rate < policy.incremental_fee.0 as f64 / 2.0) {
            return FeePerKvb(0);
        }
        let rate = FeePerKvb(rate.round() as i64);
        if self.minimum.falls { rate.max(policy.incremental_fee) } else { rate }
    }

    pub(super) fn note_block(&mut self, policy: &Policy, now: Timestamp) {
        let fullness = self.fullness(policy);
        self.minimum.block_came(now, fullness);
    }

    /// Evicts the worst until the pool fits (Bitcoin Core `TrimToSize`); returns who went.
    pub(super) fn trim(&mut self, policy: &Policy) -> Vec<Entry> {
        let mut gone = Vec::new();
        while self.memory > policy.memory_max
            && let Some(worst) = self.graph.worst()
        {
            let vsize = (worst.rate.weight / 4).max(1);
            self.minimum.raise(FeePerKvb(worst.rate.fee * 1000 / vsize + policy.incremental_fee.0));
            let txids = self.graph.descendants(&worst.txids);
            gone.extend(self.remove(&txids));
        }
        gone
    }
}
