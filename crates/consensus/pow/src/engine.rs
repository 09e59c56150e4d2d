//! The engine: one set of rules for headers, and the seal.

use std::sync::Arc;

use chainwright_chain::{
    Attributes, BlockId, BoxFuture, ChainHandle, Consensus, Fault, Header, Headers, Height, Ledger, Proof,
    Reason, Reject, Timestamp, ValidatorSet, Weight, Work,
};

use crate::assumed::{self, Finder};
use crate::compact::{target_of, work_of};
use crate::hash::{Nonces, WorkHash};
use crate::miner::{self, Miner};
use crate::rule::{TargetRule, timewarp_bound};

/// How far in the future a header may claim to be made, unless the chain says otherwise (Bitcoin Core
/// `MAX_FUTURE_BLOCK_TIME`).
const FUTURE_LIMIT_SECONDS: u64 = 2 * 60 * 60;

/// Proof of work with one set of parameters.
#[derive(Debug)]
pub struct Pow {
    /// The hash.
    pub hash: WorkHash,
    /// Which target comes next.
    pub target_rule: TargetRule,
    /// Seconds a header's time may be ahead of the node's.
    pub future_limit_seconds: u64,
    /// Seconds a block of ours is later than its parent, at least; 0 where a ledger lets time stand still or go back.
    pub time_step_seconds: u64,
    /// The work the real chain is known to have. Branches with less are no proof of anything.
    pub minimum_weight: Weight,
    /// A block whose ancestors' deferred checks may be skipped, once it is deeply buried.
    pub assumed_valid: Option<BlockId>,
    /// The miner in this process, if it mines.
    pub miner: Option<Miner>,
    finder: Finder,
}

impl Pow {
    /// SHA-256d under a target rule; nothing assumed, nothing mined, two hours of future.
    pub fn new(target_rule: TargetRule) -> Self {
        Self {
            hash: WorkHash::Sha256d,
            target_rule,
            future_limit_seconds: FUTURE_LIMIT_SECONDS,
            time_step_seconds: 0,
            minimum_weight: Weight::ZERO,
            assumed_valid: None,
            miner: None,
            finder: Finder::default(),
        }
    }

    /// Whether the header's hash reaches the target it carries, and the target is one (Bitcoin Core `CheckProofOfWork`).
    pub fn is_sealed(&self, header: &impl Work) -> bool {
        let target = target_of(header.target()).filter(|target| *target <= self.target_rule.limit());
        target.is_some_and(|target| self.hash.of(&header.sealed_bytes()) <= target)
    }

    /// All rules but the seal, for blocks that are not sealed yet (Bitcoin Core `ContextualCheckBlockHeader`).
    ///
    /// # Errors
    /// [`Reject::Invalid`] with `bad-diffbits`, `time-too-old` or `time-timewarp-attack`; [`Reject::NotYet`] for what
    /// Bitcoin Core calls `time-too-new`.
    pub fn check_unsealed<L: Ledger<Header: Work>>(
        &self,
        header: &L::Header,
        parent: &Headers<L>,
        now: Timestamp,
    ) -> Result<(), Reject> {
        let invalid = |code, detail: &str| Err(Reject::Invalid(Reason::with(code, detail)));
        let time = header.time();
        if header.target() != self.target_rule.required(parent, time) {
            return invalid("bad-diffbits", "incorrect proof of work");
        }
        if time <= parent.median_time() {
            return invalid("time-too-old", "block's timestamp is too early");
        }
        if self.forbids_timewarp(parent.height().next()) && time.0 < timewarp_bound(parent) {
            let detail = "block's timestamp is too early on diff adjustment block";
            return invalid("time-timewarp-attack", detail);
        }
        let acceptable_at = time.0.saturating_sub(self.future_limit_seconds);
        if acceptable_at > now.0 {
            return Err(Reject::NotYet(Timestamp(acceptable_at)));
        }
        Ok(())
    }

    fn forbids_timewarp(&self, height: Height) -> bool {
        match &self.target_rule {
            TargetRule::Bitcoin(rule) => rule.bip94 && rule.starts_period(height),
            TargetRule::Asert(_) => false,
        }
    }
}

impl<L: Ledger<Header: Work>> Consensus<L> for Pow {
    fn name(&self) -> &'static str {
        "pow"
    }

    fn check_header(&self, header: &L::Header, parent: &Headers<L>, now: Timestamp) -> Result<(), Reject> {
        Consensus::<L>::check_seal(self, header)?;
        self.check_unsealed(header, parent, now)
    }

    fn check_seal(&self, header: &L::Header) -> Result<(), Reject> {
        let failed = || Reject::Invalid(Reason::with("high-hash", "proof of work failed"));
        if self.is_sealed(header) { Ok(()) } else { Err(failed()) }
    }

    fn weight(&self, header: &L::Header) -> Weight {
        work_of(header.target())
    }

    /// As Bitcoin Core's `ConnectBlock`, but for one thing: an assumed-valid block that is not an ancestor of the best
    /// header helps nobody.
    fn assumes_valid(&self, block: &Headers<L>, best: &Headers<L>) -> bool {
        let Some(assumed) = self.assumed_valid else { return false };
        best.weight() >= self.minimum_weight
            && best.contains(block)
            && self.finder.find(assumed, best).is_some_and(|assumed| assumed.contains(block))
            && assumed::is_buried(
                block,
                best,
                work_of(best.header().target()),
                self.target_rule.spacing_seconds(),
            )
    }

    fn attributes(&self, parent: &Headers<L>, now: Timestamp) -> Attributes {
        let stepped = match self.time_step_seconds {
            0 => Timestamp::default(),
            step => Timestamp(parent.header().time().0.saturating_add(step)),
        };
        let time = self.target_rule.minimum_time(parent).max(now).max(stepped);
        Attributes { time, target: Some(self.target_rule.required(parent, time)), ..Attributes::default() }
    }

    fn seal(&self, header: &mut L::Header, stop: &dyn Fn() -> bool) -> bool {
        let Some(target) = target_of(header.target()) else { return false };
        self.hash.grind(header, target, Nonces::ALL, stop)
    }

    /// Work never makes a block final.
    fn check_proof(&self, _: BlockId, _: Height, _: &Proof, _: &ValidatorSet) -> Result<(), Reject> {
        Err(Reject::invalid("no-finality"))
    }

    fn run(self: Arc<Self>, chain: ChainHandle<L>) -> BoxFuture<'static, Result<(), Fault>> {
        Box::pin(miner::run(self, chain))
    }
}
