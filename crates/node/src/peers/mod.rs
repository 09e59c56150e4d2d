//! The sockets around the peer protocol.
//!
//! One thread owns the [`Protocol`]; everything reaches it through one channel: bytes, answers of the chain, notices,
//! questions of the operator. It wakes when the protocol wants to be woken.
//!
//! Invariants: the protocol's time never goes back; each `Connect` is answered exactly once; nothing is read from a
//! peer that the protocol does not want to hear.

mod names;
mod net_time;
mod socket;
mod thread;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chainwright_chain::{ChainHandle, Consensus, Fault, Ledger, Notice};
use chainwright_network::{
    AddressBook, ConnectionKind, Input, NetworkAddress, Parameters, PeerId, Protocol, Setup,
};
use crossbeam_channel::{Sender, bounded, unbounded};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::clock::WallClock;
use crate::log::Log;
use crate::shutdown::{PanicGuard, Shutdown};
use names::{Reached, reach, resolve};
use net_time::NetTime;
use socket::Connection;
use thread::{Event, PeersThread};

pub use names::AddedPeer;

/// Waiting times between two questions to the seeds: the first, and the longest.
const SEEDS_PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));
/// How long a question of the operator may wait for the peers' thread.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How the node meets others.
#[derive(Clone, Debug, Default)]
pub struct PeerOptions {
    /// Where to listen; nowhere if empty.
    pub listen: Vec<SocketAddr>,
    /// Stay connected to these and to nobody else (`-connect`).
    pub connect: Vec<String>,
    /// Connect to these too (`-addnode`).
    pub add: Vec<String>,
    /// Host names that know addresses of this network.
    pub seeds: Vec<String>,
    /// Where the address book lies between two runs.
    pub book: PathBuf,
}

/// What the peers' thread is made of.
pub struct PeerSetup<L: Ledger> {
    /// The wire's parameters, policy included.
    pub parameters: Parameters<L>,
    /// The chain peers are told about.
    pub chain: ChainHandle<L>,
    /// Judges headers before they are worth memory.
    pub consensus: Arc<dyn Consensus<L>>,
    /// The node's time.
    pub clock: Arc<WallClock>,
    /// Where connections and farewells are written down.
    pub log: Log,
    /// Told when the thread that owns the protocol panics.
    pub shutdown: Shutdown,
    /// Randomness for everything that must not be predictable.
    pub seed: [u8; 32],
}

/// The running peers' side of a node.
pub struct Peers<L: Ledger> {
    events: Sender<Event<L>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    listening: Vec<SocketAddr>,
    default_port: u16,
    runtime: Handle,
    tasks: Mutex<Vec<tokio::task::JoinHandle<()>>>,
}

/// What accepting and dialling need; cheap to clone.
struct Gate<L: Ledger> {
    events: Sender<Event<L>>,
    next_peer: Arc<AtomicU64>,
    runtime: Handle,
    default_port: u16,
}

impl<L: Ledger> Clone for Gate<L> {
    fn clone(&self) -> Self {
        Self {
            events: self.events.clone(),
            next_peer: Arc::clone(&self.next_peer),
            runtime: self.runtime.clone(),
            default_port: self.default_port,
        }
    }
}

impl<L: Ledger> Gate<L> {
    fn send(&self, event: Event<L>) {
        // The thread is gone when the node stops; then nobody needs the event.
        let _ = self.events.send(event);
    }

    /// Takes over an open socket.
    fn welcome(&self, socket: TcpStream, address: NetworkAddress, kind: ConnectionKind) {
        let peer = PeerId(self.next_peer.fetch_add(1, Ordering::Relaxed));
        let local = socket.local_addr().ok();
        let gate = self.clone();
        let _entered = self.runtime.enter();
        let tell = move |event| gate.send(Event::Socket(event));
        let connection = Connection::start(peer, socket, tell);
        self.send(Event::Connected { peer, address, kind, connection, local });
    }

    /// Connects to an address; one that has a name is looked up again first.
    fn dial(&self, address: NetworkAddress, kind: ConnectionKind, name: Option<String>) {
        let gate = self.clone();
        self.runtime.spawn(async move {
            let found = match &name {
                Some(name) => resolve(name, gate.default_port).await,
                None => Vec::new(),
            };
            let reached = reach(address, found).await;
            match (reached, name) {
                (Reached::Here(socket), _) => return gate.welcome(socket, address, kind),
                (Reached::Elsewhere(other), Some(name)) => {
                    gate.send(Event::Resolved { name, address: Some(other) });
                }
                _ => {}
            }
            gate.send(Event::Input(Input::ConnectFailed { address, kind }));
        });
    }

    /// Looks a name up after a while; the answer comes as an event.
    fn look_up(&self, name: String, pause: Duration) {
        let gate = self.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            let address = resolve(&name, gate.default_port).await.into_iter().next();
            gate.send(Event::Resolved { name, address });
        });
    }
}

impl<L: Ledger> Peers<L> {
    /// Opens the listening sockets, reads the address book and starts to talk.
    ///
    /// # Errors
    /// When a listening address cannot be used, the address book is damaged, or the system gives no thread.
    pub async fn start(setup: PeerSetup<L>, options: PeerOptions) -> Result<Self, Fault> {
        let book = read_book(&options.book, setup.seed, &setup.log)?;
        let (events, inbox) = unbounded();
        let runtime = Handle::current();
        let default_port = setup.parameters.default_port;
        let next_peer = Arc::new(AtomicU64::new(0));
        let gate = Gate { events: events.clone(), next_peer, runtime: runtime.clone(), default_port };
        let (mut listening, mut tasks) = (Vec::new(), Vec::new());
        for address in &options.listen {
            let listener =
                TcpListener::bind(address).await.map_err(|error| cannot_listen(*address, &error))?;
            listening.push(listener.local_addr()?);
            tasks.push(tokio::spawn(accept(listener, gate.clone())));
        }
        let notices = setup.chain.published().subscribe();
        tasks.push(tokio::spawn(forward_notices(notices, events.clone())));
        // A name that is empty stands for nobody: automatic connections stay off and none is opened.
        let connect = options.connect.iter().filter(|name| !name.is_empty()).map(|name| (name, false));
        for (name, is_listed) in connect.chain(options.add.iter().map(|name| (name, true))) {
            gate.send(Event::Add { name: name.clone(), is_listed });
        }
        if options.connect.is_empty() {
            tasks.push(tokio::spawn(ask_seeds(events.clone(), options.seeds, default_port)));
        }
        let time = NetTime::new(Arc::clone(&setup.clock));
        let (chain, log, shutdown) = (setup.chain.clone(), setup.log.clone(), setup.shutdown.clone());
        let make = move |now| {
            let PeerSetup { parameters, chain, consensus, seed, .. } = setup;
            let published = Arc::clone(chain.published());
            Protocol::new(Setup { parameters, published, consensus, book, seed }, now)
        };
        let run = move || {
            let _guard = PanicGuard::new(&shutdown, "the peers' thread");
            PeersThread::new(make, time, (gate, chain), (options.book, log)).run(&inbox);
        };
        let thread = std::thread::Builder::new().name("peers".to_owned()).spawn(run)?;
        let (thread, tasks) = (Mutex::new(Some(thread)), Mutex::new(tasks));
        Ok(Self { events, thread, listening, default_port, runtime, tasks })
    }

    /// Where peers can reach us.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Runs a question or an order on the thread that owns the protocol. `None` when it has stopped or is too busy.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Protocol<L>, u64) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, wait) = bounded(1);
        let question = Box::new(move |protocol: &mut Protocol<L>, now| {
            // Nobody waits any more if it took too long.
            let _ = answer.send(question(protocol, now));
        });
        self.events.send(Event::Ask(question)).ok()?;
        wait.recv_timeout(ANSWER_LIMIT).ok()
    }

    /// Our end of each connection.
    pub fn local_addresses(&self) -> Vec<(PeerId, SocketAddr)> {
        let (answer, wait) = bounded(1);
        let _ = self.events.send(Event::LocalAddresses(answer));
        wait.recv_timeout(ANSWER_LIMIT).unwrap_or_default()
    }

    /// Nodes the operator asked to stay connected to.
    pub fn added(&self) -> Vec<AddedPeer> {
        let (answer, wait) = bounded(1);
        let _ = self.events.send(Event::Added(answer));
        wait.recv_timeout(ANSWER_LIMIT).unwrap_or_default()
    }

    /// Stays connected to a node, named by host and port.
    pub fn add(&self, name: &str) {
        let _ = self.events.send(Event::Add { name: name.to_owned(), is_listed: true });
    }

    /// Tries once to connect to a node, named by host and port.
    pub fn try_once(&self, name: &str) {
        let (events, name, port) = (self.events.clone(), name.to_owned(), self.default_port);
        self.runtime.spawn(async move {
            if let Some(address) = resolve(&name, port).await.into_iter().next() {
                let order = Box::new(move |protocol: &mut Protocol<L>, _| {
                    protocol.try_node(address);
                });
                let _ = events.send(Event::Ask(order));
            }
        });
    }

    /// Stops staying connected to a node that was added by this name.
    pub fn remove(&self, name: &str) {
        let _ = self.events.send(Event::Remove(name.to_owned()));
    }

    /// The node's time has been frozen or runs again.
    pub fn time_changed(&self) {
        let _ = self.events.send(Event::Input(Input::Tick));
    }

    /// Says farewell to everybody, writes the address book and ends the thread.
    pub fn stop(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        let _ = self.events.send(Event::Stop);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl<L: Ledger> Drop for Peers<L> {
    fn drop(&mut self) {
        self.stop();
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Fault {
    Fault::new(format!(
        "Unable to bind to {address} on this computer. Another node is probably running ({error})"
    ))
}

fn read_book(file: &std::path::Path, seed: [u8; 32], log: &Log) -> Result<AddressBook, Fault> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(AddressBook::new(seed)),
        Err(error) => return Err(Fault::new(format!("cannot read {}: {error}", file.display()))),
    };
    // Addresses are only hints: a damaged book costs nothing but itself.
    Ok(AddressBook::decode(&bytes).unwrap_or_else(|error| {
        log.line(format!("{} is damaged ({error}); starting with an empty one", file.display()));
        AddressBook::new(seed)
    }))
}

async fn accept<L: Ledger>(listener: TcpListener, gate: Gate<L>) {
    loop {
        match listener.accept().await {
            Ok((socket, from)) => gate.welcome(socket, NetworkAddress::from(from), ConnectionKind::Inbound),
            // Out of file handles, most likely: connections end some time.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn forward_notices<L: Ledger>(
    mut notices: impl futures_util::Stream<Item = Notice> + Unpin,
    events: Sender<Event<L>>,
) {
    while let Some(notice) = notices.next().await {
        if events.send(Event::Input(Input::Notice(notice))).is_err() {
            return;
        }
    }
}

/// Asks seeds for addresses, and again while nobody was found to connect to.
async fn ask_seeds<L: Ledger>(events: Sender<Event<L>>, seeds: Vec<String>, default_port: u16) {
    let mut pause = SEEDS_PAUSE.0;
    while !seeds.is_empty() {
        for seed in &seeds {
            let addresses = resolve(seed, default_port).await;
            let Some(source) = addresses.first().copied() else { continue };
            let order = Box::new(move |protocol: &mut Protocol<L>, _| {
                protocol.add_addresses(&addresses, source);
            });
            let _ = events.send(Event::Ask(order));
        }
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SEEDS_PAUSE.1);
            let (answer, connected) = tokio::sync::oneshot::channel();
            let question = Box::new(move |protocol: &mut Protocol<L>, _| {
                // Nobody waits any more when the node stops.
                let _ = answer.send(protocol.totals().outbound > 0);
            });
            if events.send(Event::Ask(question)).is_err() {
                return;
            }
            match connected.await {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return,
            }
        }
    }
}
