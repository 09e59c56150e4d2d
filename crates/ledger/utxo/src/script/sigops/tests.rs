//! The cases of Bitcoin Core `test/sigopcount_tests.cpp`.

use super::super::instruction::put_push;
use super::super::opcode::{
    OP_0, OP_1, OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY, OP_CHECKSIG, OP_ENDIF, OP_EQUAL, OP_HASH160, OP_IF,
};
use super::super::{Flags, Script, witness_script_pubkey};
use super::{legacy_sigops, p2sh_sigops, transaction_sigop_cost, witness_sigops};
use crate::amount::Amount;
use crate::hash::{hash160, sha256};
use crate::tx::{OutPoint, Transaction, TransactionParts, TxIn, TxOut, Witness};

const OP_2: u8 = OP_1 + 1;

fn pushes(items: &[&[u8]]) -> Vec<u8> {
    let mut script = Vec::new();
    items.iter().copied().for_each(|item| put_push(&mut script, item));
    script
}

fn pay_to_script(script: &[u8]) -> Vec<u8> {
    [&[OP_HASH160, 20], &hash160(script)[..], &[OP_EQUAL]].concat()
}

/// Two keys' multisig, then a signature check in a branch.
fn sample() -> Vec<u8> {
    let keys = pushes(&[&[0; 20], &[0; 20]]);
    [&[OP_1], &keys[..], &[OP_2, OP_CHECKMULTISIG, OP_IF, OP_CHECKSIG, OP_ENDIF]].concat()
}

#[track_caller]
fn check_legacy(script: &[u8], accurate: usize, coarse: usize) {
    assert_eq!((legacy_sigops(script, true), legacy_sigops(script, false)), (accurate, coarse));
}

#[test]
fn scripts_count_their_signature_checks() {
    check_legacy(&[], 0, 0);
    check_legacy(&sample(), 3, 21);
    check_legacy(&[OP_0, OP_CHECKMULTISIG], 20, 20);
    // What is behind a truncated push does not count.
    check_legacy(&[OP_CHECKSIG, 0x05, OP_CHECKSIG], 1, 1);
    check_legacy(&pay_to_script(&sample()), 0, 0);
}

#[test]
fn revealed_scripts_count_accurately() {
    let output = pay_to_script(&sample());
    let script_sig = [&[OP_0], &pushes(&[&sample()])[..]].concat();
    assert_eq!(p2sh_sigops(&script_sig, &output), 3);
    let more = [&[OP_CHECKSIG], &script_sig[..]].concat();
    assert_eq!(p2sh_sigops(&more, &output), 0, "an input that does more than push reveals nothing");
    assert_eq!(p2sh_sigops(&script_sig, &sample()), 0);
    assert_eq!(p2sh_sigops(&[&script_sig[..], &[OP_1]].concat(), &output), 0, "a number is no script");
}

#[test]
fn witnesses_count_once() {
    let key_hash = witness_script_pubkey(0, &[7; 20]);
    let script = [OP_1, OP_1, OP_2, OP_CHECKMULTISIGVERIFY];
    let script_hash = witness_script_pubkey(0, &sha256(&script));
    let witness = Witness::from_items([&[][..], &[], &script]);
    assert_eq!(witness_sigops(&[], key_hash.as_bytes(), &Witness::default()), 1);
    assert_eq!(witness_sigops(&[], script_hash.as_bytes(), &witness), 2);
    assert_eq!(witness_sigops(&[], witness_script_pubkey(1, &[7; 32]).as_bytes(), &witness), 0);
    for (program, expected) in [(&key_hash, 1), (&script_hash, 2)] {
        let nested = pay_to_script(program.as_bytes());
        assert_eq!(witness_sigops(&pushes(&[program.as_bytes()]), &nested, &witness), expected);
        assert_eq!(witness_sigops(&[OP_CHECKSIG], &nested, &witness), 0);
    }
}

/// A transaction whose one input and output have these scripts, and the output it spends.
fn spend(script_sig: Vec<u8>, script_pubkey: Vec<u8>, witness: Witness) -> (Transaction, Vec<TxOut>) {
    let output = |script: Vec<u8>| TxOut { value: Amount(1), script_pubkey: Script::from(script) };
    let previous_output = OutPoint { index: 0, ..OutPoint::NULL };
    let input = TxIn { previous_output, script_sig: script_sig.into(), sequence: u32::MAX, witness };
    let parts =
        TransactionParts { version: 1, inputs: vec![input], outputs: vec![output(sample())], lock_time: 0 };
    (Transaction::new(parts), vec![output(script_pubkey)])
}

#[track_caller]
fn check_cost(spend: &(Transaction, Vec<TxOut>), flags: Flags, expected: usize) {
    assert_eq!(transaction_sigop_cost(&spend.0, &spend.1, flags), expected);
}

#[test]
fn costs_weigh_what_is_outside_the_witness_four_times() {
    let in_output = 21 * 4;
    let both = Flags::P2SH | Flags::WITNESS;
    let revealed = spend(pushes(&[&sample()]), pay_to_script(&sample()), Witness::default());
    check_cost(&revealed, Flags::NONE, in_output);
    check_cost(&revealed, both, in_output + 3 * 4);
    let native =
        spend(Vec::new(), witness_script_pubkey(0, &[7; 20]).as_bytes().to_vec(), Witness::default());
    check_cost(&native, Flags::P2SH, in_output);
    check_cost(&native, both, in_output + 1);
}

#[test]
fn a_coinbase_costs_only_what_stands_in_it() {
    let (transaction, spent) = spend(vec![OP_CHECKSIG; 2], Vec::new(), Witness::default());
    let mut parts = transaction.parts().clone();
    parts.inputs[0].previous_output = OutPoint::NULL;
    check_cost(&(Transaction::new(parts), spent), Flags::ALL, (2 + 21) * 4);
}
