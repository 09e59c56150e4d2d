//! What there is to say of connections: `getpeerinfo`, `getnettotals`.

use chainwright_chain::Ledger;

use super::{ConnectionKind, PeerId, Protocol, Traffic};
use crate::NetworkAddress;
use crate::message::Command;

/// One connection, as an operator sees it. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its number.
    pub id: PeerId,
    /// The other side.
    pub address: NetworkAddress,
    /// Who opened it and what for.
    pub kind: ConnectionKind,
    /// Whether the handshake is complete.
    pub ready: bool,
    /// When it began, since 1970.
    pub connected_at: u64,
    /// Bytes we sent.
    pub sent: Traffic,
    /// Bytes we received.
    pub received: Traffic,
    /// What it offers; 0 before its `version`.
    pub services: u64,
    /// Its protocol version; 0 before its `version`.
    pub version: u32,
    /// Its software.
    pub user_agent: String,
    /// Its height when it connected.
    pub start_height: i32,
    /// Whether it takes transactions.
    pub relays_transactions: bool,
    /// Its clock minus ours, in seconds.
    pub time_offset_s: i64,
    /// Duration of the last ping.
    pub ping_ms: Option<u64>,
    /// Shortest ping.
    pub ping_min_ms: Option<u64>,
    /// How long the current ping has been waiting.
    pub ping_wait_ms: Option<u64>,
    /// When it last brought a transaction that was taken; 0 for never.
    pub last_transaction_at: u64,
    /// When it last brought a block that was new; 0 for never.
    pub last_block_at: u64,
    /// Height of the best header we share, -1 if unknown.
    pub synced_headers: i64,
    /// Height of the best block we share, -1 if unknown.
    pub synced_blocks: i64,
    /// Height reached in the first pass over a long unknown chain, -1 if there is none.
    pub presynced_headers: i64,
    /// Heights of blocks asked of it.
    pub in_flight: Vec<u32>,
    /// Whether addresses travel both ways.
    pub address_relay: bool,
    /// Addresses taken from it.
    pub addresses_processed: u64,
    /// Addresses dropped because they came too fast.
    pub addresses_rate_limited: u64,
    /// Its lowest fee rate, in smallest units per 1,000 virtual bytes.
    pub fee_filter: u64,
    /// Compact blocks: whether it wants them unannounced, as it said.
    pub compact_high_bandwidth_from: bool,
}

/// All connections together, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Connections now, opened by others.
    pub inbound: usize,
    /// Connections now, opened by us.
    pub outbound: usize,
    /// Frames dropped for a wrong checksum or a malformed name.
    pub frames_dropped: u64,
    /// Blocks that arrived although they were stored or on their way already.
    pub blocks_duplicate: u64,
}

/// Names counted on their own in byte counts.
const NAMES: &[&str] = &[
    "version",
    "verack",
    "ping",
    "pong",
    "addr",
    "addrv2",
    "sendaddrv2",
    "getaddr",
    "inv",
    "getdata",
    "notfound",
    "getblocks",
    "getheaders",
    "headers",
    "sendheaders",
    "block",
    "tx",
    "mempool",
    "feefilter",
    "wtxidrelay",
    "sendcmpct",
    "cmpctblock",
    "getblocktxn",
    "blocktxn",
    "reject",
    "proof",
];

pub(super) fn known_name(command: Command) -> &'static str {
    NAMES.iter().find(|name| **name == command.name()).copied().unwrap_or("*other*")
}

impl<L: Ledger> Protocol<L> {
    /// All connections in the order of their numbers.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.peers.keys().map(|id| self.peer_info(*id)).collect()
    }

    fn peer_info(&self, id: PeerId) -> PeerInfo {
        let peer = &self.peers[&id];
        let greeting = peer.greeting();
        let height = |headers: &Option<chainwright_chain::Headers<L>>| {
            headers.as_ref().map_or(-1, |headers| headers.height().0 as i64)
        };
        PeerInfo {
            id,
            address: peer.address,
            kind: peer.kind,
            ready: peer.ready,
            connected_at: peer.connected_at,
            sent: peer.sent.clone(),
            received: peer.received.clone(),
            services: greeting.services,
            version: greeting.version,
            user_agent: greeting.user_agent,
            start_height: greeting.start_height,
            relays_transactions: peer.relays(),
            time_offset_s: greeting.time_offset_s,
            ping_ms: peer.ping.last_ms,
            ping_min_ms: peer.ping.min_ms,
            ping_wait_ms: peer.ping.nonce.map(|_| self.now.saturating_sub(peer.ping.sent_at)),
            last_transaction_at: peer.relay.last_tx_at,
            last_block_at: peer.blocks.last_block_at,
            synced_headers: height(&peer.headers.best_known),
            synced_blocks: height(&peer.blocks.last_common),
            presynced_headers: peer.headers.presync.as_ref().map_or(-1, |sync| sync.height().0 as i64),
            in_flight: peer.blocks.in_flight.iter().map(|block| block.height().0).collect(),
            address_relay: peer.kind != ConnectionKind::BlockRelay,
            addresses_processed: peer.gossip.processed,
            addresses_rate_limited: peer.gossip.rate_limited,
            fee_filter: greeting.fee_filter,
            compact_high_bandwidth_from: greeting.compact.is_some_and(|(high, _)| high),
        }
    }

    /// Everything together.
    pub fn totals(&self) -> Totals {
        let inbound = self.peers.values().filter(|peer| peer.kind == ConnectionKind::Inbound).count();
        Totals { inbound, outbound: self.peers.len() - inbound, ..self.totals }
    }
}
