//! Which rules a script is held to (Bitcoin Core `script/interpreter.h`, `SCRIPT_VERIFY_*`).
//!
//! Every flag only ever makes fewer scripts valid. Which flags consensus sets depends on a block's height and is
//! the caller's business; so is which of the rest a pool adds.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of rules, with Bitcoin Core's bit positions.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flags(pub u32);

impl Flags {
    /// No rule but those every script obeys.
    pub const NONE: Self = Self(0);
    /// Run the scripts that pay-to-script-hash outputs commit to (BIP-0016).
    pub const P2SH: Self = Self(1);
    /// Signatures are strict DER with a defined hash type, keys are of a known form. Policy.
    pub const STRICTENC: Self = Self(1 << 1);
    /// Signatures are strict DER (BIP-0066).
    pub const DERSIG: Self = Self(1 << 2);
    /// The signature's S is in the lower half of the order (BIP-0062, rule 5). Policy.
    pub const LOW_S: Self = Self(1 << 3);
    /// The item that CHECKMULTISIG takes too many is empty (BIP-0147).
    pub const NULLDUMMY: Self = Self(1 << 4);
    /// The input's script only pushes (BIP-0062, rule 2). Policy.
    pub const SIGPUSHONLY: Self = Self(1 << 5);
    /// Pushes and numbers are as short as they can be (BIP-0062, rules 3 and 4). Policy.
    pub const MINIMALDATA: Self = Self(1 << 6);
    /// No-operations reserved for upgrades are refused. Policy.
    pub const DISCOURAGE_UPGRADABLE_NOPS: Self = Self(1 << 7);
    /// Exactly one item is left on the stack (BIP-0062, rule 6); only sensible with P2SH and WITNESS. Policy.
    pub const CLEANSTACK: Self = Self(1 << 8);
    /// CHECKLOCKTIMEVERIFY has its meaning (BIP-0065).
    pub const CHECKLOCKTIMEVERIFY: Self = Self(1 << 9);
    /// CHECKSEQUENCEVERIFY has its meaning (BIP-0112).
    pub const CHECKSEQUENCEVERIFY: Self = Self(1 << 10);
    /// Witness programs run (BIP-0141); only sensible with P2SH.
    pub const WITNESS: Self = Self(1 << 11);
    /// Witness programs of unknown version are refused. Policy.
    pub const DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM: Self = Self(1 << 12);
    /// What IF takes in a version 0 witness script is empty or exactly 1. Policy.
    pub const MINIMALIF: Self = Self(1 << 13);
    /// Signatures that fail are empty (BIP-0146). Policy.
    pub const NULLFAIL: Self = Self(1 << 14);
    /// Keys in version 0 witness scripts are compressed. Policy.
    pub const WITNESS_PUBKEYTYPE: Self = Self(1 << 15);
    /// CODESEPARATOR and signatures found in the script they sign are refused outside witnesses. Policy.
    pub const CONST_SCRIPTCODE: Self = Self(1 << 16);
    /// Version 1 witness programs are Taproot outputs (BIP-0341, BIP-0342).
    pub const TAPROOT: Self = Self(1 << 17);
    /// Unknown Taproot leaf versions are refused. Policy.
    pub const DISCOURAGE_UPGRADABLE_TAPROOT_VERSION: Self = Self(1 << 18);
    /// Opcodes that make a Tapscript succeed at once are refused. Policy.
    pub const DISCOURAGE_OP_SUCCESS: Self = Self(1 << 19);
    /// Keys of unknown type in Tapscript are refused. Policy.
    pub const DISCOURAGE_UPGRADABLE_PUBKEYTYPE: Self = Self(1 << 20);

    /// What consensus asks of new blocks (Bitcoin Core `policy/policy.h`, `MANDATORY_SCRIPT_VERIFY_FLAGS`).
    pub const MANDATORY: Self = Self(
        Self::P2SH.0
            | Self::DERSIG.0
            | Self::NULLDUMMY.0
            | Self::CHECKLOCKTIMEVERIFY.0
            | Self::CHECKSEQUENCEVERIFY.0
            | Self::WITNESS.0
            | Self::TAPROOT.0,
    );

    /// What a pool asks (Bitcoin Core `policy/policy.h`, `STANDARD_SCRIPT_VERIFY_FLAGS`).
    pub const STANDARD: Self = Self(Self::ALL.0 & !Self::SIGPUSHONLY.0);

    /// Every flag there is.
    pub const ALL: Self = Self((1 << 21) - 1);

    /// Every single flag with Bitcoin Core's name for it.
    pub const NAMED: [(&'static str, Self); 21] = [
        ("P2SH", Self::P2SH),
        ("STRICTENC", Self::STRICTENC),
        ("DERSIG", Self::DERSIG),
        ("LOW_S", Self::LOW_S),
        ("NULLDUMMY", Self::NULLDUMMY),
        ("SIGPUSHONLY", Self::SIGPUSHONLY),
        ("MINIMALDATA", Self::MINIMALDATA),
        ("DISCOURAGE_UPGRADABLE_NOPS", Self::DISCOURAGE_UPGRADABLE_NOPS),
        ("CLEANSTACK", Self::CLEANSTACK),
        ("CHECKLOCKTIMEVERIFY", Self::CHECKLOCKTIMEVERIFY),
        ("CHECKSEQUENCEVERIFY", Self::CHECKSEQUENCEVERIFY),
        ("WITNESS", Self::WITNESS),
        ("DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM", Self::DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM),
        ("MINIMALIF", Self::MINIMALIF),
        ("NULLFAIL", Self::NULLFAIL),
        ("WITNESS_PUBKEYTYPE", Self::WITNESS_PUBKEYTYPE),
        ("CONST_SCRIPTCODE", Self::CONST_SCRIPTCODE),
        ("TAPROOT", Self::TAPROOT),
        ("DISCOURAGE_UPGRADABLE_TAPROOT_VERSION", Self::DISCOURAGE_UPGRADABLE_TAPROOT_VERSION),
        ("DISCOURAGE_OP_SUCCESS", Self::DISCOURAGE_OP_SUCCESS),
        ("DISCOURAGE_UPGRADABLE_PUBKEYTYPE", Self::DISCOURAGE_UPGRADABLE_PUBKEYTYPE),
    ];

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in this set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// This set without `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Reads names separated by commas; nothing and `NONE` are the empty set. Unknown names give nothing.
    pub fn parse(names: &str) -> Option<Self> {
        let mut flags = Self::NONE;
        for name in names.split(',').filter(|name| !name.is_empty() && *name != "NONE") {
            flags |= Self::NAMED.iter().find(|(known, _)| *known == name)?.1;
        }
        Some(flags)
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Self::NAMED.iter().filter(|(_, flag)| self.contains(*flag)).map(|(name, _)| *name).collect();
        f.write_str(if names.is_empty() { "NONE" } else { "" })?;
        f.write_str(&names.join(","))
    }
}
