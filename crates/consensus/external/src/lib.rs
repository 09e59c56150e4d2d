//! Seal and fork choice come from outside: for chains in files, official tests, and callers that follow a consensus of
//! their own.
//!
//! ```text
//! import(block) ──► the ledger's rules hold ──► the branch whose headers claim most leads
//! prefer(id)    ──► among branches that claim alike, this one
//! safe(id), finalize(id, no proof) ──► as the caller says
//! ```
//!
//! Headers are judged by the ledger alone: no seal is checked, so a block proves nothing about who made it, and no peers may
//! be listened to. What a header adds to its branch is what it claims itself ([`Header::claimed_weight`]): before Ethereum's
//! merge that is its difficulty, and the heaviest total difficulty leads; after it nothing, and only
//! [`ChainHandle::prefer`] moves the head.
//!
//! Invariant: nothing here accepts or refuses a header, and nothing here moves the chain by itself.

use std::sync::Arc;

use chainwright_chain::{
    Attributes, BlockId, BoxFuture, ChainHandle, Consensus, Fault, Header, Headers, Height, Ledger, Notice,
    Proof, Reject, Timestamp, ValidatorSet, Weight,
};
use futures_util::StreamExt as _;

/// The engine that leaves everything to its caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct External;

impl<L: Ledger> Consensus<L> for External {
    fn name(&self) -> &'static str {
        "external"
    }

    /// Nothing to check: times are the ledger's, and the seal is whoever's handed the block in.
    fn check_header(&self, _: &L::Header, _: &Headers<L>, _: Timestamp) -> Result<(), Reject> {
        Ok(())
    }

    fn weight(&self, header: &L::Header) -> Weight {
        header.claimed_weight()
    }

    /// The node's time, or the second after the parent's if that is later: any ledger's rule accepts it.
    fn attributes(&self, parent: &Headers<L>, now: Timestamp) -> Attributes {
        let after = Timestamp(parent.header().time().0.saturating_add(1));
        Attributes { time: now.max(after), ..Attributes::default() }
    }

    /// Final is what the caller calls final. A proof would come from somebody else, and there is nothing to check it with.
    fn check_proof(&self, _: BlockId, _: Height, proof: &Proof, _: &ValidatorSet) -> Result<(), Reject> {
        if proof.0.is_empty() { Ok(()) } else { Err(Reject::invalid("unexpected-proof")) }
    }

    /// Waits for the chain to stop.
    fn run(self: Arc<Self>, chain: ChainHandle<L>) -> BoxFuture<'static, Result<(), Fault>> {
        let mut notices = chain.published().subscribe();
        Box::pin(async move {
            while !matches!(notices.next().await, None | Some(Notice::Stopping)) {}
            Ok(())
        })
    }
}
