//! The store: opening, recovery, and what the driver calls.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{BlockId, Bodies, Fault, Height, Rows, Step, Store, SyncTask, Task};
use parking_lot::{Mutex, RwLock};

use crate::disk::Disk;
use crate::error::{HINT_RESTORE, OpenError};
use crate::format::{self, HashKey, Identity};
use crate::library::{Catalogue, JournalStep, Library};
use crate::log::{Entry, Log, LogOptions};
use crate::marks::{BLOCKS, JOURNAL, Marks, RECORDS};
use crate::rows::{Index, SEGMENT_BYTES_MAX, Table};
use crate::upkeep::{Shared, Upkeep};

/// What may be chosen anew each time a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size at which an append-only file is closed and the next begun, in bytes; at most 256 MiB.
    pub segment_bytes: u64,
    /// Memory of rows that are not on disk yet, in bytes: half for rows that change, half for those on their way to
    /// disk. Keys, values, and what it takes to find them are counted. A writer that is faster than the flush may take
    /// half as much again, then [`Store::journal`] waits.
    pub window_bytes: usize,
    /// Bytes of changes of the index after which it is written anew, if that is also more than its own size.
    pub checkpoint_bytes: u64,
    /// Steps of the journal to be kept for undoing blocks; `None` for all. Older ones go by whole files.
    pub journal_steps_min: Option<u64>,
    /// The secret that places rows in a new store; drawn from the operating system if `None`. Simulations give one.
    pub hash_key: Option<(u64, u64)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 128 << 20,
            window_bytes: 128 << 20,
            checkpoint_bytes: 64 << 20,
            journal_steps_min: None,
            hash_key: None,
        }
    }
}

/// State, blocks and journal in one directory.
pub struct DiskStore {
    shared: Arc<Shared>,
    /// The number of the last step applied; the first is 1.
    applied: u64,
    /// The number of the last step in the journal.
    journaled: u64,
    head: Option<BlockId>,
    /// Bytes of rows that changed since the window was last frozen.
    window_bytes: isize,
}

/// What the rows occupy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Memory of rows that are not on disk yet, in bytes.
    pub window_bytes: usize,
    /// Memory of the index of rows on disk, in bytes.
    pub index_bytes: usize,
}

impl DiskStore {
    /// Opens the store in a directory, or makes a new one in an empty directory.
    ///
    /// # Errors
    /// An [`OpenError`] when the directory belongs to something else, when what was synced is damaged, or when the
    /// disk fails.
    pub fn open(disk: Arc<dyn Disk>, identity: Identity, options: Options) -> Result<Self, OpenError> {
        let options = Options { segment_bytes: options.segment_bytes.clamp(1, SEGMENT_BYTES_MAX), ..options };
        let failed = |error| OpenError::Disk { place: disk.place(), error };
        let hash_key = format::claim(disk.as_ref(), &identity, options.hash_key.unwrap_or_else(draw_key))?;
        let marks = Marks::open(disk.as_ref()).map_err(failed)?;
        let log = |name| LogOptions { name, segment_bytes: options.segment_bytes, hint: HINT_RESTORE };
        let mut catalogue = Catalogue::default();
        let visit = &mut |entry: &Entry<'_>| catalogue.visit_body(entry);
        let bodies = Log::open(Arc::clone(&disk), log("blocks"), marks.get(BLOCKS), visit)?;
        let records = Log::open(Arc::clone(&disk), log("records"), marks.get(RECORDS), &mut |_| Ok(()))?;
        let table = Arc::new(Table::new(identity.tables, hash_key, Arc::clone(&disk), options.segment_bytes));
        let index = Index::open(&disk, options.segment_bytes, &marks, &table)?;
        let mut replay = Replay { after: index.step, last: 0, to: None, steps: Vec::new() };
        let visit = &mut |entry: &Entry<'_>| {
            let group = catalogue.visit_group(entry)?;
            replay.visit(group.first, &group.steps)
        };
        let journal = Log::open(Arc::clone(&disk), log("journal"), marks.get(JOURNAL), visit)?;
        replay.check(disk.as_ref(), &journal)?;
        let (tables, catalogue) = (identity.tables, RwLock::new(catalogue));
        let library = Library { tables, bodies, journal, catalogue, scratch: Mutex::default() };
        let (library, upkeep) = (Arc::new(library), Upkeep::new(index));
        let shared = Arc::new(Shared { disk, options, library, records, table, marks, upkeep });
        let (applied, journaled, head) = (replay.after, replay.last, replay.to);
        let mut store = Self { shared, applied, journaled, head, window_bytes: 0 };
        store.replay(&replay.steps)?;
        Ok(store)
    }

    fn replay(&mut self, steps: &[JournalStep]) -> Result<(), OpenError> {
        for step in steps {
            let read = self.shared.library.read_step(step).map_err(|fault| OpenError::Damaged {
                place: self.shared.disk.place(),
                file: self.shared.library.journal.file_name(step.span.at.segment),
                offset: u64::from(step.span.at.offset),
                what: fault.what.into_owned(),
                hint: HINT_RESTORE,
            })?;
            self.apply(&Step { from: step.from, to: step.to, delta: read.delta, receipts: read.receipts });
            if let Some(task) = self.maintenance() {
                task();
            }
        }
        Ok(())
    }

    /// Moves all rows to disk here and now, so that the next open has nothing to replay.
    ///
    /// # Errors
    /// A [`Fault`] of the disk, or when a task of [`Store::maintenance`] is still running.
    pub fn flush(&mut self) -> Result<(), Fault> {
        for _ in 0..2 {
            self.shared.upkeep.hurry();
            match self.shared.next_task(self.applied, true, &mut self.window_bytes) {
                Some(task) => task(),
                None => return Err(Fault::new("the store is busy flushing")),
            }
            self.shared.upkeep.take_failure()?;
        }
        Ok(())
    }

    /// Whether rows change faster than they reach the disk: the window is full, and the one before is not flushed yet.
    /// Whoever can wait before the next [`Store::journal`] should; at twice as many rows `journal` itself flushes.
    pub fn is_behind(&self) -> bool {
        self.is_full(1) && self.shared.upkeep.is_busy()
    }

    /// Whether the active window has its share of memory, so many times.
    fn is_full(&self, times: usize) -> bool {
        self.window_bytes >= (self.shared.options.window_bytes / 2 * times) as isize
    }

    /// What the rows of point tables occupy in memory. Asks every shard.
    pub fn footprint(&self) -> Footprint {
        let (window_bytes, index_bytes) = self.shared.table.memory();
        Footprint { window_bytes, index_bytes }
    }
}

/// The steps of the journal that the rows on disk have not taken.
struct Replay {
    /// The rows on disk stand after this step.
    after: u64,
    last: u64,
    /// Where the last step leads.
    to: Option<BlockId>,
    steps: Vec<JournalStep>,
}

impl Replay {
    fn visit(&mut self, first: u64, steps: &[JournalStep]) -> Result<(), String> {
        if self.to.is_none() && first > self.after + 1 {
            return Err(format!(
                "the journal begins with step {first}, but the rows on disk stand after step {}",
                self.after
            ));
        }
        if self.to.is_some() && first != self.last + 1 {
            return Err(format!("step {first} follows step {}", self.last));
        }
        for (number, step) in (first..).zip(steps) {
            (self.last, self.to) = (number, Some(step.to));
            if number > self.after {
                self.steps.push(*step);
            }
        }
        Ok(())
    }

    /// The rows must not be ahead of the journal.
    fn check(&self, disk: &dyn Disk, journal: &Log) -> Result<(), OpenError> {
        if self.after <= self.last {
            return Ok(());
        }
        let end = journal.end();
        Err(OpenError::Damaged {
            place: disk.place(),
            file: journal.file_name(end.segment),
            offset: u64::from(end.offset),
            what: format!(
                "the journal ends with step {}, but the rows on disk stand after step {}",
                self.last, self.after
            ),
            hint: HINT_RESTORE,
        })
    }
}

/// The standard library seeds its hasher from the operating system.
fn draw_key() -> HashKey {
    let state = RandomState::new();
    (state.hash_one(1), state.hash_one(2))
}

impl Store for DiskStore {
    fn rows(&self) -> Arc<dyn Rows> {
        Arc::clone(&self.shared.table) as Arc<dyn Rows>
    }

    fn bodies(&self) -> Arc<dyn Bodies> {
        Arc::clone(&self.shared.library) as Arc<dyn Bodies>
    }

    fn head(&self) -> Option<BlockId> {
        self.head
    }

    fn records(&self) -> Result<Vec<Bytes>, Fault> {
        let mut records = Vec::new();
        // The first byte only keeps the head from being empty.
        self.shared.records.for_each(&mut |entry| records.push(Bytes::copy_from_slice(&entry.head[1..])))?;
        Ok(records)
    }

    fn put_record(&mut self, record: &[u8]) -> Result<(), Fault> {
        let mut head = Vec::with_capacity(record.len() + 1);
        head.push(1);
        head.extend_from_slice(record);
        self.shared.records.append(&head, &[]).map(drop)
    }

    fn put_body(&mut self, id: BlockId, height: Height, bytes: &[u8]) -> Result<(), Fault> {
        self.shared.library.put_body(id, height, bytes)
    }

    fn forget_body(&mut self, id: &BlockId) -> Result<(), Fault> {
        self.shared.library.forget_body(id);
        Ok(())
    }

    fn journal(&mut self, steps: &[Step]) -> Result<(), Fault> {
        if steps.is_empty() {
            return Ok(());
        }
        if self.is_full(2) && self.shared.upkeep.is_busy() {
            self.shared.catch_up(self.applied, &mut self.window_bytes)?;
        }
        self.shared.library.put_steps(self.journaled + 1, steps)?;
        self.journaled += steps.len() as u64;
        Ok(())
    }

    fn apply(&mut self, step: &Step) {
        debug_assert!(self.applied < self.journaled, "a step is applied after it is in the journal");
        self.window_bytes += self.shared.table.apply(step);
        self.applied += 1;
        self.head = Some(step.to);
    }

    fn maintenance(&mut self) -> Option<Task> {
        let full = self.is_full(1);
        self.shared.next_task(self.applied, full, &mut self.window_bytes)
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.shared.upkeep.take_failure()?;
        self.shared.sync()
    }

    fn sync_task(&mut self) -> Option<SyncTask> {
        let shared = Arc::clone(&self.shared);
        Some(Box::new(move || shared.sync()))
    }
}
