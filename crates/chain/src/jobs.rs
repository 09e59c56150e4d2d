//! Checks a ledger defers, and the threads that run them.

use std::sync::Arc;

use crate::Reason;

/// A deferred check. It answers with the reason the whole block is invalid.
pub type Job = Box<dyn FnOnce() -> Result<(), Reason> + Send>;

/// Collects the jobs of one block. Jobs should last some hundred microseconds: put several signatures into one.
#[derive(Default)]
pub struct Jobs {
    skipped: bool,
    list: Vec<Job>,
}

impl Jobs {
    /// Jobs of a block whose checks are taken as passed: what is pushed is dropped.
    pub fn skipped() -> Self {
        Self { skipped: true, list: Vec::new() }
    }

    /// Whether jobs will run at all; lets a ledger save the trouble of preparing them.
    pub fn wanted(&self) -> bool {
        !self.skipped
    }

    /// Defers a check.
    pub fn push(&mut self, job: impl FnOnce() -> Result<(), Reason> + Send + 'static) {
        if self.wanted() {
            self.list.push(Box::new(job));
        }
    }

    /// The jobs in the order they were pushed.
    pub fn into_list(self) -> Vec<Job> {
        self.list
    }

    /// Runs all jobs here and now.
    ///
    /// # Errors
    /// The reason of the first that fails.
    pub fn run(self) -> Result<(), Reason> {
        self.list.into_iter().try_for_each(|job| job())
    }
}

/// A piece of work for another thread.
pub type Task = Box<dyn FnOnce() + Send>;

/// Where work runs: threads, inline, or held back and picked by a seed in the simulator.
pub trait Workers: Send + Sync {
    /// Runs the task at some time, on any thread. Earlier tasks should start earlier.
    fn spawn(&self, task: Task);

    /// How many tasks run at once.
    fn width(&self) -> usize {
        1
    }
}

/// Runs every task at once on the calling thread.
pub struct Inline;

impl Workers for Inline {
    fn spawn(&self, task: Task) {
        task();
    }
}

impl<W: Workers + ?Sized> Workers for Arc<W> {
    fn spawn(&self, task: Task) {
        (**self).spawn(task);
    }

    fn width(&self) -> usize {
        (**self).width()
    }
}
