//! The engine: plausible times, no seal in the header, a signature beside the block.

use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{
    Attributes, BlockId, BoxFuture, ChainHandle, Consensus, Fault, Header, Headers, Height, Ledger, Proof,
    Reason, Reject, Reply, Timestamp, ValidatorSet, Weight,
};

use parking_lot::Mutex;

use crate::controls::{Batch, BlockTime, Controls};
use crate::key::{SealingKey, VerifyingKey, message};
use crate::sealer::{self, Order, Requests, SealNow, Sealer, Sealing};

/// Seconds a header's time may be ahead of the node's.
const FUTURE_LIMIT_SECONDS: u64 = 2 * 60 * 60;

/// One key seals; everybody else checks its signatures.
#[derive(Debug)]
pub struct Solo {
    genesis: BlockId,
    key: VerifyingKey,
    pub(crate) sealer: Option<Sealer>,
    pub(crate) requests: Requests,
    /// Seconds a header's time may be ahead of the node's.
    pub future_limit_seconds: u64,
    /// Seconds by which a block of ours is later than its parent at least; above zero where the ledger asks for it.
    pub time_step_seconds: u64,
}

impl Solo {
    /// The engine of a node that only follows the chain with this genesis.
    pub fn follower(genesis: BlockId, key: VerifyingKey) -> Self {
        Self {
            genesis,
            key,
            sealer: None,
            requests: Requests::default(),
            future_limit_seconds: FUTURE_LIMIT_SECONDS,
            time_step_seconds: 0,
        }
    }

    /// The engine of the node that seals, and pays `payee` (in the ledger's own form; empty for nobody).
    pub fn sealer(genesis: BlockId, key: SealingKey, sealing: Sealing, payee: Vec<u8>) -> Self {
        let mut solo = Self::follower(genesis, key.verifying_key());
        let controls = Controls { sealing, payee, time: BlockTime::default(), next_randomness: None };
        solo.sealer = Some(Sealer { key, controls: Mutex::new(controls) });
        solo
    }

    /// The key every proof is checked with.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.key
    }

    /// Asks for a block now, whatever else makes blocks; empty if nothing waits. The future gives its id once it is final.
    pub fn seal_now(&self) -> SealNow {
        self.seal_batch(Batch::ONE)
    }

    /// Asks for several blocks in a row. The future gives the id of the last once it is final.
    pub fn seal_batch(&self, batch: Batch) -> SealNow {
        self.requests.seal(self.sealer.is_some(), batch)
    }

    /// Runs something when no block is being made, after all blocks that are due already; none is begun before it ends. The
    /// answer is an error if this node does not seal or its sealer has ended.
    pub fn between_blocks<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Reply<T> {
        let (sender, reply) = Reply::new();
        if self.sealer.is_some() {
            self.requests.send(Order::Run(Box::pin(async move {
                // Nobody has to wait for the answer.
                let _ = sender.send(work.await);
            })));
        }
        reply
    }

    /// The sealer's settings, if this node seals.
    pub fn controls(&self) -> Option<Controls> {
        self.sealer.as_ref().map(|sealer| sealer.controls.lock().clone())
    }

    /// Changes the sealer's settings, if this node seals; the next block is made under them.
    pub fn control<T>(&self, change: impl FnOnce(&mut Controls) -> T) -> Option<T> {
        let changed = self.sealer.as_ref().map(|sealer| change(&mut sealer.controls.lock()));
        if changed.is_some() {
            self.requests.send(Order::LookAgain);
        }
        changed
    }

    /// The proof that makes a block final, if this node holds the key. Blocks are normally sealed by the engine itself; this
    /// is for tools and simulations.
    pub fn proof_of(&self, id: BlockId, height: Height) -> Option<Proof> {
        self.sealer.as_ref().map(|sealer| self.prove(&sealer.key, id, height))
    }

    pub(crate) fn prove(&self, key: &SealingKey, id: BlockId, height: Height) -> Proof {
        Proof(Bytes::copy_from_slice(&key.sign(&message(self.genesis, id, height))))
    }
}

impl<L: Ledger> Consensus<L> for Solo {
    fn name(&self) -> &'static str {
        "solo"
    }

    fn check_header(&self, header: &L::Header, parent: &Headers<L>, now: Timestamp) -> Result<(), Reject> {
        let (time, before) = (header.time(), parent.header().time());
        if time < before {
            let detail = format!("{time} is before the parent's {before}");
            return Err(Reject::Invalid(Reason::with("time-too-old", detail)));
        }
        let acceptable_at = time.0.saturating_sub(self.future_limit_seconds);
        if acceptable_at > now.0 {
            return Err(Reject::NotYet(Timestamp(acceptable_at)));
        }
        Ok(())
    }

    fn weight(&self, _: &L::Header) -> Weight {
        Weight::ZERO
    }

    fn attributes(&self, parent: &Headers<L>, now: Timestamp) -> Attributes {
        let earliest = Timestamp(parent.header().time().0.saturating_add(self.time_step_seconds));
        Attributes { time: now.max(earliest), ..Attributes::default() }
    }

    fn check_proof(
        &self,
        id: BlockId,
        height: Height,
        proof: &Proof,
        _: &ValidatorSet,
    ) -> Result<(), Reject> {
        let signature = <[u8; 64]>::try_from(&*proof.0);
        let message = message(self.genesis, id, height);
        match signature {
            Ok(signature) if self.key.verifies(&message, signature) => Ok(()),
            _ => Err(Reject::invalid("bad-seal")),
        }
    }

    fn run(self: Arc<Self>, chain: ChainHandle<L>) -> BoxFuture<'static, Result<(), Fault>> {
        Box::pin(sealer::run(self, chain))
    }
}
