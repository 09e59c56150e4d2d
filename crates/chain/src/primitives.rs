//! The small values every chain shares: identifiers, height, time, weight, compact target.
//!
//! Identifiers are 32 bytes in the byte order of the ledger's own hash; how a person writes them down
//! (Bitcoin reverses them) is the ledger's business, see [`crate::Ledger::show_id`].

use core::fmt;

/// 256-bit unsigned integer, used for cumulative weight and for targets.
pub type U256 = ruint::Uint<256, 4>;

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Thirty-two zero bytes.
            pub const ZERO: Self = Self([0; 32]);

            /// The bytes in the ledger's own order.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        /// Lower-case hex of the bytes as they are stored.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    };
}

bytes32!(
    /// The identity of a block: the hash of its native header.
    BlockId
);
bytes32!(
    /// The identity of a transaction, as the ledger defines it.
    TxId
);
bytes32!(
    /// Any other 32-byte digest: a state root, randomness.
    Hash
);

/// Distance from genesis, in blocks; genesis is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u32);

impl Height {
    /// The height of genesis.
    pub const GENESIS: Self = Self(0);

    /// One block further from genesis.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// One block nearer to genesis; genesis has none.
    pub const fn previous(self) -> Option<Self> {
        match self.0 {
            0 => None,
            height => Some(Self(height - 1)),
        }
    }

    /// How many blocks lie between `self` and a lower `other`; 0 if `other` is higher.
    pub const fn above(self, other: Self) -> u32 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A span of heights under one set of validators; 0 is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// What one header adds to its branch; the heaviest branch leads.
///
/// Under proof of work this is the expected number of hashes. Engines whose choice comes from
/// elsewhere give [`Weight::ZERO`] and move the head by `prefer` and `finalize` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(pub U256);

impl Weight {
    /// Adds nothing to a branch.
    pub const ZERO: Self = Self(U256::ZERO);

    /// Sum, stopping at the largest representable weight.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A 256-bit target in the compact 32-bit form headers carry: an exponent byte and a 23-bit mantissa.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompactTarget(pub u32);
