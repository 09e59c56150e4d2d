//! The protocol itself: one value per node, fed by its owner.
//!
//! ```text
//! Received ─▶ frames ─▶ one module per concern ─▶ outputs
//!   handshake   version … verack, pings, timeouts        headers    who has which chain, `presync` against cheap floods
//!   download    which block from whom, stalling           serve      answering requests, within limits
//!   relay       announcing blocks and transactions        arrivals   transactions in: `wanted`, orphans, rejects
//!   gossip      addresses                                 dial       whom to connect to, whom to evict
//!   proofs      certificates, and headers that need one
//! ```
//!
//! Invariants:
//! - a peer is in `peers` from `Connected` until it is disconnected by either side; nothing else refers to a peer afterwards;
//! - a block is in flight from at most one peer, and never while its body is stored or with the driver;
//! - everything a peer can make us keep is bounded per peer.

mod arrivals;
mod dial;
mod download;
mod gossip;
mod handshake;
mod headers;
mod info;
mod input;
mod orphans;
mod peer;
mod presync;
mod proofs;
mod relay;
mod serve;
mod tick;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chainwright_chain::{BlockId, Consensus, Headers, Ledger, Published, TxId};

use crate::limits::RollingSet;
use crate::message::{Message, encode_frame};
use crate::random::Random;
use crate::{AddressBook, NetworkAddress, Parameters};

pub use info::{PeerInfo, Totals};
pub use input::{Farewell, Input, Output, Token};
pub use peer::{ConnectionKind, PeerId, Traffic};

use peer::Peer;

/// Milliseconds in a second, minute and hour.
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// What a protocol is made of.
pub struct Setup<L: Ledger> {
    /// The chain's network.
    pub parameters: Parameters<L>,
    /// The chain, for reading.
    pub published: Arc<Published<L>>,
    /// The engine, for judging headers before they are worth remembering.
    pub consensus: Arc<dyn Consensus<L>>,
    /// Known addresses.
    pub book: AddressBook,
    /// All randomness comes from here.
    pub seed: [u8; 32],
}

/// What was handed to the driver and awaits its verdict.
enum Pending<L: Ledger> {
    Headers { peer: PeerId, full: bool, last: BlockId },
    Block { peer: PeerId, id: BlockId },
    Transaction { peer: PeerId, tx: Arc<L::Tx>, bytes: usize },
    Proof { peer: PeerId },
}

/// Bitcoin's peer protocol as a state machine.
pub struct Protocol<L: Ledger> {
    parameters: Parameters<L>,
    published: Arc<Published<L>>,
    consensus: Arc<dyn Consensus<L>>,
    random: Random,
    book: AddressBook,
    now: u64,
    outputs: VecDeque<Output<L>>,
    peers: BTreeMap<PeerId, Peer<L>>,
    pending: BTreeMap<Token, Pending<L>>,
    next_token: u64,
    totals: Totals,
    network_active: bool,

    best_header: Headers<L>,
    initial_download: bool,
    announced: BlockId,

    downloads: download::Downloads,
    wanted: wanted::Wanted,
    orphans: orphans::Orphans<L>,
    /// Ids and relay ids of transactions that are with the pool, and how many of each.
    judging: BTreeMap<TxId, usize>,
    rejected: RollingSet,
    confirmed: RollingSet,
    /// Relay ids of what peers have brought: anything else in the pool is our own.
    from_peers: RollingSet,
    /// Own transactions that no peer has fetched yet, by relay id.
    unbroadcast: BTreeSet<TxId>,
    next_rebroadcast_at: u64,
    next_inbound_inventory_at: u64,

    discouraged: RollingSet,
    dialing: BTreeMap<NetworkAddress, ConnectionKind>,
    manual: BTreeMap<NetworkAddress, dial::Manual>,
    next_tick_at: u64,
    next_dial_at: u64,
    next_feeler_at: u64,
    group_key: [u8; 16],
    gossip_key: [u8; 16],
    address_answer: (u64, Vec<crate::AddressInfo>),
    held_proofs: BTreeMap<BlockId, (PeerId, bytes::Bytes)>,
    /// Headers without weight and without a certificate taken since the head moved.
    taken_on_trust: u32,
}

impl<L: Ledger> Protocol<L> {
    /// A protocol without connections. `now` in milliseconds since 1970.
    pub fn new(setup: Setup<L>, now: u64) -> Self {
        let mut random = Random::new(&setup.seed);
        let best_header = setup.published.best_header();
        let announced = setup.published.head().headers.id();
        let mut protocol = Self {
            wanted: wanted::Wanted::new(random.key()),
            orphans: orphans::Orphans::new(
                setup.parameters.policy.orphans_max,
                setup.parameters.policy.orphan_bytes_max,
            ),
            judging: BTreeMap::new(),
            rejected: RollingSet::new(random.key(), 60_000),
            confirmed: RollingSet::new(random.key(), 24_000),
            from_peers: RollingSet::new(random.key(), 60_000),
            unbroadcast: BTreeSet::new(),
            next_rebroadcast_at: now,
            discouraged: RollingSet::new(random.key(), 25_000),
            group_key: random.key(),
            gossip_key: random.key(),
            parameters: setup.parameters,
            published: setup.published,
            consensus: setup.consensus,
            random,
            book: setup.book,
            now,
            outputs: VecDeque::new(),
            peers: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_token: 0,
            totals: Totals::default(),
            network_active: true,
            best_header,
            initial_download: true,
            announced,
            downloads: download::Downloads::default(),
            next_inbound_inventory_at: 0,
            dialing: BTreeMap::new(),
            manual: BTreeMap::new(),
            next_tick_at: now,
            next_dial_at: now,
            next_feeler_at: now + 2 * MINUTE,
            address_answer: (0, Vec::new()),
            held_proofs: BTreeMap::new(),
            taken_on_trust: 0,
        };
        protocol.update_initial_download();
        protocol
    }

    /// What the owner has to do next; drain it after every [`Protocol::handle`].
    pub fn next_output(&mut self) -> Option<Output<L>> {
        self.outputs.pop_front()
    }

    /// Whether more bytes of this peer may be read now; `false` for peers that are gone.
    pub fn wants_bytes(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| !peer.is_blocked(&self.parameters.policy))
    }

    /// The address book, to be saved by the owner.
    pub fn address_book(&self) -> &AddressBook {
        &self.book
    }

    /// Whether the chain is still far behind, as far as anybody can know. Once it is not, it never is again
    /// (Bitcoin Core `IsInitialBlockDownload`).
    pub fn is_initial_download(&self) -> bool {
        self.initial_download
    }

    /// The best header known, by weight, then height.
    pub fn best_header(&self) -> &Headers<L> {
        &self.best_header
    }

    fn send(&mut self, id: PeerId, message: &Message) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let payload = message.encode(self.parameters.header_length);
        let bytes = encode_frame(self.parameters.magic, message.command(), &payload);
        let name = info::known_name(message.command());
        peer.sent.count(name, bytes.len(), self.now);
        self.totals.bytes_sent += bytes.len() as u64;
        if let Some(waiting) = &mut peer.waiting {
            *waiting += bytes.len();
        }
        self.outputs.push_back(Output::Send { peer: id, bytes });
    }

    fn token(&mut self, pending: Pending<L>) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.pending.insert(token, pending);
        token
    }

    /// Ends a connection from our side.
    fn part(&mut self, id: PeerId, why: Farewell) {
        if self.peers.contains_key(&id) {
            self.outputs.push_back(Output::Disconnect { peer: id, why });
            self.forget_peer(id);
        }
    }

    /// The peer has broken a rule: it is disconnected, and its address is not used again. Peers the operator asked for stay,
    /// peers on this machine are not discouraged (Bitcoin Core `MaybeDiscourageAndDisconnect`).
    fn misbehaved(&mut self, id: PeerId, why: Farewell) {
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.kind == ConnectionKind::Manual && !why.is_fatal() {
            return;
        }
        let address = peer.address;
        if !address.host.is_local() && peer.kind != ConnectionKind::Manual {
            self.discouraged.insert(&address.host.host_key());
            self.outputs.push_back(Output::Discourage { address, why: why.clone() });
        }
        self.part(id, why);
    }

    /// Removes every trace of a peer; what it owed is asked of others.
    fn forget_peer(&mut self, id: PeerId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        for block in &peer.blocks.in_flight {
            self.downloads.in_flight.remove(&block.id());
        }
        self.wanted.forget_peer(id);
        self.orphans.forget_peer(id);
        self.held_proofs.retain(|_, (from, _)| *from != id);
        if let Some(manual) = self.manual.get_mut(&peer.address) {
            manual.disconnected(self.now, peer.ready);
        }
        if peer.ready && peer.kind.is_outbound() {
            self.book.connected(&peer.address, self.now / SECOND);
        }
        self.downloads.refill_all = true;
    }

    fn update_initial_download(&mut self) {
        if !self.initial_download {
            return;
        }
        let head = self.published.head().headers;
        let young = self.parameters.policy.tip_age_max_ms.is_none_or(|age| self.head_age(&head) < age);
        if head.weight() >= self.parameters.minimum_weight && young {
            self.initial_download = false;
        }
    }

    fn head_age(&self, head: &Headers<L>) -> u64 {
        use chainwright_chain::Header;
        self.now.saturating_sub(head.header().time().0.saturating_mul(SECOND))
    }

    /// Whether one branch should be followed rather than the other: by weight, and where headers weigh nothing by height.
    fn leads(left: &Headers<L>, right: &Headers<L>) -> bool {
        (left.weight(), left.height()) > (right.weight(), right.height())
    }
}
