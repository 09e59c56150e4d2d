//! A thread that keeps the indexes at the chain's end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use chainwright_chain::{Cursor, Ledger, Notice};
use futures_channel::mpsc;
use futures_util::StreamExt as _;
use futures_util::stream::select;

use crate::indexes::{IndexError, Indexes, Kind};

/// Where the operator reads how far the indexes have come: one line a call.
pub type Tell = Box<dyn Fn(&str) + Send>;

/// Events between two looks at whether to stop.
const EVENTS_MAX: usize = 64;
/// Blocks that are worth telling of.
const WORTH_TELLING: u32 = 10_000;
/// Notices that may wait; more of them were dropped.
const NOTICES_MANY: usize = 1_000;

/// Follows the chain until it is dropped or the chain stops. Dropping it waits for the thread.
pub struct Follower {
    is_stopping: Arc<AtomicBool>,
    wake: mpsc::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Begins to follow.
    ///
    /// # Errors
    /// [`IndexError::Disk`] if the system gives no thread.
    pub fn start<L: Ledger>(indexes: Arc<Indexes<L>>, tell: Tell) -> Result<Self, IndexError> {
        let (wake, woken) = mpsc::channel(1);
        let is_stopping = Arc::new(AtomicBool::new(false));
        let notices = indexes.published.subscribe();
        let worker = Worker { indexes, tell, is_stopping: Arc::clone(&is_stopping), told: None };
        let run = move || worker.run((notices, woken));
        let thread = std::thread::Builder::new().name("indexes".to_owned()).spawn(run);
        let thread = thread.map_err(|error| IndexError::Disk(error.to_string()))?;
        Ok(Self { is_stopping, wake, thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        let _ = self.wake.try_send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker<L: Ledger> {
    indexes: Arc<Indexes<L>>,
    tell: Tell,
    is_stopping: Arc<AtomicBool>,
    /// The error that was told last.
    told: Option<IndexError>,
}

impl<L: Ledger> Worker<L> {
    fn run(mut self, (notices, woken): (mpsc::Receiver<Notice>, mpsc::Receiver<()>)) {
        let mut heard = select(notices.map(Some), woken.map(|()| None));
        self.catch_up();
        while !self.is_stopping() {
            let mut next = futures_executor::block_on(heard.next());
            let (mut is_due, mut count) = (false, 0);
            loop {
                match next {
                    None | Some(Some(Notice::Stopping)) => return self.end(),
                    Some(Some(Notice::Durable(..) | Notice::BodyMissing(..)) | None) => is_due = true,
                    Some(Some(_)) => {}
                }
                count += 1;
                match futures_util::FutureExt::now_or_never(heard.next()) {
                    Some(more) => next = more,
                    None => break,
                }
            }
            if is_due || count >= NOTICES_MANY {
                self.catch_up();
            }
        }
        self.end();
    }

    /// After a power cut what was not written is followed once more; after this nothing is.
    fn end(self) {
        let _ = self.indexes.sync();
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// The index that is furthest behind.
    fn lowest(&self) -> Option<u32> {
        let height = |cursor: Option<Cursor>| cursor.map_or(0, |cursor| cursor.height.0);
        let kinds = Kind::ALL.into_iter().filter(|kind| self.indexes.options().keeps(*kind));
        kinds.filter_map(|kind| self.indexes.cursor(kind).ok()).map(height).min()
    }

    fn catch_up(&mut self) {
        let mut told = self.lowest();
        let mut is_long = false;
        while !self.is_stopping() {
            match self.follow() {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    if self.told.as_ref() != Some(&error) {
                        (self.tell)(&format!("Indexes: {error}"));
                        self.told = Some(error);
                    }
                    return;
                }
            }
            self.told = None;
            let head = self.indexes.published.durable().height().0;
            if let (Some(at), Some(before)) = (self.lowest(), told)
                && (at.abs_diff(before) >= WORTH_TELLING || (!is_long && head.abs_diff(at) >= WORTH_TELLING))
            {
                (self.tell)(&format!("Indexes: at block {at} of {head}"));
                (told, is_long) = (Some(at), true);
            }
        }
        if is_long && !self.is_stopping() {
            let head = self.indexes.published.durable().height();
            (self.tell)(&format!("Indexes: complete up to block {head}"));
        }
    }

    fn follow(&self) -> Result<bool, IndexError> {
        let moved = catch_unwind(AssertUnwindSafe(|| self.indexes.follow(EVENTS_MAX)));
        moved.unwrap_or_else(|_| {
            let why = "following the chain panicked".to_owned();
            self.indexes.damage.lock().get_or_insert(why);
            Ok(false)
        })
    }
}
