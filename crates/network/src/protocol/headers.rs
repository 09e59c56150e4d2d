//! Headers first: who has which chain.
//!
//! Bitcoin Core, `net_processing.cpp`: `ProcessHeadersMessage`, `TryLowWorkHeadersSync`, `UpdatePeerStateForReceivedHeaders`.
//! Two differences: the driver answers later, so that nothing else is read from the peer until it has; and headers that weigh
//! nothing (chains led by certificates) need a certificate: see `proofs`.

use bytes::Bytes;
use chainwright_chain::{
    BlockId, Codec, Header, Headers, HeadersImported, Ledger, Reject, Status, U256, Weight,
};

use super::peer::Peer;
use super::presync::{Presync, Step};
use super::{ConnectionKind, Farewell, HOUR, MINUTE, PeerId, Pending, Protocol, SECOND, Token};
use crate::message::{HEADERS_MAX, Locate, Message};

/// How long an unanswered `getheaders` keeps us from asking again.
const RESPONSE_TIME: u64 = 2 * MINUTE;
/// A peer that announces a block we do not know can answer now, whatever it did before: it is asked again after this long,
/// then after twice as long each time.
const NEWS_PAUSE: u64 = 5 * SECOND;
/// Patience with the first peer asked for headers: a base and some time for each expected header.
const SYNC_BASE: u64 = 15 * MINUTE;
const SYNC_PER_HEADER_US: u64 = 1_000;
/// Blocks below the tip whose weight a cheap branch may lack (Bitcoin Core `GetAntiDoSWorkThreshold`).
const NEAR_TIP: u64 = 144;
/// Why whoever makes headers up has to go.
pub(super) const UNSEALED: &str = "header with invalid proof of work";
/// Outbound peers behind our chain get this long, and this much more after being asked once again.
const BEHIND: (u64, u64) = (20 * MINUTE, 2 * MINUTE);

impl<L: Ledger> Protocol<L> {
    /// Ids of a branch, the last first: ten in a row, then twice as far each time (Bitcoin Core `LocatorEntries`).
    fn locator(from: &Headers<L>) -> Vec<BlockId> {
        let mut locator = vec![from.id()];
        let (mut step, mut at) = (1, from.clone());
        while at.height().0 > 0 {
            let height = at.height().0.saturating_sub(step);
            at = at.ancestor(chainwright_chain::Height(height)).expect("lower heights exist");
            locator.push(at.id());
            if locator.len() > 10 {
                step *= 2;
            }
        }
        locator
    }

    /// Asks for headers unless an earlier request may still be answered.
    fn ask_headers(&mut self, id: PeerId, locator: Vec<BlockId>) -> bool {
        let version = self.parameters.protocol_version;
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if peer.headers.asked_at.is_some_and(|asked| self.now.saturating_sub(asked) <= RESPONSE_TIME) {
            return false;
        }
        peer.headers.asked_at = Some(self.now);
        peer.headers.last_asked_at = self.now;
        self.send(id, &Message::GetHeaders(Locate { version, locator, stop: BlockId::ZERO }));
        true
    }

    pub(super) fn ask_headers_from_best(&mut self, id: PeerId) -> bool {
        let locator = Self::locator(&self.best_header);
        self.ask_headers(id, locator)
    }

    /// From one before the best, so that an answer is never empty and shows what the peer has.
    fn ask_headers_before_best(&mut self, id: PeerId) -> bool {
        let from = self.best_header.parent().unwrap_or_else(|| self.best_header.clone());
        self.ask_headers(id, Self::locator(&from))
    }

    /// Whether a request for headers has been waiting for too long.
    fn is_silent(&self, peer: &Peer<L>) -> bool {
        peer.headers.asked_at.is_some_and(|asked| self.now.saturating_sub(asked) > RESPONSE_TIME)
    }

    /// The peer has a block whose header we do not know. An unanswered request is no reason to wait: a node that is not in sync
    /// answers none (Bitcoin Core's answer is empty then, btcd gives none at all), and announces once it is.
    pub(super) fn ask_for_news(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let headers = &mut peer.headers;
        if headers.presync.is_some() || self.now.saturating_sub(headers.last_asked_at) < headers.news_pause {
            return;
        }
        headers.news_pause = (headers.news_pause * 2).clamp(NEWS_PAUSE, RESPONSE_TIME);
        headers.asked_at = None;
        self.ask_headers_from_best(id);
    }

    /// The headers of something announced should come by themselves; if they do not they are asked for.
    pub(super) fn expect_news(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.headers.news_pause == 0
        {
            peer.headers.news_pause = NEWS_PAUSE;
            peer.headers.last_asked_at = peer.headers.last_asked_at.max(self.now);
        }
    }

    /// Asks again, now and then, a peer that owes us headers: it has announced a block we do not know, did not answer, or said
    /// when it connected that its chain is longer than what we know of.
    pub(super) fn ask_headers_again(&mut self, id: PeerId) {
        self.resolve_unknown(id);
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.headers.unknown.is_some() && peer.headers.news_pause > 0 {
            return self.ask_for_news(id);
        }
        if !peer.headers.started || peer.headers.importing {
            return;
        }
        let claimed = peer.greeting.as_ref().map_or(0, |greeting| greeting.start_height);
        let claims_more = i64::from(claimed) > i64::from(self.best_header.height().0);
        let rested = self.now.saturating_sub(peer.headers.last_asked_at) > RESPONSE_TIME;
        if self.is_silent(peer) || claims_more && rested {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.headers.asked_at = None;
                peer.headers.presync = None;
            }
            self.ask_headers_before_best(id);
        }
    }

    /// Begins to fetch headers from a peer: from one at first, from all once the best header is about a day old.
    pub(super) fn start_headers(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id) else { return };
        if !peer.ready || peer.headers.started || !self.serves_blocks(id) {
            return;
        }
        let recent = self.head_age(&self.best_header) < 24 * HOUR;
        // Who was asked and says nothing (a node that is not in sync itself) keeps nobody else from being asked.
        let nobody = !self.peers.values().any(|peer| peer.headers.started && !self.is_silent(peer));
        if !(recent || nobody && self.may_sync_from(id)) {
            return;
        }
        let expected = self.head_age(&self.best_header) / self.parameters.block_spacing_ms.max(1);
        if self.ask_headers_before_best(id)
            && let Some(peer) = self.peers.get_mut(&id)
        {
            peer.headers.started = true;
            peer.headers.deadline = Some(self.now + SYNC_BASE + expected * SYNC_PER_HEADER_US / 1000);
        }
    }

    /// Gives up on a peer that keeps us waiting for headers while others could serve us.
    pub(super) fn check_headers_deadline(&mut self, id: PeerId) {
        let recent = self.head_age(&self.best_header) <= 24 * HOUR;
        let others =
            self.peers.iter().any(|(other, peer)| *other != id && peer.kind.is_outbound() && peer.ready);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(deadline) = peer.headers.deadline else { return };
        if recent {
            peer.headers.deadline = None;
        } else if self.now > deadline {
            if others && peer.kind != ConnectionKind::Manual {
                return self.part(id, Farewell::Timeout("headers download"));
            }
            // The only one: another peer may have a turn.
            peer.headers.started = false;
            peer.headers.deadline = None;
            peer.headers.asked_at = None;
        }
    }

    /// Branches below this weight are not stored.
    fn threshold(&self) -> Weight {
        let head = self.published.head().headers;
        let own = self.consensus.weight(head.header()).0;
        let slack = own.saturating_mul(U256::from(NEAR_TIP)).min(head.weight().0);
        self.parameters.minimum_weight.max(Weight(head.weight().0 - slack))
    }

    pub(super) fn headers_received(&mut self, id: PeerId, encoded: Vec<Bytes>) {
        let full = encoded.len() == HEADERS_MAX;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.headers.asked_at = None;
        peer.headers.news_pause = 0;
        peer.budget.spend(1.0 + encoded.len() as f64 * 0.01);
        if encoded.is_empty() {
            peer.headers.presync = None;
            return;
        }
        let decoded: Result<Vec<_>, _> = encoded.iter().map(L::Header::decode).collect();
        let Ok(headers) = decoded else {
            return self.misbehaved(id, Farewell::Protocol("headers that do not decode"));
        };
        let continuous = headers.windows(2).all(|pair| pair[1].parent() == pair[0].id());
        if !continuous {
            return self.misbehaved(id, Farewell::Protocol("non-continuous headers sequence"));
        }
        let Some(headers) = self.presync(id, headers, full) else { return };
        self.connect_headers(id, headers, full);
    }

    /// Passes headers through a running two-pass check; gives back what has nothing to do with it.
    fn presync(&mut self, id: PeerId, headers: Vec<L::Header>, full: bool) -> Option<Vec<L::Header>> {
        let peer = self.peers.get_mut(&id)?;
        let Some(mut presync) = peer.headers.presync.take() else { return Some(headers) };
        if headers.first().map(Header::parent) != Some(presync.last()) {
            // The peer has gone over to another branch: begin anew, if it is worth it.
            return Some(headers);
        }
        match presync.take(self.consensus.as_ref(), headers, full) {
            Step::Cheat => {
                self.misbehaved(id, Farewell::Protocol(UNSEALED));
                None
            }
            Step::Stop => None,
            Step::Go { ready, more } => {
                if more {
                    let mut locator = vec![presync.last()];
                    locator.extend(Self::locator(presync.start()));
                    self.ask_headers(id, locator);
                }
                let over = presync.is_over();
                if let Some(peer) = self.peers.get_mut(&id)
                    && more
                    && !over
                {
                    peer.headers.presync = Some(presync);
                }
                if !ready.is_empty() {
                    self.import_headers(id, ready, full && over);
                }
                None
            }
        }
    }

    pub(super) fn connect_headers(&mut self, id: PeerId, headers: Vec<L::Header>, full: bool) {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return };
        let Some(start) = self.published.headers(&first.parent()) else {
            // Unconnecting: remember what was announced and ask for what lies between. Nobody else will look at these.
            if headers.iter().any(|header| self.consensus.check_seal(header).is_err()) {
                return self.misbehaved(id, Farewell::Protocol(UNSEALED));
            }
            let last = last.id();
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.headers.unknown = Some(last);
            }
            return self.ask_for_news(id);
        };
        if headers.iter().any(|header| self.is_known_invalid(&header.id())) {
            return self.follows_invalid(id);
        }
        let known = self.published.headers(&last.id());
        let worthy =
            known.is_some_and(|known| self.best_header.contains(&known) || self.published.is_active(&known));
        if !worthy {
            let claimed = headers.iter().map(|header| self.consensus.weight(header));
            let total = claimed.fold(start.weight(), Weight::plus);
            if total < self.threshold() {
                return self.start_presync(id, start, headers, full);
            }
            if total == Weight::ZERO {
                return self.connect_weightless(id, &start, headers, full);
            }
        }
        self.import_headers(id, headers, full);
    }

    pub(super) fn is_known_invalid(&self, block: &BlockId) -> bool {
        self.published.block(block).is_some_and(|info| matches!(info.status, Status::Invalid(_)))
    }

    /// A peer we chose is of no use on a branch we know to be invalid. Others may have reasons: an operator's verdict is ours
    /// alone (Bitcoin Core, `MaybePunishNodeForBlock`, `BLOCK_CACHED_INVALID`).
    pub(super) fn follows_invalid(&mut self, id: PeerId) {
        if self.peers.get(&id).is_some_and(|peer| peer.kind.is_automatic()) {
            self.misbehaved(id, Farewell::Protocol("follows a branch known to be invalid"));
        }
    }

    /// A branch that is too light as far as it is shown: worth a look only if there may be more of it.
    fn start_presync(&mut self, id: PeerId, start: Headers<L>, headers: Vec<L::Header>, full: bool) {
        let threshold = self.threshold();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !full || peer.headers.presync.is_some() {
            return;
        }
        let presync = Presync::new(start, threshold, &mut self.random, self.now / SECOND);
        peer.headers.presync = Some(Box::new(presync));
        self.presync(id, headers, full);
    }

    pub(super) fn import_headers(&mut self, id: PeerId, headers: Vec<L::Header>, full: bool) {
        let Some(last) = headers.last().map(Header::id) else { return };
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.headers.importing = true;
        }
        let token = self.token(Pending::Headers { peer: id, full, last });
        self.outputs.push_back(super::Output::ImportHeaders { token, headers });
    }

    pub(super) fn headers_imported(&mut self, token: Token, result: Result<HeadersImported, Reject>) {
        let Some(Pending::Headers { peer: id, full, last }) = self.pending.remove(&token) else { return };
        self.update_best_header(&last);
        self.downloads.refill_all = true;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.headers.importing = false;
        if let Err(reject) = result {
            if matches!(reject, Reject::Invalid(_)) {
                self.misbehaved(id, Farewell::Invalid { what: "header", reject });
            }
            return;
        }
        self.now_known(id, &last);
        if full && let Some(last) = self.published.headers(&last) {
            self.ask_headers(id, Self::locator(&last));
        }
        self.drop_if_poor(id, full);
        // A new block is fetched without waiting for the next look at all peers.
        self.refill(id);
    }

    pub(super) fn update_best_header(&mut self, candidate: &BlockId) {
        let invalid = |block: &Option<chainwright_chain::BlockInfo<L>>| {
            block.as_ref().is_none_or(|info| matches!(info.status, Status::Invalid(_)))
        };
        if invalid(&self.published.block(&self.best_header.id())) {
            self.best_header = self.published.best_header();
        }
        let candidate = self.published.block(candidate);
        if !invalid(&candidate)
            && let Some(info) = candidate
            && Self::leads(&info.headers, &self.best_header)
        {
            self.best_header = info.headers;
        }
        let published = self.published.best_header();
        if Self::leads(&published, &self.best_header) {
            self.best_header = published;
        }
    }

    /// The peer has a block (Bitcoin Core `UpdateBlockAvailability`).
    pub(super) fn now_known(&mut self, id: PeerId, block: &BlockId) {
        self.resolve_unknown(id);
        let found = self.published.headers(block);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match found {
            Some(found) => {
                if peer.headers.best_known.as_ref().is_none_or(|best| Self::leads(&found, best)) {
                    peer.headers.best_known = Some(found);
                }
            }
            None => peer.headers.unknown = Some(*block),
        }
    }

    /// Something the peer announced earlier may be known by now.
    pub(super) fn resolve_unknown(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(found) = peer.headers.unknown.and_then(|unknown| self.published.headers(&unknown)) else {
            return;
        };
        peer.headers.unknown = None;
        if peer.headers.best_known.as_ref().is_none_or(|best| Self::leads(&found, best)) {
            peer.headers.best_known = Some(found);
        }
    }

    /// During initial download an outbound peer whose whole chain is too light takes a place others could fill.
    fn drop_if_poor(&mut self, id: PeerId, full: bool) {
        let Some(peer) = self.peers.get(&id) else { return };
        let light = |best: &Headers<L>| best.weight() < self.parameters.minimum_weight;
        if self.initial_download
            && !full
            && matches!(peer.kind, ConnectionKind::OutboundFullRelay | ConnectionKind::BlockRelay)
            && peer.headers.best_known.as_ref().is_some_and(light)
        {
            self.part(id, Farewell::Behind);
        }
    }

    /// Replaces outbound peers whose chain stays behind ours.
    pub(super) fn check_behind(&mut self, id: PeerId) {
        let head = self.published.head().headers;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !peer.headers.started
            || !matches!(peer.kind, ConnectionKind::OutboundFullRelay | ConnectionKind::BlockRelay)
        {
            return;
        }
        let level = peer.headers.best_known.as_ref().is_some_and(|best| !Self::leads(&head, best));
        match peer.headers.behind_since {
            _ if level => peer.headers.behind_since = None,
            None => peer.headers.behind_since = Some(self.now),
            Some(since) => {
                let behind = self.now.saturating_sub(since);
                if behind > BEHIND.0 + BEHIND.1 {
                    self.part(id, Farewell::Behind);
                } else if behind > BEHIND.0 {
                    let from = head.parent().unwrap_or(head);
                    self.ask_headers(id, Self::locator(&from));
                }
            }
        }
    }

    /// Goes on with headers that led too far before.
    pub(super) fn ask_for_more(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.headers.more {
            peer.headers.more = false;
            self.ask_headers_from_best(id);
        }
    }
}
