//! The store: opening, recovery, and what the driver calls.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{BlockId, Bodies, Fault, Height, Rows, Step, Store, Task};
use parking_lot::RwLock;

use crate::disk::Disk;
use crate::error::{HINT_RESTORE, OpenError};
use crate::format::{self, HashKey, Identity};
use crate::library::{Catalogue, JournalStep, Library};
use crate::log::{Entry, Log, LogOptions};
use crate::marks::{MarkList, Marks};
use crate::rows::Table;

/// What may be chosen anew each time a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size at which a file of an append-only log is closed and the next begun, in bytes; at most 256 MiB.
    pub segment_bytes: u64,
    /// Bytes of changed rows kept in memory before they are flushed.
    pub window_bytes: usize,
    /// The secret that places rows in a new store; drawn from the operating system if `None`. Simulations give one.
    pub hash_key: Option<(u64, u64)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 128 << 20, window_bytes: 256 << 20, hash_key: None }
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
}

/// What background work shares with the writer.
struct Shared {
    disk: Arc<dyn Disk>,
    library: Arc<Library>,
    records: Log,
    table: Arc<Table>,
    marks: Marks,
}

impl DiskStore {
    /// Opens the store in a directory, or makes a new one in an empty directory.
    ///
    /// # Errors
    /// An [`OpenError`] when the directory belongs to something else, when what was synced is damaged, or when the
    /// disk fails.
    pub fn open(disk: Arc<dyn Disk>, identity: Identity, options: Options) -> Result<Self, OpenError> {
        let hash_key = format::claim(disk.as_ref(), &identity, options.hash_key.unwrap_or_else(draw_key))?;
        let marks =
            Marks::open(disk.as_ref()).map_err(|error| OpenError::Disk { place: disk.place(), error })?;
        let log = |name| LogOptions { name, segment_bytes: options.segment_bytes, hint: HINT_RESTORE };
        let [bodies_mark, records_mark, journal_mark] = marks.get();
        let mut catalogue = Catalogue::default();
        let visit = &mut |entry: &Entry<'_>| catalogue.visit_body(entry);
        let bodies = Log::open(Arc::clone(&disk), log("blocks"), bodies_mark, visit)?;
        let records = Log::open(Arc::clone(&disk), log("records"), records_mark, &mut |_| Ok(()))?;
        let mut replay = Replay::default();
        let visit = &mut |entry: &Entry<'_>| {
            let group = catalogue.visit_group(entry)?;
            replay.visit(group.first, &group.steps)
        };
        let journal = Log::open(Arc::clone(&disk), log("journal"), journal_mark, visit)?;
        let library = Library { tables: identity.tables, bodies, journal, catalogue: RwLock::new(catalogue) };
        let table = Arc::new(Table::new(identity.tables, hash_key));
        let shared = Arc::new(Shared { disk, library: Arc::new(library), records, table, marks });
        let mut store = Self { shared, applied: 0, journaled: replay.last, head: None };
        store.replay(&replay.steps)?;
        Ok(store)
    }

    fn replay(&mut self, steps: &[JournalStep]) -> Result<(), OpenError> {
        for step in steps {
            let read = self.shared.library.read_step(step).map_err(|fault| OpenError::Disk {
                place: self.shared.disk.place(),
                error: std::io::Error::other(fault.what),
            })?;
            self.apply(&Step { from: step.from, to: step.to, delta: read.delta, receipts: read.receipts });
        }
        Ok(())
    }
}

/// The steps of the journal that the rows on disk have not taken.
#[derive(Default)]
struct Replay {
    last: u64,
    steps: Vec<JournalStep>,
}

impl Replay {
    fn visit(&mut self, first: u64, steps: &[JournalStep]) -> Result<(), String> {
        if self.last != 0 && first != self.last + 1 {
            return Err(format!("step {first} follows step {}", self.last));
        }
        self.last = first + steps.len() as u64 - 1;
        self.steps.extend_from_slice(steps);
        Ok(())
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

    fn journal(&mut self, steps: &[Step]) -> Result<(), Fault> {
        if steps.is_empty() {
            return Ok(());
        }
        self.shared.library.put_steps(self.journaled + 1, steps)?;
        self.journaled += steps.len() as u64;
        Ok(())
    }

    fn apply(&mut self, step: &Step) {
        debug_assert!(self.applied < self.journaled, "a step is applied after it is in the journal");
        self.shared.table.apply(step);
        self.applied += 1;
        self.head = Some(step.to);
    }

    fn maintenance(&mut self) -> Option<Task> {
        None
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.shared.sync().map(drop)
    }
}

impl Shared {
    /// Bodies, then records, then the journal: a step that survives has its block.
    fn sync(&self) -> Result<MarkList, Fault> {
        let marks = [self.library.bodies.sync()?, self.records.sync()?, self.library.journal.sync()?];
        // Only advice for the next start: what it speaks of is safe.
        if let Err(error) = self.marks.set(marks) {
            tracing::debug!(%error, "cannot write how far the logs are synced");
        }
        Ok(marks)
    }
}
