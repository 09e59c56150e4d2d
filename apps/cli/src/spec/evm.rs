//! The `[evm]` section: a genesis file of geth or Besu, or the few values a chain of one's own needs.

use std::collections::BTreeMap;
use std::path::Path;

use chainwright_evm::config::{
    BaseFeeRule, ChainConfig, Fork, Genesis, GenesisAccount, Limits, SealRule, TimeRule,
};
use chainwright_evm::pool::PoolPolicy;
use serde::Deserialize;

use super::hex::Hex;
use crate::error::{CliError, CliResult, Context as _};

/// Ethereum's ledger as a file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvmSection {
    /// A genesis file of geth or Besu, beside the chain file; the first five keys and the accounts come from it then.
    genesis: Option<String>,
    /// EIP-155.
    chain_id: Option<u64>,
    /// Every fork up to this one is active from the first block on.
    fork: Option<String>,
    /// Gas of the first block, and what builders keep to.
    gas_limit: Option<u64>,
    /// Time of the first block, in seconds since 1970.
    genesis_time: Option<u64>,
    /// Difficulty of the first block, where blocks carry work.
    genesis_difficulty: Option<u64>,
    /// Whether a block may be as old as its parent.
    #[serde(default)]
    time: TimeName,
    /// Largest contract code in bytes [default: EIP-170's].
    code_size_max: Option<usize>,
    /// A chain for developers of contracts: accounts may be impersonated, state and time changed by hand, blocks undone. Takes
    /// one key that seals, and `[dev]`.
    #[serde(default)]
    development: bool,
    /// Most gas of one transaction [default: EIP-7825's since Osaka].
    transaction_gas_max: Option<u64>,
    #[serde(default)]
    fees: FeesSection,
    #[serde(default)]
    pool: PoolSection,
    /// Balances of the first block, in wei, by address.
    #[serde(default)]
    accounts: BTreeMap<String, String>,
    /// Code of the first block, hexadecimal, by address. Contracts that the rules need are there by themselves.
    #[serde(default)]
    contracts: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TimeName {
    /// By a second at least: Ethereum's.
    #[default]
    Later,
    /// For chains with several blocks a second.
    NotEarlier,
}

/// What gas costs at least, in wei; Ethereum's rule unless said otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeesSection {
    /// The base fee never changes.
    fixed: Option<u64>,
    /// The first base fee.
    initial: Option<u64>,
    /// It never falls below this.
    minimum: Option<u64>,
    /// Who is paid the base fee; without one it is burnt.
    collector: Option<Hex<20>>,
}

/// What a node's pool takes; geth's values unless said otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolSection {
    /// Any tip, and room for whatever one machine sends.
    #[serde(default)]
    development: bool,
    tip_min: Option<u64>,
    account_slots: Option<usize>,
    global_slots: Option<usize>,
    account_queue: Option<usize>,
    global_queue: Option<usize>,
    bytes_max: Option<usize>,
    lifetime_seconds: Option<u64>,
}

impl EvmSection {
    /// The beginning of the chain. `folder` is where the chain file lies; `has_work` whether blocks carry work of an engine.
    ///
    /// # Errors
    /// When a value makes no sense, or the genesis file cannot be read.
    pub(crate) fn genesis(&self, folder: Option<&Path>, has_work: bool) -> CliResult<Genesis> {
        let mut genesis = match &self.genesis {
            Some(name) => self.read_genesis(name, folder)?,
            None => self.genesis_of_values(has_work)?,
        };
        let config = &mut genesis.config;
        if has_work {
            config.seal = SealRule::Engine;
        }
        config.time = match self.time {
            TimeName::Later => TimeRule::Later,
            TimeName::NotEarlier => TimeRule::NotEarlier,
        };
        if let Some(rule) = self.fees.rule()? {
            config.fees.base_fee = rule;
        }
        config.fees.collector = self.fees.collector.map(|address| address.0.into());
        config.limits = Limits {
            code_size_max: self.code_size_max.or(config.limits.code_size_max),
            transaction_gas_max: self.transaction_gas_max.or(config.limits.transaction_gas_max),
            ..config.limits
        };
        config.check().map_err(|what| CliError::usage(format!("evm: {what}")))?;
        if self.genesis.is_none() {
            genesis.header.base_fee_per_gas = None;
        }
        genesis.complete_header();
        Ok(genesis)
    }

    /// Refuses what only a chain that one key seals may be.
    ///
    /// # Errors
    /// When the file says that the chain is for developers.
    pub(crate) fn refuse_development(&self) -> CliResult<()> {
        if !self.development {
            return Ok(());
        }
        Err(CliError::usage("evm.development: only blocks that one key seals can be undone by hand")
            .hint("development chains have `consensus = \"solo\"`"))
    }

    /// The same beginning of a chain that one key seals, for developers if the file says so.
    ///
    /// # Errors
    /// When it says so without a `[dev]` section.
    pub(crate) fn for_developers(&self, mut genesis: Genesis, has_dev: bool) -> CliResult<Genesis> {
        if self.development && !has_dev {
            return Err(CliError::usage(
                "evm.development: a chain that others rely on cannot be changed by hand",
            )
            .hint("remove the key, or add a [dev] section if the chain is for one machine"));
        }
        genesis.config.development = self.development;
        Ok(genesis)
    }

    /// The rules of a genesis file, as [`super::ChainFile::rules`] has those of the chain file itself.
    pub(crate) fn genesis_rules(&self, config: &ChainConfig) -> String {
        if self.genesis.is_some() { config.rules() } else { String::new() }
    }

    fn read_genesis(&self, name: &str, folder: Option<&Path>) -> CliResult<Genesis> {
        let own = [
            ("chain_id", self.chain_id.is_some()),
            ("fork", self.fork.is_some()),
            ("gas_limit", self.gas_limit.is_some()),
            ("genesis_time", self.genesis_time.is_some()),
            ("genesis_difficulty", self.genesis_difficulty.is_some()),
            ("accounts", !self.accounts.is_empty()),
            ("contracts", !self.contracts.is_empty()),
        ];
        if let Some((key, _)) = own.iter().find(|(_, is_there)| *is_there) {
            return Err(CliError::usage(format!("evm.{key} does not go with evm.genesis"))
                .hint("the genesis file says it already: remove the key"));
        }
        let path = folder.unwrap_or(Path::new("")).join(name);
        let text = std::fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
        Genesis::from_json(&text).map_err(|error| {
            CliError::usage(format!("{}: {error}", path.display()))
                .hint("a key that could decide which blocks are valid is never ignored")
        })
    }

    fn genesis_of_values(&self, has_work: bool) -> CliResult<Genesis> {
        let missing = |key: &str| {
            CliError::usage(format!("evm.{key} is missing"))
                .hint("`chainwright spec print ethereum-dev` shows a complete chain file")
        };
        let chain_id = self.chain_id.ok_or_else(|| missing("chain_id"))?;
        let fork = fork(self.fork.as_deref().ok_or_else(|| missing("fork"))?)?;
        let mut config = ChainConfig::up_to(chain_id, fork);
        config.deposit_contract = None;
        let mut genesis = Genesis::empty(config);
        genesis.header.gas_limit = self.gas_limit.ok_or_else(|| missing("gas_limit"))?;
        genesis.header.timestamp = self.genesis_time.unwrap_or_default();
        if has_work {
            let difficulty = self.genesis_difficulty.ok_or_else(|| missing("genesis_difficulty"))?;
            genesis.header.difficulty = chainwright_chain::U256::from(difficulty.max(1));
        } else if self.genesis_difficulty.is_some() {
            return Err(CliError::usage("evm.genesis_difficulty: blocks of this chain carry no work"));
        }
        for (written, balance) in &self.accounts {
            let address = address("accounts", written)?;
            let balance = chainwright_chain::U256::from_str_radix(&balance.replace('_', ""), 10)
                .map_err(|_| CliError::usage(format!("evm.accounts: `{balance}` is no number of wei")))?;
            genesis.accounts.insert(address.into(), GenesisAccount { balance, ..GenesisAccount::default() });
        }
        for (written, code) in &self.contracts {
            let address = address("contracts", written)?;
            let code = super::decode_hex(code.trim_start_matches("0x")).ok_or_else(|| {
                CliError::usage(format!("evm.contracts: the code of {written} is not hexadecimal"))
            })?;
            let contract = genesis.accounts.entry(address.into()).or_default();
            (contract.nonce, contract.code) = (1, code.into());
        }
        genesis.add_system_contracts();
        Ok(genesis)
    }

    /// What nodes of this chain take into their pools.
    pub(crate) fn pool_policy(&self) -> PoolPolicy {
        let pool = &self.pool;
        let base = if pool.development { PoolPolicy::development() } else { PoolPolicy::default() };
        PoolPolicy {
            tip_min: pool.tip_min.map_or(base.tip_min, u128::from),
            account_slots: pool.account_slots.unwrap_or(base.account_slots),
            global_slots: pool.global_slots.unwrap_or(base.global_slots),
            account_queue: pool.account_queue.unwrap_or(base.account_queue),
            global_queue: pool.global_queue.unwrap_or(base.global_queue),
            bytes_max: pool.bytes_max.unwrap_or(base.bytes_max),
            lifetime_seconds: pool.lifetime_seconds.unwrap_or(base.lifetime_seconds),
            ..base
        }
    }
}

fn address(section: &str, written: &str) -> CliResult<[u8; 20]> {
    let bytes = super::decode_hex(written.trim_start_matches("0x"));
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        CliError::usage(format!("evm.{section}: `{written}` is no address"))
            .hint("40 hexadecimal digits are expected, with or without 0x")
    })
}

fn fork(name: &str) -> CliResult<Fork> {
    let plain = |text: &str| text.to_lowercase().replace([' ', '-', '_'], "");
    Fork::ALL.into_iter().find(|fork| plain(fork.name()) == plain(name)).ok_or_else(|| {
        let names: Vec<_> = Fork::ALL.iter().map(|fork| plain(fork.name())).collect();
        CliError::usage(format!("evm.fork: `{name}` is no fork"))
            .hint(format!("forks are {}", names.join(", ")))
    })
}

impl FeesSection {
    /// `None`: as the genesis file says, or Ethereum's.
    fn rule(&self) -> CliResult<Option<BaseFeeRule>> {
        match (self.fixed, self.initial, self.minimum) {
            (None, None, None) => Ok(None),
            (Some(fee), None, None) => Ok(Some(BaseFeeRule::Fixed(fee))),
            (Some(_), ..) => {
                Err(CliError::usage("evm.fees: a fixed base fee has no `initial` and no `minimum`"))
            }
            (None, initial, minimum) => {
                let BaseFeeRule::Market { initial: first, minimum: least, elasticity, change_denominator } =
                    BaseFeeRule::ETHEREUM
                else {
                    return Ok(None);
                };
                let (initial, minimum) = (initial.unwrap_or(first), minimum.unwrap_or(least));
                Ok(Some(BaseFeeRule::Market { initial, minimum, elasticity, change_denominator }))
            }
        }
    }
}
