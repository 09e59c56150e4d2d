//! A disk that fails is nobody's fault but ours, wherever it fails.

use std::sync::Arc;

use chainwright_chain::{Executed, Jobs, Ledger, Prepared, Reject, TableId, View};
use chainwright_evm::Evm;
use chainwright_evm::config::Fork;
use chainwright_evm::rules::{BlockAttributes, EvmFacts, child_header};
use chainwright_evm::state::{ACCOUNTS, CODE, STORAGE};

use crate::chain::{ALICE, BOB, COUNTER, MINER, chain, ether, failing, tx};

/// A block of two transactions: one pays, one counts.
fn block(evm: &Evm, parent: &View<Evm>) -> (Arc<Prepared<Evm>>, Executed<Evm>) {
    let on = BlockAttributes { time: 12, beneficiary: MINER, ..BlockAttributes::default() };
    let header = child_header(evm.config(), &parent.headers, &on);
    let candidates = vec![(tx(ALICE, 0, BOB, ether(1)), ALICE), (tx(BOB, 0, COUNTER, ether(0)), BOB)];
    let (block, executed) = evm.build_on(parent, header, &[], &mut candidates.into_iter()).unwrap();
    assert_eq!(block.transactions.len(), 2);
    let id = chainwright_chain::Header::id(&block.header);
    let facts = EvmFacts { fork: Fork::Cancun, senders: vec![ALICE, BOB] };
    (Arc::new(Prepared { id, block, facts }), executed)
}

#[test]
fn a_fault_of_the_disk_is_never_an_invalid_block() {
    let (evm, parent) = chain(|_| {});
    let (block, built) = block(&evm, &parent);
    let mut faults = 0;
    for (table, reads) in [(ACCOUNTS, 20), (STORAGE, 3), (CODE, 3)] {
        for reads in 0..reads {
            faults += usize::from(fails(&block, &parent, table, reads));
        }
    }
    assert!(faults >= 6, "only {faults} reads failed");
    let mut jobs = Jobs::default();
    let executed = evm.execute(&parent, &block, &mut jobs).unwrap();
    jobs.run().unwrap();
    assert_eq!(executed.delta, built.delta);
}

/// Whether the block met the failing read; a new ledger has no code at hand.
fn fails(block: &Arc<Prepared<Evm>>, parent: &View<Evm>, table: TableId, reads: usize) -> bool {
    let (evm, _) = chain(|_| {});
    match evm.execute(&failing(parent, table, reads), block, &mut Jobs::default()) {
        Ok(_) => false,
        Err(Reject::Fault(fault)) => fault.what == "the disk is on fire",
        Err(other) => panic!("table {table:?} after {reads} reads: {other}"),
    }
}

#[test]
fn no_row_is_read_twice() {
    let (evm, parent) = chain(|_| {});
    let (block, _) = block(&evm, &parent);
    // Alice, Bob, the counter, the miner, the beacon root's contract and its system caller.
    let enough = (0..20).find(|reads| !fails(&block, &parent, ACCOUNTS, *reads)).unwrap();
    assert!(enough <= 6, "{enough} accounts were read");
    assert!(!fails(&block, &parent, STORAGE, 1), "one slot");
}
