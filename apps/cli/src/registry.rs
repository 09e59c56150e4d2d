//! Every engine and every ledger, by name: the one file that knows them all.
//!
//! ```text
//!              utxo                  names                           evm
//!   pow        Bitcoin's chains      the smallest chain with work    contracts under work
//!   solo       coins, one sealer     the smallest chain at all       development chains
//!   external                                                         blocks from files and callers
//! ```
//!
//! A cell is assembled here with its types and then only used through [`Cell`]. Adding a ledger or an engine is one
//! folder, one line in [`cell()`], and one function that assembles it.

mod assembly;
mod cell;
mod evm;
mod names;
mod utxo;

use std::time::Duration;

use chainwright_chain::Weight;
use chainwright_rpc_ethereum::{CallLimits, Past};

pub(crate) use assembly::Assembly;
pub(crate) use cell::{Cell, NodeSettings, RunningNode, with_hint};

use crate::error::{CliError, CliResult};
use crate::spec::{self, ChainFile, Engine, LedgerKind};

/// Which blocks' deferred checks are taken as passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Assume {
    /// As the chain file says.
    #[default]
    File,
    /// None.
    Nothing,
    /// All: for measuring, and for files one has written oneself.
    Everything,
    /// This block, as people write it, and all before it.
    Block([u8; 32]),
}

/// What the operator says about a chain beside its file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) assume: Assume,
    pub(crate) minimum_work: Option<Weight>,
    /// Makes blocks in this process.
    pub(crate) producer: Option<Producer>,
    /// The key that seals a `solo` chain whose file names none: its 32 secret bytes.
    pub(crate) sealing_secret: Option<[u8; 32]>,
    /// Transactions of the pool are neither taken from peers nor told to them.
    pub(crate) blocks_only: bool,
    /// Added to what the node calls itself, as BIP-0014 comments.
    pub(crate) agent_comments: Vec<String>,
    /// How much of the past a node answers for, where its ledger knows how to.
    pub(crate) past: Option<Past>,
    /// What calls that change nothing may cost, where RPC executes any.
    pub(crate) calls: Option<CallLimits>,
}

/// Who makes blocks, for whom, how fast.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    /// The address that is paid, as people write it; empty for nobody.
    pub(crate) address: String,
    /// Least time between two blocks; `None` for as fast as work allows, or as transactions come.
    pub(crate) pace: Option<Duration>,
}

impl Overrides {
    /// Reads `ID`, `all` or `none`; `None` leaves it to the chain file.
    ///
    /// # Errors
    /// When it is none of these.
    pub(crate) fn assume(text: Option<&str>) -> CliResult<Self> {
        Ok(Self { assume: Assume::parse(text)?, ..Self::default() })
    }
}

impl Assume {
    /// See [`Overrides::assume`].
    pub(crate) fn parse(text: Option<&str>) -> CliResult<Self> {
        let id = |text: &str| spec::decode_hex(text).and_then(|bytes| bytes.try_into().ok());
        match text {
            None => Ok(Self::File),
            Some("none" | "0") => Ok(Self::Nothing),
            Some("all") => Ok(Self::Everything),
            Some(text) => id(text).map(Self::Block).ok_or_else(|| {
                CliError::usage(format!("`{text}` is no block id"))
                    .hint("give 64 hexadecimal digits, `all` or `none`")
            }),
        }
    }
}

/// Puts the chain of a file together.
///
/// # Errors
/// When consensus and ledger do not fit, or a value makes no sense.
pub(crate) fn cell(file: &ChainFile, overrides: &Overrides) -> CliResult<Box<dyn Cell>> {
    if overrides.past.is_some() && file.ledger != LedgerKind::Evm {
        return Err(CliError::usage(format!(
            "{}: --index and --history are for Ethereum's chains",
            file.name
        ))
        .hint("leave them out; other chains answer for all they keep"));
    }
    if overrides.calls.is_some() && file.ledger != LedgerKind::Evm {
        return Err(CliError::usage(format!(
            "{}: --rpc-gas-cap and --rpc-evm-timeout are for Ethereum's chains",
            file.name
        ))
        .hint("leave them out; other chains execute no calls"));
    }
    match (file.consensus, file.ledger) {
        (Engine::Pow, LedgerKind::Utxo) => utxo::with_pow(file, overrides),
        (Engine::Solo, LedgerKind::Utxo) => utxo::with_solo(file, overrides),
        (Engine::Pow, LedgerKind::Names) => names::with_pow(file, overrides),
        (Engine::Solo, LedgerKind::Names) => names::with_solo(file, overrides),
        (Engine::Pow, LedgerKind::Evm) => evm::with_pow(file, overrides),
        (Engine::Solo, LedgerKind::Evm) => evm::with_solo(file, overrides),
        (Engine::External, LedgerKind::Evm) => evm::with_external(file, overrides),
        (Engine::External, _) => Err(CliError::usage(format!(
            "{}: consensus \"external\" is for ledgers whose headers claim a weight or that follow a caller",
            file.name
        ))
        .hint("only `ledger = \"evm\"` goes with it; choose \"pow\" or \"solo\"")),
    }
}
