//! The `[utxo]` section.

use chainwright_chain::CompactTarget;
use chainwright_utxo::amount::Amount;
use chainwright_utxo::hash::BlockHash;
use chainwright_utxo::params::{
    AddressPrefixes, BuriedHeights, Clock, Deployment, DuplicateCoinbase, Genesis, Parameters,
    PeerParameters, ScriptFlagException,
};
use chainwright_utxo::script::Flags;
use serde::Deserialize;

use super::ChainFile;
use super::hex::{Hex, HexBytes};
use super::pow::FirstBlock;
use crate::error::{CliError, CliResult};

/// Bitcoin's ledger as a file describes it. Amounts are in satoshi, times in seconds since 1970.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UtxoSection {
    pub(crate) rpc_name: String,
    subsidy: i64,
    subsidy_halving_interval: u32,
    money_max: i64,
    pub(crate) coinbase_maturity: u32,
    signet_challenge: Option<HexBytes>,
    genesis: GenesisSection,
    buried: BuriedSection,
    addresses: AddressSection,
    #[serde(default)]
    duplicate_coinbases: Vec<DuplicateSection>,
    #[serde(default)]
    script_flag_exceptions: Vec<ExceptionSection>,
    #[serde(default)]
    deployments: Vec<DeploymentSection>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisSection {
    message: String,
    script_pubkey: HexBytes,
    reward: i64,
    version: i32,
    time: u32,
    bits: Hex<4>,
    nonce: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuriedSection {
    bip34: u32,
    bip65: u32,
    bip66: u32,
    csv: u32,
    segwit: u32,
    bip34_block: Option<Hex<32>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressSection {
    pubkey_hash: u8,
    script_hash: u8,
    secret_key: u8,
    extended_public_key: Hex<4>,
    extended_secret_key: Hex<4>,
    bech32: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DuplicateSection {
    height: u32,
    block: Hex<32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExceptionSection {
    block: Hex<32>,
    flags: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentSection {
    name: String,
    bit: u8,
    clock: ClockSection,
    #[serde(default)]
    activation_height_min: u32,
    period: u32,
    threshold: u32,
    #[serde(default)]
    is_optional: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected \"always\", \"never\", { start = SECONDS } or { start_height = N }")]
enum ClockSection {
    Word(ClockWord),
    Time(TimeSection),
    Height(HeightSection),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClockWord {
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeSection {
    start: u64,
    timeout: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeightSection {
    start_height: u32,
    timeout_height: u32,
}

impl UtxoSection {
    /// What ASERT's schedule starts from.
    pub(crate) fn first_block(&self) -> FirstBlock {
        let target = CompactTarget(u32::from_be_bytes(self.genesis.bits.0));
        FirstBlock { time: u64::from(self.genesis.time), target }
    }

    /// The ledger's parameters.
    ///
    /// # Errors
    /// When a value is out of range.
    pub(crate) fn parameters(&self, file: &ChainFile) -> CliResult<Parameters> {
        let exceptions = self.script_flag_exceptions.iter().map(ExceptionSection::value);
        Ok(Parameters {
            name: file.name.clone(),
            rpc_name: self.rpc_name.clone(),
            is_test: file.is_test,
            genesis: self.genesis.value()?,
            subsidy: money("subsidy", self.subsidy)?,
            subsidy_halving_interval: self.subsidy_halving_interval,
            money_max: money("money_max", self.money_max)?,
            coinbase_maturity: self.coinbase_maturity,
            buried: self.buried.value(),
            bip34_block: self.buried.bip34_block.map(block_hash).unwrap_or_default(),
            duplicate_coinbases: self.duplicate_coinbases.iter().map(DuplicateSection::value).collect(),
            script_flag_exceptions: exceptions.collect::<CliResult<_>>()?,
            deployments: self.deployments.iter().map(DeploymentSection::value).collect::<CliResult<_>>()?,
            signet_challenge: self.signet_challenge.as_ref().map(|challenge| challenge.0.clone()),
            addresses: self.addresses.value(),
            peers: PeerParameters {
                magic: file.network.magic.0,
                port: file.network.port,
                rpc_port: file.network.rpc_port,
                seeds: file.network.seeds.clone(),
            },
        })
    }
}

/// A block's hash from what people write, which is reversed.
fn block_hash(written: Hex<32>) -> BlockHash {
    let mut bytes = written.0;
    bytes.reverse();
    BlockHash(bytes)
}

fn money(key: &str, satoshi: i64) -> CliResult<Amount> {
    if satoshi < 0 {
        return Err(CliError::usage(format!("utxo.{key} is below 0")));
    }
    Ok(Amount(satoshi))
}

impl GenesisSection {
    fn value(&self) -> CliResult<Genesis> {
        Ok(Genesis {
            message: self.message.clone(),
            script_pubkey: self.script_pubkey.0.clone(),
            reward: money("genesis.reward", self.reward)?,
            version: self.version,
            time: self.time,
            bits: u32::from_be_bytes(self.bits.0),
            nonce: self.nonce,
        })
    }
}

impl BuriedSection {
    const fn value(&self) -> BuriedHeights {
        BuriedHeights {
            bip34: self.bip34,
            bip65: self.bip65,
            bip66: self.bip66,
            csv: self.csv,
            segwit: self.segwit,
        }
    }
}

impl AddressSection {
    fn value(&self) -> AddressPrefixes {
        AddressPrefixes {
            pubkey_hash: self.pubkey_hash,
            script_hash: self.script_hash,
            script_hash_also: None,
            secret_key: self.secret_key,
            extended_public_key: self.extended_public_key.0,
            extended_secret_key: self.extended_secret_key.0,
            bech32: self.bech32.clone(),
        }
    }
}

impl DuplicateSection {
    fn value(&self) -> DuplicateCoinbase {
        DuplicateCoinbase { height: self.height, block: block_hash(self.block) }
    }
}

impl ExceptionSection {
    fn value(&self) -> CliResult<ScriptFlagException> {
        let flag = |name: &String| {
            let known = Flags::NAMED.iter().find(|(known, _)| known == name);
            known.map(|(_, flag)| flag.0).ok_or_else(|| {
                let names: Vec<_> = Flags::NAMED.iter().map(|(name, _)| *name).collect();
                CliError::usage(format!("utxo.script_flag_exceptions: there is no script flag `{name}`"))
                    .hint(format!("script flags are {}", names.join(", ")))
            })
        };
        let bits = self.flags.iter().map(flag).try_fold(0, |bits, flag| Ok::<_, CliError>(bits | flag?))?;
        Ok(ScriptFlagException { block: block_hash(self.block), flags: Flags(bits) })
    }
}

impl DeploymentSection {
    fn value(&self) -> CliResult<Deployment> {
        let wrong =
            |what: &str| Err(CliError::usage(format!("utxo.deployments: {} of `{}`", what, self.name)));
        if self.bit > 28 {
            return wrong("bit is not between 0 and 28");
        }
        if self.period == 0 || self.threshold > self.period {
            return wrong("threshold does not fit into the period");
        }
        Ok(Deployment {
            name: self.name.clone(),
            bit: self.bit,
            clock: self.clock.value(),
            activation_height_min: self.activation_height_min,
            period: self.period,
            threshold: self.threshold,
            is_optional: self.is_optional,
        })
    }
}

impl ClockSection {
    fn value(&self) -> Clock {
        match *self {
            Self::Word(ClockWord::Always) => Clock::Always,
            Self::Word(ClockWord::Never) => Clock::Never,
            Self::Time(TimeSection { start, timeout }) => {
                Clock::Time { start, timeout: timeout.unwrap_or(Clock::NO_TIMEOUT) }
            }
            Self::Height(HeightSection { start_height, timeout_height }) => {
                Clock::Height { start: start_height, timeout: timeout_height }
            }
        }
    }
}
