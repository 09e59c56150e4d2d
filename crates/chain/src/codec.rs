//! Bytes in, value out: the one canonical encoding each chain already has.

use bytes::Bytes;

use crate::DecodeError;

/// A value with one canonical encoding.
///
/// `decode(encode(x)) = x`, and every input that `decode` accepts is what `encode` gives back.
pub trait Codec: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads a value that takes up the whole input; may keep slices of it.
    ///
    /// # Errors
    /// When the bytes are not exactly one canonical encoding.
    fn decode(input: &Bytes) -> Result<Self, DecodeError>;

    /// The encoding in a buffer of its own.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

impl Codec for () {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        if input.is_empty() { Ok(()) } else { Err(DecodeError::new("bytes where none belong")) }
    }
}
