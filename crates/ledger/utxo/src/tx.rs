//! Transactions: views into the buffer they came in, with their ids hashed from the original bytes.
//!
//! A [`Transaction`] is immutable and cheap to clone. To change one, take its [`TransactionParts`], change them
//! and make a new transaction of them.

use crate::amount::Amount;
use crate::codec::{DecodeError, Reader, compact_size_length, put_compact_size, put_prefixed};
use crate::hash::{Hasher, Txid, Wtxid, sha256d};
use crate::script::Script;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// Weight units per byte that is not witness (BIP-0141 § Block size).
pub const WITNESS_SCALE_FACTOR: usize = 4;

/// The smallest encoding of an input: outpoint, empty script, sequence.
const INPUT_SIZE_MIN: usize = 36 + 1 + 4;
/// The smallest encoding of an output: value, empty script.
const OUTPUT_SIZE_MIN: usize = 8 + 1;

/// One output of one transaction, as inputs name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutPoint {
    /// The transaction.
    pub txid: Txid,
    /// Which of its outputs, from 0.
    pub index: u32,
}

impl OutPoint {
    /// What a coinbase's only input names: no transaction, output 2³²−1.
    pub const NULL: Self = Self { txid: Txid([0; 32]), index: u32::MAX };

    /// Whether this is [`OutPoint::NULL`].
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }

    /// The 36 bytes on the wire.
    pub fn encode(&self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..32].copy_from_slice(&self.txid.0);
        bytes[32..].copy_from_slice(&self.index.to_le_bytes());
        bytes
    }

    /// Reads the 36 bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self { txid: Txid(reader.array()?), index: reader.u32()? })
    }
}

impl fmt::Display for OutPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.txid, self.index)
    }
}

/// An input's witness: a stack of byte strings, kept in its wire encoding and walked in place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Witness {
    /// The items, each with its length before it; the number of items is not part of it.
    items: Bytes,
    count: u32,
}

impl Witness {
    /// A witness of these items, bottom of the stack first.
    pub fn from_items<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Self {
        let mut bytes = Vec::new();
        let mut count = 0;
        for item in items {
            put_prefixed(&mut bytes, item.as_ref());
            count += 1;
        }
        Self { items: bytes.into(), count }
    }

    /// Reads a number of items and the items.
    ///
    /// # Errors
    /// As [`Reader::compact_size`].
    pub fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let count = reader.count(1)?;
        let start = reader.position();
        for _ in 0..count {
            let length = reader.compact_size()?;
            reader.take(length)?;
        }
        let items = if count == 0 { Bytes::new() } else { reader.view_since(start) };
        Ok(Self { items, count: count as u32 })
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are no items. An input without witness and one with an empty stack are the same thing.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items, bottom of the stack first.
    pub fn iter(&self) -> WitnessItems<'_> {
        WitnessItems { rest: &self.items, left: self.count as usize }
    }

    /// One item, from the bottom.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.iter().nth(index)
    }

    /// The item on top of the stack.
    pub fn last(&self) -> Option<&[u8]> {
        self.iter().last()
    }

    /// Bytes on the wire, the number of items included.
    pub fn encoded_length(&self) -> usize {
        compact_size_length(self.len()) + self.items.len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_compact_size(out, self.len());
        out.extend_from_slice(&self.items);
    }
}

impl<'a> IntoIterator for &'a Witness {
    type Item = &'a [u8];
    type IntoIter = WitnessItems<'a>;
    fn into_iter(self) -> WitnessItems<'a> {
        self.iter()
    }
}

/// Walks over a [`Witness`].
#[derive(Clone, Debug)]
pub struct WitnessItems<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for WitnessItems<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (&first, mut rest) = self.rest.split_first()?;
        let width = match first {
            0xfd => 2,
            0xfe => 4,
            0xff => 8,
            _ => 0,
        };
        let mut length = usize::from(first);
        if width > 0 {
            let mut bytes = [0; 8];
            let (number, after) = rest.split_at_checked(width)?;
            bytes[..width].copy_from_slice(number);
            length = u64::from_le_bytes(bytes) as usize;
            rest = after;
        }
        let (item, after) = rest.split_at_checked(length)?;
        self.rest = after;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for WitnessItems<'_> {}

/// What a transaction spends and why it may.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TxIn {
    /// The output that is spent.
    pub previous_output: OutPoint,
    /// The script that runs before the output's.
    pub script_sig: Script,
    /// BIP-0068's relative lock time, and whether the transaction may be replaced.
    pub sequence: u32,
    /// The witness (BIP-0141); empty for most old inputs.
    pub witness: Witness,
}

/// An amount and the script that says who may spend it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TxOut {
    /// The amount, of any sign and size until it was checked.
    pub value: Amount,
    /// The condition.
    pub script_pubkey: Script,
}

impl TxOut {
    /// Reads value and script.
    ///
    /// # Errors
    /// As [`Reader::compact_size`].
    pub fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            value: Amount(reader.u64()?.cast_signed()),
            script_pubkey: Script(reader.prefixed_view()?),
        })
    }

    /// Appends value and script.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.value.0.to_le_bytes());
        put_prefixed(out, self.script_pubkey.as_bytes());
    }

    /// Bytes on the wire.
    pub fn encoded_length(&self) -> usize {
        let script = self.script_pubkey.len();
        8 + compact_size_length(script) + script
    }
}

/// What a transaction is made of, free to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransactionParts {
    /// The version; 2 and above turn relative lock times on (BIP-0068).
    pub version: u32,
    /// What is spent.
    pub inputs: Vec<TxIn>,
    /// What is created.
    pub outputs: Vec<TxOut>,
    /// The height (below 500,000,000) or Unix time from which on the transaction may be mined.
    pub lock_time: u32,
}

impl TransactionParts {
    /// Whether any input has a witness.
    pub fn has_witness(&self) -> bool {
        self.inputs.iter().any(|input| !input.witness.is_empty())
    }

    /// The bytes that the [`Txid`] hashes: no marker, no witnesses.
    pub fn encode_stripped(&self) -> Vec<u8> {
        let mut out = self.version.to_le_bytes().to_vec();
        self.put_body(&mut out);
        out.extend_from_slice(&self.lock_time.to_le_bytes());
        out
    }

    /// The bytes on the wire: with marker, flag and witnesses if there are any (BIP-0144).
    pub fn encode(&self) -> Vec<u8> {
        if !self.has_witness() {
            return self.encode_stripped();
        }
        let mut out = self.version.to_le_bytes().to_vec();
        out.extend_from_slice(&[0, 1]);
        self.put_body(&mut out);
        for input in &self.inputs {
            input.witness.put(&mut out);
        }
        out.extend_from_slice(&self.lock_time.to_le_bytes());
        out
    }

    fn put_body(&self, out: &mut Vec<u8>) {
        put_compact_size(out, self.inputs.len());
        for input in &self.inputs {
            out.extend_from_slice(&input.previous_output.encode());
            put_prefixed(out, input.script_sig.as_bytes());
            out.extend_from_slice(&input.sequence.to_le_bytes());
        }
        put_compact_size(out, self.outputs.len());
        for output in &self.outputs {
            output.put(out);
        }
    }
}

/// An immutable transaction with its bytes and ids. Cloning counts a reference.
#[derive(Clone)]
pub struct Transaction(Arc<Contents>);

struct Contents {
    parts: TransactionParts,
    /// The canonical encoding.
    bytes: Bytes,
    stripped_size: usize,
    txid: Txid,
    wtxid: Wtxid,
}

/// Where in a buffer the pieces of a transaction's encoding lie that its [`Txid`] hashes.
struct Layout {
    start: usize,
    body: usize,
    body_end: usize,
}

impl Transaction {
    /// Makes a transaction of its parts.
    pub fn new(parts: TransactionParts) -> Self {
        let bytes = Bytes::from(parts.encode());
        let wtxid = sha256d(&bytes);
        let (txid, stripped_size) = if parts.has_witness() {
            let stripped = parts.encode_stripped();
            (sha256d(&stripped), stripped.len())
        } else {
            (wtxid, bytes.len())
        };
        Self(Arc::new(Contents { parts, bytes, stripped_size, txid: Txid(txid), wtxid: Wtxid(wtxid) }))
    }

    /// Reads a transaction that fills the whole buffer, with or without witnesses.
    ///
    /// # Errors
    /// See [`Transaction::read`]; [`DecodeError::TrailingBytes`].
    pub fn decode(buffer: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(buffer);
        let transaction = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(transaction)
    }

    /// Reads a transaction that fills the whole buffer and has no witnesses by definition: the only way to read one
    /// without inputs, whose zero count otherwise means "extended format" (Bitcoin Core `TX_NO_WITNESS`).
    ///
    /// # Errors
    /// See [`Transaction::read`]; [`DecodeError::TrailingBytes`].
    pub fn decode_stripped(buffer: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(buffer);
        let layout_start = reader.position();
        let version = reader.u32()?;
        let body = reader.position();
        let inputs = read_inputs(&mut reader)?;
        let outputs = read_outputs(&mut reader)?;
        let layout = Layout { start: layout_start, body, body_end: reader.position() };
        let lock_time = reader.u32()?;
        reader.finish()?;
        Ok(Self::of_read(TransactionParts { version, inputs, outputs, lock_time }, &reader, &layout))
    }

    /// Reads the next transaction (BIP-0144; Bitcoin Core `UnserializeTransaction` with witnesses allowed).
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`], [`DecodeError::NonCanonicalSize`], [`DecodeError::SizeTooLarge`],
    /// [`DecodeError::SuperfluousWitness`], [`DecodeError::UnknownTransactionFlags`].
    pub fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let start = reader.position();
        let version = reader.u32()?;
        let mut body = reader.position();
        let mut inputs = read_inputs(reader)?;
        let mut outputs = Vec::new();
        let mut flags = 0;
        if inputs.is_empty() {
            // No inputs: the marker of the extended format. A zero flag is then a zero count of outputs.
            flags = reader.u8()?;
            if flags != 0 {
                body = reader.position();
                inputs = read_inputs(reader)?;
                outputs = read_outputs(reader)?;
            }
        } else {
            outputs = read_outputs(reader)?;
        }
        let body_end = reader.position();
        if flags & 1 != 0 {
            flags ^= 1;
            for input in &mut inputs {
                input.witness = Witness::read(reader)?;
            }
            if inputs.iter().all(|input| input.witness.is_empty()) {
                return Err(DecodeError::SuperfluousWitness);
            }
        }
        if flags != 0 {
            return Err(DecodeError::UnknownTransactionFlags(flags));
        }
        let lock_time = reader.u32()?;
        let parts = TransactionParts { version, inputs, outputs, lock_time };
        Ok(Self::of_read(parts, reader, &Layout { start, body, body_end }))
    }

    /// Hashes the ids from the bytes just read. The encoding is canonical, so nothing is encoded again.
    fn of_read(parts: TransactionParts, reader: &Reader, layout: &Layout) -> Self {
        let bytes = reader.view_since(layout.start);
        let wtxid = sha256d(&bytes);
        let version_end = 4;
        let (body, body_end) = (layout.body - layout.start, layout.body_end - layout.start);
        let (txid, stripped_size) = if body == version_end {
            (wtxid, bytes.len())
        } else {
            let lock_time = &bytes[bytes.len() - 4..];
            let hasher = Hasher::new().chain(&bytes[..version_end]).chain(&bytes[body..body_end]);
            (hasher.chain(lock_time).finish_double(), version_end + (body_end - body) + lock_time.len())
        };
        Self(Arc::new(Contents { parts, bytes, stripped_size, txid: Txid(txid), wtxid: Wtxid(wtxid) }))
    }

    /// The id without witnesses.
    pub fn txid(&self) -> Txid {
        self.0.txid
    }

    /// The id with witnesses.
    pub fn wtxid(&self) -> Wtxid {
        self.0.wtxid
    }

    /// The version.
    pub fn version(&self) -> u32 {
        self.0.parts.version
    }

    /// What is spent.
    pub fn inputs(&self) -> &[TxIn] {
        &self.0.parts.inputs
    }

    /// What is created.
    pub fn outputs(&self) -> &[TxOut] {
        &self.0.parts.outputs
    }

    /// The height or time from which on the transaction may be mined.
    pub fn lock_time(&self) -> u32 {
        self.0.parts.lock_time
    }

    /// What the transaction is made of.
    pub fn parts(&self) -> &TransactionParts {
        &self.0.parts
    }

    /// The bytes on the wire, witnesses included: a view, nothing is encoded.
    pub fn encode(&self) -> &Bytes {
        &self.0.bytes
    }

    /// Bytes on the wire, witnesses included.
    pub fn total_size(&self) -> usize {
        self.0.bytes.len()
    }

    /// Bytes without marker, flag and witnesses.
    pub fn stripped_size(&self) -> usize {
        self.0.stripped_size
    }

    /// Weight units: three times the stripped size plus the total size (BIP-0141).
    pub fn weight(&self) -> usize {
        self.stripped_size() * (WITNESS_SCALE_FACTOR - 1) + self.total_size()
    }

    /// Virtual bytes: a quarter of the weight, rounded up.
    pub fn vsize(&self) -> usize {
        self.weight().div_ceil(WITNESS_SCALE_FACTOR)
    }

    /// Whether any input has a witness.
    pub fn has_witness(&self) -> bool {
        self.total_size() != self.stripped_size()
    }

    /// Whether this creates coins: one input, which names nothing.
    pub fn is_coinbase(&self) -> bool {
        matches!(self.inputs(), [only] if only.previous_output.is_null())
    }
}

/// Same bytes.
impl PartialEq for Transaction {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for Transaction {}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("txid", &self.0.txid).field("parts", &self.0.parts).finish()
    }
}

fn read_inputs(reader: &mut Reader) -> Result<Vec<TxIn>, DecodeError> {
    let count = reader.count(INPUT_SIZE_MIN)?;
    let mut inputs = Vec::with_capacity(count);
    for _ in 0..count {
        inputs.push(TxIn {
            previous_output: OutPoint::read(reader)?,
            script_sig: Script(reader.prefixed_view()?),
            sequence: reader.u32()?,
            witness: Witness::default(),
        });
    }
    Ok(inputs)
}

fn read_outputs(reader: &mut Reader) -> Result<Vec<TxOut>, DecodeError> {
    let count = reader.count(OUTPUT_SIZE_MIN)?;
    let mut outputs = Vec::with_capacity(count);
    for _ in 0..count {
        outputs.push(TxOut::read(reader)?);
    }
    Ok(outputs)
}

#[cfg(test)]
#[path = "tx/tests.rs"]
mod tests;
