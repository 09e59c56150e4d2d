//! Counting signature operations, which blocks have a limit of (Bitcoin Core `consensus/tx_verify.cpp`).

use super::flags::Flags;
use super::instruction::{Instructions, small_number};
use super::opcode::{OP_16, OP_CHECKMULTISIG, OP_CHECKMULTISIGVERIFY, OP_CHECKSIG, OP_CHECKSIGVERIFY};
use super::verify::witness_program;
use super::{MULTISIG_KEYS_MAX, is_p2sh, is_push_only};
use crate::tx::{Transaction, TxOut, WITNESS_SCALE_FACTOR, Witness};

/// The signature operations in a script up to its first truncated push. A CHECKMULTISIG counts as 20, or, when
/// `accurate`, as the small number right before it (Bitcoin Core `GetSigOpCount`).
pub fn legacy_sigops(script: &[u8], accurate: bool) -> usize {
    let mut count = 0;
    let mut previous = None;
    for instruction in Instructions::new(script).map_while(Result::ok) {
        count += match instruction.opcode {
            OP_CHECKSIG | OP_CHECKSIGVERIFY => 1,
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY => {
                previous.filter(|_| accurate).map_or(MULTISIG_KEYS_MAX, usize::from)
            }
            _ => 0,
        };
        previous = small_number(instruction.opcode);
    }
    count
}

/// The last item that a script of pushes pushes; nothing when it does more than push. Opcodes that push numbers
/// count as the empty item, as they do in Bitcoin Core.
fn last_push(script_sig: &[u8]) -> Option<&[u8]> {
    let mut last: &[u8] = &[];
    for instruction in Instructions::new(script_sig) {
        let instruction = instruction.ok()?;
        if instruction.opcode > OP_16 {
            return None;
        }
        last = instruction.data;
    }
    Some(last)
}

/// The signature operations of the script that a pay-to-script-hash output commits to, as the input reveals it.
pub fn p2sh_sigops(script_sig: &[u8], script_pubkey: &[u8]) -> usize {
    if !is_p2sh(script_pubkey) {
        return 0;
    }
    last_push(script_sig).map_or(0, |script| legacy_sigops(script, true))
}

/// The signature operations of a witness, bare or nested (Bitcoin Core `CountWitnessSigOps`). Tapscript has its own
/// budget and counts as none.
pub fn witness_sigops(script_sig: &[u8], script_pubkey: &[u8], witness: &Witness) -> usize {
    if let Some((version, program)) = witness_program(script_pubkey) {
        return program_sigops(version, program, witness);
    }
    if is_p2sh(script_pubkey)
        && is_push_only(script_sig)
        && let Some((version, program)) = last_push(script_sig).and_then(witness_program)
    {
        return program_sigops(version, program, witness);
    }
    0
}

fn program_sigops(version: u8, program: &[u8], witness: &Witness) -> usize {
    match (version, program.len()) {
        (0, 20) => 1,
        (0, 32) => witness.last().map_or(0, |script| legacy_sigops(script, true)),
        _ => 0,
    }
}

/// What a transaction's signature operations cost: four for each outside a witness, one inside (Bitcoin Core
/// `GetTransactionSigOpCost`). `spent` holds the outputs spent, in the order of the inputs; a coinbase has none.
pub fn transaction_sigop_cost(transaction: &Transaction, spent: &[TxOut], flags: Flags) -> usize {
    let inputs = transaction.inputs();
    let in_inputs: usize = inputs.iter().map(|input| legacy_sigops(input.script_sig.as_bytes(), false)).sum();
    let in_outputs: usize = transaction
        .outputs()
        .iter()
        .map(|output| legacy_sigops(output.script_pubkey.as_bytes(), false))
        .sum();
    let mut cost = (in_inputs + in_outputs) * WITNESS_SCALE_FACTOR;
    if transaction.is_coinbase() {
        return cost;
    }
    for (input, output) in inputs.iter().zip(spent) {
        let (script_sig, script_pubkey) = (input.script_sig.as_bytes(), output.script_pubkey.as_bytes());
        if flags.contains(Flags::P2SH) {
            cost += p2sh_sigops(script_sig, script_pubkey) * WITNESS_SCALE_FACTOR;
        }
        if flags.contains(Flags::WITNESS) {
            cost += witness_sigops(script_sig, script_pubkey, &input.witness);
        }
    }
    cost
}

#[cfg(test)]
#[path = "sigops/tests.rs"]
mod tests;
