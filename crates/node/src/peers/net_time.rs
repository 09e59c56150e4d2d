//! Time as the peer protocol sees it: milliseconds since 1970 that never go back and never stand still.
//!
//! A mocked time may jump; timers run in real time between jumps, or a frozen clock would keep dead peers for ever.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::WallClock;

pub(super) struct NetTime {
    clock: Arc<WallClock>,
    /// What `since` corresponds to.
    base_ms: u64,
    since: Instant,
}

impl NetTime {
    pub(super) fn new(clock: Arc<WallClock>) -> Self {
        let base_ms = WallClock::real().as_millis() as u64;
        Self { clock, base_ms, since: Instant::now() }
    }

    pub(super) fn now_ms(&mut self) -> u64 {
        let running = self.base_ms + self.since.elapsed().as_millis() as u64;
        let mocked = self.clock.mock().map_or(0, |time| time.0.saturating_mul(1000));
        if mocked <= running {
            return running;
        }
        (self.base_ms, self.since) = (mocked, Instant::now());
        mocked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chainwright_chain::Timestamp;

    #[test]
    fn a_jump_of_the_mock_time_is_seen_and_nothing_brings_time_back() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let clock = Arc::new(WallClock::new(runtime.handle().clone()));
        let mut time = NetTime::new(Arc::clone(&clock));
        let before = time.now_ms();
        clock.set_mock(Some(Timestamp(before / 1000 + 500)));
        let jumped = time.now_ms();
        assert!(jumped >= before + 499_000);
        clock.set_mock(Some(Timestamp(10)));
        assert!(time.now_ms() >= jumped);
        clock.set_mock(None);
        assert!(time.now_ms() >= jumped);
    }
}
