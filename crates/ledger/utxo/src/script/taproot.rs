//! Taproot: trees of scripts under a tweaked key (BIP-0341).

use super::error::ScriptError;
use super::flags::Flags;
use super::instruction::Instructions;
use super::interpreter::{Environment, SigVersion, SignatureChecker, TaprootSpend, TapscriptState};
use super::item::Item;
use super::{STACK_SIZE_MAX, verify};
use crate::hash::Hasher;
use crate::tx::Witness;
use secp256k1::{Parity, Scalar, XOnlyPublicKey};
use std::sync::LazyLock;

/// What the first byte of an annex is.
const ANNEX_TAG: u8 = 0x50;
/// The leaf version of Tapscript.
const LEAF_TAPSCRIPT: u8 = 0xc0;
/// A control block's first byte without the parity of the output key.
const LEAF_MASK: u8 = 0xfe;
/// A control block without path: leaf version and internal key.
const CONTROL_BASE_SIZE: usize = 33;
/// One step of a control block's path.
const CONTROL_NODE_SIZE: usize = 32;
/// The longest path.
const CONTROL_NODES_MAX: usize = 128;
/// What every Tapscript may spend on signature checks beyond its witness's size.
const WEIGHT_OFFSET: i64 = 50;
/// The position of the last CODESEPARATOR when none ran.
const NO_CODE_SEPARATOR: u32 = u32::MAX;

static TAP_LEAF: LazyLock<Hasher> = LazyLock::new(|| Hasher::tagged("TapLeaf"));
static TAP_BRANCH: LazyLock<Hasher> = LazyLock::new(|| Hasher::tagged("TapBranch"));
static TAP_TWEAK: LazyLock<Hasher> = LazyLock::new(|| Hasher::tagged("TapTweak"));

/// The hash of a leaf: its version and script.
pub fn tap_leaf_hash(leaf_version: u8, script: &[u8]) -> [u8; 32] {
    let mut hasher = TAP_LEAF.clone().chain(&[leaf_version]);
    hasher.update_compact_size(script.len());
    hasher.chain(script).finish()
}

/// The hash of a branch, whichever way round its children come.
pub fn tap_branch_hash(one: &[u8; 32], other: &[u8; 32]) -> [u8; 32] {
    let (first, second) = if one < other { (one, other) } else { (other, one) };
    TAP_BRANCH.clone().chain(first).chain(second).finish()
}

/// What an internal key is tweaked with: itself and the tree's root, if there is a tree.
pub fn tap_tweak_hash(internal_key: &[u8; 32], merkle_root: Option<&[u8; 32]>) -> [u8; 32] {
    let hasher = TAP_TWEAK.clone().chain(internal_key);
    hasher.chain(merkle_root.map_or(&[], |root| &root[..])).finish()
}

/// The output key and whether its Y is odd; nothing when the internal key is no point or the tweak no scalar.
pub fn taproot_output_key(
    internal_key: &[u8; 32],
    merkle_root: Option<&[u8; 32]>,
) -> Option<([u8; 32], bool)> {
    let tweak = Scalar::from_be_bytes(tap_tweak_hash(internal_key, merkle_root)).ok()?;
    let (key, parity) = XOnlyPublicKey::from_byte_array(*internal_key).ok()?.add_tweak(&tweak).ok()?;
    Some((key.to_byte_array(), parity == Parity::Odd))
}

/// Checks a Schnorr signature with its hash type (Bitcoin Core `CheckSchnorrSignature`).
pub(super) fn check_schnorr(
    signature: &[u8],
    key: &[u8; 32],
    spend: &TaprootSpend,
    checker: &dyn SignatureChecker,
) -> Result<(), ScriptError> {
    let Some((body, rest)) = signature.split_first_chunk::<64>() else {
        return Err(ScriptError::SchnorrSigSize);
    };
    let hash_type = match rest {
        [] => 0,
        // "Default" is said by saying nothing.
        [0] => return Err(ScriptError::SchnorrSigHashtype),
        [hash_type] => *hash_type,
        _ => return Err(ScriptError::SchnorrSigSize),
    };
    let hash = checker.schnorr_sighash(hash_type, spend).ok_or(ScriptError::SchnorrSigHashtype)?;
    if checker.verify_schnorr(body, key, &hash) { Ok(()) } else { Err(ScriptError::SchnorrSig) }
}

/// Checks the spend of a Taproot output, by key or by script (BIP-0341 § Script validation rules).
pub(super) fn verify_taproot(
    witness: &Witness,
    output_key: &[u8; 32],
    environment: Environment<'_>,
) -> Result<(), ScriptError> {
    let mut items: Vec<Item<'_>> = Vec::with_capacity(witness.len() + 8);
    items.extend(witness.iter().map(Item::borrowed));
    let annex_hash = take_annex(&mut items);
    let Some(last) = items.pop() else { return Err(ScriptError::WitnessProgramWitnessEmpty) };
    let Some(script) = items.pop() else {
        let spend = TaprootSpend { annex_hash, leaf: None };
        return check_schnorr(last.as_bytes(), output_key, &spend, environment.checker);
    };
    let control = last.as_bytes();
    let leaf_version = control.first().map_or(0, |first| first & LEAF_MASK);
    let leaf_hash = check_commitment(control, script.as_bytes(), output_key)?;
    if leaf_version == LEAF_TAPSCRIPT {
        let mut state = TapscriptState {
            annex_hash,
            leaf_hash,
            code_separator: NO_CODE_SEPARATOR,
            weight_left: witness.encoded_length() as i64 + WEIGHT_OFFSET,
        };
        return execute_tapscript(items, script.as_bytes(), environment, &mut state);
    }
    if environment.flags.contains(Flags::DISCOURAGE_UPGRADABLE_TAPROOT_VERSION) {
        return Err(ScriptError::DiscourageUpgradableTaprootVersion);
    }
    Ok(())
}

/// Takes the annex off, if there is one, and hashes it with its length.
fn take_annex(items: &mut Vec<Item<'_>>) -> Option<[u8; 32]> {
    let is_annex = items.len() >= 2 && items.last()?.as_bytes().first() == Some(&ANNEX_TAG);
    let annex = if is_annex { items.pop()? } else { return None };
    let mut hasher = Hasher::new();
    hasher.update_compact_size(annex.as_bytes().len());
    Some(hasher.chain(annex.as_bytes()).finish())
}

/// Checks that a control block leads from the script to the output key; gives the leaf's hash.
fn check_commitment(control: &[u8], script: &[u8], output_key: &[u8; 32]) -> Result<[u8; 32], ScriptError> {
    let Some((head, path)) = control.split_first_chunk::<CONTROL_BASE_SIZE>() else {
        return Err(ScriptError::TaprootWrongControlSize);
    };
    let (nodes, []) = path.as_chunks::<CONTROL_NODE_SIZE>() else {
        return Err(ScriptError::TaprootWrongControlSize);
    };
    if nodes.len() > CONTROL_NODES_MAX {
        return Err(ScriptError::TaprootWrongControlSize);
    }
    let [first, internal_key @ ..] = head;
    let leaf_hash = tap_leaf_hash(first & LEAF_MASK, script);
    let root = nodes.iter().fold(leaf_hash, |hash, node| tap_branch_hash(&hash, node));
    if taproot_output_key(internal_key, Some(&root)) == Some((*output_key, first & 1 == 1)) {
        Ok(leaf_hash)
    } else {
        Err(ScriptError::WitnessProgramMismatch)
    }
}

fn execute_tapscript<'a>(
    items: Vec<Item<'a>>,
    script: &'a [u8],
    environment: Environment<'_>,
    state: &mut TapscriptState,
) -> Result<(), ScriptError> {
    // A reserved opcode anywhere before the first truncated push makes the script succeed, whatever else it holds.
    for step in Instructions::new(script) {
        let instruction = step.map_err(|_| ScriptError::BadOpcode)?;
        if is_op_success(instruction.opcode) {
            let discouraged = environment.flags.contains(Flags::DISCOURAGE_OP_SUCCESS);
            return if discouraged { Err(ScriptError::DiscourageOpSuccess) } else { Ok(()) };
        }
    }
    if items.len() > STACK_SIZE_MAX {
        return Err(ScriptError::StackSize);
    }
    verify::execute_witness(items, script, environment, SigVersion::Tapscript, Some(state))
}

/// The opcodes that BIP-0342 reserves for later rules.
const fn is_op_success(opcode: u8) -> bool {
    matches!(opcode, 80 | 98 | 126..=129 | 131..=134 | 137 | 138 | 141 | 142 | 149..=153 | 187..=254)
}
