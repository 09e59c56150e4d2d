//! Why a script failed (Bitcoin Core `script/script_error.h` and `script_error.cpp`).

/// Why a script failed. [`std::fmt::Display`] gives Bitcoin Core's `ScriptErrorString`, which reject reasons
/// quote; [`ScriptError::name`] the name its test vectors use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ScriptError {
    /// The script ran and left false, or nothing.
    #[error("Script evaluated without error but finished with a false/empty top stack element")]
    EvalFalse,
    /// RETURN ran.
    #[error("OP_RETURN was encountered")]
    OpReturn,
    /// A number was too long, or longer than it had to be.
    #[error("Script number overflowed or is non-minimally encoded")]
    ScriptNum,
    /// More than 10,000 bytes.
    #[error("Script is too big")]
    ScriptSize,
    /// An item of more than 520 bytes.
    #[error("Push value size limit exceeded")]
    PushSize,
    /// More than 201 operations.
    #[error("Operation limit exceeded")]
    OpCount,
    /// More than 1,000 items on both stacks.
    #[error("Stack size limit exceeded")]
    StackSize,
    /// CHECKMULTISIG with a negative number of signatures or more than keys.
    #[error("Signature count negative or greater than pubkey count")]
    SigCount,
    /// CHECKMULTISIG with a negative number of keys or more than 20.
    #[error("Pubkey count negative or limit exceeded")]
    PubkeyCount,
    /// VERIFY found false.
    #[error("Script failed an OP_VERIFY operation")]
    Verify,
    /// EQUALVERIFY found a difference.
    #[error("Script failed an OP_EQUALVERIFY operation")]
    EqualVerify,
    /// CHECKMULTISIGVERIFY found too few good signatures.
    #[error("Script failed an OP_CHECKMULTISIGVERIFY operation")]
    CheckMultisigVerify,
    /// CHECKSIGVERIFY found a bad signature.
    #[error("Script failed an OP_CHECKSIGVERIFY operation")]
    CheckSigVerify,
    /// NUMEQUALVERIFY found a difference.
    #[error("Script failed an OP_NUMEQUALVERIFY operation")]
    NumEqualVerify,
    /// An unknown opcode ran, or a push goes beyond the end.
    #[error("Opcode missing or not understood")]
    BadOpcode,
    /// One of the opcodes disabled in 2010, run or not.
    #[error("Attempted to use a disabled opcode")]
    DisabledOpcode,
    /// Too few items on the stack.
    #[error("Operation not valid with the current stack size")]
    InvalidStackOperation,
    /// Nothing on the alternative stack.
    #[error("Operation not valid with the current altstack size")]
    InvalidAltstackOperation,
    /// IF without ENDIF, or the other way round.
    #[error("Invalid OP_IF construction")]
    UnbalancedConditional,
    /// A lock time below zero.
    #[error("Negative locktime")]
    NegativeLocktime,
    /// The transaction's lock time, sequence or version does not satisfy the script.
    #[error("Locktime requirement not satisfied")]
    UnsatisfiedLocktime,
    /// An undefined hash type.
    #[error("Signature hash type missing or not understood")]
    SigHashtype,
    /// A signature that is not strict DER.
    #[error("Non-canonical DER signature")]
    SigDer,
    /// A push or number longer than it had to be.
    #[error("Data push larger than necessary")]
    MinimalData,
    /// The input's script does more than push.
    #[error("Only push operators allowed in signatures")]
    SigPushOnly,
    /// S is in the upper half.
    #[error("Non-canonical signature: S value is unnecessarily high")]
    SigHighS,
    /// The item CHECKMULTISIG takes too many is not empty.
    #[error("Dummy CHECKMULTISIG argument must be zero")]
    SigNullDummy,
    /// A key of unknown form.
    #[error("Public key is neither compressed or uncompressed")]
    PubkeyType,
    /// Not exactly one item was left.
    #[error("Stack size must be exactly one after execution")]
    CleanStack,
    /// IF took something other than empty or 1.
    #[error("OP_IF/NOTIF argument must be minimal")]
    MinimalIf,
    /// A signature failed and was not empty.
    #[error("Signature must be zero for failed CHECK(MULTI)SIG operation")]
    SigNullFail,
    /// A reserved no-operation.
    #[error("NOPx reserved for soft-fork upgrades")]
    DiscourageUpgradableNops,
    /// An unknown witness version.
    #[error("Witness version reserved for soft-fork upgrades")]
    DiscourageUpgradableWitnessProgram,
    /// An unknown Taproot leaf version.
    #[error("Taproot version reserved for soft-fork upgrades")]
    DiscourageUpgradableTaprootVersion,
    /// A reserved opcode in Tapscript.
    #[error("OP_SUCCESSx reserved for soft-fork upgrades")]
    DiscourageOpSuccess,
    /// A key of unknown type in Tapscript.
    #[error("Public key version reserved for soft-fork upgrades")]
    DiscourageUpgradablePubkeyType,
    /// A version 0 witness program of neither 20 nor 32 bytes.
    #[error("Witness program has incorrect length")]
    WitnessProgramWrongLength,
    /// A witness program without witness.
    #[error("Witness program was passed an empty witness")]
    WitnessProgramWitnessEmpty,
    /// The witness is not what the program commits to.
    #[error("Witness program hash mismatch")]
    WitnessProgramMismatch,
    /// A witness program with an input script.
    #[error("Witness requires empty scriptSig")]
    WitnessMalleated,
    /// A nested witness program whose input script is more than one push.
    #[error("Witness requires only-redeemscript scriptSig")]
    WitnessMalleatedP2sh,
    /// A witness nobody asked for.
    #[error("Witness provided for non-witness script")]
    WitnessUnexpected,
    /// An uncompressed key in a witness.
    #[error("Using non-compressed keys in segwit")]
    WitnessPubkeyType,
    /// A Schnorr signature of neither 64 nor 65 bytes.
    #[error("Invalid Schnorr signature size")]
    SchnorrSigSize,
    /// A Schnorr signature with an undefined hash type.
    #[error("Invalid Schnorr signature hash type")]
    SchnorrSigHashtype,
    /// A bad Schnorr signature.
    #[error("Invalid Schnorr signature")]
    SchnorrSig,
    /// A control block that is not 33 bytes and up to 128 nodes.
    #[error("Invalid Taproot control block size")]
    TaprootWrongControlSize,
    /// More signature checks than the witness's weight pays for.
    #[error("Too much signature validation relative to witness weight")]
    TapscriptValidationWeight,
    /// CHECKMULTISIG in Tapscript.
    #[error("OP_CHECKMULTISIG(VERIFY) is not available in tapscript")]
    TapscriptCheckMultisig,
    /// IF took something other than empty or 1 in Tapscript.
    #[error("OP_IF/NOTIF argument must be minimal in tapscript")]
    TapscriptMinimalIf,
    /// An empty key in Tapscript.
    #[error("Empty public key in tapscript")]
    TapscriptEmptyPubkey,
    /// CODESEPARATOR outside a witness.
    #[error("Using OP_CODESEPARATOR in non-witness script")]
    OpCodeSeparator,
    /// A signature is part of the script it signs.
    #[error("Signature is found in scriptCode")]
    SigFindAndDelete,
}

impl ScriptError {
    /// The name in Bitcoin Core's test vectors (`test/script_tests.cpp`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::EvalFalse => "EVAL_FALSE",
            Self::OpReturn => "OP_RETURN",
            Self::ScriptNum => "SCRIPTNUM",
            Self::ScriptSize => "SCRIPT_SIZE",
            Self::PushSize => "PUSH_SIZE",
            Self::OpCount => "OP_COUNT",
            Self::StackSize => "STACK_SIZE",
            Self::SigCount => "SIG_COUNT",
            Self::PubkeyCount => "PUBKEY_COUNT",
            Self::Verify => "VERIFY",
            Self::EqualVerify => "EQUALVERIFY",
            Self::CheckMultisigVerify => "CHECKMULTISIGVERIFY",
            Self::CheckSigVerify => "CHECKSIGVERIFY",
            Self::NumEqualVerify => "NUMEQUALVERIFY",
            Self::BadOpcode => "BAD_OPCODE",
            Self::DisabledOpcode => "DISABLED_OPCODE",
            Self::InvalidStackOperation => "INVALID_STACK_OPERATION",
            Self::InvalidAltstackOperation => "INVALID_ALTSTACK_OPERATION",
            Self::UnbalancedConditional => "UNBALANCED_CONDITIONAL",
            Self::NegativeLocktime => "NEGATIVE_LOCKTIME",
            Self::UnsatisfiedLocktime => "UNSATISFIED_LOCKTIME",
            Self::SigHashtype => "SIG_HASHTYPE",
            Self::SigDer => "SIG_DER",
            Self::MinimalData => "MINIMALDATA",
            Self::SigPushOnly => "SIG_PUSHONLY",
            Self::SigHighS => "SIG_HIGH_S",
            Self::SigNullDummy => "SIG_NULLDUMMY",
            Self::PubkeyType => "PUBKEYTYPE",
            Self::CleanStack => "CLEANSTACK",
            Self::MinimalIf => "MINIMALIF",
            Self::SigNullFail => "NULLFAIL",
            _ => self.upgrade_name(),
        }
    }

    /// The names that came with witnesses and later.
    const fn upgrade_name(self) -> &'static str {
        match self {
            Self::DiscourageUpgradableNops => "DISCOURAGE_UPGRADABLE_NOPS",
            Self::DiscourageUpgradableWitnessProgram => "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM",
            Self::DiscourageUpgradableTaprootVersion => "DISCOURAGE_UPGRADABLE_TAPROOT_VERSION",
            Self::DiscourageOpSuccess => "DISCOURAGE_OP_SUCCESS",
            Self::DiscourageUpgradablePubkeyType => "DISCOURAGE_UPGRADABLE_PUBKEYTYPE",
            Self::WitnessProgramWrongLength => "WITNESS_PROGRAM_WRONG_LENGTH",
            Self::WitnessProgramWitnessEmpty => "WITNESS_PROGRAM_WITNESS_EMPTY",
            Self::WitnessProgramMismatch => "WITNESS_PROGRAM_MISMATCH",
            Self::WitnessMalleated => "WITNESS_MALLEATED",
            Self::WitnessMalleatedP2sh => "WITNESS_MALLEATED_P2SH",
            Self::WitnessUnexpected => "WITNESS_UNEXPECTED",
            Self::WitnessPubkeyType => "WITNESS_PUBKEYTYPE",
            Self::SchnorrSigSize => "SCHNORR_SIG_SIZE",
            Self::SchnorrSigHashtype => "SCHNORR_SIG_HASHTYPE",
            Self::SchnorrSig => "SCHNORR_SIG",
            Self::TaprootWrongControlSize => "TAPROOT_WRONG_CONTROL_SIZE",
            Self::TapscriptValidationWeight => "TAPSCRIPT_VALIDATION_WEIGHT",
            Self::TapscriptCheckMultisig => "TAPSCRIPT_CHECKMULTISIG",
            Self::TapscriptMinimalIf => "TAPSCRIPT_MINIMALIF",
            Self::TapscriptEmptyPubkey => "TAPSCRIPT_EMPTY_PUBKEY",
            Self::OpCodeSeparator => "OP_CODESEPARATOR",
            Self::SigFindAndDelete => "SIG_FINDANDDELETE",
            _ => "UNKNOWN_ERROR",
        }
    }
}
