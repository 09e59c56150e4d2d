//! `taproot-ref.tar.zst`: spends of Taproot outputs with a witness that must pass and one that must fail (Bitcoin Core
//! `script_tests.cpp`, `script_assets_test`).

use crate::support::{list, read_zstd, tar_files, text, unhex};
use bytes::Bytes;
use chainwright_utxo::codec::Reader;
use chainwright_utxo::script::{Flags, Script};
use chainwright_utxo::sighash::PrecomputedTransaction;
use chainwright_utxo::tx::{Transaction, TxOut, Witness};
use serde_json::Value;

/// The files, unpacked.
pub(crate) fn files() -> Option<Vec<Value>> {
    let archive = read_zstd("taproot-ref.tar.zst")?;
    let files = tar_files(&archive).into_iter().map(|(name, contents)| {
        // The files were cut out of a list, commas included.
        let end = contents.iter().rposition(|byte| *byte == b'}').expect("an object") + 1;
        serde_json::from_slice(&contents[..end]).unwrap_or_else(|error| panic!("{name}: {error}"))
    });
    Some(files.collect())
}

/// The spend with the input script and witness under `key`, if the case has one.
pub(crate) fn spend(case: &Value, key: &str) -> Option<PrecomputedTransaction> {
    let inputs = case.get(key)?;
    let index = case["index"].as_u64().expect("an index") as usize;
    // The transactions have no witnesses yet, and some of them no outputs that would tell them from extended ones.
    let transaction = Transaction::decode(Bytes::from(unhex(text(&case["tx"])))).expect("it decodes");
    let mut parts = transaction.parts().clone();
    parts.inputs[index].script_sig = Script::from(unhex(text(&inputs["scriptSig"])));
    parts.inputs[index].witness =
        Witness::from_items(list(&inputs["witness"]).iter().map(|item| unhex(text(item))));
    let spent = list(&case["prevouts"])
        .iter()
        .map(|output| TxOut::read(&mut Reader::new(Bytes::from(unhex(text(output))))).expect("it decodes"));
    PrecomputedTransaction::new(Transaction::new(parts), spent.collect()).ok()
}

/// All sets of consensus flags that soft forks can leave behind.
fn consensus_flags() -> Vec<Flags> {
    let free = [Flags::DERSIG, Flags::NULLDUMMY, Flags::CHECKLOCKTIMEVERIFY, Flags::CHECKSEQUENCEVERIFY];
    let nested = [
        Flags::NONE,
        Flags::P2SH,
        Flags::P2SH | Flags::WITNESS,
        Flags::P2SH | Flags::WITNESS | Flags::TAPROOT,
    ];
    let mut sets = Vec::new();
    for base in nested {
        for choice in 0..1_u32 << free.len() {
            let chosen = free.iter().enumerate().filter(|(bit, _)| choice >> bit & 1 == 1);
            sets.push(chosen.fold(base, |set, (_, flag)| set | *flag));
        }
    }
    sets
}

#[track_caller]
fn check_spend(case: &Value, sets: &[Flags]) {
    let index = case["index"].as_u64().expect("an index") as usize;
    let flags = Flags::parse(text(&case["flags"])).expect("known flags");
    let last_word = case.get("final").is_some_and(|value| value == &Value::Bool(true));
    let comment = &case["comment"];
    if let Some(good) = spend(case, "success") {
        for set in sets.iter().filter(|set| last_word || flags.contains(**set)) {
            assert_eq!(good.verify_input(index, *set), Ok(()), "{comment} {set:?}");
        }
    }
    if let Some(bad) = spend(case, "failure") {
        for set in sets.iter().filter(|set| set.contains(flags)) {
            assert!(bad.verify_input(index, *set).is_err(), "{comment} {set:?}");
        }
    }
}

#[test]
fn taproot_spends_pass_and_fail_as_they_must() {
    let Some(files) = files() else { return };
    assert_eq!(files.len(), 2_760, "the archive has these many cases");
    let sets = consensus_flags();
    let half = files.len() / 2;
    std::thread::scope(|scope| {
        for part in [&files[..half], &files[half..]] {
            let sets = &sets;
            scope.spawn(move || part.iter().for_each(|case| check_spend(case, sets)));
        }
    });
}
