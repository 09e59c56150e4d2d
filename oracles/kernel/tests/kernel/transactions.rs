//! Transactions with one bit changed: decoding, ids and what bytes alone prove.

use bitcoinkernel::core::TxCheckResult;
use bitcoinkernel::prelude::*;
use bytes::Bytes;
use chainwright_utxo::check::check_transaction;
use chainwright_utxo::codec::Reader;
use chainwright_utxo::tx::Transaction;

use crate::support::{Dice, flip, read_list, read_zstd, say, unhex};

/// What both sides made of some bytes.
#[derive(Default)]
struct Counts {
    undecodable: usize,
    refused: usize,
    good: usize,
}

#[track_caller]
fn check_alike(bytes: &[u8], case: &str, counts: &mut Counts) {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
    let ours = Transaction::read(&mut reader);
    let read = bytes.len() - reader.remaining();
    let theirs = bitcoinkernel::Transaction::new(bytes);
    assert_eq!(ours.is_ok(), theirs.is_ok(), "{case}: ours {ours:?}, the engine's {:?}", theirs.is_ok());
    let (Ok(ours), Ok(theirs)) = (ours, theirs) else {
        counts.undecodable += 1;
        return;
    };
    assert_eq!(theirs.consensus_encode().expect("it encodes"), bytes[..read], "{case}: bytes read");
    assert_eq!(ours.encode(), &bytes[..read], "{case}: bytes written");
    assert_eq!(ours.txid().0, theirs.txid().to_bytes(), "{case}: the ids");
    assert_eq!(ours.inputs().len(), theirs.input_count(), "{case}: inputs");
    assert_eq!(ours.outputs().len(), theirs.output_count(), "{case}: outputs");
    let checked = check_transaction(&ours);
    let is_good = matches!(theirs.check(), TxCheckResult::Valid);
    assert_eq!(checked.is_ok(), is_good, "{case}: ours {checked:?}, the engine's {is_good}");
    *(if is_good { &mut counts.good } else { &mut counts.refused }) += 1;
}

#[track_caller]
fn check_flips(name: &str, transactions: &[Vec<u8>], seed: u64, flips: usize) {
    let mut dice = Dice::new(seed);
    let mut counts = Counts::default();
    for (at, bytes) in transactions.iter().enumerate() {
        check_alike(bytes, &format!("{name} {at}"), &mut counts);
        for _ in 0..flips {
            let bit = dice.below(bytes.len() * 8);
            check_alike(&flip(bytes, bit), &format!("{name} {at}, seed {seed}, bit {bit}"), &mut counts);
            // Half of the interesting numbers are among the first bytes.
            let bit = dice.below(bytes.len().min(64) * 8);
            check_alike(&flip(bytes, bit), &format!("{name} {at}, seed {seed}, bit {bit}"), &mut counts);
        }
        let cut = dice.below(bytes.len());
        check_alike(&bytes[..cut], &format!("{name} {at}, seed {seed}, cut at {cut}"), &mut counts);
    }
    let Counts { undecodable, refused, good } = counts;
    assert!(undecodable > 0 && good > 0);
    say(&format!("{name}: {undecodable} undecodable, {refused} refused, {good} good"));
}

/// Transactions of a JSON vector, in this column.
fn column(name: &str, at: usize) -> Option<Vec<Vec<u8>>> {
    let rows = read_list(name)?;
    let rows = rows.iter().filter(|row| row.as_array().is_some_and(|row| row.len() > 1));
    Some(rows.skip(usize::from(at == 0)).filter_map(|row| row[at].as_str()).map(unhex).collect())
}

#[test]
fn flips_of_vector_transactions_are_judged_alike() {
    for (name, at, seed) in [("tx_valid.json", 1, 11), ("tx_invalid.json", 1, 12), ("sighash.json", 0, 13)] {
        let Some(transactions) = column(name, at) else { return };
        check_flips(name, &transactions, seed, 60);
    }
}

#[test]
fn flips_of_mined_transactions_are_judged_alike() {
    let Some(bytes) = read_zstd("block-866342/raw.zst") else { return };
    let block = chainwright_utxo::block::Block::decode(bytes.into()).expect("a real block");
    let transactions: Vec<_> =
        block.transactions.iter().map(|transaction| transaction.encode().to_vec()).collect();
    check_flips("866342", &transactions, 14, 4);
}
