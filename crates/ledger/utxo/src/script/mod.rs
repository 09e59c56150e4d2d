//! Script: the language that says who may spend an output.
//!
//! [`verify_script`] joins an input's script, an output's script and a witness, under [`Flags`] that say which
//! rules hold. It asks a [`SignatureChecker`] about the transaction; [`crate::sighash::PrecomputedTransaction`]
//! brings the real one. Nothing here allocates per item: see [`item`].

mod asm;
mod classify;
mod curve;
mod error;
mod flags;
pub mod instruction;
mod interpreter;
pub mod item;
pub mod number;
pub mod opcode;
mod sigops;
mod taproot;
mod verify;

pub use asm::asm;
pub use classify::{Template, classify};
pub use curve::{is_low_s, is_strict_der, verify_ecdsa, verify_schnorr};
pub use error::ScriptError;
pub use flags::Flags;
pub use interpreter::{SigVersion, SignatureChecker, TaprootSpend, evaluate};
pub use sigops::{legacy_sigops, p2sh_sigops, transaction_sigop_cost, witness_sigops};
pub use taproot::{tap_branch_hash, tap_leaf_hash, tap_tweak_hash, taproot_output_key};
pub use verify::{verify_script, witness_program};

use bytes::Bytes;
use hex_conservative::DisplayHex as _;
use instruction::Instructions;
use opcode::{OP_1, OP_16, OP_EQUAL, OP_HASH160, OP_RETURN};
use std::fmt;

/// The longest script that runs outside Tapscript, in bytes.
pub const SCRIPT_SIZE_MAX: usize = 10_000;
/// The longest item on the stack, in bytes.
pub const ITEM_SIZE_MAX: usize = 520;
/// The most operations in a script outside Tapscript; pushes are not counted.
pub const OPERATIONS_MAX: usize = 201;
/// The most items on both stacks.
pub const STACK_SIZE_MAX: usize = 1_000;
/// The most keys in a CHECKMULTISIG.
pub const MULTISIG_KEYS_MAX: usize = 20;

/// A script's bytes: usually a view into the block or message it came in.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Script(pub Bytes);

impl Script {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy that does not keep the buffer alive this script is a view of.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The instructions, in order.
    pub fn instructions(&self) -> Instructions<'_> {
        Instructions::new(&self.0)
    }

    /// Whether this pays to a script's hash: HASH160, 20 bytes, EQUAL (BIP-0016).
    pub fn is_p2sh(&self) -> bool {
        is_p2sh(&self.0)
    }

    /// The witness version and program this script is, if it is one (BIP-0141).
    pub fn witness_program(&self) -> Option<(u8, &[u8])> {
        witness_program(&self.0)
    }

    /// Whether the script only pushes (Bitcoin Core `IsPushOnly`).
    pub fn is_push_only(&self) -> bool {
        is_push_only(&self.0)
    }

    /// Whether nobody can ever spend this: it begins with RETURN or is too long to run (Bitcoin Core
    /// `IsUnspendable`). Such outputs never enter the set of coins.
    pub fn is_unspendable(&self) -> bool {
        self.0.first() == Some(&OP_RETURN) || self.0.len() > SCRIPT_SIZE_MAX
    }
}

/// Whether these bytes pay to a script's hash (BIP-0016).
pub fn is_p2sh(script: &[u8]) -> bool {
    matches!(script, [OP_HASH160, 20, hash @ .., OP_EQUAL] if hash.len() == 20)
}

/// Whether these bytes are a script that only pushes (Bitcoin Core `IsPushOnly`).
pub fn is_push_only(script: &[u8]) -> bool {
    Instructions::new(script).all(|step| step.is_ok_and(|instruction| instruction.opcode <= OP_16))
}

/// The script a witness program is: a version from 0 to 16 and 2 to 40 bytes.
pub fn witness_script_pubkey(version: u8, program: &[u8]) -> Script {
    let mut script = vec![if version == 0 { 0 } else { OP_1 - 1 + version }];
    instruction::put_push(&mut script, program);
    script.into()
}

impl From<Vec<u8>> for Script {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Script {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl AsRef<[u8]> for Script {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// In hexadecimal.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_hex())
    }
}
