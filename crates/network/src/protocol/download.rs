//! Blocks: which from whom.
//!
//! Bitcoin Core, `net_processing.cpp`: `FindNextBlocks`, and the end of `SendMessages` for stalling and timeouts. A window of
//! blocks ahead of the last linked one is spread over all peers. When the window cannot move because one peer owes its first
//! block, that peer is given 2 s (doubling up to 64 s as it happens again), then it goes.

use std::collections::BTreeMap;

use bytes::Bytes;
use chainwright_chain::{
    Block, BlockId, Codec, Header, Headers, Height, Imported, Ledger, Reject, Status, Weight,
};

use super::headers::UNSEALED;
use super::peer::Peer;
use super::{ConnectionKind, Farewell, Output, PeerId, Pending, Protocol, SECOND, Token};
use crate::NODE_NETWORK;
use crate::NODE_NETWORK_LIMITED;
use crate::message::{Inventory, Message};

/// Patience with a peer that holds up the window, in milliseconds.
const STALLING: (u64, u64) = (2 * SECOND, 64 * SECOND);
/// A peer's download queue is refilled when this many places are free.
const REFILL: usize = 4;
/// Least time between two looks at all peers, in milliseconds: a look costs up to a window of steps.
const REFILL_PAUSE: u64 = 10;
/// Blocks that may always be asked for, however much waits for the driver.
const URGENT: u32 = 16;
/// Unrequested blocks further than this above the head are not looked at (Bitcoin Core `MIN_BLOCKS_TO_KEEP`).
const UNREQUESTED_AHEAD: u32 = 288;
/// A block that was not acceptable yet is asked for again after this long.
const RETRY: u64 = 10 * SECOND;
/// Blocks whose senders are remembered until they are executed.
const UNPROVEN_MAX: usize = 4_096;
/// Blocks of one look ahead.
const LOOK: u32 = 128;

/// What is on its way, over all peers.
pub(super) struct Downloads {
    /// Who owes which block.
    pub(super) in_flight: BTreeMap<BlockId, PeerId>,
    /// With the driver, with their sizes.
    pub(super) importing: BTreeMap<BlockId, usize>,
    pub(super) importing_bytes: usize,
    /// Who brought blocks that are stored and not executed yet (Bitcoin Core `mapBlockSource`).
    pub(super) unproven: BTreeMap<BlockId, PeerId>,
    /// Not to be asked for before a time.
    pub(super) retry_at: BTreeMap<BlockId, u64>,
    pub(super) stalling_timeout: u64,
    /// Every peer's queue deserves a look.
    pub(super) refill_all: bool,
    pub(super) refill_at: u64,
}

impl Default for Downloads {
    fn default() -> Self {
        Self {
            in_flight: BTreeMap::new(),
            importing: BTreeMap::new(),
            importing_bytes: 0,
            unproven: BTreeMap::new(),
            retry_at: BTreeMap::new(),
            stalling_timeout: STALLING.0,
            refill_all: false,
            refill_at: 0,
        }
    }
}

/// What a look at one peer's branch found.
struct Found<L: Ledger> {
    blocks: Vec<Headers<L>>,
    /// Who holds up the window.
    staller: Option<PeerId>,
}

impl<L: Ledger> Protocol<L> {
    /// Whether the peer serves blocks at all.
    pub(super) fn serves_blocks(&self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get(&id) else { return false };
        let services = peer.services();
        let limited = services & NODE_NETWORK == 0 && services & NODE_NETWORK_LIMITED != 0;
        let witness = self.parameters.services_wanted & crate::NODE_WITNESS;
        (services & NODE_NETWORK != 0 || limited && !self.initial_download) && services & witness == witness
    }

    /// Peers we chose come first; others serve us while there are none, or while nothing is under way.
    pub(super) fn may_sync_from(&self, id: PeerId) -> bool {
        let preferred = |id: PeerId| {
            self.peers.get(&id).is_some_and(|peer| {
                peer.ready && peer.kind.is_outbound() && peer.kind != ConnectionKind::Feeler
            }) && self.serves_blocks(id)
        };
        preferred(id) || self.downloads.in_flight.is_empty() || !self.peers.keys().any(|id| preferred(*id))
    }

    /// Fills download queues that have room.
    pub(super) fn refill_downloads(&mut self) {
        if !self.downloads.refill_all || self.now < self.downloads.refill_at {
            return;
        }
        self.downloads.refill_all = false;
        self.downloads.refill_at = self.now + REFILL_PAUSE;
        let room = self.parameters.policy.in_flight_max;
        let has_room =
            |peer: &Peer<L>| peer.blocks.in_flight.is_empty() || peer.blocks.in_flight.len() + REFILL <= room;
        let ids = self.peers.iter().filter(|(_, peer)| peer.ready && has_room(peer)).map(|(id, _)| *id);
        for id in ids.collect::<Vec<_>>() {
            self.refill(id);
        }
    }

    /// Asks one peer for as many blocks as it may still owe.
    pub(super) fn refill(&mut self, id: PeerId) {
        self.resolve_unknown(id);
        let Some(peer) = self.peers.get(&id) else { return };
        let free = self.parameters.policy.in_flight_max.saturating_sub(peer.blocks.in_flight.len());
        let near = self.head_age(&self.published.head().headers) < self.parameters.block_spacing_ms * 20;
        let allowed = self.serves_blocks(id) && (!self.initial_download || near || self.may_sync_from(id));
        if free == 0 || !allowed {
            return;
        }
        let damaged = self.damaged_blocks(id, free);
        self.ask_blocks(id, &damaged);
        let free = free - damaged.len();
        let Some(found) = self.next_blocks(id, free) else { return };
        self.ask_blocks(id, &found.blocks);
        let idle = self.peers.get(&id).is_some_and(|peer| peer.blocks.in_flight.is_empty());
        if idle
            && let Some(staller) = found.staller.and_then(|staller| self.peers.get_mut(&staller))
            && staller.blocks.stalling_since.is_none()
        {
            staller.blocks.stalling_since = Some(self.now);
        }
    }

    /// Blocks of our chain whose stored bodies have become unreadable, as far as the peer has them and nobody owes them yet.
    fn damaged_blocks(&self, id: PeerId, count: usize) -> Vec<Headers<L>> {
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.services() & NODE_NETWORK != 0) else {
            return Vec::new();
        };
        let wanted = self.published.missing_bodies().into_iter().filter_map(|id| self.published.headers(&id));
        let wanted =
            wanted.filter(|block| peer.has(block) && matches!(self.standing(block), Standing::Missing));
        wanted.take(count).collect()
    }

    fn ask_blocks(&mut self, id: PeerId, blocks: &[Headers<L>]) {
        if blocks.is_empty() {
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let mut list = Vec::with_capacity(blocks.len());
        for block in blocks {
            if peer.blocks.in_flight.is_empty() {
                peer.blocks.downloading_since = self.now;
            }
            peer.blocks.in_flight.push_back(block.clone());
            self.downloads.in_flight.insert(block.id(), id);
            list.push(Inventory::block(block.id(), true));
        }
        self.send(id, &Message::GetData(list));
    }

    /// The next blocks of a peer's best branch that nobody owes us.
    fn next_blocks(&mut self, id: PeerId, count: usize) -> Option<Found<L>> {
        let head = self.published.head().headers;
        let peer = self.peers.get(&id)?;
        let best = peer.headers.best_known.clone()?;
        if !Self::leads(&best, &head) || best.weight() < self.parameters.minimum_weight {
            return None;
        }
        // Ancestors of linked blocks are linked, so any fork point is.
        let shared = head.fork_point(&best);
        let before = peer.blocks.last_common.as_ref().map(|last| last.fork_point(&best));
        let last = before.filter(|before| before.height() > shared.height()).unwrap_or(shared);
        let (common, found) = self.look_ahead(id, last, &best, count);
        self.peers.get_mut(&id)?.blocks.last_common = Some(common);
        Some(found)
    }

    /// Walks a branch upwards from the last linked block; gives the new last linked block and what to ask for.
    fn look_ahead(
        &self,
        id: PeerId,
        from: Headers<L>,
        best: &Headers<L>,
        count: usize,
    ) -> (Headers<L>, Found<L>) {
        let mut found = Found { blocks: Vec::new(), staller: None };
        let (mut common, mut linked, mut waiting) = (from, true, None);
        let window_end = common.height().0.saturating_add(self.parameters.policy.window);
        let highest = best.height().0.min(window_end.saturating_add(1));
        let mut reached = common.height().0;
        while reached < highest && found.blocks.len() < count {
            let top = reached.saturating_add(LOOK).min(highest);
            for block in Self::between(best, reached, top) {
                match self.standing(&block) {
                    Standing::Hopeless => return (common, found),
                    Standing::Stored => {
                        if linked {
                            common = block;
                        }
                        continue;
                    }
                    Standing::Busy(owner) => waiting = waiting.or(owner),
                    Standing::Missing if block.height().0 > window_end => {
                        if found.blocks.is_empty() {
                            found.staller = waiting.filter(|owner| *owner != id);
                        }
                        return (common, found);
                    }
                    Standing::Missing => {
                        let urgent = block.height().0 <= common.height().0.saturating_add(URGENT);
                        if self.downloads.importing_bytes < self.parameters.policy.importing_bytes_max
                            || urgent
                        {
                            found.blocks.push(block);
                        }
                        if found.blocks.len() == count {
                            return (common, found);
                        }
                    }
                }
                linked = false;
            }
            reached = top;
        }
        (common, found)
    }

    /// The blocks of a branch above a height up to another, the lowest first.
    fn between(best: &Headers<L>, above: u32, top: u32) -> Vec<Headers<L>> {
        let Some(last) = best.ancestor(Height(top)) else { return Vec::new() };
        let mut blocks: Vec<_> = last.down().take(top.saturating_sub(above) as usize).collect();
        blocks.reverse();
        blocks
    }

    fn standing(&self, block: &Headers<L>) -> Standing {
        let id = block.id();
        if let Some(owner) = self.downloads.in_flight.get(&id) {
            return Standing::Busy(Some(*owner));
        }
        if self.downloads.importing.contains_key(&id)
            || self.downloads.retry_at.get(&id).is_some_and(|at| *at > self.now)
        {
            return Standing::Busy(None);
        }
        match self.published.block(&id).map(|info| info.status) {
            None | Some(Status::Header) => Standing::Missing,
            Some(Status::Invalid(_)) => Standing::Hopeless,
            // What was stored has become unreadable.
            Some(_) if self.published.wants_body(&id) => Standing::Missing,
            Some(_) => Standing::Stored,
        }
    }

    pub(super) fn block_received(&mut self, id: PeerId, bytes: &Bytes) {
        let Ok(block) = L::Block::decode(bytes) else {
            return self.misbehaved(id, Farewell::Protocol("block that does not decode"));
        };
        let hash = block.header().id();
        let requested = self.block_arrived(id, &hash);
        if self.is_known_invalid(&hash) {
            return self.follows_invalid(id);
        }
        let has_body = self.published.block(&hash).is_some() && !self.published.wants_body(&hash);
        if has_body || self.downloads.importing.contains_key(&hash) {
            self.totals.blocks_duplicate += 1;
            return;
        }
        if !requested && !self.is_welcome(id, block.header()) {
            return;
        }
        self.downloads.importing.insert(hash, bytes.len());
        self.downloads.importing_bytes += bytes.len();
        let token = self.token(Pending::Block { peer: id, id: hash });
        self.outputs.push_back(Output::ImportBlock { token, block });
        let room = self.parameters.policy.in_flight_max;
        if self.peers.get(&id).is_some_and(|peer| peer.blocks.in_flight.len() + REFILL <= room) {
            self.refill(id);
        }
    }

    /// Takes a block off the queue of the peer that owed it. `false` if this peer did not.
    fn block_arrived(&mut self, id: PeerId, hash: &BlockId) -> bool {
        if self.downloads.in_flight.get(hash) != Some(&id) {
            return false;
        }
        self.downloads.in_flight.remove(hash);
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let blocks = &mut peer.blocks;
        if blocks.in_flight.front().is_some_and(|first| first.id() == *hash) {
            blocks.downloading_since = self.now;
        }
        blocks.in_flight.retain(|block| block.id() != *hash);
        blocks.stalling_since = None;
        true
    }

    /// Whether a block nobody asked for is worth checking: it could lead, it is near the head, and it carries real weight.
    fn is_welcome(&mut self, id: PeerId, header: &L::Header) -> bool {
        let head = self.published.head().headers;
        let Some(parent) = self.published.headers(&header.parent()) else {
            if self.consensus.check_seal(header).is_err() {
                self.misbehaved(id, Farewell::Protocol(UNSEALED));
            } else {
                self.ask_for_news(id);
            }
            return false;
        };
        let weight = parent.weight().plus(self.consensus.weight(header));
        if weight == Weight::ZERO && self.published.headers(&header.id()).is_none() {
            // Anybody can make such a block: its header has to be taken first.
            self.now_known(id, &header.id());
            self.ask_for_news(id);
            return false;
        }
        let near = parent.height().0 < head.height().0.saturating_add(UNREQUESTED_AHEAD);
        let leads = (weight, parent.height().next()) > (head.weight(), head.height());
        let room = self.downloads.importing_bytes < self.parameters.policy.importing_bytes_max;
        leads && near && room && weight >= self.parameters.minimum_weight
    }

    pub(super) fn block_imported(&mut self, token: Token, result: Result<Imported, Reject>) {
        let Some(Pending::Block { peer: id, id: block }) = self.pending.remove(&token) else { return };
        if let Some(size) = self.downloads.importing.remove(&block) {
            self.downloads.importing_bytes -= size;
        }
        self.downloads.refill_all = true;
        self.update_best_header(&block);
        match result {
            Ok(imported) => {
                if imported == Imported::Stored && self.downloads.unproven.len() < UNPROVEN_MAX {
                    self.downloads.unproven.insert(block, id);
                }
                self.block_taken(id, &block);
            }
            Err(Reject::Invalid(reason)) => {
                let reject = Reject::Invalid(reason);
                self.misbehaved(id, Farewell::Invalid { what: "block", reject });
            }
            Err(Reject::Mutated(reason)) => {
                // The same id may have a good body: another peer is asked, this one never again.
                let reject = Reject::Mutated(reason);
                if self.peers.get(&id).is_some_and(|peer| peer.kind == ConnectionKind::Manual) {
                    self.part(id, Farewell::Invalid { what: "block", reject });
                } else {
                    self.misbehaved(id, Farewell::Invalid { what: "block", reject });
                }
            }
            Err(Reject::NotYet(_) | Reject::Fault(_)) => {
                self.downloads.retry_at.insert(block, self.now + RETRY);
            }
            Err(Reject::MissingParent(_)) => {
                self.ask_headers_from_best(id);
            }
        }
        if let Some((from, proof)) = self.held_proofs.remove(&block) {
            self.proof_received(from, block, proof);
        }
    }

    fn block_taken(&mut self, id: PeerId, block: &BlockId) {
        self.now_known(id, block);
        let timeout = self.downloads.stalling_timeout;
        if timeout > STALLING.0 {
            self.downloads.stalling_timeout = (timeout * 85 / 100).max(STALLING.0);
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.blocks.last_block_at = self.now;
        }
    }

    /// Blocks that were stored ahead and have been executed by now: who brought an invalid one has broken a rule.
    pub(super) fn check_unproven(&mut self) {
        let mut liars = Vec::new();
        let published = &self.published;
        self.downloads.unproven.retain(|block, from| match published.block(block).map(|info| info.status) {
            Some(Status::Stored | Status::Executed) => true,
            Some(Status::Invalid(reason)) => {
                liars.push((*from, reason));
                false
            }
            _ => false,
        });
        for (id, reason) in liars {
            // A branch that fell with its first block is that sender's doing; an operator's verdict is nobody's.
            if self.peers.get(&id).is_some_and(|peer| peer.kind.is_automatic()) {
                self.misbehaved(id, Farewell::Invalid { what: "block", reject: Reject::Invalid(reason) });
            }
        }
    }

    /// Gives up on peers that hold up the window or take too long over a block.
    pub(super) fn check_downloads(&mut self, id: PeerId) {
        let busy = self.peers.values().filter(|peer| !peer.blocks.in_flight.is_empty()).count() as u64;
        let Some(peer) = self.peers.get(&id) else { return };
        if let Some(since) = peer.blocks.stalling_since
            && self.now.saturating_sub(since) > self.downloads.stalling_timeout
        {
            self.downloads.stalling_timeout = (self.downloads.stalling_timeout * 2).min(STALLING.1);
            return self.part(id, Farewell::Timeout("block stalling"));
        }
        if peer.blocks.in_flight.is_empty() {
            return;
        }
        // One block's time, and half of one for each other peer that is downloading (Bitcoin Core `BLOCK_DOWNLOAD_TIMEOUT_*`).
        let spacing = self.parameters.block_spacing_ms;
        let allowed = spacing + spacing / 2 * busy.saturating_sub(1);
        if self.now.saturating_sub(peer.blocks.downloading_since) > allowed.max(STALLING.1) {
            self.part(id, Farewell::Timeout("block download"));
        }
    }

    /// The peer does not have a block it was asked for after all. Another one may.
    pub(super) fn block_not_found(&mut self, id: PeerId, block: &BlockId) {
        if self.block_arrived(id, block) {
            if let Some(peer) = self.peers.get_mut(&id) {
                // Forget what it claimed, or it would be asked again at once.
                peer.headers.best_known = None;
                peer.headers.best_sent = None;
                peer.blocks.last_common = None;
            }
            self.downloads.refill_all = true;
        }
    }
}

/// What can be said of a block before asking for it.
enum Standing {
    /// Its body is here.
    Stored,
    /// On its way (from whom), with the driver, or to be tried again later.
    Busy(Option<PeerId>),
    /// To be asked for.
    Missing,
    /// Invalid: nothing on this branch is worth having.
    Hopeless,
}
