//! Statistics of all coins, compared with what the definition says.

use chainwright_utxo::amount::Amount;
use chainwright_utxo::coin::{CoinRef, read_coin_key};
use chainwright_utxo::hash::sha256d;
use chainwright_utxo::muhash::MuHash;
use chainwright_utxo::statistics::{CoinsHash, coin_bytes, statistics};

use crate::chain::Chain;
use crate::spend::{coinbase_of, pay};

fn chain_with_payments() -> Chain {
    let mut chain = Chain::regtest();
    chain.mine(110);
    for height in 1..=5 {
        let amounts = [Amount(1_000_000), Amount(2_000_000), Amount(4_990_000_000)];
        chain.submit(pay(&[coinbase_of(&chain, height)], &amounts)).expect("a good payment");
    }
    chain.mine(1);
    chain
}

#[test]
fn statistics_count_every_coin_once() {
    let chain = chain_with_payments();
    let found = statistics(&chain.head, CoinsHash::None).unwrap();
    assert_eq!((found.coins, found.transactions, found.hash), (106 + 15, 106 + 5, None));
    assert_eq!(found.total, Amount(111 * 5_000_000_000));
    assert_eq!(found.bogosize, found.coins * (50 + 34));
}

#[test]
fn hashes_are_those_of_the_definition() {
    let chain = chain_with_payments();
    let mut serialized = Vec::new();
    let mut set = MuHash::new();
    // Keys are ordered as Bitcoin Core's database orders them.
    for ((_, key), value) in chain.rows.all() {
        let bytes = coin_bytes(&read_coin_key(&key).unwrap(), &CoinRef::decode(&value).unwrap());
        set.insert(&bytes);
        serialized.extend(bytes);
    }
    let hash = |kind| statistics(&chain.head, kind).unwrap().hash;
    assert_eq!(hash(CoinsHash::Serialized3), Some(sha256d(&serialized)));
    assert_eq!(hash(CoinsHash::MuHash), Some(set.finish()));
    assert!(hash(CoinsHash::Serialized2).is_some_and(|old| old != sha256d(&serialized)));
}

#[test]
fn an_old_view_keeps_its_statistics_while_the_chain_moves() {
    let mut chain = chain_with_payments();
    let view = chain.head.clone();
    let before = statistics(&view, CoinsHash::MuHash).unwrap();
    for height in 6..=9 {
        chain.submit(pay(&[coinbase_of(&chain, height)], &[Amount(4_900_000_000)])).unwrap();
    }
    chain.mine(3);
    assert_ne!(statistics(&chain.head, CoinsHash::MuHash).unwrap(), before);
    assert_eq!(statistics(&view, CoinsHash::MuHash).unwrap(), before);
    chain.reorganise(4, Vec::new());
    assert_eq!(statistics(&view, CoinsHash::MuHash).unwrap(), before);
}
