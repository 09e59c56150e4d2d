//! `tx_valid.json` and `tx_invalid.json` with Bitcoin Core's rule that the flags named are exactly the ones that matter
//! (`test/transaction_tests.cpp`).

use crate::support::{Dice, list, output, parse_script, read_list, text, unhex};
use bytes::Bytes;
use chainwright_utxo::check::check_transaction;
use chainwright_utxo::script::Flags;
use chainwright_utxo::sighash::PrecomputedTransaction;
use chainwright_utxo::tx::{OutPoint, Transaction};
use serde_json::Value;
use std::collections::HashMap;

/// The cases of a file: comments are lists of one string.
pub(crate) fn rows(name: &str) -> Option<Vec<Value>> {
    Some(read_list(name)?.into_iter().filter(|row| list(row).len() == 3).collect())
}

/// The transaction of a case.
pub(crate) fn transaction(row: &Value) -> Transaction {
    Transaction::decode(Bytes::from(unhex(text(&row[1])))).expect("all of them decode")
}

/// The transaction of a case with the outputs it spends.
pub(crate) fn precomputed(row: &Value) -> PrecomputedTransaction {
    let outputs: HashMap<OutPoint, _> = list(&row[0])
        .iter()
        .map(|entry| {
            let txid = text(&entry[0]).parse().expect("an id");
            let index = entry[1].as_i64().expect("an index") as u32;
            let value = entry.get(3).map_or(0, |value| value.as_i64().expect("an amount"));
            (OutPoint { txid, index }, output(value, parse_script(text(&entry[2]))))
        })
        .collect();
    let transaction = transaction(row);
    let spent = transaction.inputs().iter().map(|input| outputs[&input.previous_output].clone()).collect();
    PrecomputedTransaction::new(transaction, spent).expect("every input's output was found")
}

fn passes(transaction: &PrecomputedTransaction, flags: Flags) -> bool {
    (0..transaction.spent().len()).all(|index| transaction.verify_input(index, flags).is_ok())
}

/// Takes away what makes no sense alone: WITNESS without P2SH, CLEANSTACK without WITNESS.
fn trim(mut flags: Flags) -> Flags {
    if !flags.contains(Flags::P2SH) {
        flags = flags.without(Flags::WITNESS);
    }
    if flags.contains(Flags::WITNESS) { flags } else { flags.without(Flags::CLEANSTACK) }
}

/// Adds what the others need.
fn fill(mut flags: Flags) -> Flags {
    if flags.contains(Flags::CLEANSTACK) {
        flags |= Flags::WITNESS;
    }
    if flags.contains(Flags::WITNESS) { flags | Flags::P2SH } else { flags }
}

fn complement(flags: Flags) -> Flags {
    Flags::ALL.without(flags)
}

/// Every set that lacks one flag of this one, with what the flag took along.
fn without_each(flags: Flags) -> impl Iterator<Item = Flags> {
    let sets = Flags::NAMED.into_iter().map(move |(_, flag)| trim(flags.without(flag)));
    sets.filter(move |set| *set != flags)
}

#[track_caller]
fn check_valid(row: &Value, dice: &mut Dice) {
    let precomputed = precomputed(row);
    assert_eq!(check_transaction(precomputed.transaction()), Ok(()), "{row}");
    let excluded = Flags::parse(text(&row[2])).expect("known flags");
    let flags = complement(excluded);
    assert_eq!(flags, fill(flags), "{row}");
    assert!(passes(&precomputed, flags), "{row}");
    for (name, flag) in Flags::NAMED {
        assert!(passes(&precomputed, trim(flags.without(flag))), "fewer flags, {name}: {row}");
        let random = Flags(dice.roll() as u32);
        assert!(passes(&precomputed, trim(flags.without(random))), "fewer flags {random:?}: {row}");
    }
    for fewer_excluded in without_each(excluded) {
        assert!(!passes(&precomputed, complement(fewer_excluded)), "too many flags excluded: {row}");
    }
}

#[track_caller]
fn check_invalid(row: &Value, dice: &mut Dice) {
    if let Err(error) = check_transaction(&transaction(row)) {
        assert_eq!(text(&row[2]), "BADTX", "{error}: {row}");
        return;
    }
    let precomputed = precomputed(row);
    let flags = Flags::parse(text(&row[2])).expect("known flags");
    assert_eq!(flags, fill(flags), "{row}");
    assert!(!passes(&precomputed, flags), "{row}");
    for (name, flag) in Flags::NAMED {
        assert!(!passes(&precomputed, fill(flags | flag)), "more flags, {name}: {row}");
        let random = Flags(dice.roll() as u32 & Flags::ALL.0);
        assert!(!passes(&precomputed, fill(flags | random)), "more flags {random:?}: {row}");
    }
    for fewer in without_each(flags) {
        assert!(passes(&precomputed, fewer), "too many flags, {fewer:?} would do: {row}");
    }
}

#[test]
fn valid_transactions_pass_with_every_flag_but_the_named() {
    let Some(rows) = rows("tx_valid.json") else { return };
    assert_eq!(rows.len(), 121, "the file has these many cases");
    let mut dice = Dice(1);
    for row in &rows {
        check_valid(row, &mut dice);
    }
}

#[test]
fn invalid_transactions_fail_with_exactly_the_named_flags() {
    let Some(rows) = rows("tx_invalid.json") else { return };
    assert_eq!(rows.len(), 93, "the file has these many cases");
    let mut dice = Dice(2);
    for row in &rows {
        check_invalid(row, &mut dice);
    }
}
