//! Addresses and private keys as people write them: Base58Check, Bech32 (BIP-0173) and Bech32m (BIP-0350).
//!
//! A chain differs from another only in an [`AddressPrefixes`]; Litecoin is another value of it. Errors have Bitcoin
//! Core's words (`key_io.cpp`), because `validateaddress` shows them. Where in a Bech32 string the damage lies is
//! not searched for.

use crate::script::instruction::put_push;
use crate::script::opcode::{OP_CHECKSIG, OP_DUP, OP_EQUAL, OP_EQUALVERIFY, OP_HASH160};
use crate::script::{Script, Template, classify, witness_script_pubkey};
use base58ck::Base58CkString;
use bech32::primitives::decode::{CheckedHrpstring, UncheckedHrpstring};
use bech32::{Bech32, Bech32m, Fe32, Hrp};
use secp256k1::SecretKey;
use smallvec::SmallVec;

/// The longest Bech32 string that is an address.
const BECH32_LENGTH_MAX: usize = 90;
/// The longest data that is looked for in Base58, in bytes.
const BASE58_DATA_MAX: usize = 100;
/// The longest string that can hold [`BASE58_DATA_MAX`] bytes.
const BASE58_LENGTH_MAX: usize = 140;
/// The longest witness program, in bytes.
const PROGRAM_SIZE_MAX: usize = 40;

/// First bytes and words of a chain's addresses and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPrefixes {
    /// Base58 version of a key's hash.
    pub pubkey_hash: u8,
    /// Base58 version of a script's hash, as we write it.
    pub script_hash: u8,
    /// Another version of a script's hash that is read too: Litecoin once shared Bitcoin's.
    pub script_hash_also: Option<u8>,
    /// Base58 version of a private key.
    pub secret_key: u8,
    /// Base58 version of an extended public key (BIP-0032).
    pub extended_public_key: [u8; 4],
    /// Base58 version of an extended private key (BIP-0032).
    pub extended_secret_key: [u8; 4],
    /// The human-readable part of witness addresses (BIP-0173), in lower case.
    pub bech32: String,
}

impl AddressPrefixes {
    /// Bitcoin's main chain.
    pub fn bitcoin() -> Self {
        Self {
            pubkey_hash: 0,
            script_hash: 5,
            script_hash_also: None,
            secret_key: 128,
            extended_public_key: [0x04, 0x88, 0xb2, 0x1e],
            extended_secret_key: [0x04, 0x88, 0xad, 0xe4],
            bech32: "bc".into(),
        }
    }

    /// Bitcoin's test chains; `bech32` is `tb`, on regtest `bcrt`.
    pub fn bitcoin_test(bech32: &str) -> Self {
        Self {
            pubkey_hash: 111,
            script_hash: 196,
            script_hash_also: None,
            secret_key: 239,
            extended_public_key: [0x04, 0x35, 0x87, 0xcf],
            extended_secret_key: [0x04, 0x35, 0x83, 0x94],
            bech32: bech32.into(),
        }
    }

    /// Litecoin's main chain.
    pub fn litecoin() -> Self {
        Self {
            pubkey_hash: 48,
            script_hash: 50,
            script_hash_also: Some(5),
            secret_key: 176,
            bech32: "ltc".into(),
            ..Self::bitcoin()
        }
    }

    /// Litecoin's test chains; `bech32` is `tltc`, on regtest `rltc`.
    pub fn litecoin_test(bech32: &str) -> Self {
        Self { script_hash: 58, script_hash_also: Some(196), ..Self::bitcoin_test(bech32) }
    }
}

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A key's hash.
    PubkeyHash([u8; 20]),
    /// A script's hash (BIP-0016).
    ScriptHash([u8; 20]),
    /// A witness program (BIP-0141), pay-to-anchor included.
    Witness {
        /// The version, 0 to 16.
        version: u8,
        /// The program: 20 or 32 bytes for version 0, otherwise 2 to 40.
        program: SmallVec<[u8; PROGRAM_SIZE_MAX]>,
    },
}

/// Why a string is not an address of this chain; the text is Bitcoin Core's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither Base58 nor the chain's Bech32.
    #[error("Invalid or unsupported Segwit (Bech32) or Base58 encoding.")]
    Encoding,
    /// Base58 with a wrong checksum or far too long.
    #[error("Invalid checksum or length of Base58 address (P2PKH or P2SH)")]
    Base58Checksum,
    /// The right version, and not 20 bytes.
    #[error("Invalid length for Base58 address (P2PKH or P2SH)")]
    Base58Length,
    /// Another chain's version.
    #[error("Invalid or unsupported Base58-encoded address.")]
    Base58Version,
    /// More than 90 characters.
    #[error("Bech32 string too long")]
    TooLong,
    /// A character that is not printable, or both cases.
    #[error("Invalid character or mixed case")]
    Character,
    /// No `1`.
    #[error("Missing separator")]
    Separator,
    /// Nothing before the last `1`, or too little behind it.
    #[error("Invalid separator position")]
    SeparatorPosition,
    /// A character that Base 32 has not.
    #[error("Invalid Base 32 character")]
    Base32,
    /// Neither checksum is right; this is the one that belongs to the witness version.
    #[error("Invalid {0} checksum")]
    Bech32Checksum(&'static str),
    /// Nothing between prefix and checksum.
    #[error("Empty Bech32 data section")]
    Empty,
    /// Another chain's prefix.
    #[error("Invalid or unsupported prefix for Segwit (Bech32) address (expected {expected}, got {got}).")]
    Prefix {
        /// The chain's.
        expected: String,
        /// The string's.
        got: String,
    },
    /// Version 0 with the newer checksum.
    #[error("Version 0 witness address must use Bech32 checksum")]
    Version0Checksum,
    /// A later version with the older checksum.
    #[error("Version 1+ witness address must use Bech32m checksum")]
    Version1Checksum,
    /// Left-over bits that are too many or not zero.
    #[error("Invalid padding in Bech32 data section")]
    Padding,
    /// Version 0 with a program of neither 20 nor 32 bytes.
    #[error("Invalid Bech32 v0 address program size ({0} {unit}), per BIP141", unit = bytes_word(*.0))]
    Version0Size(usize),
    /// A version above 16.
    #[error("Invalid Bech32 address witness version")]
    Version,
    /// A program of less than 2 or more than 40 bytes.
    #[error("Invalid Bech32 address program size ({0} {unit})", unit = bytes_word(*.0))]
    Size(usize),
}

fn bytes_word(count: usize) -> &'static str {
    if count == 1 { "byte" } else { "bytes" }
}

impl Destination {
    /// Where an output's script leads, if an address can say it (Bitcoin Core `ExtractDestination`; a bare key has
    /// none).
    pub fn of_script(script_pubkey: &[u8]) -> Option<Self> {
        let witness = |version, program: &[u8]| Self::Witness { version, program: program.into() };
        match classify(script_pubkey) {
            Template::PubkeyHash(hash) => Some(Self::PubkeyHash(hash)),
            Template::ScriptHash(hash) => Some(Self::ScriptHash(hash)),
            Template::WitnessV0KeyHash(hash) => Some(witness(0, &hash)),
            Template::WitnessV0ScriptHash(hash) => Some(witness(0, &hash)),
            Template::WitnessV1Taproot(key) => Some(witness(1, &key)),
            Template::Anchor => Some(witness(1, &script_pubkey[2..])),
            Template::WitnessUnknown { version, program } => Some(witness(version, program)),
            Template::NonStandard | Template::Pubkey(_) | Template::Multisig { .. } | Template::NullData => {
                None
            }
        }
    }

    /// The output's script.
    pub fn script_pubkey(&self) -> Script {
        let mut script = Vec::new();
        match self {
            Self::PubkeyHash(hash) => {
                script.extend_from_slice(&[OP_DUP, OP_HASH160]);
                put_push(&mut script, hash);
                script.extend_from_slice(&[OP_EQUALVERIFY, OP_CHECKSIG]);
            }
            Self::ScriptHash(hash) => {
                script.push(OP_HASH160);
                put_push(&mut script, hash);
                script.push(OP_EQUAL);
            }
            Self::Witness { version, program } => return witness_script_pubkey(*version, program),
        }
        script.into()
    }

    /// The address on a chain; nothing for a witness program that is none, or a prefix that Bech32 cannot have.
    pub fn encode(&self, prefixes: &AddressPrefixes) -> Option<String> {
        match self {
            Self::PubkeyHash(hash) => Some(encode_base58(prefixes.pubkey_hash, hash)),
            Self::ScriptHash(hash) => Some(encode_base58(prefixes.script_hash, hash)),
            Self::Witness { version, program } => {
                let prefix = Hrp::parse(&prefixes.bech32).ok()?;
                let version = Fe32::try_from(*version).ok()?;
                bech32::segwit::encode(prefix, version, program).ok()
            }
        }
    }

    /// Reads an address of a chain (Bitcoin Core `DecodeDestination`).
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn decode(address: &str, prefixes: &AddressPrefixes) -> Result<Self, AddressError> {
        let start = address.get(..prefixes.bech32.len());
        if start.is_some_and(|start| start.eq_ignore_ascii_case(&prefixes.bech32)) {
            decode_bech32(address, prefixes)
        } else {
            decode_base58(address, prefixes)
        }
    }
}

fn encode_base58(version: u8, payload: &[u8]) -> String {
    let mut data = vec![version];
    data.extend_from_slice(payload);
    Base58CkString::encode_unbounded(&data).as_str().to_owned()
}

/// What is left of a string without the white space around it that Bitcoin Core allows, if it is not so long that
/// decoding it, which is quadratic work, would be an attack.
fn base58_text(text: &str) -> Option<&str> {
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    (text.len() <= BASE58_LENGTH_MAX).then_some(text)
}

fn decode_base58_check(text: &str) -> Option<Vec<u8>> {
    base58ck::decode_check(base58_text(text)?).ok()
}

fn is_base58(text: &str) -> bool {
    let data = base58_text(text).and_then(|text| base58ck::decode(text).ok());
    data.is_some_and(|data| data.len() <= BASE58_DATA_MAX)
}

fn decode_base58(address: &str, prefixes: &AddressPrefixes) -> Result<Destination, AddressError> {
    // 21 bytes and a checksum are all that an address can be; longer data is not looked at.
    let Some(data) = decode_base58_check(address).filter(|data| data.len() <= 21) else {
        return Err(if is_base58(address) { AddressError::Base58Checksum } else { AddressError::Encoding });
    };
    let is_key = |version: u8| version == prefixes.pubkey_hash;
    let is_script =
        |version: u8| version == prefixes.script_hash || Some(version) == prefixes.script_hash_also;
    match data.split_first() {
        Some((&version, payload)) if is_key(version) || is_script(version) => {
            let hash = payload.try_into().map_err(|_| AddressError::Base58Length)?;
            Ok(if is_key(version) { Destination::PubkeyHash(hash) } else { Destination::ScriptHash(hash) })
        }
        _ => Err(AddressError::Base58Version),
    }
}

fn decode_bech32(address: &str, prefixes: &AddressPrefixes) -> Result<Destination, AddressError> {
    let (checked, newer) = check_bech32(address)?;
    let symbols: SmallVec<[u8; BECH32_LENGTH_MAX]> = checked.fe32_iter().map(Fe32::to_u8).collect();
    let Some((&version, _)) = symbols.split_first() else { return Err(AddressError::Empty) };
    let got = checked.hrp().to_lowercase();
    if got != prefixes.bech32 {
        return Err(AddressError::Prefix { expected: prefixes.bech32.clone(), got });
    }
    match (version, newer) {
        (0, true) => return Err(AddressError::Version0Checksum),
        (1.., false) => return Err(AddressError::Version1Checksum),
        _ => {}
    }
    let program = join_bits(&symbols[1..]).ok_or(AddressError::Padding)?;
    match (version, program.len()) {
        (0, 20 | 32) | (1..=16, 2..=PROGRAM_SIZE_MAX) => Ok(Destination::Witness { version, program }),
        (0, size) => Err(AddressError::Version0Size(size)),
        (17.., _) => Err(AddressError::Version),
        (_, size) => Err(AddressError::Size(size)),
    }
}

/// Checks form and checksum; says whether it is the newer one (Bitcoin Core `bech32::Decode`, `LocateErrors`).
fn check_bech32(address: &str) -> Result<(CheckedHrpstring<'_>, bool), AddressError> {
    if address.len() > BECH32_LENGTH_MAX {
        return Err(AddressError::TooLong);
    }
    let lower = address.bytes().any(|byte| byte.is_ascii_lowercase());
    let upper = address.bytes().any(|byte| byte.is_ascii_uppercase());
    if (lower && upper) || !address.bytes().all(|byte| (33..=126).contains(&byte)) {
        return Err(AddressError::Character);
    }
    let separator = address.rfind('1').ok_or(AddressError::Separator)?;
    if separator == 0 || separator + 7 > address.len() {
        return Err(AddressError::SeparatorPosition);
    }
    let unchecked = UncheckedHrpstring::new(address).map_err(|_| AddressError::Base32)?;
    if unchecked.has_valid_checksum::<Bech32>() {
        return Ok((unchecked.remove_checksum::<Bech32>(), false));
    }
    if unchecked.has_valid_checksum::<Bech32m>() {
        return Ok((unchecked.remove_checksum::<Bech32m>(), true));
    }
    let version_0 = matches!(address.as_bytes().get(separator + 1), Some(b'q' | b'Q'));
    Err(AddressError::Bech32Checksum(if version_0 { "Bech32" } else { "Bech32m" }))
}

/// Joins groups of five bits into bytes; fewer than five bits may be left and must be zero.
fn join_bits(symbols: &[u8]) -> Option<SmallVec<[u8; PROGRAM_SIZE_MAX]>> {
    let mut bytes = SmallVec::new();
    let (mut buffer, mut width) = (0_u32, 0);
    for symbol in symbols {
        buffer = (buffer << 5 | u32::from(*symbol)) & 0xfff;
        width += 5;
        if width >= 8 {
            width -= 8;
            bytes.push((buffer >> width) as u8);
        }
    }
    let left = buffer & ((1 << width) - 1);
    (width < 5 && left == 0).then_some(bytes)
}

/// A private key in wallet import format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WifKey {
    /// The key.
    pub secret: SecretKey,
    /// Whether its public key is written compressed.
    pub compressed: bool,
}

impl WifKey {
    /// Reads a key of a chain; nothing when it is none (Bitcoin Core `DecodeSecret`).
    pub fn decode(text: &str, prefixes: &AddressPrefixes) -> Option<Self> {
        let data = decode_base58_check(text)?;
        let (version, rest) = data.split_first()?;
        let (secret, rest) = rest.split_first_chunk::<32>()?;
        let compressed = match rest {
            [] => false,
            [1] => true,
            _ => return None,
        };
        let secret = SecretKey::from_secret_bytes(*secret).ok()?;
        (*version == prefixes.secret_key).then_some(Self { secret, compressed })
    }

    /// Writes the key for a chain (Bitcoin Core `EncodeSecret`).
    pub fn encode(&self, prefixes: &AddressPrefixes) -> String {
        let mut payload = self.secret.to_secret_bytes().to_vec();
        if self.compressed {
            payload.push(1);
        }
        encode_base58(prefixes.secret_key, &payload)
    }

    /// The public key's bytes, 33 or 65.
    pub fn public_key(&self) -> Vec<u8> {
        let key = self.secret.public_key();
        if self.compressed { key.serialize().to_vec() } else { key.serialize_uncompressed().to_vec() }
    }
}
