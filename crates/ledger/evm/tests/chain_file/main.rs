//! The chain of Ethereum's `execution-apis`: 54 blocks through every fork, the merge by total difficulty among them, from a
//! genesis file as geth writes it.

#![allow(clippy::print_stderr, reason = "a skipped test must be seen")]

use std::path::PathBuf;
use std::sync::Arc;

use alloy_primitives::B256;
use bytes::Bytes;
use chainwright_chain::{
    Codec, Fault, Header as _, Headers, Index as _, Jobs, Ledger, Row, Rows, StateView, TableId, Timeline,
    Value, View, Visit,
};
use chainwright_evm::Evm;
use chainwright_evm::config::{Fork, Genesis, fork_hash};
use chainwright_evm::state::TABLES;
use chainwright_evm::trie::StateTrie;
use chainwright_evm::types::EvmBlock;

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

/// The folder of the chain, if it is there. With `CHAINWRIGHT_REQUIRE_VECTORS=1` it has to be.
fn folder() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/vectors");
    let folder = PathBuf::from(std::env::var("CHAINWRIGHT_VECTORS").unwrap_or_else(|_| beside.into()));
    let folder = folder.join("ethereum/execution-apis");
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("CHAINWRIGHT_REQUIRE_VECTORS").is_ok_and(|value| value == "1");
    assert!(!required, "vectors are required and missing: {}", folder.display());
    eprintln!("SKIPPED: no vectors at {}", folder.display());
    None
}

fn begin(ledger: &Evm) -> View<Evm> {
    let (block, delta) = ledger.genesis();
    let state = StateView::new(TABLES, Arc::new(NoRows), Timeline::new().pin()).with_layer(delta);
    View { headers: Headers::genesis(block.header.clone(), block.header.claimed_weight()), state }
}

fn root_of(state: &StateView) -> B256 {
    let root = StateTrie::load(state).and_then(|mut trie| trie.root()).expect("rows are in memory");
    B256::from(root.expect("headers carry a root").0)
}

fn import(ledger: &Evm, parent: &View<Evm>, block: EvmBlock) -> View<Evm> {
    let (header, name) = (block.header.clone(), format!("block {}", block.header.number));
    ledger.check_header(&header, &parent.headers).expect(&name);
    let prepared = Arc::new(ledger.prepare(block).expect(&name));
    ledger.check_body(&prepared, &parent.headers).expect(&name);
    let mut jobs = Jobs::default();
    let executed = ledger.execute(parent, &prepared, &mut jobs).expect(&name);
    jobs.run().expect(&name);
    let state = parent.state.with_layer(executed.delta);
    assert_eq!(root_of(&state), header.state_root, "{name}");
    View { headers: parent.headers.child(header.clone(), header.claimed_weight()), state }
}

#[test]
fn the_chain_of_execution_apis_is_valid() {
    let Some(folder) = folder() else { return };
    let genesis = Genesis::from_json(&std::fs::read_to_string(folder.join("genesis.json")).unwrap()).unwrap();
    let ledger = Evm::new(genesis);
    let genesis = ledger.genesis().0;
    let mut rest = Bytes::from(std::fs::read(folder.join("chain.rlp")).unwrap());
    let mut view = begin(&ledger);
    let mut forks = vec![];
    while !rest.is_empty() {
        let before = rest.clone();
        let block = EvmBlock::take(&mut rest).unwrap();
        assert_eq!(block.to_bytes(), before[..before.len() - rest.len()]);
        forks.push(ledger.config().fork(&block.header));
        view = import(&ledger, &view, block);
    }
    forks.dedup();
    assert_eq!(forks.last(), Some(&Fork::Bpo2));
    assert!(forks.len() >= 18, "{forks:?}");
    let head = view.headers.header();
    let hash =
        fork_hash(ledger.config(), (genesis.header.hash(), 0), (view.headers.height(), head.timestamp));
    // `eth_config` of the same chain.
    assert_eq!(hash, [0xe2, 0x72, 0xec, 0xbe]);
}
