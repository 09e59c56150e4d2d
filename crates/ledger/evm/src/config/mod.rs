//! What makes one Ethereum chain differ from another.
//!
//! ```text
//! genesis JSON (geth's, Besu's) ──► Genesis { ChainConfig, header, accounts }
//! chain file  ──────────────────► fees, limits, time rule, seal rule on top of it
//! ```
//!
//! Invariant: whatever decides about validity stands in [`ChainConfig`]; a key of a genesis file that would and is not known
//! is refused by its name.

mod blobs;
mod fees;
mod fork;
mod fork_id;
mod genesis;
mod json;
mod parse;
mod system;
#[cfg(test)]
mod tests;

use alloy_consensus::Header;
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, U256, address};

pub use blobs::{BlobCounts, BlobSchedule};
pub use fees::{BaseFeeRule, FeePolicy};
pub use fork::{Fork, ForkSchedule, ScheduleError};
pub use fork_id::fork_hash;
pub use genesis::{Genesis, GenesisAccount};
pub use json::GenesisError;

/// Mainnet's deposit contract (EIP-6110).
pub const DEPOSIT_CONTRACT: Address = address!("0x00000000219ab540356cBB839Cbe05303d7705Fa");

/// Which headers carry which difficulty, nonce and mixed hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SealRule {
    /// Ethereum's: the Ethash difficulty formula up to the terminal total difficulty, zeros after it (EIP-3675).
    #[default]
    Ethereum,
    /// The rules of the merge from the first block on, but difficulty and nonce belong to a consensus engine with work.
    Engine,
}

/// Whether a block may be as old as its parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeRule {
    /// Ethereum's: later by a second at least.
    #[default]
    Later,
    /// Not earlier: for chains with several blocks a second.
    NotEarlier,
}

/// Who speaks for the beacon chain: payments it orders (EIP-4895), roots of its blocks (EIP-4788).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BeaconRule {
    /// Whoever hands blocks in, as on Ethereum.
    #[default]
    Caller,
    /// Nobody: there are no withdrawals, and every root is zero. Otherwise whoever makes a block would mint what they like.
    Nobody,
}

/// The DAO fork: extra data of ten blocks and, if supported, moved balances (EIP-779).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaoFork {
    /// The first block after it.
    pub block: u64,
    /// Whether balances move.
    pub support: bool,
}

/// Sizes and amounts a chain may set otherwise than Ethereum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Largest contract code in bytes; EIP-170's 24,576 unless set. Init code may be twice as long (EIP-3860).
    pub code_size_max: Option<usize>,
    /// Most gas one transaction may ask for; EIP-7825's 2^24 since Osaka unless set.
    pub transaction_gas_max: Option<u64>,
    /// The block gas limit builders move towards, by 1/1024 a block; they keep the parent's unless set.
    pub gas_limit_target: Option<u64>,
}

/// The rules of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainConfig {
    /// EIP-155.
    pub chain_id: u64,
    /// When forks become active.
    pub forks: ForkSchedule,
    /// The DAO fork, where a chain had one.
    pub dao: Option<DaoFork>,
    /// Only a part of the fork id.
    pub merge_netsplit: Option<u64>,
    /// The total difficulty after which blocks carry no work (EIP-3675); `None`: they always do.
    pub terminal_total_difficulty: Option<U256>,
    /// Besu's development chains: every block before the merge has this difficulty.
    pub fixed_difficulty: Option<U256>,
    /// Who owns difficulty, nonce and mixed hash.
    pub seal: SealRule,
    /// How times follow each other.
    pub time: TimeRule,
    /// Who orders withdrawals; nobody does where an engine with work owns the difficulty.
    pub beacon: BeaconRule,
    /// Blob counts.
    pub blobs: BlobSchedule,
    /// Whose logs are deposits (EIP-6110); nobody's if `None`.
    pub deposit_contract: Option<Address>,
    /// The base fee.
    pub fees: FeePolicy,
    /// Sizes and amounts.
    pub limits: Limits,
    /// A chain for developers of contracts: nobody's signature stands for whoever is impersonated, contracts may send, gas
    /// limit and base fee are what whoever makes a block wants, and the state may be changed by hand.
    pub development: bool,
}

impl ChainConfig {
    /// Ethereum's rules with every fork up to `last` from the first block on.
    pub fn up_to(chain_id: u64, last: Fork) -> Self {
        Self {
            chain_id,
            forks: ForkSchedule::up_to(last),
            dao: None,
            merge_netsplit: None,
            terminal_total_difficulty: (last >= Fork::Paris).then_some(U256::ZERO),
            fixed_difficulty: None,
            seal: SealRule::Ethereum,
            time: TimeRule::Later,
            beacon: BeaconRule::Caller,
            blobs: BlobSchedule::ethereum(),
            deposit_contract: Some(DEPOSIT_CONTRACT),
            fees: FeePolicy::default(),
            limits: Limits::default(),
            development: false,
        }
    }

    /// Whether the rules of the merge hold for a block: Ethash knows no difficulty below 131,072.
    pub fn is_merged(&self, header: &Header) -> bool {
        self.seal == SealRule::Engine
            || (self.terminal_total_difficulty.is_some() && header.difficulty.is_zero())
    }

    /// Whether blocks may carry words of a beacon chain.
    pub fn hears_beacon(&self) -> bool {
        self.seal != SealRule::Engine && self.beacon == BeaconRule::Caller
    }

    /// The rules of a block.
    pub fn fork(&self, header: &Header) -> Fork {
        self.forks.at(header.number, header.timestamp, self.is_merged(header))
    }

    /// How many blobs the rules of a fork allow; `None` before Cancun.
    pub fn blob_params(&self, fork: Fork) -> Option<BlobParams> {
        self.blobs.at(fork, &self.forks)
    }

    /// Everything here that decides which blocks are valid, a line each: two texts are equal if and only if the rules are.
    pub fn rules(&self) -> String {
        let mut lines = vec![format!("chain {}", self.chain_id)];
        let scheduled = Fork::ALL.into_iter().filter_map(|fork| Some((fork, self.forks.get(fork)?)));
        lines.extend(scheduled.map(|(fork, at)| format!("{} at {at}", fork.name())));
        for fork in blobs::BLOB_FORKS.into_iter().filter(|fork| self.forks.get(*fork).is_some()) {
            if let Some(BlobCounts { target, max, base_fee_update_fraction }) = self.blobs.get(fork) {
                lines.push(format!("{} blobs {target} {max} {base_fee_update_fraction}", fork.name()));
            }
        }
        if let Some(DaoFork { block, support }) = self.dao {
            lines.push(format!("dao {block} {support}"));
        }
        let numbers = [
            ("netsplit", self.merge_netsplit.map(U256::from)),
            ("total difficulty", self.terminal_total_difficulty),
            ("difficulty", self.fixed_difficulty),
            ("code size", self.limits.code_size_max.map(U256::from)),
            ("transaction gas", self.limits.transaction_gas_max.map(U256::from)),
        ];
        lines.extend(numbers.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?))));
        let addresses = [("deposits", self.deposit_contract), ("fees to", self.fees.collector)];
        lines.extend(addresses.iter().filter_map(|(name, who)| Some(format!("{name} {}", (*who)?))));
        lines.push(match self.fees.base_fee {
            BaseFeeRule::Fixed(fee) => format!("fee {fee}"),
            BaseFeeRule::Market { initial, minimum, elasticity, change_denominator } => {
                format!("fees from {initial} not below {minimum} by {elasticity} {change_denominator}")
            }
        });
        lines.push(match self.seal {
            SealRule::Ethereum => "seal ethereum".to_owned(),
            SealRule::Engine => "seal engine".to_owned(),
        });
        if self.development {
            lines.push("development".to_owned());
        }
        lines.push(match self.beacon {
            BeaconRule::Caller => "beacon caller".to_owned(),
            BeaconRule::Nobody => "beacon nobody".to_owned(),
        });
        lines.push(match self.time {
            TimeRule::Later => "time later".to_owned(),
            TimeRule::NotEarlier => "time not earlier".to_owned(),
        });
        lines.join("\n")
    }

    /// Whether the schedules make sense.
    ///
    /// # Errors
    /// What does not fit, in words for whoever wrote the chain file.
    pub fn check(&self) -> Result<(), String> {
        self.forks.check().map_err(|error| error.to_string())?;
        let merges_at_once =
            self.seal == SealRule::Engine || self.terminal_total_difficulty == Some(U256::ZERO);
        if merges_at_once && self.forks.get(Fork::London) != Some(0) {
            return Err("without work from the first block on, londonBlock must be 0".into());
        }
        for fork in blobs::BLOB_FORKS.into_iter().filter(|fork| self.forks.get(*fork).is_some()) {
            self.check_blobs(fork)?;
        }
        Ok(())
    }

    fn check_blobs(&self, fork: Fork) -> Result<(), String> {
        let name = fork.name().to_lowercase();
        let Some(counts) = self.blobs.get(fork) else {
            return Err(format!("blobSchedule: no entry for {name}, which is scheduled"));
        };
        if counts.base_fee_update_fraction == 0 || counts.max == 0 {
            return Err(format!("blobSchedule.{name}: max and baseFeeUpdateFraction must not be 0"));
        }
        if counts.target > counts.max {
            return Err(format!("blobSchedule.{name}: target {} is above max {}", counts.target, counts.max));
        }
        Ok(())
    }
}
