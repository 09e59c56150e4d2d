//! `mempool.dat`: the pool between two runs.
//!
//! ```text
//!   "cwpool" 00 02 ‖ count (u32 LE) ‖ count × (length (u32 LE) ‖ transaction)
//!                  ‖ count (u32 LE) ‖ count × relay id of an own transaction that no peer has fetched yet (32 bytes)
//!                  ‖ CRC-32C of all before (u32 LE)
//! ```
//!
//! Version 01 had no relay ids; it is still read.
//!
//! Invariant: the file is never trusted. Each transaction is submitted like one from a peer, and a damaged file costs
//! the pool, never the node.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{ChainHandle, Codec, Ledger, Pool as _, TxId};

use crate::Shutdown;

const MAGIC: &[u8; 7] = b"cwpool\x00";
/// The version that is written, and the one before.
const VERSIONS: (u8, u8) = (2, 1);

/// What loading a saved pool gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Transactions that are in the pool again.
    pub accepted: usize,
    /// Transactions the pool does not take any more.
    pub refused: usize,
    /// Own transactions, by relay id, that no peer had fetched.
    pub unbroadcast: Vec<TxId>,
    /// The node was asked to stop before the end: what is in the pool must not take the file's place.
    pub is_cut_short: bool,
}

/// Writes all transactions of the pool, parents first, and which of them are `unbroadcast`; returns how many.
///
/// # Errors
/// When the disk fails; the old file is untouched then.
pub fn save<L: Ledger>(chain: &ChainHandle<L>, unbroadcast: &[TxId], file: &Path) -> std::io::Result<usize> {
    let transactions = chain.published().pool().all();
    let bytes = encode(transactions.iter().map(|tx| tx.to_bytes()), unbroadcast);
    let temporary = file.with_extension("dat.new");
    let mut out = std::fs::File::create(&temporary)?;
    out.write_all(&bytes)?;
    out.sync_all()?;
    std::fs::rename(&temporary, file)?;
    Ok(transactions.len())
}

/// Submits what an earlier run has saved, until the node is asked to stop. A file that does not exist holds nothing.
///
/// # Errors
/// When the file cannot be read or is damaged.
pub fn load<L: Ledger>(chain: &ChainHandle<L>, file: &Path, shutdown: &Shutdown) -> std::io::Result<Loaded> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Loaded::default()),
        Err(error) => return Err(error),
    };
    let (transactions, unbroadcast) = decode(&bytes)?;
    let mut loaded = Loaded { unbroadcast, ..Loaded::default() };
    for transaction in transactions {
        if shutdown.is_requested() {
            loaded.is_cut_short = true;
            break;
        }
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

fn encode(transactions: impl ExactSizeIterator<Item = Vec<u8>>, unbroadcast: &[TxId]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSIONS.0);
    bytes.extend((transactions.len() as u32).to_le_bytes());
    for transaction in transactions {
        bytes.extend((transaction.len() as u32).to_le_bytes());
        bytes.extend(transaction);
    }
    bytes.extend((unbroadcast.len() as u32).to_le_bytes());
    bytes.extend(unbroadcast.iter().flat_map(|id| id.0));
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// Transactions, and relay ids of those that are ours alone.
type Content = (Vec<Bytes>, Vec<TxId>);

fn decode(bytes: &[u8]) -> std::io::Result<Content> {
    parse(bytes).ok_or_else(|| std::io::Error::other("the saved pool is damaged"))
}

fn parse(bytes: &[u8]) -> Option<Content> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    let (version, rest) = content.strip_prefix(MAGIC)?.split_first()?;
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
    if *version == VERSIONS.1 {
        return rest.is_empty().then_some((transactions, Vec::new()));
    }
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (ids, end) = rest.as_chunks::<32>();
    let is_whole = ids.len() as u64 == u64::from(u32::from_le_bytes(*count)) && end.is_empty();
    (*version == VERSIONS.0 && is_whole).then(|| (transactions, ids.iter().copied().map(TxId).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let transactions = vec![b"one".to_vec(), Vec::new(), vec![7; 1000]];
        let own = [TxId([1; 32]), TxId([2; 32])];
        let bytes = encode(transactions.clone().into_iter(), &own);
        assert_eq!(
            decode(&bytes).unwrap(),
            (transactions.into_iter().map(Bytes::from).collect(), own.to_vec())
        );
    }

    #[test]
    fn a_file_of_the_version_before_is_read() {
        let mut bytes = b"cwpool\x00\x01\x01\x00\x00\x00\x03\x00\x00\x00one".to_vec();
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        assert_eq!(decode(&bytes).unwrap(), (vec![Bytes::from_static(b"one")], Vec::new()));
    }

    #[test]
    fn a_flipped_or_missing_byte_is_noticed() {
        let bytes = encode(vec![b"one".to_vec(), b"two".to_vec()].into_iter(), &[TxId([3; 32])]);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(decode(&flipped).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "length {at}");
        }
    }
}
