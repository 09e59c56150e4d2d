//! A fixed pool of threads for what the driver hands out: preparing blocks, deferred checks, flushing.
//!
//! Invariants: tasks start in the order they were given; a task that panics stops the node, because its answer would be
//! waited for for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use chainwright_chain::{Task, Workers};
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::shutdown::Shutdown;

/// Threads that run tasks first in, first out.
#[derive(Debug)]
pub struct WorkerThreads {
    sender: Option<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
}

impl WorkerThreads {
    /// Starts `width` threads (at least one).
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(width: usize, shutdown: &Shutdown) -> std::io::Result<Self> {
        let (sender, receiver) = unbounded();
        let start = |number: usize| {
            let (receiver, shutdown) = (receiver.clone(), shutdown.clone());
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || run(&receiver, &shutdown))
        };
        let threads = (0..width.max(1)).map(start).collect::<Result<_, _>>()?;
        Ok(Self { sender: Some(sender), threads })
    }

    /// One thread per core of this machine.
    pub fn default_width() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

fn run(tasks: &Receiver<Task>, shutdown: &Shutdown) {
    for task in tasks {
        if catch_unwind(AssertUnwindSafe(task)).is_err() {
            shutdown.fail("a worker thread panicked; this is a bug, please report it with the lines above");
            return;
        }
    }
}

impl Workers for WorkerThreads {
    fn spawn(&self, task: Task) {
        if let Some(sender) = &self.sender {
            // Without receivers all threads have panicked, and the node is stopping already.
            let _ = sender.send(task);
        }
    }

    fn width(&self) -> usize {
        self.threads.len()
    }
}

impl Drop for WorkerThreads {
    fn drop(&mut self) {
        self.sender = None;
        for thread in self.threads.drain(..) {
            // A worker may hold the last reference to the pool: it cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_runs_tasks_in_order() {
        let workers = WorkerThreads::start(1, &Shutdown::new()).unwrap();
        let (sender, receiver) = unbounded();
        for number in 0..100 {
            let sender = sender.clone();
            workers.spawn(Box::new(move || sender.send(number).unwrap()));
        }
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_asks_the_node_to_stop() {
        let shutdown = Shutdown::new();
        let workers = WorkerThreads::start(2, &shutdown).unwrap();
        workers.spawn(Box::new(|| panic!("on purpose")));
        drop(workers);
        assert!(shutdown.failure().is_some_and(|failure| failure.contains("panicked")));
    }
}
