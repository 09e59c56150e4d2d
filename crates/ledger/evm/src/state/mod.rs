//! Ethereum's world state as flat rows, and the EVM's way to read and write them.
//!
//! ```text
//! accounts  keccak(address)                   → address, nonce, balance, code hash     point
//! storage   keccak(address) ‖ keccak(slot)    → slot, value                            ordered
//! code      keccak(code)                      → code                                   point
//! ommers    number of a block that names some → their hashes                           point
//! ```
//!
//! Invariants:
//! - an account row exists exactly where the Merkle trie has a leaf (so before EIP-161 an empty account may have one);
//! - a storage row exists exactly where the value is not zero;
//! - code is never removed but by the inverse of the delta that brought it: accounts may share it;
//! - the trie is no part of the state: it follows the deltas of these tables.
//!
//! Start reading at [`AccountRow`] (what deltas, the journal and snapshots hold), then [`Overlay`] (a block at work).

mod codes;
mod outside;
mod overlay;
mod rows;

pub use codes::CodeCache;
pub(crate) use outside::check_rows;
pub use overlay::{Ancestors, Overlay, StateError};
pub use rows::{
    ACCOUNTS, AccountRow, CODE, OMMERS, STORAGE, StorageRow, TABLES, account_key, storage_key, storage_range,
};
