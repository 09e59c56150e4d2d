//! The driver.

use std::sync::Arc;

use crate::{
    BlockId, Command, Consensus, Fault, Inbox, Ledger, Prepared, Published, Reason, Reject, Store, Timestamp,
    Workers,
};

/// What reaches the driver: questions from outside, results from its workers.
pub enum Message<L: Ledger> {
    /// A question.
    Command(Command<L>),
    /// A body has been prepared.
    Prepared {
        /// The block.
        id: BlockId,
        /// What came out.
        result: Result<Arc<Prepared<L>>, Reject>,
    },
    /// Some deferred checks of a block are done.
    JobsDone {
        /// The block.
        id: BlockId,
        /// How many jobs this message speaks of.
        count: usize,
        /// The reason of the first failure.
        result: Result<(), Reason>,
    },
    /// A maintenance task of the store has ended.
    Maintained,
}

/// How much the driver keeps in flight.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Blocks executed whose checks are still running.
    pub unproven_blocks_max: usize,
    /// Bytes of deltas of such blocks.
    pub unproven_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unproven_blocks_max: 12, unproven_bytes_max: 64 << 20 }
    }
}

/// What a driver is made of.
pub struct Parts<L: Ledger> {
    /// The ledger.
    pub ledger: Arc<L>,
    /// The engine.
    pub consensus: Arc<dyn Consensus<L>>,
    /// The disk.
    pub store: Box<dyn Store>,
    /// Where work runs.
    pub workers: Arc<dyn Workers>,
    /// Where workers send their results; leads back to [`Driver::handle`].
    pub inbox: Inbox<L>,
    /// How much is kept in flight.
    pub limits: Limits,
}

/// Block tree, state, pool, journal and events of one chain. Single-threaded: whoever owns it feeds it messages.
pub struct Driver<L: Ledger> {
    parts: Parts<L>,
    published: Arc<Published<L>>,
}

impl<L: Ledger> Driver<L> {
    /// Opens the chain in a store: writes genesis into a new one, repairs what a crash left in an old one.
    ///
    /// # Errors
    /// A [`Fault`] when the disk fails, or the store belongs to another chain.
    pub fn open(parts: Parts<L>, _now: Timestamp) -> Result<Self, Fault> {
        let _ = parts;
        Err(Fault::new("under construction"))
    }

    /// What others may read.
    pub fn published(&self) -> Arc<Published<L>> {
        Arc::clone(&self.published)
    }

    /// Handles one message. `now` is the node's time.
    pub fn handle(&mut self, _message: Message<L>, _now: Timestamp) {
        let _ = &self.parts;
    }
}
