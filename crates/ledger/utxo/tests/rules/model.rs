//! The ledger beside a naive model: a map of coins, whose supply is what miners may create.

use std::collections::BTreeMap;

use chainwright_chain::Reject;
use chainwright_utxo::amount::Amount;
use chainwright_utxo::block::Block;
use chainwright_utxo::coin::{CoinRef, read_coin_key};
use chainwright_utxo::tx::{OutPoint, Transaction};
use proptest::prelude::*;

use crate::chain::Chain;
use crate::spend::{block_of, pay, remade};

/// Coins by name: amount, height, whether a miner made it.
type Coins = BTreeMap<OutPoint, (Amount, u32, bool)>;

/// Applies a block the way a child would explain it.
fn apply(coins: &Coins, block: &Block, height: u32) -> Result<Coins, &'static str> {
    let mut coins = coins.clone();
    let mut fees = 0;
    for (position, transaction) in block.transactions.iter().enumerate() {
        let mut surplus = 0;
        for input in transaction.inputs().iter().filter(|_| position > 0) {
            let spent = coins.remove(&input.previous_output).ok_or("no such coin")?;
            if spent.2 && height < spent.1 + 100 {
                return Err("not ripe");
            }
            surplus += spent.0.0;
        }
        for (index, output) in (0..).zip(transaction.outputs()) {
            surplus -= output.value.0;
            if !output.script_pubkey.is_unspendable() {
                let name = OutPoint { txid: transaction.txid(), index };
                coins.insert(name, (output.value, height, position == 0));
            }
        }
        if position > 0 && surplus < 0 {
            return Err("money from nothing");
        }
        fees += if position > 0 { surplus } else { 0 };
    }
    let reward: i64 = block.transactions[0].outputs().iter().map(|output| output.value.0).sum();
    let allowed = fees + (5_000_000_000 >> (height / 150));
    if reward > allowed { Err("greedy miner") } else { Ok(coins) }
}

fn coins_of(chain: &Chain) -> Coins {
    let rows = chain.rows.all();
    let read = |((_, key), value): (&(_, Vec<u8>), &Vec<u8>)| {
        let coin = CoinRef::decode(value).expect("a row");
        (read_coin_key(key).expect("a key"), (coin.value, coin.height, coin.is_coinbase))
    };
    rows.iter().map(read).collect()
}

/// What a random number makes of the coins at hand. Some of it is forbidden.
fn transaction(coins: &Coins, seeds: &[u16]) -> Transaction {
    let names: Vec<OutPoint> = coins.keys().copied().collect();
    let pick = |seed: u16| names[usize::from(seed) % names.len()];
    let spent = [pick(seeds[0]), pick(seeds[1])];
    let spent = if seeds[0].is_multiple_of(3) || spent[0] == spent[1] { &spent[..1] } else { &spent[..] };
    let total: i64 = spent.iter().map(|name| coins[name].0.0).sum();
    let surplus = i64::from(seeds[2].is_multiple_of(8));
    let half = total / (i64::from(seeds[2] % 5) + 2);
    pay(spent, &[Amount(half), Amount(total - half + surplus - i64::from(seeds[3] % 1000 + 1) % (half + 1))])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_ledger_agrees_with_the_model(
        plan in prop::collection::vec((prop::collection::vec(any::<[u16; 4]>(), 0..6), 0_u8..8), 1..12),
    ) {
        let mut chain = Chain::regtest();
        chain.mine(106);
        let mut coins = coins_of(&chain);
        let mut history = Vec::new();
        for (transactions, what) in plan {
            let height = chain.height() + 1;
            // Transactions of a block may spend each other's outputs.
            let mut at_hand = coins.clone();
            let mut chosen = Vec::new();
            for seeds in transactions {
                let next = transaction(&at_hand, &seeds);
                for (index, output) in (0..).zip(next.outputs()) {
                    at_hand.insert(OutPoint { txid: next.txid(), index }, (output.value, height, false));
                }
                // Half of the time a later transaction may try to spend the same again.
                if seeds[3] % 2 == 0 {
                    for input in next.inputs() {
                        at_hand.remove(&input.previous_output);
                    }
                }
                chosen.push(next);
            }
            chain.now += 1;
            let block = block_of(&chain, chosen);
            let block = if what == 0 {
                remade(block, |coinbase| coinbase.outputs[0].value.0 += 1)
            } else {
                block
            };
            let before = chain.rows.all();
            match (apply(&coins, &block, height), chain.connect(block)) {
                (Ok(after), Ok(())) => history.push(std::mem::replace(&mut coins, after)),
                (Err(_), Err(Reject::Invalid(_))) => prop_assert_eq!(chain.rows.all(), before),
                (model, ledger) => prop_assert!(false, "model {:?}, ledger {:?}", model.err(), ledger),
            }
            if what == 1 && let Some(earlier) = history.pop() {
                chain.reorganise(1, Vec::new());
                coins = earlier;
            }
            prop_assert_eq!(coins_of(&chain), coins.clone());
        }
    }
}
