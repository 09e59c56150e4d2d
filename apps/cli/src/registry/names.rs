//! Cells with the registry of names.

use std::sync::Arc;

use chainwright_chain::{BlockId, Consensus, Weight};
use chainwright_names::{Names, NamesHeader, commitment};
use chainwright_rpc::{Dialect, GenericDialect};

use super::assembly::{Framing, assuming, boxed_pow, identity, pow_engine, solo_engine, wire};
use super::{Assembly, Assume, Cell, Overrides};
use crate::error::{CliError, CliResult};
use crate::spec::{ChainFile, FirstBlock};

/// Bytes of every header.
const HEADER_LENGTH: usize = 84;

fn ledger(file: &ChainFile) -> CliResult<Names> {
    let section = file.names.as_ref().ok_or_else(|| CliError::usage("section [names] is missing"))?;
    Ok(Names {
        genesis: NamesHeader {
            parent: BlockId::ZERO,
            body: commitment(&[]),
            time: section.genesis_time,
            bits: u32::from_be_bytes(section.genesis_bits.0),
            nonce: 0,
        },
    })
}

/// The smallest chain with work.
pub(super) fn with_pow(file: &ChainFile, overrides: &Overrides) -> CliResult<Box<dyn Cell>> {
    let ledger = ledger(file)?;
    let target = chainwright_chain::CompactTarget(ledger.genesis.bits);
    let first = FirstBlock { time: ledger.genesis.time, target };
    let pow = pow_engine(file, first, overrides, Vec::new())?;
    let (minimum, assumes) = (pow.minimum_weight, pow.assumed_valid.is_some());
    let mut assembly = assemble(file, overrides, ledger, boxed_pow(pow), minimum);
    assembly.wants_headers_first = assumes && overrides.assume != Assume::Everything;
    Ok(Box::new(assembly))
}

/// The smallest chain at all.
pub(super) fn with_solo(file: &ChainFile, overrides: &Overrides) -> CliResult<Box<dyn Cell>> {
    let ledger = ledger(file)?;
    let solo = solo_engine(file, &ledger, overrides, Vec::new())?;
    Ok(Box::new(assemble(file, overrides, ledger, Arc::new(solo), Weight::ZERO)))
}

fn assemble(
    file: &ChainFile,
    overrides: &Overrides,
    ledger: Names,
    consensus: Arc<dyn Consensus<Names>>,
    minimum_weight: Weight,
) -> Assembly<Names> {
    let consensus = assuming(consensus, overrides);
    let mut parameters = wire(file, overrides);
    parameters.header_length = Some(HEADER_LENGTH);
    parameters.minimum_weight = minimum_weight;
    let identity = identity(file, overrides, &ledger, &*consensus);
    Assembly {
        ledger: Arc::new(ledger),
        consensus,
        identity,
        parameters,
        dialects: Box::new(|chain, _| vec![GenericDialect::new(chain.clone()) as Arc<dyn Dialect>]),
        wants_headers_first: false,
        framing: Framing::Magic(file.network.magic.0),
    }
}
