//! Proofs at blocks other than the head: a trie that moves by the deltas of a journal.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use alloy_trie::proof::verify_proof;
use alloy_trie::{Nibbles, TrieAccount};
use bytes::Bytes;
use chainwright_chain::{
    BlockId, Bodies, Change, Connected, Delta, Fault, Headers, Height, Index, Row, Rows, StateView, TableId,
    Timeline, Value, View, Visit, Weight,
};
use chainwright_evm::Evm;
use chainwright_evm::state::{ACCOUNTS, AccountRow, STORAGE, StorageRow, TABLES, account_key, storage_key};
use chainwright_evm::trie::{ProofError, ProofTrie, StateTrie};
use chainwright_evm::types::EvmHeader;

const ACCOUNT: Address = Address::repeat_byte(7);
const SLOT: U256 = U256::ONE;

/// What blocks did.
#[derive(Default)]
struct Journal(HashMap<BlockId, Connected>);

impl Bodies for Journal {
    fn body(&self, _: &BlockId) -> Result<Option<Bytes>, Fault> {
        Ok(None)
    }
    fn has_body(&self, _: &BlockId) -> bool {
        false
    }
    fn connected(&self, id: &BlockId) -> Result<Option<Connected>, Fault> {
        Ok(self.0.get(id).cloned())
    }
}

/// Rows that are listed and never looked up.
struct Listed(BTreeMap<(TableId, Vec<u8>), Vec<u8>>);

impl Rows for Listed {
    fn get(&self, _: TableId, _: &[u8]) -> Result<Option<Value>, Fault> {
        Ok(None)
    }
    fn range(&self, table: TableId, from: &[u8], _: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let rows = self.0.range((table, from.to_vec())..).take_while(|((at, _), _)| *at == table);
        let row = |((_, key), value): (&(TableId, Vec<u8>), &Vec<u8>)| {
            (Value::from_slice(key), Value::from_slice(value))
        };
        Ok(rows.take(limit).map(row).collect())
    }
    fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        self.range(table, &[], None, usize::MAX)?.iter().try_for_each(|(key, value)| visit(key, value))
    }
}

/// The account's balance and slot at a block, by a number that says which.
fn rows(number: u64) -> [(TableId, Vec<u8>, Value); 2] {
    let key = account_key(&ACCOUNT);
    let account = AccountRow {
        address: ACCOUNT,
        nonce: number,
        balance: U256::from(number),
        code_hash: KECCAK256_EMPTY,
    };
    let slot = StorageRow { slot: SLOT, value: U256::from(number + 1) };
    [(ACCOUNTS, key.to_vec(), account.encode()), (STORAGE, storage_key(&key, SLOT).to_vec(), slot.encode())]
}

struct Chain {
    journal: Journal,
    genesis: View<Evm>,
}

impl Chain {
    fn new() -> Self {
        let headers = Headers::genesis(EvmHeader::new(Header::default()), Weight::ZERO);
        let rows = rows(0).map(|(table, key, value)| ((table, key), value.to_vec()));
        let rows: Arc<dyn Rows> = Arc::new(Listed(BTreeMap::from(rows)));
        let state = StateView::new(TABLES, rows, Timeline::new().pin());
        Self { journal: Journal::default(), genesis: View { headers, state } }
    }

    /// A block after which the account's number is another.
    fn extend(&mut self, parent: &Headers<Evm>, from: u64, to: u64) -> Headers<Evm> {
        let header = Header {
            parent_hash: B256::from(parent.id().0),
            number: u64::from(parent.height().0) + 1,
            nonce: to.into(),
            ..Header::default()
        };
        let headers = parent.child(EvmHeader::new(header), Weight::ZERO);
        let (old, new) = (rows(from), rows(to));
        let changes = old.iter().zip(&new).map(|((table, key, old), (_, _, new))| Change {
            table: *table,
            key,
            old: Some(old),
            new: Some(new),
        });
        let connected =
            Connected { parent: parent.id(), delta: Delta::from_changes(changes), receipts: Bytes::new() };
        self.journal.0.insert(headers.id(), connected);
        headers
    }
}

#[track_caller]
fn check(trie: &mut ProofTrie<Evm>, chain: &Chain, at: &Headers<Evm>, number: u64) {
    let proof = trie.prove(at, &chain.journal, ACCOUNT, &[SLOT]).expect("within reach");
    let account = proof.account.expect("it exists");
    assert_eq!((account.nonce, account.balance), (number, U256::from(number)));
    assert_eq!(proof.slots[0].value, U256::from(number + 1));
    let rows = rows(number).map(|(table, key, value)| ((table, key), value.to_vec()));
    let rows: Arc<dyn Rows> = Arc::new(Listed(BTreeMap::from(rows)));
    let state = StateView::new(TABLES, rows, Timeline::new().pin());
    let root = StateTrie::load(&state).expect("rows are right").root().expect("no fault").expect("a root");
    let leaf = alloy_rlp::encode(TrieAccount {
        nonce: number,
        balance: U256::from(number),
        storage_root: proof.storage_root,
        code_hash: KECCAK256_EMPTY,
    });
    let path = Nibbles::unpack(account_key(&ACCOUNT));
    assert_eq!(verify_proof(B256::from(root.0), path, Some(leaf), &proof.nodes), Ok(()));
}

#[test]
fn proofs_follow_the_journal_both_ways_and_across_forks() {
    let mut chain = Chain::new();
    let genesis = chain.genesis.headers.clone();
    let mut main = vec![genesis.clone()];
    for number in 0..9 {
        let next = chain.extend(&main[number as usize], number, number + 1);
        main.push(next);
    }
    let mut side = vec![chain.extend(&main[4], 4, 104)];
    for number in 104..107 {
        let next = chain.extend(&side[side.len() - 1], number, number + 1);
        side.push(next);
    }
    let mut trie = ProofTrie::load(&chain.genesis, 10).expect("rows are right");
    for (at, number) in [(9, 9), (3, 3), (5, 5), (0, 0), (8, 8)] {
        check(&mut trie, &chain, &main[at], number);
    }
    check(&mut trie, &chain, &side[3], 107);
    check(&mut trie, &chain, &side[0], 104);
    check(&mut trie, &chain, &main[9], 9);
    assert_eq!(trie.at().height(), Height(9));
}

#[test]
fn what_is_too_far_or_was_never_executed_is_said_so() {
    let mut chain = Chain::new();
    let mut at = chain.genesis.headers.clone();
    let mut blocks = vec![at.clone()];
    for number in 0..6 {
        at = chain.extend(&at, number, number + 1);
        blocks.push(at.clone());
    }
    let mut trie = ProofTrie::load(&chain.genesis, 5).expect("rows are right");
    let far = trie.prove(&blocks[6], &chain.journal, ACCOUNT, &[]).expect_err("six blocks away");
    assert_eq!(far, ProofError::TooFar { distance: 6, distance_max: 5, at: Height(0) });
    check(&mut trie, &chain, &blocks[5], 5);
    check(&mut trie, &chain, &blocks[6], 6);
    chain.journal.0.remove(&blocks[3].id());
    let lost = trie.prove(&blocks[2], &chain.journal, ACCOUNT, &[]).expect_err("block 3 is lost");
    assert_eq!(lost, ProofError::NotInJournal(Height(3)));
    assert_eq!(trie.at().height(), Height(3), "as far as it came");
    check(&mut trie, &chain, &blocks[5], 5);
}
