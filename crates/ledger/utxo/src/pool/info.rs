//! What RPC tells of the pool (`getmempoolentry`, `getmempoolinfo`).

use super::{FeePerKvb, Policy, TransactionPool};
use crate::amount::Amount;
use crate::hash::{Txid, Wtxid};
use crate::tx::Transaction;
use chainwright_chain::Timestamp;

/// Count, size and fees of some entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many.
    pub count: usize,
    /// Their virtual bytes.
    pub vsize: usize,
    /// Their fees.
    pub fees: Amount,
}

/// An entry and its relatives (Bitcoin Core `entryToJSON`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryInfo {
    /// Virtual bytes, adjusted for signature operations.
    pub vsize: usize,
    /// Weight units.
    pub weight: usize,
    /// When it came.
    pub time: Timestamp,
    /// The height of the chain when it came.
    pub height: u32,
    /// What it pays.
    pub fee: Amount,
    /// It and all entries it needs.
    pub ancestors: Totals,
    /// It and all entries that need it.
    pub descendants: Totals,
    /// Weight of the chunk it would be mined with.
    pub chunk_weight: usize,
    /// Fees of that chunk.
    pub chunk_fees: Amount,
    /// Its id with witnesses.
    pub wtxid: Wtxid,
    /// Entries it spends.
    pub depends: Vec<Txid>,
    /// Entries that spend it.
    pub spent_by: Vec<Txid>,
    /// Whether it or an entry it needs signals that it may be replaced (BIP-0125).
    pub bip125_replaceable: bool,
}

/// The pool as a whole (Bitcoin Core `MempoolInfoToJSON`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolInfo {
    /// Entries.
    pub size: usize,
    /// Their virtual bytes.
    pub vsize: usize,
    /// Memory, approximately.
    pub usage: usize,
    /// All fees.
    pub total_fee: Amount,
    /// The most memory.
    pub memory_max: usize,
    /// The fee rate that a transaction has to pay now.
    pub fee_min: FeePerKvb,
}

/// Whether a transaction says that it may be replaced (BIP-0125).
pub fn signals_replacement(transaction: &Transaction) -> bool {
    const FINAL_OR_NEARLY: u32 = u32::MAX - 1;
    transaction.inputs().iter().any(|input| input.sequence < FINAL_OR_NEARLY)
}

impl TransactionPool {
    /// An entry and its relatives.
    pub fn info(&self, txid: &Txid) -> Option<EntryInfo> {
        let entry = self.entries.get(txid)?;
        let chunk = self.graph.chunk_of(txid)?;
        let ancestors = self.graph.ancestors(&[*txid]);
        let signals =
            |txid: &Txid| self.entries.get(txid).is_some_and(|entry| signals_replacement(&entry.transaction));
        Some(EntryInfo {
            vsize: entry.vsize(),
            weight: entry.transaction.weight(),
            time: entry.time,
            height: entry.height,
            fee: entry.fee,
            ancestors: self.totals(&ancestors),
            descendants: self.totals(&self.descendants(txid)),
            chunk_weight: chunk.rate.weight as usize,
            chunk_fees: Amount(chunk.rate.fee),
            wtxid: entry.transaction.wtxid(),
            depends: self.graph.parents(txid).to_vec(),
            spent_by: self.graph.children(txid).to_vec(),
            bip125_replaceable: ancestors.iter().any(signals),
        })
    }

    /// An entry and all it needs.
    pub fn ancestors(&self, txid: &Txid) -> Vec<Txid> {
        self.graph.ancestors(&[*txid])
    }

    /// An entry and all that need it.
    pub fn descendants(&self, txid: &Txid) -> Vec<Txid> {
        self.graph.descendants(&[*txid])
    }

    /// The ids of all entries, best to mine first, parents before children.
    pub fn txids(&self) -> Vec<Txid> {
        self.graph.best_first().flat_map(|(_, chunk)| &chunk.txids).copied().collect()
    }

    /// The pool as a whole.
    pub fn summary(&self, policy: &Policy, now: Timestamp) -> PoolInfo {
        let entries = self.entries.values();
        PoolInfo {
            size: self.entries.len(),
            vsize: entries.clone().map(super::Entry::vsize).sum(),
            usage: self.memory,
            total_fee: Amount(entries.map(|entry| entry.fee.0).sum()),
            memory_max: policy.memory_max,
            fee_min: self.fee_min(policy, now).max(policy.relay_fee_min),
        }
    }

    fn totals(&self, txids: &[Txid]) -> Totals {
        let entries = txids.iter().filter_map(|txid| self.entries.get(txid));
        entries.fold(Totals::default(), |totals, entry| Totals {
            count: totals.count + 1,
            vsize: totals.vsize + entry.vsize(),
            fees: Amount(totals.fees.0 + entry.fee.0),
        })
    }
}
