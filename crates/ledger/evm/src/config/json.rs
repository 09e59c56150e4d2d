//! Reading JSON as genesis files write it: numbers as numbers, decimal strings or hex strings; errors say where.

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde_json::{Map, Value};

/// What is wrong with a genesis file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("genesis{}{path}: {what}", if path.is_empty() { "" } else { ": " })]
pub struct GenesisError {
    /// The key, its parents before it, separated by dots.
    pub path: String,
    /// What was found and what belongs there.
    pub what: String,
}

/// A value and the path to it.
#[derive(Clone)]
pub(super) struct Node<'j> {
    pub(super) path: String,
    pub(super) value: &'j Value,
}

impl<'j> Node<'j> {
    pub(super) fn root(value: &'j Value) -> Self {
        Self { path: String::new(), value }
    }

    /// An error about this value.
    pub(super) fn wrong(&self, what: impl Into<String>) -> GenesisError {
        GenesisError { path: self.path.clone(), what: what.into() }
    }

    fn expected(&self, what: &str) -> GenesisError {
        let mut found = self.value.to_string();
        if let Some((cut, _)) = found.char_indices().nth(60) {
            found.truncate(cut);
            found.push('…');
        }
        self.wrong(format!("expected {what}, found {found}"))
    }

    fn object(&self) -> Result<&'j Map<String, Value>, GenesisError> {
        self.value.as_object().ok_or_else(|| self.expected("an object"))
    }

    /// The members of an object but for nulls, which say nothing.
    pub(super) fn members(&self) -> Result<Vec<(&'j str, Self)>, GenesisError> {
        let named = |(key, value): (&'j String, &'j Value)| {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            (key.as_str(), Self { path, value })
        };
        Ok(self.object()?.iter().map(named).filter(|(_, node)| !node.value.is_null()).collect())
    }

    fn text(&self) -> Result<&'j str, GenesisError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    pub(super) fn boolean(&self) -> Result<bool, GenesisError> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A number of up to 256 bits.
    pub(super) fn number(&self) -> Result<U256, GenesisError> {
        let expected = || self.expected("a number from 0 to 2^256 - 1");
        let parse = |text: &str| match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some("") => Some(U256::ZERO),
            Some(digits) => U256::from_str_radix(digits, 16).ok(),
            None if text.is_empty() => None,
            None => U256::from_str_radix(text, 10).ok(),
        };
        match self.value {
            Value::Number(number) => parse(&number.to_string()),
            Value::String(text) => parse(text),
            _ => None,
        }
        .ok_or_else(expected)
    }

    /// A number of up to 64 bits.
    pub(super) fn number64(&self) -> Result<u64, GenesisError> {
        let number = self.number()?;
        number.try_into().map_err(|_| self.expected("a number from 0 to 2^64 - 1"))
    }

    /// Bytes as hex, `0x` before them or not.
    pub(super) fn bytes(&self) -> Result<Bytes, GenesisError> {
        let bytes = hex::decode(self.text()?).map_err(|_| self.expected("bytes as hex"))?;
        Ok(bytes.into())
    }

    /// A 20-byte address.
    pub(super) fn address(&self) -> Result<Address, GenesisError> {
        address_from(self.text()?).ok_or_else(|| self.expected("an address of 20 bytes as hex"))
    }

    /// Up to 32 bytes as hex, zeros in front of them if fewer.
    pub(super) fn word(&self) -> Result<B256, GenesisError> {
        word_from(self.text()?).ok_or_else(|| self.expected("up to 32 bytes as hex"))
    }
}

/// An address as hex, `0x` before it or not.
pub(super) fn address_from(text: &str) -> Option<Address> {
    let mut bytes = [0; 20];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(Address::from(bytes))
}

/// Up to 32 bytes as hex, zeros in front of them if fewer; an odd number of digits is fine.
pub(super) fn word_from(text: &str) -> Option<B256> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() > 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let padded = format!("{digits:0>64}");
    let mut bytes = [0; 32];
    hex::decode_to_slice(padded, &mut bytes).ok()?;
    Some(B256::from(bytes))
}
