//! Following the chain: what was mined leaves, what was undone comes back (Bitcoin Core `removeForBlock`,
//! `MaybeUpdateMempoolForReorg`).

use std::sync::Arc;

use chainwright_chain::{Fault, HeadChange, Pool as _, Refusal, View};
use hashbrown::HashSet;

use super::TransactionPool;
use super::admit::{Judge, are_locks_passed};
use crate::hash::Txid;
use crate::ledger::Utxo;
use crate::rules::locks::is_final;
use crate::tx::Transaction;

pub(super) fn follow(
    pool: &mut TransactionPool,
    ledger: &Utxo,
    change: &HeadChange<'_, Utxo>,
) -> Result<(), Fault> {
    let connected = || change.connected.iter().flat_map(|block| &block.block.transactions);
    if !pool.is_empty() {
        connected().for_each(|transaction| pool.remove_confirmed(transaction));
    }
    if !change.connected.is_empty() {
        pool.note_block(&ledger.policy, change.now);
    }
    if !change.disconnected.is_empty() {
        let confirmed: HashSet<Txid> = connected().map(Transaction::txid).collect();
        pool.bring_back(ledger, change, &confirmed)?;
        pool.drop_premature(ledger, change.head)?;
    }
    pool.expire(change.now);
    pool.trim(&ledger.policy);
    Ok(())
}

impl TransactionPool {
    /// Removes a transaction that was mined, and everything that conflicts with it.
    fn remove_confirmed(&mut self, transaction: &Transaction) {
        let txid = transaction.txid();
        if self.entries.contains_key(&txid) {
            self.remove(&[txid]);
        }
        let conflicts: Vec<Txid> =
            transaction.inputs().iter().filter_map(|input| self.spender(&input.previous_output)).collect();
        if !conflicts.is_empty() {
            self.remove_with_descendants(&conflicts);
        }
    }

    /// Takes the transactions of undone blocks again, the earliest first. What cannot come back takes along
    /// whatever spends it.
    fn bring_back(
        &mut self,
        ledger: &Utxo,
        change: &HeadChange<'_, Utxo>,
        confirmed: &HashSet<Txid>,
    ) -> Result<(), Fault> {
        let judge = Judge { ledger, head: change.head, now: change.now, was_mined: true };
        for block in change.disconnected.iter().rev() {
            for transaction in &block.block.transactions {
                if confirmed.contains(&transaction.txid()) || self.entries.contains_key(&transaction.txid()) {
                    continue;
                }
                if !self.take_again(&judge, transaction)? {
                    let spenders = self.spenders_of(transaction);
                    self.remove_with_descendants(&spenders);
                }
            }
        }
        Ok(())
    }

    fn take_again(&mut self, judge: &Judge<'_>, transaction: &Transaction) -> Result<bool, Fault> {
        let attempt = |pool: &Self| judge.judge(pool, Arc::new(transaction.clone()));
        let mut judged = attempt(self);
        if matches!(&judged, Err(Refusal::Policy(reason)) if reason.code == "too-large-cluster") {
            // What was mined goes before what came to spend it.
            let spenders = self.spenders_of(transaction);
            self.remove_with_descendants(&spenders);
            judged = attempt(self);
        }
        match judged {
            Ok(judged) => {
                let replaced: Vec<Txid> = judged.replaced.into_iter().collect();
                self.remove(&replaced);
                self.insert(judged.entry, judged.joining);
                Ok(true)
            }
            Err(Refusal::Fault(fault)) => Err(fault),
            Err(_) => Ok(false),
        }
    }

    /// Drops what the next block on the new head could not hold: lock times ahead, coinbases immature or gone.
    fn drop_premature(&mut self, ledger: &Utxo, head: &View<Utxo>) -> Result<(), Fault> {
        let mut premature = Vec::new();
        for (txid, entry) in &self.entries {
            if !self.could_be_next(ledger, head, &entry.transaction)? {
                premature.push(*txid);
            }
        }
        self.remove_with_descendants(&premature);
        Ok(())
    }

    fn could_be_next(
        &self,
        ledger: &Utxo,
        head: &View<Utxo>,
        transaction: &Transaction,
    ) -> Result<bool, Fault> {
        let height = head.headers.height().0 + 1;
        if !is_final(transaction, height, head.headers.median_time().0) {
            return Ok(false);
        }
        let Ok(coins) = self.coins(head, transaction)? else { return Ok(false) };
        let maturity = ledger.parameters.coinbase_maturity;
        let mature =
            coins.iter().all(|coin| !coin.is_coinbase || height.saturating_sub(coin.height) >= maturity);
        Ok(mature && are_locks_passed(head, transaction, &coins))
    }
}
