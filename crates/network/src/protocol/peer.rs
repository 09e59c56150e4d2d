//! What is known of one connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chainwright_chain::{BlockId, Headers, Ledger, TxId};

use super::presync::Presync;
use super::proofs::Unproven;
use crate::limits::{RollingSet, TokenBucket};
use crate::message::{FrameDecoder, Inventory};
use crate::random::Random;
use crate::{NetworkAddress, Policy};

/// A connection, numbered by whoever owns the sockets; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// Who opened a connection, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionKind {
    /// The other side opened it.
    Inbound,
    /// We opened it for everything.
    OutboundFullRelay,
    /// We opened it for blocks alone: no transactions, no addresses.
    BlockRelay,
    /// The operator asked for it.
    Manual,
    /// We test an address and hang up.
    Feeler,
}

impl ConnectionKind {
    /// Bitcoin Core's word for it, as `getpeerinfo` shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::OutboundFullRelay => "outbound-full-relay",
            Self::BlockRelay => "block-relay-only",
            Self::Manual => "manual",
            Self::Feeler => "feeler",
        }
    }

    /// Whether we chose the address ourselves.
    pub(crate) const fn is_automatic(self) -> bool {
        matches!(self, Self::OutboundFullRelay | Self::BlockRelay | Self::Feeler)
    }

    pub(crate) const fn is_outbound(self) -> bool {
        !matches!(self, Self::Inbound)
    }
}

/// Bytes in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// All bytes, frame headers included.
    pub bytes: u64,
    /// The same by message name; unknown names under `*other*`.
    pub by_message: BTreeMap<&'static str, u64>,
    /// When the last ones went, in milliseconds since 1970; 0 for never.
    pub last_at: u64,
}

impl Traffic {
    pub(super) fn count(&mut self, name: &'static str, bytes: usize, now: u64) {
        self.bytes += bytes as u64;
        *self.by_message.entry(name).or_default() += bytes as u64;
        self.last_at = now;
    }
}

/// What the other side said in `version` and after.
#[derive(Clone, Debug, Default)]
pub(super) struct Greeting {
    pub(super) version: u32,
    pub(super) services: u64,
    pub(super) user_agent: String,
    pub(super) start_height: i32,
    pub(super) relay: bool,
    pub(super) time_offset_s: i64,
    pub(super) wtxid_relay: bool,
    pub(super) address_v2: bool,
    pub(super) prefers_headers: bool,
    pub(super) compact: Option<(bool, u64)>,
    pub(super) fee_filter: u64,
}

/// Pings of one connection; times in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ping {
    pub(super) nonce: Option<u64>,
    pub(super) sent_at: u64,
    pub(super) last_ms: Option<u64>,
    pub(super) min_ms: Option<u64>,
}

/// The header side of a connection.
pub(super) struct HeaderSync<L: Ledger> {
    /// Whether this peer is the one (or one of those) we fetch headers from.
    pub(super) started: bool,
    pub(super) deadline: Option<u64>,
    /// When an unanswered `getheaders` went out.
    pub(super) asked_at: Option<u64>,
    /// When the last `getheaders` went out, answered or not.
    pub(super) last_asked_at: u64,
    /// Asked because of a block whose header we do not know, and not answered since: how long to wait before asking again, in
    /// milliseconds; 0 when nothing is owed.
    pub(super) news_pause: u64,
    /// Headers handed to the driver and not judged; nothing else is read from the peer meanwhile.
    pub(super) importing: bool,
    pub(super) presync: Option<Box<Presync<L>>>,
    /// The heaviest block the peer has shown to have.
    pub(super) best_known: Option<Headers<L>>,
    /// Announced, but its header is not known yet.
    pub(super) unknown: Option<BlockId>,
    /// Headers without weight that wait for a certificate.
    pub(super) unproven: Unproven<L>,
    /// The best header we have sent.
    pub(super) best_sent: Option<Headers<L>>,
    /// The last `headers` was full although we did not go on; ask again when the head has moved.
    pub(super) more: bool,
    /// Outbound peers whose chain stays behind ours are given up (Bitcoin Core `ConsiderEviction`).
    pub(super) behind_since: Option<u64>,
}

/// The block side of a connection.
pub(super) struct BlockSync<L: Ledger> {
    /// Asked for and not arrived, in the order of asking.
    pub(super) in_flight: VecDeque<Headers<L>>,
    /// Since when the first of them has been the first.
    pub(super) downloading_since: u64,
    /// Since when the whole window has been waiting for this peer.
    pub(super) stalling_since: Option<u64>,
    pub(super) last_common: Option<Headers<L>>,
    pub(super) last_block_at: u64,
}

/// The transaction side of a connection.
pub(super) struct Relay {
    /// Ids the peer has or has been told of.
    pub(super) known: RollingSet,
    pub(super) queue: VecDeque<TxId>,
    pub(super) queued: BTreeSet<TxId>,
    pub(super) next_at: u64,
    pub(super) last_tx_at: u64,
    /// Transactions handed to the pool and not judged.
    pub(super) submitting: usize,
    pub(super) submitting_bytes: usize,
    pub(super) fee_filter_sent: Option<u64>,
    pub(super) fee_filter_at: u64,
}

/// The address side of a connection.
pub(super) struct Gossip {
    pub(super) tokens: TokenBucket,
    pub(super) known: RollingSet,
    pub(super) queue: Vec<crate::AddressInfo>,
    pub(super) next_at: u64,
    pub(super) self_at: u64,
    pub(super) asked: bool,
    pub(super) answered: bool,
    pub(super) processed: u64,
    pub(super) rate_limited: u64,
}

/// One connection.
pub(super) struct Peer<L: Ledger> {
    pub(super) address: NetworkAddress,
    pub(super) kind: ConnectionKind,
    pub(super) connected_at: u64,
    pub(super) decoder: FrameDecoder,
    pub(super) sent: Traffic,
    pub(super) received: Traffic,
    /// Bytes waiting in the owner's send queue; counted only once the owner has reported any.
    pub(super) waiting: Option<usize>,
    /// Our nonce in `version`.
    pub(super) nonce: u64,
    /// Since their `version` has come.
    pub(super) greeting: Option<Greeting>,
    pub(super) version_sent: bool,
    pub(super) ready: bool,
    pub(super) send_headers_sent: bool,
    pub(super) ping: Ping,
    pub(super) ping_requested: bool,
    pub(super) headers: HeaderSync<L>,
    pub(super) blocks: BlockSync<L>,
    pub(super) relay: Relay,
    pub(super) gossip: Gossip,
    /// Requests not answered yet.
    pub(super) requests: VecDeque<Inventory>,
    /// After the last block of a long `getblocks` answer, the tip is announced.
    pub(super) continue_at: Option<BlockId>,
    /// Work done for the peer.
    pub(super) budget: TokenBucket,
}

/// Work units a peer may use at once, and per second.
const BUDGET: (f64, f64) = (2_000.0, 500.0);
/// Transactions a peer may have with the pool at once.
const SUBMITTING_MAX: usize = 200;

impl<L: Ledger> Peer<L> {
    pub(super) fn new(
        address: NetworkAddress,
        kind: ConnectionKind,
        decoder: FrameDecoder,
        random: &mut Random,
        now: u64,
    ) -> Self {
        Self {
            address,
            kind,
            connected_at: now,
            decoder,
            sent: Traffic::default(),
            received: Traffic::default(),
            waiting: None,
            nonce: random.next(),
            greeting: None,
            version_sent: false,
            ready: false,
            send_headers_sent: false,
            ping: Ping::default(),
            ping_requested: false,
            headers: HeaderSync {
                started: false,
                deadline: None,
                asked_at: None,
                last_asked_at: 0,
                news_pause: 0,
                importing: false,
                presync: None,
                best_known: None,
                unknown: None,
                unproven: Unproven::default(),
                best_sent: None,
                more: false,
                behind_since: None,
            },
            blocks: BlockSync {
                in_flight: VecDeque::new(),
                downloading_since: now,
                stalling_since: None,
                last_common: None,
                last_block_at: 0,
            },
            relay: Relay {
                known: RollingSet::new(random.key(), 25_000),
                queue: VecDeque::new(),
                queued: BTreeSet::new(),
                next_at: 0,
                last_tx_at: 0,
                submitting: 0,
                submitting_bytes: 0,
                fee_filter_sent: None,
                fee_filter_at: 0,
            },
            gossip: Gossip {
                tokens: TokenBucket::new(1.0, 1000.0, 0.1, now),
                known: RollingSet::new(random.key(), 2_500),
                queue: Vec::new(),
                next_at: 0,
                self_at: 0,
                asked: false,
                answered: false,
                processed: 0,
                rate_limited: 0,
            },
            requests: VecDeque::new(),
            continue_at: None,
            budget: TokenBucket::new(BUDGET.0, BUDGET.0, BUDGET.1, now),
        }
    }

    /// Whether nothing further is read from the peer for now. Who does not read our answers is not asked for more questions
    /// either (Bitcoin Core `fPauseSend`).
    pub(super) fn is_blocked(&self, policy: &Policy) -> bool {
        !self.requests.is_empty()
            || self.headers.importing
            || self.relay.submitting >= SUBMITTING_MAX
            || self.relay.submitting_bytes >= policy.submitting_bytes_max
            || self.budget.is_overdrawn()
            || self.is_congested(policy.send_queue_max)
    }

    /// Whether our answers pile up.
    pub(super) fn is_congested(&self, max: usize) -> bool {
        self.waiting.is_some_and(|bytes| bytes > max)
    }

    pub(super) fn greeting(&self) -> Greeting {
        self.greeting.clone().unwrap_or_default()
    }

    pub(super) fn services(&self) -> u64 {
        self.greeting.as_ref().map_or(0, |greeting| greeting.services)
    }

    /// Whether transactions go to this peer.
    pub(super) fn relays(&self) -> bool {
        self.ready
            && !matches!(self.kind, ConnectionKind::BlockRelay | ConnectionKind::Feeler)
            && self.greeting.as_ref().is_some_and(|greeting| greeting.relay)
    }

    pub(super) fn uses_relay_ids(&self) -> bool {
        self.greeting.as_ref().is_some_and(|greeting| greeting.wtxid_relay)
    }

    /// Whether the peer is known to have a block.
    pub(super) fn has(&self, block: &Headers<L>) -> bool {
        let within = |branch: &Option<Headers<L>>| branch.as_ref().is_some_and(|best| best.contains(block));
        within(&self.headers.best_known) || within(&self.headers.best_sent)
    }
}
