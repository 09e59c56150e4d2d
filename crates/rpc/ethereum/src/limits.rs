//! What calls that change nothing may cost: gas, time, memory of their traces.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chainwright_evm::execute::Bound;
use chainwright_rpc::{Call, Host, RpcError};

use crate::chain::server_error;

/// Bounds on every execution that RPC asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Most gas of one call, and of all calls of one simulation; 0 for any amount (geth `--rpc.gascap`).
    pub gas: u64,
    /// Longest time of one call; zero for any time (geth `--rpc.evmtimeout`).
    pub time: Duration,
    /// Longest time to trace one transaction, unless a caller names another (geth `defaultTraceTimeout`).
    pub trace_time: Duration,
    /// Most bytes a trace may take in memory, about.
    pub trace_bytes: usize,
}

impl Default for CallLimits {
    /// geth's; 256 MiB for a trace.
    fn default() -> Self {
        Self {
            gas: 50_000_000,
            time: Duration::from_secs(5),
            trace_time: Duration::from_secs(5),
            trace_bytes: 256 << 20,
        }
    }
}

impl CallLimits {
    /// Most gas of one call.
    pub(crate) fn gas_max(&self) -> u64 {
        // geth's stand-in for no limit (`CallDefaults`).
        if self.gas == 0 { u64::MAX / 2 } else { self.gas }
    }
}

/// When an execution has to be over.
#[derive(Clone)]
pub(crate) struct Deadline {
    host: Arc<dyn Host>,
    at_us: Option<u64>,
    time: Duration,
    stopping: Option<Arc<AtomicBool>>,
}

impl Deadline {
    /// After some time from now on; never if it is zero.
    pub(crate) fn after(host: &Arc<dyn Host>, time: Duration) -> Self {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let at_us = (micros > 0).then(|| host.monotonic_us().saturating_add(micros));
        Self { host: Arc::clone(host), at_us, time, stopping: None }
    }

    /// Besides, as soon as the node stops.
    pub(crate) fn during(mut self, call: &Call) -> Self {
        self.stopping = Some(Arc::clone(&call.stopping));
        self
    }

    fn is_stopping(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| stopping.load(Ordering::Relaxed))
    }

    /// Whether it has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.is_stopping() || self.at_us.is_some_and(|at| self.host.monotonic_us() >= at)
    }

    /// For the machine.
    pub(crate) fn bound(&self) -> Bound {
        let deadline = self.clone();
        Bound::new(Arc::new(move || deadline.is_over()))
    }

    /// What geth says of a call it ended (`internal/ethapi` `applyMessageWithEVM`).
    pub(crate) fn error(&self) -> RpcError {
        self.or_stopping(format!("execution aborted (timeout = {})", duration_words(self.time)))
    }

    /// What geth says of a trace it ended (`eth/tracers` `traceTx`).
    pub(crate) fn trace_error(&self) -> RpcError {
        self.or_stopping("execution timeout".into())
    }

    fn or_stopping(&self, words: String) -> RpcError {
        server_error(if self.is_stopping() { "execution aborted (node is stopping)".into() } else { words })
    }
}

/// As Go prints a duration: `5s`, `1m0s`, `1.5s`, `500ms`, `20µs`.
fn duration_words(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds == 0 {
        let (micros, nanos) = (time.as_micros(), time.as_nanos());
        return match () {
            () if nanos == 0 => "0s".into(),
            () if micros >= 1000 => format!("{}ms", micros as f64 / 1000.0),
            () if micros > 0 => format!("{}µs", nanos as f64 / 1000.0),
            () => format!("{nanos}ns"),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = (seconds % 60) as f64 + f64::from(time.subsec_micros()) / 1e6;
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// As Go reads a duration: `5s`, `1m30s`, `1.5h`, `300ms` (`time.ParseDuration`).
pub(crate) fn parse_duration(text: &str) -> Result<Duration, RpcError> {
    let refused = |what: &str| server_error(format!("time: {what} {text:?}"));
    let invalid = || refused("invalid duration");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err(refused("missing unit in duration")),
            _ => return Err(refused("unknown unit in duration")),
        };
        seconds += number * unit;
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, micros) in
            [("5s", 5_000_000), ("1m30s", 90_000_000), ("1.5h", 5_400_000_000), ("300ms", 300_000), ("0", 0)]
        {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_micros(micros), "{text}");
        }
        for text in ["", "5", "s", "5x", "-3s", "1..5s", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        let words = |micros| duration_words(Duration::from_micros(micros));
        assert_eq!(words(5_000_000), "5s");
        assert_eq!(words(60_000_000), "1m0s");
        assert_eq!(words(1_500_000), "1.5s");
        assert_eq!(words(250_000), "250ms");
        assert_eq!(words(3_600_000_000), "1h0m0s");
        assert_eq!(words(0), "0s");
    }
}
