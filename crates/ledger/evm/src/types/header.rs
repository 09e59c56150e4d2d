//! A header that knows its hash.

use core::ops::Deref;
use std::sync::{Arc, OnceLock};

use alloy_consensus::Header;
use alloy_primitives::{B64, B256, U256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use bytes::Bytes;
use chainwright_chain::{
    Attributes, BlockId, Codec, CompactTarget, DecodeError, Hash, Timestamp, Weight, Work,
};
use smallvec::SmallVec;

use super::rlp;

/// An Ethereum header; its Keccak hash is computed at most once per content. Cheap to clone.
#[derive(Clone)]
pub struct EvmHeader(Arc<Hashed>);

#[derive(Clone)]
struct Hashed {
    header: Header,
    hash: OnceLock<B256>,
}

impl EvmHeader {
    /// Wraps a header.
    pub fn new(header: Header) -> Self {
        Self(Arc::new(Hashed { header, hash: OnceLock::new() }))
    }

    /// The Keccak-256 hash of the RLP encoding: the only block hash anyone ever sees.
    pub fn hash(&self) -> B256 {
        *self.0.hash.get_or_init(|| self.0.header.hash_slow())
    }

    /// Changes fields; the hash is computed anew when somebody asks.
    pub fn alter(&mut self, change: impl FnOnce(&mut Header)) {
        let hashed = Arc::make_mut(&mut self.0);
        change(&mut hashed.header);
        hashed.hash = OnceLock::new();
    }

    /// The header itself.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// Reads one header off the front of a buffer.
    pub(super) fn take(buffer: &mut &[u8]) -> Result<Self, DecodeError> {
        let start = *buffer;
        let header = Header::decode(buffer).map_err(rlp::wrong("header"))?;
        let hash = keccak256(&start[..start.len() - buffer.len()]);
        Ok(Self(Arc::new(Hashed { header, hash: OnceLock::from(hash) })))
    }

    /// The RLP encoding without mixed hash and nonce: what Ethash and our own proof of work commit to (geth,
    /// `consensus/ethash` `SealHash`).
    pub fn unsealed_bytes(&self) -> Vec<u8> {
        let header = self.header();
        let mut fields = Vec::with_capacity(640);
        header.parent_hash.encode(&mut fields);
        header.ommers_hash.encode(&mut fields);
        header.beneficiary.encode(&mut fields);
        header.state_root.encode(&mut fields);
        header.transactions_root.encode(&mut fields);
        header.receipts_root.encode(&mut fields);
        header.logs_bloom.encode(&mut fields);
        header.difficulty.encode(&mut fields);
        header.number.encode(&mut fields);
        header.gas_limit.encode(&mut fields);
        header.gas_used.encode(&mut fields);
        header.timestamp.encode(&mut fields);
        header.extra_data.encode(&mut fields);
        let optional: [Option<&dyn Encodable>; 6] = [
            header.base_fee_per_gas.as_ref().map(|field| field as _),
            header.withdrawals_root.as_ref().map(|field| field as _),
            header.blob_gas_used.as_ref().map(|field| field as _),
            header.excess_blob_gas.as_ref().map(|field| field as _),
            header.parent_beacon_block_root.as_ref().map(|field| field as _),
            header.requests_hash.as_ref().map(|field| field as _),
        ];
        for field in optional.into_iter().flatten() {
            field.encode(&mut fields);
        }
        let mut out = Vec::with_capacity(fields.len() + 4);
        alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut out);
        out.extend_from_slice(&fields);
        out
    }
}

impl Deref for EvmHeader {
    type Target = Header;

    fn deref(&self) -> &Header {
        &self.0.header
    }
}

impl core::fmt::Debug for EvmHeader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.header.fmt(f)
    }
}

impl PartialEq for EvmHeader {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.header == other.0.header
    }
}

impl Eq for EvmHeader {}

impl From<Header> for EvmHeader {
    fn from(header: Header) -> Self {
        Self::new(header)
    }
}

impl Codec for EvmHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.header.encode(out);
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        let mut buffer = input.as_ref();
        let header = Self::take(&mut buffer)?;
        rlp::end(buffer, "header")?;
        Ok(header)
    }
}

impl chainwright_chain::Header for EvmHeader {
    fn id(&self) -> BlockId {
        BlockId(self.hash().0)
    }

    fn parent(&self) -> BlockId {
        BlockId(self.parent_hash.0)
    }

    fn time(&self) -> Timestamp {
        Timestamp(self.timestamp)
    }

    /// Time; the difficulty that stands for the target; the randomness, which Ethereum keeps in `mixHash` (EIP-4399).
    fn carries(&self, on: &Attributes) -> bool {
        self.timestamp == on.time.0
            && on.target.is_none_or(|target| difficulty_of(target) == self.difficulty)
            && self.mix_hash.0 == on.randomness.0
    }

    /// Its difficulty: total difficulty is the weight of a branch under an engine that takes headers' word for it.
    fn claimed_weight(&self) -> Weight {
        Weight(self.difficulty)
    }

    fn state_root(&self) -> Option<Hash> {
        Some(Hash(self.state_root.0))
    }

    fn set_state_root(&mut self, root: Hash) {
        self.alter(|header| header.state_root = B256::from(root.0));
    }
}

impl Work for EvmHeader {
    fn target(&self) -> CompactTarget {
        target_of(self.difficulty)
    }

    /// Keccak-256 of [`EvmHeader::unsealed_bytes`], then the nonce: 40 bytes, so that a miner hashes little per try.
    fn sealed_bytes(&self) -> SmallVec<[u8; 128]> {
        let mut bytes = SmallVec::from_slice(keccak256(self.unsealed_bytes()).as_slice());
        bytes.extend_from_slice(self.nonce.as_slice());
        bytes
    }

    fn set_nonce(&mut self, nonce: u64) {
        self.alter(|header| header.nonce = B64::from(nonce));
    }

    fn nonce_max(&self) -> u64 {
        u64::MAX
    }

    /// A header carries a difficulty, and a low one stands for many targets.
    fn expressible(target: CompactTarget) -> CompactTarget {
        target_of(difficulty_of(target))
    }
}

/// The difficulty that stands for a target: how many hashes it takes on average, ⌊(2^256 − 1) / target⌋; the largest
/// number for a target of zero.
pub fn difficulty_of(target: CompactTarget) -> U256 {
    let mantissa = U256::from(target.0 & 0x007f_ffff);
    let exponent = (target.0 >> 24) as usize;
    let expanded = match exponent {
        0..=3 => mantissa >> (8 * (3 - exponent)),
        4..=34 => mantissa << (8 * (exponent - 3)),
        _ => U256::ZERO,
    };
    U256::MAX.checked_div(expanded).unwrap_or(U256::MAX)
}

/// The target a difficulty stands for, rounded down to the compact form.
pub fn target_of(difficulty: U256) -> CompactTarget {
    let target = U256::MAX.checked_div(difficulty).unwrap_or(U256::MAX);
    let mut exponent = target.bit_len().div_ceil(8);
    let mut mantissa: u32 = if exponent <= 3 {
        target.to::<u32>() << (8 * (3 - exponent))
    } else {
        (target >> (8 * (exponent - 3))).to()
    };
    // The highest bit of the mantissa is a sign.
    if mantissa & 0x0080_0000 != 0 {
        mantissa >>= 8;
        exponent += 1;
    }
    CompactTarget(mantissa | (exponent as u32) << 24)
}
