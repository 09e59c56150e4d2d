//! Waiting for a condition, with a deadline and a reason.

use std::time::{Duration, Instant};

/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `ready` gives a value.
///
/// # Panics
///
/// When it has not after `limit`; the message says what was waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(started.elapsed() < limit, "waited {} s for: {what}", limit.as_secs());
        std::thread::sleep(PAUSE);
    }
}

/// Waits until `ready` is true.
///
/// # Panics
///
/// When it is not after `limit`; the message says what was waited for.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) {
    wait_for(what, limit, || ready().then_some(()));
}
