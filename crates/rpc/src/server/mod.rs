//! The HTTP server: listening, limits, and which path leads where.

mod access;
mod connection;
mod control;
mod events;
mod followers;
mod health;
mod queue;
mod socket;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::auth::{AuthConfig, AuthError, Gate, IpRange};
use crate::dialect::{Dialect, Style, Table};
use crate::host::Host;
use crate::jsonrpc::Executor;
use crate::metrics::{CallMetrics, Metrics};
use crate::probe::Probe;
pub use access::OpenAccess;
use queue::WorkQueue;

/// How the server listens and what it refuses. Defaults are Bitcoin Core's where it has the setting.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes any free port.
    pub bind: Vec<SocketAddr>,
    /// Who may connect beside this machine itself (`-rpcallowip`).
    pub allow: Vec<IpRange>,
    /// How callers show who they are.
    pub auth: AuthConfig,
    /// Lets callers on this machine in without a login, if a dialect is public; `None` asks everybody for one.
    pub open: Option<OpenAccess>,
    /// Origins whose pages may read answers and open WebSockets, such as `http://localhost:3000`; `*` for all
    /// (go-ethereum's `--http.corsdomain` and `--ws.origins`).
    pub cors_origins: Vec<String>,
    /// Calls that run at once (`-rpcthreads`).
    pub threads: usize,
    /// Calls that may wait (`-rpcworkqueue`). In JSON-RPC 2.0 style, as in go-ethereum, every connection may have one
    /// waiting; [`ServerConfig::waiting_bytes_max`] bounds them.
    pub queue_depth: usize,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Bytes of all requests that wait or run at once; further ones are read later. JSON-RPC 2.0 style alone.
    pub waiting_bytes_max: usize,
    /// Requests in one batch.
    pub batch_max: usize,
    /// Bytes of a batch's answers after which its further calls fail; JSON-RPC 2.0 style alone.
    pub batch_reply_bytes_max: usize,
    /// Open connections.
    pub connections_max: usize,
    /// Event streams that stay open.
    pub streams_max: usize,
    /// WebSockets that stay open; 0 for none.
    pub sockets_max: usize,
    /// How long a caller may take to send a request (`-rpcservertimeout`).
    pub request_timeout: Duration,
    /// What the program calls itself, as in `… stopping`.
    pub client_name: String,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            bind: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            allow: Vec::new(),
            auth: AuthConfig::default(),
            open: None,
            cors_origins: Vec::new(),
            threads: 16,
            queue_depth: 64,
            body_bytes_max: 32 << 20,
            waiting_bytes_max: 128 << 20,
            batch_max: 1000,
            batch_reply_bytes_max: 25_000_000,
            connections_max: 512,
            streams_max: 32,
            sockets_max: 64,
            request_timeout: Duration::from_secs(30),
            client_name: "Chainwright".into(),
        }
    }
}

/// What the server speaks for.
pub struct ServerParts {
    /// The methods; of two with one name the later dialect's counts, and the last one's style is the server's.
    pub dialects: Vec<Arc<dyn Dialect>>,
    /// The chain, for health, metrics and events.
    pub probe: Arc<dyn Probe>,
    /// The node around it.
    pub host: Arc<dyn Host>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Credentials could not be set up.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// An address is taken or not ours.
    #[error("cannot listen for RPC on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// What every connection shares.
struct Shared {
    config: ServerConfig,
    gate: Gate,
    executor: Executor,
    queue: WorkQueue,
    /// KiB of requests that may wait or run.
    waiting: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    /// Looks for `/health/ready` that run at once.
    looks: Arc<Semaphore>,
    next_session: AtomicU64,
    dialects: Vec<Arc<dyn Dialect>>,
    metrics: Metrics,
    probe: Arc<dyn Probe>,
    host: Arc<dyn Host>,
    stopping: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
}

impl Shared {
    /// Resolves once the server stops.
    async fn stopped(&self) {
        let _ = self.stop.subscribe().wait_for(|stopped| *stopped).await;
    }
}

/// A running server. Dropping it without [`Server::stop`] leaves it running.
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    tasks: JoinSet<()>,
}

/// Questions about readiness that are looked into at once.
const LOOKS_MAX: usize = 4;

/// How long open requests may go on after the server was asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

impl Server {
    /// Writes the cookie, binds and serves. To be called inside a Tokio runtime with time and I/O.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is left behind then.
    pub async fn start(config: ServerConfig, parts: ServerParts) -> Result<Self, ServerError> {
        let mut listeners = Vec::new();
        for &address in &config.bind {
            let bound = TcpListener::bind(address).await;
            listeners.push(bound.map_err(|source| ServerError::Bind { address, source })?);
        }
        let gate = Gate::open(&config.auth)?;
        let dialects = parts.dialects.clone();
        let shared = Arc::new(shared(config, gate, parts));
        let addresses: Vec<_> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let connections = Arc::new(Semaphore::new(shared.config.connections_max));
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(connection::accept(listener, Arc::clone(&shared), Arc::clone(&connections)));
        }
        tasks.spawn(health::count_reorganisations(Arc::clone(&shared)));
        for follower in dialects.into_iter().filter_map(Dialect::follower) {
            tasks.spawn(followers::follow(follower, Arc::clone(&shared)));
        }
        tracing::info!(?addresses, "RPC server listens");
        Ok(Self { shared, addresses, tasks })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no more requests, lets running ones end for a few seconds, and removes the cookie.
    pub async fn stop(mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.stop.send_replace(true);
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, finished).await.is_err() {
            tracing::warn!("RPC requests were still running and have been cut off");
        }
        self.shared.gate.close();
    }
}

/// Rounded up.
fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

fn shared(mut config: ServerConfig, gate: Gate, parts: ServerParts) -> Shared {
    let clock_host = Arc::clone(&parts.host);
    let calls = CallMetrics::new(Arc::new(move || clock_host.monotonic_us()));
    let stopping = Arc::new(AtomicBool::new(false));
    let mut table = Table::new();
    let mut public = BTreeSet::new();
    for dialect in &parts.dialects {
        tracing::debug!(dialect = dialect.name(), "RPC dialect");
        for method in Arc::clone(dialect).methods() {
            let name = method.name;
            if dialect.is_public() {
                public.insert(name)
            } else {
                public.remove(name)
            };
            table.insert(name, method);
        }
    }
    let steering = control::add_to(&mut table, &calls, &parts.host, &config.client_name);
    public.retain(|name| !steering.contains(name));
    config.open = config.open.filter(|_| !public.is_empty());
    let metrics = Metrics::new(&calls);
    let executor = Executor {
        style: parts.dialects.last().map_or_else(Style::default, |dialect| dialect.style()),
        table,
        public,
        metrics: calls,
        batch_max: config.batch_max,
        batch_reply_bytes_max: config.batch_reply_bytes_max,
        stopping: Arc::clone(&stopping),
    };
    Shared {
        sockets: Arc::new(Semaphore::new(config.sockets_max)),
        looks: Arc::new(Semaphore::new(LOOKS_MAX)),
        next_session: AtomicU64::new(1),
        dialects: parts.dialects,
        queue: WorkQueue::new(config.threads, config.queue_depth),
        waiting: Arc::new(Semaphore::new(kibibytes(config.waiting_bytes_max) as usize)),
        streams: Arc::new(Semaphore::new(config.streams_max)),
        config,
        gate,
        executor,
        metrics,
        probe: parts.probe,
        host: parts.host,
        stopping,
        stop: watch::Sender::new(false),
    }
}

#[cfg(test)]
mod tests;
