//! Replacing entries by one that pays more (Bitcoin Core `policy/rbf.cpp`, BIP-0125 without its opt-in).

use chainwright_chain::Reason;
use hashbrown::HashSet;

use super::graph::Joining;
use super::{Policy, TransactionPool};
use crate::amount::{Amount, format_money};
use crate::hash::Txid;

/// A replacement may disturb this many clusters.
const CLUSTERS_MAX: usize = 100;

impl TransactionPool {
    /// The entries that would have to go so that `txid` may spend what `conflicts` spend.
    pub(super) fn replaced_by(&self, txid: Txid, conflicts: &HashSet<Txid>) -> Result<HashSet<Txid>, Reason> {
        let clusters = self.graph.cluster_count(conflicts);
        if clusters > CLUSTERS_MAX {
            let detail = format!(
                "rejecting replacement {txid}; too many conflicting clusters ({clusters} > {CLUSTERS_MAX})"
            );
            return Err(Reason::with("too many potential replacements", detail));
        }
        let direct: Vec<Txid> = conflicts.iter().copied().collect();
        Ok(self.graph.descendants(&direct).into_iter().collect())
    }

    /// Rules 3 and 4: the replacement pays for what it replaces and for its own way (Bitcoin Core `PaysForRBF`).
    pub(super) fn check_pays(
        &self,
        policy: &Policy,
        joining: &Joining,
        replaced: &HashSet<Txid>,
    ) -> Result<(), Reason> {
        let replaced_fees: i64 =
            replaced.iter().filter_map(|txid| self.entries.get(txid)).map(|entry| entry.fee.0).sum();
        let (txid, fees) = (joining.txid, joining.rate.fee);
        let money = |fee: i64| format_money(Amount(fee));
        if fees < replaced_fees {
            let detail = format!(
                "rejecting replacement {txid}, less fees than conflicting txs; {} < {}",
                money(fees),
                money(replaced_fees)
            );
            return Err(Reason::with("insufficient fee", detail));
        }
        let vsize = (joining.rate.weight as usize).div_ceil(crate::tx::WITNESS_SCALE_FACTOR);
        let needed = policy.incremental_fee.fee(vsize).0;
        if fees - replaced_fees < needed {
            let detail = format!(
                "rejecting replacement {txid}, not enough additional fees to relay; {} < {}",
                money(fees - replaced_fees),
                money(needed)
            );
            return Err(Reason::with("insufficient fee", detail));
        }
        Ok(())
    }
}
