//! Transactions that wait for a block.
//!
//! ```text
//! submit ─ policy ─ coins ─ admit ─(replace)─> entries + graph ─ limit
//!                                                  │
//! head_changed ─ confirmed and conflicting out, disconnected in again, locks checked again
//! ```
//!
//! Rules and words are Bitcoin Core's (`validation.cpp` `MemPoolAccept`, `txmempool.cpp`); packages and priorities are not
//! there. The pool is a value: everything it does follows from calls, `now` included.
//!
//! Start reading at [`TransactionPool`], then `admit.rs`.
//!
//! Invariants:
//! - no output is spent by two entries; every entry's inputs are in the chain or in the pool;
//! - what the graph holds are exactly the entries.

mod admit;
mod coins;
mod graph;
mod info;
mod limit;
mod policy;
mod reorganise;
mod replace;
mod saved;
mod scripts;

use std::sync::Arc;

use chainwright_chain::{Admission, Fault, HeadChange, Pool, PoolContext, Refusal, Timestamp, TxId};
use hashbrown::HashMap;

pub use info::{EntryInfo, PoolInfo, Totals, signals_replacement};
pub use policy::{FeePerKvb, Policy};
pub use saved::{SavedTransaction, decode_saved, encode_saved};

use crate::amount::Amount;
use crate::hash::{Txid, Wtxid};
use crate::ledger::Utxo;
use crate::tx::{OutPoint, Transaction};
use graph::{Chunk, FeeRate, Graph, Joining};
use limit::RollingMinimum;

/// A transaction of the pool.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// What it pays.
    pub fee: Amount,
    /// When it came.
    pub time: Timestamp,
    /// The height of the chain when it came.
    pub height: u32,
    /// What its signature operations cost.
    pub sigop_cost: usize,
    /// Weight units, or 20 for each unit of signature operation cost if that is more.
    pub adjusted_weight: usize,
    /// When it has waited too long.
    pub expires: Timestamp,
}

impl Entry {
    /// Virtual bytes, adjusted for signature operations (Bitcoin Core `GetTxSize`).
    pub fn vsize(&self) -> usize {
        self.adjusted_weight.div_ceil(crate::tx::WITNESS_SCALE_FACTOR)
    }
}

/// The pool of one chain. A copy shares the transactions, and is what to read from at length.
#[derive(Clone, Debug, Default)]
pub struct TransactionPool {
    entries: HashMap<Txid, Entry>,
    by_wtxid: HashMap<Wtxid, Txid>,
    spenders: HashMap<OutPoint, Txid>,
    graph: Graph,
    /// Memory of all entries, approximately.
    memory: usize,
    minimum: RollingMinimum,
    /// Entries that came and went.
    changes: u64,
}

impl TransactionPool {
    /// A number that grows with every entry that comes or goes, from 1 on (Bitcoin Core `CTxMemPool::GetSequence`).
    pub fn sequence(&self) -> u64 {
        self.changes + 1
    }

    /// The entry of a transaction.
    pub fn entry(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// The transaction of the pool that spends an output.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spenders.get(outpoint).copied()
    }

    /// Whether an output exists because of the pool: created by it and not spent by it.
    pub fn has_unspent(&self, outpoint: &OutPoint) -> bool {
        let entry = self.entries.get(&outpoint.txid);
        let exists = entry.is_some_and(|entry| (outpoint.index as usize) < entry.transaction.outputs().len());
        exists && !self.spenders.contains_key(outpoint)
    }

    /// The chunks of all entries, best first.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        self.graph.best_first()
    }

    /// Adds an entry that was judged.
    fn insert(&mut self, entry: Entry, joining: Joining) {
        let transaction = &entry.transaction;
        self.changes += 1;
        self.memory += memory_of(transaction);
        self.by_wtxid.insert(transaction.wtxid(), transaction.txid());
        for input in transaction.inputs() {
            self.spenders.insert(input.previous_output, transaction.txid());
        }
        self.graph.insert(joining);
        self.entries.insert(entry.transaction.txid(), entry);
    }

    /// Removes exactly these entries and returns them.
    fn remove(&mut self, txids: &[Txid]) -> Vec<Entry> {
        self.graph.remove(txids);
        let mut gone = Vec::with_capacity(txids.len());
        for txid in txids {
            let Some(entry) = self.entries.remove(txid) else { continue };
            self.changes += 1;
            self.memory -= memory_of(&entry.transaction);
            self.by_wtxid.remove(&entry.transaction.wtxid());
            for input in entry.transaction.inputs() {
                self.spenders.remove(&input.previous_output);
            }
            gone.push(entry);
        }
        gone
    }

    /// Puts back entries that were just removed, in any order.
    fn restore(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let joining = self.joining(&entry);
            self.insert(entry, joining);
        }
    }

    /// The place of an entry among the others.
    fn joining(&self, entry: &Entry) -> Joining {
        let transaction = &entry.transaction;
        Joining {
            txid: transaction.txid(),
            rate: FeeRate { fee: entry.fee.0, weight: entry.adjusted_weight as i64 },
            parents: self.parents_of(transaction),
            children: self.spenders_of(transaction),
        }
    }

    /// Removes these entries and everything that needs them; returns who went.
    fn remove_with_descendants(&mut self, txids: &[Txid]) -> Vec<Txid> {
        let mut gone = self.graph.descendants(txids);
        gone.retain(|txid| self.entries.contains_key(txid));
        self.remove(&gone);
        gone
    }

    /// Entries that spend an output of this transaction, which need not be in the pool.
    fn spenders_of(&self, transaction: &Transaction) -> Vec<Txid> {
        let txid = transaction.txid();
        let outputs = 0..transaction.outputs().len() as u32;
        let mut found: Vec<Txid> =
            outputs.filter_map(|index| self.spender(&OutPoint { txid, index })).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Entries whose outputs this transaction spends.
    fn parents_of(&self, transaction: &Transaction) -> Vec<Txid> {
        let spent = transaction.inputs().iter().map(|input| input.previous_output.txid);
        let mut found: Vec<Txid> = spent.filter(|txid| self.entries.contains_key(txid)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Memory an entry takes, approximately: its bytes, its parsed form, its places in the maps.
fn memory_of(transaction: &Transaction) -> usize {
    const ENTRY: usize = 700;
    const INPUT: usize = 250;
    const OUTPUT: usize = 60;
    let (inputs, outputs) = (transaction.inputs().len(), transaction.outputs().len());
    transaction.total_size() + ENTRY + inputs * INPUT + outputs * OUTPUT
}

impl Pool<Utxo> for TransactionPool {
    fn submit(
        &mut self,
        ledger: &Utxo,
        tx: Arc<Transaction>,
        at: &PoolContext<'_, Utxo>,
    ) -> Result<Admission, Refusal> {
        admit::submit(self, ledger, tx, at)
    }

    fn head_changed(&mut self, ledger: &Utxo, change: &HeadChange<'_, Utxo>) -> Result<(), Fault> {
        reorganise::follow(self, ledger, change)
    }

    fn get(&self, id: &TxId) -> Option<Arc<Transaction>> {
        let txid = self.by_wtxid.get(&Wtxid(id.0)).copied().unwrap_or(Txid(id.0));
        self.entries.get(&txid).map(|entry| Arc::clone(&entry.transaction))
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn all(&self) -> Vec<Arc<Transaction>> {
        let txids = self.graph.best_first().flat_map(|(_, chunk)| &chunk.txids);
        txids.filter_map(|txid| self.entries.get(txid)).map(|entry| Arc::clone(&entry.transaction)).collect()
    }

    fn expire(&mut self, now: Timestamp) {
        let old: Vec<Txid> =
            self.entries.iter().filter(|(_, entry)| entry.expires < now).map(|(txid, _)| *txid).collect();
        self.remove_with_descendants(&old);
    }
}
