//! A chain is a file: consensus, ledger, first block, network and pace of a chain, read strictly.
//!
//! ```text
//!   preset name or path ─► TOML text ─► ChainFile (unknown keys refused, line and key named) ─► registry
//! ```
//!
//! Invariant: nothing about a chain is decided outside of its file; presets are files that are compiled in.

mod evm;
mod hex;
mod pow;
mod rules;
mod utxo;

use std::path::Path;

use serde::Deserialize;

use crate::error::{CliError, CliResult};

pub(crate) use evm::EvmSection;
pub(crate) use hex::{Hex, decode as decode_hex, encode as encode_hex};
pub(crate) use pow::{FirstBlock, PowSection, block_id, parse_work};
pub(crate) use utxo::UtxoSection;

/// Chains that are compiled in, with their text.
pub(crate) const PRESETS: &[(&str, &str)] = &[
    ("bitcoin-main", include_str!("../../../../chains/bitcoin-main.toml")),
    ("bitcoin-testnet4", include_str!("../../../../chains/bitcoin-testnet4.toml")),
    ("bitcoin-signet", include_str!("../../../../chains/bitcoin-signet.toml")),
    ("bitcoin-regtest", include_str!("../../../../chains/bitcoin-regtest.toml")),
    ("utxo-solo", include_str!("../../../../chains/utxo-solo.toml")),
    ("names-pow", include_str!("../../../../chains/names-pow.toml")),
    ("names-solo", include_str!("../../../../chains/names-solo.toml")),
    ("ethereum-dev", include_str!("../../../../chains/ethereum-dev.toml")),
    ("pow-evm", include_str!("../../../../chains/pow-evm.toml")),
];

/// The engines a file can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    /// Proof of work.
    Pow,
    /// One key seals.
    Solo,
    /// Seal and fork choice come from outside.
    External,
}

/// The ledgers a file can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LedgerKind {
    /// Bitcoin's.
    Utxo,
    /// A registry of names: the smallest one.
    Names,
    /// Ethereum's.
    Evm,
}

/// What a chain file holds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainFile {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) about: String,
    pub(crate) consensus: Engine,
    pub(crate) ledger: LedgerKind,
    #[serde(default)]
    pub(crate) is_test: bool,
    pub(crate) network: NetworkSection,
    /// Present in chains that are made for local networks.
    pub(crate) dev: Option<DevSection>,
    pub(crate) pow: Option<PowSection>,
    pub(crate) solo: Option<SoloSection>,
    pub(crate) utxo: Option<UtxoSection>,
    pub(crate) names: Option<NamesSection>,
    pub(crate) evm: Option<EvmSection>,
    /// Where the file lies, for files it names; presets name none.
    #[serde(skip)]
    pub(crate) folder: Option<std::path::PathBuf>,
    /// Everything in the file that decides which blocks are valid, in one order.
    #[serde(skip)]
    pub(crate) rules: String,
}

/// How nodes of the chain find and recognise each other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkSection {
    pub(crate) magic: Hex<4>,
    pub(crate) port: u16,
    pub(crate) rpc_port: u16,
    #[serde(default)]
    pub(crate) seeds: Vec<String>,
}

/// What `chainwright dev` does with the chain.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevSection {
    /// Zero under one sealer: a block as soon as a transaction waits.
    pub(crate) block_time_seconds: f64,
    /// How many nodes, unless told otherwise.
    pub(crate) nodes: Option<u8>,
}

/// One key seals; which one, the operator says, not the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SoloSection {
    /// The public key whose signature makes a block final (BIP-0340, 32 bytes); without one, `dev` makes a key.
    pub(crate) key: Option<Hex<32>>,
    /// How far a header's time may be ahead of the node's [default: two hours].
    pub(crate) future_limit_seconds: Option<u64>,
}

/// The registry of names has a time and a target for its first block, and nothing else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamesSection {
    /// Time of the first block, in seconds since 1970.
    pub(crate) genesis_time: u64,
    /// Target of the first block in compact form.
    pub(crate) genesis_bits: Hex<4>,
}

/// Reads a preset by its name, or a file.
///
/// # Errors
/// When there is neither, or the text makes no sense; the message names line and key.
pub(crate) fn load(name_or_path: &str) -> CliResult<ChainFile> {
    let (text, source) = read(name_or_path)?;
    let mut file = parse(&text, &source)?;
    file.folder = Path::new(&source).parent().map(Path::to_path_buf);
    Ok(file)
}

/// The text of a preset or a file, and what to call it in messages.
pub(crate) fn read(name_or_path: &str) -> CliResult<(String, String)> {
    if let Some((name, text)) = PRESETS.iter().find(|(name, _)| *name == name_or_path) {
        return Ok(((*text).to_owned(), format!("preset {name}")));
    }
    let names = || PRESETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let path = Path::new(name_or_path);
    if !path.is_file() {
        return Err(CliError::usage(format!(
            "there is no chain `{name_or_path}`: neither a preset nor a file"
        ))
        .hint(format!("presets are {}; `chainwright spec list` explains them", names())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = CliError::usage(format!("cannot read {name_or_path}: {error}"));
        match error.kind() {
            std::io::ErrorKind::InvalidData => message
                .hint("a chain file is text in UTF-8; `chainwright spec print bitcoin-regtest` shows one"),
            _ => message.hint("is the file yours to read?"),
        }
    })?;
    Ok((text, name_or_path.to_owned()))
}

/// Reads the text of a chain file; `source` names it in messages.
///
/// # Errors
/// When the text makes no sense; the message names line and key.
pub(crate) fn parse(text: &str, source: &str) -> CliResult<ChainFile> {
    let mut file: ChainFile = toml::from_str(text).map_err(|error| {
        // The error shows the line and marks the place.
        CliError::usage(format!("{source} is no chain file: {}", error.to_string().trim_end()))
            .hint("`chainwright spec print bitcoin-regtest` shows a complete one to start from")
    })?;
    file.check_sections(source)?;
    file.rules = rules::of(text);
    Ok(file)
}

impl ChainFile {
    /// Each plug-in that is named has its section, and no other has.
    fn check_sections(&self, source: &str) -> CliResult<()> {
        let sections = [
            ("pow", self.pow.is_some(), self.consensus == Engine::Pow),
            ("solo", self.solo.is_some(), self.consensus == Engine::Solo),
            ("utxo", self.utxo.is_some(), self.ledger == LedgerKind::Utxo),
            ("names", self.names.is_some(), self.ledger == LedgerKind::Names),
            ("evm", self.evm.is_some(), self.ledger == LedgerKind::Evm),
        ];
        for (section, is_there, is_wanted) in sections {
            if is_there && !is_wanted {
                return Err(CliError::usage(format!(
                    "{source}: section [{section}] belongs to a plug-in this chain does not use"
                ))
                .hint("remove the section, or change `consensus` or `ledger`"));
            }
            if is_wanted && !is_there {
                return Err(CliError::usage(format!("{source}: section [{section}] is missing"))
                    .hint("`chainwright spec print bitcoin-regtest` shows a complete file"));
            }
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || !self.name.chars().all(is_plain) {
            return Err(CliError::usage(format!("{source}: name `{}` cannot name a folder", self.name))
                .hint("use letters, digits, `-` and `_`"));
        }
        let is_at_once = |dev: DevSection| dev.block_time_seconds == 0.0 && self.consensus == Engine::Solo;
        let is_pace =
            |dev: DevSection| (0.01..=86_400.0).contains(&dev.block_time_seconds) || is_at_once(dev);
        if !self.dev.is_none_or(is_pace) {
            return Err(CliError::usage(format!(
                "{source}: dev.block_time_seconds must lie between 0.01 and 86400"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
