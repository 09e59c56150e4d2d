//! The whole state's trie: 256 subtrees and the two levels above them.

use std::num::NonZero;
use std::thread;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use chainwright_chain::{Delta, Fault, Hash, Index, StateView};
use parking_lot::Mutex;

use super::arena::push;
use super::node::{Encoder, Key, Reference};
use super::proof::{AccountProof, StorageProof};
use super::storage::Packer;
use super::subtree::{Subtree, Update};
use crate::state::{ACCOUNTS, AccountRow, STORAGE, StorageRow, account_key};

/// Second-level subtrees: one per first byte of a hashed address.
const SUBTREES: usize = 256;

/// Rows that may wait before nodes are moved by them.
const PENDING_MAX: usize = 1 << 16;

/// Fewer rows than this are hashed here and now: starting a thread costs as much as hashing thirty accounts.
const ROWS_PER_THREAD_MIN: usize = 128;

/// More threads than this gain nothing: the two levels above the subtrees are hashed by one.
const THREADS_MAX: usize = 8;

/// Rows of storage read at once while loading.
const PAGE: usize = 8192;

/// Ethereum's state trie, resident, at one block at a time. Moves by following deltas, forth and back.
///
/// Per account it takes about 150 bytes, per slot of a contract that has been written to since the start about as much,
/// per other slot its packed leaf.
pub struct StateTrie {
    /// By the first byte of the hashed address.
    subtrees: Vec<Subtree>,
    /// Rows that moved since the last root.
    moved: usize,
    /// Of them, those whose nodes have not been moved yet.
    pending: usize,
    threads: usize,
    encoder: Encoder,
    /// A row that means nothing was met: no root is right from then on.
    fault: Option<Fault>,
}

impl Default for StateTrie {
    /// The trie of the empty state.
    fn default() -> Self {
        Self {
            subtrees: core::iter::repeat_with(Subtree::new).take(SUBTREES).collect(),
            moved: 0,
            pending: 0,
            threads: thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX),
            encoder: Encoder::default(),
            fault: None,
        }
    }
}

impl Index for StateTrie {
    fn load(state: &StateView) -> Result<Self, Fault> {
        let mut trie = Self::default();
        trie.load_storages(state)?;
        state.scan(ACCOUNTS, &mut |key, value| {
            let update = account_update(key, Some(value))?;
            trie.push(update);
            Ok(())
        })?;
        trie.apply();
        Ok(trie)
    }

    fn follow(&mut self, delta: &Delta) {
        for change in delta.iter() {
            let update = match change.table {
                ACCOUNTS => account_update(change.key, change.new),
                STORAGE => slot_update(change.key, change.new),
                _ => continue,
            };
            match update {
                Ok(update) => self.push(update),
                Err(fault) => self.fault = Some(fault),
            }
        }
    }

    fn root(&mut self) -> Result<Option<Hash>, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        self.refresh();
        Ok(Some(Hash(self.root_hash().0)))
    }
}

impl StateTrie {
    /// Hashes on at most so many threads; the answer is the same.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.clamp(1, THREADS_MAX);
        self
    }

    /// How many accounts there are, those included whose rows wait.
    pub fn len(&mut self) -> usize {
        self.apply();
        self.subtrees.iter().map(Subtree::len).sum()
    }

    /// Whether there is no account.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory the trie holds, its spare room included.
    pub fn memory(&self) -> usize {
        let subtrees: usize = self.subtrees.iter().map(Subtree::memory).sum();
        subtrees + self.subtrees.capacity() * size_of::<Subtree>()
    }

    /// Proves an account, and slots of it, against the root of the state stood at (EIP-1186). What is not there is proven
    /// to be absent.
    ///
    /// # Errors
    /// As [`Index::root`].
    pub fn prove(&mut self, address: Address, slots: &[U256]) -> Result<AccountProof, Fault> {
        self.root()?;
        let key = account_key(&address);
        let mut nodes = Vec::new();
        if let Some(below) = self.prove_top(&key, &mut nodes) {
            self.subtrees[below].prove(&key, &mut nodes);
        }
        let subtree = &mut self.subtrees[usize::from(key[0])];
        let slots = slots.iter().map(|slot| {
            let (value, nodes) = subtree.prove_slot(&key, &keccak256(slot.to_be_bytes::<32>()).0);
            StorageProof { slot: *slot, value, nodes }
        });
        let slots = slots.collect();
        let account = subtree.account(&key).map(|(nonce, balance, code_hash)| AccountRow {
            address,
            nonce,
            balance,
            code_hash,
        });
        Ok(AccountProof { account, storage_root: subtree.storage_root(&key), nodes, slots })
    }

    fn push(&mut self, update: Update) {
        self.subtrees[update.subtree()].push(update);
        self.moved += 1;
        self.pending += 1;
        if self.pending >= PENDING_MAX {
            self.apply();
        }
    }

    /// Moves the nodes by what is pending, without hashing.
    fn apply(&mut self) {
        let rows = core::mem::take(&mut self.pending);
        self.on_all(rows, Subtree::apply);
    }

    /// Hashes everything below the two topmost levels.
    fn refresh(&mut self) {
        let rows = core::mem::take(&mut self.moved);
        self.pending = 0;
        if rows > 0 {
            self.on_all(rows, Subtree::refresh_in_place);
        }
    }

    /// Does something with every subtree, on as many threads as `rows` are worth.
    fn on_all(&mut self, rows: usize, work: impl Fn(&mut Subtree) + Sync) {
        let threads = self.threads.min(rows / ROWS_PER_THREAD_MIN).max(1);
        if threads == 1 {
            return self.subtrees.iter_mut().for_each(work);
        }
        let queue = Mutex::new(self.subtrees.iter_mut());
        let run = || {
            loop {
                let next = queue.lock().next();
                let Some(subtree) = next else { return };
                work(subtree);
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(run);
            }
            run();
        });
    }

    fn load_storages(&mut self, state: &StateView) -> Result<(), Fault> {
        let mut from: Vec<u8> = Vec::new();
        let mut open: Option<(Key, Packer)> = None;
        loop {
            let rows = state.range(STORAGE, &from, None, PAGE)?;
            for (key, value) in &rows {
                let (account, slot, value) = slot_row(key, Some(value))?;
                if let Some((owner, packer)) = open.take_if(|(owner, _)| *owner != account) {
                    self.close(owner, packer);
                }
                open.get_or_insert_with(|| (account, Packer::default())).1.push(&slot, value);
            }
            let Some((last, _)) = rows.last().filter(|_| rows.len() == PAGE) else { break };
            from.clear();
            from.extend_from_slice(last);
            from.push(0);
        }
        if let Some((owner, packer)) = open {
            self.close(owner, packer);
        }
        Ok(())
    }

    fn close(&mut self, owner: Key, packer: Packer) {
        let leaves = packer.len_bytes() / 33;
        self.subtrees[usize::from(owner[0])].load_storage(owner, packer.finish());
        self.moved += leaves;
    }

    /// The subtrees of a first nibble that hold anything.
    fn members(&self, group: usize) -> impl Iterator<Item = usize> + use<'_> {
        (16 * group..16 * group + 16).filter(|at| self.subtrees[*at].len() > 0)
    }

    /// The first nibbles below which there is anything.
    fn groups(&self) -> Vec<usize> {
        (0..16).filter(|group| self.members(*group).next().is_some()).collect()
    }

    /// The root hash. Everything below has been refreshed.
    fn root_hash(&mut self) -> B256 {
        match self.groups()[..] {
            [] => EMPTY_ROOT_HASH,
            [alone] => self.group(alone, 0).map_or(EMPTY_ROOT_HASH, |root| root.root_hash()),
            _ => Reference::of(&self.encode_root()).root_hash(),
        }
    }

    fn encode_root(&mut self) -> Vec<u8> {
        let groups: Vec<_> = (0..16).map(|group| self.group(group, 1)).collect();
        self.encoder.branch(groups.iter().map(Option::as_ref)).to_vec()
    }

    /// How the nodes of a first nibble are referred to, their path beginning at nibble `from`.
    fn group(&mut self, group: usize, from: u8) -> Option<Reference> {
        let members: Vec<_> = self.members(group).take(2).collect();
        match members[..] {
            [] => None,
            [alone] => self.subtrees[alone].refresh(from),
            _ => {
                let branch = Reference::of(&self.encode_group(group));
                if from == 1 {
                    return Some(branch);
                }
                Some(Reference::of(self.encoder.extension(&group_key(group), 0, 1, &branch)))
            }
        }
    }

    fn encode_group(&mut self, group: usize) -> Vec<u8> {
        let members: Vec<_> = (16 * group..16 * group + 16).map(|at| self.subtrees[at].refresh(2)).collect();
        self.encoder.branch(members.iter().map(Option::as_ref)).to_vec()
    }

    /// Appends the nodes of the two topmost levels on the way of a key. The subtree where the proof goes on, if it does.
    fn prove_top(&mut self, key: &Key, out: &mut Vec<Bytes>) -> Option<usize> {
        let nibble = usize::from(key[0] >> 4);
        let groups = self.groups();
        let group = match groups[..] {
            [] => return None,
            [alone] => alone,
            _ => {
                push(out, &self.encode_root());
                nibble
            }
        };
        let mut members = self.members(group);
        let first = members.next()?;
        if members.next().is_none() {
            return Some(first);
        }
        drop(members);
        let branch = self.encode_group(group);
        if groups.len() == 1 {
            push(out, self.encoder.extension(&group_key(group), 0, 1, &Reference::of(&branch)));
            if group != nibble {
                return None;
            }
        }
        push(out, &branch);
        Some(usize::from(key[0])).filter(|at| self.subtrees[*at].len() > 0)
    }
}

/// Any key that begins with a nibble.
const fn group_key(group: usize) -> Key {
    let mut key = [0; 32];
    key[0] = (group as u8) << 4;
    key
}

fn damaged(what: impl core::fmt::Display) -> Fault {
    Fault::new(format!("the state holds a row that means nothing: {what}"))
}

fn account_update(key: &[u8], value: Option<&[u8]>) -> Result<Update, Fault> {
    let key: Key =
        key.try_into().map_err(|_| damaged("an account's key has another length than 32 bytes"))?;
    let row = value.map(AccountRow::decode).transpose().map_err(damaged)?;
    Ok(Update::Account(key, row))
}

fn slot_update(key: &[u8], value: Option<&[u8]>) -> Result<Update, Fault> {
    let (account, slot, value) = slot_row(key, value)?;
    Ok(Update::Slot(account, slot, value))
}

/// Keys of account and slot, and the slot's value: zero if there is no row.
fn slot_row(key: &[u8], value: Option<&[u8]>) -> Result<(Key, Key, U256), Fault> {
    let key: &[u8; 64] =
        key.try_into().map_err(|_| damaged("a slot's key has another length than 64 bytes"))?;
    let (mut account, mut slot) = ([0; 32], [0; 32]);
    account.copy_from_slice(&key[..32]);
    slot.copy_from_slice(&key[32..]);
    let row = value.map(StorageRow::decode).transpose().map_err(damaged)?;
    Ok((account, slot, row.map_or(U256::ZERO, |row| row.value)))
}
