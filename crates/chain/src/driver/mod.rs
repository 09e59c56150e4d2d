//! The driver: block tree, state, pool, journal and events of one chain.
//!
//! ```text
//! Header ─body, prepare→ Stored ─execute on the parent's picture→ Executed(n jobs and the root) ─n = 0→ Valid ─journal→ head
//!
//!            head ──────────────► what everybody sees; the rows stand here
//!              └─ base            where the pipeline starts: the head, or the fork point of a heavier branch
//!                  └─ flight ─ flight ─ flight ─► tip     executed, checks running; each one a layer above the base
//! ```
//!
//! Invariants:
//! - the rows and the journal only ever hold what is published; what is merely executed lives in layers above them, so
//!   a block that fails costs nothing but its layer;
//! - the journal is written before the rows move, and the pool is told before the head is published;
//! - a [`Fault`] changes no status: the work is tried again with the next message. Only a stored body that cannot be read any
//!   more is as if it had not come.
//!
//! Single-threaded: whoever owns the driver feeds it [`Message`]s, one at a time. Start reading at [`Driver::handle`],
//! then `pipeline.rs`.

mod amend;
mod bodies;
mod commands;
mod durable;
mod import;
mod pipeline;
mod records;
mod recover;
mod rollback;
mod roots;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_channel::oneshot;

use crate::driver::amend::Revision;
use crate::driver::durable::Durability;
pub use crate::driver::durable::Syncing;
use crate::driver::pipeline::Flight;
pub(crate) use crate::driver::records::Record;
use crate::driver::roots::Roots;
use crate::tree::Status;
use crate::{
    BlockId, Command, Consensus, Executed, Fault, Imported, Inbox, Ledger, Notice, Pool, Prepared, Published,
    Reject, StateView, Store, Timeline, Timestamp, View, Workers,
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
        /// Where the verdict on the block goes.
        reply: oneshot::Sender<Result<Imported, Reject>>,
    },
    /// All deferred checks of an executed block are done.
    JobsDone {
        /// Names the execution they belong to.
        flight: u64,
        /// What the first check said, in the order of the block, that failed; the state root comes last.
        result: Result<(), Reject>,
    },
    /// A maintenance task of the store has ended.
    Maintained,
    /// A sync beside the driver has ended.
    Synced(Result<Syncing<L>, Fault>),
    /// The driver's note to itself that a long way back is not finished.
    GoOn,
}

/// How much the driver keeps in flight.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Blocks executed whose checks are still running.
    pub unproven_blocks_max: usize,
    /// Bytes of deltas of such blocks.
    pub unproven_bytes_max: usize,
    /// Prepared blocks that wait in memory for execution; further ones are read back from the disk.
    pub prepared_blocks_max: usize,
    /// Encoded bytes of such blocks; more than what peers may send ahead.
    pub prepared_bytes_max: usize,
    /// Blocks that leave the chain at once; a longer way back is gone in pieces.
    pub rollback_blocks_max: usize,
    /// Bytes of deltas and bodies of such blocks.
    pub rollback_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unproven_blocks_max: 12,
            unproven_bytes_max: 64 << 20,
            prepared_blocks_max: 1024,
            prepared_bytes_max: 96 << 20,
            rollback_blocks_max: 512,
            rollback_bytes_max: 64 << 20,
        }
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

type Verdict<T> = oneshot::Sender<Result<T, Reject>>;

/// Block tree, state, pool, journal and events of one chain. Single-threaded: whoever owns it feeds it messages.
pub struct Driver<L: Ledger> {
    parts: Parts<L>,
    published: Arc<Published<L>>,
    timeline: Timeline,
    /// The published view, without a lock and without what was changed by hand.
    head: View<L>,
    /// Where the pipeline starts, with what was changed by hand there.
    base: View<L>,
    flights: VecDeque<Flight<L>>,
    flight_count: u64,
    /// Blocks on their way to execution, with their encoded length in bytes.
    prepared: HashMap<BlockId, (usize, Arc<Prepared<L>>)>,
    prepared_bytes: usize,
    /// What building our own blocks gave, until they are executed.
    built: HashMap<BlockId, Executed<L>>,
    /// Bodies the workers have, and how many of each: two may come under one id.
    preparing: HashMap<BlockId, usize>,
    waiting: HashMap<BlockId, Vec<Verdict<Imported>>>,
    /// Finalized by the engine, not yet connected.
    finalizing: Vec<(BlockId, crate::Proof, Verdict<()>)>,
    /// Answered when there is nothing left to do; with an error if the block they ask for has fallen.
    settling: Vec<(Option<BlockId>, Verdict<()>)>,
    /// Changes by hand that wait until nothing is in flight.
    revisions: VecDeque<(Revision<L>, Verdict<()>)>,
    /// The block the chain is going back to by hand.
    rewinding: Option<BlockId>,
    roots: Arc<Roots<L>>,
    maintaining: bool,
    /// A fault stopped the pipeline; the next message tries again.
    stalled: bool,
    /// A long way back is not finished; [`Message::GoOn`] is on its way.
    unfinished: bool,
    durability: Durability,
}

impl<L: Ledger> Driver<L> {
    /// What others may read.
    pub fn published(&self) -> Arc<Published<L>> {
        Arc::clone(&self.published)
    }

    /// Whether nothing is in flight: all known work is done.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty() && !self.unfinished
    }

    /// Handles one message. `now` is the node's time.
    pub fn handle(&mut self, message: Message<L>, now: Timestamp) {
        if self.stalled {
            self.advance(now);
        }
        self.look_at_suspects(now);
        match message {
            Message::Command(command) => self.command(command, now),
            Message::Prepared { id, result, reply } => self.body_prepared(id, result, reply, now),
            Message::JobsDone { flight, result } => self.jobs_done(flight, result, now),
            Message::Maintained => self.maintaining = false,
            Message::Synced(result) => self.synced(result),
            Message::GoOn if self.unfinished => self.advance(now),
            Message::GoOn => {}
        }
        self.revise_waiting(now);
        self.maintain();
        self.keep_durable(now);
    }

    fn command(&mut self, command: Command<L>, now: Timestamp) {
        // A dropped reply means nobody waits for the answer, which is fine.
        match command {
            Command::ImportHeaders(headers, reply) => {
                drop(reply.send(self.import_headers(headers, now)));
            }
            Command::Import { block, executed, reply } => self.import(block, executed, reply, now),
            Command::Check(block, reply) => drop(reply.send(self.check(block))),
            Command::Build(parent, on, reply) => drop(reply.send(self.build(parent, &on))),
            Command::Submit { tx, dry_run, reply } => drop(reply.send(self.submit(tx, dry_run, now))),
            Command::Prefer(id, reply) => self.prefer(id, reply, now),
            Command::Safe(id, reply) => drop(reply.send(self.set_safe(id))),
            Command::Finalize(id, proof, reply) => self.finalize(id, proof, reply, now),
            Command::Invalidate(id, reply) => self.invalidate(id, reply, now),
            Command::Reconsider(id, reply) => self.reconsider(id, reply, now),
            Command::Amend(change, reply) => self.revise(Revision::Amend(change), reply, now),
            Command::Rewind(to, delta, reply) => self.revise(Revision::Rewind(to, delta), reply, now),
            Command::Sync(reply) => drop(reply.send(self.sync())),
            Command::WithPool(change) => change(&mut self.published.pool.write()),
            Command::ExpirePool => self.published.pool.write().expire(now),
        }
    }

    /// Lets the store flush or compact on a worker, one task at a time.
    fn maintain(&mut self) {
        if self.maintaining {
            return;
        }
        if let Some(task) = self.parts.store.maintenance() {
            self.maintaining = true;
            let inbox = self.parts.inbox.clone();
            self.parts.workers.spawn(Box::new(move || {
                task();
                inbox(Message::Maintained);
            }));
        }
    }

    fn status(&self, id: &BlockId) -> Option<Status> {
        self.published.tree.read().get(id).map(|entry| entry.status.clone())
    }

    fn rows_view(&self) -> StateView {
        StateView::new(self.parts.ledger.tables(), self.parts.store.rows(), self.timeline.pin())
    }

    /// Remembers a fault of ours, for the operator; nothing else changes because of it.
    fn note_fault(&self, fault: &Fault) {
        *self.published.fault.lock() = Some(fault.clone());
        self.published.notify(Notice::Stopping);
    }
}
