//! Coins as the pool sees them: those of the chain, and those that entries create.

use chainwright_chain::{Fault, View};

use super::TransactionPool;
use crate::coin::{self, Coin};
use crate::ledger::Utxo;
use crate::tx::{OutPoint, Transaction};

impl TransactionPool {
    /// The coin of this name, even if an entry spends it. Coins of entries count as created by the next block.
    pub(super) fn coin(&self, head: &View<Utxo>, outpoint: &OutPoint) -> Result<Option<Coin>, Fault> {
        let Some(entry) = self.entries.get(&outpoint.txid) else { return coin::coin(&head.state, outpoint) };
        let output = entry.transaction.outputs().get(outpoint.index as usize).cloned();
        let height = head.headers.height().0 + 1;
        Ok(output.map(|output| Coin { height, is_coinbase: false, output }))
    }

    /// The coins a transaction spends, or the names of those that do not exist.
    pub(super) fn coins(
        &self,
        head: &View<Utxo>,
        transaction: &Transaction,
    ) -> Result<Result<Vec<Coin>, Vec<OutPoint>>, Fault> {
        let mut found = Vec::with_capacity(transaction.inputs().len());
        let mut missing = Vec::new();
        for input in transaction.inputs() {
            match self.coin(head, &input.previous_output)? {
                Some(coin) => found.push(coin),
                None => missing.push(input.previous_output),
            }
        }
        Ok(if missing.is_empty() { Ok(found) } else { Err(missing) })
    }
}
