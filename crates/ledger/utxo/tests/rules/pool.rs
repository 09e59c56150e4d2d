//! The pool: admission words, replacement, limits, reorganisations, persistence.

use chainwright_chain::{Pool as _, PoolContext, Reason, Refusal, Timestamp, TxId};
use chainwright_utxo::amount::Amount;
use chainwright_utxo::hash::Txid;
use chainwright_utxo::pool::{FeePerKvb, Policy, TransactionPool, decode_saved, encode_saved};
use chainwright_utxo::script::Script;
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxOut, Witness};

use crate::chain::{Chain, anyone};
use crate::spend::{block_of, coinbase_of, pay, pay_with};

const FIFTY: i64 = 5_000_000_000;
/// A fee far above every minimum.
const FEE: i64 = 10_000;

fn ripe() -> Chain {
    let mut chain = Chain::regtest();
    chain.mine(120);
    chain
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Invalid,
    Policy,
    Missing,
    Known,
}
use Class::{Invalid, Known, Missing, Policy as Unwanted};

fn class_of(refusal: Refusal) -> (Class, Reason) {
    match refusal {
        Refusal::Invalid(reason) => (Invalid, reason),
        Refusal::Policy(reason) => (Unwanted, reason),
        Refusal::MissingParents { reason, .. } => (Missing, reason),
        Refusal::Known(reason) => (Known, reason),
        Refusal::Fault(fault) => panic!("{fault}"),
    }
}

#[track_caller]
fn check_submit(chain: &mut Chain, transaction: Transaction, class: Class, word: &str) {
    let before = chain.pool.txids();
    let refusal = chain.submit(transaction).expect_err("the pool took it");
    let (found, reason) = class_of(refusal);
    assert_eq!((found, reason.code.as_ref()), (class, word), "{reason}");
    assert_eq!(chain.pool.txids(), before, "a refusal changes nothing");
}

/// A payment of a ripe coinbase, changed, is refused.
#[track_caller]
fn check_refused(class: Class, word: &str, change: impl FnOnce(&mut TransactionParts)) {
    let mut chain = ripe();
    let transaction = pay_with(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)], change);
    check_submit(&mut chain, transaction, class, word);
}

fn output_of(transaction: &Transaction, index: u32) -> OutPoint {
    OutPoint { txid: transaction.txid(), index }
}

fn add_output(parts: &mut TransactionParts, value: i64, script: &[u8]) {
    parts.outputs[0].value.0 -= value;
    parts.outputs.push(TxOut { value: Amount(value), script_pubkey: Script::from(script) });
}

#[test]
fn forms_that_are_not_standard() {
    check_refused(Unwanted, "version", |parts| parts.version = 4);
    check_refused(Unwanted, "version", |parts| parts.version = 0);
    check_refused(Unwanted, "tx-size", |parts| {
        parts.outputs[0].script_pubkey = Script::from([vec![0x6a], vec![0; 100_000]].concat());
    });
    check_refused(Unwanted, "scriptsig-size", |parts| {
        parts.inputs[0].script_sig = Script::from(vec![0; 1_651]);
    });
    check_refused(Unwanted, "scriptsig-not-pushonly", |parts| {
        parts.inputs[0].script_sig = Script::from(vec![0x76]);
    });
    check_refused(Unwanted, "scriptpubkey", |parts| add_output(parts, 1_000, &[0x51]));
    check_refused(Unwanted, "dust", |parts| {
        let script = anyone();
        add_output(parts, 329, script.as_bytes());
    });
    check_refused(Unwanted, "dust", |parts| {
        let script = anyone();
        add_output(parts, 1, script.as_bytes());
        add_output(parts, 1, script.as_bytes());
    });
    check_refused(Unwanted, "tx-size-small", |parts| {
        parts.outputs[0].script_pubkey = Script::from(vec![0x6a]);
    });
    check_refused(Unwanted, "bad-witness-nonstandard", |parts| {
        parts.inputs[0].witness = Witness::from_items([vec![0; 81], vec![0x51]]);
    });
}

#[test]
fn data_has_its_limit() {
    let mut chain = ripe();
    chain.ledger.policy.datacarrier_bytes_max = Some(83);
    let with_data = |chain: &Chain, size: usize| {
        pay_with(&[coinbase_of(chain, 1)], &[Amount(FIFTY - FEE)], |parts| {
            add_output(parts, 0, &[&[0x6a, 0x4c, size as u8][..], &vec![7; size]].concat());
        })
    };
    let (over, within) = (with_data(&chain, 81), with_data(&chain, 80));
    check_submit(&mut chain, over, Unwanted, "datacarrier");
    chain.submit(within).unwrap();
}

#[test]
fn what_no_block_could_hold() {
    check_refused(Invalid, "bad-txns-vout-empty", |parts| parts.outputs.clear());
    check_refused(Invalid, "bad-txns-in-belowout", |parts| parts.outputs[0].value.0 += 2 * FEE);
    check_refused(Invalid, "mempool-script-verify-flag-failed (Witness program hash mismatch)", |parts| {
        parts.inputs[0].witness = Witness::from_items([[0x52]]);
    });
    let mut chain = ripe();
    let coinbase = chain.blocks[0].block.block.transactions[0].clone();
    check_submit(&mut chain, coinbase, Invalid, "coinbase");
}

#[test]
fn a_stripped_witness_does_not_condemn_the_transaction() {
    let mut chain = ripe();
    let whole = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)]);
    let stripped = pay_with(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)], |parts| {
        parts.inputs[0].witness = Witness::default();
    });
    assert_eq!(stripped.txid(), whole.txid());
    let word = "mempool-script-verify-flag-failed (Witness program was passed an empty witness)";
    check_submit(&mut chain, stripped, Unwanted, word);
    chain.submit(whole).unwrap();
}

#[test]
fn what_comes_too_early_or_twice() {
    check_refused(Unwanted, "non-final", |parts| parts.lock_time = 121);
    check_refused(Unwanted, "non-BIP68-final", |parts| parts.inputs[0].sequence = 121);
    let mut chain = ripe();
    let young = pay(&[coinbase_of(&chain, 22)], &[Amount(FIFTY - FEE)]);
    check_submit(&mut chain, young, Unwanted, "bad-txns-premature-spend-of-coinbase");
    let orphan = pay(&[OutPoint { txid: Txid::default(), index: 3 }], &[Amount(1_000)]);
    check_submit(&mut chain, orphan, Missing, "bad-txns-inputs-missingorspent");
    let known = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)]);
    chain.submit(known.clone()).unwrap();
    check_submit(&mut chain, known.clone(), Known, "txn-already-in-mempool");
    let other_witness = pay_with(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)], |parts| {
        parts.inputs[0].witness = Witness::from_items([vec![], vec![0x51]]);
    });
    check_submit(&mut chain, other_witness, Known, "txn-same-nonwitness-data-in-mempool");
    chain.mine(1);
    check_submit(&mut chain, known, Known, "txn-already-known");
}

#[test]
fn fees_have_a_floor() {
    let mut chain = ripe();
    let paying = |chain: &Chain, fee: i64| pay(&[coinbase_of(chain, 1)], &[Amount(FIFTY - fee)]);
    let vsize = paying(&chain, 0).vsize() as i64;
    let needed = (vsize * 100 + 999) / 1000;
    let (short, enough) = (paying(&chain, needed - 1), paying(&chain, needed));
    check_submit(&mut chain, short, Unwanted, "min relay fee not met");
    chain.submit(enough).unwrap();
}

#[test]
fn a_dry_run_judges_and_keeps_nothing() {
    let mut chain = ripe();
    let transaction = std::sync::Arc::new(pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)]));
    let at = PoolContext { head: &chain.head, now: Timestamp(chain.now), dry_run: true };
    chain.pool.submit(&chain.ledger, transaction.clone(), &at).unwrap();
    assert!(chain.pool.is_empty());
}

#[test]
fn replacements_pay_for_what_they_replace() {
    let mut chain = ripe();
    let coin = coinbase_of(&chain, 1);
    let paying = |fee: i64| pay(&[coin], &[Amount(FIFTY - fee)]);
    let first = paying(FEE);
    let child = pay(&[output_of(&first, 0)], &[Amount(FIFTY - 3 * FEE)]);
    chain.submit(first.clone()).unwrap();
    chain.submit(child.clone()).unwrap();
    check_submit(&mut chain, paying(2 * FEE), Unwanted, "insufficient fee");
    check_submit(&mut chain, paying(3 * FEE), Unwanted, "insufficient fee");
    let better = paying(3 * FEE + 100);
    let admission = chain.submit(better.clone()).unwrap();
    let mut gone = [TxId(first.txid().0), TxId(child.txid().0)];
    gone.sort_unstable();
    assert_eq!(admission.removed, gone);
    assert_eq!(chain.pool.txids(), [better.txid()]);
}

#[test]
fn replacements_improve_the_pool_everywhere() {
    let mut chain = ripe();
    let (one, two) = (coinbase_of(&chain, 1), coinbase_of(&chain, 2));
    chain.submit(pay(&[one], &[Amount(FIFTY - FEE)])).unwrap();
    // Pays more in all, but at a much lower rate.
    let large = pay_with(&[one, two], &[Amount(2 * FIFTY - 2 * FEE)], |parts| {
        for _ in 0..400 {
            add_output(parts, 1_000, anyone().as_bytes());
        }
    });
    check_submit(&mut chain, large, Unwanted, "replacement-failed");
}

#[test]
fn nothing_replaces_what_it_needs() {
    let mut chain = ripe();
    let coin = coinbase_of(&chain, 1);
    let first = pay(&[coin], &[Amount(FIFTY / 2), Amount(FIFTY / 2 - FEE)]);
    chain.submit(first.clone()).unwrap();
    let both = pay(&[coin, output_of(&first, 0)], &[Amount(FIFTY)]);
    check_submit(&mut chain, both, Invalid, "bad-txns-spends-conflicting-tx");
}

#[test]
fn clusters_have_a_limit() {
    let mut chain = ripe();
    let mut amount = FIFTY - FEE;
    let mut last = pay(&[coinbase_of(&chain, 1)], &[Amount(amount)]);
    for _ in 0..64 {
        chain.submit(last.clone()).unwrap();
        amount -= FEE;
        last = pay(&[output_of(&last, 0)], &[Amount(amount)]);
    }
    check_submit(&mut chain, last, Unwanted, "too-large-cluster");
    let info = chain.pool.info(&chain.pool.txids()[0]).unwrap();
    assert_eq!((info.ancestors.count, info.descendants.count), (1, 64));
}

#[test]
fn version_3_families_are_small() {
    let mut chain = ripe();
    let with_version = |version: u32, coin: OutPoint, amounts: &[i64]| {
        let amounts: Vec<Amount> = amounts.iter().copied().map(Amount).collect();
        pay_with(&[coin], &amounts, |parts| parts.version = version)
    };
    let parent = with_version(3, coinbase_of(&chain, 1), &[FIFTY / 2, FIFTY / 2 - FEE]);
    chain.submit(parent.clone()).unwrap();
    check_submit(&mut chain, with_version(2, output_of(&parent, 0), &[1_000]), Unwanted, "TRUC-violation");
    let child = with_version(3, output_of(&parent, 0), &[FIFTY / 2 - FEE]);
    chain.submit(child.clone()).unwrap();
    check_submit(&mut chain, with_version(3, output_of(&parent, 1), &[1_000]), Unwanted, "TRUC-violation");
    check_submit(&mut chain, with_version(3, output_of(&child, 0), &[1_000]), Unwanted, "TRUC-violation");
}

#[test]
fn a_full_pool_keeps_the_best_and_asks_for_more() {
    let mut chain = ripe();
    chain.ledger.policy.memory_max = 6_000;
    let paying =
        |chain: &Chain, height: u32, fee: i64| pay(&[coinbase_of(chain, height)], &[Amount(FIFTY - fee)]);
    for height in 1..=10 {
        let transaction = paying(&chain, height, 1_000 * i64::from(height));
        chain.submit(transaction).unwrap();
    }
    let policy = chain.ledger.policy.clone();
    let summary = chain.pool.summary(&policy, Timestamp(chain.now));
    assert!(summary.usage <= 6_000 && summary.size < 10, "{summary:?}");
    assert!(summary.fee_min > policy.relay_fee_min);
    assert_eq!(chain.pool.entry(&chain.pool.txids()[0]).unwrap().fee, Amount(10_000));
    let poor = paying(&chain, 11, 500);
    check_submit(&mut chain, poor, Unwanted, "mempool min fee not met");
    // After a block the minimum falls.
    chain.mine(1);
    let later = Timestamp(chain.now + 7 * 24 * 60 * 60);
    assert_eq!(chain.pool.fee_min(&policy, later), FeePerKvb(0));
}

#[test]
fn a_full_pool_that_refuses_is_as_before() {
    let mut chain = ripe();
    let coin = coinbase_of(&chain, 1);
    let paying = |coin: OutPoint, fee: i64| pay(&[coin], &[Amount(FIFTY - fee)]);
    let first = paying(coin, FEE);
    chain.submit(first.clone()).unwrap();
    chain.submit(pay(&[output_of(&first, 0)], &[Amount(FIFTY - 2 * FEE)])).unwrap();
    for height in 2..=4 {
        let rich = paying(coinbase_of(&chain, height), 100 * FEE);
        chain.submit(rich).unwrap();
    }
    chain.ledger.policy.memory_max = 5_500;
    // Better than what it replaces, but larger, and still the worst of all.
    let larger = pay_with(&[coin], &[Amount(FIFTY - 20 * FEE)], |parts| {
        add_output(parts, 1_000, anyone().as_bytes());
        add_output(parts, 1_000, anyone().as_bytes());
        let script = [vec![0x6a, 0x4d, 0xe8, 0x03], vec![0; 1_000]].concat();
        add_output(parts, 0, &script);
    });
    let before = chain.pool.summary(&Policy::default(), Timestamp(0));
    check_submit(&mut chain, larger, Unwanted, "mempool full");
    let after = chain.pool.summary(&Policy::default(), Timestamp(0));
    assert_eq!((before.size, before.usage, before.total_fee), (after.size, after.usage, after.total_fee));
    assert_eq!(chain.pool.info(&first.txid()).unwrap().descendants.count, 2);
}

#[test]
fn waiting_too_long_ends() {
    let mut chain = ripe();
    let parent = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)]);
    chain.submit(parent.clone()).unwrap();
    chain.now += 1_000;
    chain.submit(pay(&[output_of(&parent, 0)], &[Amount(FIFTY - 2 * FEE)])).unwrap();
    let wait = Policy::default().expiry_seconds;
    chain.pool.expire(Timestamp(chain.now - 1_000 + wait));
    assert_eq!(chain.pool.len(), 2);
    chain.pool.expire(Timestamp(chain.now - 999 + wait));
    assert!(chain.pool.is_empty(), "descendants go along");
    assert_eq!(chain.pool.spender(&coinbase_of(&chain, 1)), None);
}

#[test]
fn a_block_removes_what_conflicts_with_it() {
    let mut chain = ripe();
    let pooled = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)]);
    chain.submit(pooled.clone()).unwrap();
    chain.submit(pay(&[output_of(&pooled, 0)], &[Amount(FIFTY - 2 * FEE)])).unwrap();
    let mined = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - 5 * FEE)]);
    let block = block_of(&chain, vec![mined]);
    chain.connect(block).unwrap();
    assert!(chain.pool.is_empty());
}

#[test]
fn undone_transactions_come_back_under_their_children() {
    let mut chain = ripe();
    let parent = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)]);
    chain.submit(parent.clone()).unwrap();
    chain.mine(1);
    let child = pay(&[output_of(&parent, 0)], &[Amount(FIFTY - 2 * FEE)]);
    chain.submit(child.clone()).unwrap();
    let confirmed_conflict = pay(&[coinbase_of(&chain, 2)], &[Amount(FIFTY - FEE)]);
    chain.submit(confirmed_conflict.clone()).unwrap();
    chain.reorganise(1, Vec::new());
    let info = chain.pool.info(&child.txid()).unwrap();
    assert_eq!((info.depends, info.ancestors.count), (vec![parent.txid()], 2));
    assert_eq!(chain.pool.len(), 3);
    let block = chain.build(&anyone());
    assert_eq!(block.transactions.len(), 4);
    chain.connect(block).unwrap();
    assert!(chain.pool.is_empty());
}

#[test]
fn families_of_several_undone_blocks_come_back_whole() {
    let mut chain = ripe();
    let mut last = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)]);
    let mut family = Vec::new();
    for generation in 2..=4 {
        chain.submit(last.clone()).unwrap();
        chain.mine(1);
        family.push(last.txid());
        last = pay(&[output_of(&last, 0)], &[Amount(FIFTY - generation * FEE)]);
    }
    chain.reorganise(3, Vec::new());
    assert_eq!(chain.pool.txids(), family);
}

#[test]
fn a_reorganisation_drops_what_it_makes_impossible() {
    let mut chain = ripe();
    chain.mine(1);
    // Ripe only in the next block; locked until this height; a child of a payment that will conflict.
    let ripe_now = pay(&[coinbase_of(&chain, 22)], &[Amount(FIFTY - FEE)]);
    let locked = pay_with(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)], |parts| parts.lock_time = 121);
    let mined = pay(&[coinbase_of(&chain, 2)], &[Amount(FIFTY - FEE)]);
    let fork_point = chain.build(&anyone());
    let block = block_of(&chain, vec![mined.clone()]);
    chain.connect(block).unwrap();
    let child = pay(&[output_of(&mined, 0)], &[Amount(FIFTY - 2 * FEE)]);
    for transaction in [&ripe_now, &locked, &child] {
        chain.submit(transaction.clone()).unwrap();
    }
    // Another block takes the same coin elsewhere.
    let rival = pay(&[coinbase_of(&chain, 2)], &[Amount(FIFTY - 3 * FEE)]);
    let mut other = fork_point;
    other.transactions.push(rival);
    let other = crate::spend::remade(other, |_| {});
    chain.reorganise(1, vec![other]);
    assert!(chain.pool.entry(&child.txid()).is_none() && chain.pool.entry(&mined.txid()).is_none());
    assert!(chain.pool.entry(&ripe_now.txid()).is_some());
    chain.reorganise(2, Vec::new());
    assert!(chain.pool.entry(&ripe_now.txid()).is_none(), "immature again");
    assert!(chain.pool.entry(&locked.txid()).is_none(), "locked again");
}

#[test]
fn a_saved_pool_comes_back() {
    let mut chain = ripe();
    let parent = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)]);
    chain.submit(parent.clone()).unwrap();
    chain.submit(pay(&[output_of(&parent, 0)], &[Amount(FIFTY - 5 * FEE)])).unwrap();
    let bytes = encode_saved(&chain.pool);
    let saved = decode_saved(bytes.clone().into()).unwrap();
    assert_eq!(saved[0].transaction, parent, "parents come first");
    assert_eq!(saved[0].time, Timestamp(chain.now));
    let before = chain.pool.txids();
    chain.pool = TransactionPool::default();
    for transaction in saved {
        chain.submit(transaction.transaction).unwrap();
    }
    assert_eq!(chain.pool.txids(), before);
    for end in [0, 6, 8, bytes.len() - 1] {
        assert!(decode_saved(bytes[..end].to_vec().into()).is_err());
    }
}

#[test]
fn entries_tell_of_their_relatives() {
    let mut chain = ripe();
    let parent = pay(&[coinbase_of(&chain, 1)], &[Amount(FIFTY - FEE)]);
    let child = pay_with(&[output_of(&parent, 0)], &[Amount(FIFTY - 3 * FEE)], |parts| {
        parts.inputs[0].sequence = u32::MAX;
    });
    chain.submit(parent.clone()).unwrap();
    chain.submit(child.clone()).unwrap();
    let info = chain.pool.info(&child.txid()).unwrap();
    assert_eq!((info.fee, info.ancestors.fees), (Amount(2 * FEE), Amount(3 * FEE)));
    assert_eq!(info.ancestors.vsize, parent.vsize() + child.vsize());
    assert_eq!((info.weight, info.vsize, info.height), (child.weight(), child.vsize(), 120));
    assert_eq!(info.chunk_fees, Amount(3 * FEE), "the child pays for its parent");
    assert!(info.bip125_replaceable, "its parent signals");
    assert_eq!(chain.pool.info(&parent.txid()).unwrap().spent_by, [child.txid()]);
    assert!(
        chain.pool.get(&TxId(child.wtxid().0)).is_some() && chain.pool.get(&TxId(child.txid().0)).is_some()
    );
}
