//! Figures for Prometheus, in its text format.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::host::Host;
use crate::probe::Probe;

/// A clock that only moves forward, in microseconds.
pub(crate) type Stopwatch = Arc<dyn Fn() -> u64 + Send + Sync>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    method: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabels {
    direction: &'static str,
}

/// Seconds; from what a cached answer takes to what a long poll takes.
const LATENCY_BUCKETS_SECONDS: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0];

fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS_SECONDS)
}

/// A call that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ActiveCall {
    /// The method.
    pub(crate) method: &'static str,
    /// When it began, by [`Host::monotonic_us`].
    pub(crate) started_us: u64,
}

/// Counts, latencies, and the calls that run now.
#[derive(Clone)]
pub(crate) struct CallMetrics {
    calls: Family<CallLabels, Counter>,
    latency: Family<MethodLabels, Histogram, fn() -> Histogram>,
    active: Arc<Mutex<HashMap<u64, ActiveCall>>>,
    next: Arc<AtomicU64>,
    clock: Stopwatch,
}

impl CallMetrics {
    pub(crate) fn new(clock: Stopwatch) -> Self {
        Self {
            calls: Family::default(),
            latency: Family::new_with_constructor(latency_histogram as fn() -> Histogram),
            active: Arc::default(),
            next: Arc::default(),
            clock,
        }
    }

    /// The calls that run now, the oldest first.
    pub(crate) fn active(&self) -> Vec<ActiveCall> {
        let mut calls: Vec<_> = self.active.lock().iter().map(|(id, call)| (*id, call.clone())).collect();
        calls.sort_by_key(|(id, _)| *id);
        calls.into_iter().map(|(_, call)| call).collect()
    }

    pub(crate) fn unknown(&self) {
        self.count("unknown", false);
    }

    pub(crate) fn start(&self, method: &'static str) -> RunningCall<'_> {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let started_us = (self.clock)();
        self.active.lock().insert(id, ActiveCall { method, started_us });
        RunningCall { metrics: self, id, method, started_us }
    }

    fn count(&self, method: &str, is_ok: bool) {
        let result = if is_ok { "ok" } else { "error" };
        self.calls.get_or_create(&CallLabels { method: method.to_owned(), result }).inc();
    }
}

/// Takes the call out of the active ones when dropped, also by a panic.
pub(crate) struct RunningCall<'a> {
    metrics: &'a CallMetrics,
    id: u64,
    method: &'static str,
    started_us: u64,
}

impl RunningCall<'_> {
    pub(crate) fn finish(self, is_ok: bool) {
        let took_us = (self.metrics.clock)().saturating_sub(self.started_us);
        let labels = MethodLabels { method: self.method.to_owned() };
        self.metrics.latency.get_or_create(&labels).observe(took_us as f64 / 1e6);
        self.metrics.count(self.method, is_ok);
    }
}

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        self.metrics.active.lock().remove(&self.id);
    }
}

/// Everything a server counts.
pub(crate) struct Metrics {
    registry: Registry,
    height: Gauge,
    header_height: Gauge,
    final_height: Gauge,
    head_time: Gauge,
    pool_transactions: Gauge,
    pool_bytes: Gauge,
    peers: Family<DirectionLabels, Gauge>,
    network_bytes: Family<DirectionLabels, Gauge>,
    is_faulty: Gauge,
    pub(crate) reorganisations: Counter,
    pub(crate) refused: Counter,
}

impl Metrics {
    pub(crate) fn new(calls: &CallMetrics) -> Self {
        let mut registry = Registry::with_prefix("chainwright");
        let mut gauge = |name: &str, help: &str| {
            let gauge: Gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let height = gauge("head_height", "Height of the published head");
        let header_height = gauge("header_height", "Height of the heaviest valid header");
        let final_height = gauge("final_height", "Height of the last final block, 0 if there is none");
        let head_time = gauge("head_time_seconds", "Time the published head claims, seconds since 1970");
        let pool_transactions = gauge("pool_transactions", "Transactions in the pool");
        let pool_bytes = gauge("pool_bytes", "Encoded bytes of the transactions in the pool");
        let is_faulty = gauge("fault", "1 if a disk fault stopped the chain");
        let peers = Family::default();
        registry.register("peers", "Connected peers", peers.clone());
        let network_bytes = Family::default();
        registry.register("network_bytes", "Bytes moved since the start", network_bytes.clone());
        let reorganisations = Counter::default();
        registry.register(
            "reorganisations",
            "Times the head moved to another branch",
            reorganisations.clone(),
        );
        let refused = Counter::default();
        registry.register("rpc_refused", "Requests refused because the queue was full", refused.clone());
        registry.register("rpc_calls", "Calls answered", calls.calls.clone());
        registry.register_with_unit(
            "rpc_latency",
            "How long calls took",
            Unit::Seconds,
            calls.latency.clone(),
        );
        Self {
            registry,
            height,
            header_height,
            final_height,
            head_time,
            pool_transactions,
            pool_bytes,
            peers,
            network_bytes,
            is_faulty,
            reorganisations,
            refused,
        }
    }

    /// The text Prometheus reads.
    pub(crate) fn text(&self, probe: &dyn Probe, host: &dyn Host) -> Result<String, fmt::Error> {
        let chain = probe.figures();
        let (pool_transactions, pool_bytes) = probe.pool_size();
        self.height.set(i64::from(chain.head.height.0));
        self.header_height.set(i64::from(chain.best_header.0));
        self.final_height.set(chain.finalized.map_or(0, |height| i64::from(height.0)));
        self.head_time.set(chain.head.time.0 as i64);
        self.pool_transactions.set(pool_transactions as i64);
        self.pool_bytes.set(pool_bytes as i64);
        self.is_faulty.set(i64::from(chain.fault.is_some()));
        let peers = host.peers();
        let inbound = peers.iter().filter(|peer| peer.is_inbound).count();
        let totals = host.network_totals();
        for (family, direction, value) in [
            (&self.peers, "in", inbound as u64),
            (&self.peers, "out", (peers.len() - inbound) as u64),
            (&self.network_bytes, "in", totals.bytes_received),
            (&self.network_bytes, "out", totals.bytes_sent),
        ] {
            family.get_or_create(&DirectionLabels { direction }).set(value as i64);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
