//! What signatures sign: legacy, version 0 witnesses (BIP-0143) and Taproot (BIP-0341, BIP-0342).
//!
//! [`PrecomputedTransaction`] joins a transaction with the outputs it spends, keeps the hashes that its inputs
//! share, and checks inputs. It is `Sync`: inputs are checked on as many threads as there are.
//!
//! Legacy signatures hash the whole transaction once per input. For the usual hash type the bytes are laid out
//! once and the hash of their beginning is kept at every 64th input, which halves the work that is quadratic.

use crate::hash::{Hasher, sha256};
use crate::script::instruction::Instructions;
use crate::script::opcode::OP_CODESEPARATOR;
use crate::script::{Flags, ScriptError, SigVersion, SignatureChecker, TaprootSpend, verify_script};
use crate::tx::{Transaction, TransactionParts, TxIn, TxOut};
use smallvec::SmallVec;
use std::sync::{LazyLock, OnceLock};

/// Sign everything; what a Taproot signature without hash type means too.
pub const SIGHASH_ALL: u8 = 1;
/// Sign no outputs.
pub const SIGHASH_NONE: u8 = 2;
/// Sign the output with the input's index.
pub const SIGHASH_SINGLE: u8 = 3;
/// Sign only one input; combined with the others.
pub const SIGHASH_ANYONECANPAY: u8 = 0x80;
/// Taproot's absent hash type: as [`SIGHASH_ALL`].
pub const SIGHASH_DEFAULT: u8 = 0;

/// The bits of a legacy hash type that choose outputs.
const OUTPUT_MASK: u32 = 0x1f;
/// From here on a lock time is Unix time, below it is a height (BIP-0065).
const LOCK_TIME_THRESHOLD: i64 = 500_000_000;
/// The length of an input whose script is left out.
const BLANK_INPUT_SIZE: usize = 41;
/// How many inputs lie between two kept states of the legacy hash.
const CHECKPOINT_INTERVAL: usize = 64;

static TAP_SIGHASH: LazyLock<Hasher> = LazyLock::new(|| Hasher::tagged("TapSighash"));

/// The outputs given are not one for each input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{inputs} inputs but {spent} spent outputs")]
pub struct SpentCountError {
    /// Inputs of the transaction.
    pub inputs: usize,
    /// Outputs given.
    pub spent: usize,
}

/// A transaction, the outputs it spends, and what its signatures have in common, computed when first needed.
#[derive(Debug)]
pub struct PrecomputedTransaction {
    transaction: Transaction,
    spent: Vec<TxOut>,
    shared: OnceLock<SharedHashes>,
    spent_hashes: OnceLock<SpentHashes>,
    legacy: OnceLock<LegacyLayout>,
}

impl PrecomputedTransaction {
    /// Joins a transaction with the outputs it spends, in the order of its inputs. Nothing is hashed yet.
    ///
    /// # Errors
    /// [`SpentCountError`].
    pub fn new(transaction: Transaction, spent: Vec<TxOut>) -> Result<Self, SpentCountError> {
        let inputs = transaction.inputs().len();
        if inputs != spent.len() {
            return Err(SpentCountError { inputs, spent: spent.len() });
        }
        Ok(Self {
            transaction,
            spent,
            shared: OnceLock::new(),
            spent_hashes: OnceLock::new(),
            legacy: OnceLock::new(),
        })
    }

    /// The transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The outputs it spends.
    pub fn spent(&self) -> &[TxOut] {
        &self.spent
    }

    /// The checker that an input's scripts ask; `index` must be that of an input.
    pub fn checker(&self, index: usize) -> InputChecker<'_> {
        InputChecker { transaction: self, index }
    }

    /// Whether input `index`, which must exist, may spend its output.
    ///
    /// # Errors
    /// The [`ScriptError`] Bitcoin Core gives.
    pub fn verify_input(&self, index: usize, flags: Flags) -> Result<(), ScriptError> {
        self.verify_input_with(index, flags, &self.checker(index))
    }

    /// [`PrecomputedTransaction::verify_input`] through another checker, one with a cache for instance.
    ///
    /// # Errors
    /// The [`ScriptError`] Bitcoin Core gives.
    pub fn verify_input_with(
        &self,
        index: usize,
        flags: Flags,
        checker: &dyn SignatureChecker,
    ) -> Result<(), ScriptError> {
        let input = &self.transaction.inputs()[index];
        let script_pubkey = self.spent[index].script_pubkey.as_bytes();
        verify_script(input.script_sig.as_bytes(), script_pubkey, &input.witness, flags, checker)
    }

    /// The hash a legacy signature signs; `script_code` without the signature itself.
    pub fn legacy_sighash(&self, index: usize, script_code: &[u8], hash_type: u32) -> [u8; 32] {
        let outputs = hash_type & OUTPUT_MASK;
        let plain = hash_type & u32::from(SIGHASH_ANYONECANPAY) == 0
            && outputs != u32::from(SIGHASH_NONE)
            && outputs != u32::from(SIGHASH_SINGLE);
        if !plain {
            return legacy_sighash(self.transaction.parts(), index, script_code, hash_type);
        }
        let layout = self.legacy.get_or_init(|| LegacyLayout::of(self.transaction.parts()));
        layout.sighash(index, script_code, hash_type)
    }

    /// The hash a signature in a version 0 witness signs (BIP-0143).
    pub fn witness_v0_sighash(&self, index: usize, script_code: &[u8], hash_type: u8) -> [u8; 32] {
        let parts = self.transaction.parts();
        let input = &parts.inputs[index];
        let one_input = hash_type & SIGHASH_ANYONECANPAY != 0;
        let outputs = u32::from(hash_type) & OUTPUT_MASK;
        let (none, single) = (outputs == u32::from(SIGHASH_NONE), outputs == u32::from(SIGHASH_SINGLE));
        let shared = self.shared();
        let mut hasher = Hasher::new().chain(&parts.version.to_le_bytes());
        hasher.update(if one_input { &[0; 32] } else { &shared.prevouts_double });
        hasher.update(if one_input || single || none { &[0; 32] } else { &shared.sequences_double });
        hasher.update(&input.previous_output.encode());
        hasher.update_compact_size(script_code.len());
        hasher.update(script_code);
        hasher.update(&self.spent[index].value.0.to_le_bytes());
        hasher.update(&input.sequence.to_le_bytes());
        match parts.outputs.get(index).filter(|_| single) {
            Some(output) => hasher.update(&sha256(&output_hash(output))),
            None if single || none => hasher.update(&[0; 32]),
            None => hasher.update(&shared.outputs_double),
        }
        hasher.update(&parts.lock_time.to_le_bytes());
        hasher.update(&u32::from(hash_type).to_le_bytes());
        hasher.finish_double()
    }

    /// The hash a Taproot signature signs (BIP-0341 § Common signature message, BIP-0342); nothing for an undefined
    /// hash type, or for one output where there is none.
    pub fn taproot_sighash(&self, index: usize, hash_type: u8, spend: &TaprootSpend) -> Option<[u8; 32]> {
        if !matches!(hash_type, 0..=3 | 0x81..=0x83) {
            return None;
        }
        let parts = self.transaction.parts();
        let input = &parts.inputs[index];
        let one_input = hash_type & SIGHASH_ANYONECANPAY != 0;
        let outputs = hash_type & 3;
        let shared = self.shared();
        const EPOCH: u8 = 0;
        let mut hasher = TAP_SIGHASH.clone().chain(&[EPOCH, hash_type]);
        hasher.update(&parts.version.to_le_bytes());
        hasher.update(&parts.lock_time.to_le_bytes());
        if !one_input {
            let spent = self.spent_hashes.get_or_init(|| SpentHashes::of(&self.spent));
            for hash in [&shared.prevouts, &spent.amounts, &spent.scripts, &shared.sequences] {
                hasher.update(hash);
            }
        }
        if outputs == SIGHASH_DEFAULT || outputs == SIGHASH_ALL {
            hasher.update(&shared.outputs);
        }
        hasher.update(&[u8::from(spend.leaf.is_some()) << 1 | u8::from(spend.annex_hash.is_some())]);
        if one_input {
            hasher.update(&input.previous_output.encode());
            update_output(&mut hasher, &self.spent[index]);
            hasher.update(&input.sequence.to_le_bytes());
        } else {
            hasher.update(&(index as u32).to_le_bytes());
        }
        if let Some(annex_hash) = &spend.annex_hash {
            hasher.update(annex_hash);
        }
        if outputs == SIGHASH_SINGLE {
            hasher.update(&output_hash(parts.outputs.get(index)?));
        }
        if let Some((leaf_hash, code_separator)) = &spend.leaf {
            const KEY_VERSION: u8 = 0;
            hasher.update(leaf_hash);
            hasher.update(&[KEY_VERSION]);
            hasher.update(&code_separator.to_le_bytes());
        }
        Some(hasher.finish())
    }

    fn shared(&self) -> &SharedHashes {
        self.shared.get_or_init(|| SharedHashes::of(self.transaction.parts()))
    }
}

/// Hashes that all witness signatures of a transaction share.
#[derive(Clone, Copy, Debug)]
struct SharedHashes {
    prevouts: [u8; 32],
    sequences: [u8; 32],
    outputs: [u8; 32],
    prevouts_double: [u8; 32],
    sequences_double: [u8; 32],
    outputs_double: [u8; 32],
}

impl SharedHashes {
    fn of(parts: &TransactionParts) -> Self {
        let (mut prevouts, mut sequences, mut outputs) = (Hasher::new(), Hasher::new(), Hasher::new());
        for input in &parts.inputs {
            prevouts.update(&input.previous_output.encode());
            sequences.update(&input.sequence.to_le_bytes());
        }
        for output in &parts.outputs {
            update_output(&mut outputs, output);
        }
        let (prevouts, sequences, outputs) = (prevouts.finish(), sequences.finish(), outputs.finish());
        Self {
            prevouts,
            sequences,
            outputs,
            prevouts_double: sha256(&prevouts),
            sequences_double: sha256(&sequences),
            outputs_double: sha256(&outputs),
        }
    }
}

/// Hashes that Taproot signatures share and that need the spent outputs.
#[derive(Clone, Copy, Debug)]
struct SpentHashes {
    amounts: [u8; 32],
    scripts: [u8; 32],
}

impl SpentHashes {
    fn of(spent: &[TxOut]) -> Self {
        let (mut amounts, mut scripts) = (Hasher::new(), Hasher::new());
        for output in spent {
            amounts.update(&output.value.0.to_le_bytes());
            scripts.update_compact_size(output.script_pubkey.len());
            scripts.update(output.script_pubkey.as_bytes());
        }
        Self { amounts: amounts.finish(), scripts: scripts.finish() }
    }
}

fn update_output(hasher: &mut Hasher, output: &TxOut) {
    hasher.update(&output.value.0.to_le_bytes());
    hasher.update_compact_size(output.script_pubkey.len());
    hasher.update(output.script_pubkey.as_bytes());
}

fn output_hash(output: &TxOut) -> [u8; 32] {
    let mut hasher = Hasher::new();
    update_output(&mut hasher, output);
    hasher.finish()
}

/// A transaction's bytes with all input scripts empty, as the usual legacy signatures hash them.
struct LegacyLayout {
    bytes: Vec<u8>,
    inputs_start: usize,
    /// The state of the hash in front of inputs 0, 64, 128 and so on.
    checkpoints: Vec<Hasher>,
}

impl std::fmt::Debug for LegacyLayout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LegacyLayout").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl LegacyLayout {
    fn of(parts: &TransactionParts) -> Self {
        let outputs: usize = parts.outputs.iter().map(TxOut::encoded_length).sum();
        let mut bytes = Vec::with_capacity(parts.inputs.len() * BLANK_INPUT_SIZE + outputs + 26);
        bytes.extend_from_slice(&parts.version.to_le_bytes());
        crate::codec::put_compact_size(&mut bytes, parts.inputs.len());
        let inputs_start = bytes.len();
        for input in &parts.inputs {
            bytes.extend_from_slice(&input.previous_output.encode());
            bytes.push(0);
            bytes.extend_from_slice(&input.sequence.to_le_bytes());
        }
        crate::codec::put_compact_size(&mut bytes, parts.outputs.len());
        for output in &parts.outputs {
            output.put(&mut bytes);
        }
        bytes.extend_from_slice(&parts.lock_time.to_le_bytes());
        let checkpoints = Self::checkpoints(&bytes, inputs_start, parts.inputs.len());
        Self { bytes, inputs_start, checkpoints }
    }

    fn checkpoints(bytes: &[u8], inputs_start: usize, input_count: usize) -> Vec<Hasher> {
        let stride = CHECKPOINT_INTERVAL * BLANK_INPUT_SIZE;
        let mut hasher = Hasher::new().chain(&bytes[..inputs_start]);
        let mut checkpoints = vec![hasher.clone()];
        for chunk in bytes[inputs_start..inputs_start + input_count * BLANK_INPUT_SIZE].chunks_exact(stride) {
            hasher.update(chunk);
            checkpoints.push(hasher.clone());
        }
        checkpoints
    }

    fn sighash(&self, index: usize, script_code: &[u8], hash_type: u32) -> [u8; 32] {
        const SCRIPT_AT: usize = 36;
        let checkpoint = index / CHECKPOINT_INTERVAL;
        let hashed = self.inputs_start + checkpoint * CHECKPOINT_INTERVAL * BLANK_INPUT_SIZE;
        let script = self.inputs_start + index * BLANK_INPUT_SIZE + SCRIPT_AT;
        let mut hasher = self.checkpoints[checkpoint].clone();
        hasher.update(&self.bytes[hashed..script]);
        update_script_code(&mut hasher, script_code);
        hasher.update(&self.bytes[script + 1..]);
        hasher.update(&hash_type.to_le_bytes());
        hasher.finish_double()
    }
}

/// The hash a legacy signature signs, from the transaction alone (Bitcoin Core `SignatureHash`). All 32 bits of the
/// hash type are hashed; signatures carry eight of them.
///
/// An input or, for [`SIGHASH_SINGLE`], an output that does not exist gives the number 1: an error of the first
/// version that is consensus now.
pub fn legacy_sighash(
    parts: &TransactionParts,
    index: usize,
    script_code: &[u8],
    hash_type: u32,
) -> [u8; 32] {
    let outputs = hash_type & OUTPUT_MASK;
    let none = outputs == u32::from(SIGHASH_NONE);
    let single = outputs == u32::from(SIGHASH_SINGLE);
    if index >= parts.inputs.len() || (single && index >= parts.outputs.len()) {
        let mut one = [0; 32];
        one[0] = 1;
        return one;
    }
    let mut hasher = Hasher::new().chain(&parts.version.to_le_bytes());
    if hash_type & u32::from(SIGHASH_ANYONECANPAY) == 0 {
        hasher.update_compact_size(parts.inputs.len());
        for (position, input) in parts.inputs.iter().enumerate() {
            if position == index {
                update_signed_input(&mut hasher, input, script_code);
            } else {
                let sequence = if none || single { 0 } else { input.sequence };
                hasher.update(&input.previous_output.encode());
                hasher.update(&[0]);
                hasher.update(&sequence.to_le_bytes());
            }
        }
    } else {
        hasher.update_compact_size(1);
        update_signed_input(&mut hasher, &parts.inputs[index], script_code);
    }
    let output_count = match () {
        () if none => 0,
        () if single => index + 1,
        () => parts.outputs.len(),
    };
    hasher.update_compact_size(output_count);
    for (position, output) in parts.outputs[..output_count].iter().enumerate() {
        if single && position != index {
            hasher.update(&(-1_i64).to_le_bytes());
            hasher.update(&[0]);
        } else {
            update_output(&mut hasher, output);
        }
    }
    hasher.update(&parts.lock_time.to_le_bytes());
    hasher.update(&hash_type.to_le_bytes());
    hasher.finish_double()
}

fn update_signed_input(hasher: &mut Hasher, input: &TxIn, script_code: &[u8]) {
    hasher.update(&input.previous_output.encode());
    update_script_code(hasher, script_code);
    hasher.update(&input.sequence.to_le_bytes());
}

/// Adds a script with its length and without its CODESEPARATORs. Behind a truncated push nothing is hashed, though the
/// length counts it; such a script fails in the end whatever its signatures say.
fn update_script_code(hasher: &mut Hasher, script: &[u8]) {
    let mut separators: SmallVec<[usize; 8]> = SmallVec::new();
    let mut instructions = Instructions::new(script);
    while let Ok(Some(instruction)) = instructions.step() {
        if instruction.opcode == OP_CODESEPARATOR {
            separators.push(instructions.position() - 1);
        }
    }
    hasher.update_compact_size(script.len() - separators.len());
    let mut start = 0;
    for separator in separators {
        hasher.update(&script[start..separator]);
        start = separator + 1;
    }
    hasher.update(&script[start..instructions.position()]);
}

/// Answers the questions that one input's scripts ask.
#[derive(Clone, Copy, Debug)]
pub struct InputChecker<'t> {
    transaction: &'t PrecomputedTransaction,
    index: usize,
}

impl InputChecker<'_> {
    fn input(&self) -> &TxIn {
        &self.transaction.transaction.inputs()[self.index]
    }
}

impl SignatureChecker for InputChecker<'_> {
    fn ecdsa_sighash(&self, hash_type: u8, script_code: &[u8], version: SigVersion) -> [u8; 32] {
        if version == SigVersion::WitnessV0 {
            self.transaction.witness_v0_sighash(self.index, script_code, hash_type)
        } else {
            self.transaction.legacy_sighash(self.index, script_code, u32::from(hash_type))
        }
    }

    fn schnorr_sighash(&self, hash_type: u8, spend: &TaprootSpend) -> Option<[u8; 32]> {
        self.transaction.taproot_sighash(self.index, hash_type, spend)
    }

    fn check_lock_time(&self, lock_time: i64) -> bool {
        let own = i64::from(self.transaction.transaction.lock_time());
        let same_kind = (own < LOCK_TIME_THRESHOLD) == (lock_time < LOCK_TIME_THRESHOLD);
        // A final sequence would turn the transaction's lock time off.
        same_kind && lock_time <= own && self.input().sequence != u32::MAX
    }

    fn check_sequence(&self, sequence: i64) -> bool {
        const DISABLED: i64 = 1 << 31;
        const TIME: i64 = 1 << 22;
        const MASK: i64 = TIME | 0xffff;
        let own = i64::from(self.input().sequence);
        if self.transaction.transaction.version() < 2 || own & DISABLED != 0 {
            return false;
        }
        let (own, asked) = (own & MASK, sequence & MASK);
        (own < TIME) == (asked < TIME) && asked <= own
    }
}

#[cfg(test)]
mod tests {
    use super::legacy_sighash;
    use crate::hash::{Hasher, Txid};
    use crate::script::Script;
    use crate::tx::{OutPoint, TransactionParts, TxIn, Witness};

    /// What follows a truncated push is counted and not hashed; CODESEPARATORs are neither.
    #[track_caller]
    fn check_script_code(script: &[u8], length: u8, hashed: &[u8]) {
        let previous_output = OutPoint { txid: Txid([3; 32]), index: 4 };
        let input =
            TxIn { previous_output, script_sig: Script::default(), sequence: 5, witness: Witness::default() };
        let parts = TransactionParts { version: 1, inputs: vec![input], outputs: Vec::new(), lock_time: 6 };
        let expected = Hasher::new()
            .chain(&[1, 0, 0, 0, 1])
            .chain(&previous_output.encode())
            .chain(&[length])
            .chain(hashed)
            .chain(&[5, 0, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0])
            .finish_double();
        assert_eq!(legacy_sighash(&parts, 0, script, 1), expected);
    }

    #[test]
    fn script_code_loses_its_separators_and_what_is_truncated() {
        check_script_code(&[0x51, 0xac], 2, &[0x51, 0xac]);
        check_script_code(&[0xab, 0x51, 0xab, 0xab, 0xac, 0xab], 2, &[0x51, 0xac]);
        check_script_code(&[0x01, 0xab, 0xac], 3, &[0x01, 0xab, 0xac]);
        check_script_code(&[0x51, 0x05, 0xaa], 3, &[0x51, 0x05]);
        check_script_code(&[0xab, 0x51, 0x4d, 0x05, 0x00, 0xaa], 5, &[0x51, 0x4d, 0x05, 0x00]);
    }
}
