//! Rules that miners vote on with bits of the version (BIP-0009, and BIP-0008's heights).
//!
//! ```text
//! Defined ─start─> Started ─enough bits in a period─> LockedIn ─height reached─> Active
//!                     └──────────timeout────────────> Failed
//! ```
//! The state is that of a whole period and follows from the headers of the periods before (Bitcoin Core
//! `versionbits.cpp`). It is computed once per period and branch and remembered.

use chainwright_chain::{BlockId, Headers, Height, Timestamp};
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::block::BlockHeader;
use crate::ledger::Utxo;

/// The bits that mark a version as a vote (BIP-0009).
const TOP_BITS: i32 = 0x2000_0000;
const TOP_MASK: i32 = 0xe000_0000_u32.cast_signed();

/// When a vote begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The rule holds from genesis on.
    Always,
    /// The rule never holds.
    Never,
    /// By median time past, in Unix seconds.
    Time {
        /// The vote begins with the first period after this.
        start: u64,
        /// The vote fails with the first period after this.
        timeout: u64,
    },
    /// By height, as Litecoin counts.
    Height {
        /// The vote begins with the period that holds this height.
        start: u32,
        /// The vote fails with the period that holds this height.
        timeout: u32,
    },
}

impl Clock {
    /// A vote that does not end.
    pub const NO_TIMEOUT: u64 = u64::MAX;
}

/// A rule that miners signal for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Its name.
    pub name: String,
    /// Which bit of the version, 0 to 28.
    pub bit: u8,
    /// When the vote is held.
    pub clock: Clock,
    /// The rule holds from this height on at the earliest.
    pub activation_height_min: u32,
    /// Blocks of a period.
    pub period: u32,
    /// Blocks of a period that have to signal.
    pub threshold: u32,
    /// Whether miners who do not know the rule may still use templates (`getblocktemplate`).
    pub is_optional: bool,
}

impl Deployment {
    /// The bit of the version.
    pub const fn mask(&self) -> i32 {
        1 << self.bit
    }

    /// Whether a version votes for it.
    pub const fn is_signalled_by(&self, version: i32) -> bool {
        version & TOP_MASK == TOP_BITS && version & self.mask() != 0
    }
}

/// How far a vote has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeploymentState {
    /// Not yet begun.
    Defined,
    /// Votes are counted.
    Started,
    /// Decided; the rule holds soon.
    LockedIn,
    /// The rule holds.
    Active,
    /// The vote failed.
    Failed,
}

impl DeploymentState {
    /// Bitcoin Core's word (`StateName`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Defined => "defined",
            Self::Started => "started",
            Self::LockedIn => "locked_in",
            Self::Active => "active",
            Self::Failed => "failed",
        }
    }
}

/// A vote as RPC tells it: the state of one block and of the next (Bitcoin Core `BIP9Info`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signalling {
    /// The state that holds for the block.
    pub state: DeploymentState,
    /// The state that holds for its child.
    pub next: DeploymentState,
    /// The first height of the state.
    pub since: u32,
    /// The count, while there is one.
    pub statistics: Option<Statistics>,
}

/// The running count of a vote (Bitcoin Core `BIP9Stats`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Blocks of the period so far, the last one included.
    pub elapsed: u32,
    /// How many of them signalled.
    pub count: u32,
    /// Whether the threshold can still be reached.
    pub possible: bool,
    /// Which of them signalled, oldest first.
    pub blocks: Vec<bool>,
}

/// Remembers the states of past periods: a pure function of headers, kept because asking is expensive.
#[derive(Default)]
pub struct Deployments {
    states: Mutex<HashMap<(u8, BlockId), DeploymentState>>,
}

impl Deployments {
    /// The state that holds for children of `parent`.
    pub fn state(&self, deployment: &Deployment, parent: &Headers<Utxo>) -> DeploymentState {
        match deployment.clock {
            Clock::Always => return DeploymentState::Active,
            Clock::Never => return DeploymentState::Failed,
            Clock::Time { .. } | Clock::Height { .. } => {}
        }
        let mut unknown = Vec::new();
        let mut at = period_end(parent, deployment.period);
        let mut states = self.states.lock();
        let mut state = loop {
            let Some(block) = at else { break DeploymentState::Defined };
            let key = (deployment.bit, block.id());
            if let Some(known) = states.get(&key) {
                break *known;
            }
            if !has_started(deployment, &block) {
                states.insert(key, DeploymentState::Defined);
                break DeploymentState::Defined;
            }
            at = block
                .height()
                .0
                .checked_sub(deployment.period)
                .and_then(|height| block.ancestor(Height(height)));
            unknown.push(block);
        };
        for block in unknown.into_iter().rev() {
            state = next_state(state, deployment, &block);
            states.insert((deployment.bit, block.id()), state);
        }
        state
    }

    /// The vote as seen from a block (Bitcoin Core `VersionBitsCache::Info`).
    pub fn signalling(&self, deployment: &Deployment, block: &Headers<Utxo>) -> Signalling {
        let state = block
            .parent()
            .map_or_else(|| genesis_state(deployment), |parent| self.state(deployment, &parent));
        let next = self.state(deployment, block);
        let counted = matches!(state, DeploymentState::Started | DeploymentState::LockedIn);
        let statistics = counted.then(|| statistics(deployment, block)).map(|statistics| Statistics {
            possible: statistics.possible && state == DeploymentState::Started,
            ..statistics
        });
        Signalling { state, next, since: self.since(deployment, block, state), statistics }
    }

    /// The first height of the period from which on `state` holds, seen from `block`.
    fn since(&self, deployment: &Deployment, block: &Headers<Utxo>, state: DeploymentState) -> u32 {
        if matches!(deployment.clock, Clock::Always | Clock::Never) || state == DeploymentState::Defined {
            return 0;
        }
        let before = |block: Headers<Utxo>| {
            block.height().0.checked_sub(deployment.period).and_then(|height| block.ancestor(Height(height)))
        };
        let Some(mut first) = block.parent().and_then(|parent| period_end(&parent, deployment.period)) else {
            return 0;
        };
        while let Some(earlier) = before(first.clone()) {
            if self.state(deployment, &earlier) != state {
                break;
            }
            first = earlier;
        }
        first.height().0 + 1
    }

    /// The version a block on `parent` should carry (Bitcoin Core `ComputeBlockVersion`).
    pub fn block_version(&self, deployments: &[Deployment], parent: &Headers<Utxo>) -> i32 {
        let voting = |deployment: &&Deployment| {
            matches!(self.state(deployment, parent), DeploymentState::Started | DeploymentState::LockedIn)
        };
        deployments.iter().filter(voting).fold(TOP_BITS, |version, deployment| version | deployment.mask())
    }
}

const fn genesis_state(deployment: &Deployment) -> DeploymentState {
    match deployment.clock {
        Clock::Always => DeploymentState::Active,
        Clock::Never => DeploymentState::Failed,
        Clock::Time { .. } | Clock::Height { .. } => DeploymentState::Defined,
    }
}

/// The last block of the last complete period up to `block`; nothing within the first period.
fn period_end(block: &Headers<Utxo>, period: u32) -> Option<Headers<Utxo>> {
    let height = block.height().0;
    let into_period = (height + 1) % period.max(1);
    block.ancestor(Height(height.checked_sub(into_period)?))
}

fn has_started(deployment: &Deployment, block: &Headers<Utxo>) -> bool {
    match deployment.clock {
        Clock::Time { start, .. } => block.median_time() >= Timestamp(start),
        Clock::Height { start, .. } => block.height().0 + 1 >= start,
        Clock::Always | Clock::Never => true,
    }
}

fn has_ended(deployment: &Deployment, block: &Headers<Utxo>) -> bool {
    match deployment.clock {
        Clock::Time { timeout, .. } => block.median_time() >= Timestamp(timeout),
        Clock::Height { timeout, .. } => block.height().0 + 1 >= timeout,
        Clock::Always | Clock::Never => false,
    }
}

/// The state of the period after the one that `end` closes.
fn next_state(state: DeploymentState, deployment: &Deployment, end: &Headers<Utxo>) -> DeploymentState {
    match state {
        DeploymentState::Defined if has_started(deployment, end) => DeploymentState::Started,
        DeploymentState::Started if votes(deployment, end) >= deployment.threshold => {
            DeploymentState::LockedIn
        }
        DeploymentState::Started if has_ended(deployment, end) => DeploymentState::Failed,
        DeploymentState::LockedIn if end.height().0 + 1 >= deployment.activation_height_min => {
            DeploymentState::Active
        }
        unchanged => unchanged,
    }
}

fn votes(deployment: &Deployment, end: &Headers<Utxo>) -> u32 {
    let signals = |block: &Headers<Utxo>| deployment.is_signalled_by(version(block.header()));
    end.down().take(deployment.period as usize).filter(signals).count() as u32
}

const fn version(header: &BlockHeader) -> i32 {
    header.version
}

fn statistics(deployment: &Deployment, block: &Headers<Utxo>) -> Statistics {
    let elapsed = 1 + block.height().0 % deployment.period.max(1);
    let mut blocks: Vec<bool> = block
        .down()
        .take(elapsed as usize)
        .map(|block| deployment.is_signalled_by(version(block.header())))
        .collect();
    blocks.reverse();
    let count = blocks.iter().filter(|signalled| **signalled).count() as u32;
    let missing = elapsed - count;
    Statistics { elapsed, count, possible: deployment.period - deployment.threshold >= missing, blocks }
}
