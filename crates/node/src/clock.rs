//! The real clock: the only place in the product that reads the wall clock.
//!
//! Invariant: everything with rules in it takes `now` as an argument; what reaches it comes from here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chainwright_chain::{BoxFuture, Clock, Timestamp};
use tokio::runtime::Handle;

/// The system's clock, with an optional frozen time in its place (`setmocktime`).
#[derive(Debug)]
pub struct WallClock {
    /// Seconds since 1970; 0 means that the real time counts.
    mock: AtomicU64,
    started: Instant,
    runtime: Handle,
}

impl WallClock {
    /// A clock whose waiting is done by `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self { mock: AtomicU64::new(0), started: Instant::now(), runtime }
    }

    /// Freezes the time; `None` lets the real time count again.
    pub fn set_mock(&self, time: Option<Timestamp>) {
        self.mock.store(time.map_or(0, |time| time.0), Ordering::Relaxed);
    }

    /// The frozen time, if there is one.
    pub fn mock(&self) -> Option<Timestamp> {
        Some(self.mock.load(Ordering::Relaxed)).filter(|time| *time > 0).map(Timestamp)
    }

    /// How long this clock has existed.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Time since 1970 by the system's clock, whatever the mock time says. For logs.
    #[expect(clippy::disallowed_methods, reason = "this is where the wall clock is read")]
    pub fn real() -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        self.mock().unwrap_or_else(|| Timestamp(Self::real().as_secs()))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // A timer belongs to the runtime that was entered when it was made; it can be polled from anywhere.
        let _entered = self.runtime.enter();
        Box::pin(tokio::time::sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn a_mock_time_replaces_the_real_one_until_it_is_taken_back() {
        let runtime = runtime();
        let clock = WallClock::new(runtime.handle().clone());
        assert!(clock.now().0 > 1_600_000_000);
        clock.set_mock(Some(Timestamp(77)));
        assert_eq!(clock.now(), Timestamp(77));
        clock.set_mock(None);
        assert!(clock.now().0 > 1_600_000_000);
    }

    #[test]
    fn sleeping_works_outside_of_the_runtime_too() {
        let runtime = runtime();
        let clock = WallClock::new(runtime.handle().clone());
        let before = Instant::now();
        futures_executor::block_on(clock.sleep(Duration::from_millis(20)));
        assert!(before.elapsed() >= Duration::from_millis(20));
    }
}
