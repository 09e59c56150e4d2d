//! The key and what it signs.
//!
//! Signatures are BIP-0340 over the tagged hash `chainwright/solo` of genesis id ‖ block id ‖ height (4 bytes, little-endian):
//! a signature is good for one block of one chain.

use chainwright_chain::{BlockId, Height};
use secp256k1::{Keypair, XOnlyPublicKey, schnorr};
use sha2::{Digest as _, Sha256};

const TAG: &[u8] = b"chainwright/solo";

/// Bytes that are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Zero, or not below the order of the curve.
    #[error("these 32 bytes are no secret key")]
    Secret,
    /// Not the x coordinate of a point.
    #[error("these 32 bytes are no public key")]
    Public,
}

/// The secret key. Its debug form tells nothing of it.
#[derive(Clone)]
pub struct SealingKey(Keypair);

impl core::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SealingKey(of {:?})", self.verifying_key())
    }
}

impl SealingKey {
    /// A key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Secret`].
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        Keypair::from_secret_bytes(bytes).map(Self).map_err(|_| KeyError::Secret)
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.x_only_public_key().0)
    }

    pub(crate) fn sign(&self, message: &[u8; 32]) -> [u8; 64] {
        // The same block gets the same signature: no randomness is needed, and none is at hand.
        schnorr::sign_no_aux_rand(message, &self.0).to_byte_array()
    }
}

/// The public key of a chain's sealer (BIP-0340, x coordinate only).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(XOnlyPublicKey);

impl core::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "VerifyingKey({})", self.0)
    }
}

impl VerifyingKey {
    /// A key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Public`].
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        XOnlyPublicKey::from_byte_array(bytes).map(Self).map_err(|_| KeyError::Public)
    }

    /// The 32 bytes, as a chain file holds them.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_byte_array()
    }

    pub(crate) fn verifies(&self, message: &[u8; 32], signature: [u8; 64]) -> bool {
        schnorr::Signature::from_byte_array(signature).verify(message, &self.0).is_ok()
    }
}

/// What is signed for a block.
pub(crate) fn message(genesis: BlockId, id: BlockId, height: Height) -> [u8; 32] {
    let tag = Sha256::digest(TAG);
    let hasher = Sha256::new().chain_update(tag).chain_update(tag);
    hasher.chain_update(genesis.0).chain_update(id.0).chain_update(height.0.to_le_bytes()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealingKey {
        SealingKey::from_bytes([byte; 32]).unwrap()
    }

    #[test]
    fn a_signature_is_good_for_one_block_of_one_chain() {
        let (genesis, id) = (BlockId([1; 32]), BlockId([2; 32]));
        let signed = message(genesis, id, Height(7));
        let signature = key(5).sign(&signed);
        let verifies = |message: [u8; 32]| key(5).verifying_key().verifies(&message, signature);
        assert!(verifies(signed));
        assert!(!verifies(message(BlockId([9; 32]), id, Height(7))), "another chain");
        assert!(!verifies(message(genesis, BlockId([9; 32]), Height(7))), "another block");
        assert!(!verifies(message(genesis, id, Height(8))), "another height");
        assert!(!key(6).verifying_key().verifies(&signed, signature), "another key");
        for bit in 0..512 {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!key(5).verifying_key().verifies(&signed, flipped), "bit {bit}");
        }
    }

    #[test]
    fn bytes_that_are_no_key_are_refused() {
        assert_eq!(SealingKey::from_bytes([0; 32]).unwrap_err(), KeyError::Secret);
        assert_eq!(SealingKey::from_bytes([0xff; 32]).unwrap_err(), KeyError::Secret);
        assert_eq!(VerifyingKey::from_bytes([0xff; 32]).unwrap_err(), KeyError::Public);
        let public = key(5).verifying_key();
        assert_eq!(VerifyingKey::from_bytes(public.to_bytes()), Ok(public));
    }

    #[test]
    fn the_secret_is_not_printed() {
        let printed = format!("{:?}", SealingKey::from_bytes([0xab; 32]).unwrap());
        assert!(!printed.contains("abab") && !printed.contains("171"), "{printed}");
    }
}
