//! The `[pow]` section.

use chainwright_chain::{BlockId, CompactTarget, U256, Weight};
use chainwright_pow::{Anchor, Asert, Pow, Retarget, TargetRule, WorkHash};
use serde::Deserialize;

use super::hex::Hex;
use crate::error::{CliError, CliResult};

/// Proof of work as a file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PowSection {
    #[serde(default)]
    hash: HashName,
    /// Hexadecimal, most significant digit first.
    #[serde(default = "zero")]
    minimum_work: String,
    /// A block as people write it: the hash's bytes reversed.
    assumed_valid: Option<Hex<32>>,
    future_limit_seconds: Option<u64>,
    target: TargetSection,
}

fn zero() -> String {
    "0".to_owned()
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HashName {
    #[default]
    Sha256d,
    /// For headers of Ethereum's form.
    Keccak256,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RuleName {
    Bitcoin,
    Asert,
}

/// Which target comes next.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetSection {
    rule: RuleName,
    limit: Hex<32>,
    spacing_seconds: u32,
    /// Bitcoin's rule only.
    timespan_seconds: Option<u32>,
    #[serde(default)]
    allow_min_difficulty: bool,
    #[serde(default)]
    no_retarget: bool,
    #[serde(default)]
    bip94: bool,
    /// ASERT only.
    half_life_seconds: Option<u32>,
}

/// What ASERT's schedule starts from: the chain's first block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstBlock {
    pub(crate) time: u64,
    pub(crate) target: CompactTarget,
}

impl PowSection {
    /// The engine.
    ///
    /// # Errors
    /// When a value is out of range or belongs to the other rule.
    pub(crate) fn engine(&self, first: FirstBlock) -> CliResult<Pow> {
        let mut pow = Pow::new(self.target.rule(first)?);
        pow.hash = match self.hash {
            HashName::Sha256d => WorkHash::Sha256d,
            HashName::Keccak256 => WorkHash::Keccak256,
        };
        pow.minimum_weight = parse_work(&self.minimum_work)?;
        pow.assumed_valid = self.assumed_valid.map(|id| block_id(id.0));
        if let Some(seconds) = self.future_limit_seconds {
            pow.future_limit_seconds = seconds;
        }
        Ok(pow)
    }
}

/// Work as a hexadecimal number, with or without `0x`.
///
/// # Errors
/// When it is none.
pub(crate) fn parse_work(text: &str) -> CliResult<Weight> {
    let digits = text.trim_start_matches("0x");
    let number = U256::from_str_radix(digits, 16).ok().filter(|_| !digits.is_empty() && digits.len() <= 64);
    number.map(Weight).ok_or_else(|| {
        CliError::usage(format!("`{text}` is no amount of work: up to 64 hexadecimal digits are expected"))
    })
}

/// A block id from the bytes people write, which are reversed.
pub(crate) fn block_id(mut written: [u8; 32]) -> BlockId {
    written.reverse();
    BlockId(written)
}

impl TargetSection {
    fn rule(&self, first: FirstBlock) -> CliResult<TargetRule> {
        let misplaced = |key: &str, rule| {
            Err(CliError::usage(format!("pow.target.{key} does not belong to rule \"{rule}\"")))
        };
        let missing = |key: &str| {
            CliError::usage(format!("pow.target.{key} is missing"))
                .hint("`chainwright spec print names-pow` shows a complete chain file")
        };
        let above_zero = |key: &str, value: u32| match value {
            0 => Err(CliError::usage(format!("pow.target.{key} must be above 0"))),
            value => Ok(value),
        };
        let limit = U256::from_be_bytes(self.limit.0);
        let spacing_seconds = above_zero("spacing_seconds", self.spacing_seconds)?;
        match self.rule {
            RuleName::Bitcoin if self.half_life_seconds.is_some() => {
                misplaced("half_life_seconds", "bitcoin")
            }
            RuleName::Bitcoin => {
                let timespan = self.timespan_seconds.ok_or_else(|| missing("timespan_seconds"))?;
                Ok(TargetRule::Bitcoin(Retarget {
                    limit,
                    spacing_seconds,
                    timespan_seconds: above_zero("timespan_seconds", timespan)?,
                    allow_min_difficulty: self.allow_min_difficulty,
                    no_retarget: self.no_retarget,
                    bip94: self.bip94,
                }))
            }
            RuleName::Asert if self.timespan_seconds.is_some() => misplaced("timespan_seconds", "asert"),
            RuleName::Asert => {
                let half_life = self.half_life_seconds.ok_or_else(|| missing("half_life_seconds"))?;
                let parent_time = first.time.saturating_sub(u64::from(spacing_seconds));
                Ok(TargetRule::Asert(Asert {
                    anchor: Anchor { height: 0, parent_time, target: first.target },
                    limit,
                    spacing_seconds,
                    half_life_seconds: above_zero("half_life_seconds", half_life)?,
                }))
            }
        }
    }
}
