//! Which target the next header must carry.
//!
//! Source: Bitcoin Core, `pow.cpp` `GetNextWorkRequired`, `CalculateNextWorkRequired`, `PermittedDifficultyTransition`,
//! `node/miner.cpp` `GetMinimumTime`; BIP-0094 § Specification. Arithmetic is 256 bits wide and wraps, as there.

use chainwright_chain::{CompactTarget, Header, Headers, Height, Ledger, Timestamp, U256, Work};

use crate::asert::Asert;
use crate::compact::{compact_of, expand};

/// How far the first block of a period may lie before its parent, in seconds (BIP-0094; Bitcoin Core `MAX_TIMEWARP`).
pub const TIMEWARP_MAX_SECONDS: u64 = 600;

/// How targets follow from the headers before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetRule {
    /// One new target per period, from the time the period took.
    Bitcoin(Retarget),
    /// A new target for every block, from an absolute schedule. The rule for new chains.
    Asert(Asert),
}

/// The parameters of Bitcoin's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retarget {
    /// The easiest target.
    pub limit: U256,
    /// Seconds between blocks, as intended.
    pub spacing_seconds: u32,
    /// Seconds one period should take.
    pub timespan_seconds: u32,
    /// A block more than two spacings after its parent may carry the easiest target (test networks).
    pub allow_min_difficulty: bool,
    /// Targets never change (regtest).
    pub no_retarget: bool,
    /// The first block of a period may not lie long before its parent, and the period's first target is what is
    /// adjusted (BIP-0094, testnet4).
    pub bip94: bool,
}

impl TargetRule {
    /// The easiest target a header may carry.
    pub fn limit(&self) -> U256 {
        match self {
            Self::Bitcoin(rule) => rule.limit,
            Self::Asert(rule) => rule.limit,
        }
    }

    /// Seconds between blocks, as intended.
    pub fn spacing_seconds(&self) -> u32 {
        match self {
            Self::Bitcoin(rule) => rule.spacing_seconds,
            Self::Asert(rule) => rule.spacing_seconds,
        }
    }

    /// The target a child of `parent` with this time must carry.
    pub fn required<L: Ledger<Header: Work>>(&self, parent: &Headers<L>, time: Timestamp) -> CompactTarget {
        L::Header::expressible(match self {
            Self::Bitcoin(rule) => rule.required(parent, time),
            Self::Asert(rule) => rule.required(parent),
        })
    }

    /// The earliest time we give a child of `parent`: after the median of the last eleven and, on every network with
    /// periods, within BIP-0094's bound, whether or not it is a rule there (Bitcoin Core `GetMinimumTime`).
    pub fn minimum_time<L: Ledger>(&self, parent: &Headers<L>) -> Timestamp {
        let median = parent.median_time().0.saturating_add(1);
        match self {
            Self::Bitcoin(rule) if rule.starts_period(parent.height().next()) => {
                Timestamp(median.max(timewarp_bound(parent)))
            }
            _ => Timestamp(median),
        }
    }

    /// Whether the target of the block at `height` may follow that of the block before it, judged by the two alone:
    /// what a flood of headers is held against before any is kept.
    pub fn permits(&self, height: Height, old: CompactTarget, new: CompactTarget) -> bool {
        match self {
            Self::Bitcoin(rule) => rule.permits(height, old, new),
            Self::Asert(_) => true,
        }
    }
}

/// The earliest time BIP-0094 allows for the first block of a period.
pub(crate) fn timewarp_bound<L: Ledger>(parent: &Headers<L>) -> u64 {
    parent.header().time().0.saturating_sub(TIMEWARP_MAX_SECONDS)
}

impl Retarget {
    /// Blocks in a period: 2016 on Bitcoin.
    pub fn interval(&self) -> u32 {
        (self.timespan_seconds / self.spacing_seconds.max(1)).max(1)
    }

    /// Whether the block at this height is the first of a period.
    pub fn starts_period(&self, height: Height) -> bool {
        height.0.is_multiple_of(self.interval())
    }

    /// The target a child of `parent` with this time must carry (Bitcoin Core `GetNextWorkRequired`).
    pub fn required<L: Ledger<Header: Work>>(&self, parent: &Headers<L>, time: Timestamp) -> CompactTarget {
        if self.starts_period(parent.height().next()) {
            // The period's own first block: its time span is one block short, for ever.
            let first = Height(parent.height().0.saturating_sub(self.interval() - 1));
            let first = parent.ancestor(first).expect("a branch has every height below its end");
            let adjusted = if self.bip94 { first.header().target() } else { parent.header().target() };
            let (start, end) = (first.header().time(), parent.header().time());
            return if self.no_retarget {
                parent.header().target()
            } else {
                self.adjust(adjusted, start, end)
            };
        }
        if !self.allow_min_difficulty {
            return parent.header().target();
        }
        let late = parent.header().time().0.saturating_add(u64::from(self.spacing_seconds) * 2);
        if time.0 > late { compact_of(self.limit) } else { self.last_real_target(parent) }
    }

    /// The last target of the period that is not the exception for late blocks.
    fn last_real_target<L: Ledger<Header: Work>>(&self, parent: &Headers<L>) -> CompactTarget {
        let easiest = compact_of(self.limit);
        let is_real =
            |block: &Headers<L>| self.starts_period(block.height()) || block.header().target() != easiest;
        parent.down().find(is_real).expect("genesis starts a period").header().target()
    }

    /// A period's target, scaled by how long it took, at most by four either way
    /// (Bitcoin Core `CalculateNextWorkRequired`).
    pub fn adjust(&self, old: CompactTarget, start: Timestamp, end: Timestamp) -> CompactTarget {
        let planned = i128::from(self.timespan_seconds);
        let taken = (i128::from(end.0) - i128::from(start.0)).clamp(planned / 4, planned * 4);
        compact_of(self.scaled(old, taken as u32))
    }

    /// A target times `taken` seconds over the planned ones, at most the limit. The product wraps as the reference's does,
    /// which no target at or below its network's limit reaches.
    fn scaled(&self, old: CompactTarget, taken: u32) -> U256 {
        let product = expand(old).value.wrapping_mul(U256::from(taken));
        (product / U256::from(self.timespan_seconds.max(1))).min(self.limit)
    }

    /// See [`TargetRule::permits`] (Bitcoin Core `PermittedDifficultyTransition`).
    pub fn permits(&self, height: Height, old: CompactTarget, new: CompactTarget) -> bool {
        if self.allow_min_difficulty {
            return true;
        }
        if !self.starts_period(height) {
            return old == new;
        }
        // Through the compact form and back: real targets were rounded too.
        let bound = |taken| expand(compact_of(self.scaled(old, taken))).value;
        let (shortest, longest) = (self.timespan_seconds / 4, self.timespan_seconds.saturating_mul(4));
        (bound(shortest)..=bound(longest)).contains(&expand(new).value)
    }
}
