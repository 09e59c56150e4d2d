//! Proofs of accounts and slots against a block's state root: EIP-1186.

use alloy_primitives::{B256, Bytes, U256};

use crate::state::AccountRow;

/// An account, or that there is none, and the nodes that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account as it stands at the block; `None` if there is none.
    pub account: Option<AccountRow>,
    /// Root of its storage; that of an empty trie if there is none.
    pub storage_root: B256,
    /// RLP of the nodes on the way of its hashed address, topmost first. Its first node hashes to the state root.
    pub nodes: Vec<Bytes>,
    /// One per slot that was asked for, in that order.
    pub slots: Vec<StorageProof>,
}

/// A slot and the nodes that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageProof {
    /// The slot's number, not hashed.
    pub slot: U256,
    /// What it holds; zero where nothing was ever written.
    pub value: U256,
    /// RLP of the nodes on the way of its hashed number, topmost first; none if the account has no storage.
    pub nodes: Vec<Bytes>,
}
