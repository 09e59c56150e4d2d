//! Blocks and their 80-byte headers.

use crate::codec::{DecodeError, Reader, compact_size_length, put_compact_size};
use crate::hash::{BlockHash, Hasher, sha256d};
use crate::merkle::{MerkleRoot, merkle_root};
use crate::tx::{Transaction, WITNESS_SCALE_FACTOR};
use bytes::Bytes;

/// The length of a header on the wire.
pub const HEADER_SIZE: usize = 80;
/// The smallest transaction that decodes: version, two zero counts, lock time.
const TRANSACTION_SIZE_MIN: usize = 10;
/// What the script of an output with a witness commitment begins with: `OP_RETURN`, a push of 36 bytes and the
/// tag (BIP-0141 § Commitment structure).
const COMMITMENT_PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// What proof of work is done on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockHeader {
    /// The version; its bits signal deployments (BIP-0009).
    pub version: i32,
    /// The id of the block before.
    pub previous: BlockHash,
    /// The Merkle root of the transactions' ids.
    pub merkle_root: [u8; 32],
    /// Unix time in seconds, as the miner says.
    pub time: u32,
    /// The target in compact form.
    pub bits: u32,
    /// What the miner varies.
    pub nonce: u32,
}

impl BlockHeader {
    /// The 80 bytes on the wire.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..36].copy_from_slice(&self.previous.0);
        bytes[36..68].copy_from_slice(&self.merkle_root);
        bytes[68..72].copy_from_slice(&self.time.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.bits.to_le_bytes());
        bytes[76..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// Reads the next 80 bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedEnd`].
    pub fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            version: reader.u32()?.cast_signed(),
            previous: BlockHash(reader.array()?),
            merkle_root: reader.array()?,
            time: reader.u32()?,
            bits: reader.u32()?,
            nonce: reader.u32()?,
        })
    }

    /// Reads a header from exactly its bytes.
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Self {
        let word = |at: usize| -> [u8; 4] { bytes[at..at + 4].try_into().expect("four bytes were cut out") };
        let hash = |at: usize| -> [u8; 32] { bytes[at..at + 32].try_into().expect("32 bytes were cut out") };
        Self {
            version: i32::from_le_bytes(word(0)),
            previous: BlockHash(hash(4)),
            merkle_root: hash(36),
            time: u32::from_le_bytes(word(68)),
            bits: u32::from_le_bytes(word(72)),
            nonce: u32::from_le_bytes(word(76)),
        }
    }

    /// The block's id: computed, not kept; ask once.
    pub fn hash(&self) -> BlockHash {
        BlockHash(sha256d(&self.encode()))
    }
}

/// A header and its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: BlockHeader,
    /// The transactions, coinbase first in any valid block.
    pub transactions: Vec<Transaction>,
}

/// Why a block's witnesses are not the ones its coinbase commits to. All of these are mutations: the bytes are
/// bad, the block's id need not be (Bitcoin Core `CheckWitnessMalleation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessCommitmentError {
    /// The coinbase's witness is not one item of 32 bytes.
    #[error("bad-witness-nonce-size")]
    NonceSize,
    /// The commitment is to other witnesses.
    #[error("bad-witness-merkle-match")]
    MerkleMatch,
    /// There is a witness and no commitment, or no witness is allowed yet.
    #[error("unexpected-witness")]
    Unexpected,
}

impl Block {
    /// Reads a block that fills the whole buffer. Everything in it stays a view of that buffer.
    ///
    /// # Errors
    /// See [`Transaction::read`]; [`DecodeError::TrailingBytes`].
    pub fn decode(buffer: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(buffer);
        let block = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(block)
    }

    /// Reads the next block.
    ///
    /// # Errors
    /// See [`Transaction::read`].
    pub fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        let header = BlockHeader::read(reader)?;
        let count = reader.count(TRANSACTION_SIZE_MIN)?;
        let mut transactions = Vec::with_capacity(count);
        for _ in 0..count {
            transactions.push(Transaction::read(reader)?);
        }
        Ok(Self { header, transactions })
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.total_size());
        out.extend_from_slice(&self.header.encode());
        put_compact_size(&mut out, self.transactions.len());
        for transaction in &self.transactions {
            out.extend_from_slice(transaction.encode());
        }
        out
    }

    /// The block's id.
    pub fn hash(&self) -> BlockHash {
        self.header.hash()
    }

    /// Bytes on the wire, witnesses included.
    pub fn total_size(&self) -> usize {
        self.frame_size() + self.transactions.iter().map(Transaction::total_size).sum::<usize>()
    }

    /// Bytes without witnesses.
    pub fn stripped_size(&self) -> usize {
        self.frame_size() + self.transactions.iter().map(Transaction::stripped_size).sum::<usize>()
    }

    /// Weight units: three times the stripped size plus the total size (BIP-0141).
    pub fn weight(&self) -> usize {
        self.stripped_size() * (WITNESS_SCALE_FACTOR - 1) + self.total_size()
    }

    fn frame_size(&self) -> usize {
        HEADER_SIZE + compact_size_length(self.transactions.len())
    }

    /// The Merkle root of the transactions' ids, which the header must carry.
    pub fn merkle_root(&self) -> MerkleRoot {
        merkle_root(self.transactions.iter().map(|transaction| transaction.txid().0).collect())
    }

    /// The Merkle root of the ids with witnesses, the coinbase's taken as zeros (BIP-0141).
    pub fn witness_merkle_root(&self) -> [u8; 32] {
        let mut leaves: Vec<[u8; 32]> =
            self.transactions.iter().map(|transaction| transaction.wtxid().0).collect();
        if let Some(coinbase) = leaves.first_mut() {
            *coinbase = [0; 32];
        }
        merkle_root(leaves).root
    }

    /// Which output of the coinbase carries the witness commitment: the last that looks like one.
    pub fn witness_commitment_index(&self) -> Option<usize> {
        let outputs = self.transactions.first()?.outputs();
        outputs.iter().rposition(|output| {
            let script = output.script_pubkey.as_bytes();
            script.len() >= COMMITMENT_PREFIX.len() + 32 && script.starts_with(&COMMITMENT_PREFIX)
        })
    }

    /// The 32 bytes the coinbase commits to the witnesses with, if it does.
    pub fn witness_commitment(&self) -> Option<[u8; 32]> {
        let output = &self.transactions.first()?.outputs()[self.witness_commitment_index()?];
        let start = COMMITMENT_PREFIX.len();
        output.script_pubkey.as_bytes()[start..start + 32].try_into().ok()
    }

    /// Asks that the witnesses are the ones committed to. `active` says whether witnesses are allowed at all at
    /// this height; before, none may be there.
    ///
    /// # Errors
    /// [`WitnessCommitmentError`], with Bitcoin Core's reject reason as its text.
    pub fn check_witness_commitment(&self, active: bool) -> Result<(), WitnessCommitmentError> {
        if let Some(commitment) = self.witness_commitment().filter(|_| active) {
            let nonce = self.witness_nonce().ok_or(WitnessCommitmentError::NonceSize)?;
            let computed = Hasher::new().chain(&self.witness_merkle_root()).chain(nonce).finish_double();
            return if computed == commitment { Ok(()) } else { Err(WitnessCommitmentError::MerkleMatch) };
        }
        if self.transactions.iter().any(Transaction::has_witness) {
            return Err(WitnessCommitmentError::Unexpected);
        }
        Ok(())
    }

    /// The coinbase's witness, if it is one item of 32 bytes.
    fn witness_nonce(&self) -> Option<&[u8]> {
        let witness = &self.transactions.first()?.inputs().first()?.witness;
        witness.get(0).filter(|item| witness.len() == 1 && item.len() == 32)
    }
}

#[cfg(test)]
#[path = "block/tests.rs"]
mod tests;
