//! What any thread may read at any time: the head, the tree, the pool, and where bodies lie.
//!
//! The driver is the only writer. Readers hold no lock while they work: they take clones of immutable views.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_channel::mpsc;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use crate::amend::Amendments;
use crate::tree::{BlockInfo, Status, Tree};
use crate::watched::Watched;
use crate::{BlockId, Bodies, Codec, Delta, Fault, Headers, Height, Ledger, Proof, TxId, View};

/// Something changed; a hint to look again. Hints may be dropped when a subscriber lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The published head moved.
    Head(BlockId, Height),
    /// A heavier valid header is known.
    BestHeader(BlockId, Height),
    /// The pool took a transaction.
    Pooled {
        /// What other transactions and people call it.
        id: TxId,
        /// What peers announce.
        relay_id: TxId,
    },
    /// A block became final.
    Finalized(BlockId, Height),
    /// The head as it would be found after a power cut moved: there are events to ask for.
    Durable(BlockId, Height),
    /// A stored body turned out to be unreadable: it is wanted again. See [`Published::missing_bodies`].
    BodyMissing(BlockId, Height),
    /// The chain stops.
    Stopping,
}

/// Notices a slow subscriber may leave unread before further ones are dropped.
const NOTICES_MAX: usize = 4096;

/// A position in the event stream: the block a consumer has processed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
}

/// One step of the head, totally ordered, at least once.
pub enum Event<L: Ledger> {
    /// A block left the chain; after it the consumer stands at its parent.
    Disconnected(Box<EventBlock<L>>),
    /// A block joined the chain.
    Connected(Box<EventBlock<L>>),
}

/// The block an event is about.
pub struct EventBlock<L: Ledger> {
    /// Where the consumer stands after this event; asking on from here acknowledges it.
    pub cursor: Cursor,
    /// Height of the block.
    pub height: Height,
    /// Id of the block.
    pub id: BlockId,
    /// The block.
    pub block: L::Block,
    /// What it did when it was connected; take the inverse of a disconnected one.
    pub delta: Delta,
    /// What its execution reported.
    pub receipts: L::Receipts,
}

/// The readable side of a chain.
pub struct Published<L: Ledger> {
    pub(crate) ledger: Arc<L>,
    /// As its header commits to it.
    pub(crate) head: RwLock<View<L>>,
    /// Locked before `head`, after `tree`.
    pub(crate) amendments: RwLock<Amendments>,
    pub(crate) tree: RwLock<Tree<L>>,
    pub(crate) pool: RwLock<L::Pool>,
    pub(crate) bodies: Arc<dyn Bodies>,
    /// The same as `bodies`.
    pub(crate) watched: Arc<Watched>,
    /// Blocks of the chain whose bodies have become unreadable.
    pub(crate) missing: RwLock<BTreeSet<(Height, BlockId)>>,
    /// A head of which everything survives a power cut.
    pub(crate) durable: RwLock<Headers<L>>,
    pub(crate) proofs: RwLock<HashMap<BlockId, Proof>>,
    pub(crate) subscribers: Mutex<Vec<mpsc::Sender<Notice>>>,
    pub(crate) fault: Mutex<Option<Fault>>,
}

impl<L: Ledger> Published<L> {
    /// The ledger.
    pub fn ledger(&self) -> &Arc<L> {
        &self.ledger
    }

    /// The chain as it stands: the longest valid prefix of the leading branch.
    ///
    /// A view pins every delta published after it, about 1 MB per full block of Bitcoin: hold it for one answer, not for hours.
    pub fn head(&self) -> View<L> {
        let amendments = self.amendments.read();
        let head = self.head.read().clone();
        amendments.on(head)
    }

    /// The same without what was changed by hand there: the state that the head's header commits to.
    pub fn sealed_head(&self) -> View<L> {
        self.head.read().clone()
    }

    /// What was changed by hand at a block ([`Command::Amend`](crate::Command::Amend)).
    pub fn amendment(&self, id: &BlockId) -> Delta {
        self.amendments.read().of(id).cloned().unwrap_or_else(Delta::empty)
    }

    /// A view, such as its block left it, with what was changed by hand there.
    pub fn amended(&self, view: View<L>) -> View<L> {
        self.amendments.read().on(view)
    }

    /// The newest head that survives a power cut; events go as far as this.
    pub fn durable(&self) -> Headers<L> {
        self.durable.read().clone()
    }

    /// The heaviest valid header, whose body may be missing.
    pub fn best_header(&self) -> Headers<L> {
        self.tree.read().best_header().clone()
    }

    /// What is known of a block.
    pub fn block(&self, id: &BlockId) -> Option<BlockInfo<L>> {
        let tree = self.tree.read();
        tree.get(id).map(|entry| BlockInfo { headers: entry.headers.clone(), status: entry.status.clone() })
    }

    /// The branch that ends with a block, if its header is known.
    pub fn headers(&self, id: &BlockId) -> Option<Headers<L>> {
        self.tree.read().get(id).map(|entry| entry.headers.clone())
    }

    /// Whether the block is part of the published chain.
    pub fn is_active(&self, block: &Headers<L>) -> bool {
        self.head.read().headers.contains(block)
    }

    /// Ends of all known branches, the published head included.
    pub fn tips(&self) -> Vec<BlockInfo<L>> {
        self.tree.read().tips()
    }

    /// The last block that is safe from reorganisation as far as the engine says.
    pub fn safe(&self) -> Option<Headers<L>> {
        self.tree.read().safe().cloned()
    }

    /// The last block that is final.
    pub fn finalized(&self) -> Option<Headers<L>> {
        self.tree.read().finalized().cloned()
    }

    /// The proof that made a block final, if it was finalized by one.
    pub fn proof(&self, id: &BlockId) -> Option<Proof> {
        self.proofs.read().get(id).cloned()
    }

    /// The pool, for reading. Keep the guard short: the driver waits for it. As long as it is held, [`Published::head`] is the
    /// head that the pool has followed.
    pub fn pool(&self) -> RwLockReadGuard<'_, L::Pool> {
        self.pool.read()
    }

    /// The block this chain begins with: genesis, or the one whose state was imported. Of blocks below it the headers are
    /// known and nothing else; of itself there is a body, but nothing of what it did.
    pub fn base(&self) -> Headers<L> {
        self.tree.read().base().clone()
    }

    /// Stored bodies and deltas.
    pub fn bodies(&self) -> &Arc<dyn Bodies> {
        &self.bodies
    }

    /// Blocks of the chain whose stored bodies have become unreadable, lowest first. Importing such a block again heals it:
    /// the answer is [`Imported::Valid`](crate::Imported::Valid), and nothing is executed twice. Bodies of other blocks that
    /// have become unreadable are not listed: their status is [`Status::Header`](crate::Status::Header) again.
    pub fn missing_bodies(&self) -> Vec<BlockId> {
        self.missing.read().iter().map(|(_, id)| *id).collect()
    }

    /// Whether a body of this block would be taken: it never came, or has become unreadable.
    pub fn wants_body(&self, id: &BlockId) -> bool {
        let tree = self.tree.read();
        let Some(entry) = tree.get(id) else { return false };
        entry.status == Status::Header || self.missing.read().contains(&(entry.headers.height(), *id))
    }

    /// A decoded block; `None` if its body is not stored.
    ///
    /// # Errors
    /// A [`Fault`] when the disk fails or the stored bytes are damaged.
    pub fn read_block(&self, id: &BlockId) -> Result<Option<L::Block>, Fault> {
        let Some(bytes) = self.bodies.body(id)? else { return Ok(None) };
        let damaged = |error| Fault::new(format!("stored block {} is damaged: {error}", L::show_id(&id.0)));
        L::Block::decode(&bytes).map(Some).map_err(damaged)
    }

    /// Hints about changes from now on.
    pub fn subscribe(&self) -> mpsc::Receiver<Notice> {
        let (sender, receiver) = mpsc::channel(NOTICES_MAX);
        self.subscribers.lock().push(sender);
        receiver
    }

    pub(crate) fn notify(&self, notice: Notice) {
        self.subscribers.lock().retain_mut(|subscriber| match subscriber.try_send(notice) {
            Ok(()) => true,
            Err(error) => error.is_full(),
        });
    }

    /// The disk fault that stopped the chain, if one did.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.lock().clone()
    }

    /// Up to `limit` events after `cursor`; `None` starts before genesis, or with the first block after an
    /// imported state ([`Published::base`]). An empty answer means the consumer has
    /// caught up. Asking with the last event's cursor acknowledges it.
    ///
    /// Events go up to [`Published::durable`]: a cursor once given stays known, also after a power cut.
    ///
    /// # Errors
    /// A [`Fault`] when the cursor's block is unknown, or a block or delta on the way is not stored (any more, or until its body
    /// has been fetched again).
    pub fn events(&self, cursor: Option<Cursor>, limit: usize) -> Result<Vec<Event<L>>, Fault> {
        let head = self.durable();
        let mut events = Vec::new();
        let base = self.base().height();
        let mut next = if base == Height::GENESIS { base } else { base.next() };
        if let Some(cursor) = cursor {
            let unknown = || Fault::new(format!("cursor names unknown block {}", L::show_id(&cursor.id.0)));
            let mut at = self.headers(&cursor.id).ok_or_else(unknown)?;
            if !head.contains(&at) && self.is_active(&at) {
                // Not from us, but good: the consumer is ahead.
                return Ok(events);
            }
            let fork = at.fork_point(&head);
            while at.height() > fork.height() && events.len() < limit {
                let parent = at.parent().expect("a block above a fork point has a parent");
                events.push(Event::Disconnected(self.event(&at, &parent)?));
                at = parent;
            }
            next = at.height().next();
        }
        while next <= head.height() && events.len() < limit {
            let block = head.ancestor(next).expect("heights up to the head exist");
            events.push(Event::Connected(self.event(&block, &block)?));
            next = next.next();
        }
        Ok(events)
    }

    fn event(&self, block: &Headers<L>, after: &Headers<L>) -> Result<Box<EventBlock<L>>, Fault> {
        let id = block.id();
        let missing = |what| Fault::new(format!("{what} of block {} is not stored", L::show_id(&id.0)));
        let connected = self.bodies.connected(&id)?.ok_or_else(|| missing("delta"))?;
        let receipts =
            L::Receipts::decode(&connected.receipts).map_err(|error| Fault::new(error.to_string()))?;
        Ok(Box::new(EventBlock {
            cursor: Cursor { height: after.height(), id: after.id() },
            height: block.height(),
            id,
            block: self.read_block(&id)?.ok_or_else(|| missing("body"))?,
            delta: connected.delta,
            receipts,
        }))
    }
}
