//! Cases through the ledger's functions alone: no tree, no driver. The state root comes from a trie built anew from the rows
//! by `alloy-trie`, so that it also checks what our own trie is built from.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy_consensus::Header as Fields;
use alloy_primitives::B256;
use alloy_trie::TrieAccount;
use alloy_trie::root::{state_root, storage_root};
use chainwright_chain::{
    Block as _, Codec, Executed, Fault, Header as _, Headers, Jobs, Ledger, Prepared, Reason, Reject, Row,
    Rows, StateView, TableId, Timeline, Value, View, Visit, Weight,
};
use chainwright_evm::Evm;
use chainwright_evm::state::{ACCOUNTS, AccountRow, CODE, STORAGE, StorageRow, TABLES};
use chainwright_evm::types::EvmBlock;

use crate::case::{Account, Case};

/// A store without rows: all state is in the layers of views.
struct NoRows;

impl Rows for NoRows {
    fn get(&self, _: TableId, _: &[u8]) -> Result<Option<Value>, Fault> {
        Ok(None)
    }

    fn range(&self, _: TableId, _: &[u8], _: Option<&[u8]>, _: usize) -> Result<Vec<Row>, Fault> {
        Ok(Vec::new())
    }

    fn scan(&self, _: TableId, _: Visit<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

type Known = HashMap<B256, View<Evm>>;

/// Where a block failed, and why.
struct Failure {
    stage: &'static str,
    reject: Reject,
}

pub(crate) fn run(case: &Case) -> Result<(), String> {
    let evm = Evm::new(case.genesis());
    let (genesis, delta) = evm.genesis();
    if genesis.to_bytes() != case.genesis_rlp {
        return Err(format!("genesis is another: {:?}", genesis.header));
    }
    let state = StateView::new(TABLES, Arc::new(NoRows), Timeline::new().pin()).with_layer(delta);
    let headers = Headers::genesis(genesis.header.clone(), claimed(&genesis));
    let mut known = Known::from([(genesis.header.hash(), View { headers, state })]);
    let mut head = genesis.header.hash();
    for (index, block) in case.blocks.iter().enumerate() {
        let decoded = EvmBlock::decode(&block.rlp.0);
        let imported = match (&decoded, &block.expect_exception) {
            (Err(_), Some(_)) => continue,
            (Err(error), None) => return Err(format!("block {index} does not decode: {error}")),
            (Ok(block), _) => import(&evm, block, &mut known),
        };
        match (imported, &block.expect_exception) {
            (Ok(hash), None) => head = hash,
            (Err(failure), Some(_)) => {
                check_word(&failure).map_err(|what| format!("block {index}: {what}"))?;
            }
            (Ok(_), Some(expected)) => return Err(format!("block {index} should be refused: {expected}")),
            (Err(failure), None) => return Err(format!("block {index} is refused: {}", failure.reject)),
        }
    }
    if head != case.lastblockhash {
        return Err(format!("head is {head}, not {}", case.lastblockhash));
    }
    check_state(&known[&head].state, &case.post_state)
}

fn claimed(block: &EvmBlock) -> Weight {
    block.header().claimed_weight()
}

/// The word says where the block failed.
fn check_word(failure: &Failure) -> Result<(), String> {
    let (Reject::Invalid(Reason { code, .. }) | Reject::Mutated(Reason { code, .. })) = &failure.reject
    else {
        return Err(format!("a bad block is {:?}", failure.reject));
    };
    let fits = code.starts_with(failure.stage);
    if fits { Ok(()) } else { Err(format!("{code} while looking at the {}", failure.stage)) }
}

fn import(evm: &Evm, block: &EvmBlock, known: &mut Known) -> Result<B256, Failure> {
    let failed = |stage| move |reject| Failure { stage, reject };
    let parent = known.get(&block.header.parent_hash);
    let parent =
        parent.ok_or(Reject::MissingParent(block.header.parent())).map_err(failed("header-"))?.clone();
    evm.check_header(&block.header, &parent.headers).map_err(failed("header-"))?;
    let prepared = Arc::new(evm.prepare(block.clone()).map_err(failed("body-"))?);
    evm.check_body(&prepared, &parent.headers).map_err(failed("body-"))?;
    let executed = execute(evm, &parent, &prepared).map_err(failed("execution-"))?;
    let state = parent.state.with_layer(executed.delta.clone());
    if root_of(&state) != block.header.state_root {
        return Err(Failure { stage: "bad-state-root", reject: Reject::invalid("bad-state-root") });
    }
    let back = state.with_layer(executed.delta.inverse());
    assert!(rows(&back) == rows(&parent.state), "the way back ends elsewhere");
    check_build(evm, &parent, block, &executed);
    let headers = parent.headers.child(block.header.clone(), claimed(block));
    known.insert(block.header.hash(), View { headers, state });
    Ok(block.header.hash())
}

fn execute(evm: &Evm, parent: &View<Evm>, block: &Arc<Prepared<Evm>>) -> Result<Executed<Evm>, Reject> {
    let mut jobs = Jobs::default();
    let executed = evm.execute(parent, block, &mut jobs)?;
    jobs.run().map_err(Reject::Invalid)?;
    Ok(executed)
}

/// A block built of the same transactions is the same block, but for ommers and the state root.
fn check_build(evm: &Evm, parent: &View<Evm>, block: &EvmBlock, executed: &Executed<Evm>) {
    if !block.ommers.is_empty() {
        return;
    }
    let empty = Fields::default();
    let mut header = block.header.header().clone();
    header.transactions_root = empty.transactions_root;
    header.receipts_root = empty.receipts_root;
    header.logs_bloom = empty.logs_bloom;
    header.gas_used = 0;
    header.blob_gas_used = header.blob_gas_used.map(|_| 0);
    header.requests_hash = header.requests_hash.map(|_| B256::ZERO);
    let candidates: Vec<_> =
        block.transactions.iter().map(|tx| (Arc::new(tx.clone()), tx.sender().unwrap())).collect();
    let withdrawals = block.withdrawals.clone().unwrap_or_default();
    let built = evm.build_on(parent, header, &withdrawals, &mut candidates.into_iter()).unwrap();
    assert_eq!(&built.0, block, "another block was built");
    assert!(built.1.delta == executed.delta, "building did something else than executing");
    assert_eq!(built.1.receipts, executed.receipts);
}

type Listed = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// Every row.
fn rows(view: &StateView) -> Listed {
    let mut rows = Listed::new();
    for table in [ACCOUNTS, STORAGE, CODE] {
        let mut add = |key: &[u8], row: &[u8]| {
            rows.insert((table.0, key.to_vec()), row.to_vec());
            Ok(())
        };
        view.scan(table, &mut add).unwrap();
    }
    rows
}

type Stored = BTreeMap<B256, (AccountRow, BTreeMap<B256, StorageRow>)>;

fn stored(view: &StateView) -> Stored {
    let mut accounts = Stored::new();
    let mut add = |key: &[u8], row: &[u8]| {
        accounts.insert(B256::from_slice(key), (AccountRow::decode(row).unwrap(), BTreeMap::new()));
        Ok(())
    };
    view.scan(ACCOUNTS, &mut add).unwrap();
    let mut add = |key: &[u8], row: &[u8]| {
        let account = accounts.get_mut(&B256::from_slice(&key[..32])).expect("slots belong to accounts");
        account.1.insert(B256::from_slice(&key[32..]), StorageRow::decode(row).unwrap());
        Ok(())
    };
    view.scan(STORAGE, &mut add).unwrap();
    accounts
}

fn root_of(view: &StateView) -> B256 {
    state_root(stored(view).into_iter().map(|(key, (row, slots))| {
        let storage_root = storage_root(slots.into_iter().map(|(key, slot)| (key, slot.value)));
        let AccountRow { nonce, balance, code_hash, .. } = row;
        (key, TrieAccount { nonce, balance, storage_root, code_hash })
    }))
}

/// Compares every account, slot and piece of code.
pub(crate) fn check_state(
    view: &StateView,
    expected: &BTreeMap<alloy_primitives::Address, Account>,
) -> Result<(), String> {
    let stored = stored(view);
    if stored.len() != expected.len() {
        return Err(format!("{} accounts, not {}", stored.len(), expected.len()));
    }
    for (row, slots) in stored.into_values() {
        let wanted = expected.get(&row.address).ok_or_else(|| format!("{} should not be", row.address))?;
        let slots: BTreeMap<_, _> = slots.into_values().map(|slot| (slot.slot, slot.value)).collect();
        let code = view.get(CODE, row.code_hash.as_slice()).unwrap();
        let same = row.nonce == wanted.nonce.to::<u64>()
            && row.balance == wanted.balance
            && slots == wanted.storage
            && code.as_deref().unwrap_or_default() == wanted.code.as_ref();
        if !same {
            return Err(format!("{} differs: {row:?}, {slots:?}", row.address));
        }
    }
    Ok(())
}
