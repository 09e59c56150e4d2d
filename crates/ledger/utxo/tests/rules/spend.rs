//! Transactions that spend what [`crate::chain::anyone`] may spend.

use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::Block;
use chainwright_utxo::build::commit_to_witnesses;
use chainwright_utxo::script::Script;
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};

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
        script_sig: Script::default(),
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

/// A block on the chain's head with these transactions, its commitments right.
pub(crate) fn block_of(chain: &Chain, transactions: Vec<Transaction>) -> Block {
    let mut block = chain.build(&anyone());
    block.transactions.truncate(1);
    block.transactions.extend(transactions);
    remade(block, |_| {})
}

/// The block with another coinbase, all commitments made anew.
pub(crate) fn remade(mut block: Block, change: impl FnOnce(&mut TransactionParts)) -> Block {
    let mut coinbase = block.transactions[0].parts().clone();
    if let Some(index) = block.witness_commitment_index() {
        coinbase.outputs.remove(index);
    }
    coinbase.inputs[0].witness = Witness::default();
    change(&mut coinbase);
    block.transactions[0] = Transaction::new(coinbase);
    commit_to_witnesses(&mut block);
    with_root(block)
}

/// The block with the Merkle root of what is in it.
pub(crate) fn with_root(mut block: Block) -> Block {
    block.header.merkle_root = block.merkle_root().root;
    block
}

/// A transaction that spends these coins, changed.
pub(crate) fn pay_with(
    coins: &[OutPoint],
    amounts: &[Amount],
    change: impl FnOnce(&mut TransactionParts),
) -> Transaction {
    let mut parts = parts(coins, amounts);
    change(&mut parts);
    Transaction::new(parts)
}
