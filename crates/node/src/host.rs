//! The node as RPC sees it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chainwright_chain::{Clock as _, Height, Ledger, Timestamp};
use chainwright_network::{ConnectionKind, PeerId, Traffic};
use chainwright_rpc::{
    AddNode, AddedNode, ConnectionType, Host, HostError, NetworkTotals, PeerInfo, PeerSelector,
};

use crate::clock::WallClock;
use crate::log::Log;
use crate::peers::Peers;
use crate::shutdown::Shutdown;

/// Answers what RPC asks of one node.
pub(crate) struct NodeHost<L: Ledger> {
    pub(crate) peers: Arc<Peers<L>>,
    pub(crate) clock: Arc<WallClock>,
    pub(crate) shutdown: Shutdown,
    pub(crate) log: Log,
    pub(crate) data: PathBuf,
    pub(crate) started_at: Timestamp,
    pub(crate) services: u64,
    pub(crate) user_agent: String,
    pub(crate) network_active: AtomicBool,
}

/// Seconds of a time in milliseconds.
const fn seconds(milliseconds: u64) -> Timestamp {
    Timestamp(milliseconds / 1000)
}

fn height(height: i64) -> Option<Height> {
    u32::try_from(height).ok().map(Height)
}

const fn connection_type(kind: ConnectionKind) -> ConnectionType {
    match kind {
        ConnectionKind::Inbound => ConnectionType::Inbound,
        ConnectionKind::OutboundFullRelay => ConnectionType::OutboundFullRelay,
        ConnectionKind::BlockRelay => ConnectionType::BlockRelayOnly,
        ConnectionKind::Manual => ConnectionType::Manual,
        ConnectionKind::Feeler => ConnectionType::Feeler,
    }
}

fn by_message(traffic: &Traffic) -> BTreeMap<String, u64> {
    traffic.by_message.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect()
}

fn describe(peer: chainwright_network::PeerInfo, address_bind: Option<SocketAddr>) -> PeerInfo {
    let network = match peer.address.socket_address() {
        _ if !peer.address.host.is_routable() => "not_publicly_routable",
        Some(SocketAddr::V4(_)) => "ipv4",
        Some(SocketAddr::V6(_)) => "ipv6",
        None => "onion",
    };
    PeerInfo {
        id: peer.id.0,
        address: peer.address.to_string(),
        address_bind,
        network: network.to_owned(),
        services: peer.services,
        relays_transactions: peer.relays_transactions,
        last_send: seconds(peer.sent.last_at),
        last_receive: seconds(peer.received.last_at),
        last_transaction: seconds(peer.last_transaction_at),
        last_block: seconds(peer.last_block_at),
        bytes_sent: peer.sent.bytes,
        bytes_received: peer.received.bytes,
        connected_at: seconds(peer.connected_at),
        time_offset_seconds: peer.time_offset_s,
        ping_us: peer.ping_ms.map(|ping| ping * 1000),
        ping_min_us: peer.ping_min_ms.map(|ping| ping * 1000),
        ping_wait_us: peer.ping_wait_ms.map(|ping| ping * 1000),
        version: peer.version,
        user_agent: peer.user_agent,
        is_inbound: peer.kind == ConnectionKind::Inbound,
        compact_blocks_from_us: peer.compact_high_bandwidth_from,
        starting_height: peer.start_height,
        presynced_height: height(peer.presynced_headers),
        synced_headers: height(peer.synced_headers),
        synced_blocks: height(peer.synced_blocks),
        blocks_in_flight: peer.in_flight.iter().copied().map(Height).collect(),
        relays_addresses: peer.address_relay,
        addresses_processed: peer.addresses_processed,
        addresses_rate_limited: peer.addresses_rate_limited,
        fee_filter_minimum: peer.fee_filter,
        bytes_sent_by_message: by_message(&peer.sent),
        bytes_received_by_message: by_message(&peer.received),
        connection_type: connection_type(peer.kind),
        transport: "v1".to_owned(),
        ..PeerInfo::default()
    }
}

impl<L: Ledger> Host for NodeHost<L> {
    fn peers(&self) -> Vec<PeerInfo> {
        let peers = self.peers.ask(|protocol, _| protocol.peers()).unwrap_or_default();
        let local: BTreeMap<PeerId, SocketAddr> = self.peers.local_addresses().into_iter().collect();
        peers
            .into_iter()
            .map(|peer| {
                let bind = local.get(&peer.id).copied();
                describe(peer, bind)
            })
            .collect()
    }

    fn add_node(&self, address: &str, command: AddNode) -> Result<(), HostError> {
        let is_known = self.peers.added().iter().any(|peer| peer.name == address);
        match command {
            AddNode::Add if is_known => return Err(HostError::AlreadyAdded),
            AddNode::Add => self.peers.add(address),
            AddNode::Remove if !is_known => return Err(HostError::NotAdded),
            AddNode::Remove => self.peers.remove(address),
            AddNode::OneTry => self.peers.try_once(address),
        }
        Ok(())
    }

    fn added_nodes(&self) -> Vec<AddedNode> {
        let connected = self.peers.ask(|protocol, _| protocol.peers()).unwrap_or_default();
        let added = self.peers.added().into_iter().map(|added| {
            let peer = connected.iter().find(|peer| Some(peer.address) == added.address);
            let is_inbound = |kind| kind == ConnectionKind::Inbound;
            AddedNode {
                address: added.name,
                connected: peer.map(|peer| (peer.address.to_string(), is_inbound(peer.kind))),
            }
        });
        added.collect()
    }

    fn disconnect_node(&self, peer: &PeerSelector) -> Result<(), HostError> {
        let peer = peer.clone();
        let found = self.peers.ask(move |protocol, _| {
            let peers = protocol.peers();
            let found = peers.iter().find(|info| match &peer {
                PeerSelector::Address(address) => info.address.to_string() == *address,
                PeerSelector::Id(id) => info.id.0 == *id,
            });
            let id = found.map(|info| info.id);
            id.map(|id| protocol.disconnect(id)).is_some()
        });
        if found == Some(true) { Ok(()) } else { Err(HostError::NotConnected) }
    }

    fn ping_peers(&self) {
        self.peers.ask(|protocol, _| protocol.ping_peers());
        self.peers.time_changed();
    }

    fn network_totals(&self) -> NetworkTotals {
        let totals = self.peers.ask(|protocol, _| protocol.totals()).unwrap_or_default();
        NetworkTotals { bytes_received: totals.bytes_received, bytes_sent: totals.bytes_sent }
    }

    fn is_network_active(&self) -> bool {
        self.network_active.load(Ordering::Relaxed)
    }

    fn set_network_active(&self, active: bool) {
        self.network_active.store(active, Ordering::Relaxed);
        self.peers.ask(move |protocol, _| protocol.set_network_active(active));
    }

    fn listening_address(&self) -> Option<SocketAddr> {
        self.peers.listening().first().copied()
    }

    fn local_services(&self) -> u64 {
        self.services
    }

    fn user_agent(&self) -> String {
        self.user_agent.clone()
    }

    fn set_mock_time(&self, time: Option<Timestamp>) {
        self.clock.set_mock(time);
        self.peers.time_changed();
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }

    fn uptime_seconds(&self) -> u64 {
        self.clock.uptime().as_secs()
    }

    fn monotonic_us(&self) -> u64 {
        self.clock.uptime().as_micros() as u64
    }

    fn request_stop(&self) {
        self.shutdown.request();
    }

    fn warnings(&self) -> Vec<String> {
        self.shutdown.failure().map(str::to_owned).into_iter().collect()
    }

    fn log_line(&self, line: &str) {
        self.log.line(line);
    }

    fn log_categories(&self) -> BTreeMap<String, bool> {
        BTreeMap::from([("all".to_owned(), self.log.is_verbose())])
    }

    fn set_log_category(&self, name: &str, on: bool) -> bool {
        let is_known = matches!(name, "all" | "1" | "net" | "mempool" | "validation" | "rpc");
        if is_known {
            self.log.set_verbose(on);
        }
        is_known
    }

    fn log_path(&self) -> Option<PathBuf> {
        self.log.path().map(Path::to_path_buf)
    }

    fn data_directory(&self) -> PathBuf {
        self.data.clone()
    }

    fn size_on_disk_bytes(&self) -> std::io::Result<u64> {
        size_of(&self.data)
    }
}

/// Bytes of all files below a directory. A file that vanishes meanwhile does not count.
fn size_of(directory: &Path) -> std::io::Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size += size_of(&entry.path())?,
            Ok(metadata) => size += metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(size)
}
