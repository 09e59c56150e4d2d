//! Hexadecimal text in chain files.

use serde::{Deserialize, Deserializer, de::Error as _};

/// Exactly `N` bytes written in hexadecimal, in the order they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hex<const N: usize>(pub(crate) [u8; N]);

/// Any number of bytes written in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HexBytes(pub(crate) Vec<u8>);

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = decode(&text).ok_or_else(|| D::Error::custom(not_hexadecimal(&text)))?;
        let got = bytes.len();
        let wrong = |_| D::Error::custom(format!("expected {N} bytes in hexadecimal, got {got}"));
        bytes.try_into().map(Self).map_err(wrong)
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode(&text).map(Self).ok_or_else(|| D::Error::custom(not_hexadecimal(&text)))
    }
}

fn not_hexadecimal(text: &str) -> String {
    format!("`{text}` is not a whole number of bytes in hexadecimal")
}

/// The bytes of a hexadecimal text.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// Bytes as hexadecimal text.
pub(crate) fn encode(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
