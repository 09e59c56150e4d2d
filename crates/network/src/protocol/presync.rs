//! Protection against cheap header floods: a branch is remembered only once it is known to be heavy enough.
//!
//! This is Bitcoin Core's scheme (`headerssync.cpp`), chosen over buffering the branch in memory because its memory does not
//! grow with the branch: the whole of mainnet costs a few hundred bytes in the first pass.
//!
//! 1. *First pass.* Headers are asked for from the last block we share. Each must follow the one before and carry the work it
//!    claims; weights are summed; of every [`PERIOD`]th header (at a secret offset) one bit of a secret hash is kept, nothing
//!    else. Once the sum reaches the threshold the second pass begins.
//! 2. *Second pass.* The same headers are asked for again. They wait in a buffer until [`BUFFER`] more have come and their bits
//!    agree, then they go to the driver, which checks them in full. A peer that shows another branch now has to guess about
//!    24 bits to get a single cheap header stored.
//!
//! Memory per peer: [`BUFFER`] headers and one bit per [`PERIOD`] headers of a branch no longer than time allows.
//! Not taken over: Core's limit on how fast difficulty may change, which only narrows a lucky streak; the driver checks
//! difficulty in full at the second pass.

use std::collections::VecDeque;

use chainwright_chain::{BlockId, Consensus, Header, Headers, Height, Ledger, Weight};

use crate::random::{Random, keyed};

/// Headers per commitment (Bitcoin Core 31, main network).
const PERIOD: u64 = 641;
/// Headers held back in the second pass (likewise).
const BUFFER: usize = 15_218;
/// Blocks a second that median time past allows (Bitcoin Core `HeadersSyncState`).
const BLOCKS_PER_SECOND: u64 = 6;
/// How far a header may be ahead of the clock, in seconds.
const FUTURE_S: u64 = 2 * 60 * 60;

/// The two passes over one peer's branch.
pub(super) struct Presync<L: Ledger> {
    key: [u8; 16],
    offset: u64,
    start: Headers<L>,
    threshold: Weight,
    commitments: VecDeque<bool>,
    commitments_max: u64,
    second: bool,
    /// Of the pass that is running.
    height: Height,
    last: BlockId,
    weight: Weight,
    buffer: VecDeque<L::Header>,
    release_all: bool,
}

/// What to do after some headers.
pub(super) enum Step<H> {
    /// Hand these to the driver; `more`: then ask on.
    Go {
        /// Ready to be stored; may be empty.
        ready: Vec<H>,
        /// Whether to ask for what follows.
        more: bool,
    },
    /// The peer did not show a branch worth having, or another one in the second pass.
    Stop,
    /// A header does not carry the work it claims.
    Cheat,
}

impl<L: Ledger> Presync<L> {
    /// Starts after the last block we share. `now` in seconds since 1970.
    pub(super) fn new(start: Headers<L>, threshold: Weight, random: &mut Random, now: u64) -> Self {
        let seconds = now.saturating_sub(start.median_time().0) + FUTURE_S;
        Self {
            key: random.key(),
            offset: random.below(PERIOD),
            threshold,
            commitments: VecDeque::new(),
            commitments_max: BLOCKS_PER_SECOND * seconds / PERIOD,
            second: false,
            height: start.height(),
            last: start.id(),
            weight: start.weight(),
            buffer: VecDeque::new(),
            release_all: false,
            start,
        }
    }

    /// How far the running pass has come.
    pub(super) fn height(&self) -> Height {
        self.height
    }

    /// The block after which to ask on.
    pub(super) fn last(&self) -> BlockId {
        self.last
    }

    /// The last block we share.
    pub(super) fn start(&self) -> &Headers<L> {
        &self.start
    }

    /// Takes an answer; `full` if it was as long as an answer may be.
    pub(super) fn take(
        &mut self,
        consensus: &dyn Consensus<L>,
        headers: Vec<L::Header>,
        full: bool,
    ) -> Step<L::Header> {
        if self.second {
            self.second_pass(consensus, headers, full)
        } else {
            self.first_pass(consensus, &headers, full)
        }
    }

    fn bit(&self, id: &BlockId) -> bool {
        keyed(&self.key, &[&id.0]) & 1 == 1
    }

    fn commits(&self) -> bool {
        self.height.0 as u64 % PERIOD == self.offset
    }

    fn first_pass(
        &mut self,
        consensus: &dyn Consensus<L>,
        headers: &[L::Header],
        full: bool,
    ) -> Step<L::Header> {
        for header in headers {
            if header.parent() != self.last {
                return Step::Stop;
            }
            if consensus.check_seal(header).is_err() {
                return Step::Cheat;
            }
            self.advance(consensus, header);
            if self.commits() {
                self.commitments.push_back(self.bit(&self.last));
                if self.commitments.len() as u64 > self.commitments_max {
                    return Step::Stop;
                }
            }
        }
        if self.weight >= self.threshold {
            self.second = true;
            (self.height, self.last, self.weight) =
                (self.start.height(), self.start.id(), self.start.weight());
            return Step::Go { ready: Vec::new(), more: true };
        }
        if full { Step::Go { ready: Vec::new(), more: true } } else { Step::Stop }
    }

    fn second_pass(
        &mut self,
        consensus: &dyn Consensus<L>,
        headers: Vec<L::Header>,
        full: bool,
    ) -> Step<L::Header> {
        for header in headers {
            if header.parent() != self.last {
                return Step::Stop;
            }
            self.advance(consensus, &header);
            self.release_all |= self.weight >= self.threshold;
            // After the threshold the branch may have grown beyond what the first pass saw.
            if !self.release_all
                && self.commits()
                && self.commitments.pop_front() != Some(self.bit(&self.last))
            {
                return Step::Stop;
            }
            self.buffer.push_back(header);
        }
        let held = if self.release_all { 0 } else { BUFFER };
        let ready = self.buffer.drain(..self.buffer.len().saturating_sub(held)).collect();
        // Once everything is released ordinary synchronisation goes on by itself.
        Step::Go { ready, more: full && !self.release_all }
    }

    /// Whether both passes are over.
    pub(super) fn is_over(&self) -> bool {
        self.release_all
    }

    fn advance(&mut self, consensus: &dyn Consensus<L>, header: &L::Header) {
        self.height = self.height.next();
        self.last = header.id();
        self.weight = self.weight.plus(consensus.weight(header));
    }
}
