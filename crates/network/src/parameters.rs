//! What a chain file and an operator decide about the network.

use bytes::Bytes;
use chainwright_chain::{Codec, Ledger, TxId, Weight};

/// Serves the whole chain.
pub const NODE_NETWORK: u64 = 1;
/// Serves witnesses (BIP144).
pub const NODE_WITNESS: u64 = 1 << 3;
/// Serves the last 288 blocks (BIP159).
pub const NODE_NETWORK_LIMITED: u64 = 1 << 10;

/// What only the ledger can do to its payloads.
pub struct Hooks<L: Ledger> {
    /// A block for peers that do not ask for witnesses.
    pub strip_block: fn(&L::Block) -> Bytes,
    /// A transaction for such peers.
    pub strip_transaction: fn(&L::Tx) -> Bytes,
    /// Fee rate of a pool transaction, by its relay id, in smallest units per 1,000 virtual bytes; `None` is never filtered.
    pub fee_rate: fn(&L::Pool, &TxId) -> Option<u64>,
    /// The lowest fee rate the pool takes, for `feefilter`; `None` sends none.
    pub fee_rate_min: fn(&L::Pool) -> Option<u64>,
}

impl<L: Ledger> Clone for Hooks<L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: Ledger> Copy for Hooks<L> {}

impl<L: Ledger> Default for Hooks<L> {
    fn default() -> Self {
        Self {
            strip_block: |block| block.to_bytes().into(),
            strip_transaction: |transaction| transaction.to_bytes().into(),
            fee_rate: |_, _| None,
            fee_rate_min: |_| None,
        }
    }
}

/// How many connections, how much memory, how patient. Times are milliseconds.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Connections we open for everything; 8 in Bitcoin Core.
    pub outbound_full_relay_max: usize,
    /// Connections we open for blocks alone; 2.
    pub outbound_block_relay_max: usize,
    /// Connections others open.
    pub inbound_max: usize,
    /// Whether we test addresses by connecting shortly.
    pub feelers: bool,
    /// Whether transactions are relayed at all.
    pub relay_transactions: bool,
    /// The address we tell others to find us at.
    pub advertise: Option<crate::NetworkAddress>,
    /// A tip older than this means initial download; `None` never does.
    pub tip_age_max_ms: Option<u64>,
    /// Bytes waiting for a peer at which we stop answering its requests.
    pub send_queue_max: usize,
    /// Bytes of one peer's transactions that may be with the pool at once.
    pub submitting_bytes_max: usize,
    /// Bytes of blocks handed to the driver and not judged yet at which only the next blocks are asked for.
    pub importing_bytes_max: usize,
    /// Blocks ahead of the last linked one that are asked for; 1,024.
    pub window: u32,
    /// Blocks in flight per peer; 16.
    pub in_flight_max: usize,
    /// Orphan transactions kept; 100.
    pub orphans_max: usize,
    /// Largest orphan transaction kept, in bytes.
    pub orphan_bytes_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            outbound_full_relay_max: 8,
            outbound_block_relay_max: 2,
            inbound_max: 114,
            feelers: true,
            relay_transactions: true,
            advertise: None,
            tip_age_max_ms: Some(24 * 60 * 60 * 1000),
            send_queue_max: 1_000_000,
            // What Bitcoin Core keeps unread of a peer (`DEFAULT_MAXRECEIVEBUFFER`).
            submitting_bytes_max: 5_000_000,
            importing_bytes_max: 64 << 20,
            window: 1024,
            in_flight_max: 16,
            orphans_max: 100,
            orphan_bytes_max: 100_000,
        }
    }
}

/// One chain's network.
pub struct Parameters<L: Ledger> {
    /// The first four bytes of every message.
    pub magic: [u8; 4],
    /// Where nodes listen unless told otherwise.
    pub default_port: u16,
    /// The protocol version we speak; 70016.
    pub protocol_version: u32,
    /// Peers that speak less are refused; 31800.
    pub protocol_version_min: u32,
    /// What we offer.
    pub services: u64,
    /// What peers we choose must offer.
    pub services_wanted: u64,
    /// Our software.
    pub user_agent: String,
    /// Longest payload, in bytes; at least the largest legal block.
    pub message_max: u32,
    /// Branches lighter than this are not worth remembering.
    pub minimum_weight: Weight,
    /// Bytes of an encoded header where all have one size: `headers` then looks as Bitcoin's does.
    pub header_length: Option<usize>,
    /// Expected time between blocks, in milliseconds; scales the patience with block downloads.
    pub block_spacing_ms: u64,
    /// What only the ledger can do.
    pub hooks: Hooks<L>,
    /// What the operator decides.
    pub policy: Policy,
}

impl<L: Ledger> Parameters<L> {
    /// Bitcoin's customs under a magic and a port.
    pub fn new(magic: [u8; 4], default_port: u16) -> Self {
        Self {
            magic,
            default_port,
            protocol_version: 70016,
            protocol_version_min: 31800,
            services: NODE_NETWORK | NODE_WITNESS,
            services_wanted: NODE_NETWORK | NODE_WITNESS,
            user_agent: "/Chainwright:0.1.0/".to_owned(),
            message_max: 4_000_000,
            minimum_weight: Weight::ZERO,
            header_length: None,
            block_spacing_ms: 600_000,
            hooks: Hooks::default(),
            policy: Policy::default(),
        }
    }
}
