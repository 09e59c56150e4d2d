//! The errors that no vector names: anchors, Taproot and its policy, constant script code.

use crate::script_tests::{Tree, spend};
use chainwright_utxo::hash::hash160;
use chainwright_utxo::script::opcode::{
    OP_1, OP_CHECKMULTISIG, OP_CHECKSIG, OP_CHECKSIGADD, OP_CODESEPARATOR, OP_DROP, OP_DUP, OP_ELSE,
    OP_ENDIF, OP_EQUAL, OP_HASH160, OP_IF, OP_NIP, OP_NOT,
};
use chainwright_utxo::script::{Flags, ScriptError, witness_script_pubkey};
use chainwright_utxo::tx::Witness;

/// A reserved opcode that makes a Tapscript succeed.
const OP_SUCCESS_80: u8 = 80;

#[track_caller]
fn check(script_sig: &[u8], script_pubkey: &[u8], witness: &Witness, expected: [&str; 2]) {
    let transaction = spend(script_sig.to_vec(), script_pubkey.to_vec(), witness.clone(), 1);
    let verdicts = [Flags::MANDATORY, Flags::STANDARD]
        .map(|flags| transaction.verify_input(0, flags).map_or_else(ScriptError::name, |()| "OK"));
    assert_eq!(verdicts, expected, "under consensus, and under policy");
}

/// A spend of a witness program.
#[track_caller]
fn check_program(version: u8, program: &[u8], items: &[&[u8]], expected: [&str; 2]) {
    check(&[], witness_script_pubkey(version, program).as_bytes(), &Witness::from_items(items), expected);
}

/// A spend by the only leaf of a Taproot output.
#[track_caller]
fn check_leaf(version: u8, script: &[u8], items: &[&[u8]], expected: [&str; 2]) {
    let tree = Tree::with_version(version, script.to_vec());
    let items = [items, &[&tree.script, &tree.control]].concat();
    check_program(1, &tree.output, &items, expected);
}

#[test]
fn anchors_are_spent_by_anybody_and_other_programs_are_reserved() {
    let discouraged = ["OK", "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM"];
    let anchor = [0x4e, 0x73];
    check_program(1, &anchor, &[], ["OK", "OK"]);
    check_program(1, &anchor, &[&[1]], ["OK", "OK"]);
    check_program(2, &anchor, &[], discouraged);
    check_program(1, &[7; 3], &[], discouraged);
    check_program(0, &[7; 3], &[], ["WITNESS_PROGRAM_WRONG_LENGTH"; 2]);
    let nested = witness_script_pubkey(1, &anchor);
    let script_sig = [&[4], nested.as_bytes()].concat();
    let script_pubkey = [&[OP_HASH160, 20], &hash160(nested.as_bytes())[..], &[OP_EQUAL]].concat();
    check(&script_sig, &script_pubkey, &Witness::default(), discouraged);
}

#[test]
fn key_path_errors_have_their_names() {
    let key = Tree::with_version(0xc0, vec![OP_1]).output;
    check_program(1, &key, &[], ["WITNESS_PROGRAM_WITNESS_EMPTY"; 2]);
    check_program(1, &key, &[&[7; 63]], ["SCHNORR_SIG_SIZE"; 2]);
    check_program(1, &key, &[&[7; 66]], ["SCHNORR_SIG_SIZE"; 2]);
    check_program(1, &key, &[&[7; 64]], ["SCHNORR_SIG"; 2]);
    let typed = |hash_type: u8| [&[7; 64][..], &[hash_type]].concat();
    check_program(1, &key, &[&typed(1)], ["SCHNORR_SIG"; 2]);
    check_program(1, &key, &[&typed(0)], ["SCHNORR_SIG_HASHTYPE"; 2]);
    check_program(1, &key, &[&typed(4)], ["SCHNORR_SIG_HASHTYPE"; 2]);
}

#[test]
fn script_path_errors_have_their_names() {
    let tree = Tree::with_version(0xc0, vec![OP_1]);
    let shorter = &tree.control[..32];
    let other: &[u8] = &[OP_1 + 1];
    check_program(1, &tree.output, &[&tree.script, shorter], ["TAPROOT_WRONG_CONTROL_SIZE"; 2]);
    check_program(1, &tree.output, &[other, &tree.control], ["WITNESS_PROGRAM_MISMATCH"; 2]);
    check_leaf(0xc2, &[OP_CHECKSIG], &[], ["OK", "DISCOURAGE_UPGRADABLE_TAPROOT_VERSION"]);
    check_leaf(0xc0, &[OP_SUCCESS_80], &[], ["OK", "DISCOURAGE_OP_SUCCESS"]);
    check_leaf(0xc0, &[0x02, OP_SUCCESS_80], &[], ["BAD_OPCODE"; 2]);
    check_leaf(0xc0, &[OP_1, OP_1], &[], ["CLEANSTACK"; 2]);
    check_leaf(0xc0, &[OP_1, OP_IF, OP_ELSE, OP_ENDIF], &[], ["CLEANSTACK"; 2]);
}

#[test]
fn tapscript_errors_have_their_names() {
    check_leaf(0xc0, &[OP_CHECKMULTISIG], &[], ["TAPSCRIPT_CHECKMULTISIG"; 2]);
    check_leaf(0xc0, &[OP_IF], &[&[2]], ["TAPSCRIPT_MINIMALIF"; 2]);
    check_leaf(0xc0, &[0, OP_CHECKSIG], &[&[]], ["TAPSCRIPT_EMPTY_PUBKEY"; 2]);
    let unknown_key = ["OK", "DISCOURAGE_UPGRADABLE_PUBKEYTYPE"];
    check_leaf(0xc0, &[OP_1, OP_CHECKSIG], &[&[1]], unknown_key);
    check_leaf(0xc0, &[0, OP_1, OP_CHECKSIGADD], &[&[1]], unknown_key);
    let bad_signature = [&[32], &[9; 32][..], &[OP_CHECKSIG]].concat();
    check_leaf(0xc0, &bad_signature, &[&[1; 64]], ["SCHNORR_SIG"; 2]);
    check_leaf(0xc0, &bad_signature, &[&[]], ["EVAL_FALSE"; 2]);
}

#[test]
fn signature_checks_are_paid_for_in_weight() {
    // One check costs 50 and fits always; each further one needs as much witness, and has far less here.
    let checks = |count: usize| [[OP_DUP, OP_1, OP_CHECKSIG, OP_DROP].repeat(count), vec![OP_1]].concat();
    let with_drop = |count: usize| [&checks(count)[..], &[OP_NIP]].concat();
    check_leaf(0xc0, &with_drop(1), &[&[1]], ["OK", "DISCOURAGE_UPGRADABLE_PUBKEYTYPE"]);
    check_leaf(
        0xc0,
        &with_drop(9),
        &[&[1]],
        ["TAPSCRIPT_VALIDATION_WEIGHT", "DISCOURAGE_UPGRADABLE_PUBKEYTYPE"],
    );
}

#[test]
fn script_code_is_constant_under_policy() {
    let none = Witness::default();
    check(&[], &[OP_1, OP_CODESEPARATOR], &none, ["OK", "OP_CODESEPARATOR"]);
    // A signature that is part of the script it signs.
    let key = [&[33, 2][..], &[7; 32]].concat();
    let script = [&key[..], &[OP_CHECKSIG, OP_NOT, 2, 9, 9, OP_DROP]].concat();
    check(&[2, 9, 9], &script, &none, ["SIG_DER", "SIG_FINDANDDELETE"]);
}
