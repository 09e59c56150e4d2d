//! Blocks that building makes are blocks that the rules take.

use chainwright_chain::{Ledger as _, Pool as _};
use chainwright_utxo::amount::Amount;
use chainwright_utxo::coin::coin;
use chainwright_utxo::script::Script;
use chainwright_utxo::tx::OutPoint;

use crate::chain::{Chain, anyone};
use crate::spend::{coinbase_of, pay};

#[test]
fn a_regtest_chain_grows_and_pays_its_miner() {
    let mut chain = Chain::regtest();
    chain.mine(160);
    assert_eq!(chain.height(), 160);
    let early = coin(&chain.head.state, &coinbase_of(&chain, 149)).unwrap().unwrap();
    let late = coin(&chain.head.state, &coinbase_of(&chain, 150)).unwrap().unwrap();
    assert_eq!((early.output.value, early.height, early.is_coinbase), (Amount(5_000_000_000), 149, true));
    assert_eq!(late.output.value, Amount(2_500_000_000), "the subsidy halves at 150");
}

#[test]
fn the_pools_transactions_are_mined_with_their_fees() {
    let mut chain = Chain::regtest();
    chain.mine(101);
    let parent = pay(&[coinbase_of(&chain, 1)], &[Amount(4_999_990_000)]);
    let child = pay(&[OutPoint { txid: parent.txid(), index: 0 }], &[Amount(4_999_900_000)]);
    chain.submit(parent.clone()).unwrap();
    chain.submit(child.clone()).unwrap();
    let block = chain.build(&anyone());
    assert_eq!(block.transactions[1..], [parent, child]);
    assert_eq!(block.transactions[0].outputs()[0].value, Amount(5_000_000_000 + 100_000));
    chain.connect(block).unwrap();
    assert!(chain.pool.is_empty());
    assert_eq!(chain.blocks.last().unwrap().executed.receipts.fees, Amount(100_000));
}

#[test]
fn undoing_blocks_restores_every_row() {
    let mut chain = Chain::regtest();
    chain.mine(105);
    let before = chain.rows.all();
    for height in 1..=3 {
        let transaction = pay(&[coinbase_of(&chain, height)], &[Amount(1_000_000), Amount(4_998_000_000)]);
        chain.submit(transaction).unwrap();
    }
    chain.mine(5);
    assert_ne!(chain.rows.all(), before);
    chain.reorganise(5, Vec::new());
    assert_eq!(chain.rows.all(), before);
    assert_eq!(chain.pool.len(), 3, "what was mined waits again");
}

#[test]
fn an_impossible_payee_is_refused() {
    let chain = Chain::regtest();
    let payee = Script::from(vec![0; 10_000]);
    assert!(chain.ledger.build(&chain.head, &chain.attributes(&payee), &chain.pool).is_err());
}
