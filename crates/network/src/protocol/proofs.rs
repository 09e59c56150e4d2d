//! Chains led by certificates: what is final, and what headers are worth there.
//!
//! Headers that weigh nothing cost nothing to make, so weight cannot tell a chain from a flood. Where certificates lead, headers
//! are remembered only with one: it travels before the `headers` it belongs to, or after them when it is made later. A peer's
//! headers without one are held back, one answer per peer, and never reach the driver. While no block of the chain has been
//! certified yet (a new node; an engine without certificates), [`WEIGHTLESS_AHEAD`] headers are taken from all peers together
//! until the head moves.

use bytes::Bytes;
use chainwright_chain::{BlockId, Header, Headers, Ledger, Proof, Reject, Weight};

use super::{ConnectionKind, Farewell, Output, PeerId, Pending, Protocol, Token};
use crate::message::Message;

/// Headers without weight and without a certificate that are taken ahead of the head.
const WEIGHTLESS_AHEAD: u32 = 8_000;
/// Most certificates kept for blocks that are still with the driver.
const PROOFS_MAX: usize = 64;
/// Longest certificate kept for a block we do not know yet.
const PROOF_BYTES_MAX: usize = 1 << 16;

/// What a peer has shown of a branch that weighs nothing, and what is not in the tree yet.
pub(super) struct Unproven<L: Ledger> {
    /// The newest certificate of a block we do not know.
    proof: Option<(BlockId, Proof)>,
    /// Its last headers for which there is none, and whether the answer they came in was full.
    headers: (Vec<L::Header>, bool),
}

impl<L: Ledger> Default for Unproven<L> {
    fn default() -> Self {
        Self { proof: None, headers: (Vec::new(), false) }
    }
}

impl<L: Ledger> Protocol<L> {
    /// Takes headers that weigh nothing and whose parent is known.
    pub(super) fn connect_weightless(
        &mut self,
        id: PeerId,
        start: &Headers<L>,
        mut headers: Vec<L::Header>,
        full: bool,
    ) {
        match self.proven(id, start, &headers) {
            Err(reject) => self.misbehaved(id, Farewell::Invalid { what: "proof", reject }),
            Ok(0) if self.is_led_by_proofs() => self.hold_headers(id, headers, full),
            Ok(0) => self.take_on_trust(id, start, headers, full),
            Ok(proven) => {
                let rest = headers.split_off(proven);
                self.hold_headers(id, rest, full);
                self.import_headers(id, headers, full);
            }
        }
    }

    /// How many of these headers a certificate covers.
    fn proven(&self, id: PeerId, start: &Headers<L>, headers: &[L::Header]) -> Result<usize, Reject> {
        let held = self.peers.get(&id).and_then(|peer| peer.headers.unproven.proof.as_ref());
        let Some((block, proof)) = held else { return Ok(0) };
        let Some(at) = headers.iter().position(|header| header.id() == *block) else { return Ok(0) };
        let height = chainwright_chain::Height(start.height().0.saturating_add(at as u32 + 1));
        let epoch = self.consensus.epoch(height);
        // A disk that fails is noticed by the driver.
        let validators = self.published.ledger().validators(&self.published.head(), epoch);
        let Ok(validators) = validators else { return Ok(0) };
        match self.consensus.check_proof(*block, height, proof, &validators) {
            Ok(()) if proof.0.is_empty() => Ok(0),
            Ok(()) => Ok(at + 1),
            Err(Reject::Invalid(reason)) => Err(Reject::Invalid(reason)),
            Err(_) => Ok(0),
        }
    }

    /// Whether this chain's blocks are certified one after the other.
    fn is_led_by_proofs(&self) -> bool {
        let finalized = self.published.finalized();
        let proof = finalized.and_then(|finalized| self.published.proof(&finalized.id()));
        proof.is_some_and(|proof| !proof.0.is_empty())
    }

    fn hold_headers(&mut self, id: PeerId, headers: Vec<L::Header>, full: bool) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.headers.unproven.headers = (headers, full);
        }
    }

    /// Without certificates only a bound on what all peers can make us keep helps. The operator's peers are trusted.
    fn take_on_trust(&mut self, id: PeerId, start: &Headers<L>, headers: Vec<L::Header>, full: bool) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let head = self.published.head().headers;
        let count = headers.len() as u32;
        let end = start.height().0.saturating_add(count);
        let too_far = end > head.height().0.saturating_add(WEIGHTLESS_AHEAD);
        let too_many = self.taken_on_trust.saturating_add(count) > WEIGHTLESS_AHEAD;
        if too_far || too_many && peer.kind != ConnectionKind::Manual {
            peer.headers.more = true;
            return;
        }
        let published = &self.published;
        let fresh = headers.iter().filter(|header| published.headers(&header.id()).is_none()).count();
        self.taken_on_trust = self.taken_on_trust.saturating_add(fresh as u32);
        self.import_headers(id, headers, full);
    }

    /// Sends the certificate that makes headers (the lowest first) worth keeping, before them.
    pub(super) fn send_proof_of(&mut self, id: PeerId, blocks: &[Headers<L>]) {
        let weighs = |block: &Headers<L>| self.consensus.weight(block.header()) != Weight::ZERO;
        if blocks.last().is_none_or(weighs) {
            return;
        }
        let certified = |block: &Headers<L>| Some((block.id(), self.published.proof(&block.id())?));
        let last = blocks.iter().rev().find_map(certified);
        if let Some((block, proof)) = last {
            self.send(id, &Message::Proof { id: block, proof: proof.0 });
        }
    }

    pub(super) fn proof_received(&mut self, id: PeerId, block: BlockId, proof: Bytes) {
        if self.downloads.importing.contains_key(&block) {
            if self.held_proofs.len() < PROOFS_MAX {
                self.held_proofs.insert(block, (id, proof));
            }
            return;
        }
        let finalized = self.published.finalized();
        let Some(headers) = self.published.headers(&block) else {
            return self.proof_of_unknown(id, block, proof);
        };
        if finalized.is_some_and(|finalized| finalized.contains(&headers)) {
            return;
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.budget.spend(5.0);
        }
        let token = self.token(Pending::Proof { peer: id });
        self.outputs.push_back(Output::Finalize { token, id: block, proof: Proof(proof) });
    }

    /// Headers that wait for it go on; else they are still to come, or have to be asked for.
    fn proof_of_unknown(&mut self, id: PeerId, block: BlockId, proof: Bytes) {
        let head = self.published.head().headers;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.budget.spend(5.0);
        if proof.len() > PROOF_BYTES_MAX || self.consensus.weight(head.header()) != Weight::ZERO {
            return;
        }
        let unproven = &mut peer.headers.unproven;
        unproven.proof = Some((block, Proof(proof)));
        if unproven.headers.0.iter().any(|header| header.id() == block) {
            let (headers, full) = core::mem::take(&mut unproven.headers);
            self.connect_headers(id, headers, full);
        } else {
            peer.headers.unknown = Some(block);
            self.expect_news(id);
        }
    }

    pub(super) fn finalized(&mut self, token: Token, result: Result<(), Reject>) {
        let Some(Pending::Proof { peer }) = self.pending.remove(&token) else { return };
        if let Err(Reject::Invalid(reason)) = result {
            self.misbehaved(peer, Farewell::Invalid { what: "proof", reject: Reject::Invalid(reason) });
        }
        self.downloads.refill_all = true;
    }
}
