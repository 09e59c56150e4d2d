//! So many calls at once, so many waiting, and a clear refusal for the rest.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounded work on threads that may block.
pub(super) struct WorkQueue {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// Why work did not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueError {
    /// As many calls wait as may.
    Full,
    /// The work panicked, or the runtime stops.
    Lost,
}

impl WorkQueue {
    pub(super) fn new(threads: usize, depth: usize) -> Self {
        let threads = threads.max(1);
        Self {
            admitted: Arc::new(Semaphore::new(threads + depth.max(1))),
            running: Arc::new(Semaphore::new(threads)),
        }
    }

    /// Runs work on a thread that may block, once there is a place. Its place stays taken until the work ends, also
    /// when nobody waits for the answer any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, QueueError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| QueueError::Full)?;
        self.run_admitted(admitted, work).await
    }

    /// As [`WorkQueue::run`], but waits for a place in the queue. Whoever calls this bounds how many wait.
    pub(super) async fn run_in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, QueueError> {
        let admitted = Arc::clone(&self.admitted).acquire_owned().await.map_err(|_| QueueError::Lost)?;
        self.run_admitted(admitted, work).await
    }

    async fn run_admitted<T: Send + 'static>(
        &self,
        admitted: OwnedSemaphorePermit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, QueueError> {
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| QueueError::Lost)?;
        let done = tokio::task::spawn_blocking(move || {
            let _places = (admitted, running);
            work()
        });
        done.await.map_err(|_| QueueError::Lost)
    }
}
