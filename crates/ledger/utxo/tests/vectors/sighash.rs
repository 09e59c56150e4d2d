//! `sighash.json`: legacy signature hashes of random transactions and scripts.

use crate::support::{list, output, read_list, text, unhex};
use bytes::Bytes;
use chainwright_utxo::hash::Txid;
use chainwright_utxo::sighash::{PrecomputedTransaction, legacy_sighash};
use chainwright_utxo::tx::Transaction;
use serde_json::Value;

#[track_caller]
fn check_sighash(row: &Value) {
    let transaction = Transaction::decode(Bytes::from(unhex(text(&row[0])))).expect("it decodes");
    let script = unhex(text(&row[1]));
    let index = row[2].as_u64().expect("an index") as usize;
    let hash_type = row[3].as_i64().expect("a hash type") as u32;
    // Hashes of this file print like identifiers.
    let expected: Txid = text(&row[4]).parse().expect("a hash");
    assert_eq!(Txid(legacy_sighash(transaction.parts(), index, &script, hash_type)), expected, "{row}");

    let spent = vec![output(0, Vec::new()); transaction.inputs().len()];
    let precomputed = PrecomputedTransaction::new(transaction, spent).expect("one for each input");
    assert_eq!(Txid(precomputed.legacy_sighash(index, &script, hash_type)), expected, "laid out: {row}");
}

#[test]
fn legacy_signature_hashes_are_right() {
    let Some(rows) = read_list("sighash.json") else { return };
    let rows: Vec<&Value> = rows.iter().filter(|row| list(row).len() == 5).collect();
    assert_eq!(rows.len(), 500, "the file has these many cases");
    rows.into_iter().for_each(check_sighash);
}
