//! Ethereum's state trie, resident in memory: roots of blocks and proofs.
//!
//! The state itself is flat rows (see [`crate::state`]); nothing is ever read through the trie. It only follows deltas,
//! forth and back, and answers what the state hashes to (Yellow Paper, § 4.1 "World State" and appendix D "Modified
//! Merkle Patricia Tree").
//!
//! ```text
//!                     root                    two levels, put together at each root from
//!               0 ─ … ─ 15                    the 256 subtrees below: one per first byte of keccak(address)
//!            256 × Subtree
//!              ├ Arena of accounts            nodes in two vectors; links are 32-bit positions
//!              └ contracts: code hash, storage
//!                              ├ cold: its leaves, sorted and packed, and its root
//!                              └ warm: an Arena of its own, from the first write on
//! ```
//!
//! Invariants:
//! - a node's cached reference (hash, or RLP shorter than 32 bytes) is right or marked unknown, and whatever is above
//!   an unknown one is unknown;
//! - the shape depends on the keys alone, so the root depends on the state and not on the path to it;
//! - which thread hashes which subtree changes nothing but time.
//!
//! Start reading at [`StateTrie`], then `arena.rs`.

mod account;
mod arena;
mod node;
mod proof;
mod proof_trie;
mod state_trie;
mod storage;
mod subtree;

pub use proof::{AccountProof, StorageProof};
pub use proof_trie::{ProofError, ProofTrie};
pub use state_trie::StateTrie;

#[cfg(test)]
mod tests;
