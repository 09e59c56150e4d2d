//! What the store does beside the writer: flushes, compactions, checkpoints, forgetting old steps.
//!
//! One task at a time. It holds a lock that readers need for well under a millisecond only, and none that the writer
//! waits for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chainwright_chain::{Fault, Task};
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::library::Library;
use crate::log::Log;
use crate::marks::{BLOCKS, JOURNAL, Marks, RECORDS};
use crate::rows::{Frozen, Index, Table};
use crate::store::Options;

/// Files of the value log compacted by one task.
const COMPACTIONS_MAX: usize = 4;
/// After a failure, so many calls of the driver pass before the next try, at most.
const PAUSE_MAX: u32 = 256;

/// What readers, the writer and background work share.
pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) options: Options,
    pub(crate) library: Arc<Library>,
    pub(crate) records: Log,
    pub(crate) table: Arc<Table>,
    pub(crate) marks: Marks,
    pub(crate) upkeep: Upkeep,
}

pub(crate) struct Upkeep {
    /// A task has been handed out and has not ended.
    busy: AtomicBool,
    /// The last task left something to do.
    unfinished: AtomicBool,
    /// The writer waits for the work: what need not be done now is left.
    wanted: AtomicBool,
    failed: Mutex<Option<Fault>>,
    work: Mutex<Work>,
}

struct Work {
    index: Index,
    frozen: Option<Frozen>,
    /// Failures in a row.
    failures: u32,
    /// Calls to let pass before the next try.
    pause: u32,
}

impl Upkeep {
    pub(crate) fn new(index: Index) -> Self {
        Self {
            busy: AtomicBool::new(false),
            unfinished: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            failed: Mutex::new(None),
            work: Mutex::new(Work { index, frozen: None, failures: 0, pause: 0 }),
        }
    }

    /// The next task need not wait because an earlier one failed.
    pub(crate) fn hurry(&self) {
        if !self.is_busy() {
            self.work.lock().pause = 0;
        }
    }

    /// Whether a task has been handed out and has not ended.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// The failure of an earlier task, told once.
    pub(crate) fn take_failure(&self) -> Result<(), Fault> {
        self.failed.lock().take().map_or(Ok(()), Err)
    }
}

/// Ends the task however it ends, also when it is dropped without having run.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.upkeep.busy.store(false, Ordering::Release);
    }
}

impl Shared {
    /// Bodies, then records, then the journal: a step that survives has its block.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        self.marks.advise(BLOCKS, self.library.bodies.sync()?);
        self.marks.advise(RECORDS, self.records.sync()?);
        self.marks.advise(JOURNAL, self.library.journal.sync()?);
        Ok(())
    }

    /// A task if one is due. The window is frozen when it is `full` and the last one is on disk; then `window_bytes`
    /// becomes 0. `step` is the last one applied.
    pub(crate) fn next_task(
        self: &Arc<Self>,
        step: u64,
        full: bool,
        window_bytes: &mut isize,
    ) -> Option<Task> {
        let unfinished = self.upkeep.unfinished.load(Ordering::Acquire);
        if self.upkeep.is_busy() || !(full || unfinished) {
            return None;
        }
        let mut work = self.upkeep.work.lock();
        if work.pause > 0 {
            work.pause -= 1;
            return None;
        }
        if full && work.frozen.is_none() {
            work.frozen = Some(Frozen { step, ordered: self.table.freeze() });
            *window_bytes = 0;
        }
        drop(work);
        self.upkeep.busy.store(true, Ordering::Release);
        let running = Running(Arc::clone(self));
        Some(Box::new(move || running.0.run()))
    }

    /// Flushes the window here and now, after what a running task is writing. A task that was handed out and has not
    /// begun is not waited for: it will find its work done.
    ///
    /// # Errors
    /// A [`Fault`] of the disk; the rows stay in memory.
    pub(crate) fn catch_up(&self, step: u64, window_bytes: &mut isize) -> Result<(), Fault> {
        self.upkeep.wanted.store(true, Ordering::Release);
        let mut work = self.upkeep.work.lock();
        self.upkeep.wanted.store(false, Ordering::Release);
        tracing::debug!("rows change faster than they reach the disk: the writer flushes");
        self.flush(&mut work)?;
        work.frozen = Some(Frozen { step, ordered: self.table.freeze() });
        *window_bytes = 0;
        self.flush(&mut work)
    }

    /// Writes the frozen window, if there is one.
    fn flush(&self, work: &mut Work) -> Result<(), Fault> {
        let Work { index, frozen, .. } = work;
        if let Some(window) = frozen {
            self.sync()?;
            self.table.flush(index, window, &self.marks)?;
            *frozen = None;
        }
        Ok(())
    }

    fn run(&self) {
        let mut work = self.upkeep.work.lock();
        let result = self.work(&mut work);
        let (unfinished, failure) = match result {
            Ok(unfinished) => {
                (work.failures, work.pause) = (0, 0);
                (unfinished, None)
            }
            Err(fault) => {
                tracing::error!(%fault, "background work of the store failed; it will be tried again");
                work.failures += 1;
                work.pause = (1 << work.failures.min(16)).min(PAUSE_MAX);
                (true, Some(fault))
            }
        };
        self.upkeep.unfinished.store(unfinished, Ordering::Release);
        *self.upkeep.failed.lock() = failure;
    }

    /// Whether something is left to do.
    fn work(&self, work: &mut Work) -> Result<bool, Fault> {
        self.flush(work)?;
        let Work { index, .. } = work;
        for _ in 0..COMPACTIONS_MAX {
            let Some(number) = index.compaction_candidate() else { break };
            if self.upkeep.wanted.load(Ordering::Acquire) {
                return Ok(true);
            }
            self.table.compact(index, number, &self.marks)?;
        }
        if index.checkpoint_is_due(self.options.checkpoint_bytes) {
            index.checkpoint(&self.table, &self.marks)?;
        }
        if let Some(kept) = self.options.journal_steps_min {
            self.library.forget_steps(index.step.saturating_sub(kept), &self.marks)?;
        }
        Ok(index.compaction_candidate().is_some())
    }
}
