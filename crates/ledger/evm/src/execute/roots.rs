//! The state root after each transaction, which receipts held before Byzantium (EIP-658 took it away).

use std::collections::BTreeMap;

use alloy_primitives::{B256, U256};
use alloy_trie::TrieAccount;
use alloy_trie::root::{state_root, storage_root};
use chainwright_chain::{DecodeError, Delta, Fault, StateView};

use crate::state::{ACCOUNTS, AccountRow, Overlay, STORAGE, StorageRow};

/// A state that walks along with a block.
///
/// It is read from the rows for each block. That is slow for a large state, and exact; public chains left these rules
/// behind in 2017.
pub(super) struct RunningRoot {
    accounts: BTreeMap<B256, AccountRow>,
    slots: BTreeMap<(B256, B256), U256>,
    delta: Delta,
}

fn damaged(error: DecodeError) -> Fault {
    Fault::new(format!("a row of the state is damaged: {error}"))
}

impl RunningRoot {
    /// The state before the first transaction.
    pub(super) fn load(view: &StateView) -> Result<Self, Fault> {
        let (accounts, slots) = Default::default();
        let mut root = Self { accounts, slots, delta: Delta::empty() };
        view.scan(ACCOUNTS, &mut |key, row| root.set_account(key, Some(row)))?;
        view.scan(STORAGE, &mut |key, row| root.set_slot(key, Some(row)))?;
        Ok(root)
    }

    fn set_account(&mut self, key: &[u8], row: Option<&[u8]>) -> Result<(), Fault> {
        let key = B256::from_slice(key);
        match row {
            Some(row) => drop(self.accounts.insert(key, AccountRow::decode(row).map_err(damaged)?)),
            None => drop(self.accounts.remove(&key)),
        }
        Ok(())
    }

    fn set_slot(&mut self, key: &[u8], row: Option<&[u8]>) -> Result<(), Fault> {
        let key = (B256::from_slice(&key[..32]), B256::from_slice(&key[32..]));
        match row {
            Some(row) => drop(self.slots.insert(key, StorageRow::decode(row).map_err(damaged)?.value)),
            None => drop(self.slots.remove(&key)),
        }
        Ok(())
    }

    fn follow(&mut self, delta: &Delta) -> Result<(), Fault> {
        for change in delta.iter() {
            match change.table {
                ACCOUNTS => self.set_account(change.key, change.new)?,
                STORAGE => self.set_slot(change.key, change.new)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The root of the state as it stands now.
    pub(super) fn after(&mut self, overlay: &Overlay) -> Result<B256, Fault> {
        let delta = overlay.delta()?;
        self.follow(&self.delta.inverse())?;
        self.follow(&delta)?;
        self.delta = delta;
        Ok(state_root(self.accounts.iter().map(|(key, row)| {
            let slots = self.slots.range((*key, B256::ZERO)..=(*key, B256::repeat_byte(0xff)));
            let storage_root = storage_root(slots.map(|((_, slot), value)| (*slot, *value)));
            let AccountRow { nonce, balance, code_hash, .. } = *row;
            (*key, TrieAccount { nonce, balance, storage_root, code_hash })
        })))
    }
}
