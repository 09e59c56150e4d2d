//! What the node that seals may change while it runs: when blocks are made, what time they say, who is paid.

use chainwright_chain::{Hash, Timestamp};

use crate::sealer::Sealing;

/// The sealer's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controls {
    /// When blocks are made without being asked for.
    pub sealing: Sealing,
    /// Who is paid, in the ledger's own form; empty for nobody.
    pub payee: Vec<u8>,
    /// What time blocks say.
    pub time: BlockTime,
    /// The randomness of the next block, and of no other.
    pub next_randomness: Option<Hash>,
}

/// What time blocks say, as far as the ledger's and the engine's rules allow: never before the parent's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockTime {
    /// Seconds added to the node's clock.
    pub offset_seconds: i64,
    /// What the next block says; later ones go on from there.
    pub next: Option<Timestamp>,
    /// Every block says as many seconds more than its parent, whatever the clock says.
    pub step_seconds: Option<u64>,
}

impl BlockTime {
    /// The time as the sealer sees it.
    pub fn now(&self, clock: Timestamp) -> Timestamp {
        Timestamp(clock.0.saturating_add_signed(self.offset_seconds))
    }

    /// Moves the sealer's time so that it is `time` now.
    pub fn set_now(&mut self, clock: Timestamp, time: Timestamp) {
        let ahead = i128::from(time.0) - i128::from(clock.0);
        self.offset_seconds = i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX });
    }

    /// What a child of a block of this time says, before rules raise it.
    pub(crate) fn of_child(&self, parent: Timestamp, clock: Timestamp) -> Timestamp {
        match (self.next, self.step_seconds) {
            (Some(next), _) => next,
            (None, Some(step)) => Timestamp(parent.0.saturating_add(step)),
            (None, None) => self.now(clock),
        }
    }
}

/// Several blocks in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many.
    pub count: u64,
    /// What time the first says; what any other block would, unless given.
    pub first: Option<Timestamp>,
    /// How many seconds each further one says more than the one before.
    pub step_seconds: Option<u64>,
}

impl Batch {
    /// One block like any other.
    pub const ONE: Self = Self { count: 1, first: None, step_seconds: None };
}
