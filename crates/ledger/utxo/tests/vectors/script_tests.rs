//! `script_tests.json`: scripts with flags and the exact error (Bitcoin Core `test/script_tests.cpp`).

use crate::support::{Dice, list, output, parse_script, read_list, text, unhex};
use chainwright_utxo::script::{Flags, tap_leaf_hash, taproot_output_key};
use chainwright_utxo::sighash::PrecomputedTransaction;
use chainwright_utxo::tx::{OutPoint, Transaction, TransactionParts, TxIn, Witness};
use hex_conservative::DisplayHex as _;
use serde_json::Value;

/// The internal key that nobody knows the secret of (BIP-0341).
const NUMS_KEY: &str = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0";

/// One case, ready to run.
pub(crate) struct Case {
    pub(crate) transaction: PrecomputedTransaction,
    pub(crate) flags: Flags,
    pub(crate) expected: String,
}

/// All cases of the file.
pub(crate) fn cases() -> Option<Vec<(Value, Case)>> {
    let rows = read_list("script_tests.json")?;
    Some(rows.into_iter().filter(|row| list(row).len() > 1).map(|row| (row.clone(), case(&row))).collect())
}

fn case(row: &Value) -> Case {
    let row = list(row);
    let witness_given = row[0].is_array();
    let (witness, rest) = if witness_given { (list(&row[0]), &row[1..]) } else { (&[][..], row) };
    let (amount, items) = match witness.split_last() {
        Some((amount, items)) => ((amount.as_f64().expect("an amount in coins") * 1e8).round() as i64, items),
        None => (0, &[][..]),
    };
    let tree = items.iter().find_map(|item| text(item).strip_prefix("#SCRIPT#")).map(Tree::of);
    let items = items.iter().map(|item| match text(item) {
        "#CONTROLBLOCK#" => tree.as_ref().expect("a script before its control block").control.clone(),
        script if script.starts_with("#SCRIPT#") => tree.as_ref().expect("found above").script.clone(),
        item => unhex(item),
    });
    let witness = Witness::from_items(items);
    let script_pubkey = match &tree {
        Some(tree) => text(&rest[1]).replace("#TAPROOTOUTPUT#", &format!("0x{}", tree.output.as_hex())),
        None => text(&rest[1]).to_owned(),
    };
    let mut flags = Flags::parse(text(&rest[2])).expect("known flags");
    if flags.contains(Flags::CLEANSTACK) {
        flags |= Flags::P2SH | Flags::WITNESS;
    }
    Case {
        transaction: spend(parse_script(text(&rest[0])), parse_script(&script_pubkey), witness, amount),
        flags,
        expected: text(&rest[3]).to_owned(),
    }
}

/// A Taproot output with one leaf.
pub(crate) struct Tree {
    pub(crate) script: Vec<u8>,
    pub(crate) control: Vec<u8>,
    pub(crate) output: [u8; 32],
}

impl Tree {
    fn of(source: &str) -> Self {
        Self::with_version(0xc0, parse_script(source))
    }

    /// A tree whose leaf has this version.
    pub(crate) fn with_version(version: u8, script: Vec<u8>) -> Self {
        let internal: [u8; 32] = unhex(NUMS_KEY).try_into().expect("32 bytes");
        let root = tap_leaf_hash(version, &script);
        let (output, odd) = taproot_output_key(&internal, Some(&root)).expect("a good key");
        let control = [&[version | u8::from(odd)], &internal[..]].concat();
        Self { script, control, output }
    }
}

/// The transaction that Bitcoin Core's tests spend with (`BuildCreditingTransaction`, `BuildSpendingTransaction`).
pub(crate) fn spend(
    script_sig: Vec<u8>,
    script_pubkey: Vec<u8>,
    witness: Witness,
    amount: i64,
) -> PrecomputedTransaction {
    let input = |previous_output, script_sig: Vec<u8>, witness| TxIn {
        previous_output,
        script_sig: script_sig.into(),
        sequence: u32::MAX,
        witness,
    };
    let credit = Transaction::new(TransactionParts {
        version: 1,
        inputs: vec![input(OutPoint::NULL, vec![0, 0], Witness::default())],
        outputs: vec![output(amount, script_pubkey)],
        lock_time: 0,
    });
    let from = OutPoint { txid: credit.txid(), index: 0 };
    let transaction = Transaction::new(TransactionParts {
        version: 1,
        inputs: vec![input(from, script_sig, witness)],
        outputs: vec![output(amount, Vec::new())],
        lock_time: 0,
    });
    PrecomputedTransaction::new(transaction, credit.outputs().to_vec()).expect("one input, one output")
}

#[track_caller]
fn check_case(row: &Value, case: &Case, dice: &mut Dice) {
    let verdict = case.transaction.verify_input(0, case.flags);
    let name = verdict.map_or_else(chainwright_utxo::script::ScriptError::name, |()| "OK");
    assert_eq!(name, case.expected, "{row}");
    // Fewer flags never fail what passes, more never pass what fails.
    for _ in 0..16 {
        let random = Flags(dice.roll() as u32 & Flags::ALL.0);
        let combined = match verdict {
            Ok(()) => Flags(case.flags.0 & random.0),
            Err(_) => case.flags | random,
        };
        let needs_p2sh = combined.contains(Flags::WITNESS) && !combined.contains(Flags::P2SH);
        let needs_witness = combined.contains(Flags::CLEANSTACK) && !combined.contains(Flags::WITNESS);
        if !needs_p2sh && !needs_witness {
            let again = case.transaction.verify_input(0, combined);
            assert_eq!(again.is_ok(), verdict.is_ok(), "{combined:?} {row}");
        }
    }
}

#[test]
fn every_script_gives_the_exact_error() {
    let Some(cases) = cases() else { return };
    assert_eq!(cases.len(), 1_233, "the file has these many cases");
    let mut dice = Dice(7);
    for (row, case) in &cases {
        check_case(row, case, &mut dice);
    }
}
