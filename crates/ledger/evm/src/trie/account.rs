//! An account as the state trie's leaves keep it.

use std::collections::HashMap;

use alloy_primitives::{B256, KECCAK256_EMPTY, U256};
use alloy_trie::EMPTY_ROOT_HASH;

use super::node::{Key, put_string, trimmed};
use super::storage::Storage;
use crate::state::AccountRow;

/// What most accounts are: a nonce and a balance below 2¹²⁸ wei. Bytes, so that a leaf has no padding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) nonce: [u8; 8],
    pub(super) balance: [u8; 16],
    /// Whether [`Contracts`] may hold more of it.
    pub(super) more: bool,
}

/// What few accounts have.
#[derive(Default)]
pub(super) struct Contract {
    /// Zero where there is no code.
    code_hash: B256,
    /// The part of the balance that does not fit into [`Account`].
    balance_high: u128,
    pub(super) storage: Storage,
}

pub(super) type Contracts = HashMap<Key, Contract>;

impl Account {
    /// The common part of a row. `more` says whether [`Contracts`] holds anything of the account.
    pub(super) fn of(row: &AccountRow, more: bool) -> Self {
        let balance = row.balance.to_be_bytes::<32>();
        let mut low = [0; 16];
        low.copy_from_slice(&balance[16..]);
        Self { nonce: row.nonce.to_be_bytes(), balance: low, more }
    }

    /// Nonce, balance and code hash.
    pub(super) fn parts(&self, contract: Option<&Contract>) -> (u64, U256, B256) {
        let low = U256::from(u128::from_be_bytes(self.balance));
        let high = contract.map_or(U256::ZERO, |contract| U256::from(contract.balance_high));
        let code_hash = contract.map(|contract| contract.code_hash).filter(|hash| !hash.is_zero());
        (u64::from_be_bytes(self.nonce), (high << 128) | low, code_hash.unwrap_or(KECCAK256_EMPTY))
    }

    /// RLP of nonce, balance, storage root and code hash: Yellow Paper, § 4.1.
    pub(super) fn write(&self, contract: Option<&Contract>, out: &mut Vec<u8>) {
        let (_, balance, code_hash) = self.parts(contract);
        let balance = balance.to_be_bytes::<32>();
        let root = contract.map_or(EMPTY_ROOT_HASH, |contract| contract.storage.known_root());
        let (nonce, balance) = (trimmed(&self.nonce), trimmed(&balance));
        let length = |bytes: &[u8]| if matches!(bytes, [byte] if *byte < 0x80) { 1 } else { 1 + bytes.len() };
        // Two hashes alone are longer than 55 bytes.
        let payload = length(nonce) + length(balance) + 2 * 33;
        out.extend_from_slice(&[0xf8, payload as u8]);
        put_string(out, nonce);
        put_string(out, balance);
        put_string(out, root.as_slice());
        put_string(out, code_hash.as_slice());
    }
}

impl Contract {
    /// Takes what a row says beyond the common part; whether anything changed.
    pub(super) fn take(&mut self, row: Option<&AccountRow>) -> bool {
        let (code_hash, balance_high) = row.map_or((B256::ZERO, 0), rare_part);
        let same = (self.code_hash, self.balance_high) == (code_hash, balance_high);
        (self.code_hash, self.balance_high) = (code_hash, balance_high);
        !same
    }

    /// Whether nothing is left to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.code_hash.is_zero() && self.balance_high == 0 && self.storage.is_empty()
    }
}

/// Whether a row says more than the common part.
pub(super) fn is_rare(row: &AccountRow) -> bool {
    rare_part(row) != (B256::ZERO, 0)
}

/// The code hash, zero for none, and the upper half of the balance.
fn rare_part(row: &AccountRow) -> (B256, u128) {
    let code_hash = if row.code_hash == KECCAK256_EMPTY { B256::ZERO } else { row.code_hash };
    let high: U256 = row.balance >> 128;
    (code_hash, high.saturating_to())
}
