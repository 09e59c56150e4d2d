//! State roots: the ledger's index at a movable cursor, and the comparison that overlaps with execution.
//!
//! ```text
//!   execute(N+1)   driver's thread ─────────────────────────►          the cursor follows deltas, down to the fork and up again
//!   root(N)        a worker        ──────────►                              ○ ─ ○ ─ fork ─ ○ ─ ○  from
//!   jobs(N)        other workers   ───►──►──►──►                                      └─── ○ ─ ○  to
//! ```
//!
//! A header's state root is compared by a task of its own, counted as one of its block's checks, so that it overlaps with the
//! execution of later blocks. There is one index, and it stands at one block at a time. "The root after block B" moves it from
//! wherever it stands to B; between consecutive blocks that is one delta. So comparisons give the same answer in whatever order
//! they run, whatever was published, dropped or undone meanwhile.
//!
//! Where deltas come from: of blocks in flight from `pending`, of blocks that were ever connected from the journal, and of the
//! blocks the cursor stands on, published or not, from its own trail. A delta enters `pending` before its comparison is asked
//! for, and leaves it only after it is in the journal or its block has been dropped; a comparison that finds neither belongs to
//! a dropped block, and nobody waits for its answer.
//!
//! Invariants:
//! - `index` has followed exactly the deltas from genesis to `at`, and `loose` if there is one;
//! - a [`Fault`] half-way leaves the cursor at a block between, never between blocks;
//! - whoever compares takes one waiting comparison after another: two threads never wait for one index.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::pipeline::Countdown;
use crate::{
    BlockId, Delta, Fault, Hash, Headers, Index, Ledger, Published, Reason, Reject, StateView, View, Workers,
};

/// Deltas in `pending` beyond those in flight before it is swept.
const PENDING_SLACK: usize = 16;

/// The ledger's index, and everything that is needed to ask it for the root after any executed block.
pub(super) struct Roots<L: Ledger> {
    published: Arc<Published<L>>,
    /// Deltas of blocks that are executed and may not be in the journal.
    pending: Mutex<HashMap<BlockId, Delta>>,
    queue: Mutex<Queue<L>>,
    cursor: Mutex<Cursor<L>>,
}

/// Comparisons that wait, by the number of their flight: earlier blocks first.
struct Queue<L: Ledger> {
    waiting: BTreeMap<u64, Comparison<L>>,
    /// A task is on its way that will take all of them.
    running: bool,
}

/// A header's root to compare.
pub(super) struct Comparison<L: Ledger> {
    /// The block, whose header carries the root.
    pub(super) block: Headers<L>,
    /// The root its header carries.
    pub(super) expected: Hash,
    /// Where the result is counted, as the check at position `at` of its block.
    pub(super) countdown: Arc<Countdown<L>>,
    /// The last position: what the ledger's own checks say comes first.
    pub(super) at: usize,
}

/// The index and where it stands.
struct Cursor<L: Ledger> {
    at: Headers<L>,
    index: L::Index,
    /// The deltas of the last blocks up to `at`, oldest first; at least those that are not published.
    trail: VecDeque<Delta>,
    /// A delta on top of `at` that belongs to no block yet, and the root after it: a block that is being built.
    loose: Option<(Delta, Hash)>,
}

impl<L: Ledger> Roots<L> {
    /// Loads the index from the rows of the head and compares its root with the head's header.
    ///
    /// # Errors
    /// A [`Fault`] when reading the rows fails, or they do not hash to the header's root.
    pub(super) fn load(head: &View<L>, published: Arc<Published<L>>) -> Result<Arc<Self>, Fault> {
        let index = load_checked::<L>(&head.state, &head.headers)?;
        let cursor = Cursor { at: head.headers.clone(), index, trail: VecDeque::new(), loose: None };
        Ok(Arc::new(Self {
            published,
            pending: Mutex::new(HashMap::new()),
            queue: Mutex::new(Queue { waiting: BTreeMap::new(), running: false }),
            cursor: Mutex::new(cursor),
        }))
    }

    /// Remembers what a block does that has been executed. `in_flight` are all such blocks, this one included.
    pub(super) fn executed<'a>(
        &self,
        id: BlockId,
        delta: &Delta,
        in_flight: impl ExactSizeIterator<Item = &'a BlockId>,
    ) {
        let mut pending = self.pending.lock();
        pending.insert(id, delta.clone());
        if pending.len() > 2 * in_flight.len() + PENDING_SLACK {
            let kept: HashMap<_, _> = in_flight.filter_map(|id| pending.remove_entry(id)).collect();
            *pending = kept;
        }
    }

    /// Compares on a worker.
    pub(super) fn compare(self: &Arc<Self>, workers: &dyn Workers, flight: u64, comparison: Comparison<L>) {
        let idle = {
            let mut queue = self.queue.lock();
            queue.waiting.insert(flight, comparison);
            !core::mem::replace(&mut queue.running, true)
        };
        if idle {
            let roots = Arc::clone(self);
            workers.spawn(Box::new(move || roots.run()));
        }
    }

    /// Takes one comparison after another until none waits.
    fn run(&self) {
        loop {
            let next = {
                let mut queue = self.queue.lock();
                let next = queue.waiting.pop_first();
                queue.running = next.is_some();
                next
            };
            let Some((_, comparison)) = next else { return };
            let Comparison { block, expected, countdown, at } = comparison;
            let result = if countdown.is_moot(at) { Ok(()) } else { self.judge(&block, expected) };
            countdown.finish(at, result);
        }
    }

    fn judge(&self, block: &Headers<L>, expected: Hash) -> Result<(), Reject> {
        let mut cursor = self.cursor.lock();
        let root = self.move_to(&mut cursor, block).and_then(|built| match built {
            Some(root) => Ok(Some(root)),
            None => cursor.index.root(),
        })?;
        same_root(expected, root)
    }

    /// Compares the root after a delta on top of an executed block, here and now.
    ///
    /// # Errors
    /// [`Reject::Invalid`] `bad-state-root`, or [`Reject::Fault`] as [`Roots::after`].
    pub(super) fn check(&self, parent: &Headers<L>, delta: &Delta, expected: Hash) -> Result<(), Reject> {
        same_root(expected, self.after(parent, delta)?)
    }

    /// The root after a delta on top of an executed block, here and now.
    ///
    /// # Errors
    /// A [`Fault`] when a delta on the way is in no journal, or the disk fails.
    pub(super) fn after(&self, parent: &Headers<L>, delta: &Delta) -> Result<Option<Hash>, Fault> {
        let mut cursor = self.cursor.lock();
        if let Some((loose, root)) = &cursor.loose
            && cursor.at.id() == parent.id()
            && loose.is_same(delta)
        {
            return Ok(Some(*root));
        }
        cursor.drop_loose();
        self.move_to(&mut cursor, parent)?;
        cursor.index.follow(delta);
        let root = cursor.index.root();
        match root {
            Ok(Some(root)) => cursor.loose = Some((delta.clone(), root)),
            _ => cursor.index.follow(&delta.inverse()),
        }
        root
    }

    /// Moves the cursor to an executed block. `Some` is its root, where it is known already: the block was built here.
    fn move_to(&self, cursor: &mut Cursor<L>, to: &Headers<L>) -> Result<Option<Hash>, Fault> {
        if let Some((loose, root)) = cursor.loose.take() {
            let adopted = to.header_parent() == cursor.at.id()
                && self.pending.lock().get(&to.id()).is_some_and(|delta| delta.is_same(&loose));
            if adopted {
                cursor.trail.push_back(loose);
                cursor.at = to.clone();
                self.trim(cursor);
                return Ok(Some(root));
            }
            cursor.index.follow(&loose.inverse());
        }
        let fork = cursor.at.fork_point(to);
        while cursor.at.height() > fork.height() {
            cursor.step_down(|id| self.delta_of(id))?;
        }
        let mut way: Vec<_> = to.down().take_while(|block| block.height() > fork.height()).collect();
        while let Some(block) = way.pop() {
            let delta = self.delta_of(&block.id())?;
            cursor.index.follow(&delta);
            cursor.trail.push_back(delta);
            cursor.at = block;
            if way.len() % 64 == 0 {
                self.trim(cursor);
            }
        }
        Ok(None)
    }

    /// Forgets deltas that can be read back: what was once published is in the journal.
    fn trim(&self, cursor: &mut Cursor<L>) {
        let head = self.published.head.read().headers.clone();
        let shared = cursor.at.fork_point(&head).height();
        let unpublished = cursor.at.height().above(shared) as usize;
        while cursor.trail.len() > unpublished {
            cursor.trail.pop_front();
        }
    }

    fn delta_of(&self, id: &BlockId) -> Result<Delta, Fault> {
        if let Some(delta) = self.pending.lock().get(id) {
            return Ok(delta.clone());
        }
        let missing =
            || Fault::new(format!("neither flight nor journal has the delta of block {}", L::show_id(&id.0)));
        Ok(self.published.bodies.connected(id)?.ok_or_else(missing)?.delta)
    }
}

impl<L: Ledger> Cursor<L> {
    fn drop_loose(&mut self) {
        if let Some((loose, _)) = self.loose.take() {
            self.index.follow(&loose.inverse());
        }
    }

    fn step_down(&mut self, delta_of: impl Fn(&BlockId) -> Result<Delta, Fault>) -> Result<(), Fault> {
        let Some(parent) = self.at.parent() else { return Ok(()) };
        let delta = match self.trail.back() {
            Some(delta) => delta.clone(),
            None => delta_of(&self.at.id())?,
        };
        self.index.follow(&delta.inverse());
        self.trail.pop_back();
        self.at = parent;
        Ok(())
    }
}

fn same_root(expected: Hash, got: Option<Hash>) -> Result<(), Reject> {
    if got == Some(expected) {
        return Ok(());
    }
    let got = got.map_or_else(|| "none".to_owned(), |root| root.to_string());
    Err(Reject::Invalid(Reason::with("bad-state-root", format!("expected {expected}, got {got}"))))
}

/// The index of the state after a block, compared with the root the block's header carries.
fn load_checked<L: Ledger>(state: &StateView, at: &Headers<L>) -> Result<L::Index, Fault> {
    let mut index = L::Index::load(state)?;
    if let Some(expected) = at.state_root() {
        let got = index.root()?;
        if got != Some(expected) {
            let got = got.map_or_else(|| "none".to_owned(), |root| root.to_string());
            let block = L::show_id(&at.id().0);
            return Err(Fault::new(format!(
                "the state on disk is damaged, or genesis differs: its root is {got}, block {block} has {expected}"
            )));
        }
    }
    Ok(index)
}
