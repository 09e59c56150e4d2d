//! What survives a power cut: the head follows at a short distance, on a worker.
//!
//! Consumers of events see the chain up to there and no further, so none of them ever stands on a block that a power cut took
//! away. At the end of the chain every new head is synced at once, while blocks pour in every half minute.

use super::{Driver, Message};
use crate::{Fault, Headers, Ledger, Notice, Timestamp, Workers};

/// Seconds between two syncs while blocks are still coming.
const SYNC_SECONDS: u64 = 30;

/// A head on its way to the disk, and how many heads there were before it.
pub struct Syncing<L: Ledger> {
    commits: u64,
    head: Headers<L>,
}

/// How far the head is from being durable.
#[derive(Default)]
pub(super) struct Durability {
    /// Heads published so far.
    pub(super) commits: u64,
    /// How many of them are durable.
    durable: u64,
    /// How many of them the last sync was for. One that failed is tried again with the next head.
    tried: u64,
    syncing: bool,
    synced_at: Timestamp,
}

impl<L: Ledger> Driver<L> {
    /// Starts a sync if one is due.
    pub(super) fn keep_durable(&mut self, now: Timestamp) {
        let Durability { commits, durable, tried, syncing, synced_at } = self.durability;
        if syncing || commits == durable || commits == tried {
            return;
        }
        let caught_up = self.is_idle()
            && self.preparing.is_empty()
            && self.published.best_header().weight() <= self.head.headers.weight();
        if !caught_up && now.0.abs_diff(synced_at.0) < SYNC_SECONDS {
            return;
        }
        (self.durability.synced_at, self.durability.tried) = (now, commits);
        let Some(sync) = self.parts.store.sync_task() else {
            // A failure is noted for the operator.
            return drop(self.sync());
        };
        self.durability.syncing = true;
        let syncing = Syncing { commits, head: self.head.headers.clone() };
        let inbox = self.parts.inbox.clone();
        self.parts.workers.spawn(Box::new(move || {
            let result = sync();
            inbox(Message::Synced(result.map(|()| syncing)));
        }));
    }

    pub(super) fn synced(&mut self, result: Result<Syncing<L>, Fault>) {
        self.durability.syncing = false;
        match result {
            Ok(Syncing { commits, head }) => self.set_durable(commits, head),
            Err(fault) => self.note_fault(&fault),
        }
    }

    /// Makes everything durable here and now.
    ///
    /// # Errors
    /// A [`Fault`] of the disk, which is noted.
    pub(super) fn sync(&mut self) -> Result<(), Fault> {
        self.parts.store.sync().inspect_err(|fault| self.note_fault(fault))?;
        self.set_durable(self.durability.commits, self.head.headers.clone());
        Ok(())
    }

    fn set_durable(&mut self, commits: u64, head: Headers<L>) {
        if commits <= self.durability.durable {
            return;
        }
        self.durability.durable = commits;
        let (id, height) = (head.id(), head.height());
        *self.published.durable.write() = head;
        self.published.notify(Notice::Durable(id, height));
    }
}
