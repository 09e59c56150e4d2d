//! Cells with Ethereum's ledger.

use std::sync::Arc;

use chainwright_chain::{Consensus, Work as _};
use chainwright_evm::Evm;
use chainwright_evm::config::{BeaconRule, Fork, Genesis, TimeRule};
use chainwright_evm::execute::BUILT_BYTES_MAX;
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

/// Longest message: EIP-7934 allows blocks of 8 MiB; before Osaka only gas limits them, see [`check_block_bytes`].
const MESSAGE_MAX: u32 = 32 << 20;
const _: () = assert!(BUILT_BYTES_MAX < MESSAGE_MAX as usize);

/// Gas of the cheapest byte of a transaction, a zero (yellow paper, Gtxdatazero), and since Prague (EIP-7623).
const ZERO_BYTE_GAS: u64 = 4;
const ZERO_BYTE_GAS_FLOOR: u64 = 10;

/// Refuses a chain that begins with blocks peers could not send each other.
fn check_block_bytes(genesis: &Genesis) -> CliResult<()> {
    let gas_per_byte = match genesis.config.fork(&genesis.header) {
        fork if fork >= Fork::Osaka => return Ok(()),
        fork if fork >= Fork::Prague => ZERO_BYTE_GAS_FLOOR,
        _ => ZERO_BYTE_GAS,
    };
    let gas_max = gas_per_byte * BUILT_BYTES_MAX as u64;
    if genesis.header.gas_limit <= gas_max {
        return Ok(());
    }
    let limit = genesis.header.gas_limit;
    Err(CliError::usage(format!(
        "evm: with {limit} gas a block can be longer than any message between nodes"
    ))
    .hint(format!("under this fork at most {gas_max} gas; since Osaka blocks are limited by themselves")))
}

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
    check_block_bytes(&genesis)?;
    let first = FirstBlock { time: genesis.header.timestamp, target: target_of(genesis.header.difficulty) };
    let mut pow = pow_engine(file, first, overrides, payee(overrides)?)?;
    pow.time_step_seconds = time_step_seconds(&genesis);
    if let TargetRule::Asert(rule) = &mut pow.target_rule {
        // Headers carry difficulties: the easiest target is the easiest one they can express.
        rule.limit = expand(EvmHeader::expressible(compact_of(rule.limit))).value;
    }
    let (minimum, assumes) = (pow.minimum_weight, pow.assumed_valid.is_some());
    let mut assembly = assemble(file, overrides, ledger(file, genesis)?, (boxed_pow(pow), None))?;
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
    check_block_bytes(&genesis)?;
    genesis.config.beacon = BeaconRule::Nobody;
    let step = time_step_seconds(&genesis);
    let genesis = section(file)?.for_developers(genesis, file.dev.is_some())?;
    let ledger = ledger(file, genesis)?;
    let mut solo = solo_engine(file, &ledger, overrides, payee(overrides)?)?;
    solo.time_step_seconds = step;
    let solo = Arc::new(solo);
    Ok(Box::new(assemble(file, overrides, ledger, (solo.clone(), Some(solo)))?))
}

/// Blocks from files and callers.
pub(super) fn with_external(file: &ChainFile, overrides: &Overrides) -> CliResult<Box<dyn Cell>> {
    let genesis = section(file)?.genesis(file.folder.as_deref(), false)?;
    section(file)?.refuse_development()?;
    Ok(Box::new(assemble(file, overrides, ledger(file, genesis)?, (Arc::new(External), None))?))
}

fn assemble(
    file: &ChainFile,
    overrides: &Overrides,
    ledger: Evm,
    (consensus, sealer): (Arc<dyn Consensus<Evm>>, Option<Arc<Solo>>),
) -> CliResult<Assembly<Evm>> {
    let consensus = assuming(consensus, overrides);
    let mut ruled = file.clone();
    ruled.rules.push_str(&section(file)?.genesis_rules(ledger.config()));
    let identity = identity(&ruled, overrides, &ledger, &*consensus);
    let mut parameters = wire(file, overrides);
    parameters.message_max = MESSAGE_MAX;
    let (past, calls) = (overrides.past.unwrap_or_default(), overrides.calls.unwrap_or_default());
    Ok(Assembly {
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
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn opened(fork: &str, gas_limit: u64) -> CliResult<()> {
        let (_, text) = crate::spec::PRESETS.iter().find(|(name, _)| *name == "pow-evm").unwrap();
        let text = text.replace("fork = \"osaka\"", &format!("fork = \"{fork}\""));
        let text = text.replace("gas_limit = 30_000_000", &format!("gas_limit = {gas_limit}"));
        let file = crate::spec::parse(&text, "test.toml").unwrap();
        with_pow(&file, &Overrides::default()).map(drop)
    }

    #[test]
    fn blocks_have_to_fit_into_messages() {
        let error = opened("cancun", 200_000_000).unwrap_err().to_string();
        assert!(error.contains("longer than any message"), "{error}");
        opened("cancun", 130_000_000).unwrap();
        opened("prague", 200_000_000).unwrap();
        opened("prague", 400_000_000).unwrap_err();
        opened("osaka", 400_000_000).unwrap();
    }
}
