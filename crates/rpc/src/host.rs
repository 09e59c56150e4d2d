//! What the shell and the dialects ask of the node around the chain: peers, time, stopping, warnings.
//!
//! The node implements [`Host`]; nothing here knows a network or a node. All calls may come from any thread and
//! should answer without waiting for a peer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use chainwright_chain::{Height, Timestamp};

/// How a connection to a peer came to be (Bitcoin Core, `node/connection_types.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionType {
    /// Opened by the peer.
    #[default]
    Inbound,
    /// Asked for by the operator.
    Manual,
    /// Opened by us; relays blocks and transactions.
    OutboundFullRelay,
    /// Opened by us; relays blocks alone.
    BlockRelayOnly,
    /// Opened by us, short-lived, to test an address.
    Feeler,
    /// Opened by us, short-lived, to ask for addresses.
    AddressFetch,
}

impl ConnectionType {
    /// The word RPC replies use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Manual => "manual",
            Self::OutboundFullRelay => "outbound-full-relay",
            Self::BlockRelayOnly => "block-relay-only",
            Self::Feeler => "feeler",
            Self::AddressFetch => "addr-fetch",
        }
    }
}

/// What is known of one connected peer. Durations are in microseconds, times in seconds since 1970 (0: never).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerInfo {
    /// Number of the connection, never used twice while the node runs.
    pub id: u64,
    /// Host and port as the operator or the socket gave them.
    pub address: String,
    /// Our end of the socket.
    pub address_bind: Option<SocketAddr>,
    /// Our address as the peer sees it.
    pub address_local: Option<String>,
    /// `ipv4`, `ipv6`, `onion`, … or `not_publicly_routable`.
    pub network: String,
    /// Service bits of its version message.
    pub services: u64,
    /// Whether we announce transactions to it.
    pub relays_transactions: bool,
    /// Last bytes sent.
    pub last_send: Timestamp,
    /// Last bytes received.
    pub last_receive: Timestamp,
    /// Last transaction of it that entered the pool.
    pub last_transaction: Timestamp,
    /// Last valid block that came from it.
    pub last_block: Timestamp,
    /// Bytes sent in total.
    pub bytes_sent: u64,
    /// Bytes received in total.
    pub bytes_received: u64,
    /// When the connection was opened.
    pub connected_at: Timestamp,
    /// Its clock minus ours at the handshake, in seconds.
    pub time_offset_seconds: i64,
    /// The last answered ping.
    pub ping_us: Option<u64>,
    /// The fastest answered ping.
    pub ping_min_us: Option<u64>,
    /// How long an unanswered ping has been waiting.
    pub ping_wait_us: Option<u64>,
    /// Protocol version, 0 before its version message.
    pub version: u32,
    /// User agent, made safe for printing.
    pub user_agent: String,
    /// Whether it opened the connection.
    pub is_inbound: bool,
    /// Whether we asked it to announce by compact blocks at once.
    pub compact_blocks_to_us: bool,
    /// Whether it asked us to do so.
    pub compact_blocks_from_us: bool,
    /// Its height at the handshake.
    pub starting_height: i32,
    /// Height of header pre-synchronisation, if one is running.
    pub presynced_height: Option<Height>,
    /// Height of the best header we know it has.
    pub synced_headers: Option<Height>,
    /// Height of the best block both have.
    pub synced_blocks: Option<Height>,
    /// Heights of the blocks asked of it and not yet received.
    pub blocks_in_flight: Vec<Height>,
    /// Whether addresses are exchanged with it.
    pub relays_addresses: bool,
    /// Addresses it sent that were processed.
    pub addresses_processed: u64,
    /// Addresses it sent that were dropped for their rate.
    pub addresses_rate_limited: u64,
    /// Permissions the operator gave it.
    pub permissions: Vec<String>,
    /// Lowest fee rate it wants to hear of, in the ledger's smallest unit per 1,000 virtual bytes.
    pub fee_filter_minimum: u64,
    /// Bytes sent by kind of message.
    pub bytes_sent_by_message: BTreeMap<String, u64>,
    /// Bytes received by kind of message.
    pub bytes_received_by_message: BTreeMap<String, u64>,
    /// How the connection came to be.
    pub connection_type: ConnectionType,
    /// `v1`, `v2` or `detecting`.
    pub transport: String,
    /// Identity of an encrypted session in hex; empty without one.
    pub session_id: String,
}

/// What to do with a node the operator names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddNode {
    /// Keep connecting to it.
    Add,
    /// Stop doing so.
    Remove,
    /// Try once.
    OneTry,
}

/// A node the operator asked to stay connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddedNode {
    /// As the operator wrote it.
    pub address: String,
    /// Its connection, if there is one: resolved address and whether it is inbound.
    pub connected: Option<(String, bool)>,
}

/// Which peer to disconnect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerSelector {
    /// By host and port as in [`PeerInfo::address`].
    Address(String),
    /// By [`PeerInfo::id`].
    Id(u64),
}

/// Bytes moved since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkTotals {
    /// Received from all peers, also those that are gone.
    pub bytes_received: u64,
    /// Sent to all peers.
    pub bytes_sent: u64,
}

/// Why the node did not do what the operator asked; the dialects choose the code and words of their protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// `addnode add` of one that was added before.
    #[error("node has been added before")]
    AlreadyAdded,
    /// `addnode remove` of one that was never added.
    #[error("node has not been added")]
    NotAdded,
    /// No such peer is connected.
    #[error("peer is not connected")]
    NotConnected,
    /// The node runs without peer-to-peer networking, or the chain does not support it.
    #[error("peer-to-peer networking is disabled")]
    NetworkDisabled,
}

/// The running node, as the shell and the dialects see it.
pub trait Host: Send + Sync + 'static {
    /// All connected peers, by id.
    fn peers(&self) -> Vec<PeerInfo>;

    /// Adds, removes or tries a node. The connection itself happens later.
    ///
    /// # Errors
    /// [`HostError::AlreadyAdded`], [`HostError::NotAdded`] or [`HostError::NetworkDisabled`].
    fn add_node(&self, address: &str, command: AddNode) -> Result<(), HostError>;

    /// The nodes added by [`Host::add_node`] or the configuration.
    fn added_nodes(&self) -> Vec<AddedNode>;

    /// Closes a connection.
    ///
    /// # Errors
    /// [`HostError::NotConnected`] or [`HostError::NetworkDisabled`].
    fn disconnect_node(&self, peer: &PeerSelector) -> Result<(), HostError>;

    /// Sends a ping to every peer.
    fn ping_peers(&self);

    /// Bytes moved since the start.
    fn network_totals(&self) -> NetworkTotals;

    /// Whether the node talks to peers at all.
    fn is_network_active(&self) -> bool;

    /// Starts or stops talking to peers.
    fn set_network_active(&self, active: bool);

    /// Where peers can connect, if the node listens.
    fn listening_address(&self) -> Option<SocketAddr>;

    /// Service bits we announce.
    fn local_services(&self) -> u64;

    /// User agent we announce.
    fn user_agent(&self) -> String;

    /// Fixes the node's time, `None` lets it run again; everything that waits for time looks again.
    fn set_mock_time(&self, time: Option<Timestamp>);

    /// Seconds since 1970 as the node believes, a mocked time included.
    fn now(&self) -> Timestamp;

    /// When the node was started, by the real clock.
    fn started_at(&self) -> Timestamp;

    /// Seconds since the node was started, by the real clock.
    fn uptime_seconds(&self) -> u64;

    /// Microseconds of a clock that only moves forward and is never mocked; for measuring and nothing else.
    fn monotonic_us(&self) -> u64;

    /// Asks the node to stop; returns at once.
    fn request_stop(&self);

    /// What the operator should know, in whole sentences; empty if all is well.
    fn warnings(&self) -> Vec<String>;

    /// Writes one line to the node's log, if there is one.
    fn log_line(&self, line: &str) {
        let _ = line;
    }

    /// Log categories and whether each is on.
    fn log_categories(&self) -> BTreeMap<String, bool>;

    /// Switches a log category; `false` if there is none of that name.
    fn set_log_category(&self, name: &str, on: bool) -> bool;

    /// Where the log is written, if to a file.
    fn log_path(&self) -> Option<PathBuf>;

    /// Where the chain's files lie.
    fn data_directory(&self) -> PathBuf;

    /// Bytes those files take.
    ///
    /// # Errors
    /// When the directory cannot be read.
    fn size_on_disk_bytes(&self) -> std::io::Result<u64>;
}
