//! Transactions that spend what [`crate::chain::anyone`] may spend.

use chainwright_utxo::amount::Amount;
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut};

use crate::chain::{Chain, anyone, anyone_witness};

/// The miner's output of a connected block.
pub(crate) fn coinbase_of(chain: &Chain, height: u32) -> OutPoint {
    let block = &chain.blocks[height as usize - 1].block.block;
    OutPoint { txid: block.transactions[0].txid(), index: 0 }
}

/// The parts of a transaction that spends these coins into outputs anyone may spend.
pub(crate) fn parts(coins: &[OutPoint], amounts: &[Amount]) -> TransactionParts {
    let input = |coin: &OutPoint| TxIn {
        previous_output: *coin,
        script_sig: Default::default(),
        sequence: u32::MAX - 2,
        witness: anyone_witness(),
    };
    let output = |amount: &Amount| TxOut { value: *amount, script_pubkey: anyone() };
    TransactionParts {
        version: 2,
        inputs: coins.iter().map(input).collect(),
        outputs: amounts.iter().map(output).collect(),
        lock_time: 0,
    }
}

/// The transaction of these [`parts`].
pub(crate) fn pay(coins: &[OutPoint], amounts: &[Amount]) -> Transaction {
    Transaction::new(parts(coins, amounts))
}
