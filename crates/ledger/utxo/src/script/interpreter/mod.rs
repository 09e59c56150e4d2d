//! The machine that runs one script (Bitcoin Core `script/interpreter.cpp`, `EvalScript`).
//!
//! Opcodes are grouped by what they touch: control flow here, the stack in [`stack`], numbers and hashes in
//! [`arithmetic`], signatures in [`signatures`].

mod arithmetic;
mod signatures;
mod stack;

use super::error::ScriptError;
use super::flags::Flags;
use super::instruction::{Instructions, is_minimal_push, small_number};
use super::item::Item;
use super::number;
use super::opcode::{
    OP_1ADD, OP_1NEGATE, OP_2DIV, OP_2MUL, OP_16, OP_CAT, OP_CHECKLOCKTIMEVERIFY, OP_CHECKMULTISIG,
    OP_CHECKMULTISIGVERIFY, OP_CHECKSEQUENCEVERIFY, OP_CHECKSIG, OP_CHECKSIGADD, OP_CHECKSIGVERIFY,
    OP_CODESEPARATOR, OP_ELSE, OP_ENDIF, OP_EQUAL, OP_EQUALVERIFY, OP_HASH256, OP_IF, OP_INVERT, OP_MUL,
    OP_NOP, OP_NOP1, OP_NOP10, OP_NOTIF, OP_PUSHDATA4, OP_RETURN, OP_RIGHT, OP_RIPEMD160, OP_RSHIFT, OP_SIZE,
    OP_TOALTSTACK, OP_TUCK, OP_VERIFY, OP_WITHIN, OP_XOR,
};
use super::{ITEM_SIZE_MAX, OPERATIONS_MAX, SCRIPT_SIZE_MAX, STACK_SIZE_MAX};

/// Which dialect of Script runs, and so how signatures hash the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigVersion {
    /// Input and output scripts, and what pay-to-script-hash outputs commit to.
    Base,
    /// Version 0 witness programs (BIP-0143).
    WitnessV0,
    /// Taproot leaves of version `c0` (BIP-0342).
    Tapscript,
}

/// What a Taproot signature commits to beside the transaction (BIP-0341, BIP-0342).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaprootSpend {
    /// SHA-256 of the annex with its length, if there is one.
    pub annex_hash: Option<[u8; 32]>,
    /// The leaf hash and the position of the last CODESEPARATOR run (2³²−1 for none); nothing on the key path.
    pub leaf: Option<([u8; 32], u32)>,
}

/// What a script may ask about the transaction that it is part of.
pub trait SignatureChecker {
    /// The hash that an ECDSA signature of this hash type signs. `script_code` is complete but for BIP-0143's length.
    fn ecdsa_sighash(&self, hash_type: u8, script_code: &[u8], version: SigVersion) -> [u8; 32];

    /// The hash that a Schnorr signature of this hash type signs; nothing for an undefined type.
    fn schnorr_sighash(&self, hash_type: u8, spend: &TaprootSpend) -> Option<[u8; 32]>;

    /// Whether an ECDSA signature without its hash type is good. A cache of signatures hooks in here.
    fn verify_ecdsa(&self, signature: &[u8], key: &[u8], hash: &[u8; 32]) -> bool {
        super::curve::verify_ecdsa(signature, key, hash)
    }

    /// Whether a Schnorr signature is good. A cache of signatures hooks in here.
    fn verify_schnorr(&self, signature: &[u8; 64], key: &[u8; 32], hash: &[u8; 32]) -> bool {
        super::curve::verify_schnorr(signature, key, hash)
    }

    /// Whether the transaction's lock time satisfies CHECKLOCKTIMEVERIFY's argument (BIP-0065).
    fn check_lock_time(&self, lock_time: i64) -> bool;

    /// Whether the input's sequence satisfies CHECKSEQUENCEVERIFY's argument (BIP-0112).
    fn check_sequence(&self, sequence: i64) -> bool;
}

/// What a Tapscript carries besides its stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct TapscriptState {
    pub(super) annex_hash: Option<[u8; 32]>,
    pub(super) leaf_hash: [u8; 32],
    /// Position of the last CODESEPARATOR run, counted in opcodes.
    pub(super) code_separator: u32,
    /// Weight units of witness not yet used up by signature checks.
    pub(super) weight_left: i64,
}

/// The rules and the transaction that scripts run under.
#[derive(Clone, Copy)]
pub(super) struct Environment<'c> {
    pub(super) flags: Flags,
    pub(super) checker: &'c dyn SignatureChecker,
}

/// Runs a script outside Tapscript on a stack.
///
/// # Errors
/// The [`ScriptError`] Bitcoin Core gives.
pub fn evaluate<'a>(
    stack: &mut Vec<Item<'a>>,
    script: &'a [u8],
    flags: Flags,
    checker: &dyn SignatureChecker,
    in_witness: bool,
) -> Result<(), ScriptError> {
    let version = if in_witness { SigVersion::WitnessV0 } else { SigVersion::Base };
    run(stack, script, Environment { flags, checker }, version, None)
}

/// Runs a script on a stack. `tapscript` is there exactly when the version is [`SigVersion::Tapscript`].
pub(super) fn run<'a>(
    stack: &mut Vec<Item<'a>>,
    script: &'a [u8],
    environment: Environment<'_>,
    version: SigVersion,
    tapscript: Option<&mut TapscriptState>,
) -> Result<(), ScriptError> {
    if version != SigVersion::Tapscript && script.len() > SCRIPT_SIZE_MAX {
        return Err(ScriptError::ScriptSize);
    }
    let machine = Machine {
        stack,
        alternative: Vec::new(),
        conditions: Conditions::default(),
        script,
        instructions: Instructions::new(script),
        code_start: 0,
        operation_count: 0,
        environment,
        version,
        tapscript,
    };
    machine.run()
}

struct Machine<'a, 's, 'c> {
    stack: &'s mut Vec<Item<'a>>,
    alternative: Vec<Item<'a>>,
    conditions: Conditions,
    script: &'a [u8],
    instructions: Instructions<'a>,
    /// Where the part of the script starts that signatures sign: behind the last CODESEPARATOR.
    code_start: usize,
    operation_count: usize,
    environment: Environment<'c>,
    version: SigVersion,
    tapscript: Option<&'s mut TapscriptState>,
}

/// The nesting of IF: only its depth and the outermost false branch can be observed, so nothing else is kept
/// (a stack of booleans made deep nests quadratic).
#[derive(Default)]
struct Conditions {
    depth: usize,
    first_false: Option<usize>,
}

impl Conditions {
    fn all_true(&self) -> bool {
        self.first_false.is_none()
    }

    fn push(&mut self, condition: bool) {
        if !condition && self.first_false.is_none() {
            self.first_false = Some(self.depth);
        }
        self.depth += 1;
    }

    /// Flips the innermost; `None` when there is none.
    fn toggle(&mut self) -> Option<()> {
        let top = self.depth.checked_sub(1)?;
        match self.first_false {
            None => self.first_false = Some(top),
            Some(first) if first == top => self.first_false = None,
            Some(_) => {}
        }
        Some(())
    }

    /// Leaves the innermost; `None` when there is none.
    fn pop(&mut self) -> Option<()> {
        self.depth = self.depth.checked_sub(1)?;
        if self.first_false == Some(self.depth) {
            self.first_false = None;
        }
        Some(())
    }
}

impl<'a> Machine<'a, '_, '_> {
    fn run(mut self) -> Result<(), ScriptError> {
        let mut position = 0;
        while let Some(instruction) = self.instructions.step().map_err(|_| ScriptError::BadOpcode)? {
            let opcode = instruction.opcode;
            if instruction.data.len() > ITEM_SIZE_MAX {
                return Err(ScriptError::PushSize);
            }
            self.check_opcode(opcode)?;
            let running = self.conditions.all_true();
            if running && opcode <= OP_PUSHDATA4 {
                if self.flag(Flags::MINIMALDATA) && !is_minimal_push(opcode, instruction.data) {
                    return Err(ScriptError::MinimalData);
                }
                self.stack.push(Item::borrowed(instruction.data));
            } else if running || (OP_IF..=OP_ENDIF).contains(&opcode) {
                self.execute(opcode, position)?;
            }
            if self.stack.len() + self.alternative.len() > STACK_SIZE_MAX {
                return Err(ScriptError::StackSize);
            }
            position += 1;
        }
        if self.conditions.depth == 0 { Ok(()) } else { Err(ScriptError::UnbalancedConditional) }
    }

    /// What holds for every opcode, in branches that do not run too.
    fn check_opcode(&mut self, opcode: u8) -> Result<(), ScriptError> {
        // RESERVED counts as a push here, as it always did.
        if self.version != SigVersion::Tapscript && opcode > OP_16 {
            self.operation_count += 1;
            if self.operation_count > OPERATIONS_MAX {
                return Err(ScriptError::OpCount);
            }
        }
        match opcode {
            OP_CAT..=OP_RIGHT | OP_INVERT..=OP_XOR | OP_2MUL | OP_2DIV | OP_MUL..=OP_RSHIFT => {
                Err(ScriptError::DisabledOpcode)
            }
            OP_CODESEPARATOR if self.version == SigVersion::Base && self.flag(Flags::CONST_SCRIPTCODE) => {
                Err(ScriptError::OpCodeSeparator)
            }
            _ => Ok(()),
        }
    }

    fn execute(&mut self, opcode: u8, position: u32) -> Result<(), ScriptError> {
        if let Some(small) = small_number(opcode) {
            self.stack.push(Item::short(&[small]));
            return Ok(());
        }
        match opcode {
            OP_1NEGATE => {
                self.stack.push(number::encode(-1));
                Ok(())
            }
            OP_NOP => Ok(()),
            OP_IF..=OP_RETURN => self.control(opcode),
            OP_TOALTSTACK..=OP_TUCK | OP_SIZE => self.stack_operation(opcode),
            OP_EQUAL | OP_EQUALVERIFY => self.equal(opcode),
            OP_1ADD..=OP_WITHIN => self.arithmetic(opcode),
            OP_RIPEMD160..=OP_HASH256 => self.hash(opcode),
            OP_CODESEPARATOR => {
                self.code_start = self.instructions.position();
                if let Some(tapscript) = &mut self.tapscript {
                    tapscript.code_separator = position;
                }
                Ok(())
            }
            OP_CHECKSIG | OP_CHECKSIGVERIFY => self.check_signature(opcode),
            OP_CHECKSIGADD => self.check_signature_add(),
            OP_CHECKMULTISIG | OP_CHECKMULTISIGVERIFY => self.check_multisig(opcode),
            OP_CHECKLOCKTIMEVERIFY => self.check_lock_time(),
            OP_CHECKSEQUENCEVERIFY => self.check_sequence(),
            OP_NOP1..=OP_NOP10 if self.flag(Flags::DISCOURAGE_UPGRADABLE_NOPS) => {
                Err(ScriptError::DiscourageUpgradableNops)
            }
            OP_NOP1..=OP_NOP10 => Ok(()),
            _ => Err(ScriptError::BadOpcode),
        }
    }

    fn control(&mut self, opcode: u8) -> Result<(), ScriptError> {
        match opcode {
            OP_IF | OP_NOTIF => {
                let mut condition = false;
                if self.conditions.all_true() {
                    let top = self.pop()?;
                    self.check_minimal_if(top.as_bytes())?;
                    condition = number::is_true(top.as_bytes()) == (opcode == OP_IF);
                }
                self.conditions.push(condition);
                Ok(())
            }
            OP_ELSE => self.conditions.toggle().ok_or(ScriptError::UnbalancedConditional),
            OP_ENDIF => self.conditions.pop().ok_or(ScriptError::UnbalancedConditional),
            OP_VERIFY => self.verify(ScriptError::Verify),
            OP_RETURN => Err(ScriptError::OpReturn),
            // VERIF and VERNOTIF fail even in branches that do not run.
            _ => Err(ScriptError::BadOpcode),
        }
    }

    fn check_minimal_if(&self, argument: &[u8]) -> Result<(), ScriptError> {
        if matches!(argument, [] | [1]) {
            return Ok(());
        }
        match self.version {
            SigVersion::Tapscript => Err(ScriptError::TapscriptMinimalIf),
            SigVersion::WitnessV0 if self.flag(Flags::MINIMALIF) => Err(ScriptError::MinimalIf),
            _ => Ok(()),
        }
    }

    fn check_lock_time(&mut self) -> Result<(), ScriptError> {
        if !self.flag(Flags::CHECKLOCKTIMEVERIFY) {
            return Ok(());
        }
        let lock_time = self.lock_time_argument()?;
        if self.environment.checker.check_lock_time(lock_time) {
            Ok(())
        } else {
            Err(ScriptError::UnsatisfiedLocktime)
        }
    }

    fn check_sequence(&mut self) -> Result<(), ScriptError> {
        /// A sequence with this bit has no meaning yet, and the opcode lets it pass (BIP-0112).
        const DISABLED: i64 = 1 << 31;
        if !self.flag(Flags::CHECKSEQUENCEVERIFY) {
            return Ok(());
        }
        let sequence = self.lock_time_argument()?;
        if sequence & DISABLED != 0 || self.environment.checker.check_sequence(sequence) {
            Ok(())
        } else {
            Err(ScriptError::UnsatisfiedLocktime)
        }
    }

    /// The lock time on top, which stays there.
    fn lock_time_argument(&self) -> Result<i64, ScriptError> {
        let top = self.peek(1)?;
        let minimal = self.flag(Flags::MINIMALDATA);
        let lock_time = number::decode(top.as_bytes(), minimal, number::LOCK_TIME_SIZE_MAX)?;
        if lock_time < 0 { Err(ScriptError::NegativeLocktime) } else { Ok(lock_time) }
    }

    fn flag(&self, flag: Flags) -> bool {
        self.environment.flags.contains(flag)
    }

    /// Asks for this many items.
    fn need(&self, count: usize) -> Result<(), ScriptError> {
        if self.stack.len() < count { Err(ScriptError::InvalidStackOperation) } else { Ok(()) }
    }

    /// The item this far from the top; the top is 1.
    fn peek(&self, depth: usize) -> Result<Item<'a>, ScriptError> {
        self.need(depth)?;
        Ok(self.stack[self.stack.len() - depth])
    }

    fn pop(&mut self) -> Result<Item<'a>, ScriptError> {
        self.stack.pop().ok_or(ScriptError::InvalidStackOperation)
    }

    /// Takes the top if it is true.
    fn verify(&mut self, otherwise: ScriptError) -> Result<(), ScriptError> {
        if !number::is_true(self.peek(1)?.as_bytes()) {
            return Err(otherwise);
        }
        self.stack.pop();
        Ok(())
    }

    fn decode_number(&self, item: &Item<'_>) -> Result<i64, ScriptError> {
        number::decode(item.as_bytes(), self.flag(Flags::MINIMALDATA), number::NUMBER_SIZE_MAX)
    }
}
