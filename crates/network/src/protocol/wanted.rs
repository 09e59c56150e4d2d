//! Who announced which transaction, and whom to ask for it: Bitcoin Core's `TxRequestTracker` in essence.
//!
//! Of all who announced an id one is asked at a time: peers we chose before others, then in an order nobody can predict. Others
//! wait two seconds, peers that owe us much two more. An unanswered request lapses after a minute.
//!
//! Invariants: at most one request per id; at most [`PER_PEER_MAX`] announcements per peer; an id without hope is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use chainwright_chain::TxId;

use super::{MINUTE, PeerId, SECOND};
use crate::message::InventoryKind;
use crate::random::keyed;

/// Announcements kept per peer (`MAX_PEER_TX_ANNOUNCEMENTS`).
const PER_PEER_MAX: usize = 5_000;
/// Requests a peer may owe before it has to wait longer (`MAX_PEER_TX_REQUEST_IN_FLIGHT`).
const IN_FLIGHT_MAX: usize = 100;
/// Peers that connected to us wait this long (`NONPREF_PEER_TX_DELAY`), overloaded ones as much again.
const DELAY: u64 = 2 * SECOND;
/// How long a request may stay unanswered (`GETDATA_TX_INTERVAL`).
const TIMEOUT: u64 = MINUTE;

#[derive(Clone, Copy, Debug)]
struct Announcement {
    kind: InventoryKind,
    preferred: bool,
    ready_at: u64,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    candidates: BTreeMap<PeerId, Announcement>,
    /// Who was asked, and until when we wait.
    asked: Option<(PeerId, u64)>,
    due: u64,
}

/// A request to send.
pub(super) struct Ask {
    pub(super) peer: PeerId,
    pub(super) kind: InventoryKind,
    pub(super) id: TxId,
}

/// All announcements that have not been settled.
pub(super) struct Wanted {
    key: [u8; 16],
    entries: BTreeMap<TxId, Entry>,
    due: BTreeSet<(u64, TxId)>,
    by_peer: BTreeMap<PeerId, BTreeSet<TxId>>,
    in_flight: BTreeMap<PeerId, usize>,
}

impl Wanted {
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self {
            key,
            entries: BTreeMap::new(),
            due: BTreeSet::new(),
            by_peer: BTreeMap::new(),
            in_flight: BTreeMap::new(),
        }
    }

    /// A peer says it has a transaction.
    pub(super) fn announced(
        &mut self,
        peer: PeerId,
        (kind, id): (InventoryKind, TxId),
        preferred: bool,
        now: u64,
    ) {
        let of_peer = self.by_peer.entry(peer).or_default();
        if of_peer.len() >= PER_PEER_MAX || !of_peer.insert(id) {
            return;
        }
        let busy = self.in_flight.get(&peer).copied().unwrap_or_default() >= IN_FLIGHT_MAX;
        let delay = DELAY * (!preferred as u64 + busy as u64);
        let entry = self.entries.entry(id).or_default();
        entry.candidates.insert(peer, Announcement { kind, preferred, ready_at: now + delay });
        if entry.asked.is_none() {
            self.schedule(id, now + delay);
        }
    }

    /// The id needs a look at this time, or earlier if so planned already.
    fn schedule(&mut self, id: TxId, at: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.due != 0 && entry.due <= at {
            return;
        }
        self.due.remove(&(entry.due, id));
        entry.due = at.max(1);
        self.due.insert((entry.due, id));
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What to ask for now; what `is_here` is being looked at already and can wait for the verdict.
    pub(super) fn ask(&mut self, now: u64, is_here: impl Fn(&TxId) -> bool) -> Vec<Ask> {
        let mut asks = Vec::new();
        while let Some((at, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, id));
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.due = 0;
            }
            if is_here(&id) {
                self.schedule(id, now + DELAY);
            } else {
                asks.extend(self.consider(id, now));
            }
        }
        asks
    }

    fn consider(&mut self, id: TxId, now: u64) -> Option<Ask> {
        match self.entries.get(&id)?.asked {
            Some((_, until)) if until > now => {
                self.schedule(id, until);
                return None;
            }
            Some((peer, _)) => self.drop_announcement(peer, id),
            None => {}
        }
        let entry = self.entries.get_mut(&id)?;
        let key = &self.key;
        let best = entry
            .candidates
            .iter()
            .filter(|(_, announcement)| announcement.ready_at <= now)
            .max_by_key(|(peer, it)| (it.preferred, keyed(key, &[&id.0, &peer.0.to_le_bytes()])))
            .map(|(peer, announcement)| (*peer, announcement.kind));
        if let Some((peer, kind)) = best {
            entry.asked = Some((peer, now + TIMEOUT));
            *self.in_flight.entry(peer).or_default() += 1;
            self.schedule(id, now + TIMEOUT);
            return Some(Ask { peer, kind, id });
        }
        match entry.candidates.values().map(|announcement| announcement.ready_at).min() {
            Some(at) => self.schedule(id, at),
            None => self.forget(&id),
        }
        None
    }

    /// A peer has answered (or says it has not): ask another if it was not the one we want.
    pub(super) fn answered(&mut self, peer: PeerId, id: &TxId, now: u64) {
        if self.entries.contains_key(id) {
            self.drop_announcement(peer, *id);
            self.schedule(*id, now);
        }
    }

    /// The verdict is there and did not settle it: ask at once.
    pub(super) fn judged(&mut self, id: TxId, now: u64) {
        self.schedule(id, now);
    }

    /// The id is settled, whoever announced it.
    pub(super) fn forget(&mut self, id: &TxId) {
        let Some(entry) = self.entries.remove(id) else { return };
        self.due.remove(&(entry.due, *id));
        if let Some((peer, _)) = entry.asked {
            self.no_longer_owed(peer);
        }
        for peer in entry.candidates.keys() {
            self.unlink(*peer, id);
        }
    }

    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        for id in self.by_peer.remove(&peer).unwrap_or_default() {
            self.drop_announcement(peer, id);
            self.schedule(id, 1);
        }
        self.in_flight.remove(&peer);
    }

    fn drop_announcement(&mut self, peer: PeerId, id: TxId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.candidates.remove(&peer);
        if entry.asked.is_some_and(|(asked, _)| asked == peer) {
            entry.asked = None;
            self.no_longer_owed(peer);
        }
        self.unlink(peer, &id);
    }

    fn unlink(&mut self, peer: PeerId, id: &TxId) {
        if let Some(ids) = self.by_peer.get_mut(&peer) {
            ids.remove(id);
        }
    }

    fn no_longer_owed(&mut self, peer: PeerId) {
        if let Some(count) = self.in_flight.get_mut(&peer) {
            *count = count.saturating_sub(1);
        }
    }

    /// How many ids await anything.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{InventoryKind, PeerId, TxId, Wanted};

    const KIND: InventoryKind = InventoryKind::WitnessId;

    const NOT_HERE: fn(&TxId) -> bool = |_| false;

    fn id(byte: u8) -> TxId {
        TxId([byte; 32])
    }

    #[test]
    fn a_chosen_peer_is_asked_before_one_that_came_to_us() {
        let mut wanted = Wanted::new([1; 16]);
        wanted.announced(PeerId(1), (KIND, id(1)), false, 1_000);
        assert!(wanted.ask(1_000, NOT_HERE).is_empty());
        wanted.announced(PeerId(2), (KIND, id(1)), true, 1_500);
        let asks = wanted.ask(1_500, NOT_HERE);
        assert_eq!(asks.len(), 1);
        assert_eq!(asks[0].peer, PeerId(2));
        assert!(wanted.ask(10_000, NOT_HERE).is_empty(), "one request at a time");
    }

    #[test]
    fn an_unanswered_request_goes_to_the_next_peer() {
        let mut wanted = Wanted::new([1; 16]);
        wanted.announced(PeerId(1), (KIND, id(1)), true, 1_000);
        wanted.announced(PeerId(2), (KIND, id(1)), true, 1_000);
        let first = wanted.ask(1_000, NOT_HERE)[0].peer;
        assert!(wanted.ask(60_999, NOT_HERE).is_empty());
        let second = wanted.ask(61_000, NOT_HERE)[0].peer;
        assert_ne!(first, second);
        assert!(wanted.ask(121_000, NOT_HERE).is_empty());
        assert_eq!(wanted.len(), 0, "an id nobody can give is forgotten");
    }

    #[test]
    fn a_peer_that_leaves_hands_over() {
        let mut wanted = Wanted::new([1; 16]);
        wanted.announced(PeerId(1), (KIND, id(1)), true, 1_000);
        assert_eq!(wanted.ask(1_000, NOT_HERE).len(), 1);
        wanted.announced(PeerId(2), (KIND, id(1)), true, 1_100);
        wanted.forget_peer(PeerId(1));
        assert_eq!(wanted.ask(1_200, NOT_HERE)[0].peer, PeerId(2));
        wanted.forget(&id(1));
        assert_eq!((wanted.len(), wanted.next_due()), (0, None));
    }

    #[test]
    fn what_is_being_judged_is_asked_of_nobody_until_the_verdict() {
        let mut wanted = Wanted::new([1; 16]);
        wanted.announced(PeerId(1), (KIND, id(1)), true, 1_000);
        wanted.announced(PeerId(2), (KIND, id(1)), true, 1_000);
        let first = wanted.ask(1_000, NOT_HERE)[0].peer;
        wanted.answered(first, &id(1), 1_100);
        assert!(wanted.ask(1_100, |it| *it == id(1)).is_empty());
        assert!(wanted.ask(1_200, NOT_HERE).is_empty(), "looked at again later");
        wanted.judged(id(1), 1_300);
        assert_ne!(wanted.ask(1_300, NOT_HERE)[0].peer, first);
    }
}
