//! What whoever runs a development chain has done to it beside blocks: snapshots, impersonated accounts, the sealer's settings.
//!
//! Everything that must not meet a block in the making goes through the sealer ([`Solo::between_blocks`]): what it reads and
//! changes belongs to one head.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy_primitives::{Address, B256, keccak256};
use chainwright_chain::{Delta, Fault, Header as _, Headers, Reject, Timestamp};
use chainwright_evm::state::Overlay;
use chainwright_evm::{Evm, Wishes};
use chainwright_rpc::RpcError;
use chainwright_solo::{Controls, Solo};
use parking_lot::Mutex;

use crate::chain::{fault, server_error};
use crate::dialect::Context;

/// The chain at one moment, to go back to.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) block: Headers<Evm>,
    /// What had been changed by hand at the block.
    pub(crate) amendment: Delta,
    /// What the sealer's clock said.
    pub(crate) now: Timestamp,
    pub(crate) controls: Controls,
    pub(crate) wishes: Wishes,
}

#[derive(Default)]
struct Inner {
    snapshots: BTreeMap<u64, Snapshot>,
    snapshot_count: u64,
    impersonated: BTreeSet<Address>,
    all_impersonated: bool,
    resets: u64,
}

/// A development chain, as whoever runs it sees it.
pub(crate) struct Development {
    solo: Arc<Solo>,
    /// The sealer's settings at start.
    initial: Option<Controls>,
    /// The first block.
    origin: B256,
    inner: Mutex<Inner>,
}

impl Development {
    pub(crate) fn new(solo: Arc<Solo>, origin: B256) -> Self {
        let initial = solo.controls();
        Self { solo, initial, origin, inner: Mutex::default() }
    }

    pub(crate) fn solo(&self) -> &Solo {
        &self.solo
    }

    /// The sealer's settings.
    pub(crate) fn controls(&self) -> Result<Controls, RpcError> {
        self.solo.controls().ok_or_else(not_the_sealer)
    }

    /// Changes the sealer's settings.
    pub(crate) fn control<T>(&self, change: impl FnOnce(&mut Controls) -> T) -> Result<T, RpcError> {
        self.solo.control(change).ok_or_else(not_the_sealer)
    }

    /// Does something while no block is being made.
    pub(crate) fn between_blocks<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, RpcError> {
        if self.initial.is_none() {
            return Err(not_the_sealer());
        }
        self.solo.between_blocks(work).wait().map_err(fault)
    }

    pub(crate) fn impersonate(&self, address: Address, on: bool) {
        let impersonated = &mut self.inner.lock().impersonated;
        if on {
            impersonated.insert(address);
        } else {
            impersonated.remove(&address);
        }
    }

    pub(crate) fn impersonate_all(&self, on: bool) {
        self.inner.lock().all_impersonated = on;
    }

    /// Whether an account's transactions need no signature.
    pub(crate) fn impersonates(&self, address: &Address) -> bool {
        let inner = self.inner.lock();
        inner.all_impersonated || inner.impersonated.contains(address)
    }

    /// Accounts that are impersonated by name.
    pub(crate) fn impersonated(&self) -> BTreeSet<Address> {
        self.inner.lock().impersonated.clone()
    }

    /// Keeps a snapshot; its number.
    pub(crate) fn keep(&self, snapshot: Snapshot) -> u64 {
        let mut inner = self.inner.lock();
        inner.snapshot_count += 1;
        let number = inner.snapshot_count;
        inner.snapshots.insert(number, snapshot);
        number
    }

    /// A snapshot, if there is one of that number. It and all later ones are gone then.
    pub(crate) fn take(&self, number: u64) -> Option<Snapshot> {
        let mut inner = self.inner.lock();
        let taken = inner.snapshots.get(&number).cloned()?;
        inner.snapshots.split_off(&number);
        Some(taken)
    }

    /// Blocks of all snapshots by number.
    pub(crate) fn snapshots(&self) -> BTreeMap<u64, Headers<Evm>> {
        self.inner.lock().snapshots.iter().map(|(number, it)| (*number, it.block.clone())).collect()
    }

    /// Forgets everything that was done.
    pub(crate) fn forget(&self) {
        let mut inner = self.inner.lock();
        *inner = Inner { snapshot_count: inner.snapshot_count, resets: inner.resets + 1, ..Inner::default() };
        if let Some(initial) = &self.initial {
            self.solo.control(|controls| *controls = initial.clone());
        }
    }

    /// Another one after each reset.
    pub(crate) fn instance(&self) -> B256 {
        let resets = self.inner.lock().resets;
        keccak256([self.origin.as_slice(), &resets.to_be_bytes()].concat())
    }
}

fn not_the_sealer() -> RpcError {
    server_error(
        "this node does not make the chain's blocks (hint: ask the node that does, the first of `chainwright dev`)",
    )
}

/// Whoever runs a development chain, as these methods see it.
pub(crate) fn of(context: &Context) -> Result<&Development, RpcError> {
    context.development.get().ok_or_else(|| server_error("this is no development chain"))
}

/// What the driver said of a change by hand.
pub(crate) fn carried_out(answer: Result<Result<(), Reject>, Fault>) -> Result<(), RpcError> {
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Reject::Fault(error))) | Err(error) => Err(fault(error)),
        Ok(Err(reject)) => Err(server_error(format!("the chain cannot be changed: {reject}"))),
    }
}

/// Refuses where others follow the chain: they would not follow a change by hand, and part ways.
pub(crate) fn check_alone(context: &Context) -> Result<(), RpcError> {
    if context.host.peers().is_empty() {
        return Ok(());
    }
    Err(server_error(
        "other nodes follow this chain and would not follow a change by hand (hint: run it with `--nodes 1`)",
    ))
}

/// Changes the state above the head.
pub(crate) fn amend(
    context: &Context,
    change: impl FnOnce(&mut Overlay) -> Result<(), Fault> + Send + 'static,
) -> Result<(), RpcError> {
    check_alone(context)?;
    let (chain, ledger) = (context.chain.handle.clone(), Arc::clone(context.chain.ledger()));
    carried_out(of(context)?.between_blocks(async move {
        let amended = chain.amend(move |view| {
            let mut overlay = ledger.overlay(view);
            change(&mut overlay)?;
            overlay.delta()
        });
        amended.await
    })?)
}

/// Goes back to a block and what had been changed by hand there. What was in later blocks is not waiting again.
pub(crate) fn rewind(context: &Context, to: &Headers<Evm>, amendment: Delta) -> Result<(), RpcError> {
    check_alone(context)?;
    let (chain, to) = (context.chain.handle.clone(), to.clone());
    carried_out(of(context)?.between_blocks(async move {
        let head = chain.published().head().headers;
        let mut undone = Vec::new();
        for block in head.down().take_while(|block| block.height() > to.height()) {
            let body = chain.published().read_block(&block.header().id())?;
            undone.extend(body.into_iter().flat_map(|body| body.transactions).map(|tx| tx.hash()));
        }
        let answer = chain.rewind(to.id(), amendment).await?;
        let dropped = chain.with_pool(move |pool| {
            for hash in undone {
                pool.drop_transaction(&hash);
            }
        });
        dropped.await?;
        Ok(answer)
    })?)
}
