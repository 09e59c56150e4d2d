//! Ethereum's forks and when a chain activates them.

use revm::primitives::hardfork::SpecId;

/// A set of rules, named after the fork that brought it; later forks are greater.
///
/// The DAO fork changes balances, not rules, and stands in [`super::ChainConfig::dao`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are Ethereum's own")]
pub enum Fork {
    Frontier,
    Homestead,
    TangerineWhistle,
    SpuriousDragon,
    Byzantium,
    Constantinople,
    Petersburg,
    Istanbul,
    MuirGlacier,
    Berlin,
    London,
    ArrowGlacier,
    GrayGlacier,
    Paris,
    Shanghai,
    Cancun,
    Prague,
    Osaka,
    Bpo1,
    Bpo2,
    Bpo3,
    Bpo4,
    Bpo5,
}

impl Fork {
    /// All forks in their order.
    pub const ALL: [Self; 23] = [
        Self::Frontier,
        Self::Homestead,
        Self::TangerineWhistle,
        Self::SpuriousDragon,
        Self::Byzantium,
        Self::Constantinople,
        Self::Petersburg,
        Self::Istanbul,
        Self::MuirGlacier,
        Self::Berlin,
        Self::London,
        Self::ArrowGlacier,
        Self::GrayGlacier,
        Self::Paris,
        Self::Shanghai,
        Self::Cancun,
        Self::Prague,
        Self::Osaka,
        Self::Bpo1,
        Self::Bpo2,
        Self::Bpo3,
        Self::Bpo4,
        Self::Bpo5,
    ];

    /// Its name in geth's spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frontier => "Frontier",
            Self::Homestead => "Homestead",
            Self::TangerineWhistle => "Tangerine Whistle",
            Self::SpuriousDragon => "Spurious Dragon",
            Self::Byzantium => "Byzantium",
            Self::Constantinople => "Constantinople",
            Self::Petersburg => "Petersburg",
            Self::Istanbul => "Istanbul",
            Self::MuirGlacier => "Muir Glacier",
            Self::Berlin => "Berlin",
            Self::London => "London",
            Self::ArrowGlacier => "Arrow Glacier",
            Self::GrayGlacier => "Gray Glacier",
            Self::Paris => "Paris",
            Self::Shanghai => "Shanghai",
            Self::Cancun => "Cancun",
            Self::Prague => "Prague",
            Self::Osaka => "Osaka",
            Self::Bpo1 => "BPO1",
            Self::Bpo2 => "BPO2",
            Self::Bpo3 => "BPO3",
            Self::Bpo4 => "BPO4",
            Self::Bpo5 => "BPO5",
        }
    }

    /// Whether a time activates it, rather than a block number (or, for Paris, total difficulty).
    pub fn is_timed(self) -> bool {
        self > Self::Paris
    }

    /// Whether a chain may leave it out and still have later ones: bombs may be delayed or not, blob counts changed or not.
    pub fn is_optional(self) -> bool {
        matches!(self, Self::MuirGlacier | Self::ArrowGlacier | Self::GrayGlacier | Self::Paris)
            || self >= Self::Bpo1
    }

    /// The machine's rules. Constantinople runs Petersburg's: the machine has no EIP-1283, which Petersburg took back.
    pub const fn spec_id(self) -> SpecId {
        match self {
            Self::Frontier => SpecId::FRONTIER,
            Self::Homestead => SpecId::HOMESTEAD,
            Self::TangerineWhistle => SpecId::TANGERINE,
            Self::SpuriousDragon => SpecId::SPURIOUS_DRAGON,
            Self::Byzantium => SpecId::BYZANTIUM,
            Self::Constantinople | Self::Petersburg => SpecId::PETERSBURG,
            Self::Istanbul | Self::MuirGlacier => SpecId::ISTANBUL,
            Self::Berlin => SpecId::BERLIN,
            Self::London | Self::ArrowGlacier | Self::GrayGlacier => SpecId::LONDON,
            Self::Paris => SpecId::MERGE,
            Self::Shanghai => SpecId::SHANGHAI,
            Self::Cancun => SpecId::CANCUN,
            Self::Prague => SpecId::PRAGUE,
            Self::Osaka | Self::Bpo1 | Self::Bpo2 | Self::Bpo3 | Self::Bpo4 | Self::Bpo5 => SpecId::OSAKA,
        }
    }
}

/// Why a schedule makes no sense; geth's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A fork is set although one before it is not.
    #[error("unsupported fork ordering: {earlier} not enabled, but {later} enabled at {at}")]
    Missing {
        /// The fork that is left out.
        earlier: &'static str,
        /// The fork that needs it.
        later: &'static str,
        /// Block number or time.
        at: u64,
    },
    /// A fork comes before one that it builds on.
    #[error("unsupported fork ordering: {earlier} enabled at {earlier_at}, but {later} enabled at {at}")]
    Order {
        /// The fork that should come first.
        earlier: &'static str,
        /// When it comes.
        earlier_at: u64,
        /// The fork that should come later.
        later: &'static str,
        /// When it comes.
        at: u64,
    },
}

/// When a chain activates which fork: by block number up to Gray Glacier, by time in seconds from Shanghai.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkSchedule([Option<u64>; Fork::ALL.len()]);

impl Default for ForkSchedule {
    /// Frontier alone.
    fn default() -> Self {
        let mut activations = [None; Fork::ALL.len()];
        activations[Fork::Frontier as usize] = Some(0);
        Self(activations)
    }
}

impl ForkSchedule {
    /// Every fork up to `last` from the first block on. Paris and what follows need a terminal total difficulty, too.
    pub fn up_to(last: Fork) -> Self {
        let mut schedule = Self::default();
        for fork in Fork::ALL.into_iter().filter(|fork| *fork <= last && *fork != Fork::Paris) {
            schedule.set(fork, Some(0));
        }
        schedule
    }

    /// Sets or removes an activation; Paris has none of its own.
    pub fn set(&mut self, fork: Fork, at: Option<u64>) {
        self.0[fork as usize] = at;
    }

    /// The block number, or the time in seconds, that activates a fork.
    pub fn get(&self, fork: Fork) -> Option<u64> {
        self.0[fork as usize]
    }

    /// The rules of a block: by number alone before the merge; by time, too, after it.
    pub fn at(&self, number: u64, time: u64, merged: bool) -> Fork {
        let active = |fork: &Fork| match *fork {
            Fork::Paris => merged,
            fork if fork.is_timed() => merged && self.get(fork).is_some_and(|at| at <= time),
            fork => self.get(fork).is_some_and(|at| at <= number),
        };
        Fork::ALL.into_iter().rev().find(active).unwrap_or(Fork::Frontier)
    }

    /// Whether forks follow each other in their order and none is left out that a later one builds on.
    ///
    /// # Errors
    /// The first pair that does not fit.
    pub fn check(&self) -> Result<(), ScheduleError> {
        let mut previous = (Fork::Frontier, 0);
        let mut missing = None;
        for fork in Fork::ALL {
            if fork.is_timed() && !previous.0.is_timed() {
                previous = (Fork::Paris, 0);
            }
            let Some(at) = self.get(fork) else {
                if !fork.is_optional() {
                    missing.get_or_insert(fork);
                }
                continue;
            };
            if let Some(earlier) = missing {
                return Err(ScheduleError::Missing { earlier: earlier.name(), later: fork.name(), at });
            }
            if at < previous.1 {
                let (earlier, earlier_at) = (previous.0.name(), previous.1);
                return Err(ScheduleError::Order { earlier, earlier_at, later: fork.name(), at });
            }
            previous = (fork, at);
        }
        Ok(())
    }
}
