//! The hash functions of Bitcoin and the identifiers made of them.
//!
//! `sha2` asks the processor at run time and uses its SHA instructions where it has them.
//! Identifiers keep the byte order they have on the wire and print reversed, as every Bitcoin program does.

use hex_conservative::DisplayHex as _;
use ripemd::Ripemd160;
use sha2::{Digest as _, Sha256};

/// SHA-256 of some bytes.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// SHA-256 of the SHA-256 of some bytes.
pub fn sha256d(data: &[u8]) -> [u8; 32] {
    sha256(&sha256(data))
}

/// RIPEMD-160 of some bytes.
pub fn ripemd160(data: &[u8]) -> [u8; 20] {
    Ripemd160::digest(data).into()
}

/// RIPEMD-160 of the SHA-256 of some bytes: what addresses commit to.
pub fn hash160(data: &[u8]) -> [u8; 20] {
    ripemd160(&sha256(data))
}

/// A SHA-256 computation in pieces, finished once or twice over.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// An empty computation.
    pub fn new() -> Self {
        Self::default()
    }

    /// A computation that starts with SHA256(tag) ‖ SHA256(tag) (BIP-0340 § Design, tagged hashes).
    pub fn tagged(tag: &str) -> Self {
        let tag = sha256(tag.as_bytes());
        Self::new().chain(&tag).chain(&tag)
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// Adds bytes and hands the computation back.
    #[must_use]
    pub fn chain(mut self, data: &[u8]) -> Self {
        self.0.update(data);
        self
    }

    /// Adds a length as Bitcoin's compact size.
    pub fn update_compact_size(&mut self, size: usize) {
        let (bytes, length) = crate::codec::compact_size_bytes(size as u64);
        self.0.update(&bytes[..length]);
    }

    /// SHA-256 of everything added.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }

    /// SHA-256 of the SHA-256 of everything added.
    pub fn finish_double(self) -> [u8; 32] {
        sha256(&self.finish())
    }
}

/// SHA256(SHA256(tag) ‖ SHA256(tag) ‖ data) (BIP-0340).
pub fn tagged_hash(tag: &str, data: &[u8]) -> [u8; 32] {
    Hasher::tagged(tag).chain(data).finish()
}

/// A string was not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is 64 hexadecimal digits")]
pub struct HashParseError;

/// Writes 32 bytes in hexadecimal, last byte first.
fn fmt_reversed(bytes: &[u8; 32], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    let mut reversed = *bytes;
    reversed.reverse();
    write!(f, "{}", reversed.as_hex())
}

/// Reads what [`fmt_reversed`] writes.
fn parse_reversed(text: &str) -> Result<[u8; 32], HashParseError> {
    let mut bytes = hex_conservative::decode_to_array::<32>(text).map_err(|_| HashParseError)?;
    bytes.reverse();
    Ok(bytes)
}

/// Defines a 32-byte identifier: the bytes in wire order, printed reversed.
macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                fmt_reversed(&self.0, f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                fmt_reversed(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = HashParseError;
            fn from_str(text: &str) -> Result<Self, HashParseError> {
                parse_reversed(text).map(Self)
            }
        }
    };
}

identifier! {
    /// A transaction's identifier: the double hash of its bytes without witnesses. Inputs refer to it.
    Txid
}
identifier! {
    /// The double hash of a transaction's bytes with witnesses (BIP-0141); equal to the [`Txid`] without any.
    Wtxid
}
identifier! {
    /// The double hash of a block's 80-byte header.
    BlockHash
}

#[cfg(test)]
mod tests {
    use super::{Txid, hash160, sha256d, tagged_hash};
    use hex_conservative::DisplayHex as _;

    #[test]
    fn hashes_have_their_published_values() {
        assert_eq!(
            sha256d(b"hello").to_lower_hex_string(),
            "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"
        );
        assert_eq!(hash160(b"hello").to_lower_hex_string(), "b6a9c8c230722b7c748331a8b450f05566dc7d0f");
        assert_ne!(tagged_hash("TapLeaf", b""), tagged_hash("TapBranch", b""));
    }

    #[test]
    fn identifiers_print_reversed_and_parse_back() {
        let mut bytes = [0; 32];
        bytes[0] = 0xab;
        let text = Txid(bytes).to_string();
        assert!(text.ends_with("00ab"));
        assert_eq!(text.parse(), Ok(Txid(bytes)));
        assert!("ab".parse::<Txid>().is_err());
    }
}
