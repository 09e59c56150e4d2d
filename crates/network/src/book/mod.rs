//! Known addresses, so arranged that one party cannot fill them all.
//!
//! Bitcoin Core's address manager (`addrman.cpp`) in essence. Addresses we have only heard of are *new*, those we have been
//! connected to are *tried*. Each table has buckets of 64 places; where an address may stand is decided by a secret key, its
//! group and (for new ones) the group of who told us. An attacker with few groups reaches few buckets.
//!
//! Invariants: an address is in one table only; each place holds at most one address; only routable addresses are kept.

mod saved;

use std::collections::BTreeMap;

use crate::random::{Random, keyed};
use crate::{AddressInfo, NetworkAddress};

pub use saved::BookError;

/// Buckets of new addresses, and of tried ones.
const NEW_BUCKETS: u64 = 1024;
const TRIED_BUCKETS: u64 = 256;
/// Places of a bucket.
const PLACES: u64 = 64;
/// Buckets one source group may reach; buckets the addresses of one group may reach among tried ones.
const SOURCE_BUCKETS: u64 = 64;
const GROUP_BUCKETS: u64 = 8;
/// New buckets one address may stand in.
const NEW_PLACES_MAX: usize = 8;
/// An address not seen for this long is terrible, in seconds.
const HORIZON: u64 = 30 * 24 * 3600;
/// Failures that make a never reached address terrible, and a once reached one after a week without.
const RETRIES: u32 = 3;
const FAILURES_MAX: u32 = 10;
const FAILURES_TIME: u64 = 7 * 24 * 3600;

/// What is known of an address. Times are seconds since 1970; 0 for never.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) info: AddressInfo,
    pub(crate) source: NetworkAddress,
    pub(crate) last_try: u64,
    pub(crate) last_success: u64,
    pub(crate) failures: u32,
    pub(crate) tried: bool,
    /// Places it stands in.
    places: Vec<u32>,
}

/// A choice of whom to dial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected {
    pub(crate) address: NetworkAddress,
    pub(crate) last_try: u64,
}

impl Known {
    /// Not worth keeping, or telling others about (`AddrInfo::IsTerrible`).
    fn is_terrible(&self, now: u64) -> bool {
        let (seen, tried) = (u64::from(self.info.time), self.last_try);
        if tried + 60 > now && tried != 0 {
            return false;
        }
        seen > now + 600
            || seen + HORIZON < now
            || (self.last_success == 0 && self.failures >= RETRIES)
            || (self.last_success + FAILURES_TIME < now && self.failures >= FAILURES_MAX)
    }

    /// Chance of being chosen, between 0 and 1 (`AddrInfo::GetChance`).
    fn chance(&self, now: u64) -> f64 {
        let lately = if self.last_try + 600 > now { 0.01 } else { 1.0 };
        lately * 0.66_f64.powi(self.failures.min(8) as i32)
    }
}

/// Known addresses.
#[derive(Clone, Debug)]
pub struct AddressBook {
    key: [u8; 16],
    known: BTreeMap<NetworkAddress, Known>,
    /// Taken places of both tables; tried ones follow new ones.
    places: BTreeMap<u32, NetworkAddress>,
}

impl AddressBook {
    /// An empty book. The seed decides who may stand where and stays secret.
    pub fn new(seed: [u8; 32]) -> Self {
        let key = Random::new(&seed).key();
        Self { key, known: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// How many addresses are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many have been connected to.
    pub fn tried_count(&self) -> usize {
        self.known.values().filter(|known| known.tried).count()
    }

    fn place(&self, tried: bool, bucket: u64, address: &[u8]) -> u32 {
        let place = keyed(&self.key, &[b"place", &[tried as u8], &bucket.to_le_bytes(), address]) % PLACES;
        let first = if tried { NEW_BUCKETS } else { 0 };
        ((first + bucket) * PLACES + place) as u32
    }

    fn new_place(&self, address: &NetworkAddress, source: &NetworkAddress) -> u32 {
        let (group, source) = (address.host.group(), source.host.group());
        let within = keyed(&self.key, &[b"new", &group, &source]) % SOURCE_BUCKETS;
        let bucket = keyed(&self.key, &[b"new bucket", &source, &within.to_le_bytes()]) % NEW_BUCKETS;
        self.place(false, bucket, &address.key())
    }

    fn tried_place(&self, address: &NetworkAddress) -> u32 {
        let key = address.key();
        let within = keyed(&self.key, &[b"tried", &key]) % GROUP_BUCKETS;
        let group = address.host.group();
        let bucket = keyed(&self.key, &[b"tried bucket", &group, &within.to_le_bytes()]) % TRIED_BUCKETS;
        self.place(true, bucket, &key)
    }

    /// Hears of an address. `penalty_s` makes it look older, because others say it was seen. `true` if it was not known.
    pub fn add(&mut self, info: &AddressInfo, source: &NetworkAddress, penalty_s: u32, now: u64) -> bool {
        let address = info.address;
        if !address.host.is_routable() || address.port == 0 {
            return false;
        }
        let penalty = if address == *source { 0 } else { penalty_s };
        let time = info.time.saturating_sub(penalty);
        let fresh = !self.known.contains_key(&address);
        if let Some(known) = self.known.get_mut(&address) {
            known.info.services |= info.services;
            known.info.time = known.info.time.max(time);
            // Each further place is half as likely, and tried addresses need none.
            let crowded = known.places.len() >= NEW_PLACES_MAX;
            let draw = keyed(&self.key, &[b"again", &address.key(), &now.to_le_bytes()]);
            let likely = draw.is_multiple_of(1 << known.places.len().min(8));
            if known.tried || crowded || !likely {
                return false;
            }
        }
        let place = self.new_place(&address, source);
        if !self.make_room(place, &address, fresh, now) {
            return false;
        }
        let known = self.known.entry(address).or_insert_with(|| Known {
            info: AddressInfo { time, ..*info },
            source: *source,
            last_try: 0,
            last_success: 0,
            failures: 0,
            tried: false,
            places: Vec::new(),
        });
        if !known.places.contains(&place) {
            known.places.push(place);
            self.places.insert(place, address);
        }
        fresh
    }

    /// Whether a place is free for an address; a terrible or well represented occupant gives way.
    fn make_room(&mut self, place: u32, address: &NetworkAddress, fresh: bool, now: u64) -> bool {
        let Some(occupant) = self.places.get(&place).copied() else { return true };
        if occupant == *address {
            return false;
        }
        let gives_way = self
            .known
            .get(&occupant)
            .is_none_or(|known| known.is_terrible(now) || (known.places.len() > 1 && fresh));
        if gives_way {
            self.leave(place, &occupant);
        }
        gives_way
    }

    /// Takes an address off a place; one without any is forgotten.
    fn leave(&mut self, place: u32, address: &NetworkAddress) {
        self.places.remove(&place);
        if let Some(known) = self.known.get_mut(address) {
            known.places.retain(|other| *other != place);
            if known.places.is_empty() {
                self.known.remove(address);
            }
        }
    }

    /// A connection to it worked and it spoke our protocol: it moves to the tried ones.
    pub fn good(&mut self, address: &NetworkAddress, services: u64, now: u64) {
        let Some(known) = self.known.get_mut(address) else { return };
        known.info.services = services;
        known.info.time = known.info.time.max(now as u32);
        known.last_success = now;
        known.last_try = now;
        known.failures = 0;
        if known.tried {
            return;
        }
        let place = self.tried_place(address);
        if let Some(occupant) = self.places.get(&place).copied() {
            let lively = self.known.get(&occupant).is_some_and(|other| other.last_success + 4 * 3600 > now);
            if lively {
                return;
            }
            self.demote(place, &occupant);
        }
        let Some(known) = self.known.get_mut(address) else { return };
        known.tried = true;
        let old = core::mem::replace(&mut known.places, vec![place]);
        for place in old {
            self.places.remove(&place);
        }
        self.places.insert(place, *address);
    }

    /// A tried address goes back to the new ones, if there is room where it would stand.
    fn demote(&mut self, place: u32, address: &NetworkAddress) {
        self.places.remove(&place);
        let Some(known) = self.known.get(address) else { return };
        let back = self.new_place(address, &known.source.clone());
        if let Some(occupant) = self.places.get(&back).copied() {
            self.leave(back, &occupant);
        }
        if let Some(known) = self.known.get_mut(address) {
            known.tried = false;
            known.places = vec![back];
            self.places.insert(back, *address);
        }
    }

    /// A connection is or was attempted.
    pub fn attempted(&mut self, address: &NetworkAddress, now: u64) {
        if let Some(known) = self.known.get_mut(address) {
            known.last_try = now;
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// A connection stood until now.
    pub fn connected(&mut self, address: &NetworkAddress, now: u64) {
        if let Some(known) = self.known.get_mut(address)
            && u64::from(known.info.time) + 20 * 60 < now
        {
            known.info.time = now as u32;
        }
    }

    /// Someone to dial: tried and new ones are equally likely, then by chance of success.
    pub(crate) fn select(&self, new_only: bool, now: u64, random: &mut Random) -> Option<Selected> {
        let border = (NEW_BUCKETS * PLACES) as u32;
        let has = |tried: bool| {
            if tried {
                self.places.range(border..).next().is_some()
            } else {
                self.places.range(..border).next().is_some()
            }
        };
        let tried = match (has(true) && !new_only, has(false)) {
            (false, false) => return None,
            (true, true) => random.below(2) == 0,
            (tried, _) => tried,
        };
        let (first, count) = if tried { (border, TRIED_BUCKETS * PLACES) } else { (0, NEW_BUCKETS * PLACES) };
        let mut factor = 1.0;
        loop {
            // From a random place on, round the table, to the next one taken.
            let from = first + random.below(count) as u32;
            let end = first + count as u32;
            let found = self.places.range(from..end).next().or_else(|| self.places.range(first..end).next());
            let known = self.known.get(found?.1)?;
            if random.unit() < factor * known.chance(now) {
                return Some(Selected { address: known.info.address, last_try: known.last_try });
            }
            factor *= 1.2;
        }
    }

    /// Some addresses to tell others: at most `max`, at most this share, none that are terrible.
    pub(crate) fn sample(&self, max: usize, percent: u64, now: u64, random: &mut Random) -> Vec<AddressInfo> {
        let count = (self.known.len() as u64 * percent / 100).min(max as u64) as usize;
        let mut all: Vec<_> =
            self.known.values().filter(|known| !known.is_terrible(now)).map(|known| known.info).collect();
        random.shuffle(&mut all);
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests;
