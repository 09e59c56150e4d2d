//! The pool as bytes, to survive a restart (the idea of Bitcoin Core's `mempool.dat`).
//!
//! ```text
//! "cwpool" 02 ‖ count (compact size) ‖ count × (time (u64 LE) ‖ transaction)
//! ```
//! Nothing read is trusted: whoever loads submits each transaction again.

use bytes::Bytes;
use chainwright_chain::{DecodeError, Pool as _, Timestamp};

use super::TransactionPool;
use crate::codec::{Reader, put_compact_size};
use crate::tx::Transaction;

const MAGIC: &[u8; 7] = b"cwpool\x02";
/// A time and the smallest transaction.
const SAVED_SIZE_MIN: usize = 18;

/// A transaction and when it came to the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTransaction {
    /// The transaction.
    pub transaction: Transaction,
    /// When it came.
    pub time: Timestamp,
}

/// All transactions of a pool, parents before children.
pub fn encode_saved(pool: &TransactionPool) -> Vec<u8> {
    let transactions = pool.all();
    let mut out = MAGIC.to_vec();
    put_compact_size(&mut out, transactions.len());
    for transaction in transactions {
        let time = pool.entry(&transaction.txid()).map_or(0, |entry| entry.time.0);
        out.extend_from_slice(&time.to_le_bytes());
        out.extend_from_slice(Transaction::encode(&transaction));
    }
    out
}

/// Reads what [`encode_saved`] wrote.
///
/// # Errors
/// When the bytes are of another version or damaged.
pub fn decode_saved(bytes: Bytes) -> Result<Vec<SavedTransaction>, DecodeError> {
    let mut reader = Reader::new(bytes);
    if &reader.array::<7>()? != MAGIC {
        return Err(DecodeError::new("not a saved pool of this version"));
    }
    let count = reader.count(SAVED_SIZE_MIN)?;
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        let time = Timestamp(reader.u64()?);
        found.push(SavedTransaction { transaction: Transaction::read(&mut reader)?, time });
    }
    reader.finish()?;
    Ok(found)
}
