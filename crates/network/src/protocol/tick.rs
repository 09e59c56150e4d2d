//! Time passing, and what follows from any input.

use chainwright_chain::{Ledger, Notice};

use super::{ConnectionKind, PeerId, Protocol, SECOND};
use crate::message::Message;

/// Time between two looks at everything that depends on time, in milliseconds.
const TICK: u64 = SECOND;

impl<L: Ledger> Protocol<L> {
    /// When [`super::Input::Tick`] is due at the latest, in milliseconds since 1970.
    pub fn wake_at(&self) -> u64 {
        let mut at = self.next_tick_at;
        if self.downloads.refill_all {
            at = at.min(self.downloads.refill_at.max(self.now));
        }
        if let Some(due) = self.wanted.next_due() {
            at = at.min(due.max(self.now));
        }
        for peer in self.peers.values() {
            if !peer.relay.queue.is_empty() && peer.relays() {
                at = at.min(peer.relay.next_at.max(self.now));
            }
            let congested = peer.is_congested(self.parameters.policy.send_queue_max);
            if !peer.requests.is_empty() && !congested {
                at = self.now;
            }
            if peer.budget.is_overdrawn() {
                at = at.min(self.now + 50);
            }
        }
        at
    }

    fn tick(&mut self) {
        self.next_tick_at = self.now + TICK;
        self.update_initial_download();
        self.downloads.retry_at.retain(|_, at| *at > self.now);
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            self.check_alive(id);
            self.check_headers_deadline(id);
            self.ask_headers_again(id);
            self.check_behind(id);
            self.check_downloads(id);
            self.say_sendheaders(id);
            self.say_fee_filter(id);
            self.gossip_due(id);
        }
        self.check_unproven();
        self.orphans.expire(self.now);
        self.rebroadcast();
        self.dial();
        self.downloads.refill_all = true;
    }

    /// Everything that may have become possible by the last input.
    pub(super) fn progress(&mut self) {
        if self.now >= self.next_tick_at {
            self.tick();
        }
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in &ids {
            self.serve(*id);
            self.process(*id);
        }
        for id in &ids {
            self.start_headers(*id);
            self.announce_transactions(*id);
        }
        self.ask_transactions();
        self.refill_downloads();
    }

    /// New blocks as headers, please (Bitcoin Core `MaybeSendSendHeaders`): once the peer is past the minimum weight.
    fn say_sendheaders(&mut self, id: PeerId) {
        let minimum = self.parameters.minimum_weight;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let worthy = peer.headers.best_known.as_ref().is_some_and(|best| best.weight() >= minimum);
        let modern = peer.greeting.as_ref().is_some_and(|greeting| greeting.version >= 70012);
        if peer.ready && !peer.send_headers_sent && worthy && modern && peer.kind != ConnectionKind::Feeler {
            peer.send_headers_sent = true;
            self.send(id, &Message::SendHeaders);
        }
    }

    pub(super) fn noticed(&mut self, notice: Notice) {
        match notice {
            Notice::Head(..) => self.head_moved(),
            Notice::BestHeader(id, _) => {
                self.update_best_header(&id);
                self.downloads.refill_all = true;
            }
            Notice::Pooled { relay_id, .. } => self.pooled(relay_id),
            Notice::Finalized(id, _) => self.spread_proof(id),
            Notice::BodyMissing(..) => self.downloads.refill_all = true,
            Notice::Durable(..) | Notice::Stopping => {}
        }
    }
}
