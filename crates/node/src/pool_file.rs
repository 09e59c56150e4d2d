//! `mempool.dat`: the pool between two runs.
//!
//! ```text
//!   "cwpool" 00 01 ‖ count (u32 LE) ‖ count × (length (u32 LE) ‖ transaction) ‖ CRC-32C of all before (u32 LE)
//! ```
//!
//! Invariant: the file is never trusted. Each transaction is submitted like one from a peer, and a damaged file costs
//! the pool, never the node.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{ChainHandle, Codec, Ledger, Pool as _};

const MAGIC: &[u8; 8] = b"cwpool\x00\x01";

/// What loading a saved pool gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Transactions that are in the pool again.
    pub accepted: usize,
    /// Transactions the pool does not take any more.
    pub refused: usize,
}

/// Writes all transactions of the pool, parents first, and returns how many.
///
/// # Errors
/// When the disk fails; the old file is untouched then.
pub fn save<L: Ledger>(chain: &ChainHandle<L>, file: &Path) -> std::io::Result<usize> {
    let transactions = chain.published().pool().all();
    let bytes = encode(transactions.iter().map(|tx| tx.to_bytes()));
    let temporary = file.with_extension("dat.new");
    let mut out = std::fs::File::create(&temporary)?;
    out.write_all(&bytes)?;
    out.sync_all()?;
    std::fs::rename(&temporary, file)?;
    Ok(transactions.len())
}

/// Submits what an earlier run has saved. A file that does not exist holds nothing.
///
/// # Errors
/// When the file cannot be read or is damaged.
pub fn load<L: Ledger>(chain: &ChainHandle<L>, file: &Path) -> std::io::Result<Loaded> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Loaded::default()),
        Err(error) => return Err(error),
    };
    let mut loaded = Loaded::default();
    for transaction in decode(&bytes)? {
        let accepted = L::Tx::decode(&transaction)
            .is_ok_and(|tx| chain.submit(Arc::new(tx)).wait().is_ok_and(|answer| answer.is_ok()));
        if accepted {
            loaded.accepted += 1;
        } else {
            loaded.refused += 1;
        }
    }
    Ok(loaded)
}

fn encode(transactions: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((transactions.len() as u32).to_le_bytes());
    for transaction in transactions {
        bytes.extend((transaction.len() as u32).to_le_bytes());
        bytes.extend(transaction);
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> std::io::Result<Vec<Bytes>> {
    parse(bytes).ok_or_else(|| std::io::Error::other("the saved pool is damaged"))
}

fn parse(bytes: &[u8]) -> Option<Vec<Bytes>> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    let rest = content.strip_prefix(MAGIC)?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut transactions = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (transaction, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        transactions.push(Bytes::copy_from_slice(transaction));
        rest = after;
    }
    rest.is_empty().then_some(transactions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let transactions = vec![b"one".to_vec(), Vec::new(), vec![7; 1000]];
        let bytes = encode(transactions.clone().into_iter());
        assert_eq!(decode(&bytes).unwrap(), transactions);
    }

    #[test]
    fn a_flipped_or_missing_byte_is_noticed() {
        let bytes = encode(vec![b"one".to_vec(), b"two".to_vec()].into_iter());
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(decode(&flipped).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "length {at}");
        }
    }
}
