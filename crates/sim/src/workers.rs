//! Workers that hold results back.

use std::collections::VecDeque;

use chainwright_chain::{Task, Workers};
use parking_lot::Mutex;

use crate::Random;

/// Keeps every task until the simulator picks it.
#[derive(Default)]
pub struct HeldBack(Mutex<VecDeque<Task>>);

impl HeldBack {
    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs one waiting task, any of them. `false` if there was none.
    pub fn run_one(&self, random: &mut Random) -> bool {
        let task = {
            let mut tasks = self.0.lock();
            if tasks.is_empty() {
                return false;
            }
            let at = random.index(tasks.len());
            tasks.remove(at)
        };
        // Not under the lock: a task may send another one.
        task.expect("the position is within the queue")();
        true
    }

    /// Forgets everything, as a process does that dies.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

impl Workers for HeldBack {
    fn spawn(&self, task: Task) {
        self.0.lock().push_back(task);
    }

    fn width(&self) -> usize {
        2
    }
}
