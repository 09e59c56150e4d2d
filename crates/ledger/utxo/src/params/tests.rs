//! The parameters of Bitcoin's networks, against known values.

use super::{Parameters, bitcoin_main, bitcoin_regtest, bitcoin_signet};
use crate::amount::Amount;
use crate::hash::BlockHash;
use crate::script::Flags;

#[track_caller]
fn check_genesis(name: &str, id: &str, root: &str) {
    let block = Parameters::named(name).expect("a preset").genesis.block();
    assert_eq!(block.hash().to_string(), id);
    assert_eq!(BlockHash(block.header.merkle_root).to_string(), root);
    assert_eq!(block.merkle_root().root, block.header.merkle_root);
}

#[test]
fn genesis_blocks_have_their_known_ids() {
    const TIMES: &str = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";
    check_genesis("bitcoin", "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", TIMES);
    check_genesis(
        "bitcoin-signet",
        "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
        TIMES,
    );
    check_genesis(
        "bitcoin-regtest",
        "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        TIMES,
    );
    check_genesis(
        "bitcoin-testnet4",
        "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
        "7aa0a7ae1e223414cb807e40cd57e667b718e42aaf9306db9102fe28912b7b4e",
    );
    assert_eq!(Parameters::named("dogecoin"), None);
}

#[test]
fn a_signets_peers_know_it_by_its_challenge() {
    assert_eq!(bitcoin_signet().peers.magic, [0x0a, 0x03, 0xcf, 0x40]);
    assert_ne!(bitcoin_signet().with_signet_challenge(vec![0x51]).peers.magic, [0x0a, 0x03, 0xcf, 0x40]);
}

#[test]
fn the_subsidy_halves_until_nothing_is_left() {
    let main = bitcoin_main();
    assert_eq!(main.subsidy_at(209_999), Amount(5_000_000_000));
    assert_eq!(main.subsidy_at(210_000), Amount(2_500_000_000));
    assert_eq!(main.subsidy_at(64 * 210_000), Amount::ZERO);
    assert_eq!(main.subsidy_at(u32::MAX), Amount::ZERO);
    let total: i64 = (0..34).map(|era| main.subsidy_at(era * 210_000).0 * 210_000).sum();
    assert_eq!(total, 2_099_999_997_690_000);
}

#[test]
fn script_rules_come_one_after_the_other_and_have_exceptions() {
    let main = bitcoin_main();
    let always = Flags::P2SH | Flags::WITNESS | Flags::TAPROOT;
    let none = BlockHash::default();
    assert_eq!(main.script_flags(1, &none), always);
    assert_eq!(main.script_flags(363_725, &none), always | Flags::DERSIG);
    assert_eq!(main.script_flags(709_632, &none), Flags::MANDATORY);
    let exception = main.script_flag_exceptions[1].block;
    assert_eq!(main.script_flags(692_261, &exception), Flags::MANDATORY.without(Flags::TAPROOT));
    assert_eq!(bitcoin_regtest().script_flags(1, &none), Flags::MANDATORY);
}

#[test]
fn transactions_may_repeat_before_bip34_and_in_the_far_future() {
    let main = bitcoin_main();
    assert!(main.may_repeat_transactions(100, None));
    assert!(!main.may_repeat_transactions(300_000, Some(main.bip34_block)));
    assert!(main.may_repeat_transactions(300_000, Some(BlockHash([1; 32]))));
    assert!(main.may_repeat_transactions(1_983_702, Some(main.bip34_block)));
    assert!(!bitcoin_regtest().may_repeat_transactions(2_000_000, None));
    assert!(main.is_duplicate_coinbase(91_842, &main.duplicate_coinbases[0].block));
    assert!(!main.is_duplicate_coinbase(91_843, &main.duplicate_coinbases[0].block));
}
