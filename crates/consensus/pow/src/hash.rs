//! The hashes work is done with, and grinding them.

use chainwright_chain::{U256, Work};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

/// Nonces tried between two looks at whether to stop: about a millisecond's worth.
pub(crate) const SLICE: u64 = 4096;
/// What SHA-256 takes in at once.
const BLOCK: usize = 64;

/// The hash that must come out at or below the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WorkHash {
    /// SHA-256 twice, read as a little-endian number: Bitcoin.
    #[default]
    Sha256d,
    /// Keccak-256 once, read as a big-endian number: chains with Ethereum's headers.
    Keccak256,
}

impl WorkHash {
    /// The number that is compared with the target.
    pub fn of(self, sealed_bytes: &[u8]) -> U256 {
        match self {
            Self::Sha256d => twice(Sha256::new().chain_update(sealed_bytes)),
            Self::Keccak256 => U256::from_be_bytes(Keccak256::digest(sealed_bytes).into()),
        }
    }

    /// Tries nonces from `first` on, `step` apart, until the header's hash reaches `target`; the header then carries the nonce.
    /// `false` when `stop` said so, or when no nonce is left.
    pub fn grind<H: Work>(
        self,
        header: &mut H,
        target: U256,
        nonces: Nonces,
        stop: &dyn Fn() -> bool,
    ) -> bool {
        let mut prefix = Prefix::default();
        let last = header.nonce_max();
        let mut tried = 0;
        let mut nonce = nonces.first;
        loop {
            if nonce > last || (tried % SLICE == 0 && stop()) {
                return false;
            }
            header.set_nonce(nonce);
            let bytes = header.sealed_bytes();
            let hash = match self {
                Self::Sha256d => prefix.hash(&bytes),
                Self::Keccak256 => self.of(&bytes),
            };
            if hash <= target {
                return true;
            }
            tried += 1;
            let Some(next) = nonce.checked_add(nonces.step) else { return false };
            nonce = next;
        }
    }
}

/// Which nonces one grinder tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonces {
    /// The first one.
    pub first: u64,
    /// From one to the next: how many grinders share the work.
    pub step: u64,
}

impl Nonces {
    /// All of them, in order.
    pub const ALL: Self = Self { first: 0, step: 1 };
}

/// The state of SHA-256 after the first 64 bytes, which stay the same from nonce to nonce: a third of the work is saved.
struct Prefix {
    bytes: [u8; BLOCK],
    hasher: Sha256,
}

impl Default for Prefix {
    fn default() -> Self {
        let bytes = [0; BLOCK];
        Self { bytes, hasher: Sha256::new().chain_update(bytes) }
    }
}

impl Prefix {
    fn hash(&mut self, message: &[u8]) -> U256 {
        let Some((head, tail)) = message.split_first_chunk::<BLOCK>() else {
            return WorkHash::Sha256d.of(message);
        };
        if *head != self.bytes {
            self.bytes = *head;
            self.hasher = Sha256::new().chain_update(head);
        }
        twice(self.hasher.clone().chain_update(tail))
    }
}

fn twice(once: Sha256) -> U256 {
    let digest: [u8; 32] = Sha256::digest(once.finalize()).into();
    U256::from_le_bytes(digest)
}
