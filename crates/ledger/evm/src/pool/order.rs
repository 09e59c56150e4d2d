//! Two orders of what waits: whose next transaction pays the block's maker best, and which transactions pay least.
//!
//! What a transaction tips depends on the base fee: the smaller of its tip and of what its fee cap leaves above the base fee
//! (EIP-1559). So heads stand in one of two sets, by tip while the cap leaves room for it, by cap once it does not, and move
//! between them when the base fee passes the *turning point* (cap − tip). A new base fee touches only those it passes.

use core::cmp::Reverse;
use core::ops::RangeInclusive;
use std::collections::BTreeSet;

use alloy_primitives::Address;

/// What an order needs to know of a transaction. Fees in wei per gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bid {
    pub(super) sender: Address,
    pub(super) nonce: u64,
    /// The most per gas, base fee included.
    pub(super) fee_cap: u128,
    /// The most per gas for the block's maker.
    pub(super) tip: u128,
    /// Order of arrival.
    pub(super) sequence: u64,
}

impl Bid {
    /// What the block's maker gets per gas; `None` when the cap does not reach the base fee.
    pub(super) fn effective_tip(&self, base_fee: u128) -> Option<u128> {
        self.fee_cap.checked_sub(base_fee).map(|room| room.min(self.tip))
    }

    /// The base fee up to which the tip is paid in full.
    fn turning_point(&self) -> u128 {
        self.fee_cap.saturating_sub(self.tip)
    }
}

/// By fee, then the earliest; ascending, so the best is the last.
type ByFee = BTreeSet<(u128, Reverse<u64>, Address)>;

/// Each account's next transaction, for making blocks.
#[derive(Debug, Default)]
pub(super) struct Heads {
    base_fee: u128,
    /// Those whose cap leaves room for the whole tip, by tip.
    full: ByFee,
    /// Those whose cap does not, by cap.
    capped: ByFee,
    /// Turning point, then what is needed to find the entry in the other sets.
    turning: BTreeSet<(u128, Address, u128, u64)>,
}

impl Heads {
    pub(super) fn base_fee(&self) -> u128 {
        self.base_fee
    }

    pub(super) fn insert(&mut self, bid: &Bid) {
        let key = (bid.turning_point(), bid.sender, bid.tip, bid.sequence);
        self.turning.insert(key);
        self.place(key);
    }

    pub(super) fn remove(&mut self, bid: &Bid) {
        let key = (bid.turning_point(), bid.sender, bid.tip, bid.sequence);
        if self.turning.remove(&key) {
            self.displace(key);
        }
    }

    /// Whether a block at the base fee would take any.
    pub(super) fn is_ready(&self) -> bool {
        !self.full.is_empty() || self.capped.last().is_some_and(|(cap, ..)| *cap >= self.base_fee)
    }

    /// Follows the base fee of the next block.
    pub(super) fn set_base_fee(&mut self, base_fee: u128) {
        let before = self.base_fee;
        if before == base_fee {
            return;
        }
        // A head is capped once the base fee is above its turning point.
        let (low, high) = (before.min(base_fee), before.max(base_fee));
        let passed: Vec<_> = self.turning_between(low..=high - 1).collect();
        for key in &passed {
            self.displace(*key);
        }
        self.base_fee = base_fee;
        for key in passed {
            self.place(key);
        }
    }

    fn turning_between(
        &self,
        range: RangeInclusive<u128>,
    ) -> impl Iterator<Item = (u128, Address, u128, u64)> {
        let from = (*range.start(), Address::ZERO, 0, 0);
        let to = (*range.end(), Address::repeat_byte(0xff), u128::MAX, u64::MAX);
        self.turning.range(from..=to).copied()
    }

    fn place(&mut self, (turning_point, sender, tip, sequence): (u128, Address, u128, u64)) {
        if turning_point >= self.base_fee {
            self.full.insert((tip, Reverse(sequence), sender));
        } else {
            self.capped.insert((turning_point.saturating_add(tip), Reverse(sequence), sender));
        }
    }

    fn displace(&mut self, (turning_point, sender, tip, sequence): (u128, Address, u128, u64)) {
        if turning_point >= self.base_fee {
            self.full.remove(&(tip, Reverse(sequence), sender));
        } else {
            self.capped.remove(&(turning_point.saturating_add(tip), Reverse(sequence), sender));
        }
    }

    /// Effective tip, arrival and sender of every head that a block at the base fee would take; two runs, each best first.
    pub(super) fn best_first(&self) -> (Run<'_>, Run<'_>) {
        let base_fee = self.base_fee;
        let full = self.full.iter().rev().copied();
        let capped = self.capped.iter().rev().map_while(move |(cap, sequence, sender)| {
            cap.checked_sub(base_fee).map(|tip| (tip, *sequence, *sender))
        });
        (Box::new(full), Box::new(capped))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.full.len() + self.capped.len(), self.turning.len());
        self.turning.len()
    }
}

/// Heads in one of the two orders.
pub(super) type Run<'p> = Box<dyn Iterator<Item = (u128, Reverse<u64>, Address)> + 'p>;

/// Fee cap, tip, the later nonce first, the later arrival first; ascending, so the first goes first.
type Worth = (u128, u128, Reverse<u64>, Reverse<u64>, Address);

/// All transactions by what they offer, for making room.
///
/// geth keeps two heaps (effective tip, fee cap) and evicts from either; this is the second alone, since a transaction with a
/// high cap can always pay for its place.
#[derive(Debug, Default)]
pub(super) struct Cheapest(BTreeSet<Worth>);

impl Cheapest {
    pub(super) fn insert(&mut self, bid: &Bid) {
        self.0.insert(worth(bid));
    }

    pub(super) fn remove(&mut self, bid: &Bid) {
        self.0.remove(&worth(bid));
    }

    /// Senders and nonces, the cheapest transaction first, as long as they offer less than `than`.
    pub(super) fn below(&self, than: &Bid) -> impl Iterator<Item = (Address, u64)> + use<'_> {
        let offer = (than.fee_cap, than.tip);
        let cheaper = self.0.iter().take_while(move |(cap, tip, ..)| (*cap, *tip) < offer);
        cheaper.map(|(_, _, Reverse(nonce), _, sender)| (*sender, *nonce))
    }

    /// Sender and nonce of the cheapest transaction.
    pub(super) fn first(&self) -> Option<(Address, u64)> {
        self.0.first().map(|(_, _, Reverse(nonce), _, sender)| (*sender, *nonce))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn worth(bid: &Bid) -> Worth {
    (bid.fee_cap, bid.tip, Reverse(bid.nonce), Reverse(bid.sequence), bid.sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bid(number: u8, fee_cap: u128, tip: u128) -> Bid {
        Bid { sender: Address::repeat_byte(number), nonce: 0, fee_cap, tip, sequence: u64::from(number) }
    }

    fn merged(heads: &Heads) -> Vec<(u128, u64)> {
        let (full, capped) = heads.best_first();
        let mut all: Vec<_> = full.chain(capped).map(|(tip, Reverse(at), _)| (tip, at)).collect();
        all.sort_by_key(|(tip, at)| (Reverse(*tip), *at));
        all
    }

    proptest! {
        #[test]
        fn heads_follow_the_base_fee(
            fees in proptest::collection::vec((0..40_u128, 0..40_u128), 0..20),
            base_fees in proptest::collection::vec(0..50_u128, 1..8),
        ) {
            let mut heads = Heads::default();
            let bids: Vec<_> =
                (0_u8..).zip(&fees).map(|(at, (a, b))| bid(at, *a.max(b), *a.min(b))).collect();
            for bid in &bids {
                heads.insert(bid);
            }
            for base_fee in base_fees {
                heads.set_base_fee(base_fee);
                let takes = bids.iter().filter_map(|bid| Some((bid.effective_tip(base_fee)?, bid.sequence)));
                let mut expected: Vec<_> = takes.collect();
                expected.sort_by_key(|(tip, at)| (Reverse(*tip), *at));
                prop_assert_eq!(merged(&heads), expected.clone());
                prop_assert_eq!(heads.is_ready(), !expected.is_empty());
                let (full, capped) = heads.best_first();
                prop_assert!(full.map(|entry| entry.0).is_sorted_by(|a, b| a >= b));
                prop_assert!(capped.map(|entry| entry.0).is_sorted_by(|a, b| a >= b));
            }
            for bid in &bids {
                heads.remove(bid);
            }
            prop_assert_eq!(heads.len(), 0);
        }
    }

    #[test]
    fn the_cheapest_goes_first_and_the_latest_of_equals() {
        let mut order = Cheapest::default();
        for offer in [bid(1, 10, 5), bid(2, 10, 2), bid(3, 7, 7), bid(4, 10, 2)] {
            order.insert(&offer);
        }
        let first: Vec<_> = order.below(&bid(9, 10, 5)).map(|(sender, _)| sender.0[0]).collect();
        assert_eq!(first, [3, 4, 2]);
    }
}
