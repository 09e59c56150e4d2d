//! The list of steps the rows have taken, and pins into it.

use std::sync::{Arc, OnceLock};

use super::Delta;

/// A step; the first of a timeline holds an empty delta.
struct Step {
    delta: Delta,
    next: OnceLock<Arc<Step>>,
}

/// A million steps must not unwind a million stack frames.
impl Drop for Step {
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut step) = next.and_then(Arc::into_inner) {
            next = step.next.take();
        }
    }
}

/// A place in the timeline; keeps every later step alive.
#[derive(Clone)]
pub struct Pin(Arc<Step>);

impl Pin {
    /// The steps taken after this pin, oldest first.
    pub fn later(&self) -> impl Iterator<Item = &Delta> {
        core::iter::successors(self.0.next.get(), |step| step.next.get()).map(|step| &step.delta)
    }
}

/// The writer's end of the list of steps.
pub struct Timeline {
    last: Arc<Step>,
}

impl Timeline {
    /// A timeline that starts at the rows as they stand.
    pub fn new() -> Self {
        Self { last: Arc::new(Step { delta: Delta::empty(), next: OnceLock::new() }) }
    }

    /// The place where the rows stand now.
    pub fn pin(&self) -> Pin {
        Pin(Arc::clone(&self.last))
    }

    /// Publishes a step. To be called before the rows move.
    pub fn publish(&mut self, delta: Delta) {
        let step = Arc::new(Step { delta, next: OnceLock::new() });
        let fresh = self.last.next.set(Arc::clone(&step)).is_ok();
        debug_assert!(fresh, "only the timeline appends, and it moves on each time");
        self.last = step;
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}
