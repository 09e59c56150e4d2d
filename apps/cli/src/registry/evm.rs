//! Cells with Ethereum's ledger.

use std::sync::Arc;

use chainwright_chain::{Consensus, Work as _};
use chainwright_evm::Evm;
use chainwright_evm::config::{BeaconRule, Genesis, TimeRule};
use chainwright_evm::types::{EvmHeader, target_of};
use chainwright_external::External;
use chainwright_pow::{TargetRule, compact_of, expand};
use chainwright_rpc::{Dialect, GenericDialect};
use chainwright_rpc_ethereum::EthereumDialect;
use chainwright_solo::Solo;

use super::assembly::{Framing, assuming, boxed_pow, identity, pow_engine, solo_engine, wire};
use super::{Assembly, Assume, Cell, Overrides};
use crate::error::{CliError, CliResult};
use crate::spec::{ChainFile, EvmSection, FirstBlock, decode_hex};

fn section(file: &ChainFile) -> CliResult<&EvmSection> {
    file.evm.as_ref().ok_or_else(|| CliError::usage("section [evm] is missing"))
}

fn ledger(file: &ChainFile, genesis: Genesis) -> CliResult<Evm> {
    Ok(Evm::new(genesis).with_pool_policy(section(file)?.pool_policy()))
}

/// Longest message: EIP-7934 allows blocks of 8 MiB, and before Osaka only gas limits them.
const MESSAGE_MAX: u32 = 32 << 20;

/// The address blocks pay: its 20 bytes.
fn payee(overrides: &Overrides) -> CliResult<Vec<u8>> {
    let Some(producer) = overrides.producer.as_ref().filter(|producer| !producer.address.is_empty()) else {
        return Ok(Vec::new());
    };
    let bytes = decode_hex(producer.address.trim_start_matches("0x")).filter(|bytes| bytes.len() == 20);
    bytes.ok_or_else(|| {
        CliError::usage(format!("`{}` is no address of an Ethereum chain", producer.address))
            .hint("40 hexadecimal digits are expected, with or without 0x")
    })
}

/// Several nodes, Keccak over the header without its seal.
pub(super) fn with_pow(file: &ChainFile, overrides: &Overrides) -> CliResult<Box<dyn Cell>> {
    section(file)?.refuse_development()?;
    let genesis = section(file)?.genesis(file.folder.as_deref(), true)?;
    let first = FirstBlock { time: genesis.header.timestamp, target: target_of(genesis.header.difficulty) };
    let mut pow = pow_engine(file, first, overrides, payee(overrides)?)?;
    pow.time_step_seconds = time_step_seconds(&genesis);
    if let TargetRule::Asert(rule) = &mut pow.target_rule {
        // Headers carry difficulties: the easiest target is the easiest one they can express.
        rule.limit = expand(EvmHeader::expressible(compact_of(rule.limit))).value;
    }
    let (minimum, assumes) = (pow.minimum_weight, pow.assumed_valid.is_some());
    let mut assembly = assemble(file, overrides, ledger(file, genesis)?, (boxed_pow(pow), None));
    assembly.parameters.minimum_weight = minimum;
    assembly.wants_headers_first = assumes && overrides.assume != Assume::Everything;
    Ok(Box::new(assembly))
}

/// How much later than its parent a block has to be.
fn time_step_seconds(genesis: &Genesis) -> u64 {
    u64::from(genesis.config.time == TimeRule::Later)
}

/// One key seals: development chains.
pub(super) fn with_solo(file: &ChainFile, overrides: &Overrides) -> CliResult<Box<dyn Cell>> {
    let mut genesis = section(file)?.genesis(file.folder.as_deref(), false)?;
    genesis.config.beacon = BeaconRule::Nobody;
    let step = time_step_seconds(&genesis);
    let genesis = section(file)?.for_developers(genesis, file.dev.is_some())?;
    let ledger = ledger(file, genesis)?;
    let mut solo = solo_engine(file, &ledger, overrides, payee(overrides)?)?;
    solo.time_step_seconds = step;
    let solo = Arc::new(solo);
    Ok(Box::new(assemble(file, overrides, ledger, (solo.clone(), Some(solo)))))
}

/// Blocks from files and callers.
pub(super) fn with_external(file: &ChainFile, overrides: &Overrides) -> CliResult<Box<dyn Cell>> {
    let genesis = section(file)?.genesis(file.folder.as_deref(), false)?;
    section(file)?.refuse_development()?;
    Ok(Box::new(assemble(file, overrides, ledger(file, genesis)?, (Arc::new(External), None))))
}

fn assemble(
    file: &ChainFile,
    overrides: &Overrides,
    ledger: Evm,
    (consensus, sealer): (Arc<dyn Consensus<Evm>>, Option<Arc<Solo>>),
) -> Assembly<Evm> {
    let consensus = assuming(consensus, overrides);
    let identity = identity(file, overrides, &ledger, &*consensus);
    let mut parameters = wire(file, overrides);
    parameters.message_max = MESSAGE_MAX;
    let (past, calls) = (overrides.past.unwrap_or_default(), overrides.calls.unwrap_or_default());
    Assembly {
        ledger: Arc::new(ledger),
        consensus,
        identity,
        parameters,
        dialects: Box::new(move |chain, host| {
            let mut ethereum = EthereumDialect::with_past(chain.clone(), Arc::clone(host), past, calls);
            if let Some(sealer) = &sealer {
                ethereum = ethereum.sealed_by(Arc::clone(sealer));
            }
            vec![GenericDialect::new(chain.clone()) as Arc<dyn Dialect>, ethereum]
        }),
        wants_headers_first: false,
        framing: Framing::Rlp,
    }
}
