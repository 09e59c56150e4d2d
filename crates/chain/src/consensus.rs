//! The engine's side of the seam: which headers are valid, which branch is the chain, who writes the next block.
//!
//! Consensus never executes. An engine sees headers and proofs, and moves the chain through [`ChainHandle`].

use std::pin::Pin;
use std::sync::Arc;

use crate::{
    BlockId, ChainHandle, CompactTarget, Epoch, Fault, Hash, Headers, Height, Ledger, Reject, Timestamp,
    Weight,
};

/// A boxed future, for traits that must stay usable as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the engine decides about the next block, and whom the caller pays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The header's time.
    pub time: Timestamp,
    /// The target, where headers carry one.
    pub target: Option<CompactTarget>,
    /// Randomness agreed on by consensus; zero where there is none.
    pub randomness: Hash,
    /// Who receives rewards and fees, in the ledger's own form (a script, an address); empty for nobody.
    pub payee: Vec<u8>,
}

/// A certificate beside a block, in the engine's own encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Proof(pub bytes::Bytes);

/// One vote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// The key that signs, in the engine's encoding.
    pub key: Vec<u8>,
    /// The stake behind the seat, in the ledger's smallest unit.
    pub stake: u128,
}

/// Who validates in one epoch; empty where nobody has to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ValidatorSet {
    /// The seats in their order.
    pub seats: Vec<Seat>,
}

/// Which headers are valid, which branch is the chain, who writes the next block.
pub trait Consensus<L: Ledger>: Send + Sync + 'static {
    /// Written to disk and to the chain file; refused on mismatch.
    fn name(&self) -> &'static str;

    /// Time, target and seal of a header. `now` is the node's idea of the time.
    ///
    /// # Errors
    /// [`Reject::Invalid`], or [`Reject::NotYet`] for a header from the future.
    fn check_header(&self, header: &L::Header, parent: &Headers<L>, now: Timestamp) -> Result<(), Reject>;

    /// What a header proves without its parent: that its seal is worth the weight it claims. Peers' headers are held to it
    /// before they are worth remembering, so it must be cheap. Engines whose headers claim nothing have nothing to check.
    ///
    /// # Errors
    /// [`Reject::Invalid`].
    fn check_seal(&self, _header: &L::Header) -> Result<(), Reject> {
        Ok(())
    }

    /// What the header adds to its branch. [`Weight::ZERO`] when only `prefer` and `finalize` move the head.
    fn weight(&self, header: &L::Header) -> Weight;

    /// Whether the block's deferred checks may be taken as passed, seen from the best known header
    /// (an assumed-valid block). State is executed all the same.
    fn assumes_valid(&self, _block: &Headers<L>, _best: &Headers<L>) -> bool {
        false
    }

    /// Engine-owned fields of a child of `parent`; the caller names the payee.
    fn attributes(&self, parent: &Headers<L>, now: Timestamp) -> Attributes;

    /// Completes the header: proof of work grinds until `stop` says so. Others have nothing to do.
    /// `false` when stopped or out of nonces.
    fn seal(&self, _header: &mut L::Header, _stop: &dyn Fn() -> bool) -> bool {
        true
    }

    /// The epoch a height belongs to.
    fn epoch(&self, _height: Height) -> Epoch {
        Epoch(0)
    }

    /// Whether a proof beside the block shows that the block is final.
    ///
    /// # Errors
    /// [`Reject::Invalid`] when it does not.
    fn check_proof(
        &self,
        id: BlockId,
        height: Height,
        proof: &Proof,
        validators: &ValidatorSet,
    ) -> Result<(), Reject>;

    /// Runs the engine until the chain stops: the engine drives, the chain serves.
    fn run(self: Arc<Self>, chain: ChainHandle<L>) -> BoxFuture<'static, Result<(), Fault>>;
}
