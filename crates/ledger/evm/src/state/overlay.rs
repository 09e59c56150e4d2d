//! The state as one block sees and changes it: reads go through to a view, writes stay here until they become a delta.
//!
//! ```text
//! EVM ── reads ──▶ Overlay ── misses ──▶ StateView
//!  └── changes of one transaction ──▶ apply ─┘   … finally ──▶ Delta
//! ```
//!
//! Each row is read at most once; hashes of addresses and slots are computed at most once.
//!
//! Invariants:
//! - `before` is what the view holds, so that the delta's inverse restores it byte for byte;
//! - a fault of the disk comes out as [`StateError`] and is never mistaken for an absent row.

use std::sync::Arc;

use alloy_primitives::map::{AddressMap, B256Map};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use chainwright_chain::{Change, DecodeError, Delta, Draft, Fault, Headers, Height, Ledger, StateView};
use revm::bytecode::Bytecode;
use revm::database_interface::{DBErrorMarker, Database, DatabaseRef};
use revm::primitives::StorageKeyMap;
use revm::state::{Account, AccountId, AccountInfo, EvmState};

use super::{
    ACCOUNTS, AccountRow, CODE, CodeCache, STORAGE, StorageRow, account_key, storage_key, storage_range,
};
use crate::types::EvmHeader;

/// Reading the state failed: our disk, never the block's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct StateError(#[from] pub Fault);

impl DBErrorMarker for StateError {}

/// Hashes of earlier blocks, for `BLOCKHASH`.
pub trait Ancestors: Send + Sync {
    /// The hash of the block of this number on the branch being executed; `None` where there is none.
    fn hash(&self, number: u64) -> Option<B256>;
}

impl<L: Ledger<Header = EvmHeader>> Ancestors for Headers<L> {
    /// Numbers are counted from the branch's end, since a genesis may have any number.
    fn hash(&self, number: u64) -> Option<B256> {
        let distance = u32::try_from(self.header().number.checked_sub(number)?).ok()?;
        let height = self.height().0.checked_sub(distance)?;
        self.ancestor(Height(height)).map(|block| B256::from(block.id().0))
    }
}

/// The state while a block or a call is being executed.
#[derive(Clone)]
pub struct Overlay {
    view: StateView,
    ancestors: Arc<dyn Ancestors>,
    codes: CodeCache,
    entries: Vec<Entry>,
    by_address: AddressMap<usize>,
    /// Code that came with this overlay and may not be in the view.
    fresh: B256Map<Bytecode>,
}

/// One account that was looked at.
#[derive(Clone)]
struct Entry {
    address: Address,
    key: [u8; 32],
    before: Option<AccountRow>,
    now: Option<AccountRow>,
    slots: StorageKeyMap<Slot>,
    /// All slots of the view are gone: what `slots` does not hold is zero.
    wiped: bool,
}

/// One slot that was looked at.
#[derive(Clone, Copy)]
struct Slot {
    /// The second half of [`storage_key`].
    hash: [u8; 32],
    before: U256,
    now: U256,
}

impl Entry {
    fn slot_key(&self, hash: &[u8; 32]) -> [u8; 64] {
        let mut key = [0; 64];
        key[..32].copy_from_slice(&self.key);
        key[32..].copy_from_slice(hash);
        key
    }

    /// Whether the view may hold slots of this account that count.
    fn may_have_stored(&self) -> bool {
        !self.wiped && self.before.is_some()
    }

    fn wipe(&mut self) {
        self.slots.clear();
        self.wiped = true;
    }
}

fn damaged(error: DecodeError) -> Fault {
    Fault::new(format!("a row of the state is damaged: {error}"))
}

impl Overlay {
    /// The state of `view`, unchanged; `ancestors` ends with the block it belongs to.
    pub fn new(view: StateView, ancestors: Arc<dyn Ancestors>, codes: CodeCache) -> Self {
        let (entries, by_address, fresh) = Default::default();
        Self { view, ancestors, codes, entries, by_address, fresh }
    }

    /// The same state, on another branch: what a block that is only supposed to be sees behind it.
    #[must_use]
    pub fn with_ancestors(mut self, ancestors: Arc<dyn Ancestors>) -> Self {
        self.ancestors = ancestors;
        self
    }

    /// The view below.
    pub fn view(&self) -> &StateView {
        &self.view
    }

    /// The position of an account in `entries`; reads it on first sight.
    fn find(&mut self, address: Address) -> Result<usize, Fault> {
        if let Some(&at) = self.by_address.get(&address) {
            return Ok(at);
        }
        let key = account_key(&address);
        let before = self.stored(&key)?;
        let at = self.entries.len();
        let slots = StorageKeyMap::default();
        self.entries.push(Entry { address, key, before, now: before, slots, wiped: false });
        self.by_address.insert(address, at);
        Ok(at)
    }

    /// What the view holds of an account.
    fn stored(&self, key: &[u8; 32]) -> Result<Option<AccountRow>, Fault> {
        let row = self.view.get(ACCOUNTS, key)?;
        row.map(|row| AccountRow::decode(&row).map_err(damaged)).transpose()
    }

    /// What the view holds of a slot.
    fn stored_slot(&self, key: &[u8; 64]) -> Result<U256, Fault> {
        match self.view.get(STORAGE, key)? {
            Some(row) => Ok(StorageRow::decode(&row).map_err(damaged)?.value),
            None => Ok(U256::ZERO),
        }
    }

    /// An account as it stands; `None` if there is none.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn account(&mut self, address: Address) -> Result<Option<AccountRow>, Fault> {
        let at = self.find(address)?;
        Ok(self.entries[at].now)
    }

    /// Sets or removes an account; a removed one loses its storage.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn set_account(&mut self, address: Address, row: Option<AccountRow>) -> Result<(), Fault> {
        let at = self.find(address)?;
        let entry = &mut self.entries[at];
        entry.now = row;
        if row.is_none() {
            entry.wipe();
        }
        Ok(())
    }

    /// Adds to a balance. A sum of zero still touches the account: an empty one is removed where `clears_empty`
    /// (EIP-161) and comes into being where not.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn pay(&mut self, address: Address, amount: U256, clears_empty: bool) -> Result<(), Fault> {
        let empty = AccountRow { address, nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY };
        let mut row = self.account(address)?.unwrap_or(empty);
        row.balance = row.balance.saturating_add(amount);
        self.set_account(address, (!clears_empty || !row.is_empty()).then_some(row))
    }

    /// The value of a slot.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn slot(&mut self, address: Address, slot: U256) -> Result<U256, Fault> {
        let at = self.find(address)?;
        self.slot_at(at, slot)
    }

    fn slot_at(&mut self, at: usize, slot: U256) -> Result<U256, Fault> {
        let entry = &self.entries[at];
        if let Some(known) = entry.slots.get(&slot) {
            return Ok(known.now);
        }
        if !entry.may_have_stored() {
            return Ok(U256::ZERO);
        }
        let key = storage_key(&entry.key, slot);
        let value = self.stored_slot(&key)?;
        let hash = *key.last_chunk().expect("a key is longer than its half");
        self.entries[at].slots.insert(slot, Slot { hash, before: value, now: value });
        Ok(value)
    }

    /// Sets a slot of an account.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn set_slot(&mut self, address: Address, slot: U256, value: U256) -> Result<(), Fault> {
        let at = self.find(address)?;
        self.set_slot_at(at, slot, value)
    }

    fn set_slot_at(&mut self, at: usize, slot: U256, value: U256) -> Result<(), Fault> {
        // The value before must be known, or the way back is lost.
        self.slot_at(at, slot)?;
        let fresh = || Slot { hash: keccak256(slot.to_be_bytes::<32>()).0, before: U256::ZERO, now: value };
        self.entries[at].slots.entry(slot).or_insert_with(fresh).now = value;
        Ok(())
    }

    /// Forgets every slot of an account.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn clear_storage(&mut self, address: Address) -> Result<(), Fault> {
        let at = self.find(address)?;
        self.entries[at].wipe();
        Ok(())
    }

    /// Whether an account has any slot that is not zero (EIP-7610).
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn has_storage(&mut self, address: Address) -> Result<bool, Fault> {
        let at = self.find(address)?;
        let entry = &self.entries[at];
        if entry.slots.values().any(|slot| !slot.now.is_zero()) {
            return Ok(true);
        }
        if !entry.may_have_stored() {
            return Ok(false);
        }
        let (from, to) = storage_range(&entry.key);
        // Every slot known here is zero now and hides at most one row.
        let rows =
            self.view.range(STORAGE, &from, to.as_ref().map(<[u8; 32]>::as_slice), entry.slots.len() + 1)?;
        let is_hidden = |key: &[u8]| entry.slots.values().any(|slot| key.ends_with(&slot.hash));
        Ok(rows.iter().any(|(key, _)| !is_hidden(key)))
    }

    /// The code of an account; empty where there is none.
    ///
    /// # Errors
    /// A [`Fault`] of the disk, or when the state lacks code it names.
    pub fn code(&mut self, address: Address) -> Result<Bytes, Fault> {
        match self.account(address)? {
            Some(row) => Ok(self.analysed(row.code_hash)?.original_bytes()),
            None => Ok(Bytes::new()),
        }
    }

    /// Gives an account code, creating the account if need be.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn set_code(&mut self, address: Address, code: Bytes) -> Result<(), Fault> {
        let code_hash = keccak256(&code);
        let empty = AccountRow { address, nonce: 0, balance: U256::ZERO, code_hash };
        let row = self.account(address)?.unwrap_or(empty);
        if !code.is_empty() {
            self.fresh.insert(code_hash, analyse(code));
        }
        self.set_account(address, Some(AccountRow { code_hash, ..row }))
    }

    fn analysed(&self, hash: B256) -> Result<Bytecode, Fault> {
        if hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.fresh.get(&hash) {
            return Ok(code.clone());
        }
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code);
        }
        let row = self.view.get(CODE, hash.as_slice())?;
        let row = row.ok_or_else(|| Fault::new(format!("the state lacks the code {hash}")))?;
        let code = analyse(Bytes::copy_from_slice(&row));
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    /// Takes over what one transaction (or system call) changed.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn apply(&mut self, changes: EvmState) -> Result<(), Fault> {
        for (address, account) in changes {
            if account.is_touched() {
                self.apply_account(address, account)?;
            }
        }
        Ok(())
    }

    /// `revm`'s journal has already seen to the rules before EIP-161: there, an empty account that is to stay comes
    /// marked as created.
    fn apply_account(&mut self, address: Address, account: Account) -> Result<(), Fault> {
        let at = self.find(address)?;
        if account.is_selfdestructed() || (account.is_empty() && !account.is_created()) {
            let entry = &mut self.entries[at];
            entry.now = None;
            entry.wipe();
            return Ok(());
        }
        for (&slot, value) in account.changed_storage_slots() {
            self.set_slot_at(at, slot, value.present_value)?;
        }
        let AccountInfo { balance, nonce, code_hash, code, .. } = account.info;
        let entry = &mut self.entries[at];
        let known = entry.now.is_some_and(|row| row.code_hash == code_hash);
        entry.now = Some(AccountRow { address, nonce, balance, code_hash });
        if let Some(code) = code.filter(|code| !known && !code.is_empty()) {
            self.fresh.insert(code_hash, code);
        }
        Ok(())
    }

    /// Everything that differs from the view.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn delta(&self) -> Result<Delta, Fault> {
        let mut draft = Draft::new(&self.view);
        for entry in &self.entries {
            if entry.before != entry.now {
                let (old, new) = (entry.before.map(|row| row.encode()), entry.now.map(|row| row.encode()));
                let (old, new) = (old.as_deref(), new.as_deref());
                draft.change(Change { table: ACCOUNTS, key: &entry.key, old, new });
            }
            if entry.wiped && entry.before.is_some() {
                self.put_wiped(entry, &mut draft)?;
            } else {
                put_slots(entry, &mut draft);
            }
            self.put_code(entry, &mut draft)?;
        }
        Ok(draft.finish())
    }

    /// A wiped account's slots are enumerated: those that were never looked at go, too.
    fn put_wiped(&self, entry: &Entry, draft: &mut Draft<'_>) -> Result<(), Fault> {
        let (from, to) = storage_range(&entry.key);
        let rows = self.view.range(STORAGE, &from, to.as_ref().map(<[u8; 32]>::as_slice), usize::MAX)?;
        for (key, row) in &rows {
            draft.change(Change { table: STORAGE, key, old: Some(row), new: None });
        }
        for (slot, value) in sorted(entry) {
            if !value.now.is_zero() {
                let row = StorageRow { slot, value: value.now }.encode();
                draft.put(STORAGE, &entry.slot_key(&value.hash), &row)?;
            }
        }
        Ok(())
    }

    /// Code of accounts that have come to stay; the view may have it already, from another account.
    fn put_code(&self, entry: &Entry, draft: &mut Draft<'_>) -> Result<(), Fault> {
        let Some(now) = &entry.now else { return Ok(()) };
        if entry.before.is_some_and(|before| before.code_hash == now.code_hash) {
            return Ok(());
        }
        if let Some(code) = self.fresh.get(&now.code_hash)
            && draft.get(CODE, now.code_hash.as_slice())?.is_none()
        {
            draft.put(CODE, now.code_hash.as_slice(), code.original_byte_slice())?;
            self.codes.insert(now.code_hash, code.clone());
        }
        Ok(())
    }
}

/// In the order of their keys, so that equal blocks give equal bytes.
fn sorted(entry: &Entry) -> Vec<(U256, Slot)> {
    let mut slots: Vec<_> = entry.slots.iter().map(|(slot, value)| (*slot, *value)).collect();
    slots.sort_unstable_by_key(|(_, value)| value.hash);
    slots
}

fn put_slots(entry: &Entry, draft: &mut Draft<'_>) {
    if entry.slots.is_empty() {
        return;
    }
    for (slot, value) in sorted(entry) {
        if value.before != value.now {
            let row = |value: U256| (!value.is_zero()).then(|| StorageRow { slot, value }.encode());
            let (old, new) = (row(value.before), row(value.now));
            let (old, new) = (old.as_deref(), new.as_deref());
            draft.change(Change { table: STORAGE, key: &entry.slot_key(&value.hash), old, new });
        }
    }
}

/// Bytes that look like a delegation (EIP-7702) but are none are ordinary code from before EIP-3541.
fn analyse(code: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}

impl Database for Overlay {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let at = self.find(address)?;
        Ok(self.entries[at].now.map(|row| AccountInfo {
            balance: row.balance,
            nonce: row.nonce,
            code_hash: row.code_hash,
            account_id: AccountId::new(at),
            code: None,
        }))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, StateError> {
        Ok(self.analysed(code_hash)?)
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, StateError> {
        Ok(self.slot(address, index)?)
    }

    fn storage_by_account_id(
        &mut self,
        address: Address,
        account_id: AccountId,
        index: U256,
    ) -> Result<U256, StateError> {
        let at = account_id.get();
        debug_assert_eq!(self.entries[at].address, address, "positions do not change");
        Ok(self.slot_at(at, index)?)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        Ok(self.ancestors.hash(number).unwrap_or_default())
    }
}

/// For tracers that look at a state without keeping anything of it: what was not looked at before is read each time.
impl DatabaseRef for Overlay {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let row = match self.by_address.get(&address) {
            Some(&at) => self.entries[at].now,
            None => self.stored(&account_key(&address))?,
        };
        Ok(row.map(|row| AccountInfo {
            balance: row.balance,
            nonce: row.nonce,
            code_hash: row.code_hash,
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        Ok(self.analysed(code_hash)?)
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, StateError> {
        let entry = self.by_address.get(&address).map(|&at| &self.entries[at]);
        if let Some(known) = entry.and_then(|entry| entry.slots.get(&index)) {
            return Ok(known.now);
        }
        if entry.is_some_and(|entry| !entry.may_have_stored()) {
            return Ok(U256::ZERO);
        }
        Ok(self.stored_slot(&storage_key(&account_key(&address), index))?)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        Ok(self.ancestors.hash(number).unwrap_or_default())
    }
}
