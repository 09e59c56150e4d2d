//! Transactions that wait for a block. Rules are the ledger's; the driver tells the pool of every head change.

use std::sync::Arc;

use crate::{Fault, Ledger, Prepared, Refusal, Step, Timestamp, Transaction, TxId, View};

/// What taking a transaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Transactions that had to go: replaced, or evicted for space.
    pub removed: Vec<TxId>,
}

/// A change of the head as the pool sees it: the new state and the blocks in between.
pub struct HeadChange<'a, L: Ledger> {
    /// Blocks that left the chain, the highest first.
    pub disconnected: &'a [Arc<Prepared<L>>],
    /// Blocks that joined the chain, the lowest first.
    pub connected: &'a [Arc<Prepared<L>>],
    /// What the change did to the rows: the way down from the old head, then the way up to the new one.
    pub steps: &'a [Step],
    /// The chain as it stands now.
    pub head: &'a View<L>,
    /// The node's time.
    pub now: Timestamp,
}

/// The pool of one ledger.
///
/// Invariant: after [`Pool::head_changed`] every transaction in the pool could be put into a block on the new head, and each
/// disconnected transaction is in the pool again, or in the chain, or conflicts with the change, or is refused by policy.
pub trait Pool<L: Ledger>: Default + Send + Sync + 'static {
    /// Checks a transaction against `head` and the pool, and keeps it. With `dry_run` nothing changes.
    ///
    /// # Errors
    /// Why it is not taken; the pool has not changed then.
    fn submit(&mut self, ledger: &L, tx: Arc<L::Tx>, at: &PoolContext<'_, L>) -> Result<Admission, Refusal>;

    /// Follows the chain. Whoever reads the pool next sees the new head, too.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    fn head_changed(&mut self, ledger: &L, change: &HeadChange<'_, L>) -> Result<(), Fault>;

    /// A transaction by the id peers announce, or by its id. Searches them all unless there is a better way.
    fn get(&self, id: &TxId) -> Option<Arc<L::Tx>> {
        self.all().into_iter().find(|tx| tx.id() == *id || tx.relay_id() == *id)
    }

    /// How many transactions wait.
    fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether none wait.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a block made now would take any. What only waits for something else to come need not count.
    fn is_ready(&self) -> bool {
        !self.is_empty()
    }

    /// All transactions, parents before children.
    fn all(&self) -> Vec<Arc<L::Tx>>;

    /// Drops what has waited too long; nothing ever has unless said otherwise.
    fn expire(&mut self, _now: Timestamp) {}
}

/// What a submission is judged against.
pub struct PoolContext<'a, L: Ledger> {
    /// The chain as it stands.
    pub head: &'a View<L>,
    /// The node's time.
    pub now: Timestamp,
    /// Judge only; keep nothing.
    pub dry_run: bool,
}
