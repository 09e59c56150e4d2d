//! Stand-ins for tests: a host that remembers what was asked of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use chainwright_chain::Timestamp;
use parking_lot::Mutex;

use tokio::sync::mpsc;

use crate::host::{AddNode, AddedNode, Host, HostError, NetworkTotals, PeerInfo, PeerSelector};
use crate::session::{Outgoing, Session};

/// A node without a network.
#[derive(Default)]
pub struct TestHost {
    /// What [`Host::peers`] tells.
    pub peers: Mutex<Vec<PeerInfo>>,
    /// What was added.
    pub added: Mutex<Vec<AddedNode>>,
    /// The mocked time.
    pub mock_time: Mutex<Option<Timestamp>>,
    /// Whether it was asked to stop.
    pub stopped: AtomicBool,
    /// Whether it talks to nobody.
    pub network_paused: AtomicBool,
    /// Where its files lie; `data` if nobody says so.
    pub data: Option<PathBuf>,
}

/// What was pushed into a session.
pub struct Pushed(mpsc::Receiver<Outgoing>);

/// The messages so far; ends where there is none now.
impl Iterator for Pushed {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        match self.0.try_recv() {
            Ok(Outgoing::Push(text)) => Some(text),
            _ => None,
        }
    }
}

/// A session without a connection, and what is pushed into it.
pub fn session(id: u64) -> (Session, Pushed) {
    let (session, outgoing) = Session::open(id);
    (session, Pushed(outgoing))
}

/// The time of a host whose clock nobody mocked.
pub const TEST_NOW: Timestamp = Timestamp(1_700_000_000);

impl Host for TestHost {
    fn peers(&self) -> Vec<PeerInfo> {
        self.peers.lock().clone()
    }

    fn add_node(&self, address: &str, command: AddNode) -> Result<(), HostError> {
        let mut added = self.added.lock();
        let known = added.iter().position(|node| node.address == address);
        match (command, known) {
            (AddNode::Add, Some(_)) => return Err(HostError::AlreadyAdded),
            (AddNode::Add, None) => added.push(AddedNode { address: address.into(), connected: None }),
            (AddNode::Remove, Some(at)) => drop(added.remove(at)),
            (AddNode::Remove, None) => return Err(HostError::NotAdded),
            (AddNode::OneTry, _) => {}
        }
        Ok(())
    }

    fn added_nodes(&self) -> Vec<AddedNode> {
        self.added.lock().clone()
    }

    fn disconnect_node(&self, peer: &PeerSelector) -> Result<(), HostError> {
        let mut peers = self.peers.lock();
        let before = peers.len();
        peers.retain(|info| match peer {
            PeerSelector::Address(address) => info.address != *address,
            PeerSelector::Id(id) => info.id != *id,
        });
        if peers.len() == before { Err(HostError::NotConnected) } else { Ok(()) }
    }

    fn ping_peers(&self) {}

    fn network_totals(&self) -> NetworkTotals {
        NetworkTotals { bytes_received: 7, bytes_sent: 9 }
    }

    fn is_network_active(&self) -> bool {
        !self.network_paused.load(Ordering::Relaxed)
    }

    fn set_network_active(&self, active: bool) {
        self.network_paused.store(!active, Ordering::Relaxed);
    }

    fn listening_address(&self) -> Option<SocketAddr> {
        None
    }

    fn local_services(&self) -> u64 {
        0x409
    }

    fn user_agent(&self) -> String {
        "/Chainwright:0.1.0/".into()
    }

    fn set_mock_time(&self, time: Option<Timestamp>) {
        *self.mock_time.lock() = time;
    }

    fn now(&self) -> Timestamp {
        self.mock_time.lock().unwrap_or(TEST_NOW)
    }

    fn started_at(&self) -> Timestamp {
        TEST_NOW
    }

    fn uptime_seconds(&self) -> u64 {
        42
    }

    fn monotonic_us(&self) -> u64 {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed().as_micros() as u64
    }

    fn request_stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn log_categories(&self) -> BTreeMap<String, bool> {
        BTreeMap::from([("rpc".into(), false)])
    }

    fn set_log_category(&self, name: &str, _on: bool) -> bool {
        name == "rpc"
    }

    fn log_path(&self) -> Option<PathBuf> {
        None
    }

    fn data_directory(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from("data"))
    }

    fn size_on_disk_bytes(&self) -> std::io::Result<u64> {
        Ok(1234)
    }
}
