//! Joining an input's script, an output's script and a witness (Bitcoin Core `VerifyScript`).

use super::error::ScriptError;
use super::flags::Flags;
use super::instruction::put_push;
use super::interpreter::{Environment, SigVersion, SignatureChecker, TapscriptState, run};
use super::item::Item;
use super::opcode::{OP_1, OP_16, OP_CHECKSIG, OP_DUP, OP_EQUALVERIFY, OP_HASH160};
use super::taproot::verify_taproot;
use super::{ITEM_SIZE_MAX, is_p2sh, is_push_only, number};
use crate::hash::sha256;
use crate::tx::Witness;

/// How many items the stack takes before it grows.
const STACK_CAPACITY: usize = 8;
/// The program of a pay-to-anchor output, version 1.
const ANCHOR_PROGRAM: [u8; 2] = [0x4e, 0x73];

/// The witness version and program that a script is, if it is one: an opcode that pushes 0 to 16 and a push of 2
/// to 40 bytes (BIP-0141).
pub fn witness_program(script: &[u8]) -> Option<(u8, &[u8])> {
    let [version, length, program @ ..] = script else { return None };
    let version = match *version {
        0 => 0,
        opcode @ OP_1..=OP_16 => opcode - OP_1 + 1,
        _ => return None,
    };
    let fits = (2..=40).contains(&program.len()) && usize::from(*length) == program.len();
    fits.then_some((version, program))
}

/// Whether an input's script and witness satisfy an output's script.
///
/// # Errors
/// The [`ScriptError`] Bitcoin Core gives. Flags that make no sense together (WITNESS without P2SH, CLEANSTACK without
/// WITNESS) are taken literally.
pub fn verify_script(
    script_sig: &[u8],
    script_pubkey: &[u8],
    witness: &Witness,
    flags: Flags,
    checker: &dyn SignatureChecker,
) -> Result<(), ScriptError> {
    let environment = Environment { flags, checker };
    if flags.contains(Flags::SIGPUSHONLY) && !is_push_only(script_sig) {
        return Err(ScriptError::SigPushOnly);
    }
    let mut stack: Vec<Item<'_>> = Vec::with_capacity(STACK_CAPACITY);
    run(&mut stack, script_sig, environment, SigVersion::Base, None)?;
    let pays_to_script = flags.contains(Flags::P2SH) && is_p2sh(script_pubkey);
    let pushed = if pays_to_script { stack.clone() } else { Vec::new() };
    run(&mut stack, script_pubkey, environment, SigVersion::Base, None)?;
    check_top(&stack)?;

    let mut had_witness = false;
    let mut item_count = stack.len();
    if flags.contains(Flags::WITNESS)
        && let Some((version, program)) = witness_program(script_pubkey)
    {
        had_witness = true;
        if !script_sig.is_empty() {
            return Err(ScriptError::WitnessMalleated);
        }
        verify_program(witness, version, program, environment, false)?;
        item_count = 1;
    }
    if pays_to_script {
        let redeemed = verify_p2sh(pushed, script_sig, witness, environment)?;
        had_witness |= redeemed.had_witness;
        item_count = redeemed.item_count;
    }
    if flags.contains(Flags::CLEANSTACK) && item_count != 1 {
        return Err(ScriptError::CleanStack);
    }
    if flags.contains(Flags::WITNESS) && !had_witness && !witness.is_empty() {
        return Err(ScriptError::WitnessUnexpected);
    }
    Ok(())
}

/// How a pay-to-script-hash spend ended.
struct Redeemed {
    had_witness: bool,
    item_count: usize,
}

/// Runs the script that an output commits to by hash, on what the input pushed (BIP-0016).
fn verify_p2sh(
    mut stack: Vec<Item<'_>>,
    script_sig: &[u8],
    witness: &Witness,
    environment: Environment<'_>,
) -> Result<Redeemed, ScriptError> {
    if !is_push_only(script_sig) {
        return Err(ScriptError::SigPushOnly);
    }
    // The output's script found an item that hashes right, so there is one.
    let script = stack.pop().ok_or(ScriptError::EvalFalse)?;
    let script = script.as_bytes();
    let mut stack = stack;
    run(&mut stack, script, environment, SigVersion::Base, None)?;
    check_top(&stack)?;
    let program = witness_program(script).filter(|_| environment.flags.contains(Flags::WITNESS));
    let Some((version, program)) = program else {
        return Ok(Redeemed { had_witness: false, item_count: stack.len() });
    };
    let mut only_push = Vec::with_capacity(script.len() + 1);
    put_push(&mut only_push, script);
    if script_sig != only_push {
        return Err(ScriptError::WitnessMalleatedP2sh);
    }
    verify_program(witness, version, program, environment, true)?;
    Ok(Redeemed { had_witness: true, item_count: 1 })
}

fn check_top(stack: &[Item<'_>]) -> Result<(), ScriptError> {
    match stack.last() {
        Some(top) if number::is_true(top.as_bytes()) => Ok(()),
        _ => Err(ScriptError::EvalFalse),
    }
}

/// Checks a witness against a program (Bitcoin Core `VerifyWitnessProgram`).
fn verify_program(
    witness: &Witness,
    version: u8,
    program: &[u8],
    environment: Environment<'_>,
    nested: bool,
) -> Result<(), ScriptError> {
    let flags = environment.flags;
    if version == 0 {
        return verify_version_0(witness, program, environment);
    }
    if version == 1 && !nested {
        if let Ok(output_key) = program.try_into() {
            let active = flags.contains(Flags::TAPROOT);
            return if active { verify_taproot(witness, output_key, environment) } else { Ok(()) };
        }
        if program == ANCHOR_PROGRAM {
            return Ok(());
        }
    }
    if flags.contains(Flags::DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM) {
        return Err(ScriptError::DiscourageUpgradableWitnessProgram);
    }
    Ok(())
}

/// Version 0: a key's hash or a script's (BIP-0141).
fn verify_version_0(
    witness: &Witness,
    program: &[u8],
    environment: Environment<'_>,
) -> Result<(), ScriptError> {
    let mut items: Vec<Item<'_>> = Vec::with_capacity(witness.len() + STACK_CAPACITY);
    items.extend(witness.iter().map(Item::borrowed));
    match program.len() {
        32 => {
            let Some(script) = items.pop() else { return Err(ScriptError::WitnessProgramWitnessEmpty) };
            if sha256(script.as_bytes()) != program {
                return Err(ScriptError::WitnessProgramMismatch);
            }
            execute_witness(items, script.as_bytes(), environment, SigVersion::WitnessV0, None)
        }
        20 => {
            if items.len() != 2 {
                return Err(ScriptError::WitnessProgramMismatch);
            }
            let mut script = [0; 25];
            script[..3].copy_from_slice(&[OP_DUP, OP_HASH160, 20]);
            script[3..23].copy_from_slice(program);
            script[23..].copy_from_slice(&[OP_EQUALVERIFY, OP_CHECKSIG]);
            execute_witness(items, &script, environment, SigVersion::WitnessV0, None)
        }
        _ => Err(ScriptError::WitnessProgramWrongLength),
    }
}

/// Runs a witness's script, which must leave exactly one true item (Bitcoin Core `ExecuteWitnessScript`).
pub(super) fn execute_witness<'a>(
    mut stack: Vec<Item<'a>>,
    script: &'a [u8],
    environment: Environment<'_>,
    version: SigVersion,
    tapscript: Option<&mut TapscriptState>,
) -> Result<(), ScriptError> {
    if stack.iter().any(|item| item.as_bytes().len() > ITEM_SIZE_MAX) {
        return Err(ScriptError::PushSize);
    }
    run(&mut stack, script, environment, version, tapscript)?;
    if stack.len() != 1 {
        return Err(ScriptError::CleanStack);
    }
    check_top(&stack)
}
