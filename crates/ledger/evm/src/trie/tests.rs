//! Against `alloy-trie`'s builder, which hashes sorted leaves from nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::proof::verify_proof;
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount};
use chainwright_chain::{
    Change, Delta, Fault, Hash, Index, Row, Rows, StateView, TableId, Timeline, Value, Visit,
};
use proptest::prelude::*;

use super::StateTrie;
use super::arena::Arena;
use super::node::{Encoder, Key, put_string};
use crate::state::{ACCOUNTS, AccountRow, STORAGE, StorageRow, TABLES, account_key};

fn built(leaves: &BTreeMap<Key, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}

fn write(_: &Key, value: &Bytes, out: &mut Vec<u8>) {
    out.extend_from_slice(value);
}

prop_compose! {
    /// Keys that share long prefixes more often than hashes do; nodes of one byte's value are then shorter than 32 bytes.
    fn any_key()(
        first in prop_oneof![0..3_u8, any::<u8>()],
        filler in 0..2_u8,
        len in prop_oneof![Just(1_usize), 2..32_usize],
        middle in any::<[u8; 32]>(),
        last in prop_oneof![0..20_u8, any::<u8>()],
    ) -> Key {
        let mut key = [filler; 32];
        key[0] = first;
        key[len] = middle[0];
        key[31] = last;
        if middle[1] < 40 { middle } else { key }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_writes_give_the_root_of_what_is_left(
        writes in proptest::collection::vec((any_key(), 0..4_u8, any::<[u8; 33]>(), any::<bool>()), 1..80),
    ) {
        let mut arena = Arena::default();
        let mut leaves = BTreeMap::new();
        let mut encoder = Encoder::default();
        for (key, kind, bytes, look) in writes {
            let value = match kind {
                0 => None,
                1 => Some(vec![bytes[0] & 0x7f]),
                2 => Some(bytes[..usize::from(bytes[0] % 33)].to_vec()),
                _ => Some(bytes.to_vec()),
            };
            let value = value.map(|bytes| { let mut rlp = Vec::new(); put_string(&mut rlp, &bytes); rlp });
            if let Some(value) = value {
                arena.set(&key, Bytes::from(value.clone()));
                leaves.insert(key, value);
            } else {
                // Half of the time one that is there.
                let key = if look { leaves.keys().next().copied().unwrap_or(key) } else { key };
                arena.remove(&key);
                leaves.remove(&key);
            }
            if look {
                prop_assert_eq!(arena.root_hash(&mut encoder, &write), built(&leaves));
            }
        }
        let root = arena.root_hash(&mut encoder, &write);
        prop_assert_eq!(root, built(&leaves));
        prop_assert_eq!(arena.len(), leaves.len());
        let mut absent: Vec<Key> = leaves.keys().take(20).map(|key| { let mut key = *key; key[31] ^= 0x11; key }).collect();
        absent.extend(leaves.keys().take(20).map(|key| { let mut key = *key; key[1] ^= 0x10; key }));
        for key in leaves.keys().chain(&absent) {
            let mut nodes = Vec::new();
            arena.prove(key, &mut encoder, &write, &mut nodes);
            prop_assert_eq!(verify_proof(root, Nibbles::unpack(key), leaves.get(key).cloned(), &nodes), Ok(()));
        }
    }
}

/// The rows of a state, as a naive program keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model(BTreeMap<(TableId, Vec<u8>), Vec<u8>>);

impl Model {
    fn put(&mut self, table: TableId, key: &[u8], value: Option<&[u8]>) {
        let key = (table, key.to_vec());
        match value {
            Some(value) => drop(self.0.insert(key, value.to_vec())),
            None => drop(self.0.remove(&key)),
        }
    }

    fn delta_to(&self, after: &Self) -> Delta {
        self.delta_in_order(after, false)
    }

    /// The difference, accounts before storage or the other way round: a ledger writes them in any order.
    fn delta_in_order(&self, after: &Self, reversed: bool) -> Delta {
        let keys: BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        let changes = keys.into_iter().map(|key| Change {
            table: key.0,
            key: &key.1,
            old: self.0.get(key).map(Vec::as_slice),
            new: after.0.get(key).map(Vec::as_slice),
        });
        let mut changes: Vec<_> = changes.filter(|change| change.old != change.new).collect();
        if reversed {
            changes.reverse();
        }
        Delta::from_changes(changes)
    }

    fn storage_root(&self, account: &[u8]) -> B256 {
        let mut leaves = BTreeMap::new();
        for ((table, key), value) in &self.0 {
            if *table == STORAGE && key.starts_with(account) {
                let value = StorageRow::decode(value).expect("a row").value;
                let key: Key = key[32..].try_into().expect("32 bytes");
                leaves.insert(key, alloy_rlp::encode(value));
            }
        }
        built(&leaves)
    }

    fn leaf(&self, key: &[u8]) -> Option<Vec<u8>> {
        let row = AccountRow::decode(self.0.get(&(ACCOUNTS, key.to_vec()))?).expect("a row");
        let account = TrieAccount {
            nonce: row.nonce,
            balance: row.balance,
            storage_root: self.storage_root(key),
            code_hash: row.code_hash,
        };
        Some(alloy_rlp::encode(account))
    }

    fn root(&self) -> Hash {
        let accounts = self.0.keys().filter(|(table, _)| *table == ACCOUNTS).map(|(_, key)| key);
        let leaves = accounts.filter_map(|key| Some((key[..].try_into().ok()?, self.leaf(key)?)));
        Hash(built(&leaves.collect()).0)
    }

    fn view(&self) -> StateView {
        StateView::new(TABLES, Arc::new(self.clone()), Timeline::new().pin())
    }
}

impl Rows for Model {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        Ok(self.0.get(&(table, key.to_vec())).map(|value| Value::from_slice(value)))
    }

    fn range(&self, table: TableId, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let rows = self
            .0
            .range((table, from.to_vec())..)
            .take_while(|((at, key), _)| *at == table && to.is_none_or(|to| key.as_slice() < to));
        let row = |((_, key), value): (&(TableId, Vec<u8>), &Vec<u8>)| {
            (Value::from_slice(key), Value::from_slice(value))
        };
        Ok(rows.take(limit).map(row).collect())
    }

    fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        self.range(table, &[], None, usize::MAX)?.iter().try_for_each(|(key, value)| visit(key, value))
    }
}

#[derive(Clone, Debug)]
enum Write {
    Account { nonce: u64, balance: U256, code: Option<B256> },
    Remove,
    Slot { slot: Key, value: U256 },
    Wipe,
}

fn any_write() -> impl Strategy<Value = Write> {
    let number = prop_oneof![
        Just(U256::ZERO),
        any::<u8>().prop_map(U256::from),
        any::<u128>().prop_map(U256::from),
        any::<[u8; 32]>().prop_map(U256::from_be_bytes),
    ];
    let code = prop_oneof![2 => Just(None), 1 => any::<[u8; 32]>().prop_map(|hash| Some(B256::from(hash)))];
    prop_oneof![
        6 => (0..3_u64, number.clone(), code)
            .prop_map(|(nonce, balance, code)| Write::Account { nonce, balance, code }),
        2 => Just(Write::Remove),
        5 => (any_key(), number).prop_map(|(slot, value)| Write::Slot { slot, value }),
        1 => Just(Write::Wipe),
    ]
}

fn apply(model: &mut Model, account: &Key, write: &Write) {
    match write {
        Write::Account { nonce, balance, code } => {
            let code_hash = code.unwrap_or(KECCAK256_EMPTY);
            let row = AccountRow { address: Address::ZERO, nonce: *nonce, balance: *balance, code_hash };
            model.put(ACCOUNTS, account, Some(&row.encode()));
        }
        Write::Remove => model.put(ACCOUNTS, account, None),
        Write::Slot { slot, value } => {
            let key = [*account, *slot].concat();
            let row = StorageRow { slot: U256::ZERO, value: *value }.encode();
            model.put(STORAGE, &key, (!value.is_zero()).then_some(&row[..]));
        }
        Write::Wipe => model.0.retain(|(table, key), _| *table != STORAGE || !key.starts_with(account)),
    }
}

/// A small set of accounts, so that they are hit again, and their keys, from the crowded to the lonely.
fn any_accounts() -> impl Strategy<Value = Vec<Key>> {
    prop_oneof![
        proptest::collection::vec(any_key(), 1..4),
        proptest::collection::vec(any::<[u8; 32]>(), 1..60),
        proptest::collection::vec(any_key(), 1..60),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_path_of_deltas_leads_to_the_root_of_the_state(
        accounts in any_accounts(),
        blocks in proptest::collection::vec(
            (proptest::collection::vec((any::<proptest::sample::Index>(), any_write()), 0..25), any::<bool>(), any::<bool>()), 1..8),
        load_at in any::<proptest::sample::Index>(),
    ) {
        let mut states = vec![Model::default()];
        let mut deltas = Vec::new();
        let mut trie = StateTrie::default().with_threads(1);
        prop_assert_eq!(trie.root(), Ok(Some(Hash(EMPTY_ROOT_HASH.0))));
        for (writes, look, reversed) in &blocks {
            let mut next = states.last().expect("one").clone();
            for (at, write) in writes {
                apply(&mut next, at.get(&accounts), write);
            }
            let delta = states.last().expect("one").delta_in_order(&next, *reversed);
            trie.follow(&delta);
            if *look {
                prop_assert_eq!(trie.root(), Ok(Some(next.root())));
            }
            deltas.push(delta);
            states.push(next);
        }
        // Down again, and a trie that began in the middle follows to both ends.
        let middle = load_at.index(states.len());
        let mut loaded = StateTrie::load(&states[middle].view()).expect("rows are right").with_threads(4);
        prop_assert_eq!(loaded.root(), Ok(Some(states[middle].root())));
        for (at, delta) in deltas.iter().enumerate().rev() {
            prop_assert_eq!(trie.root(), Ok(Some(states[at + 1].root())));
            trie.follow(&delta.inverse());
            if at < middle {
                loaded.follow(&delta.inverse());
                prop_assert_eq!(loaded.root(), Ok(Some(states[at].root())));
            }
        }
        prop_assert_eq!(trie.root(), Ok(Some(Hash(EMPTY_ROOT_HASH.0))));
        for delta in &deltas {
            loaded.follow(delta);
        }
        prop_assert_eq!(loaded.root(), Ok(Some(states.last().expect("one").root())));
    }
}

/// Accounts of hashed addresses, every third with storage.
fn crowd(count: u64) -> Model {
    let mut model = Model::default();
    for n in 0..count {
        let address = Address::left_padding_from(&n.to_be_bytes());
        let key = account_key(&address);
        let code_hash = if n % 3 == 0 { keccak256(n.to_be_bytes()) } else { KECCAK256_EMPTY };
        let row = AccountRow { address, nonce: n, balance: U256::from(n) << (n % 200), code_hash };
        model.put(ACCOUNTS, &key, Some(&row.encode()));
        if n % 3 == 0 {
            for slot in 0..n % 40 {
                let slot = U256::from(slot);
                let row = StorageRow { slot, value: U256::from(n + 1) };
                model.put(STORAGE, &crate::state::storage_key(&key, slot), Some(&row.encode()));
            }
        }
    }
    model
}

#[test]
fn proofs_hold_against_the_root() {
    for count in [0, 1, 2, 3, 5, 17, 60, 400] {
        let model = crowd(count);
        let mut trie = StateTrie::load(&model.view()).expect("rows are right");
        let root = B256::from(model.root().0);
        for n in 0..count + 30 {
            let address = Address::left_padding_from(&n.to_be_bytes());
            let key = account_key(&address);
            let slots = [U256::ZERO, U256::from(7), U256::from(1000)];
            let proof = trie.prove(address, &slots).expect("rows are right");
            let path = Nibbles::unpack(key);
            assert_eq!(verify_proof(root, path, model.leaf(&key), &proof.nodes), Ok(()), "{n} of {count}");
            assert_eq!(proof.storage_root, model.storage_root(&key));
            let row =
                model.0.get(&(ACCOUNTS, key.to_vec())).map(|row| AccountRow::decode(row).expect("a row"));
            assert_eq!(proof.account, row);
            for slot in &proof.slots {
                let path = Nibbles::unpack(keccak256(slot.slot.to_be_bytes::<32>()));
                let value = (!slot.value.is_zero()).then(|| alloy_rlp::encode(slot.value));
                assert_eq!(verify_proof(proof.storage_root, path, value, &slot.nodes), Ok(()));
            }
        }
        assert_eq!(trie.root(), Ok(Some(model.root())), "proving moves nothing");
    }
}

#[test]
fn an_account_without_storage_is_proven_by_its_own_nodes_alone() {
    let mut trie = StateTrie::load(&crowd(2).view()).expect("rows are right");
    let proof =
        trie.prove(Address::left_padding_from(&1_u64.to_be_bytes()), &[U256::ONE]).expect("rows are right");
    assert_eq!(proof.slots[0].nodes, Vec::<Bytes>::new());
    assert_eq!(proof.nodes.len(), 2, "a branch and a leaf");
}

#[test]
fn threads_change_nothing() {
    let model = crowd(3000);
    let root = StateTrie::load(&model.view()).expect("rows are right").with_threads(1).root();
    assert_eq!(root, Ok(Some(model.root())));
    for threads in [2, 3, 8] {
        let mut trie = StateTrie::load(&model.view()).expect("rows are right").with_threads(threads);
        assert_eq!(trie.root(), root);
        let delta = model.delta_to(&crowd(5000));
        trie.follow(&delta);
        assert_eq!(trie.root(), Ok(Some(crowd(5000).root())));
        trie.follow(&delta.inverse());
        assert_eq!(trie.root(), root);
    }
}

#[test]
fn rows_that_mean_nothing_are_a_fault_and_no_root() {
    let mut model = crowd(3);
    model.put(ACCOUNTS, &[7; 31], Some(&[0; 30]));
    assert!(StateTrie::load(&model.view()).is_err());
    let mut trie = StateTrie::load(&crowd(3).view()).expect("rows are right");
    trie.follow(&crowd(3).delta_to(&model));
    assert!(trie.root().is_err());
    let mut model = crowd(3);
    model.put(STORAGE, &[7; 64], Some(&[]));
    assert!(StateTrie::load(&model.view()).is_err());
}

#[test]
fn spare_room_is_bounded() {
    let mut trie = StateTrie::load(&crowd(20_000).view()).expect("rows are right");
    trie.root().expect("rows are right");
    assert_eq!(trie.len(), 20_000);
    assert!(trie.memory() > 20_000 * 100);
    assert!(trie.memory() < 20_000 * 700, "{} bytes: these have 6 slots each", trie.memory());
}
