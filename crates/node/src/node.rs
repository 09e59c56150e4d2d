//! A running node: one chain, its engine, its peers and its RPC server, started and stopped in order.
//!
//! ```text
//!   start   store ─► driver ─► saved pool ─► engine ─► peers ─► RPC
//!   stop    RPC ─► peers ─► engine ─► saved pool ─► driver (flush) ─► "Shutdown: done"
//! ```
//!
//! Invariant: whatever ends a node goes through [`Shutdown`]; a failure is kept there and becomes the exit code.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chainwright_chain::{
    ChainHandle, Consensus, Fault, Header as _, Headers, Ledger, Limits, Notice, Pool as _,
};
use chainwright_network::{NODE_NETWORK, NODE_NETWORK_LIMITED, Parameters};
use chainwright_rpc::{Dialect, Host, LedgerProbe, Server, ServerConfig, ServerError, ServerParts};
use chainwright_store::{DiskStore, Identity, OpenError, RealDisk};
use futures_util::StreamExt as _;
use tokio::runtime::Handle;

use crate::clock::WallClock;
use crate::engine_room::{ChainParts, EngineRoom};
use crate::host::NodeHost;
use crate::log::{Log, date_time};
use crate::peers::{PeerOptions, PeerSetup, Peers};
use crate::shutdown::{PanicGuard, Shutdown};
use crate::workers::WorkerThreads;
use crate::{Loaded, load_pool, save_pool};

/// Makes the dialects once the chain runs.
pub type MakeDialects<L> = Box<dyn FnOnce(&ChainHandle<L>, &Arc<dyn Host>) -> Vec<Arc<dyn Dialect>> + Send>;

/// What a chain file decides.
pub struct NodeParts<L: Ledger> {
    /// The ledger.
    pub ledger: Arc<L>,
    /// The engine.
    pub consensus: Arc<dyn Consensus<L>>,
    /// Whose data the store holds.
    pub identity: Identity,
    /// The wire's parameters, policy included.
    pub parameters: Parameters<L>,
    /// What RPC speaks.
    pub dialects: MakeDialects<L>,
}

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Where all files lie; made if it does not exist.
    pub data: PathBuf,
    /// Threads for checking.
    pub workers: usize,
    /// The node's log.
    pub log: Log,
    /// How the node meets others; the address book's place is filled in.
    pub peers: PeerOptions,
    /// The RPC server; none if `None`.
    pub rpc: Option<ServerConfig>,
    /// Whether the pool outlives the node.
    pub keeps_pool: bool,
    /// Whether peers are talked to at once.
    pub network_active: bool,
    /// How the store works.
    pub store: chainwright_store::Options,
    /// Stop once the chain has this height; 0 for never.
    pub stop_at_height: u32,
    /// The time the node starts with, frozen, in seconds since 1970.
    pub mock_time: Option<u64>,
}

impl NodeOptions {
    /// A node without peers and without RPC.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            workers: WorkerThreads::default_width(),
            log: Log::none(),
            peers: PeerOptions::default(),
            rpc: None,
            keeps_pool: true,
            network_active: true,
            store: chainwright_store::Options::default(),
            stop_at_height: 0,
            mock_time: None,
        }
    }
}

/// Why a node did not start. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The chain, the peers' sockets or the system.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The RPC server.
    #[error(transparent)]
    Rpc(#[from] ServerError),
}

/// Opens the chain in a data directory and serves it, without engine, peers and RPC: for imports and exports.
///
/// # Errors
/// [`StartError`].
pub fn open_chain<L: Ledger>(
    parts: (Arc<L>, Arc<dyn Consensus<L>>, Identity),
    options: &NodeOptions,
    clock: Arc<WallClock>,
    shutdown: &Shutdown,
) -> Result<EngineRoom<L>, StartError> {
    let (ledger, consensus, identity) = parts;
    let disk = RealDisk::open(options.data.join("chain"))?;
    let store = Box::new(DiskStore::open(Arc::new(disk), identity, options.store)?);
    let workers = WorkerThreads::start(options.workers, shutdown).map_err(Fault::from)?;
    let parts =
        ChainParts { ledger, consensus, store, workers: Arc::new(workers), clock, limits: Limits::default() };
    Ok(EngineRoom::start(parts, shutdown)?)
}

/// A running node.
pub struct Node<L: Ledger> {
    room: EngineRoom<L>,
    peers: Arc<Peers<L>>,
    rpc: Option<Server>,
    engine: Running,
    notices: Running,
    shutdown: Shutdown,
    options: NodeOptions,
}

/// A task that ends with this value: also when a start fails half-way, or it would keep the data directory in use.
struct Running(tokio::task::JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<L: Ledger> Node<L> {
    /// Starts everything, in order.
    ///
    /// # Errors
    /// [`StartError`]; what had been started is stopped again.
    pub async fn start(
        parts: NodeParts<L>,
        mut options: NodeOptions,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        options.peers.book = options.data.join("peers.dat");
        let runtime = Handle::current();
        let clock = Arc::new(WallClock::new(runtime.clone()));
        clock.set_mock(options.mock_time.map(chainwright_chain::Timestamp));
        let chain_parts = (parts.ledger, Arc::clone(&parts.consensus), parts.identity);
        let room = open_chain(chain_parts, &options, Arc::clone(&clock), &shutdown)?;
        let chain = room.chain().clone();
        let head = chain.published().head().headers;
        options.log.line(format!("Loaded best chain: {}", describe_head(&head)));
        let mut own = Vec::new();
        if options.keeps_pool {
            let loaded = restore_pool(&chain, &options, &shutdown);
            // What was cut short must not take the place of the whole.
            options.keeps_pool = !loaded.is_cut_short;
            own = loaded.unbroadcast;
        }
        let notices = Running(runtime.spawn(follow(chain.clone(), options.clone(), shutdown.clone())));
        let engine = drive(Arc::clone(&parts.consensus), chain.clone(), shutdown.clone());
        let engine = Running(runtime.spawn(engine));
        let mut parameters = parts.parameters;
        if chain.published().base().height() > chainwright_chain::Height::GENESIS {
            // Whoever needs old blocks should ask others.
            parameters.services = parameters.services & !NODE_NETWORK | NODE_NETWORK_LIMITED;
        }
        let (services, user_agent) = (parameters.services, parameters.user_agent.clone());
        let setup = PeerSetup {
            parameters,
            chain: chain.clone(),
            consensus: parts.consensus,
            clock: Arc::clone(&clock),
            log: options.log.clone(),
            shutdown: shutdown.clone(),
            seed: random_seed()?,
        };
        let peers = Arc::new(Peers::start(setup, options.peers.clone()).await?);
        peers.ask(move |protocol, _| protocol.announce_own(own));
        if !options.network_active {
            peers.ask(|protocol, _| protocol.set_network_active(false));
        }
        let host: Arc<dyn Host> = Arc::new(NodeHost {
            peers: Arc::clone(&peers),
            started_at: chainwright_chain::Timestamp(WallClock::real().as_secs()),
            clock,
            shutdown: shutdown.clone(),
            log: options.log.clone(),
            data: options.data.clone(),
            services,
            user_agent,
            network_active: AtomicBool::new(options.network_active),
        });
        let mut node = Self { room, peers, rpc: None, engine, notices, shutdown, options };
        if let Some(config) = node.options.rpc.clone() {
            let dialects = (parts.dialects)(&chain, &host);
            let probe = Arc::new(LedgerProbe::new(Arc::clone(chain.published())));
            node.rpc = Some(Server::start(config, ServerParts { dialects, probe, host }).await?);
        }
        node.options.log.line("Done loading");
        Ok(node)
    }

    /// The chain.
    pub fn chain(&self) -> &ChainHandle<L> {
        self.room.chain()
    }

    /// Where peers can connect.
    pub fn listening(&self) -> &[SocketAddr] {
        self.peers.listening()
    }

    /// Where the RPC server listens.
    pub fn rpc_addresses(&self) -> &[SocketAddr] {
        self.rpc.as_ref().map_or(&[], Server::addresses)
    }

    /// Stops everything, in order, and writes everything down. The failure that stopped the node, if one did.
    ///
    /// # Errors
    /// What failed, in words an operator can act on.
    pub async fn stop(mut self) -> Result<(), String> {
        let log = self.options.log.clone();
        log.line("Shutdown: In progress...");
        self.shutdown.request();
        if let Some(rpc) = self.rpc.take() {
            rpc.stop().await;
        }
        drop((self.engine, self.notices));
        let (shutdown, options) = (self.shutdown.clone(), self.options.clone());
        let (peers, mut room) = (self.peers, self.room);
        // Threads are joined: not on a thread that runs tasks.
        let stopping = tokio::task::spawn_blocking(move || {
            let own = peers.ask(|protocol, _| protocol.unbroadcast()).unwrap_or_default();
            peers.stop();
            if options.keeps_pool && shutdown.failure().is_none() {
                let file = options.data.join("mempool.dat");
                match save_pool(room.chain(), &own, &file) {
                    Ok(count) => options.log.line(format!("Dumped mempool: {count} transactions")),
                    Err(error) => {
                        options.log.line(format!("Failed to dump mempool: {error}. Continuing anyway."));
                    }
                }
            }
            room.stop();
        });
        if stopping.await.is_err() {
            self.shutdown.fail("a thread panicked while the node stopped");
        }
        if let Some(failure) = self.shutdown.failure() {
            log.line(format!("Error: {failure}"));
            return Err(failure.to_owned());
        }
        log.line("Shutdown: done");
        Ok(())
    }
}

fn random_seed() -> Result<[u8; 32], Fault> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Fault::new(format!("no randomness: {error}")))?;
    Ok(seed)
}

fn restore_pool<L: Ledger>(chain: &ChainHandle<L>, options: &NodeOptions, shutdown: &Shutdown) -> Loaded {
    let loaded = load_pool(chain, &options.data.join("mempool.dat"), shutdown);
    match &loaded {
        Ok(Loaded { is_cut_short: true, accepted, .. }) => options.log.line(format!(
            "Stopped importing mempool transactions after {accepted}; the file stays as it is"
        )),
        Ok(loaded) => options.log.line(format!(
            "Imported mempool transactions from file: {} succeeded, {} failed",
            loaded.accepted, loaded.refused
        )),
        Err(error) => {
            options.log.line(format!("Failed to open mempool file: {error}. Continuing anyway."));
        }
    }
    loaded.unwrap_or_default()
}

/// Runs the engine until the chain stops.
async fn drive<L: Ledger>(consensus: Arc<dyn Consensus<L>>, chain: ChainHandle<L>, shutdown: Shutdown) {
    let _guard = PanicGuard::new(&shutdown, "the engine");
    if let Err(fault) = consensus.run(chain).await {
        shutdown.fail(fault.to_string());
    }
}

/// Writes down every new head, drops old pool transactions from time to time, and stops at a height if asked to.
async fn follow<L: Ledger>(chain: ChainHandle<L>, options: NodeOptions, shutdown: Shutdown) {
    /// The driver looks after bodies somebody could not read whenever it hears anything.
    const NUDGE: std::time::Duration = std::time::Duration::from_secs(5);
    const POOL_LOOK: std::time::Duration = std::time::Duration::from_mins(10);
    let mut notices = chain.published().subscribe();
    let mut look = tokio::time::interval(POOL_LOOK);
    let mut nudge = tokio::time::interval(NUDGE);
    let mut written = None;
    loop {
        let notice = tokio::select! {
            notice = notices.next() => notice,
            _ = nudge.tick() => {
                drop(chain.import_headers(Vec::new()));
                continue;
            }
            _ = look.tick() => {
                chain.expire_pool();
                continue;
            }
        };
        match notice {
            Some(Notice::Head(..)) => {
                // Notices queue up while blocks come faster than lines are written; the head is the newest.
                let head = chain.published().head().headers;
                if written.replace(head.id()) == Some(head.id()) {
                    continue;
                }
                let pool = chain.published().pool().len();
                options.log.line(format!("UpdateTip: new {} tx={pool} in the pool", describe_head(&head)));
                if options.stop_at_height > 0 && head.height().0 >= options.stop_at_height {
                    shutdown.request();
                }
            }
            Some(Notice::Stopping) | None => {
                if let Some(fault) = chain.published().fault() {
                    shutdown.fail(fault.to_string());
                }
                return;
            }
            Some(_) => {}
        }
    }
}

/// A head in the words of Bitcoin Core's `UpdateTip` line.
fn describe_head<L: Ledger>(head: &Headers<L>) -> String {
    let time = std::time::Duration::from_secs(head.header().time().0);
    // Where blocks weigh nothing there is no logarithm.
    let work = head.weight().0;
    let work = if work.is_zero() { String::new() } else { format!(" log2_work={:.6}", work.approx_log2()) };
    format!("best={} height={}{work} date='{}'", L::show_id(&head.id().0), head.height(), date_time(time))
}
