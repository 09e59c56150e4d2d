//! Moving the indexes: events in, batches out.
//!
//! Indexes that stand at the same block move together, so that a block is read once. The one furthest behind goes first, until
//! it meets another.

use std::collections::BTreeSet;

use chainwright_chain::{Block as _, Cursor, Event, EventBlock, Height, Ledger, Transaction as _};

use crate::database::{Batch, Database, Space, encode_cursor};
use crate::generations::SEAL;
use crate::history::encode_old;
use crate::indexes::{
    FLOOR, IndexError, Indexes, Kind, RENEWALS_MAX, States, cursor_at, decode_place, encode_place, floor_at,
};
use crate::key;
use crate::postings::{self, Blocks};

/// What waits in memory is written at this size, in bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Blocks whose old values are dropped in one batch, beside those that are new.
const DROPPED_MAX: u32 = 256;

/// How a block comes or goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

impl<L: Ledger> Indexes<L> {
    /// Follows up to `events_max` events, and whether nothing is left to follow. To be called by one thread. What is damaged is
    /// given up and begun anew.
    ///
    /// # Errors
    /// [`IndexError::Disk`] and [`IndexError::Chain`]: ask again later. [`IndexError::Damaged`] when building again does not
    /// help any more.
    pub fn follow(&self, events_max: usize) -> Result<bool, IndexError> {
        let mut writer = self.writer.lock();
        let found = self.damage.lock().take();
        let moved = match (found, self.database()) {
            (Some(why), _) => Err(IndexError::Damaged(why)),
            (None, Ok(database)) => self.advance(&database, events_max),
            (None, Err(IndexError::Disk(_))) => {
                let database = writer.generations.try_open()?;
                self.set_database(Ok(database));
                return Ok(false);
            }
            (None, Err(error)) => return Err(error),
        };
        match moved {
            Err(IndexError::Damaged(why)) => {
                let given_up = IndexError::Damaged(why);
                if let Ok(old) = self.database() {
                    old.doom();
                }
                self.set_database(Err(given_up.clone()));
                if writer.renewals >= RENEWALS_MAX {
                    return Err(given_up);
                }
                writer.renewals += 1;
                self.set_database(Ok(writer.generations.renew()?));
                Ok(false)
            }
            Err(IndexError::Disk(why)) => {
                // After a failed write nothing more is taken until it is opened again.
                self.set_database(Err(IndexError::Disk(why.clone())));
                Err(IndexError::Disk(why))
            }
            other => other,
        }
    }

    /// Everything written so far survives a power cut.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn sync(&self) -> Result<(), IndexError> {
        Ok(self.database()?.sync()?)
    }

    fn advance(&self, database: &Database, events_max: usize) -> Result<bool, IndexError> {
        if self.options.keeps(Kind::History) {
            self.begin_history(database)?;
        }
        let snapshot = database.snapshot();
        let mut waiting = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| self.options.keeps(*kind)) {
            waiting.push((kind, cursor_at(database, &snapshot, kind)?));
        }
        drop(snapshot);
        while let Some(at) = waiting.iter().map(|(_, at)| *at).min_by_key(|at| at.map(|at| at.height)) {
            let (group, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, other)| *other == at);
            let kinds: Vec<_> = group.into_iter().map(|(kind, _)| kind).collect();
            let meets: Vec<_> = others.iter().filter_map(|(_, at)| *at).collect();
            if self.advance_group(database, &kinds, (at, &meets), events_max)? {
                return Ok(false);
            }
            waiting = others;
        }
        self.drop_old(database)
    }

    /// Moves some indexes that stand at the same block, up to where they meet another; whether there was anything to do.
    fn advance_group(
        &self,
        database: &Database,
        kinds: &[Kind],
        (mut at, meets): (Option<Cursor>, &[Cursor]),
        events_max: usize,
    ) -> Result<bool, IndexError> {
        let mut batch = Batch::new(database);
        let mut count = 0;
        while count < events_max && batch.bytes() < BATCH_BYTES {
            let event = match self.published.events(at, 1) {
                Ok(mut events) => events.pop(),
                // What was read up to here is good.
                Err(_) if count > 0 => break,
                Err(fault) => return Err(self.explain(at, fault)),
            };
            let Some(event) = event else { break };
            let (way, block) = match &event {
                Event::Connected(block) => (Way::In, block),
                Event::Disconnected(block) => (Way::Out, block),
            };
            for kind in kinds {
                self.take(&mut batch, *kind, (way, block))?;
            }
            (at, count) = (Some(block.cursor), count + 1);
            if meets.contains(&block.cursor) {
                break;
            }
        }
        let Some(cursor) = at.filter(|_| count > 0) else { return Ok(false) };
        for kind in kinds {
            batch.set(Space::Marks, kind.name().as_bytes().to_vec(), Some(encode_cursor(&cursor)));
        }
        if kinds.contains(&Kind::History) {
            self.drop_below(database, &mut batch, &cursor, count as u32 + DROPPED_MAX)?;
        }
        batch.commit()?;
        Ok(true)
    }

    /// A cursor the chain has never heard of is nothing to go on from.
    fn explain(&self, at: Option<Cursor>, fault: chainwright_chain::Fault) -> IndexError {
        match at {
            Some(at) if self.published.headers(&at.id).is_none() => IndexError::Damaged(fault.to_string()),
            _ => IndexError::Chain(fault),
        }
    }

    fn take(
        &self,
        batch: &mut Batch<'_>,
        kind: Kind,
        event: (Way, &EventBlock<L>),
    ) -> Result<(), IndexError> {
        match kind {
            Kind::Items => take_items(batch, event),
            Kind::Tags => self.take_tags(batch, event),
            Kind::History => {
                take_history(batch, event);
                Ok(())
            }
        }
    }

    fn take_tags(
        &self,
        batch: &mut Batch<'_>,
        (way, block): (Way, &EventBlock<L>),
    ) -> Result<(), IndexError> {
        let mut hashes = BTreeSet::new();
        self.tags.tags(&block.block, &block.receipts, &mut |tag| {
            hashes.insert(postings::hash_of(tag));
        });
        let (segment, offset) =
            (postings::segment_of(block.height.0), block.height.0 % postings::SEGMENT_BLOCKS);
        for hash in hashes {
            let key = postings::key(hash, segment);
            let known = batch.get(Space::Tags, &key)?;
            let mut blocks = known.map_or(Ok(Blocks::NONE), |bytes| Blocks::decode(&bytes))?;
            match way {
                Way::In => blocks.insert(offset),
                Way::Out => blocks.remove(offset),
            }
            batch.set(Space::Tags, key, blocks.encode());
        }
        Ok(())
    }

    /// Sees to it that the history begins where it should: at genesis, or not further back than anybody will ask.
    fn begin_history(&self, database: &Database) -> Result<(), IndexError> {
        let snapshot = database.snapshot();
        let begun = cursor_at(database, &snapshot, Kind::History)?.is_some();
        let floor = floor_at(database, &snapshot)?;
        let wants_all = self.options.history == Some(States::All);
        if begun && !(wants_all && floor > Height::GENESIS) {
            return Ok(());
        }
        let cursor_key = || Kind::History.name().as_bytes().to_vec();
        let mut batch = Batch::new(database);
        batch.set(Space::Marks, cursor_key(), None);
        batch.set(Space::Marks, FLOOR.to_vec(), None);
        batch.commit()?;
        database.clear(Space::History, SEAL)?;
        let durable = self.published.durable();
        if let Some(States::Last(blocks)) = self.options.history
            && let Some(from) = durable.height().0.checked_sub(blocks).filter(|from| *from > 0)
            && let Some(block) = durable.ancestor(Height(from))
        {
            let mut batch = Batch::new(database);
            let cursor = Cursor { height: block.height(), id: block.id() };
            batch.set(Space::Marks, cursor_key(), Some(encode_cursor(&cursor)));
            batch.set(Space::Marks, FLOOR.to_vec(), Some(from.to_be_bytes().to_vec()));
            batch.commit()?;
        }
        Ok(())
    }

    /// Drops old values nobody may ask for any more; whether none are left.
    fn drop_old(&self, database: &Database) -> Result<bool, IndexError> {
        if !matches!(self.options.history, Some(States::Last(_))) {
            return Ok(true);
        }
        let Some(cursor) = cursor_at(database, &database.snapshot(), Kind::History)? else {
            return Ok(true);
        };
        let mut batch = Batch::new(database);
        if !self.drop_below(database, &mut batch, &cursor, DROPPED_MAX)? {
            return Ok(true);
        }
        batch.commit()?;
        Ok(false)
    }

    /// Raises the lowest height whose state is kept, by `blocks_max` at most; whether anything was dropped.
    fn drop_below(
        &self,
        database: &Database,
        batch: &mut Batch<'_>,
        at: &Cursor,
        blocks_max: u32,
    ) -> Result<bool, IndexError> {
        let Some(States::Last(blocks)) = self.options.history else { return Ok(false) };
        let floor = floor_at(database, &database.snapshot())?.0;
        let wanted = at.height.0.saturating_sub(blocks).min(floor.saturating_add(blocks_max));
        let Some(branch) = self.published.headers(&at.id).filter(|_| floor < wanted) else {
            return Ok(false);
        };
        for height in floor + 1..=wanted {
            let block = branch.ancestor(Height(height)).expect("the branch is higher than what is dropped");
            // What the journal has lost by now stays: it is never asked for.
            let Some(connected) = self.published.bodies().connected(&block.id())? else { continue };
            for change in connected.delta.iter() {
                let entry = key::entry(key::row(change.table, change.key), Height(height));
                batch.set(Space::History, entry, None);
            }
        }
        batch.set(Space::Marks, FLOOR.to_vec(), Some(wanted.to_be_bytes().to_vec()));
        Ok(true)
    }
}

fn take_items<L: Ledger>(
    batch: &mut Batch<'_>,
    (way, block): (Way, &EventBlock<L>),
) -> Result<(), IndexError> {
    for (position, item) in block.block.transactions().iter().enumerate() {
        let id = item.id().0;
        match way {
            Way::In => {
                batch.set(Space::Items, id.to_vec(), Some(encode_place(block.height, position as u32)));
            }
            Way::Out => {
                let known = batch.get(Space::Items, &id)?;
                let known = known.map(|bytes| decode_place(&bytes)).transpose()?;
                // Another block may have brought the same item later on.
                if known.is_some_and(|(height, _)| height == block.height) {
                    batch.set(Space::Items, id.to_vec(), None);
                }
            }
        }
    }
    Ok(())
}

fn take_history<L: Ledger>(batch: &mut Batch<'_>, (way, block): (Way, &EventBlock<L>)) {
    if block.height == Height::GENESIS {
        return;
    }
    for change in block.delta.iter() {
        let entry = key::entry(key::row(change.table, change.key), block.height);
        let old = (way == Way::In).then(|| encode_old(change.old));
        batch.set(Space::History, entry, old);
    }
}
